// GDT, task-state segments and IDT of long64.

#include "long64.h"

        // A task-state segment's descriptor, busy. SDM 3A, "TSS Descriptor in 64-bit mode".
        .macro TSS_DESCRIPTOR cpu
        .quad   LONG64_TSS_LIMIT + ((LONG64_TSS(\cpu) & 0xFFFFFF) << 16) + (0x8B << 40) \
                + ((LONG64_TSS(\cpu) >> 24 & 0xFF) << 56)
        .quad   LONG64_TSS(\cpu) >> 32 & 0xFFFFFFFF
        .endm

        // A task-state segment: stacks, and no I/O permission bitmap.
        .macro TSS cpu
        .org    LONG64_TSS(\cpu) - LONG64_GDT + 4
        .quad   LONG64_STACK_INTERRUPT(\cpu)
        .org    LONG64_TSS(\cpu) - LONG64_GDT + 0x24
        .quad   LONG64_STACK_FAULT(\cpu)
        .org    LONG64_TSS(\cpu) - LONG64_GDT + 0x66
        .word   LONG64_TSS_LIMIT + 1
        .endm

        .section .gdt, "a"
        .quad   0
        .quad   0x00AF9B000000FFFF // 0x08 kernel code, 64-bit
        .quad   0x00CF93000000FFFF // 0x10 kernel data
        .quad   0x00CFFB000000FFFF // 0x18 user code, 32-bit (compatibility mode)
        .quad   0x00CFF3000000FFFF // 0x20 user data
        .quad   0x00AFFB000000FFFF // 0x28 user code, 64-bit
        .quad   0x00CFF3000000FFFF // 0x30 FS
        .quad   0x00CFF3000000FFFF // 0x38 GS
        .quad   0x00CF13000000FFFF // 0x40 data, not present
        .quad   0
        TSS_DESCRIPTOR 0
        TSS_DESCRIPTOR 1
        TSS_DESCRIPTOR 2
        TSS_DESCRIPTOR 3
        TSS     0
        TSS     1
        TSS     2
        TSS     3
        .org    0x1000

        // An interrupt gate to the vector's stub. SDM 3A, "64-Bit Mode IDT".
        .macro GATE vector, dpl, stack
        .quad   ((LONG64_VECTORS + 16 * \vector) & 0xFFFF) + (LONG64_KERNEL_CS << 16) \
                + (\stack << 32) + ((0x8E + (\dpl << 5)) << 40) \
                + (((LONG64_VECTORS + 16 * \vector) >> 16 & 0xFFFF) << 48)
        .quad   (LONG64_VECTORS + 16 * \vector) >> 32 & 0xFFFFFFFF
        .endm

        .macro GATES first, count
        .set    vector, \first
        .rept   \count
        GATE    vector, 0, 0
        .set    vector, vector + 1
        .endr
        .endm

        .section .idt, "a"
        GATES   0, 2
        GATE    2, 0, 1 // NMI
        GATE    3, 3, 0 // breakpoint
        GATE    4, 3, 0 // overflow
        GATES   5, 3
        GATE    8, 0, 1 // double fault
        GATES   9, 119
        GATE    LONG64_CALL_VECTOR, 3, 0
        GATES   129, 127

        .section .note.GNU-stack, "", @progbits
