# shellcheck shell=bash disable=SC2154  # repo_root is ci/lib.sh's
# What the scripts share that run something in guests of several flavours. Sourced behind ci/lib.sh.

# Usage: run_flavours OUT ROWS FUNCTION FLAVOUR... ; one beside the other, runs FUNCTION FLAVOUR where OUT/FLAVOUR/files is empty, and
# prints what each said as one paragraph. Appends what each left in files/rows.jsonl to ROWS, if that is not "". Fails with 1 if one
# of them did; else with 77 and the reasons if one could not be run here.
run_flavours() {
  local out=$1 rows=$2 function=$3 flavours=("${@:4}") flavour i ended status=0 skipped=() pids=()
  for flavour in "${flavours[@]}"; do
    rm -rf "${out:?}/$flavour"
    mkdir -p "$out/$flavour/files"
    "$function" "$flavour" >"$out/$flavour.log" 2>&1 </dev/null &
    pids+=($!)
  done
  # shellcheck disable=SC2064  # the processes of now
  trap "kill ${pids[*]} 2>/dev/null; exit 2" INT TERM
  for i in "${!flavours[@]}"; do
    flavour=${flavours[i]}
    ended=0
    wait "${pids[i]}" || ended=$?
    cat "$out/$flavour.log"
    case $ended in
      0) ;;
      77) skipped+=("$flavour: $(sed -n 's/^SKIPPED: //p' "$out/$flavour.log" | tail -n 1)") ;;
      *) status=1 ;;
    esac
    [[ -z $rows || ! -s $out/$flavour/files/rows.jsonl ]] || cat "$out/$flavour/files/rows.jsonl" >>"$rows"
  done
  [[ $status -eq 0 ]] || exit "$status"
  [[ ${#skipped[@]} -eq 0 ]] || skip "$(printf '%s; ' "${skipped[@]}")"
}

# For a FUNCTION of run_flavours: the kernel is there, or the status says why not.
want_kernel() {
  local flavour=$1 begin=$SECONDS made=0
  "$repo_root/ci/lane/kernel" "$flavour" || made=$?
  [[ $made -ne 77 ]] || exit 77
  [[ $made -eq 0 ]] || exit 1
  say "$flavour: kernel there after $((SECONDS - begin)) s"
}

# For a script that boots guests: what it cannot do without.
want_lane() {
  command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 not found: run ci/setup"
  [[ -x $1 ]] || die "$1 not found: run ci/build release"
}
