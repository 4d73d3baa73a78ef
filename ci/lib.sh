# shellcheck shell=bash
# What the scripts in ci/ share. Sourced, never run: `source "$(dirname "$0")/lib.sh"`.
# Exit status everywhere: 0 fine, 1 finding or regression, 2 inconclusive, 3 usage or set-up error, and
# between these scripts 77 for "could not run here" (the last line of output then says why).
set -euo pipefail

readonly kStatusSetUp=3
readonly kStatusSkipped=77
repo_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly repo_root

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit "$kStatusSetUp"
}

# Ends a step that this machine cannot run. A skip is never a pass: the caller prints and counts it.
skip() {
  printf 'SKIPPED: %s\n' "$*"
  exit "$kStatusSkipped"
}

need() {
  local command
  for command in "$@"; do
    command -v "$command" >/dev/null || die "$command not found: run ci/setup"
  done
}

# One compiler cache for every checkout: paths below the root are hashed as relative ones, so that a worktree of the
# same commit (ci/gate) and a fresh clone find what an earlier build left. Not so where headers are precompiled
# (cmake/SluiceRooms.cmake): those name their place, so that only a checkout at the same place finds its own again.
use_ccache() {
  export CCACHE_BASEDIR="$repo_root" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros,pch_defines
}

# Usage: run_step NAME LIMIT_SECONDS COMMAND...
# Runs one step of a longer script: its output goes to $step_logs/NAME.log, one line with the duration to the terminal.
# Sums up in steps_passed, steps_failed and steps_skipped; a failing step shows the end of its log and does not stop
# the script, so that one run reports everything that is wrong.
steps_passed=0 steps_failed=0 steps_skipped=0
step_logs=$repo_root/build/ci-logs

step_pid=

# For a script's trap on INT and TERM: ends the running step with all that it started (timeout hands the signal on).
stop_step() {
  [[ -z $step_pid ]] || { kill -TERM "$step_pid" && wait "$step_pid"; } 2>/dev/null || true
}

# On a terminal, how long the step has been running; elsewhere nothing.
show_progress() {
  local name=$1 begin=$SECONDS
  [[ -t 1 ]] || { wait "$step_pid"; return; }
  while kill -0 "$step_pid" 2>/dev/null; do
    printf '\rrunning %4d s  %s' $((SECONDS - begin)) "$name"
    sleep 0.5
  done
  printf '\r\033[K'
  wait "$step_pid"
}

run_step() {
  local name=$1 limit=$2 log status=0 begin=$SECONDS
  shift 2
  mkdir -p "$step_logs"
  log=$step_logs/$name.log
  # In the background, so that a signal to the script is answered at once.
  timeout --kill-after=20 "$limit" "$@" >"$log" 2>&1 </dev/null &
  step_pid=$!
  show_progress "$name" || status=$?
  step_pid=
  local took=$((SECONDS - begin))
  case $status in
    0)
      steps_passed=$((steps_passed + 1))
      printf 'ok      %4d s  %s\n' "$took" "$name"
      ;;
    "$kStatusSkipped")
      steps_skipped=$((steps_skipped + 1))
      printf 'SKIPPED %4d s  %s: %s\n' "$took" "$name" "$(sed -n 's/^SKIPPED: //p' "$log" | tail -n 1)"
      ;;
    *)
      steps_failed=$((steps_failed + 1))
      [[ $status -ne 124 ]] || echo "stopped after $limit seconds" >>"$log"
      printf 'FAILED  %4d s  %s (status %d; the errors in %s and its end follow)\n' "$took" "$name" "$status" "$log"
      # A parallel build goes on for a while after the first error: the end of its log alone says nothing.
      grep -nE -m 12 -A 3 '(^|[^a-z])(error|FAILED|Failure)\b' "$log" | cut -c1-300 | sed 's/^/        ! /' || true
      tail -n 40 "$log" | sed 's/^/        | /'
      ;;
  esac
  return 0
}
