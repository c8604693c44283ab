#include "msr_accepts.h"

static uint64_t low_bits(unsigned count)
{
    return (UINT64_C(1) << count) - 1;
}

// SDM Vol. 3B, "Legacy Performance Counter Writes": IA32_PMCn takes bits 31:0 and extends the sign
// to the width of a counter.
bool accepts_pmc(const struct msr_attempt *a, uint64_t *out)
{
    uint64_t low = a->value & 0xFFFFFFFF;
    uint64_t sign = (low & 0x80000000) != 0 ? UINT64_C(0xFFFFFFFF00000000) : 0;
    *out = (low | sign) & low_bits(a->cpu->profile->counter_bits);
    return true;
}

bool accepts_counter(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return only(a->value, low_bits(a->cpu->profile->counter_bits));
}

// AnyThread came with version 3 and went with version 5.
static uint64_t any_thread(const struct vmx_cpu *cpu, uint64_t bits)
{
    uint8_t version = cpu->profile->perfmon_version;
    return version == 3 || version == 4 ? bits : 0;
}

//   34    33       32     31     24 23  22 21        20  19 18 17 16 15      8 7      0
// | ADAPT | IN_TXCP | IN_TX | CMASK | INV | EN | AnyThr | INT | PC | E | OS | USR | UMASK | EVENT |
bool accepts_perfevtsel(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t allowed = 0xFFDFFFFF | any_thread(a->cpu, 0x200000);
    allowed |= bits_if(a->cpu, VMX_FEATURE_RTM, UINT64_C(0x300000000));
    allowed |= bits_if(a->cpu, VMX_FEATURE_PEBS_BASELINE, UINT64_C(0x400000000));
    return only(a->value, allowed);
}

// Four bits a counter: OS, USR, AnyThread, PMI; from bit 32 on, one in four for adaptive PEBS.
bool accepts_fixed_ctr_ctrl(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t nibble = 0xB | any_thread(a->cpu, 0x4);
    nibble |= bits_if(a->cpu, VMX_FEATURE_PEBS_BASELINE, UINT64_C(0x100000000));
    uint64_t allowed = 0;
    for (unsigned n = 0; n < a->cpu->profile->num_fixed_counters; n++) {
        allowed |= nibble << 4 * n;
    }
    return only(a->value, allowed);
}

// SDM Vol. 3B, "Architectural Performance Monitoring Version 2": one bit per counter, the
// general ones from 0, the fixed ones from 32.
static uint64_t counter_mask(const struct vmx_cpu *cpu)
{
    return low_bits(cpu->profile->num_gp_counters) | low_bits(cpu->profile->num_fixed_counters)
                                                         << 32;
}

#define METRICS_BIT (UINT64_C(1) << 48)

bool accepts_perf_global_ctrl(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return only(a->value,
                counter_mask(a->cpu) | bits_if(a->cpu, VMX_FEATURE_PERF_METRICS, METRICS_BIT));
}

#define CONDITION_CHANGED (UINT64_C(1) << 63)

// SDM Vol. 3B, "Architectural Performance Monitoring Version 4": counters, ToPA PMI, the freezes,
// ASCI, uncore and DS buffer overflows.
static uint64_t status_mask(const struct vmx_cpu *cpu)
{
    uint64_t mask = counter_mask(cpu) | UINT64_C(1) << 61;
    mask |= bits_if(cpu, VMX_FEATURE_PERF_METRICS, METRICS_BIT);
    mask |= bits_if(cpu, VMX_FEATURE_PT, UINT64_C(1) << 55);
    mask |= cpu->profile->perfmon_version >= 4 ? UINT64_C(3) << 58 : 0;
    mask |= bits_if(cpu, VMX_FEATURE_SGX, UINT64_C(1) << 60);
    mask |= bits_if(cpu, VMX_FEATURE_DS, UINT64_C(1) << 62);
    return mask;
}

bool accepts_perf_status_reset(const struct msr_attempt *a, uint64_t *out)
{
    *out = 0;
    return only(a->value, status_mask(a->cpu) | CONDITION_CHANGED);
}

bool accepts_perf_status_set(const struct msr_attempt *a, uint64_t *out)
{
    *out = 0;
    return only(a->value, status_mask(a->cpu));
}

void follow_perf_status_reset(struct vmx_cpu *cpu, uint64_t change, uint64_t value)
{
    (void)change;
    cpu->msr[MSR_SLOT_IA32_PERF_GLOBAL_STATUS] &= ~value;
}

void follow_perf_status_set(struct vmx_cpu *cpu, uint64_t change, uint64_t value)
{
    (void)change;
    cpu->msr[MSR_SLOT_IA32_PERF_GLOBAL_STATUS] |= value;
}

#define EVENT_SELECT UINT64_C(0xFF)
#define EVENT_PMI    UINT64_C(0x100000)

// SDM Vol. 3B, "IA32_PERF_GLOBAL_INUSE MSR": which counters are programmed, and whether any of them
// interrupts.
bool loads_perf_inuse(const struct vmx_cpu *cpu, uint64_t *value)
{
    uint64_t fixed = cpu->msr[MSR_SLOT_IA32_FIXED_CTR_CTRL];
    bool interrupts = (fixed & 0x8888) != 0;
    *value = 0;
    for (unsigned n = 0; n < cpu->profile->num_gp_counters; n++) {
        uint64_t event = cpu->msr[MSR_SLOT_IA32_PERFEVTSEL0 + n];
        *value |= (event & EVENT_SELECT) != 0 ? UINT64_C(1) << n : 0;
        interrupts = interrupts || (event & EVENT_PMI) != 0;
    }
    for (unsigned n = 0; n < cpu->profile->num_fixed_counters; n++) {
        *value |= (fixed >> 4 * n & 3) != 0 ? UINT64_C(1) << (32 + n) : 0;
    }
    *value |= interrupts ? CONDITION_CHANGED : 0; // bit 63: PMI
    return true;
}

bool accepts_pebs_enable(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    uint64_t fixed = low_bits(a->cpu->profile->num_fixed_counters) << 32;
    return only(a->value, low_bits(a->cpu->profile->num_gp_counters) |
                              bits_if(a->cpu, VMX_FEATURE_PEBS_BASELINE, fixed));
}
