// SDM Vol. 3A, "Advanced Programmable Interrupt Controller", as far as the values written decide.
#include "msr_accepts.h"

#define SVR_ENABLED         UINT64_C(0x100)
#define SVR_NO_EOI_MESSAGE  UINT64_C(0x1000)
#define VERSION_EOI_MESSAGE UINT64_C(0x1000000)

#define LVT_READ_ONLY  UINT64_C(0x5000) // delivery status; remote IRR of LINT0 and LINT1
#define LVT_MASKED     UINT64_C(0x10000)
#define TIMER_MODE     UINT64_C(0x60000)
#define TIMER_DEADLINE UINT64_C(0x40000)

static bool is_enabled(const struct vmx_cpu *cpu)
{
    return (cpu->msr[MSR_SLOT_IA32_X2APIC_SIVR] & SVR_ENABLED) != 0;
}

static bool is_deadline_timer(const struct vmx_cpu *cpu)
{
    return (cpu->msr[MSR_SLOT_IA32_X2APIC_LVT_TIMER] & TIMER_MODE) == TIMER_DEADLINE;
}

bool loads_x2apic_id(const struct vmx_cpu *cpu, uint64_t *value)
{
    *value = cpu->apic_id;
    return true;
}

// "Logical Destination Mode in x2APIC Mode": cluster in bits 31:16, one bit per member.
bool loads_x2apic_ldr(const struct vmx_cpu *cpu, uint64_t *value)
{
    *value = (uint64_t)(cpu->apic_id >> 4) << 16 | UINT64_C(1) << (cpu->apic_id & 0xF);
    return true;
}

// "Interaction of Task Priorities between CR8 and APIC": CR8 is bits 7:4, and clears bits 3:0.
bool loads_x2apic_tpr(const struct vmx_cpu *cpu, uint64_t *value)
{
    uint64_t written = cpu->msr[MSR_SLOT_IA32_X2APIC_TPR];
    *value = written >> 4 == cpu->cr8 ? written : cpu->cr8 << 4;
    return true;
}

void follow_x2apic_tpr(struct vmx_cpu *cpu, uint64_t change, uint64_t value)
{
    (void)change;
    cpu->cr8 = value >> 4;
}

bool accepts_x2apic_sivr(const struct msr_attempt *a, uint64_t *out)
{
    (void)out;
    bool suppresses = (a->cpu->profile->apic_version & VERSION_EOI_MESSAGE) != 0;
    return only(a->value, 0x1FF | (suppresses ? SVR_NO_EOI_MESSAGE : 0));
}

// "Local APIC State After It Has Been Software Disabled": all LVT entries are masked.
void follow_x2apic_sivr(struct vmx_cpu *cpu, uint64_t change, uint64_t value)
{
    (void)change;
    if ((value & SVR_ENABLED) == 0) {
        cpu->msr[MSR_SLOT_IA32_X2APIC_LVT_CMCI] |= LVT_MASKED;
        for (int slot = MSR_SLOT_IA32_X2APIC_LVT_TIMER; slot <= MSR_SLOT_IA32_X2APIC_LVT_ERROR;
             slot++) {
            cpu->msr[slot] |= LVT_MASKED;
        }
    }
}

bool accepts_x2apic_lvt(const struct msr_attempt *a, uint64_t *out)
{
    *out = (a->value & ~LVT_READ_ONLY) | (is_enabled(a->cpu) ? 0 : LVT_MASKED);
    return true;
}

bool accepts_x2apic_lvt_timer(const struct msr_attempt *a, uint64_t *out)
{
    uint64_t mode = a->value & TIMER_MODE;
    bool supported =
        mode != TIMER_MODE &&
        (mode != TIMER_DEADLINE || vmx_profile_has(a->cpu->profile, VMX_FEATURE_TSC_DEADLINE));
    return accepts_x2apic_lvt(a, out) && supported;
}

// "TSC-Deadline Mode": in this mode writes to the initial count are ignored; in any other one
// IA32_TSC_DEADLINE reads as 0 and ignores writes.
bool accepts_x2apic_count(const struct msr_attempt *a, uint64_t *out)
{
    *out = is_deadline_timer(a->cpu) ? a->old : a->value;
    return true;
}

bool accepts_tsc_deadline(const struct msr_attempt *a, uint64_t *out)
{
    *out = is_deadline_timer(a->cpu) ? a->value : 0;
    return true;
}

bool loads_tsc_deadline(const struct vmx_cpu *cpu, uint64_t *value)
{
    *value = is_deadline_timer(cpu) ? *value : 0;
    return true;
}
