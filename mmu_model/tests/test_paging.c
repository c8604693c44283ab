// May this access happen? One row per rule of rights, error code, and accessed and dirty flags.
// Every combination of the rights together is test_permissions.c.
#include "rows.h"

#include "tables.h"

#define KEY(n)        (UINT64_C(n) << 59)
#define ACCESS_OFF(n) (UINT32_C(1) << 2 * (n))
#define WRITES_OFF(n) (UINT32_C(2) << 2 * (n))

#define READ                                                                                       \
    {                                                                                              \
        .kind = MMU_ACCESS_READ                                                                    \
    }
#define WRITE                                                                                      \
    {                                                                                              \
        .kind = MMU_ACCESS_WRITE                                                                   \
    }
#define FETCH                                                                                      \
    {                                                                                              \
        .kind = MMU_ACCESS_FETCH                                                                   \
    }
#define USER_READ                                                                                  \
    {                                                                                              \
        .kind = MMU_ACCESS_READ, .user = true                                                      \
    }
#define USER_WRITE                                                                                 \
    {                                                                                              \
        .kind = MMU_ACCESS_WRITE, .user = true                                                     \
    }
#define USER_FETCH                                                                                 \
    {                                                                                              \
        .kind = MMU_ACCESS_FETCH, .user = true                                                     \
    }
#define IMPLICIT_READ                                                                              \
    {                                                                                              \
        .kind = MMU_ACCESS_READ, .implicit = true                                                  \
    }
#define IMPLICIT_WRITE                                                                             \
    {                                                                                              \
        .kind = MMU_ACCESS_WRITE, .implicit = true                                                 \
    }

struct access_case {
    const char *name;
    struct mmu_access want;
    uint64_t leaf;      // flags of the 4 KiB page's entry; 0: not present
    enum mmu_mode mode; // NONE: 4-level
    uint64_t cr0, cr4;  // set in addition
    uint64_t efer_clear, rflags;
    uint32_t pkru, pkrs;
    enum mmu_fault fault;
    uint32_t code;
};

