#!/usr/bin/env python3
"""Judges what a guest of the lane brought back: no difference from the model, and enough compared to mean something.

Usage: ci/lane_verdict.py FLAVOUR STATUS FILES   (STATUS: of `sluice lane`; FILES: the folder with doctor.json and run.json)
Prints one line, and one for each thing that is wrong. Exit status: 0 fine, 1 something is wrong.
"""

import json
import os
import sys

BAD = ("mismatch", "difference", "finding", "error", "drift")

# Answers compared at least, over all of corpora/ (measured, less a tenth); what doctor must say; and sequences of which every step
# must act and be answered as the model says: for each thing that only such a kernel can show, one or two.
WANTED = {}
WANTED["stock"] = {
    "compared": {"status": 1193, "progress": 69, "exit": 18, "contents": 36},
    "doctor": {"module": "kvm_amd", "paging": "two-dimensional, TDP MMU", "pre_fault_memory": 1, "guest_memfd_files": True},
    "whole": ["create_guest_memfd_errno_order.ops", "fallocate_errno_order.ops", "guest_access_without_slot.ops",
              "host_access_after_unmap.ops", "pre_fault_errno_order.ops", "pre_fault_host_page_missing.ops",
              "pre_fault_lifts_write_protection.ops", "pre_fault_stops_at_the_slot_end.ops", "region_binds_guest_memfd.ops",
              "region_ends_with_user_addresses.ops", "region_errno_order.ops", "default_pre_fault.ops", "default_slot_changes.ops"],
}
WANTED["cost"] = {
    "compared": {"status": 1864, "progress": 110, "exit": 51, "contents": 75},
    "doctor": WANTED["stock"]["doctor"] | {"memory_attributes": 8, "guest_memfd": 1, "vm_types": 3},
    "whole": WANTED["stock"]["whole"] + ["attributes_need_private_memory.ops", "page_survives_conversion_there_and_back.ops",
                                         "map_gpa_range_ignored.ops", "pre_fault_private_without_gmem.ops",
                                         "region_outlives_its_file.ops", "sw_protected.ops", "sw_protected_hypercalls.ops",
                                         "sw_protected_two_slots.ops"],
}
for flavour in ("cov", "check"):
    WANTED[flavour] = WANTED["cost"]


def read(folder, name, wrong):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        wrong.append(f"{name} did not come back whole: {error}")
        return {}


def name_of(verdict):
    return os.path.basename(verdict["file"])


def judge_verdicts(verdicts, whole, wrong):
    for verdict in verdicts:
        if verdict["verdict"] not in BAD:
            continue
        wrong.append(f"{verdict['verdict']} {verdict['file']}: {verdict.get('reason', '')}")
        for step in verdict.get("differences", []) + verdict.get("mismatches", []):
            wrong.append(f"  line {step['line']}: {step['step']}: model {step['expected']}, kernel {step['got']}")
        if "finding" in verdict:
            wrong.append(f"  line {verdict['finding']['line']}: {verdict['finding']['step']}: {verdict['finding']['invariant']}")
    by_name = {name_of(verdict): verdict for verdict in verdicts}
    for name in whole:
        verdict = by_name.get(name)
        if verdict is None:
            wrong.append(f"{name} was not run")
        elif verdict["verdict"] not in ("pass", *BAD) or verdict.get("skips"):
            why = verdict.get("reason") or verdict.get("skips", [{"reason": "?"}])[0]["reason"]
            wrong.append(f"{name} did not run whole: {verdict['verdict']}, {why}")


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in WANTED:
        sys.exit(__doc__)
    flavour, status, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    wanted, wrong = WANTED[flavour], []
    if status != 0:
        wrong.append(f"sluice lane ended with status {status}")
    doctor, run = read(folder, "doctor.json", wrong), read(folder, "run.json", wrong)
    kvm = doctor.get("kvm", {})
    for name, value in wanted["doctor"].items():
        if kvm.get(name) != value:
            wrong.append(f"doctor says {name} = {kvm.get(name)!r}, not {value!r}")
    fields = run.get("differential", {})
    for name, least in wanted["compared"].items():
        compared = fields.get(name, {}).get("compared", 0)
        if compared < least:
            wrong.append(f"{compared} answers compared in {name}, wanted {least}")
        if fields.get(name, {}).get("mismatched", 0) != 0:
            wrong.append(f"{fields[name]['mismatched']} mismatches in {name}")
    judge_verdicts(run.get("verdicts", []), wanted["whole"], wrong)
    compared = ", ".join(f"{name} {counts['compared']}" for name, counts in fields.items())
    print(f"{flavour} ({kvm.get('release', 'no release')}): {run.get('tally', 'nothing came back')}; compared: {compared or 'nothing'}")
    for line in wrong:
        print(f"{flavour}: {line}")
    sys.exit(1 if wrong else 0)


main()
