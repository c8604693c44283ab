// Rules that depend on more than the value: the old value, other registers, the profile.
#include "vmx_tests.h"

#define APIC_BASE       0x1Bu
#define FEATURE_CONTROL 0x3Au
#define MISC_ENABLE     0x1A0u
#define EFER            0xC0000080u

static void assert_write(struct vmx_cpu *cpu, uint32_t index, uint64_t value, enum msr_result want)
{
    struct vmx_cpu before = *cpu;
    assert_int_equal(want, msr_write(cpu, MSR_GUEST, index, value));
    if (want == MSR_GP) {
        assert_cpu_equal(&before, cpu);
    }
}

static uint64_t read_msr(const struct vmx_cpu *cpu, uint32_t index)
{
    uint64_t value = 0;
    assert_int_equal(MSR_OK, msr_read(cpu, MSR_GUEST, index, &value));
    return value;
}

// One write to a processor, in a state and with a profile made from the generic one.
struct rule_case {
    const char *name;
    uint32_t index;
    uint64_t old, value;
    enum msr_result want;
    uint64_t stored; // when accepted
    uint64_t cr0;
    enum vmx_feature lacks;
    uint8_t max_phys_bits, linear_bits, gp_counters; // 0: as the generic profile
};

#define OK_AS(x) .want = MSR_OK, .stored = (x)
#define GP       .want = MSR_GP

static struct rule_case cases[] = {
    {"xAPIC to x2APIC", APIC_BASE, 0xFEE00900, 0xFEE00D00, OK_AS(0xFEE00D00)},
    {"xAPIC to disabled", APIC_BASE, 0xFEE00900, 0xFEE00100, OK_AS(0xFEE00100)},
    {"xAPIC to invalid", APIC_BASE, 0xFEE00900, 0xFEE00500, GP},
    {"x2APIC to xAPIC", APIC_BASE, 0xFEE00D00, 0xFEE00900, GP},
    {"x2APIC to disabled", APIC_BASE, 0xFEE00D00, 0xFEE00100, OK_AS(0xFEE00100)},
    {"x2APIC to invalid", APIC_BASE, 0xFEE00D00, 0xFEE00500, GP},
    {"x2APIC to itself", APIC_BASE, 0xFEE00D00, 0xFEE00D00, OK_AS(0xFEE00D00)},
    {"disabled to x2APIC", APIC_BASE, 0xFEE00100, 0xFEE00D00, GP},
    {"disabled to xAPIC", APIC_BASE, 0xFEE00100, 0xFEE00900, OK_AS(0xFEE00900)},
    {"disabled to invalid", APIC_BASE, 0xFEE00100, 0xFEE00500, GP},
    {"x2APIC that CPUID lacks", APIC_BASE, 0xFEE00900, 0xFEE00D00, GP, .lacks = VMX_FEATURE_X2APIC},
    {"APIC base below MAXPHYADDR", APIC_BASE, 0xFEE00900, BIT(38) | 0x900, OK_AS(BIT(38) | 0x900),
     .max_phys_bits = 39},
    {"APIC base at MAXPHYADDR", APIC_BASE, 0xFEE00900, BIT(39) | 0x900, GP, .max_phys_bits = 39},

    {"FEATURE_CONTROL unlocked", FEATURE_CONTROL, 0x4, 0x6, OK_AS(0x6)},
    {"FEATURE_CONTROL locks", FEATURE_CONTROL, 0x4, 0x5, OK_AS(0x5)},
    {"FEATURE_CONTROL locked, same value", FEATURE_CONTROL, 0x5, 0x5, GP},
    {"FEATURE_CONTROL locked, unlock", FEATURE_CONTROL, 0x5, 0x4, GP},
    {"SENTER without SMX", FEATURE_CONTROL, 0, 0xFF00, GP, .lacks = VMX_FEATURE_SMX},
    {"VMX in SMX without SMX", FEATURE_CONTROL, 0, 0x2, GP, .lacks = VMX_FEATURE_SMX},
    {"SGX enable without SGX", FEATURE_CONTROL, 0, 0x40000, GP, .lacks = VMX_FEATURE_SGX},
    {"SGX launch control without it", FEATURE_CONTROL, 0, 0x20000, GP, .lacks = VMX_FEATURE_SGX_LC},

