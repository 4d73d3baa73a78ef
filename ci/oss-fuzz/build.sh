#!/bin/bash -eu
# Builds every fuzz target into $OUT with the compiler, flags and engine that the environment names; OSS-Fuzz runs it in
# the image of the Dockerfile beside it, ci/oss-fuzz/check on any machine.
# Wants: CC CXX CFLAGS CXXFLAGS LIB_FUZZING_ENGINE SRC OUT, and WORK for what it leaves lying about.
source_folder=$SRC/sluice
build_folder=$WORK/sluice-build

# No launcher, no warnings as errors: the compiler is whatever the image has.
cmake -G Ninja -S "$source_folder" -B "$build_folder" \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" \
  -DCMAKE_C_FLAGS="$CFLAGS" -DCMAKE_CXX_FLAGS="$CXXFLAGS" \
  -DSLUICE_FUZZ_ONLY=ON -DSLUICE_FUZZ_ENGINE=external
cmake --build "$build_folder" --target fuzzers

for target in "$build_folder"/fuzzers/fuzz_*; do
  name=$(basename "$target")
  # fuzz_empty measures the engine; the others have a suffix (replay programs, dictionaries).
  [[ -f $target && -x $target && $name != *.* && $name != *_replay && $name != fuzz_empty ]] || continue
  cp "$target" "$OUT/$name"
  cp "$build_folder/fuzzers/$name.dict" "$OUT/$name.dict"
  cp "$source_folder/ci/oss-fuzz/fuzz.options" "$OUT/$name.options"
  rm -f "$OUT/${name}_seed_corpus.zip"
  (cd "$build_folder/fuzzers/seeds/$name" && zip -q -r "$OUT/${name}_seed_corpus.zip" .)
done
