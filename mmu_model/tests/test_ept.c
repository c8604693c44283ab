// Second-stage walks: one row per rule of the EPT pointer, of presence, misconfiguration and sizes.
#include "rows.h"

#include "ept_tables.h"
#include "tables.h"

// SDM 3C, "VM-Execution Control Fields", the EPTP field.
struct pointer_case {
    const char *name;
    uint64_t eptp;
    uint64_t capabilities_clear;
    uint8_t phys_bits; // 0: 46
    bool is_bad;
};

// clang-format off
static struct pointer_case pointer_cases[] = {
    {"write-back, four levels", .eptp = 0x5000 | 0x1E},
    {"uncacheable, four levels", .eptp = 0x5000 | 0x18},
    {"write-back is not supported", .eptp = 0x5000 | 0x1E, ALL_BUT(EPT_CAN_BE_WB), .is_bad = true},
    {"uncacheable is not supported", .eptp = 0x5000 | 0x18, ALL_BUT(EPT_CAN_BE_UC), .is_bad = true},
    {"memory type 1", .eptp = 0x5000 | 0x19, .is_bad = true},
    {"memory type 2", .eptp = 0x5000 | 0x1A, .is_bad = true},
    {"memory type 3", .eptp = 0x5000 | 0x1B, .is_bad = true},
    {"memory type 4", .eptp = 0x5000 | 0x1C, .is_bad = true},
    {"memory type 5", .eptp = 0x5000 | 0x1D, .is_bad = true},
    {"memory type 7", .eptp = 0x5000 | 0x1F, .is_bad = true},
    {"three levels", .eptp = 0x5000 | 0x16, .is_bad = true},
    {"five levels", .eptp = 0x5000 | 0x26, .is_bad = true},
    {"one level", .eptp = 0x5000 | 0x06, .is_bad = true},
    {"four levels are not supported", .eptp = 0x5000 | 0x1E, ALL_BUT(EPT_CAN_WALK_4),
     .is_bad = true},
    {"accessed and dirty flags", .eptp = 0x5000 | 0x5E},
    {"accessed and dirty flags are not supported", .eptp = 0x5000 | 0x5E, ALL_BUT(EPT_CAN_AD),
     .is_bad = true},
    {"supervisor shadow-stack rights", .eptp = 0x5000 | 0x9E},
    {"supervisor shadow-stack rights are not supported", .eptp = 0x5000 | 0x9E,
     ALL_BUT(EPT_CAN_SSS), .is_bad = true},
    {"bit 8", .eptp = 0x5000 | 0x1E | BIT(8), .is_bad = true},
    {"bit 9", .eptp = 0x5000 | 0x1E | BIT(9), .is_bad = true},
    {"bit 10", .eptp = 0x5000 | 0x1E | BIT(10), .is_bad = true},
    {"bit 11", .eptp = 0x5000 | 0x1E | BIT(11), .is_bad = true},
    {"bit MAXPHYADDR - 1", .eptp = 0x1E | BIT(45)},
    {"bit MAXPHYADDR", .eptp = 0x1E | BIT(46), .is_bad = true},
    {"bit 63", .eptp = 0x1E | BIT(63), .is_bad = true},
    {"bit 36 of 36", .eptp = 0x1E | BIT(36), .phys_bits = 36, .is_bad = true},
    {"bit 51 of 52", .eptp = 0x1E | BIT(51), .phys_bits = 52},
    {"bit 52 of 52", .eptp = 0x1E | BIT(52), .phys_bits = 52, .is_bad = true},
    {"a width above 52 counts as 52", .eptp = 0x1E | BIT(52), .phys_bits = 60, .is_bad = true},
    {"a width below 36 counts as 36", .eptp = 0x1E | BIT(35), .phys_bits = 1},
};
// clang-format on

static void check_pointer(void **state)
{
    const struct pointer_case *c = *state;
    struct ept_registers registers = ept_default_registers();
    registers.eptp = c->eptp;
    registers.capabilities &= ~c->capabilities_clear;
    registers.max_phys_bits = c->phys_bits != 0 ? c->phys_bits : 46;
    assert_int_equal(ept_pointer_is_valid(&registers), !c->is_bad);
}

struct walk_case {
    const char *name;
    uint64_t entry[EPT_LEVELS + 1];
    uint64_t guest_phys; // 0: EPT_GUEST_PHYS
    uint64_t capabilities_clear;
    bool mode_based;
    uint8_t phys_bits; // 0: 46
    enum ept_fault fault;
    unsigned level; // where the walk ends; 0: 1
    uint64_t phys;
};