// clang-format off
static struct access_case cases[] = {
    // SDM 3A, "Access Rights".
    {"supervisor reads a supervisor page", READ, .leaf = P},
    {"supervisor reads a user page", READ, .leaf = P | US},
    {"supervisor writes a read-only page without WP", WRITE, .leaf = P},
    {"supervisor writes a read-only page with WP", WRITE, .leaf = P, .cr0 = MMU_CR0_WP,
     .fault = MMU_FAULT_READ_ONLY, .code = 0x03},
    {"supervisor writes a writable page with WP", WRITE, .leaf = P | RW, .cr0 = MMU_CR0_WP},
    {"supervisor writes a read-only user page with WP", WRITE, .leaf = P | US, .cr0 = MMU_CR0_WP,
     .fault = MMU_FAULT_READ_ONLY, .code = 0x03},
    {"user reads a user page", USER_READ, .leaf = P | US},
    {"user reads a supervisor page", USER_READ, .leaf = P,
     .fault = MMU_FAULT_SUPERVISOR_PAGE, .code = 0x05},
    {"user writes a writable user page", USER_WRITE, .leaf = P | US | RW},
    {"user writes a read-only user page", USER_WRITE, .leaf = P | US,
     .fault = MMU_FAULT_READ_ONLY, .code = 0x07},
    {"user writes a writable supervisor page", USER_WRITE, .leaf = P | RW,
     .fault = MMU_FAULT_SUPERVISOR_PAGE, .code = 0x07},
    {"user fetches from a user page", USER_FETCH, .leaf = P | US},
    {"user fetches from a supervisor page", USER_FETCH, .leaf = P,
     .fault = MMU_FAULT_SUPERVISOR_PAGE, .code = 0x15},
    {"user fetches from an NX page", USER_FETCH, .leaf = P | US | NX,
     .fault = MMU_FAULT_NO_EXECUTE, .code = 0x15},
    {"supervisor fetches from an NX page", FETCH, .leaf = P | NX,
     .fault = MMU_FAULT_NO_EXECUTE, .code = 0x11},
    {"a read of an NX page", READ, .leaf = P | NX},
    {"SMEP: supervisor fetches from a user page", FETCH, .leaf = P | US, .cr4 = MMU_CR4_SMEP,
     .fault = MMU_FAULT_SMEP, .code = 0x11},
    {"SMEP: supervisor fetches from a supervisor page", FETCH, .leaf = P, .cr4 = MMU_CR4_SMEP},
    {"SMEP: user fetches from a user page", USER_FETCH, .leaf = P | US, .cr4 = MMU_CR4_SMEP},
    {"SMEP: supervisor reads a user page", READ, .leaf = P | US, .cr4 = MMU_CR4_SMEP},
    {"SMAP: supervisor reads a user page", READ, .leaf = P | US, .cr4 = MMU_CR4_SMAP,
     .fault = MMU_FAULT_SMAP, .code = 0x01},
    {"SMAP: supervisor writes a user page", WRITE, .leaf = P | US | RW, .cr4 = MMU_CR4_SMAP,
     .fault = MMU_FAULT_SMAP, .code = 0x03},
    {"SMAP: with AC the supervisor reads a user page", READ, .leaf = P | US, .cr4 = MMU_CR4_SMAP,
     .rflags = MMU_RFLAGS_AC},
    {"SMAP: AC does not help against a read-only page", WRITE, .leaf = P | US,
     .cr0 = MMU_CR0_WP, .cr4 = MMU_CR4_SMAP, .rflags = MMU_RFLAGS_AC,
     .fault = MMU_FAULT_READ_ONLY, .code = 0x03},
    {"SMAP: AC does not help an implicit read", IMPLICIT_READ, .leaf = P | US, .cr4 = MMU_CR4_SMAP,
     .rflags = MMU_RFLAGS_AC, .fault = MMU_FAULT_SMAP, .code = 0x01},
    {"SMAP: AC does not help an implicit write", IMPLICIT_WRITE, .leaf = P | US | RW,
     .cr4 = MMU_CR4_SMAP, .rflags = MMU_RFLAGS_AC, .fault = MMU_FAULT_SMAP, .code = 0x03},
    {"SMAP: an implicit read of a supervisor page", IMPLICIT_READ, .leaf = P, .cr4 = MMU_CR4_SMAP},
    {"SMAP: supervisor fetches from a user page", FETCH, .leaf = P | US, .cr4 = MMU_CR4_SMAP},
    {"SMAP: user reads a user page", USER_READ, .leaf = P | US, .cr4 = MMU_CR4_SMAP},

    // SDM 3A, "Page-Fault Exceptions".
    {"not present, read", READ, .leaf = 0, .fault = MMU_FAULT_NOT_PRESENT, .code = 0x00},
    {"not present, user write", USER_WRITE, .leaf = 0, .fault = MMU_FAULT_NOT_PRESENT,
     .code = 0x06},
    {"not present, user fetch with NXE", USER_FETCH, .leaf = 0,
     .fault = MMU_FAULT_NOT_PRESENT, .code = 0x14},
    {"not present, fetch without NXE and SMEP", FETCH, .leaf = 0, .efer_clear = MMU_EFER_NXE,
     .fault = MMU_FAULT_NOT_PRESENT, .code = 0x00},
    {"not present, fetch with SMEP alone", FETCH, .leaf = 0, .efer_clear = MMU_EFER_NXE,
     .cr4 = MMU_CR4_SMEP, .fault = MMU_FAULT_NOT_PRESENT, .code = 0x10},
    {"NXE does not report a fetch with 32-bit paging", FETCH, .leaf = 0, .mode = M32,
     .fault = MMU_FAULT_NOT_PRESENT, .code = 0x00},
    {"SMEP reports a fetch with 32-bit paging", USER_FETCH, .leaf = P, .mode = M32,
     .cr4 = MMU_CR4_SMEP,
     .fault = MMU_FAULT_SUPERVISOR_PAGE, .code = 0x15},
    {"NXE reports a fetch with PAE paging", FETCH, .leaf = P | NX, .mode = MPAE,
     .fault = MMU_FAULT_NO_EXECUTE, .code = 0x11},
    {"a reserved bit, user write", USER_WRITE, .leaf = P | BIT(46),
     .fault = MMU_FAULT_RESERVED_BIT, .code = 0x0F},
    {"a reserved bit goes before a missing right", USER_READ, .leaf = P | BIT(51),
     .fault = MMU_FAULT_RESERVED_BIT, .code = 0x0D},
    {"NX without NXE is a reserved bit", FETCH, .leaf = P | NX, .efer_clear = MMU_EFER_NXE,
     .fault = MMU_FAULT_RESERVED_BIT, .code = 0x09},
    {"an implicit access is reported as the supervisor's", IMPLICIT_WRITE, .leaf = 0,
     .fault = MMU_FAULT_NOT_PRESENT, .code = 0x02},

