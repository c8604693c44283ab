#include "vmx_model/controls.h"

#include <stddef.h>

#include "mmu_model/control_bits.h"

enum control_class {
    DEFAULT0,
    DEFAULT1,
    FIXED1, // reserved, of the default1 class
};

static const struct control {
    const char *name; // NULL: reserved
    uint8_t group;
    uint8_t bit;
    uint8_t class;
    uint16_t feature;
} controls[] = {
#define CONTROL(group, name, bit, class, feature)                                                  \
    {#name, VMX_GROUP_##group, bit, class, VMX_FEATURE_##feature},
#define CONTROL_FIXED(group, bit) {NULL, VMX_GROUP_##group, bit, FIXED1, VMX_FEATURE_ALWAYS},
#include "vmx_model/controls.def"
};

#define NUM_CONTROLS (sizeof(controls) / sizeof(controls[0]))

static const struct {
    const char *name;
    uint16_t slot;
} groups[] = {
    [VMX_GROUP_PIN] = {"Pin-based VM-execution controls", VMCS_PIN_CONTROLS},
    [VMX_GROUP_PROCESSOR] = {"Primary processor-based VM-execution controls",
                             VMCS_PROCESSOR_CONTROLS},
    [VMX_GROUP_SECONDARY] = {"Secondary processor-based VM-execution controls",
                             VMCS_SECONDARY_PROCESSOR_CONTROLS},
    [VMX_GROUP_TERTIARY] = {"Tertiary processor-based VM-execution controls",
                            VMCS_TERTIARY_CONTROLS},
    [VMX_GROUP_EXIT] = {"Primary VM-exit controls", VMCS_EXIT_CONTROLS},
    [VMX_GROUP_SECONDARY_EXIT] = {"Secondary VM-exit controls", VMCS_SECONDARY_EXIT_CONTROLS},
    [VMX_GROUP_ENTRY] = {"VM-entry controls", VMCS_ENTRY_CONTROLS},
};

enum vmcs_slot vmx_group_slot(enum vmx_control_group group)
{
    return (enum vmcs_slot)groups[group].slot;
}

const char *vmx_group_name(enum vmx_control_group group)
{
    return groups[group].name;
}

const char *vmx_control_name(enum vmx_control_group group, unsigned bit)
{
    for (size_t i = 0; i < NUM_CONTROLS; i++) {
        if (controls[i].group == group && controls[i].bit == bit) {
            return controls[i].name;
        }
    }
    return NULL;
}

static uint64_t bits_of_class(enum vmx_control_group group, enum control_class class)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < NUM_CONTROLS; i++) {
        if (controls[i].group == group && controls[i].class == class) {
            bits |= UINT64_C(1) << controls[i].bit;
        }
    }
    return bits;
}

// Every row's control may be 0, by the TRUE capability MSRs: only the reserved bits remain.
uint64_t vmx_controls_required(const struct vmx_profile *profile, enum vmx_control_group group)
{
    (void)profile;
    return bits_of_class(group, FIXED1);
}

uint64_t vmx_controls_default1(enum vmx_control_group group)
{
    return bits_of_class(group, FIXED1) | bits_of_class(group, DEFAULT1);
}

uint64_t vmx_controls_allowed(const struct vmx_profile *profile, enum vmx_control_group group)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < NUM_CONTROLS; i++) {
        if (controls[i].group == group &&
            vmx_profile_has(profile, (enum vmx_feature)controls[i].feature)) {
            bits |= UINT64_C(1) << controls[i].bit;
        }
    }
    return bits;
}

// SDM Vol. 3C, "Processor-Based VM-Execution Controls", "VM-Exit Controls": the control that
// activates a further group; 0 when the group needs none.
static uint64_t activation(const struct vmcs *vmcs, enum vmx_control_group group)
{
    uint64_t processor = vmcs->field[VMCS_PROCESSOR_CONTROLS];
    switch (group) {
    case VMX_GROUP_SECONDARY:
        return processor & VMX_PROCESSOR_SECONDARY_CONTROLS;
    case VMX_GROUP_TERTIARY:
        return processor & VMX_PROCESSOR_TERTIARY_CONTROLS;
    case VMX_GROUP_SECONDARY_EXIT:
        return vmcs->field[VMCS_EXIT_CONTROLS] & VMX_EXIT_SECONDARY_EXIT_CONTROLS;
    case VMX_GROUP_PIN:
    case VMX_GROUP_PROCESSOR:
    case VMX_GROUP_EXIT:
    case VMX_GROUP_ENTRY:
    case VMX_NUM_CONTROL_GROUPS:
        break;
    }
    return 1;
}

uint64_t vmx_controls_active(const struct vmcs *vmcs, enum vmx_control_group group)
{
    enum vmcs_slot slot = vmx_group_slot(group);
    if (activation(vmcs, group) == 0 || !vmcs_slot_exists(vmcs->profile, slot)) {
        return 0;
    }
    return vmcs->field[slot];
}

// SDM Vol. 3C, "Saving Control Registers, Debug Registers, and MSRs": a VM exit stores
// IA32_EFER.LMA in the control.
void vmx_controls_follow_efer(struct vmcs *vmcs)
{
    bool active = (vmcs->field[VMCS_GUEST_IA32_EFER] & MMU_EFER_LMA) != 0;
    vmcs->field[VMCS_ENTRY_CONTROLS] &= ~VMX_ENTRY_GUEST_IA32E_MODE;
    if (active) {
        vmcs->field[VMCS_ENTRY_CONTROLS] |= VMX_ENTRY_GUEST_IA32E_MODE;
    }
}