#define NOT_PRESENT  .fault = EPT_FAULT_NOT_PRESENT
#define RESERVED     .fault = EPT_FAULT_RESERVED_BIT
#define NO_READ      .fault = EPT_FAULT_WRITE_WITHOUT_READ
#define EXECUTE_ONLY .fault = EPT_FAULT_EXECUTE_ONLY
#define BAD_TYPE     .fault = EPT_FAULT_MEMORY_TYPE

// clang-format off
static struct walk_case walk_cases[] = {
    // Sizes. SDM 3C, "EPT Translation Mechanism".
    {"a 4 KiB page", {[1] = PAGE4K | ERWX}, .phys = 0x9678},
    {"a 2 MiB page", {[2] = PAGE2M | ERWX}, .level = 2, .phys = 0x4034E678},
    {"a 1 GiB page", {[3] = PAGE1G | ERWX}, .level = 3, .phys = 0x1F3D4E678},
    {"bit 7 of a PTE is ignored", {[1] = PAGE4K | EPS | ERWX}, .phys = 0x9678},
    {"bit 11 and bits 62:52 of a page are ignored", {[1] = PAGE4K | 0x7FF0000000000800 | ERWX},
     .phys = 0x9678},
    {"bit 63 of a page suppresses exceptions, not the page", {[1] = PAGE4K | BIT(63) | ERWX},
     .phys = 0x9678},
    {"bits 11:8 and 63:52 of a link are ignored", {[4] = EPT_TABLE(3) | 0xFFF0000000000F00 | ERWX},
     .phys = 0x9678},
    {"every physical bit below MAXPHYADDR is used", {[1] = 0x3FFFFFFFF000 | EWB | ERWX},
     .phys = 0x3FFFFFFFF678},
    {"every physical bit of 52", {[1] = 0xFFFFFFFFFF000 | EWB | ERWX}, .phys_bits = 52,
     .phys = 0xFFFFFFFFFF678},
    {"every physical bit of a 2 MiB page", {[2] = 0xFFFFFFFE00000 | EPS | EWB | ERWX},
     .phys_bits = 52, .level = 2, .phys = 0xFFFFFFFF4E678},
    {"every physical bit of a 1 GiB page", {[3] = 0xFFFFFC0000000 | EPS | EWB | ERWX},
     .phys_bits = 52, .level = 3, .phys = 0xFFFFFF3D4E678},
    {"the first byte of a page", {[1] = PAGE4K | ERWX}, .guest_phys = BIT(12), .phys = 0x9000},
    {"the last byte of the space", {[1] = PAGE4K | ERWX}, .guest_phys = BIT(48) - 1,
     .phys = 0x9FFF},

    // Presence: bits 2:0, and bit 10 with mode-based execute control.
    {"PML4E not present", {[4] = EABSENT}, NOT_PRESENT, .level = 4},
    {"PDPTE not present", {[3] = EABSENT}, NOT_PRESENT, .level = 3},
    {"PDE not present", {[2] = EABSENT}, NOT_PRESENT, .level = 2},
    {"PTE not present", {[1] = EABSENT}, NOT_PRESENT},
    {"a PTE not present may have any other bit set", {[1] = ~(ERWX)}, NOT_PRESENT},
    {"bit 10 alone is not present", {[1] = PAGE4K | EXU}, NOT_PRESENT},
    {"bit 10 alone is present with mode-based control", {[1] = PAGE4K | EXU}, .mode_based = true,
     .phys = 0x9678},
    {"a PML4E with bit 10 alone, mode-based control", {[4] = EPT_TABLE(3) | EXU},
     .mode_based = true, .phys = 0x9678},
    {"read alone is present", {[1] = PAGE4K | ER}, .phys = 0x9678},
    {"execute alone is present", {[1] = PAGE4K | EX}, .phys = 0x9678},