    // SDM 3A, "Protection Keys".
    {"PKU: a key without access", USER_READ, .leaf = P | US | KEY(3), .cr4 = MMU_CR4_PKE,
     .pkru = ACCESS_OFF(3), .fault = MMU_FAULT_PROTECTION_KEY, .code = 0x25},
    {"PKU: another key without access", USER_READ, .leaf = P | US | KEY(3), .cr4 = MMU_CR4_PKE,
     .pkru = ~ACCESS_OFF(3)},
    {"PKU: key 15", USER_READ, .leaf = P | US | KEY(15), .cr4 = MMU_CR4_PKE, .pkru = ACCESS_OFF(15),
     .fault = MMU_FAULT_PROTECTION_KEY, .code = 0x25},
    {"PKU: the key is ignored without PKE", USER_READ, .leaf = P | US | KEY(3), .pkru = UINT32_MAX},
    {"PKU: the supervisor is bound on user pages", READ, .leaf = P | US | KEY(3),
     .cr4 = MMU_CR4_PKE,
     .pkru = ACCESS_OFF(3), .fault = MMU_FAULT_PROTECTION_KEY, .code = 0x21},
    {"PKU: a supervisor page is free", READ, .leaf = P | KEY(3), .cr4 = MMU_CR4_PKE,
     .pkru = UINT32_MAX},
    {"PKU: a fetch is free", USER_FETCH, .leaf = P | US | KEY(3), .cr4 = MMU_CR4_PKE,
     .pkru = UINT32_MAX},
    {"PKU: writes off, read", USER_READ, .leaf = P | US | KEY(3), .cr4 = MMU_CR4_PKE,
     .pkru = WRITES_OFF(3)},
    {"PKU: writes off, user write", USER_WRITE, .leaf = P | US | RW | KEY(3), .cr4 = MMU_CR4_PKE,
     .pkru = WRITES_OFF(3), .fault = MMU_FAULT_PROTECTION_KEY, .code = 0x27},
    {"PKU: writes off, supervisor write without WP", WRITE, .leaf = P | US | RW | KEY(3),
     .cr4 = MMU_CR4_PKE, .pkru = WRITES_OFF(3)},
    {"PKU: writes off, supervisor write with WP", WRITE, .leaf = P | US | RW | KEY(3),
     .cr0 = MMU_CR0_WP, .cr4 = MMU_CR4_PKE, .pkru = WRITES_OFF(3),
     .fault = MMU_FAULT_PROTECTION_KEY, .code = 0x23},
    {"PK is reported beside a read-only page", USER_WRITE, .leaf = P | US | KEY(1),
     .cr4 = MMU_CR4_PKE,
     .pkru = WRITES_OFF(1), .fault = MMU_FAULT_READ_ONLY, .code = 0x27},
    {"PK is not reported for a page that is not present", USER_READ, .leaf = 0, .cr4 = MMU_CR4_PKE,
     .pkru = UINT32_MAX, .fault = MMU_FAULT_NOT_PRESENT, .code = 0x04},
    {"PK is not reported for a reserved bit", USER_READ, .leaf = P | US | BIT(50),
     .cr4 = MMU_CR4_PKE,
     .pkru = UINT32_MAX, .fault = MMU_FAULT_RESERVED_BIT, .code = 0x0D},
    {"PKS: a key without access", READ, .leaf = P | KEY(2), .cr4 = MMU_CR4_PKS,
     .pkrs = ACCESS_OFF(2), .fault = MMU_FAULT_PROTECTION_KEY, .code = 0x21},
    {"PKS: an implicit access is bound", IMPLICIT_READ, .leaf = P | KEY(2), .cr4 = MMU_CR4_PKS,
     .pkrs = ACCESS_OFF(2), .fault = MMU_FAULT_PROTECTION_KEY, .code = 0x21},
    {"PKS: a user page is free", READ, .leaf = P | US | KEY(2), .cr4 = MMU_CR4_PKS,
     .pkrs = UINT32_MAX},
    {"PKS: writes off, without WP", WRITE, .leaf = P | RW | KEY(2), .cr4 = MMU_CR4_PKS,
     .pkrs = WRITES_OFF(2)},
    {"PKS: writes off, with WP", WRITE, .leaf = P | RW | KEY(2), .cr0 = MMU_CR0_WP,
     .cr4 = MMU_CR4_PKS,
     .pkrs = WRITES_OFF(2), .fault = MMU_FAULT_PROTECTION_KEY, .code = 0x23},
    {"PKS: the key is ignored without PKS", READ, .leaf = P | KEY(2), .cr4 = MMU_CR4_PKE,
     .pkrs = UINT32_MAX},
    {"keys exist in IA-32e mode only", USER_READ, .leaf = P | US, .mode = M32, .cr4 = MMU_CR4_PKE,
     .pkru = UINT32_MAX},
};
// clang-format on

