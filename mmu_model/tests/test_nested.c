// A guest's walk over a second stage: what is translated, what stops it, and what is told then.
#include "rows.h"

#include <string.h>

#include "nested_rig.h"

struct stop_case {
    const char *name;
    enum mmu_mode mode;
    uint64_t rights[MMU_MAX_LEVELS + 1];
    uint64_t leaf; // of the guest: rights and flags of its page; 0: all rights, no flags
    enum mmu_access_kind kind;
    bool user, flags, mode_based;
    enum mmu_fault fault; // NONE: the access may happen
    enum ept_fault second;
    unsigned at; // level of the guest's table that is stopped at; 0: its page
    uint32_t qualification;
};

#define STOPPED .fault = MMU_FAULT_SECOND_STAGE
#define ABSENT_AT(level)                                                                           \
    .rights = {[level] = EABSENT}, STOPPED, .second = EPT_FAULT_NOT_PRESENT, .at = (level)
#define W MMU_ACCESS_WRITE
#define X MMU_ACCESS_FETCH

// clang-format off
static struct stop_case stop_cases[] = {
    // Every address that a walk meets is translated.
    {"32-bit: nothing is in the way", M32, .flags = true},
    {"PAE: nothing is in the way", MPAE, .flags = true},
    {"4-level: nothing is in the way", M4, .flags = true},
    {"5-level: nothing is in the way", M5, .flags = true},
    {"32-bit: the page directory", M32, ABSENT_AT(2), .qualification = 0x081},
    {"32-bit: the page table", M32, ABSENT_AT(1), .qualification = 0x081},
    {"32-bit: the page", M32, ABSENT_AT(0), .qualification = 0x781},
    {"PAE: the PDPT, in memory", MPAE, ABSENT_AT(3), .qualification = 0x081},
    {"PAE: the page directory", MPAE, ABSENT_AT(2), .qualification = 0x081},
    {"PAE: the page table", MPAE, ABSENT_AT(1), .qualification = 0x081},
    {"PAE: the page", MPAE, ABSENT_AT(0), .qualification = 0x781},
    {"4-level: the PML4", M4, ABSENT_AT(4), .qualification = 0x081},
    {"4-level: the PDPT", M4, ABSENT_AT(3), .qualification = 0x081},
    {"4-level: the page directory", M4, ABSENT_AT(2), .qualification = 0x081},
    {"4-level: the page table", M4, ABSENT_AT(1), .qualification = 0x081},
    {"4-level: the page", M4, ABSENT_AT(0), .qualification = 0x781},
    {"5-level: the PML5", M5, ABSENT_AT(5), .qualification = 0x081},
    {"5-level: the page", M5, ABSENT_AT(0), .qualification = 0x781},

    // Why.
    {"a misconfigured entry under a table", M4, .rights = {[2] = EW}, STOPPED,
     .second = EPT_FAULT_WRITE_WITHOUT_READ, .at = 2},
    {"a misconfigured entry under the page", M4, .rights = {EW}, STOPPED,
     .second = EPT_FAULT_WRITE_WITHOUT_READ},
    {"a table that may not be read", M4, .rights = {[3] = EX}, STOPPED, .second = EPT_FAULT_READ,
     .at = 3, .qualification = 0x0A1},
    {"a page that may not be read", M4, .rights = {EX}, STOPPED, .second = EPT_FAULT_READ,
     .qualification = 0x7A1},
    {"a page that may not be written", M4, .rights = {ER}, .kind = W, STOPPED,
     .second = EPT_FAULT_WRITE, .qualification = 0x78A},
    {"a page that may not be executed", M4, .rights = {ER}, .kind = X, STOPPED,
     .second = EPT_FAULT_FETCH, .qualification = 0x78C},
    {"a supervisor page, read-only, not executable", M4, .rights = {ER}, .leaf = P | NX, .kind = W,
     STOPPED, .second = EPT_FAULT_WRITE, .qualification = 0x98A},

