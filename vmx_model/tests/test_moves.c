// MOV to control and debug registers, CLTS, LMSW and XSETBV: one row per rule, each bit alone.
#include "vmx_tests.h"

#include "vmx_model/moves.h"
#include "vmx_model/vmx_exit.h"

#define PE    UINT64_C(0x00000001)
#define MP    UINT64_C(0x00000002)
#define TS    UINT64_C(0x00000008)
#define ET    UINT64_C(0x00000010)
#define NE    UINT64_C(0x00000020)
#define WP    UINT64_C(0x00010000)
#define NW    UINT64_C(0x20000000)
#define CD    UINT64_C(0x40000000)
#define PG    UINT64_C(0x80000000)
#define PAE   UINT64_C(0x00000020)
#define LA57  UINT64_C(0x00001000)
#define VMXE  UINT64_C(0x00002000)
#define PCIDE UINT64_C(0x00020000)
#define CET   UINT64_C(0x00800000)
#define LME   UINT64_C(0x100)
#define LMA   UINT64_C(0x400)

#define CODE_64 UINT64_C(0xA09B)
#define CODE_32 UINT64_C(0xC09B)

// A guest in 64-bit mode of a hypervisor that owns CR0.NE and CR4.VMXE.
static struct vmx_cpu guest(void)
{
    struct vmx_cpu cpu = generic_cpu();
    uint64_t *field = cpu.vmcs.field;
    field[VMCS_GUEST_CR0] = PG | WP | NE | ET | PE;
    field[VMCS_CR0_MASK] = NE;
    field[VMCS_CR0_SHADOW] = NE;
    field[VMCS_GUEST_CR4] = PAE | VMXE;
    field[VMCS_CR4_MASK] = VMXE;
    field[VMCS_GUEST_IA32_EFER] = LME | LMA;
    field[VMCS_GUEST_CS_ACCESS] = CODE_64;
    return cpu;
}

enum which { CR0, CR3, CR4, CR8, DR6, DR7, XCR0, XCR1 };

struct move_case {
    const char *name;
    enum which which;
    uint64_t value;
    bool faults;
    uint64_t reads;                   // afterwards
    uint64_t cr0, cr3, cr4, efer, cs; // the guest's own before; 0: as in guest()
    enum vmx_feature lacks;
};

#define OK0 (PG | WP | NE | ET | PE)
#define GP  .faults = true

static struct move_case cases[] = {
    {"CR0, its own value", CR0, OK0, .reads = OK0},
    {"CR0 with ET clear reads it set", CR0, OK0 & ~ET, .reads = OK0},
    {"CR0, undefined low bits are dropped", CR0, OK0 | 0x1FF0BFC0, .reads = OK0},
    {"CR0 bit 32", CR0, OK0 | BIT(32), GP},
    {"CR0 bit 63", CR0, OK0 | BIT(63), GP},
    {"CR0.PG without PE", CR0, OK0 & ~PE, GP},
    {"CR0.NW without CD", CR0, OK0 | NW, GP},
    {"CR0.NW with CD", CR0, OK0 | NW | CD, .reads = OK0 | NW | CD},
    {"CR0.CD alone", CR0, OK0 | CD, .reads = OK0 | CD},
    {"CR0.WP clear", CR0, OK0 & ~WP, .reads = OK0 & ~WP},
    {"CR0.WP clear with CET", CR0, OK0 & ~WP, GP, .cr4 = PAE | CET},
    {"CR0.NE that the hypervisor owns", CR0, OK0 & ~NE, .reads = OK0 & ~NE},
    {"CR0.PG clear in 64-bit mode", CR0, OK0 & ~PG, GP},
    {"CR0.PG clear in compatibility mode", CR0, OK0 & ~PG, .reads = OK0 & ~PG, .cs = CODE_32},
    {"CR0.PG clear with PCIDs", CR0, OK0 & ~PG, GP, .cs = CODE_32, .cr4 = PAE | PCIDE},
    {"CR0.PG set with LME", CR0, OK0, .reads = OK0, .cr0 = OK0 & ~PG, .efer = LME, .cs = CODE_32},
    {"CR0.PG set with LME, not PAE", CR0, OK0, GP, .cr0 = OK0 & ~PG, .efer = LME, .cr4 = BIT(4),
     .cs = CODE_32},
    {"CR0.PG set with LME, CS.L set", CR0, OK0, GP, .cr0 = OK0 & ~PG, .efer = LME},
    {"CR0.PG set without LME", CR0, OK0, .reads = OK0, .cr0 = OK0 & ~PG, .efer = BIT(11),
     .cs = CODE_32, .cr4 = BIT(4)},

