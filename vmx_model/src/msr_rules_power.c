#include "msr_accepts.h"

bool accepts_clock_modulation(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return only(a->value, 0x1E | bits_if(a->cpu, VMX_FEATURE_ECMD, 0x1));
}

bool accepts_therm_interrupt(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return only(a->value, 0xFFFF1F | bits_if(a->cpu, VMX_FEATURE_PLN, 0x1000000) |
                              bits_if(a->cpu, VMX_FEATURE_THERM_INTERRUPT_25, 0x2000000));
}

// SDM Vol. 3B, "Digital Readout": each odd bit of 15:0 logs its even neighbour; 0 clears it, 1
// leaves it. All else is read-only.
bool accepts_sticky_log(const struct msr_attempt *a, uint64_t *out)
{
    *out = a->old & (a->value | ~UINT64_C(0xAAAA));
    return true;
}

#define TARGET_OFFSET UINT64_C(0x3F000000)

bool accepts_temperature_target(const struct msr_attempt *a, uint64_t *out)
{
    *out = (a->old & ~TARGET_OFFSET) | (a->value & TARGET_OFFSET);
    return true;
}

#define PROGRAMMABLE_RATIO UINT64_C(0x10000000)

// SDM Vol. 4, MSR_PLATFORM_INFO[28]: whether the turbo ratio limits can be written.
bool accepts_turbo_ratio(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return (a->cpu->msr[MSR_SLOT_MSR_PLATFORM_INFO] & PROGRAMMABLE_RATIO) != 0;
}

#define PPIN_ENABLED UINT64_C(0x2)

bool loads_ppin(const struct vmx_cpu *cpu, uint64_t *value)
{
    (void)value;
    return (cpu->msr[MSR_SLOT_MSR_PPIN_CTL] & PPIN_ENABLED) != 0;
}

// SDM Vol. 3B, "Enabling HWP": the other registers exist once IA32_PM_ENABLE is set.
bool loads_hwp(const struct vmx_cpu *cpu, uint64_t *value)
{
    (void)value;
    return (cpu->msr[MSR_SLOT_IA32_PM_ENABLE] & 1) != 0;
}

//   63   59 58     43 42        41     32 31        24 23     16 15     8 7       0
// | valid  | 0       | package | window   | preference | desired | maximum | minimum |
bool accepts_hwp_request(const struct msr_attempt *a, uint64_t *out)
{
    uint64_t allowed = 0xFFFFFF;
    allowed |= bits_if(a->cpu, VMX_FEATURE_HWP_PREFERENCE, UINT64_C(0xFF000000));
    allowed |= bits_if(a->cpu, VMX_FEATURE_HWP_WINDOW, UINT64_C(0x3FF00000000));
    allowed |= bits_if(a->cpu, VMX_FEATURE_HWP_PACKAGE, UINT64_C(0x40000000000));
    allowed |= bits_if(a->cpu, VMX_FEATURE_HWP_FLEXIBLE, UINT64_C(0xF800000000000000));
    return loads_hwp(a->cpu, out) && only(a->value, allowed);
}

bool accepts_hwp_status(const struct msr_attempt *a, uint64_t *out)
{
    *out = a->old & a->value; // 0 clears, 1 leaves
    return loads_hwp(a->cpu, out);
}

bool accepts_hw_feedback_config(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    return only(a->value, 0x1 | bits_if(a->cpu, VMX_FEATURE_THREAD_DIRECTOR, 0x2));
}
