#include "walk_checks.h"

#include <string.h>

#include "harness.h"

enum {
    SMALL_PAGE = 4096,
    MAX_PHYS_BITS = 52,
    MIN_PHYS_BITS = 36,
};

struct mmu_memory walk_memory(struct walk_world *world)
{
    return (struct mmu_memory){.read = sparse_memory_read, .context = &world->memory};
}

bool walk_locate(struct walk_world *world, uint64_t linear, struct mmu_walk *out)
{
    struct mmu_memory memory = walk_memory(world);
    bool valid = mmu_locate(&world->registers, &memory, linear, out);
    FUZZ_REQUIRE(valid == out->valid && valid == (out->fault == MMU_FAULT_NONE));
    return valid;
}

bool walk_access(struct walk_world *world, const struct mmu_access *want, struct mmu_walk *out)
{
    struct mmu_memory memory = walk_memory(world);
    bool allowed = mmu_access(&world->registers, &memory, world->linear, want, out);
    FUZZ_REQUIRE(allowed == (out->fault == MMU_FAULT_NONE));
    FUZZ_REQUIRE(out->valid || !allowed);
    return allowed;
}

bool same_place(const struct mmu_walk *a, const struct mmu_walk *b)
{
    bool same = a->mode == b->mode && a->valid == b->valid && a->num_entries == b->num_entries &&
                a->last_valid_entry == b->last_valid_entry && a->level == b->level &&
                a->page_size == b->page_size && a->guest_phys == b->guest_phys &&
                a->contiguous == b->contiguous && a->writable == b->writable &&
                a->user == b->user && a->no_execute == b->no_execute && a->global == b->global &&
                a->protection_key == b->protection_key;
    size_t len = a->num_entries * sizeof(a->entries[0]);
    return same && memcmp(a->entries, b->entries, len) == 0 &&
           memcmp(a->entry_phys, b->entry_phys, len) == 0;
}

// --- where ----------------------------------------------------------------------------------

static unsigned phys_bits(const struct walk_world *world)
{
    unsigned bits = world->registers.max_phys_bits;
    bits = bits < MIN_PHYS_BITS ? MIN_PHYS_BITS : bits;
    return bits > MAX_PHYS_BITS ? MAX_PHYS_BITS : bits;
}

// What an entry that was read says of the next one and of what memory holds.
static void check_entry(const struct walk_world *world, const struct mmu_walk *walk, size_t i)
{
    size_t size = walk->mode == MMU_MODE_32BIT ? 4 : 8;
    uint64_t frame_bits = (UINT64_C(1) << phys_bits(world)) - SMALL_PAGE;
    frame_bits &= walk->mode == MMU_MODE_32BIT ? UINT32_MAX : UINT64_MAX;
    uint64_t phys = walk->entry_phys[i];
    uint64_t held = 0;
    FUZZ_REQUIRE(phys % size == 0);
    FUZZ_REQUIRE(phys >> phys_bits(world) == 0);
    FUZZ_REQUIRE(sparse_memory_get(&world->memory, phys, size, &held));
    FUZZ_REQUIRE(held == walk->entries[i]);
    if (i != 0) {
        FUZZ_REQUIRE((walk->entries[i - 1] & MMU_ENTRY_P) != 0);
        FUZZ_REQUIRE(((walk->entries[i - 1] ^ phys) & frame_bits) == 0);
    }
}

static void check_entries(const struct walk_world *world, const struct mmu_walk *walk)
{
    static const uint8_t levels[] = {
        [MMU_MODE_NONE] = 0,   [MMU_MODE_32BIT] = 2,  [MMU_MODE_PAE] = 3,
        [MMU_MODE_4LEVEL] = 4, [MMU_MODE_5LEVEL] = 5,
    };
    for (size_t i = 0; i < walk->num_entries; i++) {
        check_entry(world, walk, i);
    }
    unsigned valid = walk->last_valid_entry == MMU_NO_ENTRY ? 0 : walk->last_valid_entry + 1U;
    bool has_bad_entry =
        walk->fault == MMU_FAULT_NOT_PRESENT || walk->fault == MMU_FAULT_RESERVED_BIT;
    FUZZ_REQUIRE(walk->num_entries == valid + has_bad_entry);
    FUZZ_REQUIRE(walk->num_entries <= levels[walk->mode]);
    if (walk->num_entries != 0 && walk->fault != MMU_FAULT_UNREADABLE) {
        FUZZ_REQUIRE(walk->level + walk->num_entries == levels[walk->mode] + 1);
    }
    if (walk->fault == MMU_FAULT_UNREADABLE) {
        FUZZ_REQUIRE(walk->level + walk->num_entries == levels[walk->mode]);
        FUZZ_REQUIRE(world->memory.num_refused != 0);
    }
    if (walk->fault == MMU_FAULT_NOT_PRESENT) {
        FUZZ_REQUIRE((walk->entries[walk->num_entries - 1] & MMU_ENTRY_P) == 0);
    }
}

