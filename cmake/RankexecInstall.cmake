# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where. A part that is not built is not installed.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/rankexec)
set(private_program_dir ${CMAKE_INSTALL_LIBEXECDIR}/rankexec)

# --- headers: those that an application includes, and what these include -------------------------
set(public_headers
    core/component/component.hpp
    core/component/component_registry.hpp
    core/component/component_spec.hpp
    core/component/configuration_error.hpp
    core/component/engine.hpp
    core/component/executor.hpp
    core/executor/group_lifecycle.hpp
    core/executor/group_options.hpp
    core/executor/multi_process_executor.hpp
    core/executor/outside/group_program_launcher.hpp
    core/executor/outside/launcher.hpp
    core/executor/outside/launcher_executor.hpp
    core/executor/outside/rank_group_launcher.hpp
    core/executor/outside/subprocess_launcher.hpp
    core/executor/outside/task_exchange_options.hpp
    core/executor/outside/task_exchanger.hpp
    core/executor/rank_group.hpp
    core/launch/rank_launcher.hpp
    core/model/context.hpp
    core/model/event_type.hpp
    core/model/export.hpp
    core/model/failure.hpp
    core/model/name_map.hpp
    core/model/return_code.hpp
    core/model/shareable.hpp
    core/model/signal.hpp
    core/model/tensor.hpp
    core/model/tensor_buffer.hpp
    core/model/value.hpp
    core/system/event_loop.hpp
    core/system/unique_fd.hpp
    ipc/pipe/file_pipe.hpp
    ipc/pipe/message_file.hpp
    ipc/pipe/pipe.hpp
    ipc/pipe/pipe_codec.hpp
    ipc/pipe/pipe_folders.hpp
    ipc/pipe/pipe_handler_options.hpp
    ipc/pipe/pipe_message.hpp
    ipc/pipe/wait_room.hpp
    ipc/pipe/zeromq_pipe.hpp
    ipc/wire/codec.hpp
    ipc/wire/limits.hpp
    ipc/wire/messages.hpp
    worker/agent/agent.hpp
    worker/worker.hpp)
foreach(header IN LISTS public_headers)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/rankexec/${folder})
endforeach()

# --- libraries and programs, which find each other wherever the prefix is moved ------------------
# rankexec_run_path(TARGET DIRECTORY): where a target installed in DIRECTORY looks for our libraries
function(rankexec_run_path target directory)
  file(RELATIVE_PATH to_libraries /prefix/${directory} /prefix/${CMAKE_INSTALL_LIBDIR})
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/${to_libraries}")
endfunction()

foreach(library IN ITEMS base core worker agent job)
  if(NOT TARGET rankexec_${library})
    continue()
  endif()
  # In the build tree the same: CMake would otherwise pad an empty path with colons, each of which means the current
  # directory.
  set_target_properties(rankexec_${library} PROPERTIES INSTALL_RPATH "$ORIGIN" BUILD_WITH_INSTALL_RPATH ON)
  install(TARGETS rankexec_${library} EXPORT rankexec DESTINATION ${CMAKE_INSTALL_LIBDIR})
endforeach()
foreach(program IN ITEMS rankexec rankexec-worker rankexec-bench-worker)
  if(TARGET ${program})
    rankexec_run_path(${program} ${CMAKE_INSTALL_BINDIR})
    install(TARGETS ${program} DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
foreach(program IN ITEMS rankexec-guardian rankexec-rank)
  if(TARGET ${program})
    rankexec_run_path(${program} ${private_program_dir})
    install(TARGETS ${program} DESTINATION ${private_program_dir})
  endif()
endforeach()

# --- find_package(rankexec CONFIG) ---------------------------------------------------------------
install(EXPORT rankexec NAMESPACE rankexec:: FILE rankexec-targets.cmake DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/rankexec-config.cmake.in
                              ${PROJECT_BINARY_DIR}/rankexec-config.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/rankexec-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/rankexec-config.cmake ${PROJECT_BINARY_DIR}/rankexec-config-version.cmake
        DESTINATION ${package_dir})

# --- pkg-config ----------------------------------------------------------------------------------
# rankexec_pkg_config(NAME DESCRIPTION REQUIRES): rankexec-NAME.pc, whose prefix follows the file
function(rankexec_pkg_config name description requires)
  file(RELATIVE_PATH pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
  set(pc_name ${name})
  set(pc_description ${description})
  set(pc_requires ${requires})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/rankexec.pc.in ${PROJECT_BINARY_DIR}/rankexec-${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/rankexec-${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
rankexec_pkg_config(base "Values, contexts, components: what applications and workers share" "")
rankexec_pkg_config(core "Drives a group of rank processes from one process" "rankexec-base = ${PROJECT_VERSION}")
rankexec_pkg_config(worker "The runtime of a rank's worker program" "rankexec-base = ${PROJECT_VERSION}")
rankexec_pkg_config(agent "For programs that work for an executor without being its ranks" "rankexec-base = ${PROJECT_VERSION}")

# --- documents -----------------------------------------------------------------------------------
foreach(document IN ITEMS README.md ARCHITECTURE.md CHANGELOG.md SECURITY.md LICENSE ipc/wire/PROTOCOL.md ipc/pipe/PROTOCOL.md docs)
  if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/${document})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${document} DESTINATION ${CMAKE_INSTALL_DOCDIR})
  elseif(EXISTS ${PROJECT_SOURCE_DIR}/${document})
    cmake_path(GET document PARENT_PATH folder)
    install(FILES ${PROJECT_SOURCE_DIR}/${document} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${folder})
  endif()
endforeach()
