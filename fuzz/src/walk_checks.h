#ifndef FUZZ_WALK_CHECKS_H
#define FUZZ_WALK_CHECKS_H

#include "mmu_model/paging.h"
#include "sparse_memory.h"

// One question to the walk, and what it is asked about.
struct walk_world {
    struct mmu_registers registers;
    struct mmu_access want;
    uint64_t linear;
    uint64_t len;
    struct sparse_memory memory;
};

struct mmu_memory walk_memory(struct walk_world *world);

// mmu_locate and mmu_access, whose results agree with what they say of the walk.
bool walk_locate(struct walk_world *world, uint64_t linear, struct mmu_walk *out);
bool walk_access(struct walk_world *world, const struct mmu_access *want, struct mmu_walk *out);

// Whether both end in the same way at the same place.
bool same_place(const struct mmu_walk *a, const struct mmu_walk *b);

// Where: the entries hang together, and the whole of what an answer covers gets that answer.
void check_place(struct walk_world *world);

// May it: with less protection no allowed access is refused; the error code and the flags to set
// follow from the answer.
void check_rights(struct walk_world *world);

// Runs and reads are what page after page is.
void check_runs(struct walk_world *world);

// PDPTEs loaded as the CPU loads them lead where those in memory do.
void check_pdptes(struct walk_world *world);

// With a second stage each address of the walk, and the one it ends at, is where EPT puts it.
void check_nested(struct walk_world *world);

#endif
