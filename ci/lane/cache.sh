# shellcheck shell=bash disable=SC2034,SC2154  # what is set here is used there, and the other way round
# What ci/lane/kernel and ci/lane/selftests share: the kernel's source, and the cache of what was made of it. Sourced behind ci/lib.sh.
# The cache is ${SLUICE_LANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice/lane}; a folder's name is a hash of what went
# into it, so that nothing in it is ever out of date.

work=  # where something is being made; global, since the trap outlives the function
cache=${SLUICE_LANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice/lane}
lane=$repo_root/ci/lane
readonly source_package=linux-source-6.12 compiler=gcc-12
source_tarball=${SLUICE_KERNEL_SOURCE:-/usr/src/$source_package.tar.xz}

note() { printf '%s\n' "lane: $*" >&2; }

hash_of() { sha256sum | cut -c1-16; }

# The source's version, or what else tells one from another. Where there is no source, exits with 77.
source_version() {
  [[ -f $source_tarball ]] || skip "$source_tarball not found: run ci/setup" >&2
  dpkg-query --show --showformat='${Version}' "$source_package" 2>/dev/null || hash_of <"$source_tarball"
}

# Usage: place KEY FUNCTION ARGUMENTS... ; runs FUNCTION ARGUMENTS... unless the cache has KEY: it fills $work/made, with a
# description of one line. Only a folder that is whole gets its name, so an interrupted run leaves nothing that looks like one.
# Prints the folder.
place() {
  local folder=$cache/$1
  mkdir -p "$cache" || die "cannot make the folder $cache"
  if [[ ! -f $folder/description ]]; then
    exec 8>"$cache/$1.lock"
    flock 8
    if [[ ! -f $folder/description ]]; then
      trap 'rm -rf "$work"' EXIT
      trap 'exit 2' INT TERM
      work=$(mktemp -d "$cache/work.XXXXXX")
      mkdir "$work/made"
      "$2" "${@:3}" >&2
      rm -rf "$folder"
      mv "$work/made" "$folder"
      rm -rf "$work"
    fi
    exec 8>&-
  fi
  note "$(cat "$folder/description") (cache: $folder)"
  printf '%s\n' "$folder"
}
