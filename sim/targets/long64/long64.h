// Where things are in the target long64: fixed for ever, so that tests, demonstrations and people
// can name them. README.md explains them page by page. The kernel's sources, its linker script and
// C include this file.
#ifndef LONG64_H
#define LONG64_H

#ifdef __ASSEMBLER__
#define LONG64_VALUE(number) number
#else
#include <stdint.h>
#define LONG64_VALUE(number) UINT64_C(number)
#endif

#define LONG64_NUM_CPUS 4
#define LONG64_RAM_SIZE LONG64_VALUE(0x1000000)

// Guest-physical: 2 MiB of RAM that the kernel never touches.
#define LONG64_FREE      LONG64_VALUE(0x200000)
#define LONG64_FREE_SIZE LONG64_VALUE(0x200000)

// Guest-physical: the paging structures, all within LONG64_TABLES.
#define LONG64_TABLES      LONG64_VALUE(0x1000)
#define LONG64_TABLES_SIZE LONG64_VALUE(0x10000)
#define LONG64_CR3         LONG64_VALUE(0x1000)
#define LONG64_PDPT_LOW    LONG64_VALUE(0x2000)
#define LONG64_PD_LOW      LONG64_VALUE(0x3000)
#define LONG64_PT_LOW      LONG64_VALUE(0x4000)
#define LONG64_PT_USER     LONG64_VALUE(0x5000)
#define LONG64_PT_RUN      LONG64_VALUE(0x6000)
#define LONG64_PD_512G     LONG64_VALUE(0x7000)
#define LONG64_PDPT_EDGE   LONG64_VALUE(0x8000)
#define LONG64_PD_EDGE     LONG64_VALUE(0x9000)
#define LONG64_PT_EDGE     LONG64_VALUE(0xA000)
#define LONG64_PDPT_KERNEL LONG64_VALUE(0xB000)
#define LONG64_PD_KERNEL   LONG64_VALUE(0xC000)
#define LONG64_PT_KERNEL   LONG64_VALUE(0xD000)
#define LONG64_PDPT_TOP    LONG64_VALUE(0xE000)
#define LONG64_PD_TOP      LONG64_VALUE(0xF000)
#define LONG64_PT_TOP      LONG64_VALUE(0x10000)

// Guest-physical: the kernel's image.
#define LONG64_IMAGE            LONG64_VALUE(0x100000)
#define LONG64_IMAGE_SIZE       LONG64_VALUE(0x19000)
#define LONG64_BREAK_ME_PHYS    LONG64_VALUE(0x102000)
#define LONG64_USER_CODE_PHYS   LONG64_VALUE(0x10C000)
#define LONG64_USER_DATA_PHYS   LONG64_VALUE(0x10D000)
#define LONG64_USER_STACK_PHYS  LONG64_VALUE(0x10E000)
#define LONG64_RUN_PHYS         LONG64_VALUE(0x110000)
#define LONG64_LOWER_EDGE_PHYS  LONG64_VALUE(0x116000)
#define LONG64_HIGHER_EDGE_PHYS LONG64_VALUE(0x117000)
#define LONG64_TOP_PAGE_PHYS    LONG64_VALUE(0x118000)

// The kernel, in the higher half: linear = LONG64_KERNEL + guest-physical, for all of RAM.
#define LONG64_KERNEL       LONG64_VALUE(0xFFFF800000000000)
#define LONG64_VECTORS      LONG64_VALUE(0xFFFF800000100000) // 16 bytes of code per vector
#define LONG64_ENTRY        LONG64_VALUE(0xFFFF800000101000) // first instruction of every CPU
#define LONG64_SYSCALL      LONG64_VALUE(0xFFFF800000101800) // where LSTAR leads
#define LONG64_BREAK_ME     LONG64_VALUE(0xFFFF800000102000) // called once per turn of CPU 0's loop
#define LONG64_CONSTANTS    LONG64_VALUE(0xFFFF800000103000)
#define LONG64_GDT          LONG64_VALUE(0xFFFF800000104000)
#define LONG64_IDT          LONG64_VALUE(0xFFFF800000105000)
#define LONG64_SHARED_TICKS LONG64_VALUE(0xFFFF800000106000) // timer interrupts of all CPUs
#define LONG64_LAST_TURN    LONG64_VALUE(0xFFFF800000106008) // the argument of the last break_me
#define LONG64_PERCPU       LONG64_VALUE(0xFFFF800000108000)
#define LONG64_STACKS       LONG64_VALUE(0xFFFF800000120000)

