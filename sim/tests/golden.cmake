# Compares what a command prints with a golden file, or rewrites that:
# cmake -D COMMAND="PROGRAM;ARGUMENT..." -D GOLDEN=FILE [-D REBASE=ON] -P golden.cmake
if(REBASE)
  execute_process(COMMAND ${COMMAND} OUTPUT_FILE ${GOLDEN} COMMAND_ERROR_IS_FATAL ANY)
  return()
endif()
execute_process(COMMAND ${COMMAND} OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
file(READ ${GOLDEN} golden)
if(NOT printed STREQUAL golden)
  message(FATAL_ERROR "not as ${GOLDEN} (./dev rebase rewrites it):\n${printed}")
endif()
