# Language level, warnings and sanitizers, as one interface target that every room links: no global flags.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # the AFL++ mutator is a shared object

find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${SLUICE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${SLUICE_CCACHE})
endif()

add_library(sluice_flags INTERFACE)
target_include_directories(sluice_flags INTERFACE ${PROJECT_SOURCE_DIR}/harness ${PROJECT_SOURCE_DIR})
target_compile_options(sluice_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow>
  -fno-omit-frame-pointer
  $<$<CXX_COMPILER_ID:GNU>:$<$<COMPILE_LANGUAGE:CXX>:-fcoroutines>>
  $<$<BOOL:${SLUICE_WERROR}>:-Werror>)
if(SLUICE_PLANTED)
  target_compile_definitions(sluice_flags INTERFACE SLUICE_PLANTED=1)
endif()
if(SLUICE_SANITIZER)
  string(REPLACE ";" "," sanitizers "${SLUICE_SANITIZER}")
  target_compile_options(sluice_flags INTERFACE -fsanitize=${sanitizers} -fno-sanitize-recover=all)
  target_link_options(sluice_flags INTERFACE -fsanitize=${sanitizers})
endif()
if(SLUICE_COVERAGE)
  target_compile_options(sluice_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(sluice_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
endif()
# For who runs for hours (ci/campaign): the whole program optimized at once, by what a run of it did. `train` makes the
# program that records a profile, anything else is the file with one. clang only.
if(SLUICE_PROFILE)
  set(profile_options -flto=thin -march=native)
  if(SLUICE_PROFILE STREQUAL "train")
    list(APPEND profile_options -fprofile-generate)
  else()
    list(APPEND profile_options -fprofile-use=${SLUICE_PROFILE} -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date)
  endif()
  target_compile_options(sluice_flags INTERFACE ${profile_options})
  target_link_options(sluice_flags INTERFACE ${profile_options} -fuse-ld=lld)
endif()
# What a room that fuzzing explores is compiled with (sluice_room(... COVERED)), and what takes it away again for one
# source. Comparisons are not traced: our mutator does not read them, and the callbacks took a third of a run.
set(SLUICE_COVERAGE_OPTIONS)
set(SLUICE_NO_COVERAGE_OPTIONS)
if(SLUICE_FUZZ_ENGINE STREQUAL "libfuzzer")
  set(SLUICE_COVERAGE_OPTIONS -fsanitize-coverage=inline-8bit-counters,pc-table)
  set(SLUICE_NO_COVERAGE_OPTIONS -fno-sanitize-coverage=inline-8bit-counters,pc-table,edge)
  # Programs that are no fuzzers link the same objects: the runtime has empty coverage callbacks for them.
  target_link_options(sluice_flags INTERFACE -fsanitize=fuzzer-no-link)
elseif(SLUICE_FUZZ_ENGINE STREQUAL "afl")
  set(SLUICE_COVERAGE_OPTIONS -fsanitize-coverage=trace-pc-guard)
  set(SLUICE_NO_COVERAGE_OPTIONS -fno-sanitize-coverage=trace-pc-guard,edge)
  target_link_options(sluice_flags INTERFACE -fsanitize-coverage=trace-pc-guard)
endif()