    {"CR3 of MAXPHYADDR bits", CR3, BIT(45) | 0xFFF, .reads = BIT(45) | 0xFFF},
    {"CR3 bit 46", CR3, BIT(46), GP},
    {"CR3 bit 63 without PCIDs", CR3, BIT(63) | 0x1000, GP},
    {"CR3 bit 63 with PCIDs", CR3, BIT(63) | 0x1005, .reads = 0x1005, .cr4 = PAE | PCIDE},
    {"CR3 bit 62 with PCIDs", CR3, BIT(62) | 0x1005, GP, .cr4 = PAE | PCIDE},

    {"CR4, its own value", CR4, PAE, .reads = PAE},
    {"CR4.VMXE that the hypervisor owns", CR4, PAE | VMXE, .reads = PAE | VMXE},
    {"CR4.PAE clear in IA-32e mode", CR4, BIT(4), GP},
    {"CR4.PAE clear outside", CR4, BIT(4), .reads = BIT(4), .efer = BIT(11), .cs = CODE_32},
    {"CR4.LA57 set in IA-32e mode", CR4, PAE | LA57, GP},
    {"CR4.LA57 clear in IA-32e mode", CR4, PAE, GP, .cr4 = PAE | LA57},
    {"CR4.LA57 stays", CR4, PAE | LA57, .reads = PAE | LA57, .cr4 = PAE | LA57},
    {"CR4.LA57 outside", CR4, PAE | LA57, .reads = PAE | LA57, .efer = BIT(11), .cs = CODE_32},
    {"CR4.PCIDE begins", CR4, PAE | PCIDE, .reads = PAE | PCIDE, .cr3 = 0x1000},
    {"CR4.PCIDE begins with a PCID", CR4, PAE | PCIDE, GP, .cr3 = 0x1001},
    {"CR4.PCIDE stays with a PCID", CR4, PAE | PCIDE, .reads = PAE | PCIDE, .cr3 = 0x1001,
     .cr4 = PAE | PCIDE},
    {"CR4.PCIDE outside IA-32e mode", CR4, PAE | PCIDE, GP, .efer = BIT(11), .cs = CODE_32},
    {"CR4.CET with WP", CR4, PAE | CET, .reads = PAE | CET},
    {"CR4.CET without WP", CR4, PAE | CET, GP, .cr0 = OK0 & ~WP},
    {"CR4.SMEP that CPUID lacks", CR4, PAE | BIT(20), GP, .lacks = VMX_FEATURE_SMEP},
    {"CR4.UMIP that CPUID lacks", CR4, PAE | BIT(11), GP, .lacks = VMX_FEATURE_UMIP},
    {"CR4.VMXE that CPUID lacks", CR4, PAE | VMXE, GP, .lacks = VMX_FEATURE_VMX},

    {"CR8 of 15", CR8, 15, .reads = 15},
    {"CR8 of 16", CR8, 16, GP},
    {"CR8 bit 63", CR8, BIT(63), GP},

    {"DR6 of 0", DR6, 0, .reads = 0xFFFE07F0},
    {"DR6 of ones", DR6, 0xFFFFFFFF, .reads = 0xFFFFEFFF},
    {"DR6 bit 32", DR6, BIT(32), GP},
    {"DR7 of 0", DR7, 0, .reads = 0x400},
    {"DR7 of ones", DR7, 0xFFFFFFFF, .reads = 0xFFFF2FFF},
    {"DR7 bit 32", DR7, BIT(32), GP},
    {"DR7 bit 63", DR7, BIT(63), GP},

