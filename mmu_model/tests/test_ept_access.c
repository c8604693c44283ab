// Accesses through extended page tables: one row per rule of rights, exit qualification, and
// accessed and dirty flags.
// Every combination of rights, accesses, sizes and memory types is test_ept_permissions.c.
#include "rows.h"

#include "ept_tables.h"
#include "tables.h"

struct access_case {
    const char *name;
    struct ept_access want;
    uint64_t rights[EPT_LEVELS + 1]; // 0: all of them
    bool mode_based, flags;
    uint64_t capabilities_clear;
    enum ept_fault fault;
    uint32_t qualification;
};

#define LINEAR(k)                                                                                  \
    {                                                                                              \
        .kind = MMU_ACCESS_##k, .purpose = EPT_OF_LINEAR                                           \
    }
#define USER_LINEAR(k)                                                                             \
    {                                                                                              \
        .kind = MMU_ACCESS_##k, .purpose = EPT_OF_LINEAR, .user_linear = true                      \
    }
#define TABLE(k)                                                                                   \
    {                                                                                              \
        .kind = MMU_ACCESS_##k, .purpose = EPT_OF_TABLE                                            \
    }
#define PHYSICAL(k)                                                                                \
    {                                                                                              \
        .kind = MMU_ACCESS_##k, .purpose = EPT_OF_PHYSICAL                                         \
    }
#define NO_LEFT .rights = {[1] = EABSENT}

// SDM 3C, "EPT Violations"; "Basic VM-Exit Information", the exit qualification of EPT violations.
// clang-format off
static struct access_case access_cases[] = {
    {"read of a readable page", LINEAR(READ), .rights = {[1] = ER}},
    {"write to a writable page", LINEAR(WRITE), .rights = {[1] = ER | EW}},
    {"fetch from an executable page", LINEAR(FETCH), .rights = {[1] = ER | EX}},
    {"fetch from an execute-only page", LINEAR(FETCH), .rights = {[1] = EX}},
    {"read of an execute-only page", LINEAR(READ), .rights = {[1] = EX}, .fault = EPT_FAULT_READ,
     .qualification = 0x1A1},
    {"write to a read-only page", LINEAR(WRITE), .rights = {[1] = ER}, .fault = EPT_FAULT_WRITE,
     .qualification = 0x18A},
    {"write to an execute-only page", LINEAR(WRITE), .rights = {[1] = EX}, .fault = EPT_FAULT_WRITE,
     .qualification = 0x1A2},
    {"fetch from a page without execution", LINEAR(FETCH), .rights = {[1] = ER | EW},
     .fault = EPT_FAULT_FETCH, .qualification = 0x19C},
    {"write, a PML4E does not allow it", LINEAR(WRITE), .rights = {[4] = ER | EX},
     .fault = EPT_FAULT_WRITE, .qualification = 0x1AA},
    {"fetch, a PDPTE does not allow it", LINEAR(FETCH), .rights = {[3] = ER | EW},
     .fault = EPT_FAULT_FETCH, .qualification = 0x19C},
    {"read, a PDE does not allow it", LINEAR(READ), .rights = {[2] = EX}, .fault = EPT_FAULT_READ,
     .qualification = 0x1A1},
    {"rights that no entry has alone", LINEAR(WRITE), .rights = {[3] = ER | EX, [2] = ER | EW},
     .fault = EPT_FAULT_WRITE, .qualification = 0x18A},
    {"not present: no right is left", LINEAR(READ), NO_LEFT, .fault = EPT_FAULT_NOT_PRESENT,
     .qualification = 0x181},
    {"not present, write", LINEAR(WRITE), NO_LEFT, .fault = EPT_FAULT_NOT_PRESENT,
     .qualification = 0x182},
    {"not present, fetch", LINEAR(FETCH), NO_LEFT, .fault = EPT_FAULT_NOT_PRESENT,
     .qualification = 0x184},
    {"a misconfiguration has no qualification", LINEAR(WRITE), .rights = {[1] = EW},
     .fault = EPT_FAULT_WRITE_WITHOUT_READ},

    // What the address is of.
    {"of a table", TABLE(READ), NO_LEFT, .fault = EPT_FAULT_NOT_PRESENT, .qualification = 0x081},
    {"of a table: a flag set", TABLE(WRITE), .rights = {[1] = ER}, .fault = EPT_FAULT_WRITE,
     .qualification = 0x08A},
    {"of a table: without flags a walk is a read", TABLE(READ), .rights = {[1] = ER}},
    {"of a table: with flags a walk is a write", TABLE(READ), .rights = {[1] = ER}, .flags = true,
     .fault = EPT_FAULT_WRITE, .qualification = 0x08B},
    {"of a table: with flags, not present", TABLE(READ), NO_LEFT, .flags = true,
     .fault = EPT_FAULT_NOT_PRESENT, .qualification = 0x083},
    {"of no linear address", PHYSICAL(READ), NO_LEFT, .fault = EPT_FAULT_NOT_PRESENT,
     .qualification = 0x001},
    {"a load of PDPTEs is a read, flags or not", PHYSICAL(READ), .rights = {[1] = ER},
     .flags = true},
    {"a read of memory stays one with flags", LINEAR(READ), .rights = {[1] = ER}, .flags = true},