    {"EFER.LME, paging off", EFER, 0, 0x100, OK_AS(0x100)},
    {"EFER.LME off, paging on", EFER, 0x500, 0x0, GP, .cr0 = 0x80000001},
    {"EFER.LME on, paging on", EFER, 0, 0x100, GP, .cr0 = 0x80000001},
    {"EFER.NXE, paging on", EFER, 0x500, 0xD01, OK_AS(0xD01), .cr0 = 0x80000001},
    {"EFER.LMA cannot be cleared", EFER, 0x500, 0x100, OK_AS(0x500), .cr0 = 0x80000001},
    {"EFER.LMA cannot be set", EFER, 0, 0x400, OK_AS(0)},
    {"EFER.NXE without NX", EFER, 0, 0x800, GP, .lacks = VMX_FEATURE_NX},

    {"MISC_ENABLE keeps its read-only bits set", MISC_ENABLE, 0x850089, 0, OK_AS(0x80)},
    {"MISC_ENABLE keeps its read-only bits clear", MISC_ENABLE, 0, 0x1889, OK_AS(0x9)},
    {"EIST enable without EIST", MISC_ENABLE, 0, 0x10000, GP, .lacks = VMX_FEATURE_EIST},
    {"MONITOR FSM without MONITOR", MISC_ENABLE, 0, 0x40000, GP, .lacks = VMX_FEATURE_MONITOR},
    {"xTPR disable without xTPR", MISC_ENABLE, 0, 0x800000, GP, .lacks = VMX_FEATURE_XTPR},
    {"XD disable without NX", MISC_ENABLE, 0, BIT(34), GP, .lacks = VMX_FEATURE_NX},

    {"BTS without DS", 0x1D9, 0, 0x80, GP, .lacks = VMX_FEATURE_DS},
    {"BTS_OFF_OS without DS_CPL", 0x1D9, 0, 0x200, GP, .lacks = VMX_FEATURE_DS_CPL},
    {"bus-lock trap without it", 0x1D9, 0, 0x4, GP, .lacks = VMX_FEATURE_BUS_LOCK_DETECT},
    {"RTM_DEBUG without RTM", 0x1D9, 0, 0x8000, GP, .lacks = VMX_FEATURE_RTM},
    {"FREEZE_WHILE_SMM without PDCM", 0x1D9, 0, 0x4000, GP, .lacks = VMX_FEATURE_PDCM},
    {"freeze on PMI without perfmon", 0x1D9, 0, 0x800, GP, .lacks = VMX_FEATURE_EN_PERFMON},

    {"PAT of all UC-", 0x277, 0, 0x0707070707070707, OK_AS(0x0707070707070707)},
    {"PAT type 2", 0x277, 0, 0x0200000000000000, GP},
    {"PAT type 3", 0x277, 0, 0x0000030000000000, GP},
    {"PAT type 8", 0x277, 0, 0x0000000000000800, GP},
    {"fixed MTRR type UC-", 0x250, 0, 0x0700000000000000, GP},
    {"fixed MTRR type 3", 0x26F, 0, 0x0000000000000003, GP},
    {"variable MTRR type UC-", 0x200, 0, 0x7, GP},
    {"variable MTRR type 2", 0x212, 0, 0x2, GP},
    {"default type UC-", 0x2FF, 0, 0xC07, GP},
    {"default type 3", 0x2FF, 0, 0xC03, GP},
    {"MTRR base below MAXPHYADDR", 0x200, 0, BIT(35), OK_AS(BIT(35)), .max_phys_bits = 36},
    {"MTRR base at MAXPHYADDR", 0x200, 0, BIT(36), GP, .max_phys_bits = 36},
    {"MTRR mask below MAXPHYADDR", 0x213, 0, BIT(51), OK_AS(BIT(51)), .max_phys_bits = 52},
    {"MTRR mask at MAXPHYADDR", 0x213, 0, BIT(51), GP, .max_phys_bits = 51},

    {"57-bit address", 0xC0000082, 0, 0x00FFFFFFFFFFFFFF, OK_AS(0x00FFFFFFFFFFFFFF)},
    {"57-bit address, negative", 0xC0000082, 0, 0xFF00000000000000, OK_AS(0xFF00000000000000)},
    {"first address in the 57-bit hole", 0xC0000082, 0, 0x0100000000000000, GP},
    {"last address in the 57-bit hole", 0xC0000082, 0, 0xFEFFFFFFFFFFFFFF, GP},
    {"48-bit address", 0xC0000082, 0, 0x00007FFFFFFFFFFF, OK_AS(0x00007FFFFFFFFFFF),
     .linear_bits = 48},
    {"48-bit address, negative", 0x176, 0, 0xFFFF800000000000, OK_AS(0xFFFF800000000000),
     .linear_bits = 48},
    {"first address in the 48-bit hole", 0x176, 0, 0x0000800000000000, GP, .linear_bits = 48},
    {"last address in the 48-bit hole", 0x6A8, 0, 0xFFFF7FFFFFFFFFFF, GP, .linear_bits = 48},
    {"BNDCFGS in the hole", 0xD90, 0, 0x0000800000000001, GP, .linear_bits = 48},

