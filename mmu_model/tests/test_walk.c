// Where is it? One row per rule of presence, reserved bits, page sizes and the root's ignored bits.
#include "rows.h"

#include "tables.h"

struct walk_case {
    const char *name;
    struct path path;
    uint64_t cr4_clear, efer_clear, root_set; // changes to path_registers
    uint8_t phys_bits;                        // 0: 46
    bool no_1gib_pages;
    enum mmu_fault fault;
    unsigned level; // where the walk ends; 0: 1, the page table
    uint64_t phys;  // when there is no fault
};

// clang-format off
static struct walk_case cases[] = {
    // 4-level: page sizes. SDM 3A, "4-Level Paging and 5-Level Paging".
    {"4-level: a 4 KiB page", {M4, .entry[1] = 0x9000 | P}, .phys = 0x9678},
    {"4-level: a 2 MiB page", {M4, .entry[2] = 0x40200000 | PS | P}, .level = 2,
     .phys = 0x4034E678},
    {"4-level: a 1 GiB page", {M4, .entry[3] = 0x1C0000000 | PS | P}, .level = 3,
     .phys = 0x1F3D4E678},
    {"4-level: a 4 KiB page has PAT in bit 7", {M4, .entry[1] = 0x9000 | PS | P}, .phys = 0x9678},
    {"4-level: a 2 MiB page has PAT in bit 12", {M4, .entry[2] = 0x201000 | PS | P}, .level = 2,
     .phys = 0x34E678},
    {"4-level: a 1 GiB page has PAT in bit 12", {M4, .entry[3] = 0x40001000 | PS | P}, .level = 3,
     .phys = 0x73D4E678},
    {"4-level: every physical bit below MAXPHYADDR is used", {M4, .entry[1] = 0x3FFFFFFFF000 | P},
     .phys = 0x3FFFFFFFF678},
    {"4-level: every physical bit of 52", {M4, .entry[1] = 0xFFFFFFFFFF000 | P}, .phys_bits = 52,
     .phys = 0xFFFFFFFFFF678},
    {"4-level: every physical bit of a 2 MiB page", {M4, .entry[2] = 0xFFFFFFFE00000 | PS | P},
     .phys_bits = 52, .level = 2, .phys = 0xFFFFFFFF4E678},
    {"4-level: every physical bit of a 1 GiB page", {M4, .entry[3] = 0xFFFFFC0000000 | PS | P},
     .phys_bits = 52, .level = 3, .phys = 0xFFFFFF3D4E678},
    {"4-level: bits 62:52 are ignored", {M4, .entry[1] = 0x7FF0000000009000 | P}, .phys = 0x9678},
    {"4-level: bits 11:9 are ignored", {M4, .entry[1] = 0x9E00 | P}, .phys = 0x9678},
    {"4-level: bits 11:8 and 6 of a link are ignored", {M4, .entry[4] = TABLE_PHYS(3) | 0xF40 | P},
     .phys = 0x9678},
    {"4-level: the upper half translates", {M4, .linear = 0xFFFFFA5CB3D4E678,
     .entry[1] = 0x9000 | P}, .phys = 0x9678},
    {"4-level: the last byte of the lower half", {M4, .linear = 0x00007FFFFFFFFFFF,
     .entry[1] = 0x9000 | P}, .phys = 0x9FFF},
    {"4-level: the first byte of the upper half", {M4, .linear = 0xFFFF800000000000,
     .entry[1] = 0x9000 | P}, .phys = 0x9000},
    {"4-level: the last byte of all", {M4, .linear = 0xFFFFFFFFFFFFFFFF, .entry[1] = 0x9000 | P},
     .phys = 0x9FFF},

