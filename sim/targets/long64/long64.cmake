# Builds the target long64 from its sources, apart from the host's code and its flags, and defines
# the object library long64_image: bytes long64_tables[] and long64_image[], for target_long64.c.

find_program(PULSIM_LD ld REQUIRED)
find_program(PULSIM_OBJCOPY objcopy REQUIRED)

set(long64_source ${CMAKE_CURRENT_LIST_DIR})
set(long64_binary ${CMAKE_CURRENT_BINARY_DIR}/long64)
set(long64_elf ${long64_binary}/long64.elf)
file(MAKE_DIRECTORY ${long64_binary})

set(long64_objects)
foreach(name IN ITEMS kernel descriptors tables user)
  add_custom_command(
    OUTPUT ${long64_binary}/${name}.o
    COMMAND ${CMAKE_C_COMPILER} -m64 -c ${long64_source}/${name}.S -o ${name}.o
    DEPENDS ${long64_source}/${name}.S ${long64_source}/long64.h
    WORKING_DIRECTORY ${long64_binary}
    VERBATIM)
  list(APPEND long64_objects ${name}.o)
endforeach()
list(TRANSFORM long64_objects PREPEND ${long64_binary}/ OUTPUT_VARIABLE long64_object_files)

add_custom_command(
  OUTPUT ${long64_elf} ${long64_binary}/tables.bin ${long64_binary}/image.bin
  COMMAND ${CMAKE_C_COMPILER} -E -P -x assembler-with-cpp ${long64_source}/kernel.ld -o kernel.ld
  COMMAND ${PULSIM_LD} -T kernel.ld -o ${long64_elf} ${long64_objects}
  COMMAND ${PULSIM_OBJCOPY} -O binary -j .tables ${long64_elf} tables.bin
  COMMAND ${PULSIM_OBJCOPY} -O binary -R .tables ${long64_elf} image.bin
  DEPENDS ${long64_source}/kernel.ld ${long64_source}/long64.h ${long64_object_files}
  WORKING_DIRECTORY ${long64_binary}
  VERBATIM)

add_library(long64_image OBJECT ${long64_source}/image.S)
target_include_directories(long64_image PRIVATE ${long64_source} ${long64_binary})
set_source_files_properties(${long64_source}/image.S PROPERTIES
  OBJECT_DEPENDS "${long64_binary}/tables.bin;${long64_binary}/image.bin")
