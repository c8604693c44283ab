// The walk that mmu_locate and mmu_access share.
#ifndef MMU_MODEL_WALK_H
#define MMU_MODEL_WALK_H

#include "mmu_model/paging.h"

// Where a PAE walk finds its PDPTEs: a debugger's in memory, the CPU's in its own registers.
enum pdpte_source {
    PDPTES_FROM_MEMORY,
    PDPTES_AS_LOADED,
};

// Presence and reserved bits only; fills all of *out but error_code. Returns out->valid.
bool walk_tables(const struct mmu_registers *registers, const struct mmu_memory *memory,
                 uint64_t linear, enum pdpte_source source, struct mmu_walk *out);

#endif