// Rights are those of all entries together, but for a PDPTE of PAE paging, which has none.
static void check_entry_rights(const struct mmu_walk *walk)
{
    bool writable = true;
    bool user = true;
    bool no_execute = false;
    for (size_t i = walk->mode == MMU_MODE_PAE ? 1 : 0; i < walk->num_entries; i++) {
        writable = writable && (walk->entries[i] & MMU_ENTRY_RW) != 0;
        user = user && (walk->entries[i] & MMU_ENTRY_US) != 0;
        no_execute = no_execute || (walk->entries[i] & MMU_ENTRY_NX) != 0;
    }
    FUZZ_REQUIRE(walk->writable == (walk->valid && writable));
    FUZZ_REQUIRE(walk->user == (walk->valid && user));
    FUZZ_REQUIRE(walk->no_execute == (walk->valid && no_execute));
}

static void check_numbers(const struct walk_world *world, const struct mmu_walk *walk)
{
    uint64_t page = walk->page_size;
    FUZZ_REQUIRE(walk->contiguous != 0);
    FUZZ_REQUIRE(world->linear + (walk->contiguous - 1) >= world->linear);
    FUZZ_REQUIRE((page & (page - 1)) == 0);
    FUZZ_REQUIRE(page == 0 || page >= SMALL_PAGE);
    FUZZ_REQUIRE(page == 0 || walk->contiguous == page - world->linear % page);
    FUZZ_REQUIRE((page == 0) == (walk->level == 0));
    FUZZ_REQUIRE(walk->valid || walk->guest_phys == 0);
    FUZZ_REQUIRE(walk->error_code == 0);
    if (walk->valid) {
        FUZZ_REQUIRE(walk->guest_phys % SMALL_PAGE == world->linear % SMALL_PAGE);
        FUZZ_REQUIRE(page == 0 || (walk->guest_phys ^ world->linear) % page == 0);
        FUZZ_REQUIRE(walk->guest_phys >> phys_bits(world) == 0);
    }
}

// The answer at distance bytes from world->linear is *here moved by as much.
static void check_moved(struct walk_world *world, const struct mmu_walk *here, uint64_t distance)
{
    struct mmu_walk there;
    (void)walk_locate(world, world->linear + distance, &there);
    FUZZ_REQUIRE(there.fault == here->fault);
    if (there.valid) {
        FUZZ_REQUIRE(there.guest_phys == here->guest_phys + distance);
        there.guest_phys = here->guest_phys;
    }
    // From 0 on all of 2^64 bytes get one answer, a number that does not exist.
    FUZZ_REQUIRE(here->contiguous - there.contiguous == distance || here->contiguous == UINT64_MAX);
    there.contiguous = here->contiguous;
    FUZZ_REQUIRE(same_place(&there, here));
}

// The answer ends where it says: the next address has a page, a space or an answer of its own.
static void check_end(struct walk_world *world, const struct mmu_walk *here)
{
    uint64_t next = world->linear + here->contiguous;
    struct mmu_walk there;
    if (next == 0 || here->contiguous == UINT64_MAX || here->page_size != 0) {
        return;
    }
    (void)walk_locate(world, next, &there);
    FUZZ_REQUIRE(there.fault != here->fault);
}

// Rights, keys and flags have no say in where something is.
static void check_where_is_not_may(struct walk_world *world, const struct mmu_walk *here)
{
    struct mmu_registers saved = world->registers;
    struct mmu_walk there;
    world->registers.cr0 ^= MMU_CR0_WP;
    world->registers.cr4 ^= MMU_CR4_SMEP | MMU_CR4_SMAP | MMU_CR4_PKE | MMU_CR4_PKS;
    world->registers.rflags ^= MMU_RFLAGS_AC;
    world->registers.pkru ^= UINT32_MAX;
    world->registers.pkrs ^= UINT32_MAX;
    world->registers.pdptes_loaded = true;
    (void)walk_locate(world, world->linear, &there);
    FUZZ_REQUIRE(there.fault == here->fault && same_place(&there, here));
    world->registers = saved;
}

// A processor with one more physical bit, or with 1 GiB pages, finds all that this one finds.
static void check_larger_processor(struct walk_world *world, const struct mmu_walk *here)
{
    struct mmu_registers saved = world->registers;
    struct mmu_walk there;
    world->registers.max_phys_bits = (uint8_t)(phys_bits(world) + 1);
    world->registers.no_1gib_pages = false;
    (void)walk_locate(world, world->linear, &there);
    FUZZ_REQUIRE(!here->valid || same_place(&there, here));
    world->registers = saved;
}