    {"XCR0 of x87 alone", XCR0, 1, .reads = 1},
    {"XCR0 without x87", XCR0, 2, GP},
    {"XCR0 with AVX that CPUID lacks", XCR0, 7, GP, .lacks = VMX_FEATURE_AVX},
    {"XCR1", XCR1, 1, GP},
};

static bool move(struct vmx_cpu *cpu, enum which which, uint64_t value)
{
    switch (which) {
    case CR0:
        return vmx_cr0_write(cpu, value);
    case CR3:
        return vmx_cr3_write(cpu, value);
    case CR4:
        return vmx_cr4_write(cpu, value);
    case CR8:
        return vmx_cr8_write(cpu, value);
    case DR6:
        return vmx_dr6_write(cpu, value);
    case DR7:
        return vmx_dr7_write(cpu, value);
    case XCR0:
    case XCR1:
        break;
    }
    return vmx_xcr_write(cpu, which == XCR1, value);
}

static uint64_t read_back(const struct vmx_cpu *cpu, enum which which)
{
    switch (which) {
    case CR0:
        return vmx_guest_cr0(&cpu->vmcs);
    case CR3:
        return cpu->vmcs.field[VMCS_GUEST_CR3];
    case CR4:
        return vmx_guest_cr4(&cpu->vmcs);
    case CR8:
        return cpu->cr8;
    case DR6:
        return cpu->dr6;
    case DR7:
        return cpu->vmcs.field[VMCS_GUEST_DR7];
    case XCR0:
    case XCR1:
        break;
    }
    return cpu->xcr0;
}

static struct vmx_cpu guest_of(const struct move_case *row, struct vmx_profile *profile)
{
    struct vmx_cpu cpu = guest();
    uint64_t *field = cpu.vmcs.field;
    *profile = vmx_profile_generic;
    if (row->lacks != VMX_FEATURE_ALWAYS) {
        profile->feature[row->lacks] = false;
    }
    cpu.profile = profile;
    cpu.vmcs.profile = profile;
    vmx_guest_cr0_set(&cpu.vmcs, row->cr0 != 0 ? row->cr0 : OK0);
    vmx_guest_cr4_set(&cpu.vmcs, row->cr4 != 0 ? row->cr4 : PAE);
    field[VMCS_GUEST_CR3] = row->cr3;
    field[VMCS_GUEST_IA32_EFER] = row->efer != 0 ? row->efer : field[VMCS_GUEST_IA32_EFER];
    field[VMCS_GUEST_CS_ACCESS] = row->cs != 0 ? row->cs : CODE_64;
    return cpu;
}

static void a_move(void **state)
{
    const struct move_case *row = *state;
    struct vmx_profile profile;
    struct vmx_cpu cpu = guest_of(row, &profile);
    struct vmx_cpu before = cpu;
    assert_int_equal(move(&cpu, row->which, row->value), !row->faults);
    if (row->faults) {
        assert_cpu_equal(&before, &cpu);
        return;
    }
    assert_int_equal(read_back(&cpu, row->which), row->reads);
    // What the hypervisor owns is its own still.
    assert_int_equal(cpu.vmcs.field[VMCS_GUEST_CR0] & NE, NE);
    assert_int_equal(cpu.vmcs.field[VMCS_GUEST_CR4] & VMXE, VMXE);
}

// The reserved bits of CR4, as the manual's figure has them for a processor with all that this
// model knows: 13 to 15 as VMX, SMX and reserved, and so on.
static void each_bit_of_cr4_alone(void **state)
{
    static const uint64_t defined = UINT64_C(0x03FF7FFF);
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        struct vmx_cpu cpu = guest();
        bool allowed = (defined >> bit & 1) != 0 && BIT(bit) != LA57;
        assert_int_equal(vmx_cr4_write(&cpu, PAE | BIT(bit)), allowed);
    }
}

