# SPDX-License-Identifier: Apache-2.0
# A part is one folder of sources, compiled once, position independent, with hidden visibility. The
# shared libraries and the small static programs (guardian, rank shim) are put together from parts.

# Libraries (lib/) and programs (bin/) find each other from here; a generator of several configurations gets one
# such folder for each.
set(RANKEXEC_OUTPUT_DIR ${PROJECT_BINARY_DIR})
get_property(several_configurations GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(several_configurations)
  string(APPEND RANKEXEC_OUTPUT_DIR /$<CONFIG>)
endif()

# Builds from nothing take less time; only for presets beside which another one, without it, shows that
# every file includes what it uses: `release` for what is installed, `debug` for the tests.
set(RANKEXEC_PRECOMPILED_HEADERS
    OFF
    CACHE STRING "Compile the headers that most files include only once: OFF, TESTS (for tests only) or ON")

# The code of a test need not be fast, but more than half of what is compiled is tests.
function(rankexec_cheap_optimisation target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-Og>)
endfunction()

# rankexec_precompile(TARGET KIND): KIND is part, program, or test, which have different flags and headers.
function(rankexec_precompile target kind)
  if(RANKEXEC_PRECOMPILED_HEADERS STREQUAL "TESTS")
    if(NOT kind STREQUAL "test")
      return()
    endif()
  elseif(NOT RANKEXEC_PRECOMPILED_HEADERS)
    return()
  endif()
  set(headers rankexec_precompiled_${kind})
  if(NOT TARGET ${headers})
    set(source ${PROJECT_BINARY_DIR}/${headers}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "")
    add_library(${headers} OBJECT ${source})
    rankexec_compile_settings(${headers})
    target_link_libraries(${headers} PRIVATE Threads::Threads)
    if(NOT kind STREQUAL "part")
      set_target_properties(${headers} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
      target_compile_options(${headers} PRIVATE -fPIE) # as programs have it
    endif()
    if(kind STREQUAL "test")
      rankexec_cheap_optimisation(${headers})
      target_link_libraries(${headers} PRIVATE GTest::gmock GTest::gtest)
      target_precompile_headers(${headers} PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
    endif()
    target_precompile_headers(${headers} PRIVATE <algorithm> <array> <chrono> <filesystem> <fstream> <functional> <map>
                              <memory> <mutex> <optional> <set> <span> <sstream> <string> <thread> <unordered_map>
                              <variant> <vector> <tl/expected.hpp>)
  endif()
  target_precompile_headers(${target} REUSE_FROM ${headers})
endfunction()

# rankexec_part(NAME FOLDER [FOLDERS folder...] [EXCLUDE file...] [LINK target...]): FOLDERS are further ones
function(rankexec_part name folder)
  cmake_parse_arguments(PART "" "" "ONLY;FOLDERS;EXCLUDE;LINK" ${ARGN})
  if(PART_ONLY)
    set(sources ${PART_ONLY})
    list(TRANSFORM sources PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/)
  else()
    set(sources)
    foreach(one IN ITEMS ${folder} ${PART_FOLDERS})
      file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${one}/*.cpp)
      list(APPEND sources ${found})
    endforeach()
    foreach(excluded IN LISTS PART_EXCLUDE)
      list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/${excluded})
    endforeach()
  endif()
  if(NOT sources)
    add_library(rankexec_part_${name} INTERFACE)
    return()
  endif()
  add_library(rankexec_part_${name} OBJECT ${sources})
  rankexec_compile_settings(rankexec_part_${name})
  rankexec_precompile(rankexec_part_${name} part)
  target_link_libraries(rankexec_part_${name} PRIVATE ${PART_LINK} Threads::Threads)
  # The same objects as an archive, for programs that shall load as few libraries as possible.
  add_library(rankexec_archive_${name} STATIC $<TARGET_OBJECTS:rankexec_part_${name}>)
  set_target_properties(rankexec_archive_${name} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

# Settings that never leak into a project that uses this one.
function(rankexec_compile_settings target)
  set_target_properties(
    ${target}
    PROPERTIES CXX_STANDARD 20
               CXX_STANDARD_REQUIRED ON
               CXX_EXTENSIONS OFF
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON
               POSITION_INDEPENDENT_CODE ON
               # Whatever a project around us wants: programs link only those objects of an archive that they need.
               UNITY_BUILD OFF)
  target_include_directories(${target} PRIVATE ${RANKEXEC_INCLUDE_DIR})
  target_compile_definitions(${target} PRIVATE RANKEXEC_VERSION="${PROJECT_VERSION}")
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12, when it optimises, sees overlaps in std::string's operator+ (GCC bug 105651) and
    # uninitialised alternatives in std::variant (105562) that are not there.
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-maybe-uninitialized)
    # Nobody may put functions of their own in the place of ours, so calls within a library need no table.
    target_compile_options(${target} PRIVATE -fno-semantic-interposition)
  endif()
  if(PROJECT_IS_TOP_LEVEL)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# rankexec_library(NAME PARTS part... [LINK target...] [USES library...]): librankexec_NAME, rankexec::NAME
function(rankexec_library name)
  cmake_parse_arguments(LIB "" "" "PARTS;LINK;USES" ${ARGN})
  set(objects)
  foreach(part IN LISTS LIB_PARTS)
    get_target_property(type rankexec_part_${part} TYPE)
    if(type STREQUAL "OBJECT_LIBRARY")
      list(APPEND objects $<TARGET_OBJECTS:rankexec_part_${part}>)
    endif()
  endforeach()
  add_library(rankexec_${name} SHARED ${objects})
  add_library(rankexec::${name} ALIAS rankexec_${name})
  set_target_properties(
    rankexec_${name}
    PROPERTIES EXPORT_NAME ${name}
               VERSION ${PROJECT_VERSION}
               SOVERSION ${PROJECT_VERSION_MAJOR}
               LINKER_LANGUAGE CXX
               LIBRARY_OUTPUT_DIRECTORY ${RANKEXEC_OUTPUT_DIR}/lib)
  target_link_options(rankexec_${name} PRIVATE -Wl,-Bsymbolic-functions)
  target_compile_features(rankexec_${name} INTERFACE cxx_std_20)
  target_include_directories(rankexec_${name} INTERFACE $<BUILD_INTERFACE:${RANKEXEC_INCLUDE_DIR}>
                                                        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(rankexec_${name} PRIVATE ${LIB_LINK} PUBLIC Threads::Threads)
  foreach(used IN LISTS LIB_USES)
    target_link_libraries(rankexec_${name} PUBLIC rankexec_${used})
  endforeach()
endfunction()

# rankexec_program(NAME SOURCE... LINK target... [KIND test]): an executable in bin/
function(rankexec_program name)
  cmake_parse_arguments(PROGRAM "" "KIND" "LINK" ${ARGN})
  if(NOT PROGRAM_KIND)
    set(PROGRAM_KIND program)
  endif()
  add_executable(${name} ${PROGRAM_UNPARSED_ARGUMENTS})
  rankexec_compile_settings(${name})
  if(PROGRAM_KIND STREQUAL "test")
    rankexec_cheap_optimisation(${name})
  endif()
  rankexec_precompile(${name} ${PROGRAM_KIND})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${RANKEXEC_OUTPUT_DIR}/bin)
  target_link_libraries(${name} PRIVATE ${PROGRAM_LINK} Threads::Threads)
endfunction()
