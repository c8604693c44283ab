// Runs of pages against what mmu_locate answers page after page, over random tables in every mode.
#include "rows.h"

#include <string.h>

#include "tables.h"
#include "world.h"

enum {
    NUM_TABLES = 60, // different ones per mode
    NUM_ASKED = 100, // runs in each of them
    PAGE = WORLD_PAGE,
};

// What was met, to know that the test meets it.
struct met {
    struct world world;
    struct mmu_pde_cache cache; // kept from one question to the next
    size_t num_covered, num_stale;
    size_t num_faults[MMU_FAULT_SECOND_STAGE + 1];
    size_t num_full, num_whole, num_merged, num_large;
};

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

// What a table found before makes of the question is what a walk does.
static void check_cached(struct met *met, uint64_t linear, uint64_t len, enum mmu_fault fault,
                         const struct mmu_runs *runs)
{
    struct mmu_memory memory = world_memory(&met->world);
    struct mmu_runs cached;
    bool covered = mmu_pde_cache_covers(&met->cache, linear);
    memory.pde_cache = &met->cache;

    met->num_covered += covered && met->cache.efer == met->world.registers.efer;
    met->num_stale += covered && met->cache.efer != met->world.registers.efer;
    assert_int_equal(mmu_locate_runs(&met->world.registers, &memory, linear, len, &cached), fault);
    assert_int_equal(cached.len, runs->len);
    assert_int_equal(cached.num_runs, runs->num_runs);
    assert_memory_equal(cached.run, runs->run, runs->num_runs * sizeof(runs->run[0]));
}

