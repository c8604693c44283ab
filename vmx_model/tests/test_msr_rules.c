// Rules that depend on more than the value: the old value, other registers, the profile.
#include "vmx_tests.h"

#define APIC_BASE       0x1Bu
#define FEATURE_CONTROL 0x3Au
#define MISC_ENABLE     0x1A0u
#define EFER            0xC0000080u

// One write to a processor, in a state and with a profile made from the generic one.
struct rule_case {
    const char *name;
    uint32_t index;
    uint64_t old, value;
    enum msr_result want;
    uint64_t stored; // when accepted
    uint64_t cr0;
    enum vmx_feature lacks;
    enum msr_slot with; // another MSR that holds with_value; slot 0, the TSC's: none
    uint64_t with_value;
    uint32_t apic_version;
    uint8_t perfmon_version;
    bool traces, x2apic;
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
    {"LMCE without it", FEATURE_CONTROL, 0, 0x100000, GP, .lacks = VMX_FEATURE_LMCE},
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
    {"STIBP without it", 0x48, 0, 0x2, GP, .lacks = VMX_FEATURE_STIBP},
    {"SSBD without it", 0x48, 0, 0x4, GP, .lacks = VMX_FEATURE_SSBD},
    {"IPRED_DIS without it", 0x48, 0, 0x8, GP, .lacks = VMX_FEATURE_IPRED_CTRL},
    {"RRSBA_DIS without it", 0x48, 0, 0x20, GP, .lacks = VMX_FEATURE_RRSBA_CTRL},
    {"PSFD without it", 0x48, 0, 0x80, GP, .lacks = VMX_FEATURE_PSFD},
    {"DDPD_U without it", 0x48, 0, 0x100, GP, .lacks = VMX_FEATURE_DDPD_U},
    {"BHI_DIS_S without it", 0x48, 0, 0x400, GP, .lacks = VMX_FEATURE_BHI_CTRL},
    {"SGX key hash while FEATURE_CONTROL is open", 0x8C, 0, 0x1, GP},
    {"split-lock detection without it", 0x33, 0, BIT(29), GP,
     .lacks = VMX_FEATURE_SPLIT_LOCK_DISABLE},
    {"UC-lock disable without it", 0x33, 0, BIT(28), GP, .lacks = VMX_FEATURE_UC_LOCK_DISABLE},
    {"GDS mitigation control without it", 0x123, 0, 0x10, GP, .lacks = VMX_FEATURE_GDS_CTRL},
    {"RTM_ALLOW without RTM", 0x123, 0, 0x2, GP, .lacks = VMX_FEATURE_RTM},
    {"FB_CLEAR_DIS without it", 0x123, 0, 0x8, GP, .lacks = VMX_FEATURE_FB_CLEAR_CTRL},
    {"GDS lock holds its bits", 0x123, 0, 0x1, OK_AS(0x31), .with = MSR_SLOT_IA32_MCU_OPT_CTRL,
     .with_value = 0x30},
    {"a locked feature configuration", 0x13C, 0, 0x2, GP, .with = MSR_SLOT_MSR_FEATURE_CONFIG,
     .with_value = 0x1},
    {"a locked C-state control", 0xE2, 0, 0x2, GP, .with = MSR_SLOT_MSR_PKG_CST_CONFIG_CONTROL,
     .with_value = 0x8000},
    {"a locked debug interface", 0xC80, 0, 0x1, GP, .with = MSR_SLOT_IA32_DEBUG_INTERFACE,
     .with_value = BIT(30)},
    {"a locked TDP control", 0x64B, 0, 0x1, GP, .with = MSR_SLOT_MSR_CONFIG_TDP_CONTROL,
     .with_value = BIT(31)},
    {"a locked power limit", 0x610, 0, 0x1, GP, .with = MSR_SLOT_MSR_PKG_POWER_LIMIT,
     .with_value = BIT(63)},
    {"TME exclusion once TME is locked", 0x984, 0, 0x1000, GP, .with = MSR_SLOT_IA32_TME_ACTIVATE,
     .with_value = 0x1},
    {"TME exclusion at MAXPHYADDR", 0x984, 0, BIT(36), GP, .max_phys_bits = 36},
    {"LMCE_S without LMCE", 0x17A, 0, 0x8, GP, .lacks = VMX_FEATURE_LMCE},
    {"an empty cache mask", 0xC90, 0, 0, GP},
    {"a cache mask with a hole", 0xC90, 0, 0x5, GP},
    {"a cache mask without holes", 0xC90, 0, 0x3C, OK_AS(0x3C)},
    {"a cache mask of the top bit", 0xC90, 0, 0x400, OK_AS(0x400)},