    // 4-level: presence.
    {"4-level: PML4E not present", {M4, .entry[4] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT,
     .level = 4},
    {"4-level: PDPTE not present", {M4, .entry[3] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT,
     .level = 3},
    {"4-level: PDE not present", {M4, .entry[2] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT,
     .level = 2},
    {"4-level: PTE not present", {M4, .entry[1] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT},
    {"4-level: a PTE not present may have any other bit set", {M4, .entry[1] = ~P},
     .fault = MMU_FAULT_NOT_PRESENT},

    // 4-level: reserved bits.
    {"4-level: PML4E with PS", {M4, .entry[4] = TABLE_PHYS(3) | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 4},
    {"4-level: PML4E with bit MAXPHYADDR", {M4, .entry[4] = TABLE_PHYS(3) | BIT(46) | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 4},
    {"4-level: PDPTE with bit 51", {M4, .entry[3] = TABLE_PHYS(2) | BIT(51) | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"4-level: PDE with bit 51", {M4, .entry[2] = TABLE_PHYS(1) | BIT(51) | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
    {"4-level: PTE with bit MAXPHYADDR", {M4, .entry[1] = 0x9000 | BIT(46) | P},
     .fault = MMU_FAULT_RESERVED_BIT},
    {"4-level: PTE with bit MAXPHYADDR - 1", {M4, .entry[1] = 0x9000 | BIT(45) | P},
     .phys = BIT(45) | 0x9678},
    {"4-level: PTE with bit 36 of 36", {M4, .entry[1] = 0x9000 | BIT(36) | P}, .phys_bits = 36,
     .fault = MMU_FAULT_RESERVED_BIT},
    {"4-level: PTE with bit 35 of 36", {M4, .entry[1] = 0x9000 | BIT(35) | P}, .phys_bits = 36,
     .phys = BIT(35) | 0x9678},
    {"4-level: PTE with bit 51 of 51", {M4, .entry[1] = 0x9000 | BIT(51) | P}, .phys_bits = 51,
     .fault = MMU_FAULT_RESERVED_BIT},
    {"4-level: 2 MiB page with bit 13", {M4, .entry[2] = 0x202000 | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
    {"4-level: 2 MiB page with bit 20", {M4, .entry[2] = 0x300000 | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
    {"4-level: 1 GiB page with bit 13", {M4, .entry[3] = 0x40002000 | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"4-level: 1 GiB page with bit 29", {M4, .entry[3] = 0x60000000 | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"4-level: 1 GiB page on a processor without them", {M4, .entry[3] = 0x40000000 | PS | P},
     .no_1gib_pages = true, .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"4-level: NX in a PTE", {M4, .entry[1] = 0x9000 | NX | P}, .phys = 0x9678},
    {"4-level: NX in a PTE without NXE", {M4, .entry[1] = 0x9000 | NX | P},
     .efer_clear = MMU_EFER_NXE, .fault = MMU_FAULT_RESERVED_BIT},
    {"4-level: NX in a PML4E without NXE", {M4, .entry[4] = TABLE_PHYS(3) | NX | P},
     .efer_clear = MMU_EFER_NXE, .fault = MMU_FAULT_RESERVED_BIT, .level = 4},

    // Roots. SDM 3A, tables "Use of CR3".
    {"4-level: the root's bits 11:0 and 63:61 are ignored", {.mode = M4},
     .root_set = UINT64_C(0xE000000000000FFF), .phys = 0x9678},
    {"5-level: the root's bits 11:0 and 63:61 are ignored", {.mode = M5},
     .root_set = UINT64_C(0xE000000000000FFF), .phys = 0x9678},
    {"PAE: the root's bits 4:0 and 63:61 are ignored", {.mode = MPAE},
     .root_set = UINT64_C(0xE00000000000001F), .phys = 0x9678},
    {"32-bit: the root's bits 11:0 and 63:61 are ignored", {.mode = M32},
     .root_set = UINT64_C(0xE000000000000FFF), .phys = 0x9678},
    {"PAE: the root's bits from 32 below MAXPHYADDR are ignored", {.mode = MPAE},
     .root_set = UINT64_C(0x3FFF00000000), .phys = 0x9678},
    {"32-bit: the root's bits from 32 below MAXPHYADDR are ignored", {.mode = M32},
     .root_set = UINT64_C(0x3FFF00000000), .phys = 0x9678},

    // 5-level.
    {"5-level: a 4 KiB page", {M5, .entry[1] = 0x9000 | P}, .phys = 0x9678},
    {"5-level: a 2 MiB page", {M5, .entry[2] = 0x40200000 | PS | P}, .level = 2,
     .phys = 0x4034E678},
    {"5-level: a 1 GiB page", {M5, .entry[3] = 0x1C0000000 | PS | P}, .level = 3,
     .phys = 0x1F3D4E678},
    {"5-level: PML5E not present", {M5, .entry[5] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT,
     .level = 5},
    {"5-level: PML4E not present", {M5, .entry[4] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT,
     .level = 4},
    {"5-level: PML5E with PS", {M5, .entry[5] = TABLE_PHYS(4) | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 5},
    {"5-level: PML4E with PS", {M5, .entry[4] = TABLE_PHYS(3) | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 4},
    {"5-level: PML5E with bit MAXPHYADDR", {M5, .entry[5] = TABLE_PHYS(4) | BIT(46) | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 5},
    {"5-level: an address that 4 levels call non-canonical", {M5, .linear = 0x0000800000000000,
     .entry[1] = 0x9000 | P}, .phys = 0x9000},
    {"5-level: the last byte of the lower half", {M5, .linear = 0x00FFFFFFFFFFFFFF,
     .entry[1] = 0x9000 | P}, .phys = 0x9FFF},
    {"5-level: the first byte of the upper half", {M5, .linear = 0xFF00000000000000,
     .entry[1] = 0x9000 | P}, .phys = 0x9000},

    // PAE. SDM 3A, "PAE Paging".
    {"PAE: a 4 KiB page", {MPAE, .entry[1] = 0x9000 | P}, .phys = 0x9678},
    {"PAE: a 2 MiB page", {MPAE, .entry[2] = 0x40200000 | PS | P}, .level = 2, .phys = 0x403CE678},
    {"PAE: every physical bit of 52", {MPAE, .entry[1] = 0xFFFFFFFFFF000 | P}, .phys_bits = 52,
     .phys = 0xFFFFFFFFFF678},
    {"PAE: the last byte of the space", {MPAE, .linear = 0xFFFFFFFF, .entry[1] = 0x9000 | P},
     .phys = 0x9FFF},
    {"PAE: PDPTE not present", {MPAE, .entry[3] = TABLE_PHYS(2)}, .fault = MMU_FAULT_NOT_PRESENT,
     .level = 3},
    {"PAE: PDE not present", {MPAE, .entry[2] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT,
     .level = 2},
    {"PAE: PTE not present", {MPAE, .entry[1] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT},
    {"PAE: PDPTE with RW", {MPAE, .entry[3] = TABLE_PHYS(2) | RW | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"PAE: PDPTE with US", {MPAE, .entry[3] = TABLE_PHYS(2) | US | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"PAE: PDPTE with bit 5", {MPAE, .entry[3] = TABLE_PHYS(2) | BIT(5) | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"PAE: PDPTE with PS", {MPAE, .entry[3] = TABLE_PHYS(2) | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"PAE: PDPTE with bit 8", {MPAE, .entry[3] = TABLE_PHYS(2) | BIT(8) | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"PAE: PDPTE with PWT, PCD and bits 11:9", {MPAE, .entry[3] = TABLE_PHYS(2) | 0xE18 | P},
     .phys = 0x9678},
    {"PAE: PDPTE with bit 63, NXE or not", {MPAE, .entry[3] = TABLE_PHYS(2) | NX | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"PAE: PDPTE with bit 62", {MPAE, .entry[3] = TABLE_PHYS(2) | BIT(62) | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 3},
    {"PAE: PDE with bit 62", {MPAE, .entry[2] = TABLE_PHYS(1) | BIT(62) | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
    {"PAE: PTE with bit 52", {MPAE, .entry[1] = 0x9000 | BIT(52) | P}, .phys_bits = 52,
     .fault = MMU_FAULT_RESERVED_BIT},
    {"PAE: PTE with bit MAXPHYADDR", {MPAE, .entry[1] = 0x9000 | BIT(46) | P},
     .fault = MMU_FAULT_RESERVED_BIT},
    {"PAE: 2 MiB page with bit 13", {MPAE, .entry[2] = 0x202000 | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
    {"PAE: 2 MiB page with bit 20", {MPAE, .entry[2] = 0x300000 | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
    {"PAE: NX in a PTE", {MPAE, .entry[1] = 0x9000 | NX | P}, .phys = 0x9678},
    {"PAE: NX in a PTE without NXE", {MPAE, .entry[1] = 0x9000 | NX | P},
     .efer_clear = MMU_EFER_NXE, .fault = MMU_FAULT_RESERVED_BIT},

    // 32-bit. SDM 3A, "32-Bit Paging". The linear address is 0x9A5CE678.
    {"32-bit: a 4 KiB page", {M32, .entry[1] = 0xFFFFF000 | P}, .phys = 0xFFFFF678},
    {"32-bit: a 4 MiB page", {M32, .entry[2] = 0x40400000 | PS | P}, .level = 2,
     .phys = 0x405CE678},
    {"32-bit: a 4 MiB page has PAT in bit 12", {M32, .entry[2] = 0x40401000 | PS | P}, .level = 2,
     .phys = 0x405CE678},
    {"32-bit: PS without PSE is ignored", {M32, .entry[2] = TABLE_PHYS(1) | PS | P},
     .cr4_clear = MMU_CR4_PSE, .phys = 0x9678},
    {"32-bit: PDE not present", {M32, .entry[2] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT,
     .level = 2},
    {"32-bit: PTE not present", {M32, .entry[1] = ABSENT}, .fault = MMU_FAULT_NOT_PRESENT},
    {"32-bit: the last byte of the space", {M32, .linear = 0xFFFFFFFF, .entry[1] = 0x9000 | P},
     .phys = 0x9FFF},
    {"PSE-36: bits 20:13 are physical bits 39:32", {M32, .entry[2] = 0x405FE000 | PS | P},
     .phys_bits = 40, .level = 2, .phys = 0xFF405CE678},
    {"PSE-36: bit 13 is physical bit 32", {M32, .entry[2] = BIT(13) | PS | P}, .level = 2,
     .phys = BIT(32) | 0x1CE678},
    {"PSE-36: bit 20 is physical bit 39, whatever is above", {M32, .entry[2] = BIT(20) | PS | P},
     .phys_bits = 52, .level = 2, .phys = BIT(39) | 0x1CE678},
    {"PSE-36: bit 21 is reserved", {M32, .entry[2] = BIT(21) | PS | P},
     .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
    {"PSE-36: bit 17 is reserved with 36 bits", {M32, .entry[2] = BIT(17) | PS | P},
     .phys_bits = 36, .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
    {"PSE-36: bit 16 is used with 36 bits", {M32, .entry[2] = BIT(16) | PS | P}, .phys_bits = 36,
     .level = 2, .phys = BIT(35) | 0x1CE678},
    {"PSE-36: bit 20 is reserved with 39 bits", {M32, .entry[2] = BIT(20) | PS | P},
     .phys_bits = 39, .fault = MMU_FAULT_RESERVED_BIT, .level = 2},
};
// clang-format on

static struct mmu_registers case_registers(const struct walk_case *c)
{
    struct mmu_registers registers = path_registers(&c->path);
    registers.cr3 |= c->root_set;
    registers.cr4 &= ~c->cr4_clear;
    registers.efer &= ~c->efer_clear;
    registers.no_1gib_pages = c->no_1gib_pages;
    if (c->phys_bits != 0) {
        registers.max_phys_bits = c->phys_bits;
    }
    return registers;
}

static void check_walk(void **state)
{
    const struct walk_case *c = *state;
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = case_registers(c);
    unsigned level = c->level != 0 ? c->level : 1;
    unsigned num_entries = levels_of(c->path.mode) - level + 1;
    uint64_t size = BIT(shift_of_level(c->path.mode, level));
    struct mmu_walk walk;
    path_put(&c->path, &cells);

    bool valid = mmu_locate(&registers, &memory, path_linear(&c->path), &walk);

    assert_int_equal(walk.fault, c->fault);
    assert_int_equal(valid, c->fault == MMU_FAULT_NONE);
    assert_int_equal(walk.valid, valid);
    assert_int_equal(walk.mode, c->path.mode);
    assert_int_equal(walk.level, level);
    assert_int_equal(walk.num_entries, num_entries);
    assert_int_equal(cells.num_reads, num_entries);
    assert_int_equal(walk.last_valid_entry, (uint8_t)(num_entries - (valid ? 1 : 2)));
    assert_int_equal(walk.page_size, size);
    assert_int_equal(walk.contiguous, size - path_linear(&c->path) % size);
    assert_int_equal(walk.guest_phys, c->phys);
    for (size_t i = 0; i < walk.num_entries; i++) {
        assert_int_equal(walk.entry_phys[i], cells.cell[i].guest_phys);
        assert_int_equal(walk.entries[i], cells.cell[i].value);
    }
}

static void a_table_that_cannot_be_read_stops_the_walk(void **state)
{
    (void)state;
    struct path path = {.mode = M4, .entry[3] = 0x100000 | P};
    struct cells cells = {.unreadable_from = 0x100000};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    struct mmu_walk walk;
    path_put(&path, &cells);

    assert_false(mmu_locate(&registers, &memory, path_linear(&path), &walk));

    assert_int_equal(walk.fault, MMU_FAULT_UNREADABLE);
    assert_int_equal(walk.num_entries, 2);
    assert_int_equal(walk.last_valid_entry, 1);
    assert_int_equal(walk.level, 2);
    assert_int_equal(walk.page_size, 0x200000);
}

static void rights_narrow_from_level_to_level(void **state)
{
    (void)state;
    struct path path = {.mode = M4,
                        .entry[4] = TABLE_PHYS(3) | P | RW | US,
                        .entry[2] = TABLE_PHYS(1) | P | RW | NX,
                        .entry[1] = 0x9000 | P | US | G | UINT64_C(0xB) << 59};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    struct mmu_walk walk;
    path_put(&path, &cells);
    registers.cr4 |= MMU_CR4_PGE;

    assert_true(mmu_locate(&registers, &memory, path_linear(&path), &walk));

    assert_false(walk.writable);
    assert_false(walk.user);
    assert_true(walk.no_execute);
    assert_true(walk.global);
    assert_int_equal(walk.protection_key, 0xB);

    registers.cr4 &= ~MMU_CR4_PGE;
    assert_true(mmu_locate(&registers, &memory, path_linear(&path), &walk));
    assert_false(walk.global);
}

static void a_width_out_of_range_is_taken_as_the_nearest(void **state)
{
    (void)state;
    struct path path = {.mode = M4, .entry[1] = 0x9000 | BIT(36) | P};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&path);
    struct mmu_walk walk;
    path_put(&path, &cells);

    registers.max_phys_bits = 0;
    assert_false(mmu_locate(&registers, &memory, path_linear(&path), &walk));
    assert_int_equal(walk.fault, MMU_FAULT_RESERVED_BIT);
    registers.max_phys_bits = 255;
    assert_true(mmu_locate(&registers, &memory, path_linear(&path), &walk));
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_that_cannot_be_read_stops_the_walk),
        cmocka_unit_test(rights_narrow_from_level_to_level),
        cmocka_unit_test(a_width_out_of_range_is_taken_as_the_nearest),
    };
    RUN_ROWS(failures, "walk", cases, check_walk);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