// One page per CPU, where its GS base points while it is in the kernel. Members, 8 bytes each:
#define LONG64_PERCPU_PAGE(cpu)    (LONG64_PERCPU + LONG64_VALUE(0x1000) * (cpu))
#define LONG64_PERCPU_NUMBER       0x00 // which CPU
#define LONG64_PERCPU_TICKS        0x08 // timer interrupts
#define LONG64_PERCPU_TURNS        0x10 // turns of its loop
#define LONG64_PERCPU_MESSAGES     0x18 // interrupts sent by another CPU
#define LONG64_PERCPU_INTERRUPTS   0x20 // interrupts and exceptions of every kind
#define LONG64_PERCPU_SYSCALLS     0x28 // system calls by SYSCALL
#define LONG64_PERCPU_INT80        0x30 // system calls by INT 0x80
#define LONG64_PERCPU_USER_RUNS    0x38 // starts of the user process
#define LONG64_PERCPU_FAULTS       0x40 // exceptions; the last one's details follow
#define LONG64_PERCPU_FAULT_VECTOR 0x48
#define LONG64_PERCPU_FAULT_ERROR  0x50
#define LONG64_PERCPU_FAULT_RIP    0x58
#define LONG64_PERCPU_FAULT_CR2    0x60
#define LONG64_PERCPU_KERNEL_RSP   0x80 // stack of system calls
#define LONG64_PERCPU_USER_RSP     0x88 // the user's, during one
#define LONG64_PERCPU_RESUME_RSP   0x90 // the loop's, while the user process runs

// Four pages of stack per CPU: a guard that is not mapped, then three stacks of a page, by their
// tops.
#define LONG64_STACK_GUARD(cpu)     (LONG64_STACKS + LONG64_VALUE(0x4000) * (cpu))
#define LONG64_STACK_FAULT(cpu)     (LONG64_STACK_GUARD(cpu) + 0x2000) // IST1: double faults, NMI
#define LONG64_STACK_INTERRUPT(cpu) (LONG64_STACK_GUARD(cpu) + 0x3000) // RSP0, and system calls
#define LONG64_STACK_MAIN(cpu)      (LONG64_STACK_GUARD(cpu) + 0x4000)

#define LONG64_GDT_LIMIT 0x8F
#define LONG64_IDT_LIMIT 0xFFF
#define LONG64_TSS(cpu)  (LONG64_GDT + 0x100 + LONG64_VALUE(0x80) * (cpu))
#define LONG64_TSS_LIMIT 0x67

// Selectors.
#define LONG64_KERNEL_CS 0x08
#define LONG64_KERNEL_SS 0x10
#define LONG64_COMPAT_CS 0x1B // 32-bit code of ring 3
#define LONG64_USER_SS   0x23
#define LONG64_USER_CS   0x2B
#define LONG64_FS        0x33
#define LONG64_GS        0x3B
#define LONG64_ABSENT_DS 0x40 // a data segment that is not present
#define LONG64_TR(cpu)   (0x50 + LONG64_VALUE(0x10) * (cpu))

// Interrupt vectors.
#define LONG64_TIMER_VECTOR   0x20
#define LONG64_MESSAGE_VECTOR 0x21
#define LONG64_CALL_VECTOR    0x80

// The user process of CPU 0.
#define LONG64_USER_CODE      LONG64_VALUE(0x400000)
#define LONG64_USER_DATA      LONG64_VALUE(0x401000)
#define LONG64_USER_RUNS      LONG64_VALUE(0x401000) // what it counts itself, at its start
#define LONG64_USER_TICKS     LONG64_VALUE(0x401008) // what its SYSCALL answered
#define LONG64_USER_SUCCESSOR LONG64_VALUE(0x401010) // what its INT 0x80 answered
#define LONG64_USER_ROUNDS    LONG64_VALUE(0x401018) // turns of its inner loop, all runs together
#define LONG64_USER_MESSAGE   LONG64_VALUE(0x401040)
#define LONG64_USER_GS        LONG64_VALUE(0x401800) // its GS base; there it counts once more
#define LONG64_USER_FS(cpu)                                                                        \
    (LONG64_VALUE(0x401C00) + LONG64_VALUE(0x40) * (cpu)) // FS base, in ring 0 too
#define LONG64_USER_STACK      LONG64_VALUE(0x5FE000)
#define LONG64_USER_STACK_TOP  LONG64_VALUE(0x600000)
#define LONG64_USER_ROUNDS_RUN 200

