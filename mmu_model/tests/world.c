#include "world.h"

#include <string.h>

#include "tables.h"

enum { ROOT = 0x1000 };

static bool read_world(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    const struct world *world = context;
    if (guest_phys >= sizeof(world->memory) || len > sizeof(world->memory) - guest_phys) {
        return false;
    }
    memcpy(buffer, world->memory + guest_phys, len);
    return true;
}

uint32_t world_random_below(struct world *world, uint32_t limit)
{
    world->seed = world->seed * 1664525U + 1013904223U;
    return (world->seed >> 8) % limit;
}

// Mostly leads to another page of memory, now and then to the page behind that of the entry before;
// seldom is anything wrong with it.
static uint64_t random_entry(struct world *world, uint64_t before)
{
    uint64_t frame = world_random_below(world, 4) == 0 ? (before >> 12) + 1
                                                       : world_random_below(world, WORLD_NUM_PAGES);
    uint64_t entry = (frame % (WORLD_NUM_PAGES + 1)) << 12 | P | RW | US;
    switch (world_random_below(world, 64)) {
    case 0:
        return entry & ~P;
    case 1:
        return entry | BIT(46); // reserved, where entries have it
    case 2:
        return entry | NX;
    case 3:
        return entry | G;
    case 4:
    case 5:
        return (entry & 0xFFF) | BIT(30) | PS; // a large page, or PAT
    default:
        return entry;
    }
}

static void fill(struct world *world, unsigned entry_size)
{
    uint64_t entry = 0;
    for (size_t at = 0; at < sizeof(world->memory); at += entry_size) {
        entry = random_entry(world, entry);
        for (unsigned i = 0; i < entry_size; i++) {
            world->memory[at + i] = (uint8_t)(entry >> (8 * i));
        }
    }
}

// PDPTEs that may have neither RW nor US, one of them not present now and then.
static void fill_pdptes(struct world *world)
{
    for (size_t i = 0; i < 4; i++) {
        uint64_t entry = (1 + world_random_below(world, WORLD_NUM_PAGES - 1)) * UINT64_C(0x1000);
        world->memory[world->registers.cr3 + 8 * i] = world_random_below(world, 8) != 0;
        for (size_t k = 1; k < 8; k++) {
            world->memory[world->registers.cr3 + 8 * i + k] = (uint8_t)(entry >> (8 * k));
        }
    }
}

uint64_t world_random_linear(struct world *world, enum mmu_mode mode)
{
    uint64_t linear = (uint64_t)world_random_below(world, 1U << 24) << 40 ^
                      (uint64_t)world_random_below(world, 1U << 24) << 20 ^
                      world_random_below(world, 1U << 24);
    unsigned bits = mmu_linear_bits(mode);
    uint64_t space = bits == 32 ? UINT32_MAX : (UINT64_C(1) << (bits - 1)) - 1;
    bool upper = bits != 32 && world_random_below(world, 2) != 0;
    linear &= space;
    switch (world_random_below(world, 4)) {
    case 0:
        linear |= 0x1FC000; // the end of a page table
        break;
    case 1:
        linear |= space & ~UINT64_C(0x3FFF); // the end of the space, or of its lower half
        break;
    default:
        break;
    }
    return upper ? linear | ~space : linear;
}

struct mmu_memory world_memory(struct world *world)
{
    return (struct mmu_memory){.read = read_world, .context = world};
}

void world_fill(struct world *world, enum mmu_mode mode)
{
    struct path path = {.mode = mode};
    world->registers = path_registers(&path);
    world->registers.cr3 = ROOT;
    world->registers.efer &= world_random_below(world, 4) != 0 ? ~UINT64_C(0) : ~MMU_EFER_NXE;
    world->registers.cr4 &= world_random_below(world, 4) != 0 ? ~UINT64_C(0) : ~MMU_CR4_PSE;
    fill(world, mode == MMU_MODE_32BIT ? 4 : 8);
    if (mode == MMU_MODE_PAE) {
        fill_pdptes(world);
    }
}