    {"all counters", 0x38F, 0, 0xF000000FF, OK_AS(0xF000000FF)},
    {"the fifth counter of four", 0x38F, 0, 0x10, GP, .gp_counters = 4},
    {"the fourth counter of four", 0x38F, 0, 0x8, OK_AS(0x8), .gp_counters = 4},

    {"SYSENTER_CS drops bits 63:32", 0x174, 0, 0xFFFFFFFF00000008, OK_AS(0x8)},
    {"FMASK drops bits 63:32", 0xC0000084, 0, 0xFFFFFFFF00000300, OK_AS(0x300)},

    {"S_CET with suppress and tracker", 0x6A2, 0, 0xC00, GP},
    {"S_CET with suppress", 0x6A2, 0, 0x400, OK_AS(0x400)},
    {"S_CET with tracker", 0x6A2, 0, 0x800, OK_AS(0x800)},
    {"S_CET with a bitmap in the hole", 0x6A2, 0, 0x0000800000000008, GP, .linear_bits = 48},
    {"S_CET.ENDBR_EN without IBT", 0x6A2, 0, 0x4, GP, .lacks = VMX_FEATURE_CET_IBT},
    {"S_CET.SH_STK_EN without IBT", 0x6A2, 0, 0x3, OK_AS(0x3), .lacks = VMX_FEATURE_CET_IBT},

    {"XSS.PT without PT", 0xDA0, 0, 0x100, GP, .lacks = VMX_FEATURE_PT},
    {"XSS.CET without CET", 0xDA0, 0, 0x800, GP, .lacks = VMX_FEATURE_CET_SS},

    {"RTIT_CTL: tracing changes nothing but TraceEn", 0x570, 0x2501, 0x2509, GP},
    {"RTIT_CTL: tracing, the same value", 0x570, 0x2501, 0x2501, OK_AS(0x2501)},
    {"RTIT_CTL: tracing ends with changes", 0x570, 0x2501, 0x2508, OK_AS(0x2508)},
    {"RTIT_CTL: tracing begins with changes", 0x570, 0x2500, 0x2509, OK_AS(0x2509)},
    {"RTIT_CTL: supported MTC period", 0x570, 0, 0x3 << 14, OK_AS(0x3 << 14)},
    {"RTIT_CTL: unsupported MTC period", 0x570, 0, 0x5 << 14, GP},
    {"RTIT_CTL: largest cycle threshold", 0x570, 0, 0xD << 19, OK_AS(0xD << 19)},
    {"RTIT_CTL: unsupported cycle threshold", 0x570, 0, 0xE << 19, GP},
    {"RTIT_CTL: largest PSB frequency", 0x570, 0, 0x5 << 24, OK_AS(0x5 << 24)},
    {"RTIT_CTL: unsupported PSB frequency", 0x570, 0, 0x6 << 24, GP},
    {"RTIT_CTL: trace stop", 0x570, 0, BIT(37), OK_AS(BIT(37))},
    {"RTIT_CTL: range encoding 3", 0x570, 0, 0x3 * BIT(36), GP},
    {"RTIT_CTL: a third range of two", 0x570, 0, BIT(40), GP},
    {"RTIT_CTL: single range without it", 0x570, 0, 0x1, GP, .lacks = VMX_FEATURE_PT_SINGLE_RANGE},
    {"RTIT_CTL: ToPA without single range", 0x570, 0, 0x101, OK_AS(0x101),
     .lacks = VMX_FEATURE_PT_SINGLE_RANGE},
    {"RTIT_CTL: ToPA without it", 0x570, 0, 0x100, GP, .lacks = VMX_FEATURE_PT_TOPA},
    {"RTIT_CTL: CYCEn without it", 0x570, 0, 0x2, GP, .lacks = VMX_FEATURE_PT_PSB_CYC},
    {"RTIT_CTL: MTCEn without it", 0x570, 0, 0x200, GP, .lacks = VMX_FEATURE_PT_MTC},
    {"RTIT_CTL: PTWEn without it", 0x570, 0, 0x1000, GP, .lacks = VMX_FEATURE_PT_PTWRITE},
    {"RTIT_CTL: PwrEvtEn without it", 0x570, 0, 0x10, GP, .lacks = VMX_FEATURE_PT_POWER_EVENT},
    {"RTIT_CTL: FabricEn without it", 0x570, 0, 0x40, GP, .lacks = VMX_FEATURE_PT_TRANSPORT},
    {"RTIT_CTL: CR3 filter without it", 0x570, 0, 0x80, GP, .lacks = VMX_FEATURE_PT_CR3_FILTER},
    {"RTIT_CTL: EventEn without it", 0x570, 0, BIT(31), GP, .lacks = VMX_FEATURE_PT_EVENT_TRACE},
    {"RTIT_CTL: DisTNT without it", 0x570, 0, BIT(55), GP, .lacks = VMX_FEATURE_PT_TNT_DISABLE},
    {"RTIT_CTL: InjectPsbPmi without it", 0x570, 0, BIT(56), GP, .lacks = VMX_FEATURE_PT_PSB_PMI},
    {"RTIT_CTL: ranges without IP filter", 0x570, 0, BIT(32), GP,
     .lacks = VMX_FEATURE_PT_IP_FILTER},
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static struct vmx_profile profile_of(const struct rule_case *row)
{
    struct vmx_profile profile = vmx_profile_generic;
    if (row->lacks != VMX_FEATURE_ALWAYS) {
        profile.feature[row->lacks] = false;
    }
    profile.max_phys_bits = row->max_phys_bits != 0 ? row->max_phys_bits : profile.max_phys_bits;
    profile.linear_bits = row->linear_bits != 0 ? row->linear_bits : profile.linear_bits;
    profile.num_gp_counters = row->gp_counters != 0 ? row->gp_counters : profile.num_gp_counters;
    return profile;
}

// Puts the old value there without asking any rule.
static void place(struct vmx_cpu *cpu, uint32_t index, uint64_t value)
{
    switch (index) {
    case EFER:
        cpu->vmcs.field[VMCS_GUEST_IA32_EFER] = value;
        break;
    case 0x570:
        cpu->vmcs.field[VMCS_GUEST_IA32_RTIT_CTL] = value;
        break;
    case FEATURE_CONTROL:
        cpu->feature_control = value;
        break;
    case APIC_BASE:
        cpu->msr[MSR_SLOT_IA32_APIC_BASE] = value;
        break;
    case MISC_ENABLE:
        cpu->msr[MSR_SLOT_IA32_MISC_ENABLE] = value;
        break;
    default:
        assert_int_equal(0, value);
        break;
    }
}

static void follows_the_rule(void **state)
{
    const struct rule_case *row = *state;
    struct vmx_profile profile = profile_of(row);
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &profile);
    place(&cpu, row->index, row->old);
    if (row->cr0 != 0) {
        cpu.vmcs.field[VMCS_GUEST_CR0] = row->cr0;
    }

