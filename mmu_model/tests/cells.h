// Guest memory as a test writes it down: a few 8-byte cells, zeros between them, and an address
// from which nothing can be read.
#ifndef MMU_MODEL_TESTS_CELLS_H
#define MMU_MODEL_TESTS_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mmu_model/paging.h"

enum { MAX_CELLS = 64 };

struct cells {
    struct {
        uint64_t guest_phys;
        uint64_t value;
    } cell[MAX_CELLS];
    size_t count;
    uint64_t unreadable_from; // 0: everything can be read
    size_t num_reads;
};

void cells_put(struct cells *cells, uint64_t guest_phys, uint64_t value);

struct mmu_memory cells_memory(struct cells *cells);

#endif
