#!/usr/bin/env python3
"""Judges the rows of KVM's selftests that a guest of the lane brought back: each test of the plan has one, none failed, and none was
skipped that this kernel can run.

Usage: ci/lane_kvm_selftests.py FLAVOUR STATUS PLAN ROWS   (STATUS: of `sluice lane`; ROWS: the guest's rows.jsonl)
A test that the guest did not live to end gets a row of its own, as failed, where there is a host's row to tell the kernel by. Prints one
line, and one for each thing that is wrong. Exit status: 0 fine, 1 something is wrong.
"""

import json
import sys

# What a kernel cannot run, by the beginning of the name. Anything else that is skipped is a mistake of this lane's, or of the kernel's.
MAY_SKIP = {"stock": ["private_mem_"], "cost": [], "cov": [], "check": []}


def read_rows(path):
    """The host's row and the tests' rows by name; a last line that the guest did not finish is left out."""
    host, tests = None, {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except OSError:
        return host, tests
    for line in lines[:-1]:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["kind"] == "host":
            host = row
        elif row["kind"] == "test":
            tests[row["name"]] = row
    return host, tests


def missing_row(host, name, reason):
    head = {key: host[key] for key in ("schema", "run", "time", "commit", "dirty", "host")}
    return head | {"kind": "test", "suite": "kvm-selftests", "name": name, "verdict": "failed", "seconds": None, "reason": reason}


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in MAY_SKIP:
        sys.exit(__doc__)
    flavour, status, rows_path = sys.argv[1], int(sys.argv[2]), sys.argv[4]
    with open(sys.argv[3], encoding="utf-8") as file:
        planned = [" ".join(line.split()[1:]) for line in file]
    host, tests = read_rows(rows_path)
    wrong = []
    if status != 0:
        wrong.append(f"sluice lane ended with status {status}")
    missing = [name for name in planned if name not in tests]
    added = []
    for number, name in enumerate(missing):
        reason = "the guest did not live to end it" if number == 0 else "the guest did not live to run it"
        wrong.append(f"failed {name}: {reason}")
        if host is not None:
            added.append(missing_row(host, name, reason))
    if added:
        with open(rows_path, "a", encoding="utf-8") as file:
            file.write("\n" + "".join(json.dumps(row) + "\n" for row in added))
    count = {"passed": 0, "failed": len(missing), "skipped": 0}
    for name in planned:
        if name not in tests:
            continue
        row = tests[name]
        count[row["verdict"]] += 1
        if row["verdict"] == "failed":
            wrong.append(f"failed {name}: {row['reason']}")
        if row["verdict"] == "skipped" and not any(name.startswith(start) for start in MAY_SKIP[flavour]):
            wrong.append(f"skipped {name}, which this kernel must run: {row['reason']}")
    if not planned:
        wrong.append("the plan is empty")
    release = (host or {}).get("fingerprint", {}).get("kernel", "no release")
    print(f"{flavour} ({release}): {len(planned)} selftests: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    for line in wrong:
        print(f"{flavour}: {line}")
    sys.exit(1 if wrong else 0)


main()