static void check_letters(const struct mmu_walk *walk)
{
    char letters[MMU_LETTERS_SIZE];
    for (size_t i = 0; i < walk->num_entries; i++) {
        mmu_entry_letters(walk->entries[i], letters);
        FUZZ_REQUIRE(strlen(letters) == MMU_LETTERS_SIZE - 1);
        FUZZ_REQUIRE((letters[MMU_LETTERS_SIZE - 2] == 'P') == (walk->entries[i] & 1));
    }
}

void check_place(struct walk_world *world)
{
    struct mmu_walk walk;
    (void)walk_locate(world, world->linear, &walk);
    FUZZ_REQUIRE(mmu_fault_text(walk.fault));
    check_numbers(world, &walk);
    check_entries(world, &walk);
    check_entry_rights(&walk);
    check_moved(world, &walk, walk.contiguous - 1);
    check_moved(world, &walk, (walk.contiguous - 1) / 2);
    check_end(world, &walk);
    check_where_is_not_may(world, &walk);
    check_larger_processor(world, &walk);
    check_letters(&walk);
}

// --- may it ---------------------------------------------------------------------------------

// Each bit of the error code says what it is there to say. SDM 3A, "Page-Fault Exceptions".
static void check_error_code(const struct walk_world *world, const struct mmu_walk *walk)
{
    uint32_t code = walk->error_code;
    bool data = world->want.kind != MMU_ACCESS_FETCH;
    bool keyed = walk->valid && data && walk->mode >= MMU_MODE_4LEVEL;
    if (!mmu_fault_is_page_fault(walk->fault)) {
        FUZZ_REQUIRE(code == 0);
        return;
    }
    FUZZ_REQUIRE(((code & MMU_PF_P) == 0) == (walk->fault == MMU_FAULT_NOT_PRESENT));
    FUZZ_REQUIRE(((code & MMU_PF_RSVD) != 0) == (walk->fault == MMU_FAULT_RESERVED_BIT));
    FUZZ_REQUIRE(((code & MMU_PF_WR) != 0) == (world->want.kind == MMU_ACCESS_WRITE));
    FUZZ_REQUIRE(((code & MMU_PF_US) != 0) == world->want.user);
    FUZZ_REQUIRE((code & MMU_PF_ID) == 0 || !data);
    FUZZ_REQUIRE((code & MMU_PF_PK) == 0 || keyed);
    FUZZ_REQUIRE((code & MMU_PF_PK) != 0 || walk->fault != MMU_FAULT_PROTECTION_KEY);
    FUZZ_REQUIRE((code & MMU_PF_ID) != 0 ||
                 (walk->fault != MMU_FAULT_NO_EXECUTE && walk->fault != MMU_FAULT_SMEP));
}

// What no access may ever do.
static void check_allowed(const struct walk_world *world, const struct mmu_walk *walk)
{
    bool is_paged = walk->mode != MMU_MODE_NONE;
    FUZZ_REQUIRE(walk->user || !world->want.user);
    FUZZ_REQUIRE(!walk->no_execute || world->want.kind != MMU_ACCESS_FETCH);
    FUZZ_REQUIRE(walk->writable || world->want.kind != MMU_ACCESS_WRITE ||
                 !(world->want.user || (world->registers.cr0 & MMU_CR0_WP) != 0));
    FUZZ_REQUIRE(is_paged || walk->guest_phys == world->linear);
}

// Changes to the protection that only ever allow more.
struct relief {
    uint64_t cr0, cr4; // bits cleared
    uint64_t rflags;   // bits set
    uint32_t keys;     // bits of PKRU and IA32_PKRS cleared
};

static void check_reliefs(struct walk_world *world, const struct mmu_walk *walk)
{
    static const struct relief reliefs[] = {
        {.cr0 = MMU_CR0_WP},  {.cr4 = MMU_CR4_SMEP}, {.cr4 = MMU_CR4_SMAP},
        {.cr4 = MMU_CR4_PKE}, {.cr4 = MMU_CR4_PKS},  {.rflags = MMU_RFLAGS_AC},
        {.keys = UINT32_MAX}, {.keys = 0x55555555},  {.keys = 0xAAAAAAAA},
    };
    struct mmu_registers saved = world->registers;
    for (size_t i = 0; i < sizeof(reliefs) / sizeof(reliefs[0]); i++) {
        struct mmu_walk there;
        world->registers.cr0 &= ~reliefs[i].cr0;
        world->registers.cr4 &= ~reliefs[i].cr4;
        world->registers.rflags |= reliefs[i].rflags;
        world->registers.pkru &= ~reliefs[i].keys;
        world->registers.pkrs &= ~reliefs[i].keys;
        bool allowed = walk_access(world, &world->want, &there);
        FUZZ_REQUIRE(same_place(walk, &there));
        FUZZ_REQUIRE(allowed || walk->fault != MMU_FAULT_NONE);
        bool on_keys = reliefs[i].keys != 0;
        FUZZ_REQUIRE(!on_keys || allowed == (walk->fault == MMU_FAULT_NONE) ||
                     (walk->fault == MMU_FAULT_PROTECTION_KEY));
        world->registers = saved;
    }
}