    // SDM 3C, "EPT Misconfigurations".
    {"PTE writable, not readable", {[1] = PAGE4K | EW}, NO_READ},
    {"PTE writable and executable, not readable", {[1] = PAGE4K | EW | EX}, NO_READ},
    {"PDE writable, not readable", {[2] = EPT_TABLE(1) | EW}, NO_READ, .level = 2},
    {"PDPTE writable and executable, not readable", {[3] = EPT_TABLE(2) | EW | EX}, NO_READ,
     .level = 3},
    {"PML4E writable, not readable", {[4] = EPT_TABLE(3) | EW}, NO_READ, .level = 4},
    {"2 MiB page writable, not readable", {[2] = PAGE2M | EW}, NO_READ, .level = 2},
    {"1 GiB page writable, not readable", {[3] = PAGE1G | EW}, NO_READ, .level = 3},
    {"PTE execute-only, which is not supported", {[1] = PAGE4K | EX}, ALL_BUT(EPT_CAN_EXECUTE_ONLY),
     EXECUTE_ONLY},
    {"PML4E execute-only, which is not supported", {[4] = EPT_TABLE(3) | EX},
     ALL_BUT(EPT_CAN_EXECUTE_ONLY), EXECUTE_ONLY, .level = 4},
    {"PTE user-execute-only, which is not supported", {[1] = PAGE4K | EXU}, .mode_based = true,
     ALL_BUT(EPT_CAN_EXECUTE_ONLY), EXECUTE_ONLY},
    {"without mode-based control bit 10 cannot misconfigure", {[1] = PAGE4K | EXU},
     ALL_BUT(EPT_CAN_EXECUTE_ONLY), NOT_PRESENT},
    {"PML4E with PS", {[4] = EPT_TABLE(3) | EPS | ERWX}, RESERVED, .level = 4},
    {"PML4E with bit 3", {[4] = EPT_TABLE(3) | BIT(3) | ERWX}, RESERVED, .level = 4},
    {"PML4E with bit 6", {[4] = EPT_TABLE(3) | BIT(6) | ERWX}, RESERVED, .level = 4},
    {"PDPTE with bit 3", {[3] = EPT_TABLE(2) | BIT(3) | ERWX}, RESERVED, .level = 3},
    {"PDPTE with bit 6", {[3] = EPT_TABLE(2) | BIT(6) | ERWX}, RESERVED, .level = 3},
    {"PDE with bit 4", {[2] = EPT_TABLE(1) | BIT(4) | ERWX}, RESERVED, .level = 2},
    {"PDE with bit 5", {[2] = EPT_TABLE(1) | BIT(5) | ERWX}, RESERVED, .level = 2},
    {"2 MiB page on a processor without them", {[2] = PAGE2M | ERWX}, ALL_BUT(EPT_CAN_2_MIB),
     RESERVED, .level = 2},
    {"1 GiB page on a processor without them", {[3] = PAGE1G | ERWX}, ALL_BUT(EPT_CAN_1_GIB),
     RESERVED, .level = 3},
    {"2 MiB page with bit 12, which is no PAT here", {[2] = PAGE2M | BIT(12) | ERWX}, RESERVED,
     .level = 2},
    {"2 MiB page with bit 20", {[2] = PAGE2M | BIT(20) | ERWX}, RESERVED, .level = 2},
    {"1 GiB page with bit 12", {[3] = PAGE1G | BIT(12) | ERWX}, RESERVED, .level = 3},
    {"1 GiB page with bit 29", {[3] = PAGE1G | BIT(29) | ERWX}, RESERVED, .level = 3},
    {"PML4E with bit MAXPHYADDR", {[4] = EPT_TABLE(3) | BIT(46) | ERWX}, RESERVED, .level = 4},
    {"PDPTE with bit 51", {[3] = EPT_TABLE(2) | BIT(51) | ERWX}, RESERVED, .level = 3},
    {"PDE with bit 51", {[2] = EPT_TABLE(1) | BIT(51) | ERWX}, RESERVED, .level = 2},
    {"PTE with bit MAXPHYADDR", {[1] = PAGE4K | BIT(46) | ERWX}, RESERVED},
    {"2 MiB page with bit MAXPHYADDR", {[2] = PAGE2M | BIT(46) | ERWX}, RESERVED, .level = 2},
    {"1 GiB page with bit MAXPHYADDR", {[3] = PAGE1G | BIT(46) | ERWX}, RESERVED, .level = 3},
    {"PTE with bit 36 of 36", {[1] = PAGE4K | BIT(36) | ERWX}, .phys_bits = 36, RESERVED},
    {"PTE with bit 35 of 36", {[1] = PAGE4K | BIT(35) | ERWX}, .phys_bits = 36,
     .phys = BIT(35) | 0x9678},
    {"memory type 2", {[1] = 0x9000 | ETYPE(2) | ERWX}, BAD_TYPE},
    {"memory type 3", {[1] = 0x9000 | ETYPE(3) | ERWX}, BAD_TYPE},
    {"memory type 7", {[1] = 0x9000 | ETYPE(7) | ERWX}, BAD_TYPE},
    {"memory type 2 of a 2 MiB page", {[2] = 0x40200000 | EPS | ETYPE(2) | ERWX}, BAD_TYPE,
     .level = 2},
    {"memory type 7 of a 1 GiB page", {[3] = 0x1C0000000 | EPS | ETYPE(7) | ERWX}, BAD_TYPE,
     .level = 3},
    {"memory type 0", {[1] = 0x9000 | ERWX}, .phys = 0x9678},
    {"memory type 1", {[1] = 0x9000 | ETYPE(1) | ERWX}, .phys = 0x9678},
    {"memory type 4", {[1] = 0x9000 | ETYPE(4) | ERWX}, .phys = 0x9678},
    {"memory type 5", {[1] = 0x9000 | ETYPE(5) | ERWX}, .phys = 0x9678},
    {"an entry above decides before a worse one below", {[3] = EABSENT, [1] = PAGE4K | EW},
     NOT_PRESENT, .level = 3},
    {"a misconfiguration above hides an absent entry below",
     {[4] = EPT_TABLE(3) | EW, [1] = EABSENT}, NO_READ, .level = 4},
};
// clang-format on