static void flags_of_dr6_come_with_their_features(void **state)
{
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    struct vmx_cpu cpu = guest();
    cpu.profile = &profile;
    profile.feature[VMX_FEATURE_RTM] = false;
    assert_true(vmx_dr6_write(&cpu, 0));
    assert_int_equal(cpu.dr6, 0xFFFF07F0);
    profile.feature[VMX_FEATURE_BUS_LOCK_DETECT] = false;
    assert_true(vmx_dr6_write(&cpu, 0));
    assert_int_equal(cpu.dr6, 0xFFFF0FF0);
}

static void paging_switches_long_mode(void **state)
{
    (void)state;
    struct vmx_cpu cpu = guest();
    cpu.vmcs.field[VMCS_GUEST_CS_ACCESS] = CODE_32;
    assert_true(vmx_cr0_write(&cpu, OK0 & ~PG));
    assert_int_equal(cpu.vmcs.field[VMCS_GUEST_IA32_EFER], LME);
    assert_true(vmx_cr0_write(&cpu, OK0));
    assert_int_equal(cpu.vmcs.field[VMCS_GUEST_IA32_EFER], LME | LMA);
}

// Without the hypervisor's masks, VMX operation keeps NE and VMXE set.
static void what_vmx_operation_fixes_is_gp_where_the_guest_owns_it(void **state)
{
    (void)state;
    struct vmx_cpu cpu = guest();
    cpu.vmcs.field[VMCS_CR0_MASK] = 0;
    cpu.vmcs.field[VMCS_CR4_MASK] = 0;
    assert_false(vmx_cr0_write(&cpu, OK0 & ~NE));
    assert_true(vmx_cr0_write(&cpu, OK0));
    assert_false(vmx_cr4_write(&cpu, PAE));
    assert_true(vmx_cr4_write(&cpu, PAE | VMXE));
}

static void a_mask_takes_each_bit_from_the_shadow(void **state)
{
    (void)state;
    struct vmx_cpu cpu = guest();
    uint64_t *field = cpu.vmcs.field;
    for (unsigned bit = 0; bit < 64; bit++) {
        field[VMCS_CR0_MASK] = field[VMCS_CR4_MASK] = BIT(bit);
        for (unsigned k = 0; k < 4; k++) {
            field[VMCS_GUEST_CR0] = field[VMCS_GUEST_CR4] = (k & 1) != 0 ? UINT64_MAX : 0;
            field[VMCS_CR0_SHADOW] = field[VMCS_CR4_SHADOW] = (k & 2) != 0 ? UINT64_MAX : 0;
            uint64_t want = (field[VMCS_GUEST_CR0] & ~BIT(bit)) | ((k & 2) != 0 ? BIT(bit) : 0);
            assert_int_equal(vmx_guest_cr0(&cpu.vmcs), want);
            assert_int_equal(vmx_guest_cr4(&cpu.vmcs), want);
            assert_int_equal(vmx_guest_cr0_write_exits(&cpu.vmcs, 0), (k & 2) != 0);
            assert_int_equal(vmx_guest_cr0_write_exits(&cpu.vmcs, UINT64_MAX), (k & 2) == 0);
            assert_int_equal(vmx_guest_cr4_write_exits(&cpu.vmcs, BIT(bit)), (k & 2) == 0);
            assert_int_equal(vmx_guest_cr4_write_exits(&cpu.vmcs, ~BIT(bit)), (k & 2) != 0);
        }
    }
}

static void what_is_set_is_read_and_what_is_owned_stays(void **state)
{
    (void)state;
    struct vmx_cpu cpu = guest();
    uint64_t *field = cpu.vmcs.field;
    field[VMCS_CR0_MASK] = UINT64_C(0xFFFF0000FFFF0000);
    field[VMCS_CR4_MASK] = UINT64_C(0x00FF00FF00FF00FF);
    field[VMCS_GUEST_CR0] = field[VMCS_GUEST_CR4] = UINT64_C(0x5555555555555555);
    vmx_guest_cr0_set(&cpu.vmcs, UINT64_C(0x123456789ABCDEF0));
    vmx_guest_cr4_set(&cpu.vmcs, UINT64_C(0x0FEDCBA987654321));
    assert_int_equal(vmx_guest_cr0(&cpu.vmcs), UINT64_C(0x123456789ABCDEF0));
    assert_int_equal(vmx_guest_cr4(&cpu.vmcs), UINT64_C(0x0FEDCBA987654321));
    assert_int_equal(field[VMCS_GUEST_CR0], UINT64_C(0x555556785555DEF0));
    assert_int_equal(field[VMCS_GUEST_CR4], UINT64_C(0x0F55CB5587554355));
}

