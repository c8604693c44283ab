// Extended page tables: any pointer, processor and tables, any address and access.
//
//  0       1           5            6        7      15           23
// | flags | abilities | MAXPHYADDR | access | EPTP | guest-phys | words of memory ...
//
// flags: bit 0 mode-based execute control. abilities: IA32_VMX_EPT_VPID_CAP. access: the kind in
// bits 1:0, the purpose in bits 3:2, then user, writable and execute-disable linear address. The
// words are those of sparse_memory.h, with bit 53 for sequence and bit 54 for unreadable.

#include <string.h>

#include "harness.h"
#include "mmu_model/ept.h"
#include "sparse_memory.h"

enum {
    MIN_PHYS_BITS = 36,
    MAX_PHYS_BITS = 52,
    SMALL_PAGE = 4096,
};

struct ept_world {
    struct ept_registers registers;
    struct ept_access want;
    uint64_t guest_phys;
    struct sparse_memory memory;
};

static struct mmu_memory memory_of(struct ept_world *world)
{
    return (struct mmu_memory){.read = sparse_memory_read, .context = &world->memory};
}

static bool locate(struct ept_world *world, uint64_t guest_phys, struct ept_walk *out)
{
    struct mmu_memory memory = memory_of(world);
    bool valid = ept_locate(&world->registers, &memory, guest_phys, out);
    FUZZ_REQUIRE(valid == out->valid && valid == (out->fault == EPT_FAULT_NONE));
    FUZZ_REQUIRE(out->qualification == 0 && out->guest_phys == guest_phys);
    return valid;
}

static bool may(struct ept_world *world, const struct ept_access *want, struct ept_walk *out)
{
    struct mmu_memory memory = memory_of(world);
    bool allowed = ept_access(&world->registers, &memory, world->guest_phys, want, out);
    FUZZ_REQUIRE(allowed == (out->fault == EPT_FAULT_NONE) && (out->valid || !allowed));
    return allowed;
}

static bool same_place(const struct ept_walk *a, const struct ept_walk *b)
{
    bool same = a->valid == b->valid && a->num_entries == b->num_entries && a->level == b->level &&
                a->page_size == b->page_size && a->contiguous == b->contiguous &&
                a->host_phys == b->host_phys && a->memory_type == b->memory_type &&
                a->ignore_pat == b->ignore_pat && a->readable == b->readable &&
                a->writable == b->writable && a->executable == b->executable &&
                a->user_executable == b->user_executable;
    size_t len = a->num_entries * sizeof(a->entries[0]);
    return same && memcmp(a->entries, b->entries, len) == 0 &&
           memcmp(a->entry_phys, b->entry_phys, len) == 0;
}

static unsigned phys_bits(const struct ept_world *world)
{
    unsigned bits = world->registers.max_phys_bits;
    bits = bits < MIN_PHYS_BITS ? MIN_PHYS_BITS : bits;
    return bits > MAX_PHYS_BITS ? MAX_PHYS_BITS : bits;
}

// --- where ----------------------------------------------------------------------------------

static void check_entries(const struct ept_world *world, const struct ept_walk *walk)
{
    uint64_t frame_bits = (UINT64_C(1) << phys_bits(world)) - SMALL_PAGE;
    uint64_t from = world->registers.eptp;
    bool is_unread = walk->fault == EPT_FAULT_UNREADABLE;
    for (size_t i = 0; i < walk->num_entries; i++) {
        uint64_t held = 0;
        FUZZ_REQUIRE(((from ^ walk->entry_phys[i]) & frame_bits) == 0);
        FUZZ_REQUIRE(walk->entry_phys[i] % 8 == 0 && walk->entry_phys[i] >> phys_bits(world) == 0);
        FUZZ_REQUIRE(sparse_memory_get(&world->memory, walk->entry_phys[i], 8, &held));
        FUZZ_REQUIRE(held == walk->entries[i]);
        from = held;
    }
    if (walk->fault == EPT_FAULT_WIDTH) {
        FUZZ_REQUIRE(walk->num_entries == 0 && walk->level == 0 && walk->page_size == 0);
        FUZZ_REQUIRE(world->guest_phys >> 48 != 0);
        return;
    }
    FUZZ_REQUIRE(walk->level + walk->num_entries == EPT_LEVELS + !is_unread);
    FUZZ_REQUIRE(!is_unread || world->memory.num_refused != 0);
    FUZZ_REQUIRE(walk->contiguous == walk->page_size - world->guest_phys % walk->page_size);
}

