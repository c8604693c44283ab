// Guest walks over a second stage, whose tables are made of the same words as the guest's: P, R/W
// and U/S are where EPT has read, write and execute.
#include "harness.h"
#include "mmu_model/nested.h"
#include "walk_checks.h"

enum {
    EPT_UNCACHED_WALK_4 = 0x18,
};

// Without EPT it is the walk itself.
static void check_single_stage(struct walk_world *world)
{
    struct mmu_memory memory = walk_memory(world);
    struct nested nested = {.host = memory};
    struct mmu_walk there;
    struct mmu_walk here;
    bool found = nested_locate(&world->registers, &nested, world->linear, &there);
    FUZZ_REQUIRE(found == mmu_locate(&world->registers, &memory, world->linear, &here));
    FUZZ_REQUIRE(there.fault == here.fault && same_place(&there, &here));
    FUZZ_REQUIRE(!found || nested.last.host_phys == here.guest_phys);
    bool allowed = nested_access(&world->registers, &nested, world->linear, &world->want, &there);
    FUZZ_REQUIRE(allowed ==
                 mmu_access(&world->registers, &memory, world->linear, &world->want, &here));
    FUZZ_REQUIRE(there.fault == here.fault && same_place(&there, &here));
    FUZZ_REQUIRE(there.error_code == here.error_code);
    FUZZ_REQUIRE(nested.num_updates == 0 && !nested.stopped);
}

// Where the second stage alone puts a guest-physical address.
static bool translate(struct walk_world *world, const struct ept_registers *ept,
                      uint64_t guest_phys, uint64_t *out)
{
    struct mmu_memory memory = walk_memory(world);
    struct ept_walk walk;
    bool found = ept_locate(ept, &memory, guest_phys, &walk);
    *out = walk.host_phys;
    return found;
}

// Every entry stands where the second stage puts it.
static void check_tables(struct walk_world *world, const struct ept_registers *ept,
                         const struct mmu_walk *walk)
{
    size_t size = walk->mode == MMU_MODE_32BIT ? 4 : 8;
    for (size_t i = 0; i < walk->num_entries; i++) {
        uint64_t host_phys = 0;
        uint64_t held = 0;
        FUZZ_REQUIRE(translate(world, ept, walk->entry_phys[i], &host_phys));
        FUZZ_REQUIRE(sparse_memory_get(&world->memory, host_phys, size, &held));
        FUZZ_REQUIRE(held == walk->entries[i]);
    }
}

// Who stopped it is told, and the guest's own faults are those of a walk through that memory.
static void check_fault(struct walk_world *world, const struct ept_registers *ept,
                        const struct nested *nested, const struct mmu_walk *walk)
{
    struct nested debugger = {.ept = ept, .host = walk_memory(world)};
    struct mmu_memory memory = nested_memory(&debugger);
    struct mmu_walk there;
    bool is_second = walk->fault == MMU_FAULT_SECOND_STAGE;
    FUZZ_REQUIRE(is_second == nested->stopped);
    FUZZ_REQUIRE(!is_second || nested->last.fault != EPT_FAULT_NONE);
    (void)mmu_locate(&world->registers, &memory, world->linear, &there);
    FUZZ_REQUIRE(there.valid == walk->valid);
    FUZZ_REQUIRE(is_second || there.fault == walk->fault);
    FUZZ_REQUIRE(there.guest_phys == walk->guest_phys);
    FUZZ_REQUIRE(walk->contiguous != 0 && walk->contiguous <= there.contiguous);
}

// All that the answer covers lies together.
static void check_reach(struct walk_world *world, struct nested *nested,
                        const struct mmu_walk *walk)
{
    uint64_t host_phys = nested->last.host_phys;
    uint64_t distance = walk->contiguous - 1;
    struct mmu_walk end;
    FUZZ_REQUIRE(nested_locate(&world->registers, nested, world->linear + distance, &end));
    FUZZ_REQUIRE(nested->last.host_phys == host_phys + distance);
    FUZZ_REQUIRE(end.contiguous == 1);
}