    {"PMC extends the sign to 48 bits", 0xC1, 0, 0x80000000, OK_AS(0xFFFF80000000)},
    {"PMC ignores bits 63:32", 0xC8, 0, 0xFFFFFFFF00000001, OK_AS(0x1)},
    {"the fifth counter of four, itself", 0xC5, 0, 0, GP, .gp_counters = 4},
    {"AnyThread in version 4", 0x186, 0, 0x200000, OK_AS(0x200000), .perfmon_version = 4},
    {"AnyThread in version 3", 0x186, 0, 0x200000, OK_AS(0x200000), .perfmon_version = 3},
    {"AnyThread in version 2", 0x186, 0, 0x200000, GP, .perfmon_version = 2},
    {"AnyThread of a fixed counter in version 4", 0x38D, 0, 0x4000, OK_AS(0x4000),
     .perfmon_version = 4},
    {"IN_TX without RTM", 0x186, 0, BIT(32), GP, .lacks = VMX_FEATURE_RTM},
    {"adaptive PEBS without it", 0x186, 0, BIT(34), GP, .lacks = VMX_FEATURE_PEBS_BASELINE},
    {"adaptive PEBS of a fixed counter", 0x38D, 0, BIT(36), GP, .lacks = VMX_FEATURE_PEBS_BASELINE},
    {"PEBS of a fixed counter without it", 0x3F1, 0, BIT(32), GP,
     .lacks = VMX_FEATURE_PEBS_BASELINE},
    {"perf metrics without them", 0x38F, 0, BIT(48), GP, .lacks = VMX_FEATURE_PERF_METRICS},
    {"STATUS_SET in version 3", 0x391, 0, 0, GP, .perfmon_version = 3},
    {"GLOBAL_CTRL freezes in version 3", 0x390, 0, BIT(58), GP, .perfmon_version = 3},
    {"GLOBAL_STATUS in version 1", 0x390, 0, 0, GP, .perfmon_version = 1},
    {"ToPA PMI without PT", 0x390, 0, BIT(55), GP, .lacks = VMX_FEATURE_PT},
    {"ASCI without SGX", 0x390, 0, BIT(60), GP, .lacks = VMX_FEATURE_SGX},
    {"DS overflow without DS", 0x390, 0, BIT(62), GP, .lacks = VMX_FEATURE_DS},

    {"RTIT output base while tracing", 0x560, 0, 0, GP, .traces = true},
    {"RTIT output mask while tracing", 0x561, 0, 0x7F, GP, .traces = true},
    {"RTIT output mask is at least 127", 0x561, 0, BIT(32), OK_AS(BIT(32) | 0x7F)},
    {"RTIT status while tracing", 0x571, 0, 0, GP, .traces = true},
    {"RTIT status keeps its read-only bits", 0x571, 0, 0x17, OK_AS(0x12),
     .with = MSR_SLOT_IA32_RTIT_STATUS, .with_value = 0x2},
    {"RTIT CR3 match while tracing", 0x572, 0, 0, GP, .traces = true},
    {"RTIT range while tracing", 0x580, 0, 0, GP, .traces = true},
    {"RTIT range in the hole", 0x583, 0, 0x0000800000000000, GP, .linear_bits = 48},
    {"RTIT output base at MAXPHYADDR", 0x560, 0, BIT(39), GP, .max_phys_bits = 39},
    {"LBR CPL filter without it", 0x14CE, 0, 0x2, GP, .lacks = VMX_FEATURE_LBR_CPL_FILTER},
    {"LBR call stack without it", 0x14CE, 0, 0x8, GP, .lacks = VMX_FEATURE_LBR_CALL_STACK},
    {"LBR branch filter without it", 0x14CE, 0, 0x10000, GP,
     .lacks = VMX_FEATURE_LBR_BRANCH_FILTER},
    {"LBR depth 24", 0x14CF, 0, 24, OK_AS(24)},
    {"LBR depth 20", 0x14CF, 0, 20, GP},
    {"LBR depth 40", 0x14CF, 0, 40, GP},
    {"LBR depth 0", 0x14CF, 0, 0, GP},
    {"the last entry within the depth", 0x150F, 0, 1, OK_AS(1), .with = MSR_SLOT_IA32_LBR_DEPTH,
     .with_value = 16},
    {"the first entry beyond the depth", 0x1510, 0, 1, GP, .with = MSR_SLOT_IA32_LBR_DEPTH,
     .with_value = 16},