// SDM Vol. 3C, "Changes to Instruction Behavior in VMX Non-Root Operation": CLTS.
static void clts_by_mask_and_shadow(void **state)
{
    static const struct {
        bool mask, shadow, field, exits, field_after, reads_after;
    } rows[] = {
        {false, false, true, false, false, false}, {false, true, true, false, false, false},
        {true, false, true, false, true, false},   {true, true, true, true, true, false},
        {true, true, false, true, false, false},   {false, false, false, false, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vmx_cpu cpu = guest();
        uint64_t *field = cpu.vmcs.field;
        field[VMCS_CR0_MASK] = rows[i].mask ? TS : 0;
        field[VMCS_CR0_SHADOW] = rows[i].shadow ? TS : 0;
        field[VMCS_GUEST_CR0] = OK0 | (rows[i].field ? TS : 0);
        assert_int_equal(vmx_clts_exits(&cpu), rows[i].exits);
        vmx_clts(&cpu);
        assert_int_equal((field[VMCS_GUEST_CR0] & TS) != 0, rows[i].field_after);
        assert_int_equal((vmx_guest_cr0(&cpu.vmcs) & TS) != 0, rows[i].reads_after);
    }
}

// SDM Vol. 3C, "Instructions That Cause VM Exits Conditionally": LMSW, by one bit.
static void lmsw_by_mask_and_shadow(void **state)
{
    static const struct {
        uint64_t mask, shadow, value;
        bool exits;
    } rows[] = {
        {0, 0, 0xF, false},   {PE, 0, PE, true},  {PE, PE, 0, false},  {PE, PE, PE, false},
        {MP, 0, MP, true},    {MP, MP, 0, true},  {MP, MP, MP, false}, {TS, 0, TS, true},
        {BIT(2), 0, 4, true}, {NE, 0, NE, false}, {WP, 0, WP, false},  {PE, 0, MP, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vmx_cpu cpu = guest();
        cpu.vmcs.field[VMCS_CR0_MASK] = rows[i].mask;
        cpu.vmcs.field[VMCS_CR0_SHADOW] = rows[i].shadow;
        assert_int_equal(vmx_lmsw_exits(&cpu, rows[i].value), rows[i].exits);
    }
    struct vmx_cpu cpu = guest();
    vmx_lmsw(&cpu, 0xFFFE);
    assert_int_equal(vmx_guest_cr0(&cpu.vmcs), OK0 | 0xE);
    vmx_lmsw(&cpu, 0);
    assert_int_equal(vmx_guest_cr0(&cpu.vmcs), OK0);
}

#define NUM_CASES (sizeof(cases) / sizeof(cases[0]))

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(each_bit_of_cr4_alone),
        cmocka_unit_test(flags_of_dr6_come_with_their_features),
        cmocka_unit_test(paging_switches_long_mode),
        cmocka_unit_test(what_vmx_operation_fixes_is_gp_where_the_guest_owns_it),
        cmocka_unit_test(a_mask_takes_each_bit_from_the_shadow),
        cmocka_unit_test(what_is_set_is_read_and_what_is_owned_stays),
        cmocka_unit_test(clts_by_mask_and_shadow),
        cmocka_unit_test(lmsw_by_mask_and_shadow),
    };
    struct CMUnitTest tests[NUM_CASES];
    for (size_t i = 0; i < NUM_CASES; i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = a_move, .initial_state = &cases[i]};
    }
    int failed = cmocka_run_group_tests_name("moves", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("masks", others, NULL, NULL);
}
