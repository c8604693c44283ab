#include "msr_rules.h"

#include "mmu_model/control_bits.h"
#include "mmu_model/paging.h"
#include "xstate.h"

static uint64_t bits_if(const struct vmx_cpu *cpu, enum vmx_feature feature, uint64_t bits)
{
    return vmx_profile_has(cpu->profile, feature) ? bits : 0;
}

static bool only(uint64_t value, uint64_t allowed)
{
    return (value & ~allowed) == 0;
}

// SDM Vol. 1, "Canonical Addressing": WRMSR asks for the width that the processor supports,
// whatever CR4.LA57 says at the moment.
static bool accepts_linear(const struct vmx_cpu *cpu, uint64_t value)
{
    return mmu_is_canonical(value, cpu->profile->linear_bits);
}

static bool accepts_phys(const struct vmx_cpu *cpu, uint64_t value)
{
    return value >> cpu->profile->max_phys_bits == 0;
}

// SDM Vol. 3A, "Memory Types That Can Be Encoded With PAT": 2 and 3 are reserved, and 7 (UC-) is
// for the PAT alone; the MTRRs have UC, WC, WT, WP and WB.
static bool is_memory_type(uint64_t type, bool pat)
{
    return type <= 1 || (type >= 4 && type <= 6) || (type == 7 && pat);
}

static bool accepts_types(uint64_t value, bool pat)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if (!is_memory_type(value >> shift & 0xFF, pat)) {
            return false;
        }
    }
    return true;
}

#define APIC_BASE_EXTD UINT64_C(0x400)
#define APIC_BASE_EN   UINT64_C(0x800)

// SDM Vol. 3A, "x2APIC State Transitions": x2APIC mode is entered only from xAPIC mode and left
// only by disabling the APIC; EXTD without EN is invalid.
static bool accepts_apic_base(const struct vmx_cpu *cpu, uint64_t old, uint64_t value)
{
    bool was_enabled = (old & APIC_BASE_EN) != 0;
    bool was_x2apic = (old & APIC_BASE_EXTD) != 0;
    bool enable = (value & APIC_BASE_EN) != 0;
    bool x2apic = (value & APIC_BASE_EXTD) != 0;

    if (!accepts_phys(cpu, value)) {
        return false;
    }
    if (x2apic) {
        return enable && was_enabled && vmx_profile_has(cpu->profile, VMX_FEATURE_X2APIC);
    }
    return !(was_x2apic && enable);
}

#define FEATURE_CONTROL_LOCK UINT64_C(0x1)

static bool accepts_feature_control(const struct vmx_cpu *cpu, uint64_t old, uint64_t value)
{
    uint64_t allowed = FEATURE_CONTROL_LOCK | 0x100000;              // LMCE on
    allowed |= bits_if(cpu, VMX_FEATURE_VMX, 0x4);                   // VMX outside SMX
    allowed |= bits_if(cpu, VMX_FEATURE_SMX, 0x2 | 0x7F00 | 0x8000); // VMX in SMX, SENTER
    allowed |= bits_if(cpu, VMX_FEATURE_SGX_LC, 0x20000);
    allowed |= bits_if(cpu, VMX_FEATURE_SGX, 0x40000);
    return (old & FEATURE_CONTROL_LOCK) == 0 && only(value, allowed);
}

// Performance monitoring available, BTS unavailable, PEBS unavailable: WRMSR leaves them alone.
#define MISC_ENABLE_READ_ONLY UINT64_C(0x1880)

static bool accepts_misc_enable(const struct vmx_cpu *cpu, uint64_t old, uint64_t value,
                                uint64_t *out)
{
    uint64_t allowed = MISC_ENABLE_READ_ONLY | 0x400009; // fast strings, TCC, limit CPUID
    allowed |= bits_if(cpu, VMX_FEATURE_EIST, 0x10000);
    allowed |= bits_if(cpu, VMX_FEATURE_MONITOR, 0x40000);
    allowed |= bits_if(cpu, VMX_FEATURE_XTPR, 0x800000);
    allowed |= bits_if(cpu, VMX_FEATURE_NX, UINT64_C(0x400000000)); // XD bit disable
    *out = (value & ~MISC_ENABLE_READ_ONLY) | (old & MISC_ENABLE_READ_ONLY);
    return only(value, allowed);
}

