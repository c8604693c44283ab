#include "msr_accepts.h"

#include "mmu_model/paging.h"

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
bool accepts_rtit_ctl(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    const struct vmx_cpu *cpu = a->cpu;
    bool traces = (a->value & RTIT_TRACE_EN) != 0;
    bool single_range = (a->value & (RTIT_TOPA | RTIT_FABRIC_EN)) == 0;

    if (!only(a->value, rtit_allowed(cpu)) || !rtit_encodings_supported(cpu->profile, a->value)) {
        return false;
    }
    if ((a->old & RTIT_TRACE_EN) != 0 && traces && a->value != a->old) {
        return false;
    }
    return !traces || !single_range || vmx_profile_has(cpu->profile, VMX_FEATURE_PT_SINGLE_RANGE);
}

// SDM Vol. 3C, "Intel Processor Trace Configuration": the other registers cannot be written while
// TraceEn is set.
bool accepts_rtit_plain(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return (a->cpu->vmcs.field[VMCS_GUEST_IA32_RTIT_CTL] & RTIT_TRACE_EN) == 0;
}

bool accepts_rtit_base(const struct msr_attempt *a, uint64_t *out)
{
    return accepts_rtit_plain(a, out) && accepts_physical(a, out);
}

// The mask is at least 127: its low bits read as 1 whatever is written.
bool accepts_rtit_mask(const struct msr_attempt *a, uint64_t *out)
{
    *out = a->value | 0x7F;
    return accepts_rtit_plain(a, out);
}

#define RTIT_STATUS_READ_ONLY UINT64_C(0x7) // FilterEn, ContextEn, TriggerEn

bool accepts_rtit_status(const struct msr_attempt *a, uint64_t *out)
{
    *out = (a->value & ~RTIT_STATUS_READ_ONLY) | (a->old & RTIT_STATUS_READ_ONLY);
    return accepts_rtit_plain(a, out);
}

bool accepts_rtit_address(const struct msr_attempt *a, uint64_t *out)
{
    return accepts_rtit_plain(a, out) && accepts_canonical(a, out);
}

// SDM Vol. 3B, "Architectural Last Branch Records", "LBR Control".
bool accepts_lbr_ctl(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t allowed = 0x1; // LBREn
    allowed |= bits_if(a->cpu, VMX_FEATURE_LBR_CPL_FILTER, 0x6);
    allowed |= bits_if(a->cpu, VMX_FEATURE_LBR_CALL_STACK, 0x8);
    allowed |= bits_if(a->cpu, VMX_FEATURE_LBR_BRANCH_FILTER, 0x7F0000);
    return only(a->value, allowed);
}

// SDM Vol. 3B, "LBR Depth": multiples of 8, as CPUID.1CH EAX lists them.
bool accepts_lbr_depth(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return a->value != 0 && a->value % 8 == 0 && a->value <= a->cpu->profile->num_lbr_entries;
}

// A write of the depth, the present one too, clears all entries: SDM Vol. 3B, "LBR Depth".
void follow_lbr_depth(struct vmx_cpu *cpu, uint64_t change, uint64_t value)
{
    (void)change;
    (void)value;
#define MSR(name, index, reset, writable, rule, debugger, guest, feature, bank, number, cite)      \
    CLEAR_##bank(name)
#define CLEAR_DEPTH(name) cpu->msr[MSR_SLOT_##name] = 0;
#define CLEAR_ONE(name)
#define CLEAR_GENERAL(name)
#define CLEAR_FIXED(name)
#define CLEAR_MC(name)
#define CLEAR_MTRR(name)
#define CLEAR_LBR(name)
#define CLEAR_PT(name)
#define CLEAR_PERFMON(name)
#include "vmx_model/msrs.def"
}