    // A walk is a read, or with flags in the EPT a write; setting the guest's flags is a write.
    {"a table without writes, its flags to be set", M4, .rights = {[1] = ER}, STOPPED,
     .second = EPT_FAULT_WRITE, .at = 1, .qualification = 0x08A},
    {"a table without writes, A set, read", M4, .rights = {[1] = ER}, .leaf = P | RW | US | A,
     .fault = MMU_FAULT_NONE},
    {"a table without writes, A set, write", M4, .rights = {[1] = ER}, .leaf = P | RW | US | A,
     .kind = W, STOPPED, .second = EPT_FAULT_WRITE, .at = 1, .qualification = 0x08A},
    {"a table without writes, A and D set, write", M4, .rights = {[1] = ER},
     .leaf = P | RW | US | A | D, .kind = W},
    {"a table without writes, flags in the EPT", M4, .rights = {[1] = ER},
     .leaf = P | RW | US | A | D, .flags = true, STOPPED, .second = EPT_FAULT_WRITE, .at = 1,
     .qualification = 0x08B},
    {"the PDPT of PAE paging has no flags to set", MPAE, .rights = {[3] = ER}},

    // Mode-based execute control asks for the mode of the guest's address.
    {"a user page, executable for the supervisor", M4, .rights = {ER | EX}, .kind = X, .user = true,
     .mode_based = true, STOPPED, .second = EPT_FAULT_FETCH, .qualification = 0x7AC},
    {"a user page, executable for the user", M4, .rights = {ER | EXU}, .kind = X, .user = true,
     .mode_based = true},
    {"a user page fetched from in ring 0, executable for the user", M4, .rights = {ER | EXU},
     .kind = X, .mode_based = true},
    {"a supervisor page, executable for the user", M4, .rights = {ER | EXU}, .leaf = P | RW,
     .kind = X, .mode_based = true, STOPPED, .second = EPT_FAULT_FETCH, .qualification = 0x5CC},

    // A page fault of the guest comes first.
    {"a missing right before the page behind it", M4, .rights = {EABSENT}, .leaf = P | RW,
     .user = true, .fault = MMU_FAULT_SUPERVISOR_PAGE},
    {"an absent page before the page behind it", M4, .rights = {EABSENT}, .leaf = RW,
     .fault = MMU_FAULT_NOT_PRESENT},
    {"a missing right before the flags", M4, .rights = {[1] = ER}, .leaf = P, .kind = W,
     .user = true, .fault = MMU_FAULT_SUPERVISOR_PAGE},
};
// clang-format on

static uint64_t expected_guest_phys(const struct guest *guest, const struct stop_case *c,
                                    const struct mmu_walk *walk)
{
    return c->at == 0 ? PAGE_PHYS | (guest->linear & 0xFFF)
                      : walk->entry_phys[levels_of(c->mode) - c->at];
}

static void check_stop(void **state)
{
    const struct stop_case *c = *state;
    struct path path = {.mode = c->mode};
    struct guest guest;
    struct mmu_walk walk;
    const struct mmu_access want = {.kind = c->kind, .user = c->user};
    path.entry[1] = PAGE_PHYS | (c->leaf != 0 ? c->leaf : P | RW | US);
    guest_build(&guest, &path, c->rights);
    guest.ept.eptp |= c->flags ? EPT_POINTER_AD : 0;
    guest.ept.mode_based_execute = c->mode_based;

    bool allowed = nested_access(&guest.registers, &guest.nested, guest.linear, &want, &walk);

    assert_int_equal(allowed, c->fault == MMU_FAULT_NONE);
    assert_int_equal(walk.fault, c->fault);
    assert_int_equal(guest.nested.stopped, c->fault == MMU_FAULT_SECOND_STAGE);
    if (guest.nested.stopped) {
        assert_int_equal(guest.nested.last.fault, c->second);
        assert_int_equal(guest.nested.last.qualification, c->qualification);
        assert_int_equal(guest.nested.last.guest_phys, expected_guest_phys(&guest, c, &walk));
    }
    if (allowed) {
        assert_int_equal(walk.guest_phys, PAGE_PHYS | (guest.linear & 0xFFF));
        assert_int_equal(guest.nested.last.host_phys, HOST(walk.guest_phys));
    }
}

