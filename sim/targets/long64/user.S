// The user process of long64, and the pages that only lie there to be looked at.

#include "long64.h"

        .section .user_code, "ax"
        .code64
        .globl  user_start
user_start:
        incq    LONG64_USER_RUNS
        incq    %gs:0 // at LONG64_USER_GS

        mov     $1, %eax // how many timer interrupts?
        syscall
        mov     %rax, LONG64_USER_TICKS

        mov     $2, %eax // what comes after this?
        mov     LONG64_USER_RUNS, %rdi
        int     $0x80
        mov     %rax, LONG64_USER_SUCCESSOR

        movq    %rax, %xmm1
        punpcklqdq %xmm1, %xmm1
        mov     %fs:0, %rbx // where FS points
        mov     $LONG64_USER_ROUNDS_RUN, %ecx
1:      call    user_round
        dec     %ecx
        jnz     1b

        xor     %eax, %eax // exit
        syscall
        ud2

user_round:
        push    %rbx
        incq    LONG64_USER_ROUNDS
        paddq   %xmm1, %xmm0
        pop     %rbx
        ret
        .org    0x1000

        .section .user_data, "aw"
        .org    LONG64_USER_MESSAGE - LONG64_USER_DATA
        .asciz  "Greetings from ring 3."
        .irp    cpu, 0, 1, 2, 3
        .org    LONG64_USER_FS(\cpu) - LONG64_USER_DATA
        .quad   LONG64_USER_FS(\cpu)
        .endr
        .org    0x1000
        .org    0x3000 // its stack

        // Each page says which it is, in its first and its last bytes.
        .macro PAGE offset, name
        .org    \offset
        .asciz  "\name"
        .org    \offset + 0x1000 - 16
        .ascii  "end of this page"
        .endm

        .section .pages, "aw"
        PAGE    0x0000, "run page 0"
        PAGE    0x1000, "run page 2, before the hole"
        PAGE    0x2000, "run page 5"
        PAGE    0x3000, "run page 1"
        PAGE    0x4000, "run page 4, behind the hole"
        PAGE    0x5000, "run page 6, read-only"
        PAGE    0x6000, "lower edge"
        PAGE    0x7000, "higher edge"
        PAGE    0x8000, "last page of all"

        .section .note.GNU-stack, "", @progbits