static struct ept_registers case_registers(const struct walk_case *c)
{
    struct ept_registers registers = ept_default_registers();
    registers.capabilities &= ~c->capabilities_clear;
    registers.mode_based_execute = c->mode_based;
    registers.max_phys_bits = c->phys_bits != 0 ? c->phys_bits : 46;
    return registers;
}

static void check_walk(void **state)
{
    const struct walk_case *c = *state;
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct ept_registers registers = case_registers(c);
    uint64_t guest_phys = c->guest_phys != 0 ? c->guest_phys : EPT_GUEST_PHYS;
    unsigned level = c->level != 0 ? c->level : 1;
    uint64_t size = BIT(3 + 9 * level);
    struct ept_walk walk;
    ept_put(&cells, guest_phys, c->entry);

    bool valid = ept_locate(&registers, &memory, guest_phys, &walk);

    assert_int_equal(walk.fault, c->fault);
    assert_int_equal(valid, c->fault == EPT_FAULT_NONE);
    assert_int_equal(walk.valid, valid);
    assert_int_equal(walk.guest_phys, guest_phys);
    assert_int_equal(walk.level, level);
    assert_int_equal(walk.num_entries, EPT_LEVELS + 1 - level);
    assert_int_equal(cells.num_reads, walk.num_entries);
    assert_int_equal(walk.page_size, size);
    assert_int_equal(walk.contiguous, size - guest_phys % size);
    assert_int_equal(walk.host_phys, c->phys);
    for (size_t i = 0; i < walk.num_entries; i++) {
        assert_int_equal(walk.entry_phys[i], cells.cell[i].guest_phys);
        assert_int_equal(walk.entries[i], cells.cell[i].value);
    }
}

static void a_page_tells_its_memory_type_and_rights(void **state)
{
    (void)state;
    const uint64_t entry[EPT_LEVELS + 1] = {
        [4] = EPT_TABLE(3) | ER | EW | EXU, [1] = 0x9000 | ETYPE(5) | BIT(6) | ER | EX | EXU};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct ept_registers registers = ept_default_registers();
    struct ept_walk walk;
    ept_put(&cells, EPT_GUEST_PHYS, entry);

    assert_true(ept_locate(&registers, &memory, EPT_GUEST_PHYS, &walk));
    assert_int_equal(walk.memory_type, 5);
    assert_true(walk.ignore_pat);
    assert_true(walk.readable);
    assert_false(walk.writable);
    assert_false(walk.executable);
    assert_false(walk.user_executable);
    cells.cell[1].value |= EXU;
    cells.cell[2].value |= EXU;
    registers.mode_based_execute = true;
    assert_true(ept_locate(&registers, &memory, EPT_GUEST_PHYS, &walk));
    assert_true(walk.user_executable);
}

static void an_entry_is_drawn_from_its_highest_bit_down(void **state)
{
    (void)state;
    char letters[EPT_LETTERS_SIZE];
    ept_entry_letters(0, letters);
    assert_string_equal(letters, "---------");
    ept_entry_letters(UINT64_MAX, letters);
    assert_string_equal(letters, "VUDASIXWR");
    ept_entry_letters(PAGE2M | ER | EX, letters);
    assert_string_equal(letters, "----S-X-R");
}

static void every_fault_has_a_text_and_an_exit(void **state)
{
    (void)state;
#define EPT_FAULT(name, exit, text)                                                                \
    assert_string_equal(ept_fault_text(EPT_FAULT_##name), text);                                   \
    assert_int_equal(ept_fault_exit(EPT_FAULT_##name), EPT_EXIT_##exit);
#include "mmu_model/ept_faults.def"
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_tells_its_memory_type_and_rights),
        cmocka_unit_test(an_entry_is_drawn_from_its_highest_bit_down),
        cmocka_unit_test(every_fault_has_a_text_and_an_exit),
    };
    RUN_ROWS(failures, "EPT pointer", pointer_cases, check_pointer);
    RUN_ROWS(failures, "EPT walk", walk_cases, check_walk);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