// A debugger's walk stops where there is no translation and nowhere else.
static void rights_of_the_second_stage_do_not_bind_a_debugger(void **state)
{
    (void)state;
    const struct path path = {.mode = M4};
    const uint64_t rights[] = {EX, EX, ER, EX, ER, 0};
    struct guest guest;
    struct mmu_walk walk;
    guest_build(&guest, &path, rights);

    assert_true(nested_locate(&guest.registers, &guest.nested, guest.linear, &walk));

    assert_int_equal(walk.guest_phys, 0x9678);
    assert_int_equal(guest.nested.last.guest_phys, 0x9678);
    assert_int_equal(guest.nested.last.host_phys, HOST(0x9678));
    assert_int_equal(guest.nested.num_updates, 0);
    // Four entries of the guest and one address at its end; each costs four entries of the EPT.
    assert_int_equal(guest.cells.num_reads, 4 * (4 + 1) + 4);
}

static void where_a_debugger_is_stopped_it_is_told(void **state)
{
    (void)state;
    const struct path path = {.mode = M4};
    const uint64_t rights[] = {0, 0, EABSENT, 0, 0, 0};
    const uint64_t page_rights[] = {EABSENT, 0, 0, 0, 0, 0};
    struct guest guest;
    struct mmu_walk walk;

    guest_build(&guest, &path, rights);
    assert_false(nested_locate(&guest.registers, &guest.nested, guest.linear, &walk));
    assert_int_equal(walk.fault, MMU_FAULT_SECOND_STAGE);
    assert_false(walk.valid);
    assert_int_equal(walk.num_entries, 2);
    assert_int_equal(walk.level, 2);
    assert_true(guest.nested.stopped);
    assert_int_equal(guest.nested.last.fault, EPT_FAULT_NOT_PRESENT);
    assert_int_equal(guest.nested.last.guest_phys & ~UINT64_C(0xFFF), TABLE_PHYS(2));

    guest_build(&guest, &path, page_rights);
    assert_false(nested_locate(&guest.registers, &guest.nested, guest.linear, &walk));
    assert_int_equal(walk.fault, MMU_FAULT_SECOND_STAGE);
    assert_true(walk.valid);
    assert_int_equal(walk.guest_phys, 0x9678);
    assert_int_equal(guest.nested.last.guest_phys, 0x9678);
}

static void without_ept_guest_physical_is_host_physical(void **state)
{
    (void)state;
    const struct mmu_access want = {.kind = MMU_ACCESS_WRITE};
    struct path path = {.mode = M4};
    struct cells cells = {.count = 0};
    struct mmu_registers registers = path_registers(&path);
    struct nested nested = {.host = cells_memory(&cells)};
    struct mmu_walk walk;
    path_put(&path, &cells);

    assert_true(nested_locate(&registers, &nested, path_linear(&path), &walk));
    assert_int_equal(nested.last.host_phys, 0x9678);
    assert_int_equal(walk.contiguous, 0x1000 - 0x678);
    assert_true(nested_access(&registers, &nested, path_linear(&path), &want, &walk));
    assert_int_equal(nested.last.host_phys, 0x9678);
    assert_int_equal(nested.num_updates, 0);
    assert_false(nested.stopped);
    registers.cr0 &= ~MMU_CR0_PG;
    registers.efer = 0;
    assert_true(nested_locate(&registers, &nested, 0, &walk));
    assert_int_equal(walk.contiguous, BIT(32));
}

