"""What the hunts of ci/races add up to.

Usage: races.py with-target                                      (of the lines of 'sluice hunt --list', those with a target)
       races.py known REPORT --limit N --seeds N --seed N --length N --program FILE   (0 if this hunt need not be run again)
       races.py label REPORT --program FILE --commit ID          (notes in a report what made it)
       races.py summary DIR                                      (prints the table; 1 if a target is missed or a control finds what has one)
"""
import argparse
import hashlib
import json
import math
import pathlib
import sys

# Sequences, median of the seeds. A race of two preemptions that a control finds has no target: it needs none of them.
OF_PROTOTYPE = {"fault_skips_retry_check": 10_000, "snapshot_taken_late": 10_000, "delete_skips_grace_period": 10_000}
TWO_PREEMPTIONS = 1_000_000


def target_of(bug, preemptions):
    deep = TWO_PREEMPTIONS if preemptions is not None and preemptions >= 2 else None
    return OF_PROTOTYPE.get(bug, deep)


def with_target(_):
    for line in sys.stdin:
        bug, preemptions = line.split()
        if target_of(bug, None if preemptions == "-" else int(preemptions)):
            print(line, end="")
    return 0


def read_report(path):
    try:
        (report,) = json.loads(path.read_text())
        return report
    except (ValueError, OSError) as error:
        sys.exit(f"{path}: no report of 'sluice hunt --json' ({error}): delete it, and it is run again")


def hash_of(program):
    return hashlib.sha256(program.read_bytes()).hexdigest()[:16]


def is_known(arguments):
    if not arguments.report.exists():
        return 1
    report = read_report(arguments.report)
    wanted = {"limit": arguments.limit, "length": arguments.length}
    seeds = [one["seed"] for one in report["seeds"]]
    same = all(report[key] == value for key, value in wanted.items()) and seeds == list(range(arguments.seed, arguments.seed + arguments.seeds))
    return 0 if same and report["made"]["program"] == hash_of(arguments.program) else 1


def label(arguments):
    report = read_report(arguments.report)
    report["made"] = {"commit": arguments.commit, "program": hash_of(arguments.program)}
    arguments.report.write_text(json.dumps([report], indent=1))
    return 0


def median(values):
    """Of counts of which some are infinite: who was not found needs more than any limit."""
    values = sorted(values)
    low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
    return low if low == high else (low + high) / 2


def words(count, limit):
    return f"more than {limit:,}" if math.isinf(count) else f"{count:,.0f}"


def row_of(bug, report, control):
    runs = [one["runs"] if one["found"] else math.inf for one in report["seeds"]]
    middle = median(runs)
    straight = control is not None and control["found"] > 0
    target = target_of(bug, None if straight else report["preemptions"])
    row = {
        "bug": bug,
        "race": report["race"],
        "preemptions": report["preemptions"],
        "seeds": len(runs),
        "found": report["found"],
        "limit": report["limit"],
        "median": None if math.isinf(middle) else middle,
        "fewest": None if math.isinf(min(runs)) else min(runs),
        "most": None if math.isinf(max(runs)) else max(runs),
        "target": target,
        "met": None if target is None else middle <= target,
        "invariants": sorted({one["found"] for one in report["seeds"] if one["found"]}),
        "control": None,
        "made": report["made"],
    }
    if control is not None:
        row["control"] = {"found": control["found"], "seeds": len(control["seeds"]), "limit": control["limit"], "made": control["made"]}
    row["found_anyway"] = sum(one["found_anyway"] for part in (report, control) if part for one in part["seeds"])
    return row


def line_of(row):
    verdict = {None: "", True: f"{row['target']:,}: met" if row["target"] else "", False: f"{row['target'] or 0:,}: **missed**"}[row["met"]]
    span = [words(math.inf if row[key] is None else row[key], row["limit"]) for key in ("median", "fewest", "most")]
    control = row["control"]
    beside = f"{control['found']} of {control['seeds']} within {control['limit']:,}" if control else "not run"
    depth = "" if row["preemptions"] is None else row["preemptions"]
    return f"| `{row['bug']}` | {depth} | {row['found']} of {row['seeds']} | {' | '.join(span)} | {verdict} | {beside} |"


def summary(arguments):
    rows = []
    for path in sorted(arguments.folder.glob("*.on.json")):
        bug = path.name.removesuffix(".on.json")
        control = path.with_name(f"{bug}.off.json")
        rows.append(row_of(bug, read_report(path), read_report(control) if control.exists() else None))
    if not rows:
        sys.exit(f"{arguments.folder}: no reports")
    rows.sort(key=lambda row: (row["target"] or math.inf, row["median"] or math.inf, row["bug"]))
    lines = ["| planted bug | preemptions | found | median | fewest | most | target | control |", "|---|---|---|---|---|---|---|---|"]
    lines += [line_of(row) for row in rows]
    table = "\n".join(lines)
    print(table)
    arguments.folder.joinpath("races.md").write_text(table + "\n")
    arguments.folder.joinpath("races.json").write_text(json.dumps(rows, indent=1) + "\n")
    status = 0
    for row in rows:
        if row["met"] is False:
            print(f"MISSED: {row['bug']}: median of {row['seeds']} seeds above {row['target']:,} sequences")
            status = 1
        if row["race"] and row["control"] and row["control"]["found"]:
            print(f"NO RACE: {row['bug']} is found without interleaving, too: see {row['bug']}.off.json")
            status = 1 if row["target"] else status
        if row["found_anyway"]:
            print(f"FOUND: while {row['bug']} was looked for, {row['found_anyway']} sequences found something without it, too ('anyway' in its reports)")
            status = 1
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("with-target").set_defaults(call=with_target)
    known = commands.add_parser("known")
    known.add_argument("report", type=pathlib.Path)
    for name in ("--limit", "--seeds", "--seed", "--length"):
        known.add_argument(name, type=int, required=True)
    known.add_argument("--program", type=pathlib.Path, required=True)
    known.set_defaults(call=is_known)
    one = commands.add_parser("label")
    one.add_argument("report", type=pathlib.Path)
    one.add_argument("--program", type=pathlib.Path, required=True)
    one.add_argument("--commit", required=True)
    one.set_defaults(call=label)
    whole = commands.add_parser("summary")
    whole.add_argument("folder", type=pathlib.Path)
    whole.set_defaults(call=summary)
    arguments = parser.parse_args()
    return arguments.call(arguments)


if __name__ == "__main__":
    sys.exit(main())
