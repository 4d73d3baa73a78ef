"""What the runs of a campaign (ci/campaign) add up to.

Usage: campaign.py label REPORT --program FILE --commit ID --length N   (notes in a report what made it)
       campaign.py summary DIR                                            (prints the table; 1 if something was found)
"""
import argparse
import collections
import hashlib
import json
import pathlib
import sys


def read_report(path):
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        sys.exit(f"{path}: no report of 'sluice run --random --json' ({error}): delete it, and its seed is run again")


def label(arguments):
    report = read_report(arguments.report)
    report["campaign"] = {
        "commit": arguments.commit,
        "program": hashlib.sha256(arguments.program.read_bytes()).hexdigest()[:16],
        "length": arguments.length,
    }
    part = arguments.report.with_suffix(".part")
    part.write_text(json.dumps(report))
    part.replace(arguments.report)
    return 0


def spans(seeds):
    """'9 11-13' of [9, 11, 12, 13]; '34 of 20001-20068' where that would be a long list."""
    out = []
    seeds = sorted(seeds)
    for seed in seeds:
        if out and out[-1][1] == seed - 1:
            out[-1][1] = seed
        else:
            out.append([seed, seed])
    if len(out) > 4:
        return f"{len(seeds)} of {out[0][0]}-{out[-1][1]}"
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def million(count):
    return f"{count / 1e6:.1f} M" if count >= 10**6 else f"{count:,}"


def summary(arguments):
    groups = collections.defaultdict(list)
    for path in sorted(arguments.folder.glob("*.json")):
        report = read_report(path)
        made = report.get("campaign")
        if made is None or "random" not in report:
            sys.exit(f"{path}: not labelled: delete it, and its seed is run again")
        groups[made["commit"], made["program"], made["length"]].append(report["random"])
    if not groups:
        sys.exit(f"{arguments.folder}: no reports")
    print("| commit | program | seeds | operations at most | sequences | operations | acted | ran twice | known upstream | found |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    total = collections.Counter()
    by_kernel = collections.defaultdict(collections.Counter)
    for (commit, program, length), runs in sorted(groups.items()):
        sums = collections.Counter()
        for run in runs:
            sums.update({key: run[key] for key in ("sequences", "operations", "acted", "ran_twice", "known_upstream")})
            sums["found"] += len(run["found"])
            for kernel, scopes in run["by_kernel"].items():
                by_kernel[kernel].update(scopes)
        total.update(sums)
        print(
            f"| {commit} | {program} | {spans(run['seed'] for run in runs)} | {length} | {million(sums['sequences'])} | {million(sums['operations'])} "
            f"| {100 * sums['acted'] / sums['operations']:.1f} % | {million(sums['ran_twice'])} | {sums['known_upstream']} | {sums['found']} |"
        )
    print(
        f"| all | | | | {million(total['sequences'])} | {million(total['operations'])} "
        f"| {100 * total['acted'] / total['operations']:.1f} % | {million(total['ran_twice'])} | {total['known_upstream']} | {total['found']} |"
    )
    print("\n| kernel | host scope | machine scope |\n|---|---|---|")
    for kernel, scopes in sorted(by_kernel.items()):
        print(f"| {kernel} | {million(scopes['host'])} | {million(scopes['machine'])} |")
    for runs in groups.values():
        for run in runs:
            for found in run["found"]:
                print(f"FOUND: seed {run['seed']}, number {found['number']}: {found['what']}")
    return 1 if total["found"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("label")
    one.add_argument("report", type=pathlib.Path)
    one.add_argument("--program", type=pathlib.Path, required=True)
    one.add_argument("--commit", required=True)
    one.add_argument("--length", type=int, required=True)
    one.set_defaults(call=label)
    whole = commands.add_parser("summary")
    whole.add_argument("folder", type=pathlib.Path)
    whole.set_defaults(call=summary)
    arguments = parser.parse_args()
    return arguments.call(arguments)


if __name__ == "__main__":
    sys.exit(main())