// The host's memory fails behind a translation, or the EPT cannot be read.
static void memory_that_cannot_be_read_is_told_from_a_stage_that_stops(void **state)
{
    (void)state;
    const struct path path = {.mode = M4};
    const uint64_t rights[MMU_MAX_LEVELS + 1] = {0};
    struct guest guest;
    struct mmu_walk walk;

    guest_build(&guest, &path, rights);
    guest.cells.unreadable_from = HOST(0);
    assert_false(nested_locate(&guest.registers, &guest.nested, guest.linear, &walk));
    assert_int_equal(walk.fault, MMU_FAULT_UNREADABLE);
    assert_false(guest.nested.stopped);

    guest.cells.unreadable_from = EPT_TABLE(2);
    assert_false(nested_locate(&guest.registers, &guest.nested, guest.linear, &walk));
    assert_int_equal(walk.fault, MMU_FAULT_SECOND_STAGE);
    assert_int_equal(guest.nested.last.fault, EPT_FAULT_UNREADABLE);
    assert_int_equal(ept_fault_exit(guest.nested.last.fault), EPT_EXIT_NONE);
}

static void a_guest_of_52_bits_can_mean_more_than_ept_translates(void **state)
{
    (void)state;
    const struct mmu_access want = {.kind = MMU_ACCESS_WRITE};
    const struct path path = {.mode = M4, .entry[1] = BIT(48) | PAGE_PHYS | P | RW | US};
    const uint64_t rights[MMU_MAX_LEVELS + 1] = {0};
    struct guest guest;
    struct mmu_walk walk;
    guest_build(&guest, &path, rights);
    guest.registers.max_phys_bits = 52;

    assert_false(nested_access(&guest.registers, &guest.nested, guest.linear, &want, &walk));

    assert_int_equal(walk.fault, MMU_FAULT_SECOND_STAGE);
    assert_int_equal(guest.nested.last.fault, EPT_FAULT_WIDTH);
    assert_int_equal(guest.nested.last.guest_phys, BIT(48) | 0x9678);
    assert_int_equal(guest.nested.last.qualification, 0x782);
}

static void set_entry(struct guest *guest, const struct mmu_update *update)
{
    for (size_t i = 0; i < guest->cells.count; i++) {
        if (guest->cells.cell[i].guest_phys == update->guest_phys) {
            guest->cells.cell[i].value |= update->set;
            return;
        }
    }
    fail_msg("an update of an entry that is not there");
}

// SDM 3C, "Accessed and Dirty Flags for EPT": the guest's tables become dirty, its page by a write.
static void flags_of_the_ept_are_an_answer(void **state)
{
    (void)state;
    const struct mmu_access read = {.kind = MMU_ACCESS_READ};
    const struct mmu_access write = {.kind = MMU_ACCESS_WRITE};
    const struct path path = {.mode = M5};
    const uint64_t rights[MMU_MAX_LEVELS + 1] = {0};
    struct guest guest;
    struct mmu_walk walk;
    guest_build(&guest, &path, rights);
    guest.ept.eptp |= EPT_POINTER_AD;

    assert_true(nested_access(&guest.registers, &guest.nested, guest.linear, &read, &walk));
    // Five tables, read and then written for the guest's own flags, and the page.
    assert_int_equal(guest.nested.num_updates, (5 + 5 + 1) * 4);
    for (size_t i = 0; i < guest.nested.num_updates; i++) {
        bool dirties = i % 4 == 3 && i < 40;
        assert_int_equal(guest.nested.updates[i].set, dirties ? EA | ED : EA);
        set_entry(&guest, &guest.nested.updates[i]);
    }
    assert_true(nested_access(&guest.registers, &guest.nested, guest.linear, &read, &walk));
    assert_int_equal(guest.nested.num_updates, 0);
    assert_true(nested_access(&guest.registers, &guest.nested, guest.linear, &write, &walk));
    assert_int_equal(guest.nested.num_updates, 1);
    assert_int_equal(guest.nested.updates[0].set, ED);
    assert_int_equal(guest.nested.updates[0].guest_phys, EPT_TABLE(1) + UINT64_C(8) * 9);
}