static void check_runs(struct met *met, uint64_t linear, uint64_t len)
{
    struct world *world = &met->world;
    struct mmu_memory memory = world_memory(world);
    struct mmu_runs runs;
    struct mmu_walk walk;

    enum mmu_fault fault = mmu_locate_runs(&world->registers, &memory, linear, len, &runs);

    check_cached(met, linear, len, fault, &runs);
    check_bytes(world, &memory, linear, &runs);
    assert_true(runs.len <= len && runs.num_runs <= MMU_MAX_RUNS);
    if (fault != MMU_FAULT_NONE) {
        mmu_locate(&world->registers, &memory, linear + runs.len, &walk);
        assert_int_equal(fault, walk.fault);
    } else if (runs.len < len) {
        assert_true(runs.num_runs == MMU_MAX_RUNS || linear + runs.len == 0);
    }
    met->num_faults[fault]++;
    met->num_full += fault == MMU_FAULT_NONE && runs.num_runs == MMU_MAX_RUNS;
    met->num_whole += runs.len == len;
    for (size_t i = 0; i < runs.num_runs; i++) {
        met->num_merged += runs.run[i].len > PAGE;
        met->num_large += runs.run[i].len > UINT64_C(32) * PAGE;
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

static void check_mode(void **state)
{
    const struct mode_row *row = *state;
    static struct met met;
    memset(&met, 0, sizeof(met));
    met.world.seed = 20;
    uint64_t linear = 0;
    for (size_t i = 0; i < (size_t)NUM_TABLES * NUM_ASKED; i++) {
        if (i % NUM_ASKED == 0) {
            world_fill(&met.world, row->mode);
            met.cache.size = 0;
        }
        bool is_near = world_random_below(&met.world, 2) != 0;
        linear = is_near ? linear + world_random_below(&met.world, 4 * PAGE)
                         : world_random_linear(&met.world, row->mode);
        met.world.registers.efer ^= world_random_below(&met.world, 4) == 0 ? MMU_EFER_NXE : 0;
        uint32_t most = world_random_below(&met.world, 4) != 0 ? 0x20000 : 0x800000;
        check_runs(&met, linear, 1 + world_random_below(&met.world, most));
    }
    assert_true(met.num_whole > 50 && met.num_faults[row->beyond] > 50);
    if (row->mode != MMU_MODE_NONE) {
        assert_true(met.num_merged > 50 && met.num_large > 5);
        assert_true(met.num_full > 50 && met.num_faults[MMU_FAULT_NOT_PRESENT] > 50);
        assert_true(met.num_faults[MMU_FAULT_UNREADABLE] > 5);
        assert_true(met.num_covered > 500 && met.num_stale > 50);
    }
    if (row->mode >= MMU_MODE_PAE) {
        assert_true(met.num_faults[MMU_FAULT_RESERVED_BIT] > 50);
    }
}

// A machine of one path, and what is remembered and answered of it.
struct asker {
    struct cells cells;
    struct mmu_memory memory;
    struct mmu_registers registers;
    struct mmu_pde_cache cache;
    struct mmu_runs runs;
};

static void asker_open(struct asker *asker, const struct path *path)
{
    *asker = (struct asker){.registers = path_registers(path)};
    asker->memory = cells_memory(&asker->cells);
    asker->memory.pde_cache = &asker->cache;
    path_put(path, &asker->cells);
}

static enum mmu_fault ask(struct asker *asker, uint64_t linear, uint64_t len)
{
    return mmu_locate_runs(&asker->registers, &asker->memory, linear, len, &asker->runs);
}

static void runs_end_at_2_to_64_and_where_no_mode_is(void **state)
{
    (void)state;
    struct path path = {.mode = MMU_MODE_4LEVEL, .linear = UINT64_MAX};
    struct asker asker;
    asker_open(&asker, &path);

    assert_int_equal(ask(&asker, UINT64_MAX - 3, 8), MMU_FAULT_NONE);
    assert_int_equal(asker.runs.len, 4);
    assert_int_equal(asker.runs.num_runs, 1);
    assert_int_equal(asker.runs.run[0].guest_phys, 0x9FFC);
    asker.registers.cr4 &= ~MMU_CR4_PAE;
    assert_int_equal(ask(&asker, 0, 8), MMU_FAULT_MODE);
    assert_int_equal(asker.runs.num_runs, 0);
    assert_int_equal(ask(&asker, 0, 0), MMU_FAULT_MODE);
}

// The entries of 16 pages cost five reads of memory, not 64, and when the table is known, one.
static void further_pages_of_a_table_cost_no_walk(void **state)
{
    (void)state;
    struct path path = {.mode = MMU_MODE_4LEVEL, .linear = 0x1000};
    struct asker asker;
    asker_open(&asker, &path);
    for (uint64_t i = 2; i < 18; i++) {
        cells_put(&asker.cells, TABLE_PHYS(1) + 8 * i, 0x100000 - 0x1000 * i + P);
    }

    for (size_t num_reads = 5; num_reads <= 6; num_reads++) {
        ask(&asker, 0x1234, 0x20000);

        assert_int_equal(asker.runs.num_runs, MMU_MAX_RUNS);
        assert_int_equal(asker.runs.len, 16 * PAGE - 0x234);
        assert_int_equal(asker.cells.num_reads, num_reads);
    }
    ask(&asker, 0x1234, 0);
    assert_int_equal(asker.runs.num_runs, 0);
}

struct register_row {
    const char *name;
    enum mmu_mode mode;
    enum mmu_fault fault;         // afterwards
    uint64_t cr0, cr3, cr4, efer; // bits that change
    uint8_t max_phys_bits;        // instead of 46
};

// Each alone ends what was known of the page behind 0x1234, at bit 40 and with XD.
static struct register_row register_rows[] = {
    {"CR0.PG", MMU_MODE_4LEVEL, MMU_FAULT_NONE, .cr0 = MMU_CR0_PG},
    {"the root", MMU_MODE_4LEVEL, MMU_FAULT_NOT_PRESENT, .cr3 = UINT64_C(0xF000)},
    {"the root's place in its page", MMU_MODE_PAE, MMU_FAULT_NOT_PRESENT, .cr3 = 0x20},
    {"CR4.PAE", MMU_MODE_4LEVEL, MMU_FAULT_MODE, .cr4 = MMU_CR4_PAE},
    {"EFER.NXE", MMU_MODE_4LEVEL, MMU_FAULT_RESERVED_BIT, .efer = MMU_EFER_NXE},
    {"MAXPHYADDR", MMU_MODE_4LEVEL, MMU_FAULT_RESERVED_BIT, .max_phys_bits = 40},
};

static void changed_registers(void **state)
{
    const struct register_row *row = *state;
    struct path path = {.mode = row->mode, .linear = 0x1000, .entry[1] = BIT(40) | 0x9000 | P | NX};
    struct asker asker;
    asker_open(&asker, &path);

    assert_int_equal(ask(&asker, 0x1234, 8), MMU_FAULT_NONE);
    assert_int_equal(asker.runs.run[0].guest_phys, BIT(40) | 0x9234);
    asker.registers.cr0 ^= row->cr0;
    asker.registers.cr3 ^= row->cr3;
    asker.registers.cr4 ^= row->cr4;
    asker.registers.efer ^= row->efer;
    asker.registers.max_phys_bits =
        row->max_phys_bits ? row->max_phys_bits : asker.registers.max_phys_bits;
    assert_int_equal(ask(&asker, 0x1234, 8), row->fault);
    assert_true(row->fault != MMU_FAULT_NONE || asker.runs.run[0].guest_phys == 0x1234);
}

struct reads_row {
    const char *name;
    uint64_t guest_phys;
    uint64_t len;
    bool reads;
};

// Where tables.h puts the tables of a path, a page each.
static struct reads_row reads_rows[] = {
    {"the page table's first byte", TABLE_PHYS(1), 1, true},
    {"its last byte", TABLE_PHYS(1) + PAGE - 1, 1, true},
    {"the byte before it", TABLE_PHYS(1) - 1, 1, false},
    {"up to its first byte", TABLE_PHYS(1) - 8, 9, true},
    {"up to the byte before it", TABLE_PHYS(1) - 8, 8, false},
    {"the directory", TABLE_PHYS(2) + 8, 8, true},
    {"the PDPT", TABLE_PHYS(3) + 8, 8, true},
    {"the root", TABLE_PHYS(4) + 8, 8, true},
    {"the byte behind the root", TABLE_PHYS(4) + PAGE, 1, false},
    {"all of memory", 0, UINT64_MAX, true},
    {"nothing", TABLE_PHYS(1) - 8, 0, false},
};

static void cache_reads(void **state)
{
    const struct reads_row *row = *state;
    struct path path = {.mode = MMU_MODE_4LEVEL, .linear = 0x1000};
    struct asker asker;
    asker_open(&asker, &path);
    assert_false(mmu_pde_cache_reads(&asker.cache, row->guest_phys, row->len));

    ask(&asker, 0x1234, 8);

    assert_true(mmu_pde_cache_covers(&asker.cache, 0) &&
                mmu_pde_cache_covers(&asker.cache, 0x1FFFFF));
    assert_false(mmu_pde_cache_covers(&asker.cache, 0x200000));
    assert_int_equal(mmu_pde_cache_reads(&asker.cache, row->guest_phys, row->len), row->reads);
    asker.cache.size = 0;
    assert_false(mmu_pde_cache_covers(&asker.cache, 0));
    assert_false(mmu_pde_cache_reads(&asker.cache, row->guest_phys, row->len));
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_end_at_2_to_64_and_where_no_mode_is),
        cmocka_unit_test(further_pages_of_a_table_cost_no_walk),
    };
    RUN_ROWS(failures, "runs", rows, check_mode);
    RUN_ROWS(failures, "changed registers", register_rows, changed_registers);
    RUN_ROWS(failures, "what the PDE cache reads", reads_rows, cache_reads);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