// Rights are those of every entry, and a page that can be written can be read.
static void check_page(const struct ept_world *world, const struct ept_walk *walk)
{
    if (!walk->valid) {
        FUZZ_REQUIRE(walk->host_phys == 0 && !walk->readable && !walk->writable);
        FUZZ_REQUIRE(!walk->executable && !walk->user_executable);
        return;
    }
    for (size_t i = 0; i < walk->num_entries; i++) {
        FUZZ_REQUIRE(!walk->readable || (walk->entries[i] & EPT_ENTRY_R) != 0);
        FUZZ_REQUIRE(!walk->writable || (walk->entries[i] & EPT_ENTRY_W) != 0);
        FUZZ_REQUIRE(!walk->executable || (walk->entries[i] & EPT_ENTRY_X) != 0);
    }
    FUZZ_REQUIRE(walk->readable || !walk->writable);
    FUZZ_REQUIRE((walk->host_phys ^ world->guest_phys) % walk->page_size == 0);
    FUZZ_REQUIRE(walk->host_phys >> phys_bits(world) == 0);
    FUZZ_REQUIRE(walk->memory_type <= 6);
    FUZZ_REQUIRE(world->registers.mode_based_execute || walk->executable == walk->user_executable);
}

static void check_moved(struct ept_world *world, const struct ept_walk *here, uint64_t distance)
{
    struct ept_walk there;
    (void)locate(world, world->guest_phys + distance, &there);
    FUZZ_REQUIRE(there.fault == here->fault && there.contiguous == here->contiguous - distance);
    there.contiguous = here->contiguous;
    there.host_phys -= there.valid ? distance : 0;
    FUZZ_REQUIRE(same_place(&there, here));
}

// A processor with one more physical bit and every ability finds all that this one finds.
static void check_larger_processor(struct ept_world *world, const struct ept_walk *here)
{
    struct ept_registers saved = world->registers;
    struct ept_walk there;
    world->registers.eptp &= (UINT64_C(1) << phys_bits(world)) - 1; // locates the same root
    world->registers.max_phys_bits = (uint8_t)(phys_bits(world) + 1);
    world->registers.capabilities = UINT64_MAX;
    (void)locate(world, world->guest_phys, &there);
    FUZZ_REQUIRE(!here->valid || same_place(&there, here));
    world->registers = saved;
}

static void check_place(struct ept_world *world)
{
    struct ept_walk walk;
    char letters[EPT_LETTERS_SIZE];
    (void)locate(world, world->guest_phys, &walk);
    FUZZ_REQUIRE(ept_fault_text(walk.fault));
    FUZZ_REQUIRE(walk.contiguous != 0);
    check_entries(world, &walk);
    check_page(world, &walk);
    check_moved(world, &walk, walk.contiguous - 1);
    check_moved(world, &walk, (walk.contiguous - 1) / 2);
    check_larger_processor(world, &walk);
    ept_entry_letters(walk.num_entries != 0 ? walk.entries[0] : 0, letters);
    FUZZ_REQUIRE(strlen(letters) == EPT_LETTERS_SIZE - 1);
}

// --- may it ---------------------------------------------------------------------------------

static void check_qualification(const struct ept_world *world, const struct ept_walk *walk)
{
    uint32_t q = walk->qualification;
    uint32_t linear = EPT_Q_USER_LINEAR | EPT_Q_WRITABLE_LINEAR | EPT_Q_NO_EXECUTE_LINEAR;
    bool of_linear = world->want.purpose == EPT_OF_LINEAR;
    if (ept_fault_exit(walk->fault) != EPT_EXIT_VIOLATION) {
        FUZZ_REQUIRE(q == 0);
        return;
    }
    FUZZ_REQUIRE((q & (EPT_Q_READ | EPT_Q_WRITE | EPT_Q_FETCH)) != 0);
    FUZZ_REQUIRE(((q & EPT_Q_FETCH) != 0) == (world->want.kind == MMU_ACCESS_FETCH));
    FUZZ_REQUIRE((q & EPT_Q_WRITE) != 0 || world->want.kind != MMU_ACCESS_WRITE);
    FUZZ_REQUIRE(((q & EPT_Q_READABLE) != 0) == walk->readable);
    FUZZ_REQUIRE(((q & EPT_Q_WRITABLE) != 0) == walk->writable);
    FUZZ_REQUIRE(((q & EPT_Q_EXECUTABLE) != 0) == walk->executable);
    FUZZ_REQUIRE((q & EPT_Q_USER_EXECUTABLE) == 0 || world->registers.mode_based_execute);
    FUZZ_REQUIRE(((q & EPT_Q_OF_LINEAR) != 0) == of_linear);
    FUZZ_REQUIRE((q & EPT_Q_OF_LINEAR) == 0 || (q & EPT_Q_LINEAR_VALID) != 0);
    FUZZ_REQUIRE((q & linear) == 0 || of_linear);
    // What was asked is not among what the page allows.
    FUZZ_REQUIRE(walk->fault != EPT_FAULT_READ ||
                 (q & (EPT_Q_READ | EPT_Q_READABLE)) == EPT_Q_READ);
    FUZZ_REQUIRE(walk->fault != EPT_FAULT_WRITE ||
                 (q & (EPT_Q_WRITE | EPT_Q_WRITABLE)) == EPT_Q_WRITE);
}

