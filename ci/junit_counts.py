"""Reads what ctest --output-junit wrote: prints 'passed failed skipped', then one line per reason for skipping.

Usage: python3 ci/junit_counts.py FILE
"""

import collections
import re
import sys
import xml.etree.ElementTree


def skip_reason(case):
    """Why a test was skipped, in its own words: the line after GoogleTest's 'Skipped', or ctest's message."""
    output = case.findtext("system-out") or ""
    match = re.search(r": Skipped\n(.+)", output) or re.search(r"^SKIPPED: (.+)$", output, re.MULTILINE)
    if match:
        return match.group(1).strip()
    return case.find("skipped").get("message") or "no reason given"


def main(path):
    counts = collections.Counter()
    reasons = collections.Counter()
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.get("status") == "fail":
            counts["failed"] += 1
        elif case.find("skipped") is not None:
            counts["skipped"] += 1
            reasons[skip_reason(case)] += 1
        else:
            counts["passed"] += 1
    print(counts["passed"], counts["failed"], counts["skipped"])
    for reason, count in reasons.most_common():
        print(f"        | SKIPPED {count} test(s): {reason}")


main(sys.argv[1])
