// Ways to a place that do not begin at the root: runs of pages, page tables that are remembered,
// PDPTEs that are loaded.
#include <string.h>

#include "harness.h"
#include "walk_checks.h"

enum {
    MAX_STEPS = 64,      // pages compared in one run
    MAX_READ = 3 * 4096, // three pages
    NUM_PDPTES = 4,
    PDPTE_LEVEL = 3,
};

// All of a run lies where mmu_locate says, page after page, as far as MAX_STEPS pages.
static void check_run(struct walk_world *world, uint64_t linear, const struct mmu_run *run)
{
    struct mmu_walk walk;
    uint64_t done = 0;
    FUZZ_REQUIRE(run->len != 0);
    for (unsigned steps = 0; done < run->len && steps < MAX_STEPS; steps++) {
        FUZZ_REQUIRE(walk_locate(world, linear + done, &walk));
        FUZZ_REQUIRE(walk.guest_phys == run->guest_phys + done);
        done += walk.contiguous;
    }
    FUZZ_REQUIRE(walk_locate(world, linear + (run->len - 1), &walk));
    FUZZ_REQUIRE(walk.guest_phys == run->guest_phys + (run->len - 1));
}

// They end short of what was asked only for a reason.
static void check_runs_end(struct walk_world *world, const struct mmu_runs *runs,
                           enum mmu_fault fault)
{
    struct mmu_walk walk;
    uint64_t next = world->linear + runs->len;
    if (fault != MMU_FAULT_NONE) {
        FUZZ_REQUIRE(runs->len < world->len || fault == MMU_FAULT_MODE);
        FUZZ_REQUIRE(!walk_locate(world, next, &walk) && walk.fault == fault);
        return;
    }
    bool wraps = runs->len != 0 && next == 0;
    FUZZ_REQUIRE(runs->len == world->len || runs->num_runs == MMU_MAX_RUNS || wraps);
}

// What was read is what stands where each byte is.
static void check_read(struct walk_world *world)
{
    uint8_t bytes[MAX_READ];
    struct mmu_memory memory = walk_memory(world);
    struct mmu_walk walk;
    size_t len = (size_t)(world->len % sizeof(bytes));
    world->memory.num_refused = 0;
    size_t done = mmu_read_linear(&world->registers, &memory, world->linear, bytes, len);
    bool was_refused = world->memory.num_refused != 0;
    FUZZ_REQUIRE(done <= len);
    for (size_t i = 0; i < done; i += 1 + i / 8) {
        uint64_t byte = 0;
        FUZZ_REQUIRE(walk_locate(world, world->linear + i, &walk));
        FUZZ_REQUIRE(sparse_memory_get(&world->memory, walk.guest_phys, 1, &byte));
        FUZZ_REQUIRE(byte == bytes[i]);
    }
    bool wraps = done != 0 && world->linear + done == 0;
    FUZZ_REQUIRE(done == len || was_refused || wraps ||
                 !walk_locate(world, world->linear + done, &walk));
}

// A page table found before answers the same, from the start or from the last run on.
static void check_cached(struct walk_world *world, const struct mmu_runs *runs,
                         enum mmu_fault fault)
{
    struct mmu_pde_cache cache = {.size = 0};
    struct mmu_memory memory = walk_memory(world);
    memory.pde_cache = &cache;
    uint64_t skipped = runs->num_runs != 0 ? runs->len - runs->run[runs->num_runs - 1].len : 0;
    struct mmu_runs again;
    mmu_locate_runs(&world->registers, &memory, world->linear + skipped, world->len - skipped,
                    &again);
    FUZZ_REQUIRE(runs->num_runs == 0 ||
                 again.run[0].guest_phys == runs->run[runs->num_runs - 1].guest_phys);
    FUZZ_REQUIRE(mmu_locate_runs(&world->registers, &memory, world->linear, world->len, &again) ==
                 fault);
    FUZZ_REQUIRE(again.num_runs == runs->num_runs && again.len == runs->len);
    FUZZ_REQUIRE(memcmp(again.run, runs->run, runs->num_runs * sizeof(runs->run[0])) == 0);
}

void check_runs(struct walk_world *world)
{
    struct mmu_memory memory = walk_memory(world);
    struct mmu_runs runs;
    enum mmu_fault fault =
        mmu_locate_runs(&world->registers, &memory, world->linear, world->len, &runs);
    uint64_t done = 0;
    check_cached(world, &runs, fault);
    FUZZ_REQUIRE(runs.len <= world->len && runs.num_runs <= MMU_MAX_RUNS);
    for (size_t i = 0; i < runs.num_runs; i++) {
        const struct mmu_run *run = &runs.run[i];
        check_run(world, world->linear + done, run);
        FUZZ_REQUIRE(i == 0 || run[-1].guest_phys + run[-1].len != run->guest_phys);
        done += run->len;
    }
    FUZZ_REQUIRE(done == runs.len);
    check_runs_end(world, &runs, fault);
    check_read(world);
}

// A load that was refused: some quarter of the space does not translate for the same reason.
static void check_refused_load(struct walk_world *world)
{
    struct mmu_walk walk;
    bool bad = false;
    for (uint64_t i = 0; i < NUM_PDPTES; i++) {
        (void)walk_locate(world, i << 30, &walk);
        bool is_fault = walk.fault == MMU_FAULT_RESERVED_BIT || walk.fault == MMU_FAULT_UNREADABLE;
        bad = bad || (is_fault && walk.level == PDPTE_LEVEL) || walk.fault == MMU_FAULT_ROOT;
    }
    FUZZ_REQUIRE(bad);
}

void check_pdptes(struct walk_world *world)
{
    struct mmu_memory memory = walk_memory(world);
    struct mmu_registers saved = world->registers;
    uint64_t pdptes[NUM_PDPTES] = {1, 2, 3, 4};
    struct mmu_walk where;
    struct mmu_walk walk;
    enum mmu_mode mode;
    if (!mmu_mode_of(&world->registers, &mode) || mode != MMU_MODE_PAE) {
        return;
    }
    if (!mmu_load_pdptes(&world->registers, &memory, pdptes)) {
        for (size_t i = 0; i < NUM_PDPTES; i++) {
            FUZZ_REQUIRE(pdptes[i] == i + 1);
        }
        check_refused_load(world);
        return;
    }
    bool found = walk_locate(world, world->linear, &where);
    memcpy(world->registers.pdpte, pdptes, sizeof(pdptes));
    world->registers.pdptes_loaded = true;
    bool allowed = walk_access(world, &world->want, &walk);
    FUZZ_REQUIRE(where.fault == MMU_FAULT_ROOT || same_place(&where, &walk));
    FUZZ_REQUIRE(where.fault == MMU_FAULT_ROOT || found || !allowed);
    // With the registers loaded the memory behind CR3 does not count.
    world->registers.cr3 ^= UINT64_C(0x5000);
    struct mmu_walk moved;
    FUZZ_REQUIRE(walk_access(world, &world->want, &moved) == allowed);
    FUZZ_REQUIRE(moved.fault == walk.fault && moved.guest_phys == walk.guest_phys);
    world->registers = saved;
}