    {"fine clock modulation without it", 0x19A, 0, 0x11, GP, .lacks = VMX_FEATURE_ECMD},
    {"power-limit interrupt without it", 0x19B, 0, BIT(24), GP, .lacks = VMX_FEATURE_PLN},
    {"thermal interrupt 25 without it", 0x1B2, 0, BIT(25), GP,
     .lacks = VMX_FEATURE_THERM_INTERRUPT_25},
    {"a thermal log is cleared by 0", 0x19C, 0, 0, OK_AS(0x88460001),
     .with = MSR_SLOT_IA32_THERM_STATUS, .with_value = 0x88460003},
    {"a thermal log is kept by 1", 0x19C, 0, 0x2, OK_AS(0x88460003),
     .with = MSR_SLOT_IA32_THERM_STATUS, .with_value = 0x8846000B},
    {"the temperature target keeps its target", 0x1A2, 0, 0x1FF0000, OK_AS(0x1640000)},
    {"turbo ratios that cannot be programmed", 0x1AD, 0, 0x1C, GP,
     .with = MSR_SLOT_MSR_PLATFORM_INFO, .with_value = 0},
    {"HWP stays enabled", 0x770, 0, 0, OK_AS(1), .with = MSR_SLOT_IA32_PM_ENABLE, .with_value = 1},
    {"an HWP request before HWP is enabled", 0x774, 0, 0x8000FF01, GP},
    {"an HWP request", 0x774, 0, 0x8000FF02, OK_AS(0x8000FF02), .with = MSR_SLOT_IA32_PM_ENABLE,
     .with_value = 1},
    {"an HWP preference without it", 0x774, 0, 0x80000000, GP, .lacks = VMX_FEATURE_HWP_PREFERENCE,
     .with = MSR_SLOT_IA32_PM_ENABLE, .with_value = 1},
    {"an HWP window without it", 0x774, 0, BIT(32), GP, .lacks = VMX_FEATURE_HWP_WINDOW,
     .with = MSR_SLOT_IA32_PM_ENABLE, .with_value = 1},
    {"HWP package control without it", 0x774, 0, BIT(42), GP, .lacks = VMX_FEATURE_HWP_PACKAGE,
     .with = MSR_SLOT_IA32_PM_ENABLE, .with_value = 1},
    {"HWP valid bits without them", 0x774, 0, BIT(63), GP, .lacks = VMX_FEATURE_HWP_FLEXIBLE,
     .with = MSR_SLOT_IA32_PM_ENABLE, .with_value = 1},
    {"Thread Director without it", 0x17D1, 0, 0x2, GP, .lacks = VMX_FEATURE_THREAD_DIRECTOR},

    {"an x2APIC register in xAPIC mode", 0x80F, 0, 0xFF, GP},
    {"the deadline in another timer mode", 0x6E0, 0, 123, OK_AS(0)},
    {"an LVT entry while the APIC is off", 0x833, 0, 0xFE, OK_AS(0x100FE), .x2apic = true},
    {"an LVT entry's read-only bits", 0x835, 0, 0x50FE, OK_AS(0xFE), .x2apic = true,
     .with = MSR_SLOT_IA32_X2APIC_SIVR, .with_value = 0x1FF},
    {"two bits of timer mode", 0x832, 0, 0x600EF, GP, .x2apic = true},
    {"TSC-deadline mode without it", 0x832, 0, 0x400EF, GP, .x2apic = true,
     .lacks = VMX_FEATURE_TSC_DEADLINE},
    {"TSC-deadline mode", 0x832, 0, 0x400EF, OK_AS(0x500EF), .x2apic = true},
    {"the initial count in TSC-deadline mode", 0x838, 0, 7, OK_AS(0), .x2apic = true,
     .with = MSR_SLOT_IA32_X2APIC_LVT_TIMER, .with_value = 0x400EF},
    {"EOI messages without them", 0x80F, 0, 0x10FF, GP, .x2apic = true},
    {"EOI messages", 0x80F, 0, 0x10FF, OK_AS(0x10FF), .x2apic = true, .apic_version = 0x1060015},
};

static struct vmx_profile profile_of(const struct rule_case *row)
{
    struct vmx_profile profile = vmx_profile_generic;
    if (row->lacks != VMX_FEATURE_ALWAYS) {
        profile.feature[row->lacks] = false;
    }
    profile.max_phys_bits = row->max_phys_bits != 0 ? row->max_phys_bits : profile.max_phys_bits;
    profile.linear_bits = row->linear_bits != 0 ? row->linear_bits : profile.linear_bits;
    profile.perfmon_version =
        row->perfmon_version != 0 ? row->perfmon_version : profile.perfmon_version;
    profile.apic_version = row->apic_version != 0 ? row->apic_version : profile.apic_version;
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
    if (row->with != 0) {
        cpu.msr[row->with] = row->with_value;
    }
    if (row->traces) {
        cpu.vmcs.field[VMCS_GUEST_IA32_RTIT_CTL] = 0x2501;
    }
    if (row->x2apic) {
        cpu.msr[MSR_SLOT_IA32_APIC_BASE] |= 0x400;
    }
    if (row->cr0 != 0) {
        cpu.vmcs.field[VMCS_GUEST_CR0] = row->cr0;
    }

    assert_write(&cpu, row->index, row->value, row->want);
    if (row->want == MSR_OK) {
        assert_int_equal(row->stored, read_msr(&cpu, row->index));
    }
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "msr rules", cases, follows_the_rule);
    return failures;
}