// The same access made by another.
static void check_kin(struct walk_world *world, bool allowed)
{
    struct mmu_registers saved = world->registers;
    struct mmu_walk there;
    struct mmu_access kin = world->want;
    if (kin.kind == MMU_ACCESS_WRITE) {
        kin.kind = MMU_ACCESS_READ;
        FUZZ_REQUIRE(walk_access(world, &kin, &there) || !allowed);
        kin.kind = MMU_ACCESS_WRITE;
    }
    if (kin.implicit) { // is an explicit one that AC does not help
        kin.implicit = false;
        world->registers.rflags = 0;
        FUZZ_REQUIRE(walk_access(world, &kin, &there) == allowed);
    }
    if (kin.user) { // the supervisor is bound by these two alone where the user is not
        kin.user = false;
        world->registers.cr4 &= ~(MMU_CR4_SMEP | MMU_CR4_SMAP);
        FUZZ_REQUIRE(walk_access(world, &kin, &there) || !allowed);
    }
    world->registers = saved;
}

// In PAE paging an update may hit a PDPTE in memory, where those bits are reserved.
static bool hits_root(const struct mmu_walk *walk, const struct mmu_update *update)
{
    return walk->mode == MMU_MODE_PAE && update->guest_phys == walk->entry_phys[0];
}

// After an access every entry used is accessed, and the leaf of a write dirty.
static void check_flags(const struct mmu_walk *after, enum mmu_access_kind kind)
{
    for (size_t i = after->mode == MMU_MODE_PAE ? 1 : 0; i < after->num_entries; i++) {
        FUZZ_REQUIRE((after->entries[i] & MMU_ENTRY_A) != 0);
    }
    FUZZ_REQUIRE(kind != MMU_ACCESS_WRITE || after->num_entries == 0 ||
                 (after->entries[after->num_entries - 1] & MMU_ENTRY_D) != 0);
}

// The flags to set are missing ones of the walk's own entries, root first; an access made after
// they were set finds the same and sets none.
static void check_updates(struct walk_world *world, const struct mmu_walk *walk)
{
    struct walk_world after = *world;
    struct mmu_update updates[MMU_MAX_LEVELS];
    struct mmu_walk there;
    size_t num = mmu_updates(walk, &world->want, updates);
    size_t entry = 0;
    FUZZ_REQUIRE(num <= walk->num_entries);
    for (size_t i = 0; i < num; i++) {
        while (entry < walk->num_entries && walk->entry_phys[entry] != updates[i].guest_phys) {
            entry++;
        }
        FUZZ_REQUIRE(entry < walk->num_entries);
        // One entry may be all levels of a walk; the last update is the leaf's then.
        bool is_leaf =
            i + 1 == num && walk->entry_phys[walk->num_entries - 1] == updates[i].guest_phys;
        uint64_t dirty = is_leaf && world->want.kind == MMU_ACCESS_WRITE ? MMU_ENTRY_D : 0;
        FUZZ_REQUIRE(updates[i].set != 0 && (updates[i].set & ~(MMU_ENTRY_A | dirty)) == 0);
        FUZZ_REQUIRE((updates[i].set & walk->entries[entry]) == 0);
        entry++;
        if (hits_root(walk, &updates[i]) ||
            !sparse_memory_or(&after.memory, updates[i].guest_phys, updates[i].set)) {
            return;
        }
    }
    FUZZ_REQUIRE(walk_access(&after, &after.want, &there));
    FUZZ_REQUIRE(there.guest_phys == walk->guest_phys);
    FUZZ_REQUIRE(mmu_updates(&there, &after.want, updates) == 0);
    check_flags(&there, world->want.kind);
}

void check_rights(struct walk_world *world)
{
    struct mmu_walk where;
    struct mmu_walk walk;
    bool found = walk_locate(world, world->linear, &where);
    bool allowed = walk_access(world, &world->want, &walk);
    FUZZ_REQUIRE(same_place(&where, &walk));
    FUZZ_REQUIRE(found || walk.fault == where.fault);
    check_error_code(world, &walk);
    check_reliefs(world, &walk);
    check_kin(world, allowed);
    if (allowed) {
        check_allowed(world, &walk);
        check_updates(world, &walk);
    }
}