// SDM 3A, "PDPTE Registers": MOV to CR3 reads them, as no walk does.
static void a_load_of_pdptes_is_translated_as_a_read_without_a_linear_address(void **state)
{
    (void)state;
    const struct mmu_access want = {.kind = MMU_ACCESS_READ};
    const struct path path = {.mode = MPAE};
    const uint64_t read_only[] = {0, 0, 0, ER, 0, 0};
    const uint64_t absent[] = {0, 0, 0, EABSENT, 0, 0};
    struct guest guest;
    struct mmu_walk walk;
    uint64_t pdpte[4] = {0};

    guest_build(&guest, &path, read_only);
    guest.ept.eptp |= EPT_POINTER_AD;
    assert_true(nested_load_pdptes(&guest.registers, &guest.nested, pdpte));
    assert_int_equal(pdpte[2], TABLE_PHYS(2) | P);
    assert_int_equal(guest.nested.num_updates, 4);
    assert_int_equal(guest.nested.updates[3].set, EA);

    guest_build(&guest, &path, absent);
    assert_false(nested_load_pdptes(&guest.registers, &guest.nested, guest.registers.pdpte));
    assert_true(guest.nested.stopped);
    assert_int_equal(guest.nested.last.fault, EPT_FAULT_NOT_PRESENT);
    assert_int_equal(guest.nested.last.qualification, 0x001);
    assert_int_equal(guest.nested.last.guest_phys, TABLE_PHYS(3));

    // Loaded ones are used without a look at where they came from.
    memcpy(guest.registers.pdpte, pdpte, sizeof(pdpte));
    guest.registers.pdptes_loaded = true;
    assert_true(nested_access(&guest.registers, &guest.nested, guest.linear, &want, &walk));

    // A reserved bit is #GP, which is the guest's affair.
    guest_build(&guest, &path, read_only);
    guest.cells.cell[0].value |= RW;
    assert_false(nested_load_pdptes(&guest.registers, &guest.nested, pdpte));
    assert_false(guest.nested.stopped);
}

static void what_reads_memory_reads_it_through_the_second_stage(void **state)
{
    (void)state;
    const struct path path = {.mode = M4, .linear = 0x3000};
    const uint64_t rights[MMU_MAX_LEVELS + 1] = {0};
    struct guest guest;
    uint8_t bytes[16];
    guest_build(&guest, &path, rights);
    struct mmu_memory memory = nested_memory(&guest.nested);
    // The next page of the linear space is the next of the guest's memory, but not of the host's.
    const uint64_t elsewhere[EPT_LEVELS + 1] = {[1] = 0x777000 | EWB | ERWX};
    cells_put(&guest.cells, HOST(TABLE_PHYS(1)) + UINT64_C(8) * 4, 0xA000 | P);
    ept_put(&guest.cells, 0xA000, elsewhere);
    cells_put(&guest.cells, HOST(PAGE_PHYS) + 0xFF8, UINT64_C(0x8877665544332211));
    cells_put(&guest.cells, 0x777000, UINT64_C(0x00FFEEDDCCBBAA99));

    assert_int_equal(mmu_read_linear(&guest.registers, &memory, 0x3FFC, bytes, 8), 8);
    assert_memory_equal(bytes, "\x55\x66\x77\x88\x99\xAA\xBB\xCC", 8);
    assert_false(guest.nested.stopped);

    assert_false(memory.read(memory.context, 0xAFF8, bytes, 16));
    assert_true(guest.nested.stopped);
    assert_int_equal(guest.nested.last.guest_phys, 0xB000);
    assert_true(memory.read(memory.context, 0xAFF8, bytes, 8));
    assert_false(guest.nested.stopped);
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rights_of_the_second_stage_do_not_bind_a_debugger),
        cmocka_unit_test(where_a_debugger_is_stopped_it_is_told),
        cmocka_unit_test(without_ept_guest_physical_is_host_physical),
        cmocka_unit_test(memory_that_cannot_be_read_is_told_from_a_stage_that_stops),
        cmocka_unit_test(a_guest_of_52_bits_can_mean_more_than_ept_translates),
        cmocka_unit_test(flags_of_the_ept_are_an_answer),
        cmocka_unit_test(a_load_of_pdptes_is_translated_as_a_read_without_a_linear_address),
        cmocka_unit_test(what_reads_memory_reads_it_through_the_second_stage),
    };
    RUN_ROWS(failures, "stops", stop_cases, check_stop);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
