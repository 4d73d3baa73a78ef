add_custom_target(fuzzers COMMENT "Every fuzzer of this engine, and nothing else")

# sluice_fuzzer(NAME [ROOMS room...] [SEEDS BYTES|TEXT] [CORPORA directory...] [PLAIN_MUTATION] [SELECT])
# fuzzers/NAME.cc holds LLVMFuzzerTestOneInput. What is made of it:
#   NAME_replay   in every build, by any compiler: runs files and directories through the target
#   NAME          the fuzzer itself, where SLUICE_FUZZ_ENGINE is libfuzzer, afl or external
#   NAME_select   with SELECT and libfuzzer: makes a small corpus of a large one (fuzzers/README.md)
#   seeds/NAME/   the seeds of corpora/seeds/NAME and of CORPORA, as bytes (SEEDS BYTES) or as they are
#   NAME.dict     words of the input language
#   ctest         NAME.seeds: the replay program over the seeds
# PLAIN_MUTATION leaves the engine's own mutation in place of ours.
function(sluice_fuzzer name)
  cmake_parse_arguments(FUZZER "PLAIN_MUTATION;SELECT" "SEEDS" "ROOMS;CORPORA" ${ARGN})
  list(TRANSFORM FUZZER_ROOMS PREPEND sluice_)
  add_library(${name}_target OBJECT ${name}.cc)
  # The target's own edges too: an engine stops when an input covers nothing at all.
  target_compile_options(${name}_target PRIVATE ${SLUICE_COVERAGE_OPTIONS})
  target_link_libraries(${name}_target PUBLIC sluice_flags sluice_fuzz_driver ${FUZZER_ROOMS})

  add_executable(${name}_replay driver/replay.cc driver/state_features_none.cc)
  target_link_libraries(${name}_replay PRIVATE ${name}_target)

  set(mutators)
  if(NOT FUZZER_PLAIN_MUTATION)
    set(mutators driver/mutator_libfuzzer.cc)
  endif()
  if(SLUICE_FUZZ_ENGINE STREQUAL "libfuzzer")
    if(FUZZER_SELECT)
      add_executable(${name}_select driver/select.cc driver/state_features_none.cc)
      target_link_libraries(${name}_select PRIVATE ${name}_target)
    endif()
    add_executable(${name} driver/state_features_libfuzzer.cc ${mutators})
    target_link_libraries(${name} PRIVATE ${name}_target -fsanitize=fuzzer)
  elseif(SLUICE_FUZZ_ENGINE STREQUAL "external")
    separate_arguments(engine UNIX_COMMAND "${SLUICE_EXTERNAL_FUZZ_ENGINE}")
    add_executable(${name} driver/state_features_libfuzzer.cc ${mutators})
    target_link_libraries(${name} PRIVATE ${name}_target ${engine})
  elseif(SLUICE_FUZZ_ENGINE STREQUAL "afl")
    add_executable(${name} driver/state_features_afl.cc)
    target_link_libraries(${name} PRIVATE ${name}_target ${SLUICE_AFL_DRIVER} ${SLUICE_AFL_RUNTIME})
  endif()
  sluice_fuzzer_seeds(${name} "${FUZZER_SEEDS}" ${FUZZER_CORPORA})
endfunction()

# The seeds and the dictionary of one target, and the test that replays them.
function(sluice_fuzzer_seeds name form)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/seeds/${name})
  set(sources)
  set(folders)
  foreach(folder IN ITEMS ${PROJECT_SOURCE_DIR}/corpora/seeds/${name} ${ARGN})
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${folder}/*.ops)
    if(found)
      list(APPEND sources ${found})
      list(APPEND folders ${folder})
    endif()
  endforeach()
  string(TOLOWER "${form}" form)
  add_custom_command(OUTPUT ${out}.stamp
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${out}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
    COMMAND encode_corpus ${form} ${out} ${CMAKE_CURRENT_BINARY_DIR}/${name}.dict ${folders}
    COMMAND ${CMAKE_COMMAND} -E touch ${out}.stamp
    DEPENDS encode_corpus ${sources} VERBATIM COMMENT "Seeds of ${name}")
  add_custom_target(${name}_seeds ALL DEPENDS ${out}.stamp)
  add_dependencies(${name}_replay ${name}_seeds)
  if(TARGET ${name})
    add_dependencies(${name} ${name}_seeds)
    add_dependencies(fuzzers ${name})
  endif()
  add_test(NAME ${name}.seeds COMMAND ${name}_replay ${out})
  set_tests_properties(${name}.seeds PROPERTIES TIMEOUT 300)
endfunction()