    assert_write(&cpu, row->index, row->value, row->want);
    if (row->want == MSR_OK) {
        assert_int_equal(row->stored, read_msr(&cpu, row->index));
    }
}

static void tsc_and_tsc_adjust_move_together(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    cpu.tsc = 1000;
    assert_write(&cpu, 0x10, 400, MSR_OK);
    assert_int_equal(400, cpu.tsc);
    assert_int_equal((uint64_t)-600, read_msr(&cpu, 0x3B));
    assert_write(&cpu, 0x3B, 0, MSR_OK);
    assert_int_equal(1000, read_msr(&cpu, 0x10));
}

static void xd_disable_takes_nxe_away(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_write(&cpu, EFER, 0x800, MSR_OK);
    assert_write(&cpu, EFER, 0, MSR_OK);
    assert_write(&cpu, MISC_ENABLE, BIT(34) | 0x80, MSR_OK);
    assert_write(&cpu, EFER, 0x800, MSR_GP);
}

static void the_debuggers_efer_obeys_the_guests_paging(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    cpu.vmcs.field[VMCS_GUEST_CR0] = 0x80000001;
    cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0xD01;
    struct vmx_cpu before = cpu;
    assert_int_equal(MSR_GP, msr_write(&cpu, MSR_DEBUGGER, EFER, 0));
    assert_cpu_equal(&before, &cpu);
    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_DEBUGGER, EFER, 0x100));
    assert_int_equal(0x500, cpu.vmcs.field[VMCS_GUEST_IA32_EFER]);
}

int main(void)
{
    static struct CMUnitTest rows[NUM_CASES];
    for (unsigned i = 0; i < NUM_CASES; i++) {
        rows[i] = (struct CMUnitTest){
            .name = cases[i].name,
            .test_func = follows_the_rule,
            .initial_state = &cases[i],
        };
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tsc_and_tsc_adjust_move_together),
        cmocka_unit_test(xd_disable_takes_nxe_away),
        cmocka_unit_test(the_debuggers_efer_obeys_the_guests_paging),
    };
    return _cmocka_run_group_tests("msr rules", rows, NUM_CASES, NULL, NULL) +
           cmocka_run_group_tests_name("msr rules, in sequence", tests, NULL, NULL);
}
