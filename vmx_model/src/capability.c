// The VMX capability MSRs: SDM Vol. 3, appendix "VMX Capability Reporting Facility".

#include <stddef.h>

#include "vmx_model/controls.h"

#define BASIC_REGION_SIZE (UINT64_C(0x1000) << 32)
#define BASIC_WRITE_BACK  (UINT64_C(6) << 50)
#define MISC_CR3_TARGETS  (UINT64_C(4) << 16)

// CR0: PG, NE and PE stay 1 in VMX operation, no bit has to stay 0. CR4: VMXE.
#define CR0_FIXED0 UINT64_C(0x80000021)
#define CR0_FIXED1 UINT64_C(0xFFFFFFFF)
#define CR4_FIXED0 UINT64_C(0x2000)

static const struct {
    uint16_t msr;
    uint16_t bit;
    uint16_t feature;
} bits[] = {
#define CAPABILITY(msr, bit, feature) {VMX_MSR_##msr, bit, VMX_FEATURE_##feature},
#include "vmx_model/controls.def"
};

static uint64_t feature_bits(const struct vmx_profile *profile, uint32_t index)
{
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        if (bits[i].msr == index && vmx_profile_has(profile, (enum vmx_feature)bits[i].feature)) {
            value |= UINT64_C(1) << bits[i].bit;
        }
    }
    return value;
}

uint64_t vmx_cr4_supported(const struct vmx_profile *profile)
{
    uint64_t value = 0;
#define CR4_BIT(name, bit, feature)                                                                \
    if (vmx_profile_has(profile, VMX_FEATURE_##feature)) {                                         \
        value |= UINT64_C(1) << (bit);                                                             \
    }
#include "vmx_model/controls.def"
    return value;
}

// Bits 31:0: those that have to be 1; bits 63:32: those that may be.
static uint64_t controls(const struct vmx_profile *profile, enum vmx_control_group group, bool real)
{
    uint64_t low = real ? vmx_controls_required(profile, group) : vmx_controls_default1(group);
    return low | vmx_controls_allowed(profile, group) << 32;
}

static bool has_msr(const struct vmx_profile *profile, uint32_t index)
{
    if (!vmx_profile_has(profile, VMX_FEATURE_VMX)) {
        return false;
    }
    switch (index) {
    case VMX_MSR_PROCBASED2:
        return vmx_profile_has(profile, VMX_FEATURE_EN_SECONDARY_CONTROLS);
    case VMX_MSR_EPT_VPID_CAP:
        return vmx_profile_has(profile, VMX_FEATURE_EN_EPT) ||
               vmx_profile_has(profile, VMX_FEATURE_EN_VPID);
    case VMX_MSR_VMFUNC:
        return vmx_profile_has(profile, VMX_FEATURE_EN_VM_FUNCTIONS);
    case VMX_MSR_PROCBASED3:
        return vmx_profile_has(profile, VMX_FEATURE_EN_TERTIARY_CONTROLS);
    case VMX_MSR_EXIT2:
        return vmx_profile_has(profile, VMX_FEATURE_EN_SECONDARY_EXIT_CONTROLS);
    default:
        return index >= VMX_MSR_BASIC && index <= VMX_MSR_EXIT2;
    }
}

static uint64_t control_msr(const struct vmx_profile *profile, uint32_t index)
{
    switch (index) {
    case VMX_MSR_PINBASED:
        return controls(profile, VMX_GROUP_PIN, false);
    case VMX_MSR_PROCBASED:
        return controls(profile, VMX_GROUP_PROCESSOR, false);
    case VMX_MSR_EXIT:
        return controls(profile, VMX_GROUP_EXIT, false);
    case VMX_MSR_ENTRY:
        return controls(profile, VMX_GROUP_ENTRY, false);
    case VMX_MSR_TRUE_PINBASED:
        return controls(profile, VMX_GROUP_PIN, true);
    case VMX_MSR_TRUE_PROCBASED:
        return controls(profile, VMX_GROUP_PROCESSOR, true);
    case VMX_MSR_TRUE_EXIT:
        return controls(profile, VMX_GROUP_EXIT, true);
    case VMX_MSR_TRUE_ENTRY:
        return controls(profile, VMX_GROUP_ENTRY, true);
    case VMX_MSR_PROCBASED2:
        return controls(profile, VMX_GROUP_SECONDARY, true);
    case VMX_MSR_PROCBASED3: // 64 controls: only what is allowed
        return vmx_controls_allowed(profile, VMX_GROUP_TERTIARY);
    default: // VMX_MSR_EXIT2, likewise
        return vmx_controls_allowed(profile, VMX_GROUP_SECONDARY_EXIT);
    }
}

bool vmx_capability_msr(const struct vmx_profile *profile, uint32_t index, uint64_t *out)
{
    if (!has_msr(profile, index)) {
        return false;
    }
    switch (index) {
    case VMX_MSR_BASIC:
        *out = profile->vmcs_revision | BASIC_REGION_SIZE | BASIC_WRITE_BACK;
        break;
    case VMX_MSR_MISC:
        *out = MISC_CR3_TARGETS;
        break;
    case VMX_MSR_CR0_FIXED0:
        *out = CR0_FIXED0;
        return true;
    case VMX_MSR_CR0_FIXED1:
        *out = CR0_FIXED1;
        return true;
    case VMX_MSR_CR4_FIXED0:
        *out = CR4_FIXED0;
        return true;
    case VMX_MSR_CR4_FIXED1:
        *out = vmx_cr4_supported(profile);
        return true;
    case VMX_MSR_VMCS_ENUM:
        *out = (uint64_t)profile->vmcs_max_index << 1;
        return true;
    case VMX_MSR_EPT_VPID_CAP:
    case VMX_MSR_VMFUNC:
        *out = 0;
        break;
    default:
        *out = control_msr(profile, index);
        return true;
    }
    *out |= feature_bits(profile, index);
    return true;
}
