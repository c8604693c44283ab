// One path of page tables, from any root down to one page.
#ifndef MMU_MODEL_TESTS_TABLES_H
#define MMU_MODEL_TESTS_TABLES_H

#include "cells.h"

enum {
    MAX_LEVEL = 5, // the table of level n lies at TABLE_PHYS(n)
};

#define TABLE_PHYS(level) (UINT64_C(0x1000) * (level))

// Modes of paging, as rows write them.
#define M32  MMU_MODE_32BIT
#define MPAE MMU_MODE_PAE
#define M4   MMU_MODE_4LEVEL
#define M5   MMU_MODE_5LEVEL

// Bits of entries, as rows write them.
#define P      UINT64_C(0x001)
#define RW     UINT64_C(0x002)
#define US     UINT64_C(0x004)
#define A      UINT64_C(0x020)
#define D      UINT64_C(0x040)
#define PS     UINT64_C(0x080)
#define G      UINT64_C(0x100)
#define NX     UINT64_C(0x8000000000000000)
#define BIT(n) (UINT64_C(1) << (n))
#define ABSENT RW // any entry without P; not zero, which means "not mentioned" in rows

// entry[level] is the entry used at that level; 0 stands for a present link to the next table.
struct path {
    enum mmu_mode mode;
    uint64_t linear; // 0: default_linear(mode)
    uint64_t entry[MAX_LEVEL + 1];
};

unsigned levels_of(enum mmu_mode mode);
unsigned shift_of_level(enum mmu_mode mode, unsigned level);
uint64_t default_linear(enum mmu_mode mode);

// The registers that put the CPU into this mode, with the path's root, NXE on and 46 bits of
// physical address.
struct mmu_registers path_registers(const struct path *path);

// Puts the path's entries into cells.
void path_put(const struct path *path, struct cells *cells);

uint64_t path_linear(const struct path *path);

#endif
