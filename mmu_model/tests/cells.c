#include "cells.h"

#include <stdlib.h>

static uint8_t byte_at(const struct cells *cells, uint64_t guest_phys)
{
    for (size_t i = 0; i < cells->count; i++) {
        uint64_t offset = guest_phys - cells->cell[i].guest_phys;
        if (offset < 8) {
            return (uint8_t)(cells->cell[i].value >> (8 * offset));
        }
    }
    return 0;
}

static bool read_cells(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    struct cells *cells = context;
    uint8_t *bytes = buffer;
    if (cells->unreadable_from != 0 && guest_phys + len > cells->unreadable_from) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bytes[i] = byte_at(cells, guest_phys + i);
    }
    cells->num_reads++;
    return true;
}

void cells_put(struct cells *cells, uint64_t guest_phys, uint64_t value)
{
    if (cells->count == MAX_CELLS) {
        abort();
    }
    cells->cell[cells->count].guest_phys = guest_phys;
    cells->cell[cells->count].value = value;
    cells->count++;
}

struct mmu_memory cells_memory(struct cells *cells)
{
    return (struct mmu_memory){.read = read_cells, .context = cells};
}
