// What comes before the first entry of a walk: the mode, the root, the width of the address, and
// the PDPTE registers.
#include "rows.h"

#include "tables.h"

struct edge_case {
    const char *name;
    enum mmu_mode mode;
    uint64_t linear, root_set, cr4_clear, efer_set;
    enum mmu_fault fault;
    uint64_t contiguous;
};

// clang-format off
static struct edge_case edge_cases[] = {
    {"no paging: linear is physical", MMU_MODE_NONE, 0x12345678, .contiguous = 0xEDCBA988},
    {"no paging: linear 0", MMU_MODE_NONE, 0, .contiguous = BIT(32)},
    {"no paging: linear 0xFFFFFFFF", MMU_MODE_NONE, 0xFFFFFFFF, .contiguous = 1},
    {"no paging: the root is ignored", MMU_MODE_NONE, 0x1000, .root_set = ~UINT64_C(0),
     .contiguous = 0xFFFFF000},
    {"no paging: linear 2^32", MMU_MODE_NONE, BIT(32), .fault = MMU_FAULT_BEYOND_4GIB,
     .contiguous = UINT64_C(0xFFFFFFFF00000000)},
    {"no paging: EFER.LME does nothing", MMU_MODE_NONE, 0x1000, .efer_set = MMU_EFER_LME,
     .contiguous = 0xFFFFF000},
    {"32-bit: linear 2^32", M32, BIT(32), .fault = MMU_FAULT_BEYOND_4GIB,
     .contiguous = UINT64_C(0xFFFFFFFF00000000)},
    {"PAE: linear 2^64 - 1", MPAE, UINT64_MAX, .fault = MMU_FAULT_BEYOND_4GIB, .contiguous = 1},
    {"4-level: first of the hole", M4, 0x0000800000000000, .fault = MMU_FAULT_NON_CANONICAL,
     .contiguous = UINT64_C(0xFFFF000000000000)},
    {"4-level: last of the hole", M4, 0xFFFF7FFFFFFFFFFF, .fault = MMU_FAULT_NON_CANONICAL,
     .contiguous = 1},
    {"5-level: first of the hole", M5, 0x0100000000000000, .fault = MMU_FAULT_NON_CANONICAL,
     .contiguous = UINT64_C(0xFE00000000000000)},
    {"5-level: last of the hole", M5, 0xFEFFFFFFFFFFFFFF, .fault = MMU_FAULT_NON_CANONICAL,
     .contiguous = 1},
    {"4-level: root bit MAXPHYADDR, lower half", M4, 0x1000, .root_set = BIT(46),
     .fault = MMU_FAULT_ROOT, .contiguous = UINT64_C(0xFFFFFFFFFFFFF000)},
    {"4-level: root bit 60, upper half", M4, 0xFFFF800000000000, .root_set = BIT(60),
     .fault = MMU_FAULT_ROOT, .contiguous = 0x800000000000},
    {"5-level: root bit 60", M5, 0x1000, .root_set = BIT(60), .fault = MMU_FAULT_ROOT,
     .contiguous = UINT64_C(0xFFFFFFFFFFFFF000)},
    {"PAE: root bit MAXPHYADDR", MPAE, 0x1000, .root_set = BIT(46), .fault = MMU_FAULT_ROOT,
     .contiguous = UINT64_C(0xFFFFFFFFFFFFF000)},
    {"32-bit: root bit 60", M32, 0, .root_set = BIT(60), .fault = MMU_FAULT_ROOT,
     .contiguous = UINT64_MAX},
    {"a bad root is found before a non-canonical address", M4, 0x0000800000000000,
     .root_set = BIT(60), .fault = MMU_FAULT_ROOT, .contiguous = UINT64_C(0xFFFF800000000000)},
    {"a bad root is found before an address of 33 bits", M32, BIT(32), .root_set = BIT(60),
     .fault = MMU_FAULT_ROOT, .contiguous = UINT64_C(0xFFFFFFFF00000000)},
    {"IA-32e mode without PAE", M4, 0x1000, .cr4_clear = MMU_CR4_PAE, .fault = MMU_FAULT_MODE,
     .contiguous = UINT64_C(0xFFFFFFFFFFFFF000)},
    {"EFER.LME with paging and without PAE", M32, 0, .efer_set = MMU_EFER_LME,
     .fault = MMU_FAULT_MODE, .contiguous = UINT64_MAX},
    {"EFER.LMA without paging and without PAE", MMU_MODE_NONE, 0, .efer_set = MMU_EFER_LMA,
     .fault = MMU_FAULT_MODE, .contiguous = UINT64_MAX},
};
// clang-format on