static void check_access(void **state)
{
    const struct access_case *c = *state;
    struct path path = {.mode = c->mode == MMU_MODE_NONE ? M4 : c->mode};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    struct mmu_walk walk;
    path.entry[1] = 0x9000 | (c->leaf != 0 ? c->leaf : ABSENT);
    path_put(&path, &cells);
    registers.cr0 |= c->cr0;
    registers.cr4 |= c->cr4;
    registers.efer &= ~c->efer_clear;
    registers.rflags = c->rflags;
    registers.pkru = c->pkru;
    registers.pkrs = c->pkrs;

    bool allowed = mmu_access(&registers, &memory, path_linear(&path), &c->want, &walk);

    assert_int_equal(walk.fault, c->fault);
    assert_int_equal(allowed, c->fault == MMU_FAULT_NONE);
    assert_int_equal(walk.error_code, c->code);
    bool present = c->fault != MMU_FAULT_NOT_PRESENT && c->fault != MMU_FAULT_RESERVED_BIT;
    assert_int_equal(walk.valid, present);
    assert_int_equal(walk.guest_phys, present ? 0x9678 : 0);
}

// SDM 3A, "Accessed and Dirty Flags".
struct update_case {
    const char *name;
    struct mmu_access want;
    struct path path;
    size_t count;
    uint64_t set[MMU_MAX_LEVELS]; // in the order of the entries that need any
};

