# SPDX-License-Identifier: Apache-2.0
# How tests are registered. Every ctest case runs under no_leftovers, which fails it when it leaves a
# process, a file or System V IPC behind; see tests/support/no_leftovers.cpp for its options.

find_package(GTest REQUIRED)
include(GoogleTest)

# Without the sanitizer that the rest may be built with: it supervises, it is not under test.
add_executable(no_leftovers ${CMAKE_CURRENT_LIST_DIR}/no_leftovers.cpp)
rankexec_compile_settings(no_leftovers)
target_compile_options(no_leftovers PRIVATE -O1 -fno-sanitize=all)
target_link_options(no_leftovers PRIVATE -static -fno-sanitize=all)
set_target_properties(no_leftovers PROPERTIES POSITION_INDEPENDENT_CODE OFF RUNTIME_OUTPUT_DIRECTORY
                                                                           ${PROJECT_BINARY_DIR}/bin)

set(RANKEXEC_TEST_HARNESS ${PROJECT_BINARY_DIR}/bin/no_leftovers --keep ${PROJECT_SOURCE_DIR} --keep
                          ${PROJECT_BINARY_DIR})
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=")
  list(APPEND RANKEXEC_TEST_HARNESS --reports)
endif()
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=thread")
  list(APPEND RANKEXEC_TEST_HARNESS --no-aslr)
endif()

# What every test gets: where our programs are, and sanitizers that fail loudly, but leave a rank that
# is killed by a signal killed by that signal. The thread sanitizer would let a rank that exits wait for a
# second, in which it is not dead to anybody.
set(RANKEXEC_TEST_ENVIRONMENT
    "RANKEXEC_PROGRAM_DIR=${PROJECT_BINARY_DIR}/bin"
    "ASAN_OPTIONS=handle_segv=0:handle_abort=0:detect_leaks=1:detect_stack_use_after_return=1:abort_on_error=0:exitcode=66"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_LIST_DIR}/lsan.supp:print_suppressions=0"
    "TSAN_OPTIONS=atexit_sleep_ms=50:handle_segv=0:handle_abort=0:suppressions=${CMAKE_CURRENT_LIST_DIR}/tsan.supp:second_deadlock_stack=1:halt_on_error=1:exitcode=66")

# Everything that has the label `unit`, for builds that test nothing else.
add_custom_target(unit_tests)
add_dependencies(unit_tests no_leftovers)

# rankexec_gtest(NAME SOURCES file... LINK target... [OPTIONS])
# One program; a ctest case NAME.Suite.Test per TEST.
#   LABELS label...    on every case
#   HARNESS option...  for no_leftovers
#   LOCK resource...   cases that name the same resource never run at the same time
#   TIMEOUT seconds    per case, default 120
#   PARTS 'filter=label,label' ...  instead of one registration of all tests, one per filter (as
#                      --gtest_filter) with further labels
#   ELSEWHERE filter...  what script tests run instead; a case NAME.all_registered fails when a test is
#                      taken neither by a part nor by one of these
#   NEEDS target...    programs that are built first
#   NO_PREFIX          cases are called Suite.Test, without NAME
function(rankexec_gtest name)
  cmake_parse_arguments(TEST "NO_PREFIX" "TIMEOUT" "SOURCES;LINK;LABELS;HARNESS;LOCK;PARTS;ELSEWHERE;NEEDS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  set(prefix "${name}.")
  if(TEST_NO_PREFIX)
    set(prefix "")
  endif()
  set(target test_${name})
  rankexec_program(${target} ${TEST_SOURCES} LINK ${TEST_LINK} GTest::gmock GTest::gtest_main KIND test)
  add_dependencies(${target} no_leftovers ${TEST_NEEDS})
  set_target_properties(${target} PROPERTIES CROSSCOMPILING_EMULATOR "${RANKEXEC_TEST_HARNESS};${TEST_HARNESS};--")
  if(NOT TEST_PARTS)
    set(TEST_PARTS "*=")
  endif()
  set(number 0)
  set(taken)
  foreach(part IN LISTS TEST_PARTS)
    string(REGEX MATCH "^([^=]*)=(.*)$" matched "${part}")
    set(filter "${CMAKE_MATCH_1}")
    string(REPLACE "," ";" labels "${CMAKE_MATCH_2}")
    list(APPEND labels ${TEST_LABELS})
    set(list ${target}_${number})
    gtest_discover_tests(
      ${target}
      TEST_PREFIX "${prefix}"
      TEST_FILTER "${filter}"
      TEST_LIST ${list}
      DISCOVERY_TIMEOUT 60
      PROPERTIES TIMEOUT ${TEST_TIMEOUT})
    # gtest_discover_tests takes no property whose value is a list; ctest reads this file after its own.
    set(file ${CMAKE_CURRENT_BINARY_DIR}/${list}_properties.cmake)
    string(CONCAT content "if(${list})\n  set_tests_properties(\${${list}} PROPERTIES "
                  "LABELS \"${labels}\" RESOURCE_LOCK \"${TEST_LOCK}\" "
                  "ENVIRONMENT \"${RANKEXEC_TEST_ENVIRONMENT}\")\nendif()\n")
    file(WRITE ${file} "${content}")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${file})
    math(EXPR number "${number} + 1")
    list(APPEND taken "${filter}")
  endforeach()
  list(APPEND taken ${TEST_ELSEWHERE})
  if(NOT taken STREQUAL "*")
    list(JOIN taken ":" taken)
    add_test(NAME ${name}.all_registered COMMAND sh -c "! \"$0\" --gtest_list_tests --gtest_filter=\"-$1\" | grep '^  '"
                                                 $<TARGET_FILE:${target}> ${taken})
    set_tests_properties(${name}.all_registered PROPERTIES LABELS "${TEST_LABELS}")
  endif()
endfunction()

# rankexec_unit_tests(AREA LINK target... [OPTIONS of rankexec_gtest]): tests/unit/AREA/*.cpp
function(rankexec_unit_tests area)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/unit/${area}/*.cpp)
  if(sources)
    rankexec_gtest(${area} SOURCES ${sources} ${ARGN} LABELS unit)
    add_dependencies(unit_tests test_${area})
  endif()
endfunction()

# rankexec_integration_tests(AREA LINK target... [OPTIONS of rankexec_gtest]): tests/integration/AREA/*.cpp
function(rankexec_integration_tests area)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/integration/${area}/*.cpp)
  if(sources)
    rankexec_gtest(${area} SOURCES ${sources} ${ARGN})
  endif()
endfunction()

# rankexec_script_test(NAME COMMAND program argument... [LABELS label...] [HARNESS option...]
#                      [LOCK resource...] [TIMEOUT seconds]): skipped when the exit code is 77, or when a
# GoogleTest program that it runs skipped a test.
function(rankexec_script_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "COMMAND;LABELS;HARNESS;LOCK" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${RANKEXEC_TEST_HARNESS} ${TEST_HARNESS} -- ${TEST_COMMAND})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT} ENVIRONMENT "${RANKEXEC_TEST_ENVIRONMENT}"
                                           SKIP_RETURN_CODE 77 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  if(TEST_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${TEST_LABELS}")
  endif()
  if(TEST_LOCK)
    set_tests_properties(${name} PROPERTIES RESOURCE_LOCK "${TEST_LOCK}")
  endif()
endfunction()
