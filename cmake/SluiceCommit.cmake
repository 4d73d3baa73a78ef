# Run by every build (cmake -P): writes OUT with the commit and whether the tree differs from it, if that has changed.
# A new file counts as a difference: the build takes new sources in by itself.
# In a tree without git of its own (a tarball, also one unpacked inside another repository) the commit is empty.
set(commit "")
set(dirty false)
execute_process(COMMAND git -C ${SOURCE} rev-parse --show-toplevel OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE
                RESULT_VARIABLE failed ERROR_QUIET)
file(REAL_PATH "${SOURCE}" source)
if(NOT failed AND top STREQUAL source)
  execute_process(COMMAND git -C ${SOURCE} rev-parse --verify HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
                  RESULT_VARIABLE failed ERROR_QUIET)
  if(failed)
    set(commit "")
  endif()
  execute_process(COMMAND git -C ${SOURCE} status --porcelain -- CMakeLists.txt cmake harness benchmarks fuzzers reports OUTPUT_VARIABLE changes ERROR_QUIET)
  if(changes)
    set(dirty true)
  endif()
endif()
set(text "#pragma once\n#define SLUICE_COMMIT \"${commit}\"\n#define SLUICE_DIRTY ${dirty}\n#define SLUICE_BUILD_TYPE \"${BUILD_TYPE}\"\n")
set(old "")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
