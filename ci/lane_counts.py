#!/usr/bin/env python3
"""Puts the counts of several boots together: one row a benchmark, and two rows that hold their spread against target B2.

Usage: ci/lane_counts.py OUT ROWS...   (OUT: the rows; ROWS: one rows.jsonl a boot, from `bench --backend kvm --count`)
A boot's count is its row's `instructions`, the row the least of them. B2 is about instructions: what waits is shown, not held
against it. Prints a table and the verdict.
Exit status: 0 B2 is met, 1 it is not, or a benchmark is missing in a boot.
"""

import datetime
import json
import statistics
import sys

SMALL_PAGES, LARGE_PAGES = 16, 4096
SMALL_LIMIT = 2  # instructions
LARGE_LIMIT = 0.005  # percent


def read(path):
    """The rows of one boot: host row, then benchmarks by name; skipped ones apart."""
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    host = [row for row in rows if row["kind"] == "host"]
    benchmarks = {row["name"]: row for row in rows if row["kind"] == "benchmark" and not row["skipped"]}
    skipped = {row["name"]: row["skipped"] for row in rows if row["kind"] == "benchmark" and row["skipped"]}
    return host, benchmarks, skipped


def merged(name, boots, now):
    rows = [boot[name] for boot in boots]
    counts = [row["counters"]["instructions"] for row in rows]
    items = rows[0]["items"]
    median = statistics.median(counts)
    row = dict(rows[0], time=now, repetitions=len(boots))
    row["cpu"] = {
        "median": median / items,
        "p99": max(counts) / items,
        "min": min(counts) / items,
        "mad": statistics.median(abs(count - median) for count in counts) / items,
    }
    row["counters"] = {"instructions": min(counts), "spread": max(counts) - min(counts)}
    return row


def verdict(name, template, spreads, limit, unit):
    """spreads: (how far the boots of one benchmark lie apart, its name)"""
    worst, where = max(spreads)
    row = dict(template, name=name, target="B2", unit=unit, items=1, arguments={}, cpu=None)
    row.update(counters={"benchmarks": len(spreads)}, ratio=worst, ratio_unit=unit, limit=limit, limit_sense="max", met=worst <= limit)
    print(f"B2 {name}: {worst:.4g} {unit} (limit {limit}): {'met' if row['met'] else 'NOT MET'}; worst {where}")
    return row


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    boots = [read(path) for path in sys.argv[2:]]
    names = sorted(set().union(*(boot[1] for boot in boots)), key=lambda n: (n.rsplit(":", 1)[0], int(n.rsplit(":", 1)[1])))
    missing = [name for name in names if any(name not in boot[1] for boot in boots)]
    for name, reason in sorted(boots[0][2].items()):
        print(f"{name}: skipped: {reason}")
    if missing or not names:
        print("not in every boot:", ", ".join(missing) or "anything")
        return 1
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [merged(name, [boot[1] for boot in boots], now) for name in names]
    print(f"{'emulated instructions, ' + str(len(boots)) + ' boots':<46}{'least':>12}{'spread':>8}{'per item':>12}")
    small, large = [], []
    for row in rows:
        least, spread = row["counters"]["instructions"], row["counters"]["spread"]
        print(f"{row['name']:<46}{least:>12}{spread:>8}{row['cpu']['min']:>12.1f}  {row['unit']}{', waits included' * ('waits' in row['label'])}")
        if "waits" in row["label"]:
            continue
        if row["items"] <= SMALL_PAGES:
            small.append((spread, row["name"]))
        if row["items"] == LARGE_PAGES:
            large.append((100 * spread / least, row["name"]))
    results = []
    for name, spreads, limit, unit in (("small", small, SMALL_LIMIT, "instructions"), ("large", large, LARGE_LIMIT, "percent")):
        if spreads:
            results.append(verdict(f"kvm/operation/spread/{name}", rows[0], spreads, limit, unit))
        else:
            print(f"B2 kvm/operation/spread/{name}: not judged: the filter left no such benchmark")
    host = dict(boots[0][0][0], time=now)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        for row in [host, *rows, *results]:
            file.write(json.dumps(row) + "\n")
    return 0 if all(row["met"] for row in results) else 1


sys.exit(main())
