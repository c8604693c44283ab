// Runs of pages against what mmu_locate answers page after page, over random tables in every mode.
#include "rows.h"

#include <string.h>

#include "tables.h"

enum {
    NUM_PAGES = 48, // of memory, all of them tables
    PAGE = 4096,
    NUM_TABLES = 60, // different ones per mode
    NUM_ASKED = 100, // runs in each of them
};

struct world {
    uint8_t memory[NUM_PAGES * PAGE];
    struct mmu_registers registers;
    uint32_t seed;
    // What was met, to know that the test meets it.
    size_t num_faults[MMU_FAULT_PROTECTION_KEY + 1];
    size_t num_full, num_whole, num_merged, num_large;
};

static bool read_world(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    const struct world *world = context;
    if (guest_phys >= sizeof(world->memory) || len > sizeof(world->memory) - guest_phys) {
        return false;
    }
    memcpy(buffer, world->memory + guest_phys, len);
    return true;
}

static uint32_t random_below(struct world *world, uint32_t limit)
{
    world->seed = world->seed * 1664525U + 1013904223U;
    return (world->seed >> 8) % limit;
}

// Mostly leads to another page of memory, now and then to the page behind that of the entry before;
// seldom is anything wrong with it.
static uint64_t random_entry(struct world *world, uint64_t before)
{
    uint64_t frame =
        random_below(world, 4) == 0 ? (before >> 12) + 1 : random_below(world, NUM_PAGES);
    uint64_t entry = (frame % (NUM_PAGES + 1)) << 12 | P | RW | US;
    switch (random_below(world, 64)) {
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
        uint64_t entry = (1 + random_below(world, NUM_PAGES - 1)) * UINT64_C(0x1000);
        world->memory[world->registers.cr3 + 8 * i] = random_below(world, 8) != 0;
        for (size_t k = 1; k < 8; k++) {
            world->memory[world->registers.cr3 + 8 * i + k] = (uint8_t)(entry >> (8 * k));
        }
    }
}