    // Mode-based execute control.
    {"mode-based: supervisor fetch, bit 2", LINEAR(FETCH), .rights = {[1] = ER | EX},
     .mode_based = true},
    {"mode-based: supervisor fetch, bit 10 only", LINEAR(FETCH), .rights = {[1] = ER | EXU},
     .mode_based = true, .fault = EPT_FAULT_FETCH, .qualification = 0x1CC},
    {"mode-based: user fetch, bit 10", USER_LINEAR(FETCH), .rights = {[1] = ER | EXU},
     .mode_based = true},
    {"mode-based: user fetch, bit 2 only", USER_LINEAR(FETCH), .rights = {[1] = ER | EX},
     .mode_based = true, .fault = EPT_FAULT_FETCH, .qualification = 0x3AC},
    {"mode-based: user fetch, a PDE without bit 10", USER_LINEAR(FETCH),
     .rights = {[2] = ER | EW | EX}, .mode_based = true, .fault = EPT_FAULT_FETCH,
     .qualification = 0x3BC},
    {"mode-based: execute-only for the user", USER_LINEAR(FETCH), .rights = {[1] = EXU},
     .mode_based = true},
    {"not mode-based: bit 10 is not looked at", USER_LINEAR(FETCH), .rights = {[1] = ER | EX}},
    {"not mode-based: bit 10 does not help", USER_LINEAR(FETCH), .rights = {[1] = ER | EXU},
     .fault = EPT_FAULT_FETCH, .qualification = 0x38C},

    // What the guest's own tables say, where the processor tells.
    {"a user-mode address", USER_LINEAR(WRITE), .rights = {[1] = ER}, .fault = EPT_FAULT_WRITE,
     .qualification = 0x38A},
    {"a writable page of the guest", {MMU_ACCESS_WRITE, EPT_OF_LINEAR, false, true, false},
     .rights = {[1] = ER}, .fault = EPT_FAULT_WRITE, .qualification = 0x58A},
    {"an execute-disable page of the guest", {MMU_ACCESS_WRITE, EPT_OF_LINEAR, false, false, true},
     .rights = {[1] = ER}, .fault = EPT_FAULT_WRITE, .qualification = 0x98A},
    {"a processor that does not tell", {MMU_ACCESS_WRITE, EPT_OF_LINEAR, true, true, true},
     .rights = {[1] = ER}, ALL_BUT(EPT_CAN_TELL_MORE), .fault = EPT_FAULT_WRITE,
     .qualification = 0x18A},
    {"of a table there is nothing to tell", {MMU_ACCESS_READ, EPT_OF_TABLE, true, true, true},
     NO_LEFT, .fault = EPT_FAULT_NOT_PRESENT, .qualification = 0x081},
};
// clang-format on

// Entries with these rights; bit 10 is one of "all of them".
static void put_rights(struct cells *cells, const uint64_t rights[EPT_LEVELS + 1])
{
    uint64_t entry[EPT_LEVELS + 1] = {0};
    for (unsigned level = 1; level <= EPT_LEVELS; level++) {
        uint64_t to = level > 1 ? EPT_TABLE(level - 1) : PAGE4K;
        entry[level] = to | (rights[level] != 0 ? rights[level] : ERWX | EXU);
    }
    ept_put(cells, EPT_GUEST_PHYS, entry);
}

static void check_access(void **state)
{
    const struct access_case *c = *state;
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct ept_registers registers = ept_default_registers();
    struct ept_walk walk;
    registers.mode_based_execute = c->mode_based;
    registers.eptp |= c->flags ? EPT_POINTER_AD : 0;
    registers.capabilities &= ~c->capabilities_clear;
    put_rights(&cells, c->rights);

    bool allowed = ept_access(&registers, &memory, EPT_GUEST_PHYS, &c->want, &walk);

    assert_int_equal(walk.fault, c->fault);
    assert_int_equal(allowed, c->fault == EPT_FAULT_NONE);
    assert_int_equal(walk.qualification, c->qualification);
    bool has_page = c->fault == EPT_FAULT_NONE || c->fault >= EPT_FAULT_READ;
    assert_int_equal(walk.valid, has_page);
    assert_int_equal(walk.host_phys, has_page ? 0x9678 : 0);
}

// SDM 3C, "Accessed and Dirty Flags for EPT".
struct update_case {
    const char *name;
    struct ept_access want;
    uint64_t entry[EPT_LEVELS + 1];
    bool no_flags;
    size_t count;
    uint64_t set[EPT_LEVELS];
};

