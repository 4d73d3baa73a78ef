"""Builds one revision for the gate and measures its benchmarks: exact counters, instruction counts, times."""

import json
import os
import re
import shutil
import subprocess
import tempfile

PROGRAM = os.path.join("build", "release", "benchmarks", "sluice_bench_model")
# The timed part of every benchmark is an override of Scenario::run(unsigned): only that is counted, so that neither
# start-up nor verification dilutes a change.
COLLECT = "*::run(unsigned int)"
# Counters that a host measures are not exact; only what the model counts itself is compared for equality.
MEASURED = re.compile(r"^(instructions|cycles|branch.*|cache.*|page_faults.*|task_clock.*|context_switches|cpu_migrations)$")


class SetUpError(Exception):
    """The gate could not do its work: exit status 3."""


def run(command, what, **options):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise SetUpError(f"{what} failed (status {done.returncode}): {' '.join(command)}\n{tail}")
    return done.stdout


class Revision:
    """A revision checked out in a work tree of its own below build/gate and built there."""

    def __init__(self, root, label, name):
        self.root, self.label = root, label
        self.commit = run(["git", "-C", root, "rev-parse", "--verify", "--quiet", name + "^{commit}"],
                          f"finding revision '{name}'").strip()
        self.tree = os.path.join(root, "build", "gate", label)
        self.program = os.path.join(self.tree, PROGRAM)
        self.host = ""  # the fingerprint's id, once a program has run

    def check_out(self):
        if os.path.isdir(self.tree):
            known = subprocess.run(["git", "-C", self.tree, "checkout", "--quiet", "--force", "--detach", self.commit],
                                   capture_output=True, check=False)
            if known.returncode == 0:
                return
            shutil.rmtree(self.tree)
        run(["git", "-C", self.root, "worktree", "prune"], "git worktree prune")
        run(["git", "-C", self.root, "worktree", "add", "--quiet", "--force", "--detach", self.tree, self.commit],
            "git worktree add")

    def build(self):
        self.check_out()
        environment = dict(os.environ, CCACHE_BASEDIR=self.tree, CCACHE_NOHASHDIR="1", CCACHE_SLOPPINESS="time_macros,pch_defines")
        run(["cmake", "--preset", "release"], f"configuring {self.label}", cwd=self.tree, env=environment)
        run(["cmake", "--build", "--preset", "release", "-j", str(os.cpu_count()), "--target", "sluice_bench_model"],
            f"building {self.label}", cwd=self.tree, env=environment)
        if not os.access(self.program, os.X_OK):
            raise SetUpError(f"{self.label} ({self.commit[:12]}) builds no {PROGRAM}")
        # Valgrind 3.19 gives up on clang-19's DWARF 5; the symbol table is all that it needs.
        run(["strip", "--strip-debug", "-o", self.program + ".symbols", self.program], "strip")

    def rows(self, *arguments):
        """The benchmark rows of one process, by name."""
        with tempfile.TemporaryDirectory(prefix="sluice-gate-") as folder:
            file = os.path.join(folder, "rows.jsonl")
            done = subprocess.run([self.program, "--rows", file, *arguments], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, check=False)
            if done.returncode not in (0, 1) or not os.path.exists(file):
                raise SetUpError(f"{self.program} {' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")
            with open(file, encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
        self.host = rows[0]["host"]
        return {row["name"]: row for row in rows if row["kind"] == "benchmark"}

    def work(self, pattern):
        """What each benchmark counts, with the arguments it ran with; a text in place of that for one that did not run."""
        counted = {}
        for name, row in self.rows("--smoke", "--filter", pattern).items():
            if row.get("skipped"):
                counted[name] = row["skipped"]
                continue
            counters = {key: value for key, value in row["counters"].items()
                        if value is not None and not MEASURED.match(key)}
            counted[name] = {**{"argument " + key: value for key, value in row["arguments"].items()}, **counters}
        return counted

    def instructions(self, name):
        """Instructions of the timed part of one benchmark at smoke size, the same to the last digit every time."""
        with tempfile.TemporaryDirectory(prefix="sluice-gate-") as folder:
            run(["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=" + COLLECT,
                 "--callgrind-out-file=" + os.path.join(folder, "out"), self.program + ".symbols", "--smoke",
                 "--filter", exactly(name)], f"callgrind over {name} of {self.label}")
            with open(os.path.join(folder, "out"), encoding="utf-8") as lines:
                for line in lines:
                    if line.startswith(("summary:", "totals:")):
                        count = int(line.split()[1])
                        if count > 0:
                            return count
        raise SetUpError(f"callgrind saw no instruction of {name} in {self.label}: no function {COLLECT}")

    def times(self, pattern):
        """One value per benchmark from one fresh process: the smallest CPU time per item of three repetitions."""
        rows = self.rows("--repetitions", "3", "--filter", pattern)
        return {name: row["cpu"]["min"] for name, row in rows.items() if row.get("cpu") and row["cpu"]["min"] > 0}


def exactly(*names):
    """A regular expression (ECMAScript) that finds these names and no other."""
    return "^(" + "|".join(re.sub(r"([^\w/ ,-])", r"\\\1", name) for name in names) + ")$"