static bool accepts_debugctl(const struct vmx_cpu *cpu, uint64_t value)
{
    uint64_t allowed = 0x43; // LBR, BTF, TR
    allowed |= bits_if(cpu, VMX_FEATURE_BUS_LOCK_DETECT, 0x4);
    allowed |= bits_if(cpu, VMX_FEATURE_DS, 0x180);          // BTS, BTINT
    allowed |= bits_if(cpu, VMX_FEATURE_DS_CPL, 0x600);      // BTS_OFF_OS, BTS_OFF_USR
    allowed |= bits_if(cpu, VMX_FEATURE_EN_PERFMON, 0x3800); // freeze on PMI, uncore PMI
    allowed |= bits_if(cpu, VMX_FEATURE_PDCM, 0x4000);       // FREEZE_WHILE_SMM
    allowed |= bits_if(cpu, VMX_FEATURE_RTM, 0x8000);        // RTM_DEBUG
    return only(value, allowed);
}

// SDM Vol. 3B, "Architectural Performance Monitoring Version 2": one bit per counter, the
// general ones from 0, the fixed ones from 32.
static bool accepts_perf_global_ctrl(const struct vmx_cpu *cpu, uint64_t value)
{
    uint64_t general = (UINT64_C(1) << cpu->profile->num_gp_counters) - 1;
    uint64_t fixed = (UINT64_C(1) << cpu->profile->num_fixed_counters) - 1;
    return only(value, general | fixed << 32);
}

#define RTIT_TRACE_EN  UINT64_C(0x0001)
#define RTIT_FABRIC_EN UINT64_C(0x0040)
#define RTIT_TOPA      UINT64_C(0x0100)

static uint64_t rtit_allowed(const struct vmx_cpu *cpu)
{
    uint64_t allowed = 0x2C0D; // TraceEn, OS, User, TSCEn, DisRETC, BranchEn
    allowed |= bits_if(cpu, VMX_FEATURE_PT_PSB_CYC, UINT64_C(0x0F780002));
    allowed |= bits_if(cpu, VMX_FEATURE_PT_POWER_EVENT, 0x10);
    allowed |= bits_if(cpu, VMX_FEATURE_PT_PTWRITE, 0x1020); // PTWEn, FUPonPTW
    allowed |= bits_if(cpu, VMX_FEATURE_PT_TRANSPORT, RTIT_FABRIC_EN);
    allowed |= bits_if(cpu, VMX_FEATURE_PT_CR3_FILTER, 0x80);
    allowed |= bits_if(cpu, VMX_FEATURE_PT_TOPA, RTIT_TOPA);
    allowed |= bits_if(cpu, VMX_FEATURE_PT_MTC, 0x3C200);
    allowed |= bits_if(cpu, VMX_FEATURE_PT_EVENT_TRACE, UINT64_C(0x80000000));
    allowed |= bits_if(cpu, VMX_FEATURE_PT_TNT_DISABLE, UINT64_C(1) << 55);
    allowed |= bits_if(cpu, VMX_FEATURE_PT_PSB_PMI, UINT64_C(1) << 56);
    unsigned range_bits = 4u * cpu->profile->num_pt_ranges;
    allowed |= bits_if(cpu, VMX_FEATURE_PT_IP_FILTER, ((UINT64_C(1) << range_bits) - 1) << 32);
    return allowed;
}

// MTCFreq, CycThresh, PSBFreq and ADDRn_CFG take the encodings that CPUID.14H lists.
static bool rtit_encodings_supported(const struct vmx_profile *profile, uint64_t value)
{
    for (unsigned range = 0; range < profile->num_pt_ranges; range++) {
        if ((value >> (32 + 4 * range) & 0xF) > 2) { // 0 unused, 1 filter, 2 stop
            return false;
        }
    }
    unsigned mtc = value >> 14 & 0xF;
    unsigned cyc = value >> 19 & 0xF;
    unsigned psb = value >> 24 & 0xF;
    return (mtc == 0 || (profile->pt_mtc_periods >> mtc & 1) != 0) &&
           (cyc == 0 || (profile->pt_cyc_thresholds >> cyc & 1) != 0) &&
           (psb == 0 || (profile->pt_psb_frequencies >> psb & 1) != 0);
}

// SDM Vol. 3C, "IA32_RTIT_CTL MSR": while TraceEn is set, only a write that clears it may change
// anything; tracing cannot start without an output scheme that the processor has.
static bool accepts_rtit_ctl(const struct vmx_cpu *cpu, uint64_t old, uint64_t value)
{
    bool traces = (value & RTIT_TRACE_EN) != 0;
    bool single_range = (value & (RTIT_TOPA | RTIT_FABRIC_EN)) == 0;

    if (!only(value, rtit_allowed(cpu)) || !rtit_encodings_supported(cpu->profile, value)) {
        return false;
    }
    if ((old & RTIT_TRACE_EN) != 0 && traces && value != old) {
        return false;
    }
    return !traces || !single_range || vmx_profile_has(cpu->profile, VMX_FEATURE_PT_SINGLE_RANGE);
}