static void check_edge(void **state)
{
    const struct edge_case *c = *state;
    struct path path = {.mode = c->mode};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    registers.cr3 |= c->root_set;
    registers.cr4 &= ~(c->cr4_clear | (c->efer_set != 0 ? MMU_CR4_PAE : 0));
    registers.efer |= c->efer_set;
    struct mmu_walk walk;

    bool valid = mmu_locate(&registers, &memory, c->linear, &walk);

    assert_int_equal(walk.fault, c->fault);
    assert_int_equal(valid, c->fault == MMU_FAULT_NONE);
    assert_int_equal(walk.valid, valid);
    assert_int_equal(walk.mode, c->fault == MMU_FAULT_MODE ? MMU_MODE_NONE : c->mode);
    assert_int_equal(walk.guest_phys, valid ? c->linear : 0);
    assert_int_equal(walk.contiguous, c->contiguous);
    assert_int_equal(walk.num_entries, 0);
    assert_int_equal(walk.last_valid_entry, MMU_NO_ENTRY);
    assert_int_equal(walk.level, 0);
    assert_int_equal(cells.num_reads, 0);
}

struct mode_case {
    const char *name;
    uint64_t cr0, cr4, efer;
    bool named;
    enum mmu_mode mode;
};

static struct mode_case mode_cases[] = {
    {"CR0.PG 0 is no paging", 0, 0, 0, true, MMU_MODE_NONE},
    {"CR0.PG 0 with every other bit is no paging", 0, MMU_CR4_PAE | MMU_CR4_LA57,
     MMU_EFER_LME | MMU_EFER_LMA, true, MMU_MODE_NONE},
    {"PG alone is 32-bit paging", MMU_CR0_PG, 0, 0, true, M32},
    {"LA57 without IA-32e mode is 32-bit paging", MMU_CR0_PG, MMU_CR4_LA57, 0, true, M32},
    {"PG and PAE is PAE paging", MMU_CR0_PG, MMU_CR4_PAE, 0, true, MPAE},
    {"LA57 without IA-32e mode is PAE paging", MMU_CR0_PG, MMU_CR4_PAE | MMU_CR4_LA57, 0, true,
     MPAE},
    {"PG, PAE and LME is 4-level paging", MMU_CR0_PG, MMU_CR4_PAE, MMU_EFER_LME, true, M4},
    {"PG, PAE and LMA is 4-level paging", MMU_CR0_PG, MMU_CR4_PAE, MMU_EFER_LMA, true, M4},
    {"with LA57 it is 5-level paging", MMU_CR0_PG, MMU_CR4_PAE | MMU_CR4_LA57,
     MMU_EFER_LME | MMU_EFER_LMA, true, M5},
    {"PG and LME without PAE is no mode", MMU_CR0_PG, 0, MMU_EFER_LME, false, MMU_MODE_NONE},
    {"LMA without PAE is no mode", 0, 0, MMU_EFER_LMA, false, MMU_MODE_NONE},
};

static void check_mode(void **state)
{
    const struct mode_case *c = *state;
    struct mmu_registers registers = {.cr0 = c->cr0, .cr4 = c->cr4, .efer = c->efer};
    enum mmu_mode mode;

    assert_int_equal(mmu_mode_of(&registers, &mode), c->named);
    assert_int_equal(mode, c->mode);
}

static void canonical_means_that_the_upper_bits_are_equal(void **state)
{
    (void)state;
    assert_true(mmu_is_canonical(0, 48));
    assert_true(mmu_is_canonical(0x00007FFFFFFFFFFF, 48));
    assert_false(mmu_is_canonical(0x0000800000000000, 48));
    assert_false(mmu_is_canonical(0xFFFF7FFFFFFFFFFF, 48));
    assert_true(mmu_is_canonical(0xFFFF800000000000, 48));
    assert_true(mmu_is_canonical(UINT64_MAX, 48));
    assert_true(mmu_is_canonical(0x0000800000000000, 57));
    assert_true(mmu_is_canonical(0x00FFFFFFFFFFFFFF, 57));
    assert_false(mmu_is_canonical(0x0100000000000000, 57));
    assert_false(mmu_is_canonical(0xFEFFFFFFFFFFFFFF, 57));
    assert_true(mmu_is_canonical(0xFF00000000000000, 57));
}

// SDM 3A, "PDPTE Registers".
static void loading_pdptes_checks_the_present_ones(void **state)
{
    (void)state;
    struct path path = {.mode = MPAE};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    uint64_t pdpte[4] = {7, 7, 7, 7};

    cells_put(&cells, TABLE_PHYS(3), TABLE_PHYS(2) | P);
    cells_put(&cells, TABLE_PHYS(3) + 8, ~P);
    cells_put(&cells, TABLE_PHYS(3) + 24, TABLE_PHYS(2) | RW | P);
    assert_false(mmu_load_pdptes(&registers, &memory, pdpte));
    assert_int_equal(pdpte[0], 7);

    cells.cell[2].value = TABLE_PHYS(2) | P;
    assert_true(mmu_load_pdptes(&registers, &memory, pdpte));
    assert_int_equal(pdpte[0], TABLE_PHYS(2) | P);
    assert_int_equal(pdpte[1], ~P);
    assert_int_equal(pdpte[2], 0);

    cells.unreadable_from = TABLE_PHYS(3);
    assert_false(mmu_load_pdptes(&registers, &memory, pdpte));
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_means_that_the_upper_bits_are_equal),
        cmocka_unit_test(loading_pdptes_checks_the_present_ones),
    };
    RUN_ROWS(failures, "edges", edge_cases, check_edge);
    RUN_ROWS(failures, "modes", mode_cases, check_mode);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
