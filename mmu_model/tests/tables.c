#include "tables.h"

unsigned levels_of(enum mmu_mode mode)
{
    static const unsigned levels[] = {0, 2, 3, 4, 5};
    return levels[mode];
}

unsigned shift_of_level(enum mmu_mode mode, unsigned level)
{
    return mode == MMU_MODE_32BIT ? 2 + level * 10 : 3 + level * 9;
}

uint64_t default_linear(enum mmu_mode mode)
{
    static const uint64_t linears[] = {
        0x9A5CE678, 0x9A5CE678, 0x9A5CE678, 0x00007A5CB3D4E678, 0x009A7A5CB3D4E678,
    };
    return linears[mode];
}

uint64_t path_linear(const struct path *path)
{
    return path->linear != 0 ? path->linear : default_linear(path->mode);
}

struct mmu_registers path_registers(const struct path *path)
{
    struct mmu_registers registers = {.max_phys_bits = 46, .efer = MMU_EFER_NXE};
    registers.cr0 = MMU_CR0_PE | (path->mode != MMU_MODE_NONE ? MMU_CR0_PG : 0);
    registers.cr3 = TABLE_PHYS(levels_of(path->mode));
    registers.cr4 = path->mode >= MMU_MODE_PAE ? MMU_CR4_PAE : MMU_CR4_PSE;
    if (path->mode >= MMU_MODE_4LEVEL) {
        registers.efer |= MMU_EFER_LME | MMU_EFER_LMA;
    }
    if (path->mode == MMU_MODE_5LEVEL) {
        registers.cr4 |= MMU_CR4_LA57;
    }
    return registers;
}

// A PDPTE of PAE paging may have neither RW nor US.
static uint64_t link_to(enum mmu_mode mode, unsigned level)
{
    uint64_t next = level > 1 ? TABLE_PHYS(level - 1) : UINT64_C(0x9000);
    return mode == MMU_MODE_PAE && level == 3 ? next | P : next | P | RW | US;
}

void path_put(const struct path *path, struct cells *cells)
{
    uint64_t linear = path_linear(path);
    for (unsigned level = levels_of(path->mode); level > 0; level--) {
        unsigned size = path->mode == MMU_MODE_32BIT ? 4 : 8;
        unsigned per_table = path->mode == MMU_MODE_32BIT ? 1024 : 512;
        uint64_t index = linear >> shift_of_level(path->mode, level) & (per_table - 1);
        if (path->mode == MMU_MODE_PAE && level == 3) {
            index &= 3;
        }
        uint64_t entry = path->entry[level];
        cells_put(cells, TABLE_PHYS(level) + index * size,
                  entry != 0 ? entry : link_to(path->mode, level));
    }
}
