// What the targets of modes/ execute: each counts in its data, calls a function, and begins again.
// They have no relocations: their addresses are offsets in the segments of their target's rows.

#define DATA     0x3000         // where the data lies for those whose segments begin at 0
#define FAR_DATA 0x800000000800 // in the page of long64-la57 behind the edge of 48 bits

        .macro  PROGRAM name
        .globl  program_\name
program_\name:
        .endm

        // What follows is its size in bytes.
        .macro  END name
program_\name\()_end:
        .balign 8
        .globl  program_\name\()_len
program_\name\()_len:
        .quad   program_\name\()_end - program_\name
        .endm

        .section .rodata, "a"

        // 16-bit segments: the counter has 16 bits and lies at DS:0.
        .code16
        PROGRAM count_16
1:      call    2f
        jmp     1b
2:      incw    0
        ret
        END     count_16

        // 32-bit segments, the counter at DS:0.
        .code32
        PROGRAM count_32
1:      call    2f
        jmp     1b
2:      incl    0
        ret
        END     count_32

        PROGRAM count_32_flat
1:      call    2f
        jmp     1b
2:      incl    DATA
        ret
        END     count_32_flat

        // 64-bit mode: a counter for each CPU, whose number is in RDI, and another one where only
        // 57 bits lead to.
        .code64
        PROGRAM count_64
        movabs  $FAR_DATA, %rbx
1:      call    2f
        incq    (%rbx, %rdi, 8)
        jmp     1b
2:      incq    DATA(, %rdi, 8)
        ret
        END     count_64

        .section .note.GNU-stack, "", @progbits