// clang-format off
static struct update_case update_cases[] = {
    {"a read sets A everywhere", LINEAR(READ), {0}, .count = 4, .set = {EA, EA, EA, EA}},
    {"a fetch sets A everywhere", LINEAR(FETCH), {0}, .count = 4, .set = {EA, EA, EA, EA}},
    {"a write sets D in the leaf too", LINEAR(WRITE), {0}, .count = 4,
     .set = {EA, EA, EA, EA | ED}},
    {"a guest's table is dirty for being walked", TABLE(READ), {0}, .count = 4,
     .set = {EA, EA, EA, EA | ED}},
    {"loaded PDPTEs are not dirty", PHYSICAL(READ), {0}, .count = 4, .set = {EA, EA, EA, EA}},
    {"the leaf of a 2 MiB page is its PDE", LINEAR(WRITE), {[2] = PAGE2M | ERWX}, .count = 3,
     .set = {EA, EA, EA | ED}},
    {"the leaf of a 1 GiB page is its PDPTE", LINEAR(WRITE), {[3] = PAGE1G | ERWX}, .count = 2,
     .set = {EA, EA | ED}},
    {"what is set is not set again", LINEAR(WRITE),
     {[4] = EPT_TABLE(3) | EA | ERWX, [1] = PAGE4K | EA | ERWX}, .count = 3, .set = {EA, EA, ED}},
    {"D of a link is ignored", LINEAR(WRITE), {[2] = EPT_TABLE(1) | ED | ERWX}, .count = 4,
     .set = {EA, EA, EA, EA | ED}},
    {"an EPT pointer without flags", LINEAR(WRITE), {0}, .no_flags = true, .count = 0},
};
// clang-format on

static void check_updates(void **state)
{
    const struct update_case *c = *state;
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct ept_registers registers = ept_default_registers();
    struct mmu_update updates[EPT_LEVELS];
    struct ept_walk walk;
    registers.eptp |= c->no_flags ? 0 : EPT_POINTER_AD;
    ept_put(&cells, EPT_GUEST_PHYS, c->entry);

    assert_true(ept_access(&registers, &memory, EPT_GUEST_PHYS, &c->want, &walk));
    assert_int_equal(ept_updates(&registers, &walk, &c->want, updates), c->count);
    size_t entry = 0;
    for (size_t i = 0; i < c->count; i++, entry++) {
        while (entry < walk.num_entries && walk.entry_phys[entry] != updates[i].guest_phys) {
            entry++;
        }
        assert_true(entry < walk.num_entries);
        assert_int_equal(updates[i].set, c->set[i]);
        assert_int_equal(updates[i].set & walk.entries[entry], 0);
    }
}

static void an_address_of_more_than_48_bits_is_a_violation(void **state)
{
    (void)state;
    const struct ept_access want = LINEAR(WRITE);
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct ept_registers registers = ept_default_registers();
    struct ept_walk walk;
    for (unsigned bit = 48; bit < 64; bit++) {
        assert_false(ept_access(&registers, &memory, BIT(bit), &want, &walk));
        assert_int_equal(walk.fault, EPT_FAULT_WIDTH);
        assert_int_equal(ept_fault_exit(walk.fault), EPT_EXIT_VIOLATION);
        assert_int_equal(walk.qualification, 0x182);
        assert_int_equal(walk.contiguous, -BIT(bit));
        assert_int_equal(walk.num_entries, 0);
    }
    assert_int_equal(cells.num_reads, 0);
}

static void a_table_that_cannot_be_read_is_no_exit(void **state)
{
    (void)state;
    const struct ept_access want = LINEAR(READ);
    const uint64_t entry[EPT_LEVELS + 1] = {[3] = 0x300000 | ERWX};
    struct cells cells = {.unreadable_from = 0x300000};
    struct mmu_memory memory = cells_memory(&cells);
    struct ept_registers registers = ept_default_registers();
    struct ept_walk walk;
    ept_put(&cells, EPT_GUEST_PHYS, entry);

    assert_false(ept_access(&registers, &memory, EPT_GUEST_PHYS, &want, &walk));

    assert_int_equal(walk.fault, EPT_FAULT_UNREADABLE);
    assert_int_equal(ept_fault_exit(walk.fault), EPT_EXIT_NONE);
    assert_int_equal(walk.qualification, 0);
    assert_int_equal(walk.num_entries, 2);
    assert_int_equal(walk.level, 2);
    assert_int_equal(walk.page_size, 0x200000);
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_of_more_than_48_bits_is_a_violation),
        cmocka_unit_test(a_table_that_cannot_be_read_is_no_exit),
    };
    RUN_ROWS(failures, "EPT access", access_cases, check_access);
    RUN_ROWS(failures, "EPT accessed and dirty", update_cases, check_updates);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
