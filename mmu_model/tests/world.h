// Memory full of random tables, most entries of which lead on.
#ifndef MMU_MODEL_TESTS_WORLD_H
#define MMU_MODEL_TESTS_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "mmu_model/paging.h"

enum {
    WORLD_PAGE = 4096,
    WORLD_NUM_PAGES = 48, // all of them tables
};

struct world {
    uint8_t memory[WORLD_NUM_PAGES * WORLD_PAGE]; // from guest-physical 0 on
    struct mmu_registers registers;
    uint32_t seed;
};

uint32_t world_random_below(struct world *world, uint32_t limit);

// New tables, and registers for this mode, with NXE and PSE on or off. Now and then an entry is not
// present, has a reserved bit set, is a large page or leads out of the memory.
void world_fill(struct world *world, enum mmu_mode mode);

// A valid address of the mode; often near the end of a page table or of the space.
uint64_t world_random_linear(struct world *world, enum mmu_mode mode);

struct mmu_memory world_memory(struct world *world);

#endif
