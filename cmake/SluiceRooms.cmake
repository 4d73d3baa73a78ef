# sluice_room(NAME [DEPENDS room...] [LIBRARIES target...] [RECURSE] [COVERED] [TEST_LIBRARIES target...] [PRECOMPILE header...])
# A room is a folder and one library target sluice_NAME (an interface target if it has only headers). Every *_test.cc in
# it goes into one test program, test_NAME, whose cases ctest sees one by one. New files need no CMake edit.
# COVERED: fuzzing engines are told which edges of this room ran. The subject is, what judges and drives it is not: every
# edge that runs costs the engine about as much as the operation that ran it.
# PRECOMPILE: headers that nearly all of the room's files include anyway. Reading them again is four fifths of compiling.
include(GoogleTest OPTIONAL)

option(SLUICE_PCH "Precompile headers; OFF (as in the gcc preset) shows a file that lacks an include" ON)

# sluice_precompile(TARGET header...)
function(sluice_precompile target)
  if(NOT SLUICE_PCH OR NOT ARGN)
    return()
  endif()
  target_precompile_headers(${target} PRIVATE ${ARGN})
  # ccache hands a header out with another time than it was compiled with.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>)
endfunction()

function(sluice_room name)
  cmake_parse_arguments(ROOM "RECURSE;COVERED" "" "DEPENDS;LIBRARIES;TEST_LIBRARIES;PRECOMPILE" ${ARGN})
  set(glob GLOB)
  if(ROOM_RECURSE)
    set(glob GLOB_RECURSE)
  endif()
  file(${glob} sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(TRANSFORM ROOM_DEPENDS PREPEND sluice_)
  if(sources)
    add_library(sluice_${name} STATIC ${sources})
    set(scope PUBLIC)
    sluice_precompile(sluice_${name} ${ROOM_PRECOMPILE})
    if(ROOM_COVERED)
      target_compile_options(sluice_${name} PRIVATE ${SLUICE_COVERAGE_OPTIONS})
    endif()
  else()
    add_library(sluice_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(sluice_${name} ${scope} sluice_flags ${ROOM_DEPENDS} ${ROOM_LIBRARIES})
  if(tests AND NOT SLUICE_FUZZ_ONLY)
    sluice_test(${name} SOURCES ${tests} LIBRARIES sluice_${name} ${ROOM_TEST_LIBRARIES}
                PRECOMPILE ${ROOM_PRECOMPILE})
  endif()
endfunction()

# sluice_test(NAME SOURCES file... LIBRARIES target... [PRECOMPILE header...]): one GoogleTest program, test_NAME.
function(sluice_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBRARIES;PRECOMPILE" ${ARGN})
  add_executable(test_${name} ${TEST_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${TEST_LIBRARIES} sluice_flags GTest::gmock GTest::gtest_main)
  list(LENGTH TEST_SOURCES count)
  if(count GREATER 2)  # for fewer it takes longer than it saves
    sluice_precompile(test_${name} ${TEST_PRECOMPILE} <gmock/gmock.h> <gtest/gtest.h>)
  endif()
  target_compile_definitions(test_${name} PRIVATE SLUICE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(test_${name} TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 600)
endfunction()