// clang-format off
static struct update_case update_cases[] = {
    {"4-level: a read sets A everywhere", READ, {.mode = M4}, 4, {A, A, A, A}},
    {"4-level: a fetch sets A everywhere", FETCH, {.mode = M4}, 4, {A, A, A, A}},
    {"4-level: a write sets D in the leaf too", WRITE, {.mode = M4}, 4, {A, A, A, A | D}},
    {"4-level: what is set is not set again", WRITE,
     {M4, .entry[4] = TABLE_PHYS(3) | P | RW | A, .entry[1] = 0x9000 | P | RW | A},
     3, {A, A, D}},
    {"4-level: a dirty page needs nothing", WRITE,
     {M4, .entry[4] = TABLE_PHYS(3) | P | RW | A, .entry[3] = TABLE_PHYS(2) | P | RW | A,
      .entry[2] = TABLE_PHYS(1) | P | RW | A, .entry[1] = 0x9000 | P | RW | A | D}, 0, {0}},
    {"4-level: the leaf of a 2 MiB page is its PDE", WRITE,
     {M4, .entry[2] = 0x200000 | P | RW | PS}, 3, {A, A, A | D}},
    {"4-level: D of a link is ignored", WRITE,
     {M4, .entry[2] = TABLE_PHYS(1) | P | RW | D}, 4, {A, A, A, A | D}},
    {"PAE: a PDPTE has no A", WRITE, {.mode = MPAE}, 2, {A, A | D}},
    {"32-bit: both levels", WRITE, {.mode = M32}, 2, {A, A | D}},
    {"32-bit: a 4 MiB page", WRITE, {M32, .entry[2] = 0x400000 | P | RW | PS}, 1, {A | D}},
    {"no paging: nothing to set", WRITE, {.mode = MMU_MODE_NONE}, 0, {0}},
};
// clang-format on

static void check_updates(void **state)
{
    const struct update_case *c = *state;
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&c->path);
    struct mmu_update updates[MMU_MAX_LEVELS];
    struct mmu_walk walk;
    path_put(&c->path, &cells);

    assert_true(mmu_access(&registers, &memory, path_linear(&c->path), &c->want, &walk));
    size_t count = mmu_updates(&walk, &c->want, updates);

    assert_int_equal(count, c->count);
    for (size_t i = 0, entry = 0; i < count; i++, entry++) {
        while (entry < walk.num_entries && walk.entry_phys[entry] != updates[i].guest_phys) {
            entry++;
        }
        assert_true(entry < walk.num_entries);
        assert_int_equal(updates[i].set, c->set[i]);
        assert_int_equal(updates[i].set & walk.entries[entry], 0);
    }
}

static void faults_that_are_not_page_faults_have_no_error_code(void **state)
{
    (void)state;
    struct path path = {.mode = M4};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    struct mmu_access want = USER_WRITE;
    struct mmu_walk walk;
    path_put(&path, &cells);

    assert_false(mmu_access(&registers, &memory, UINT64_C(1) << 47, &want, &walk));
    assert_int_equal(walk.fault, MMU_FAULT_NON_CANONICAL);
    assert_false(mmu_fault_is_page_fault(walk.fault));
    assert_int_equal(walk.error_code, 0);
}

static void without_paging_every_access_may_happen(void **state)
{
    (void)state;
    struct mmu_registers registers = {
        .cr0 = MMU_CR0_PE | MMU_CR0_WP, .max_phys_bits = 46, .cr4 = MMU_CR4_SMAP | MMU_CR4_SMEP};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_access want = USER_FETCH;
    struct mmu_walk walk;

    assert_true(mmu_access(&registers, &memory, 0xFFFFFFFF, &want, &walk));
    assert_int_equal(walk.guest_phys, 0xFFFFFFFF);
    want = (struct mmu_access)WRITE;
    assert_true(mmu_access(&registers, &memory, 0, &want, &walk));
}

// SDM 3A, "PDPTE Registers": the CPU translates with what MOV CR3 loaded.
static void the_cpu_uses_its_loaded_pdptes_and_the_debugger_those_in_memory(void **state)
{
    (void)state;
    struct path path = {.mode = MPAE};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    struct mmu_access want = READ;
    struct mmu_walk walk;
    path_put(&path, &cells);
    registers.pdptes_loaded = true;

    assert_true(mmu_locate(&registers, &memory, path_linear(&path), &walk));
    assert_false(mmu_access(&registers, &memory, path_linear(&path), &want, &walk));
    assert_int_equal(walk.fault, MMU_FAULT_NOT_PRESENT);
    assert_int_equal(walk.num_entries, 1);

    registers.pdpte[2] = TABLE_PHYS(2) | P;
    cells.cell[0].value = 0;
    assert_false(mmu_locate(&registers, &memory, path_linear(&path), &walk));
    assert_true(mmu_access(&registers, &memory, path_linear(&path), &want, &walk));
    registers.cr3 |= BIT(60); // no access looks at it any more
    assert_true(mmu_access(&registers, &memory, path_linear(&path), &want, &walk));
    registers.cr3 &= ~BIT(60);

    registers.pdptes_loaded = false;
    assert_false(mmu_access(&registers, &memory, path_linear(&path), &want, &walk));
}