// A run of 4 KiB pages whose physical pages are in no order, with a hole of one page in it.
#define LONG64_RUN             LONG64_VALUE(0xC00000)
#define LONG64_HOLE            LONG64_VALUE(0xC03000)
#define LONG64_HOLE_SIZE       LONG64_VALUE(0x1000)
#define LONG64_BEFORE_HOLE     LONG64_VALUE(0xC02000) // the page before it ...
#define LONG64_AFTER_HOLE      LONG64_VALUE(0xC04000) // ... and after it
#define LONG64_BEFORE_PHYS     LONG64_VALUE(0x111000) // where these are
#define LONG64_AFTER_PHYS      LONG64_VALUE(0x114000)
#define LONG64_READ_ONLY       LONG64_VALUE(0xC06000)
#define LONG64_READ_ONLY_PHYS  LONG64_VALUE(0x115000)
#define LONG64_ALIAS           LONG64_VALUE(0xC07000) // the same physical page as LONG64_RUN
#define LONG64_RESERVED_PTE    LONG64_VALUE(0xC08000)
#define LONG64_USER_PAGE       LONG64_VALUE(0xC09000) // user, read-only; also LONG64_READ_ONLY_PHYS
#define LONG64_BEYOND_RAM      LONG64_VALUE(0xC0A000) // mapped to empty space
#define LONG64_BEYOND_RAM_PHYS LONG64_VALUE(0x2000000)
#define LONG64_PROTECTED       LONG64_VALUE(0xC0B000) // mapped to the hypervisor's own memory
#define LONG64_PROTECTED_PHYS  LONG64_VALUE(0xF0000000)
#define LONG64_PROTECTED_SIZE  LONG64_VALUE(0x10000)

// Bigger pages and bigger holes. Before each hole lies memory that can be written.
#define LONG64_2M_PAGE        LONG64_VALUE(0x800000)   // LONG64_FREE once more
#define LONG64_RESERVED_PDE   LONG64_VALUE(0xA00000)   // 2 MiB behind it with a reserved bit
#define LONG64_2M_HOLE        LONG64_VALUE(0x600000)   // a PDE not present, behind the user's stack
#define LONG64_1G_HOLE        LONG64_VALUE(0x40000000) // PDPTEs not present, up to LONG64_1G_PAGE
#define LONG64_1G_PAGE        LONG64_VALUE(0x4000000000) // guest-physical 0
#define LONG64_RESERVED_PDPTE LONG64_VALUE(0x4040000000) // 1 GiB behind it with a reserved bit
#define LONG64_512G_HOLE      LONG64_VALUE(0x8000000000) // a PML4E not present
#define LONG64_RESERVED_PML4E LONG64_VALUE(0x10000000000)
#define LONG64_HIDDEN_PML4E   LONG64_VALUE(0x18000000000) // its PDPT is in protected memory
#define LONG64_EMPTY_PML4E    LONG64_VALUE(0x20000000000) // its PDPT is in empty space: all ones

// The pages on both sides of the non-canonical gap, and the last page of all.
#define LONG64_LOWER_EDGE    LONG64_VALUE(0x00007FFFFFFFF000)
#define LONG64_NON_CANONICAL LONG64_VALUE(0x0000800000000000)
#define LONG64_HIGHER_EDGE   LONG64_VALUE(0xFFFF800000000000)
#define LONG64_TOP_PAGE      LONG64_VALUE(0xFFFFFFFFFFFFF000)

// PML4[510] leads to the PML4 itself: here the paging structures are memory.
#define LONG64_SELF_MAP  LONG64_VALUE(0xFFFFFF0000000000)
#define LONG64_SELF_PML4 LONG64_VALUE(0xFFFFFF7FBFDFE000)

// Timer periods in virtual nanoseconds, which are instructions. CPU 3 has no timer.
#define LONG64_TIMER_0 10000
#define LONG64_TIMER_1 50000
#define LONG64_TIMER_2 30000 // one-shot, armed again by each interrupt

// CPU 0 sends CPU 3 a message with every so many timer interrupts (a power of two).
#define LONG64_TICKS_PER_MESSAGE 8

// Control registers and MSRs at the start.
#define LONG64_CR0   LONG64_VALUE(0x80050033) // PG AM WP NE ET MP PE
#define LONG64_CR4   LONG64_VALUE(0x1026A0)   // SMEP VMXE OSXMMEXCPT OSFXSR PGE PAE
#define LONG64_EFER  LONG64_VALUE(0xD01)      // NXE LMA LME SCE
#define LONG64_STAR  LONG64_VALUE(0x001B000800000000)
#define LONG64_FMASK LONG64_VALUE(0x47700) // AC NT IOPL DF IF TF

#endif