// A write is more than a read; without accessed and dirty flags nothing more is refused; the user's
// and the supervisor's fetches are one without mode-based execute control.
static void check_kin(struct ept_world *world, bool allowed)
{
    struct ept_registers saved = world->registers;
    struct ept_access kin = world->want;
    struct ept_walk there;
    if (kin.kind == MMU_ACCESS_WRITE) {
        kin.kind = MMU_ACCESS_READ;
        FUZZ_REQUIRE(may(world, &kin, &there) || !allowed);
        kin.kind = MMU_ACCESS_WRITE;
    }
    world->registers.eptp &= ~EPT_POINTER_AD;
    FUZZ_REQUIRE(may(world, &kin, &there) || !allowed);
    world->registers = saved;
    if (!world->registers.mode_based_execute) {
        kin.user_linear = !kin.user_linear;
        FUZZ_REQUIRE(may(world, &kin, &there) == allowed);
    }
}

// After an access every entry used is accessed. The page is dirty after a write, and after a
// guest's walk, which counts as one.
static void check_flags(const struct ept_walk *after, const struct ept_access *want)
{
    bool writes = want->kind == MMU_ACCESS_WRITE || want->purpose == EPT_OF_TABLE;
    for (size_t i = 0; i < after->num_entries; i++) {
        FUZZ_REQUIRE((after->entries[i] & EPT_ENTRY_A) != 0);
    }
    FUZZ_REQUIRE(!writes || (after->entries[after->num_entries - 1] & EPT_ENTRY_D) != 0);
}

static void check_updates(struct ept_world *world, const struct ept_walk *walk)
{
    struct ept_world after = *world;
    struct mmu_update updates[EPT_LEVELS];
    struct ept_walk there;
    size_t num = ept_updates(&world->registers, walk, &world->want, updates);
    FUZZ_REQUIRE(num <= walk->num_entries);
    FUZZ_REQUIRE(num == 0 || (world->registers.eptp & EPT_POINTER_AD) != 0);
    for (size_t i = 0; i < num; i++) {
        FUZZ_REQUIRE(updates[i].set != 0);
        FUZZ_REQUIRE((updates[i].set & ~(EPT_ENTRY_A | EPT_ENTRY_D)) == 0);
        FUZZ_REQUIRE((updates[i].set & EPT_ENTRY_D) == 0 || i + 1 == num);
        if (!sparse_memory_or(&after.memory, updates[i].guest_phys, updates[i].set)) {
            return;
        }
    }
    FUZZ_REQUIRE(may(&after, &after.want, &there));
    FUZZ_REQUIRE(there.host_phys == walk->host_phys);
    FUZZ_REQUIRE(ept_updates(&after.registers, &there, &after.want, updates) == 0);
    if ((world->registers.eptp & EPT_POINTER_AD) != 0) {
        check_flags(&there, &world->want);
    }
}

static void check_rights(struct ept_world *world)
{
    struct ept_walk where;
    struct ept_walk walk;
    bool found = locate(world, world->guest_phys, &where);
    bool allowed = may(world, &world->want, &walk);
    FUZZ_REQUIRE(same_place(&where, &walk));
    FUZZ_REQUIRE(found || walk.fault == where.fault);
    FUZZ_REQUIRE(ept_fault_exit(walk.fault) != EPT_EXIT_MISCONFIGURATION || !found);
    check_qualification(world, &walk);
    check_kin(world, allowed);
    if (allowed) {
        FUZZ_REQUIRE(walk.readable || world->want.kind == MMU_ACCESS_FETCH);
        FUZZ_REQUIRE(walk.writable || world->want.kind != MMU_ACCESS_WRITE);
        check_updates(world, &walk);
    }
}

// A larger processor takes every pointer that this one takes.
static void check_pointer(const struct ept_world *world)
{
    struct ept_registers larger = world->registers;
    larger.capabilities = UINT64_MAX;
    larger.max_phys_bits = MAX_PHYS_BITS;
    bool valid = ept_pointer_is_valid(&world->registers);
    FUZZ_REQUIRE(!valid || ept_pointer_is_valid(&larger));
    FUZZ_REQUIRE(!valid || world->registers.eptp >> phys_bits(world) == 0);
    larger.capabilities = 0;
    FUZZ_REQUIRE(!ept_pointer_is_valid(&larger));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct byte_reader input = {.at = bytes, .end = bytes + len, .ok = true};
    struct ept_world world = {0};
    world.registers.mode_based_execute = (read_number(&input, 1) & 1) != 0;
    world.registers.capabilities = read_number(&input, 4);
    world.registers.max_phys_bits = (uint8_t)read_number(&input, 1);
    uint64_t access = read_number(&input, 1);
    world.want = (struct ept_access){
        .kind = (enum mmu_access_kind)((access & 3) % 3),
        .purpose = (enum ept_purpose)((access >> 2 & 3) % 3),
        .user_linear = (access & 0x10) != 0,
        .writable_linear = (access & 0x20) != 0,
        .no_execute_linear = (access & 0x40) != 0,
    };
    world.registers.eptp = read_number(&input, 8);
    world.guest_phys = read_number(&input, 8);
    world.memory.sequence = UINT64_C(1) << 53;
    world.memory.unreadable = UINT64_C(1) << 54;
    sparse_memory_init(&world.memory, &input);
    check_place(&world);
    check_rights(&world);
    check_pointer(&world);
    return 0;
}