static void a_linear_read_crosses_pages_and_stops_where_they_stop(void **state)
{
    (void)state;
    struct path path = {.mode = M4, .linear = 0x1FE000};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    uint8_t bytes[16];
    path.entry[1] = 0x9000 | P;
    path_put(&path, &cells);
    cells_put(&cells, TABLE_PHYS(1) + 0xFF8, 0x20000 | P);
    cells_put(&cells, 0x9FF8, UINT64_C(0x8877665544332211));
    cells_put(&cells, 0x20000, UINT64_C(0x00FFEEDDCCBBAA99));

    assert_int_equal(mmu_read_linear(&registers, &memory, 0x1FEFFC, bytes, 8), 8);
    assert_memory_equal(bytes, "\x55\x66\x77\x88\x99\xAA\xBB\xCC", 8);
    assert_int_equal(mmu_read_linear(&registers, &memory, 0x1FFFF8, bytes, 16), 8);
    assert_int_equal(mmu_read_linear(&registers, &memory, 0x200000, bytes, 16), 0);
    assert_int_equal(mmu_read_linear(&registers, &memory, 0x200000, bytes, 0), 0);
    cells.unreadable_from = 0x20000;
    assert_int_equal(mmu_read_linear(&registers, &memory, 0x1FEFFC, bytes, 8), 4);
}

static void a_linear_read_does_not_wrap_at_2_to_64(void **state)
{
    (void)state;
    struct path low = {.mode = M4, .linear = 1};
    struct path high = {.mode = M4, .linear = UINT64_MAX};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&low);
    struct mmu_walk walk;
    uint8_t bytes[8];
    path_put(&low, &cells);
    path_put(&high, &cells);

    assert_true(mmu_locate(&registers, &memory, 0, &walk));
    assert_int_equal(mmu_read_linear(&registers, &memory, UINT64_MAX - 3, bytes, 8), 4);
}

static void an_entry_is_drawn_from_its_highest_bit_down(void **state)
{
    (void)state;
    char letters[MMU_LETTERS_SIZE];
    mmu_entry_letters(0, letters);
    assert_string_equal(letters, "----------");
    mmu_entry_letters(UINT64_MAX, letters);
    assert_string_equal(letters, "XGSDACTUWP");
    mmu_entry_letters(P | US | NX, letters);
    assert_string_equal(letters, "X------U-P");
}

static void every_fault_has_a_text(void **state)
{
    (void)state;
#define MMU_FAULT(name, page_fault, text)                                                          \
    assert_string_equal(mmu_fault_text(MMU_FAULT_##name), text);                                   \
    assert_int_equal(mmu_fault_is_page_fault(MMU_FAULT_##name), page_fault);
#include "mmu_model/faults.def"
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_that_are_not_page_faults_have_no_error_code),
        cmocka_unit_test(without_paging_every_access_may_happen),
        cmocka_unit_test(the_cpu_uses_its_loaded_pdptes_and_the_debugger_those_in_memory),
        cmocka_unit_test(a_linear_read_crosses_pages_and_stops_where_they_stop),
        cmocka_unit_test(a_linear_read_does_not_wrap_at_2_to_64),
        cmocka_unit_test(an_entry_is_drawn_from_its_highest_bit_down),
        cmocka_unit_test(every_fault_has_a_text),
    };
    RUN_ROWS(failures, "access", cases, check_access);
    RUN_ROWS(failures, "accessed and dirty", update_cases, check_updates);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
