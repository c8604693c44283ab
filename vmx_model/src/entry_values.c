// What several rules of VM entry ask of a value.

#include "entry_rules.h"

bool entry_controls_allowed(const struct entry *entry, enum vmx_control_group group, uint64_t value)
{
    uint64_t required = vmx_controls_required(entry->profile, group);
    return (value & required) == required &&
           (value & ~vmx_controls_allowed(entry->profile, group)) == 0;
}

bool entry_is_canonical(const struct entry *entry, uint64_t linear)
{
    return mmu_is_canonical(linear, entry->profile->linear_bits);
}

bool entry_is_physical(const struct entry *entry, uint64_t address, uint64_t low)
{
    return (address & low) == 0 && address >> entry->profile->max_phys_bits == 0;
}

bool entry_read(const struct entry *entry, uint64_t address, void *out, size_t len)
{
    return entry->memory != NULL && entry->memory->read(entry->memory->context, address, out, len);
}

bool entry_read_64(const struct entry *entry, uint64_t address, uint64_t *out)
{
    uint8_t byte[8];
    if (!entry_read(entry, address, byte, sizeof(byte))) {
        return false;
    }
    *out = 0;
    for (unsigned i = 0; i < sizeof(byte); i++) {
        *out |= (uint64_t)byte[i] << (8 * i);
    }
    return true;
}

bool entry_is_pat(uint64_t value)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint64_t type = value >> shift & 0xFF;
        if (type > 7 || type == 2 || type == 3) {
            return false;
        }
    }
    return true;
}

#define EFER_SCE UINT64_C(0x1)

bool entry_is_efer(const struct entry *entry, uint64_t value)
{
    uint64_t allowed = EFER_SCE | MMU_EFER_LME | MMU_EFER_LMA;
    if (vmx_profile_has(entry->profile, VMX_FEATURE_NX)) {
        allowed |= MMU_EFER_NXE;
    }
    return (value & ~allowed) == 0;
}

bool entry_accepts(const struct entry *entry, enum msr_rule rule, uint64_t value)
{
    uint64_t unused;
    return msr_rule_accepts(entry->cpu, rule, 0, value, &unused);
}

bool entry_is_perf_global_ctrl(const struct entry *entry, uint64_t value)
{
    return entry_accepts(entry, MSR_RULE_PERF_GLOBAL_CTRL, value);
}

#define CET_RESERVED UINT64_C(0x3C0) // bits 9:6
#define CET_SUPPRESS UINT64_C(0x400)
#define CET_TRACKER  UINT64_C(0x800)

bool entry_is_s_cet(const struct entry *entry, uint64_t value)
{
    uint64_t both = CET_SUPPRESS | CET_TRACKER;
    return entry_is_canonical(entry, value) && (value & CET_RESERVED) == 0 &&
           (value & both) != both;
}

static uint64_t capability(const struct entry *entry, uint32_t index)
{
    uint64_t value = 0;
    vmx_capability_msr(entry->profile, index, &value);
    return value;
}

// SDM Vol. 3, appendix "VMX-Fixed Bits in CR0", "VMX-Fixed Bits in CR4".
bool entry_cr0_fixed(uint64_t value, uint64_t free)
{
    uint64_t ones = (MMU_CR0_PE | 0x20 | MMU_CR0_PG) & ~free;
    return (value & ones) == ones && value >> 32 == 0;
}

bool entry_cr4_fixed(const struct entry *entry, uint64_t value)
{
    uint64_t ones = capability(entry, VMX_MSR_CR4_FIXED0);
    return (value & ones) == ones && (value & ~capability(entry, VMX_MSR_CR4_FIXED1)) == 0;
}
