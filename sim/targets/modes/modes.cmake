# Builds the targets that are made of rows: a program of the host reads the rows and writes them as
# C source, ${modes_source}, which becomes part of sim.

set(modes_directory ${CMAKE_CURRENT_LIST_DIR})
set(modes_source ${CMAKE_CURRENT_BINARY_DIR}/target_modes.c)

# The rows and programs by themselves, for the program and for tests.
add_library(mode_rows STATIC
  ${modes_directory}/rows.c ${modes_directory}/programs.c ${modes_directory}/programs.S)
target_include_directories(mode_rows PUBLIC ${modes_directory}/.. src)
target_link_libraries(mode_rows PUBLIC mmu_model)

add_executable(modes
  ${modes_directory}/main.c ${modes_directory}/document.c ${modes_directory}/image.c
  ${modes_directory}/source.c)
target_link_libraries(modes PRIVATE mode_rows)
target_compile_definitions(modes PRIVATE _POSIX_C_SOURCE=200809L)

add_custom_command(
  OUTPUT ${modes_source}
  COMMAND modes source ${modes_source}
  DEPENDS modes
  VERBATIM)

if(PULSIM_TESTS)
  add_test(NAME sim_modes_documents_are_true COMMAND modes check ${modes_directory}/..)
endif()
if(NOT TARGET rebase)
  add_custom_target(rebase)
endif()
add_custom_target(modes_rebase COMMAND modes write ${modes_directory}/.. VERBATIM)
add_dependencies(rebase modes_rebase)
