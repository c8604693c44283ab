// The built target as bytes of the host program.

#include "long64.h"

        .section .rodata, "a"

        .balign 16
        .globl  long64_tables
        .hidden long64_tables
long64_tables:
        .incbin "tables.bin"
        .if     . - long64_tables != LONG64_TABLES_SIZE
        .error  "tables.bin has the wrong size"
        .endif

        .balign 16
        .globl  long64_image
        .hidden long64_image
long64_image:
        .incbin "image.bin"
        .if     . - long64_image != LONG64_IMAGE_SIZE
        .error  "image.bin has the wrong size"
        .endif

        .section .note.GNU-stack, "", @progbits
