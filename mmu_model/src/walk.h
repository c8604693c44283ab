// The walk that mmu_locate and mmu_access share.
#ifndef MMU_MODEL_WALK_H
#define MMU_MODEL_WALK_H

#include "mmu_model/paging.h"

// Where a PAE walk finds its PDPTEs: a debugger's in memory, the CPU's in its own registers.
enum pdpte_source {
    PDPTES_FROM_MEMORY,
    PDPTES_AS_LOADED,
};

enum {
    LEVEL_PT = 1, // the others are counted on from there
    PAGE_SHIFT = 12,
};

struct geometry; // of a paging mode

// What stays the same from level to level of a walk.
struct walker {
    const struct mmu_registers *registers;
    const struct mmu_memory *memory;
    const struct geometry *geometry;
    const uint64_t *pdptes; // as loaded, or NULL
    uint64_t linear;
    uint64_t reserved;     // in every entry of this mode
    uint64_t special;      // an entry above the page table with P alone of these is a plain link
    uint64_t address_mask; // the bits of an entry that locate the next table
    uint64_t large;        // PS where it means a large page
    uint64_t index_mask;
    enum mmu_mode mode;
    unsigned phys_bits;
    unsigned levels, index_bits, entry_size;
};

// Everything that does not depend on the address. False when there is no paging mode.
bool walker_begin(const struct mmu_registers *registers, const struct mmu_memory *memory,
                  enum pdpte_source source, struct walker *out);

// As walk_tables, but without the rights that entries give.
bool walker_walk(struct walker *w, uint64_t linear, struct mmu_walk *out);

// Presence and reserved bits only; fills all of *out but error_code. Returns out->valid.
bool walk_tables(const struct mmu_registers *registers, const struct mmu_memory *memory,
                 uint64_t linear, enum pdpte_source source, struct mmu_walk *out);

#endif