static uint64_t random_linear(struct world *world, enum mmu_mode mode)
{
    uint64_t linear = (uint64_t)random_below(world, 1U << 24) << 40 ^
                      (uint64_t)random_below(world, 1U << 24) << 20 ^ random_below(world, 1U << 24);
    unsigned bits = mmu_linear_bits(mode);
    uint64_t space = bits == 32 ? UINT32_MAX : (UINT64_C(1) << (bits - 1)) - 1;
    bool upper = bits != 32 && random_below(world, 2) != 0;
    linear &= space;
    switch (random_below(world, 4)) {
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

// Each byte of the runs lies where mmu_locate finds it.
static void check_bytes(const struct world *world, const struct mmu_memory *memory, uint64_t linear,
                        const struct mmu_runs *runs)
{
    uint64_t done = 0;
    for (size_t i = 0; i < runs->num_runs; i++) {
        uint64_t end = done + runs->run[i].len;
        uint64_t guest_phys = runs->run[i].guest_phys;
        assert_true(i == 0 || guest_phys != runs->run[i - 1].guest_phys + runs->run[i - 1].len);
        while (done < end) {
            struct mmu_walk walk;
            assert_true(mmu_locate(&world->registers, memory, linear + done, &walk));
            assert_int_equal(walk.guest_phys, guest_phys);
            uint64_t step = walk.contiguous < end - done ? walk.contiguous : end - done;
            done += step;
            guest_phys += step;
        }
    }
    assert_int_equal(done, runs->len);
}

static void check_runs(struct world *world, uint64_t linear, uint64_t len)
{
    struct mmu_memory memory = {read_world, world};
    struct mmu_runs runs;
    struct mmu_walk walk;

    enum mmu_fault fault = mmu_locate_runs(&world->registers, &memory, linear, len, &runs);

    check_bytes(world, &memory, linear, &runs);
    assert_true(runs.len <= len && runs.num_runs <= MMU_MAX_RUNS);
    if (fault != MMU_FAULT_NONE) {
        mmu_locate(&world->registers, &memory, linear + runs.len, &walk);
        assert_int_equal(fault, walk.fault);
    } else if (runs.len < len) {
        assert_true(runs.num_runs == MMU_MAX_RUNS || linear + runs.len == 0);
    }
    world->num_faults[fault]++;
    world->num_full += fault == MMU_FAULT_NONE && runs.num_runs == MMU_MAX_RUNS;
    world->num_whole += runs.len == len;
    for (size_t i = 0; i < runs.num_runs; i++) {
        world->num_merged += runs.run[i].len > PAGE;
        world->num_large += runs.run[i].len > 32 * PAGE;
    }
}

struct mode_row {
    const char *name;
    enum mmu_mode mode;
    enum mmu_fault beyond; // what lies behind the space
};

static struct mode_row rows[] = {
    {"no paging", MMU_MODE_NONE, MMU_FAULT_BEYOND_4GIB},
    {"32-bit", MMU_MODE_32BIT, MMU_FAULT_BEYOND_4GIB},
    {"PAE", MMU_MODE_PAE, MMU_FAULT_BEYOND_4GIB},
    {"4-level", MMU_MODE_4LEVEL, MMU_FAULT_NON_CANONICAL},
    {"5-level", MMU_MODE_5LEVEL, MMU_FAULT_NON_CANONICAL},
};

static void check_tables(struct world *world, enum mmu_mode mode)
{
    struct path path = {.mode = mode};
    world->registers = path_registers(&path);
    world->registers.cr3 = 0x1000;
    world->registers.efer &= random_below(world, 4) != 0 ? ~UINT64_C(0) : ~MMU_EFER_NXE;
    world->registers.cr4 &= random_below(world, 4) != 0 ? ~UINT64_C(0) : ~MMU_CR4_PSE;
    fill(world, mode == MMU_MODE_32BIT ? 4 : 8);
    if (mode == MMU_MODE_PAE) {
        fill_pdptes(world);
    }
    for (size_t i = 0; i < NUM_ASKED; i++) {
        uint64_t linear = random_linear(world, mode);
        check_runs(world, linear,
                   1 + random_below(world, random_below(world, 4) ? 0x20000 : 0x800000));
    }
}

static void check_mode(void **state)
{
    const struct mode_row *row = *state;
    static struct world world;
    memset(&world, 0, sizeof(world));
    world.seed = 20;
    for (size_t i = 0; i < NUM_TABLES; i++) {
        check_tables(&world, row->mode);
    }
    assert_true(world.num_whole > 50 && world.num_faults[row->beyond] > 50);
    if (row->mode != MMU_MODE_NONE) {
        assert_true(world.num_merged > 50 && world.num_large > 5);
        assert_true(world.num_full > 50 && world.num_faults[MMU_FAULT_NOT_PRESENT] > 50);
        assert_true(world.num_faults[MMU_FAULT_UNREADABLE] > 5);
    }
    if (row->mode >= MMU_MODE_PAE) {
        assert_true(world.num_faults[MMU_FAULT_RESERVED_BIT] > 50);
    }
}

static void runs_end_at_2_to_64_and_where_no_mode_is(void **state)
{
    (void)state;
    struct path path = {.mode = MMU_MODE_4LEVEL, .linear = UINT64_MAX};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    struct mmu_runs runs;
    path_put(&path, &cells);

    assert_int_equal(mmu_locate_runs(&registers, &memory, UINT64_MAX - 3, 8, &runs),
                     MMU_FAULT_NONE);
    assert_int_equal(runs.len, 4);
    assert_int_equal(runs.num_runs, 1);
    assert_int_equal(runs.run[0].guest_phys, 0x9FFC);
    registers.cr4 &= ~MMU_CR4_PAE;
    assert_int_equal(mmu_locate_runs(&registers, &memory, 0, 8, &runs), MMU_FAULT_MODE);
    assert_int_equal(runs.num_runs, 0);
    assert_int_equal(mmu_locate_runs(&registers, &memory, 0, 0, &runs), MMU_FAULT_MODE);
}

// The entries of 16 pages cost five reads of memory, not 64.
static void further_pages_of_a_table_cost_no_walk(void **state)
{
    (void)state;
    struct path path = {.mode = MMU_MODE_4LEVEL, .linear = 0x1000};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    struct mmu_runs runs;
    path_put(&path, &cells);
    for (uint64_t i = 2; i < 18; i++) {
        cells_put(&cells, TABLE_PHYS(1) + 8 * i, 0x100000 - 0x1000 * i + P);
    }

    mmu_locate_runs(&registers, &memory, 0x1234, 0x20000, &runs);

    assert_int_equal(runs.num_runs, MMU_MAX_RUNS);
    assert_int_equal(runs.len, 16 * PAGE - 0x234);
    assert_int_equal(cells.num_reads, 5);
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_end_at_2_to_64_and_where_no_mode_is),
        cmocka_unit_test(further_pages_of_a_table_cost_no_walk),
    };
    RUN_ROWS(failures, "runs", rows, check_mode);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
