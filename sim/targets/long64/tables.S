// The paging structures of long64, at guest-physical LONG64_TABLES.
//
// Accessed and dirty flags start clear: whoever reads the tables later sees what the CPUs have used.

#include "long64.h"

#define P  0x001 // present
#define RW 0x002 // writable
#define US 0x004 // user
#define PS 0x080 // large page
#define G  0x100 // global
#define NX 0x8000000000000000

// Software's bits in an entry that is not present: the memory manager's note, of no meaning to a CPU.
#define SWAPPED_OUT 0x5EED000

        // Entry `index` of a table; tables and indices ascend.
        .macro ENTRY table, index, value
        .org    \table - LONG64_TABLES + 8 * \index
        .quad   \value
        .endm

        // `count` entries from `index` on for pages of `size` bytes, one behind the other.
        .macro PAGES table, index, count, size, phys, flags
        .org    \table - LONG64_TABLES + 8 * \index
        .set    frame, \phys
        .rept   \count
        .quad   frame + \flags
        .set    frame, frame + \size
        .endr
        .endm

        .section .tables, "a"

        ENTRY   LONG64_CR3, 0, (LONG64_PDPT_LOW + P + RW + US)
        ENTRY   LONG64_CR3, 1, SWAPPED_OUT
        ENTRY   LONG64_CR3, 2, (LONG64_PDPT_LOW + P + RW + PS) // PS of a PML4E is reserved
        ENTRY   LONG64_CR3, 3, (LONG64_PROTECTED_PHYS + P + RW) // LONG64_HIDDEN_PML4E
        ENTRY   LONG64_CR3, 4, (LONG64_BEYOND_RAM_PHYS + P + RW) // LONG64_EMPTY_PML4E
        ENTRY   LONG64_CR3, 255, (LONG64_PDPT_EDGE + P + RW)
        ENTRY   LONG64_CR3, 256, (LONG64_PDPT_KERNEL + P + RW)
        ENTRY   LONG64_CR3, 510, (LONG64_CR3 + P + RW + NX)
        ENTRY   LONG64_CR3, 511, (LONG64_PDPT_TOP + P + RW)

        // Linear 0 to 512 GiB. PDPTEs 1 to 255: LONG64_1G_HOLE.
        ENTRY   LONG64_PDPT_LOW, 0, (LONG64_PD_LOW + P + RW + US)
        ENTRY   LONG64_PDPT_LOW, 1, SWAPPED_OUT
        ENTRY   LONG64_PDPT_LOW, 256, (0 + P + RW + PS + NX) // LONG64_1G_PAGE
        ENTRY   LONG64_PDPT_LOW, 257, (0x2000 + P + RW + PS + NX) // bit 13 is reserved
        ENTRY   LONG64_PDPT_LOW, 511, (LONG64_PD_512G + P + RW)

        // Linear 0 to 1 GiB, 2 MiB an entry.
        ENTRY   LONG64_PD_LOW, 0, (LONG64_PT_LOW + P + RW)
        ENTRY   LONG64_PD_LOW, 1, (LONG64_FREE + P + RW + PS + NX)
        ENTRY   LONG64_PD_LOW, 2, (LONG64_PT_USER + P + RW + US)
        ENTRY   LONG64_PD_LOW, 3, SWAPPED_OUT // LONG64_2M_HOLE
        ENTRY   LONG64_PD_LOW, 4, (LONG64_FREE + P + RW + PS + NX) // LONG64_2M_PAGE
        ENTRY   LONG64_PD_LOW, 5, (LONG64_FREE + 0x2000 + P + RW + PS + NX) // bit 13 is reserved
        ENTRY   LONG64_PD_LOW, 6, (LONG64_PT_RUN + P + RW + US)
        ENTRY   LONG64_PD_LOW, 511, (LONG64_FREE + P + RW + PS + NX)

        // Linear 0 to 2 MiB is guest-physical 0 to 2 MiB, but for the null page.
        PAGES   LONG64_PT_LOW, 1, 511, 0x1000, 0x1000, (P + RW + NX)

        // The user process, 0x400000 to 0x600000.
        ENTRY   LONG64_PT_USER, 0, (LONG64_USER_CODE_PHYS + P + US)
        ENTRY   LONG64_PT_USER, 1, (LONG64_USER_DATA_PHYS + P + RW + US + NX)
        PAGES   LONG64_PT_USER, 510, 2, 0x1000, LONG64_USER_STACK_PHYS, (P + RW + US + NX)

        // The run of pages with the hole, 0xC00000 on.
        ENTRY   LONG64_PT_RUN, 0, (LONG64_RUN_PHYS + P + RW + NX)
        ENTRY   LONG64_PT_RUN, 1, (LONG64_RUN_PHYS + 0x3000 + P + RW + NX)
        ENTRY   LONG64_PT_RUN, 2, (LONG64_BEFORE_PHYS + P + RW + NX)
        ENTRY   LONG64_PT_RUN, 3, SWAPPED_OUT // LONG64_HOLE
        ENTRY   LONG64_PT_RUN, 4, (LONG64_AFTER_PHYS + P + RW + NX)
        ENTRY   LONG64_PT_RUN, 5, (LONG64_RUN_PHYS + 0x2000 + P + RW + NX)
        ENTRY   LONG64_PT_RUN, 6, (LONG64_READ_ONLY_PHYS + P + NX)
        ENTRY   LONG64_PT_RUN, 7, (LONG64_RUN_PHYS + P + RW + NX) // LONG64_ALIAS
        ENTRY   LONG64_PT_RUN, 8, (LONG64_RUN_PHYS + P + RW + NX + 0x8000000000000) // bit 51 is reserved
        ENTRY   LONG64_PT_RUN, 9, (LONG64_READ_ONLY_PHYS + P + US + NX)
        ENTRY   LONG64_PT_RUN, 10, (LONG64_BEYOND_RAM_PHYS + P + RW + NX)
        ENTRY   LONG64_PT_RUN, 11, (LONG64_PROTECTED_PHYS + P + RW + NX)

        // The last GiB before LONG64_512G_HOLE.
        ENTRY   LONG64_PD_512G, 511, (LONG64_FREE + P + RW + PS + NX)

        // The last page of the lower half.
        ENTRY   LONG64_PDPT_EDGE, 511, (LONG64_PD_EDGE + P + RW)
        ENTRY   LONG64_PD_EDGE, 511, (LONG64_PT_EDGE + P + RW)
        ENTRY   LONG64_PT_EDGE, 511, (LONG64_LOWER_EDGE_PHYS + P + RW + NX)

        // The kernel's half: all of RAM from LONG64_KERNEL on.
        ENTRY   LONG64_PDPT_KERNEL, 0, (LONG64_PD_KERNEL + P + RW)
        ENTRY   LONG64_PD_KERNEL, 0, (LONG64_PT_KERNEL + P + RW)
        PAGES   LONG64_PD_KERNEL, 1, 7, 0x200000, 0x200000, (P + RW + PS + G + NX)

        // Its first 2 MiB page by page. Page 0 is LONG64_HIGHER_EDGE; code can be executed, constants
        // cannot be written, and each CPU's stacks begin with a page that is not there.
        ENTRY   LONG64_PT_KERNEL, 0, (LONG64_HIGHER_EDGE_PHYS + P + RW + G + NX)
        PAGES   LONG64_PT_KERNEL, 0x001, 255, 0x1000, 0x1000, (P + RW + G + NX)
        PAGES   LONG64_PT_KERNEL, 0x100, 3, 0x1000, LONG64_IMAGE, (P + G)
        ENTRY   LONG64_PT_KERNEL, 0x103, (0x103000 + P + G + NX)
        PAGES   LONG64_PT_KERNEL, 0x104, 28, 0x1000, 0x104000, (P + RW + G + NX)
        .irp    stack, 0x120, 0x124, 0x128, 0x12C
        PAGES   LONG64_PT_KERNEL, (\stack + 1), 3, 0x1000, (0x1000 * (\stack + 1)), (P + RW + G + NX)
        .endr
        PAGES   LONG64_PT_KERNEL, 0x130, 208, 0x1000, 0x130000, (P + RW + G + NX)

        // The last page of all.
        ENTRY   LONG64_PDPT_TOP, 511, (LONG64_PD_TOP + P + RW)
        ENTRY   LONG64_PD_TOP, 511, (LONG64_PT_TOP + P + RW)
        ENTRY   LONG64_PT_TOP, 511, (LONG64_TOP_PAGE_PHYS + P + RW + NX)

        .org    LONG64_TABLES_SIZE
        .section .note.GNU-stack, "", @progbits