#define CET_SHADOW_STACK    UINT64_C(0x003)
#define CET_SUPPRESS        UINT64_C(0x400)
#define CET_WAIT_ENDBRANCH  UINT64_C(0x800)
#define CET_INDIRECT_BRANCH UINT64_C(0xFFFFFFFFFFFFFC3C)

// SDM Vol. 3C, "Checks on Guest Control Registers, Debug Registers, and MSRs" states the same of
// the VMCS field: reserved bits, SUPPRESS with TRACKER, a canonical bitmap base.
static bool accepts_cet(const struct vmx_cpu *cpu, uint64_t value)
{
    uint64_t allowed = bits_if(cpu, VMX_FEATURE_CET_SS, CET_SHADOW_STACK) |
                       bits_if(cpu, VMX_FEATURE_CET_IBT, CET_INDIRECT_BRANCH);
    uint64_t both = CET_SUPPRESS | CET_WAIT_ENDBRANCH;
    return only(value, allowed) && (value & both) != both && accepts_linear(cpu, value);
}

#define EFER_SCE UINT64_C(0x001)

#define MISC_ENABLE_XD_DISABLE UINT64_C(0x400000000)

// SDM Vol. 3A, "Paging-Mode Modification": LME cannot change while CR0.PG is set. LMA follows
// LME and CR0.PG by itself; what WRMSR says of it is dropped.
static bool accepts_efer(const struct vmx_cpu *cpu, uint64_t old, uint64_t value, uint64_t *out)
{
    uint64_t allowed = EFER_SCE | MMU_EFER_LME | MMU_EFER_LMA;
    bool no_execute = (cpu->msr[MSR_SLOT_IA32_MISC_ENABLE] & MISC_ENABLE_XD_DISABLE) == 0;
    if (no_execute) {
        allowed |= bits_if(cpu, VMX_FEATURE_NX, MMU_EFER_NXE);
    }
    *out = (value & ~MMU_EFER_LMA) | (old & MMU_EFER_LMA);
    bool paging = (cpu->vmcs.field[VMCS_GUEST_CR0] & MMU_CR0_PG) != 0;
    bool changes_lme = ((old ^ value) & MMU_EFER_LME) != 0;
    return only(value, allowed) && !(paging && changes_lme);
}

bool msr_rule_accepts(const struct vmx_cpu *cpu, enum msr_rule rule, uint64_t old, uint64_t value,
                      uint64_t *out)
{
    *out = value;
    switch (rule) {
    case MSR_RULE_ANY:
    case MSR_RULE_TSC:
    case MSR_RULE_TSC_ADJUST:
        return true;
    case MSR_RULE_READ_ONLY:
        return false;
    case MSR_RULE_IGNORED:
        *out = old;
        return true;
    case MSR_RULE_LOW_32:
        *out = value & 0xFFFFFFFF;
        return true;
    case MSR_RULE_CANONICAL:
        return accepts_linear(cpu, value);
    case MSR_RULE_APIC_BASE:
        return accepts_apic_base(cpu, old, value);
    case MSR_RULE_FEATURE_CONTROL:
        return accepts_feature_control(cpu, old, value);
    case MSR_RULE_MISC_ENABLE:
        return accepts_misc_enable(cpu, old, value, out);
    case MSR_RULE_DEBUGCTL:
        return accepts_debugctl(cpu, value);
    case MSR_RULE_MTRR_BASE:
        return accepts_phys(cpu, value) && is_memory_type(value & 0xFF, false);
    case MSR_RULE_MTRR_MASK:
        return accepts_phys(cpu, value);
    case MSR_RULE_MTRR_TYPES:
        return accepts_types(value, false);
    case MSR_RULE_MTRR_DEF_TYPE:
        return is_memory_type(value & 0xFF, false);
    case MSR_RULE_PAT_TYPES:
        return accepts_types(value, true);
    case MSR_RULE_PERF_GLOBAL_CTRL:
        return accepts_perf_global_ctrl(cpu, value);
    case MSR_RULE_RTIT_CTL:
        return accepts_rtit_ctl(cpu, old, value);
    case MSR_RULE_CET:
        return accepts_cet(cpu, value);
    case MSR_RULE_XSS:
        return only(value, xstate_xss_mask(cpu->profile));
    case MSR_RULE_EFER:
        return accepts_efer(cpu, old, value, out);
    }
    return false;
}