// The flags that an allowed access sets in the guest's tables can be written there.
static void check_flags(struct walk_world *world, const struct ept_registers *ept,
                        const struct mmu_walk *walk)
{
    struct mmu_memory memory = walk_memory(world);
    struct mmu_update updates[MMU_MAX_LEVELS];
    struct ept_walk table;
    size_t num = mmu_updates(walk, &world->want, updates);
    for (size_t i = 0; i < num; i++) {
        FUZZ_REQUIRE(ept_locate(ept, &memory, updates[i].guest_phys, &table));
        FUZZ_REQUIRE(table.writable);
    }
}

// What an access may do is found at the same place, and leaves flags only in EPT entries.
static void check_access(struct walk_world *world, struct nested *nested, bool found,
                         const struct mmu_walk *where)
{
    uint64_t host_phys = nested->last.host_phys;
    struct mmu_walk walk;
    bool allowed = nested_access(&world->registers, nested, world->linear, &world->want, &walk);
    FUZZ_REQUIRE(allowed == (walk.fault == MMU_FAULT_NONE));
    FUZZ_REQUIRE(!allowed || (found && nested->last.host_phys == host_phys));
    FUZZ_REQUIRE(!allowed || same_place(&walk, where));
    FUZZ_REQUIRE((walk.fault == MMU_FAULT_SECOND_STAGE) == nested->stopped);
    FUZZ_REQUIRE(nested->num_updates <= NESTED_MAX_UPDATES);
    if (allowed) {
        check_flags(world, nested->ept, &walk);
    }
    bool has_flags = (nested->ept->eptp & EPT_POINTER_AD) != 0;
    FUZZ_REQUIRE(has_flags || nested->num_updates == 0);
    for (size_t i = 0; i < nested->num_updates; i++) {
        uint64_t set = nested->updates[i].set;
        FUZZ_REQUIRE(set != 0 && (set & ~(EPT_ENTRY_A | EPT_ENTRY_D)) == 0);
    }
}

// PDPTEs that are loaded are those that stand where the second stage puts the root.
static void check_load(struct walk_world *world, struct nested *nested)
{
    uint64_t pdptes[4] = {0};
    uint64_t host_phys = 0;
    uint64_t held = 0;
    bool loaded = nested_load_pdptes(&world->registers, nested, pdptes);
    FUZZ_REQUIRE(!loaded || !nested->stopped);
    for (uint64_t i = 0; loaded && i < 4; i++) {
        uint64_t guest_phys = (world->registers.cr3 & UINT64_C(0xFFFFFFE0)) + 8 * i;
        FUZZ_REQUIRE(translate(world, nested->ept, guest_phys, &host_phys));
        FUZZ_REQUIRE(sparse_memory_get(&world->memory, host_phys, 8, &held));
        FUZZ_REQUIRE(held == pdptes[i]);
    }
}

void check_nested(struct walk_world *world)
{
    const struct ept_registers ept = {
        .eptp = (world->registers.cr3 & UINT64_C(0x0000000FFFFFF040)) | EPT_UNCACHED_WALK_4,
        .capabilities = UINT64_MAX,
        .max_phys_bits = world->registers.max_phys_bits,
    };
    struct nested nested = {.ept = &ept, .host = walk_memory(world)};
    struct mmu_walk walk;
    uint64_t host_phys = 0;
    check_single_stage(world);
    bool found = nested_locate(&world->registers, &nested, world->linear, &walk);
    FUZZ_REQUIRE(found == (walk.fault == MMU_FAULT_NONE) && (walk.valid || !found));
    check_tables(world, &ept, &walk);
    check_fault(world, &ept, &nested, &walk);
    if (found) {
        FUZZ_REQUIRE(translate(world, &ept, walk.guest_phys, &host_phys));
        FUZZ_REQUIRE(host_phys == nested.last.host_phys);
        check_reach(world, &nested, &walk);
        found = nested_locate(&world->registers, &nested, world->linear, &walk);
    }
    check_access(world, &nested, found, &walk);
    check_load(world, &nested);
}
