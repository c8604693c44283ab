// The VMX controls and the VMX capability MSRs, which say how each may be set. Both come from
// controls.def and a profile.
#ifndef VMX_MODEL_CONTROLS_H
#define VMX_MODEL_CONTROLS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/profile.h"
#include "vmx_model/vmcs.h"

enum vmx_control_group {
    VMX_GROUP_PIN,
    VMX_GROUP_PROCESSOR,
    VMX_GROUP_SECONDARY,
    VMX_GROUP_TERTIARY,
    VMX_GROUP_EXIT,
    VMX_GROUP_SECONDARY_EXIT,
    VMX_GROUP_ENTRY,
    VMX_NUM_CONTROL_GROUPS
};

// VMX_PIN_NMI_EXITING, VMX_SECONDARY_EPT and the like: masks in the field of their group.
#define CONTROL(group, name, bit, class, feature)                                                  \
    static const uint64_t VMX_##group##_##name = UINT64_C(1) << (bit);
#include "vmx_model/controls.def"

// The VMX capability MSRs.
enum {
    VMX_MSR_BASIC = 0x480,
    VMX_MSR_PINBASED = 0x481,
    VMX_MSR_PROCBASED = 0x482,
    VMX_MSR_EXIT = 0x483,
    VMX_MSR_ENTRY = 0x484,
    VMX_MSR_MISC = 0x485,
    VMX_MSR_CR0_FIXED0 = 0x486,
    VMX_MSR_CR0_FIXED1 = 0x487,
    VMX_MSR_CR4_FIXED0 = 0x488,
    VMX_MSR_CR4_FIXED1 = 0x489,
    VMX_MSR_VMCS_ENUM = 0x48A,
    VMX_MSR_PROCBASED2 = 0x48B,
    VMX_MSR_EPT_VPID_CAP = 0x48C,
    VMX_MSR_TRUE_PINBASED = 0x48D,
    VMX_MSR_TRUE_PROCBASED = 0x48E,
    VMX_MSR_TRUE_EXIT = 0x48F,
    VMX_MSR_TRUE_ENTRY = 0x490,
    VMX_MSR_VMFUNC = 0x491,
    VMX_MSR_PROCBASED3 = 0x492,
    VMX_MSR_EXIT2 = 0x493,
};

// Value of the capability MSR `index` on a processor of this profile. False, and *out untouched,
// when it has no such MSR (RDMSR is #GP there).
bool vmx_capability_msr(const struct vmx_profile *profile, uint32_t index, uint64_t *out);

// The bits of a group that have to be 1, those that a processor without the TRUE capability MSRs
// would ask to be 1, and those that may be 1.
uint64_t vmx_controls_required(const struct vmx_profile *profile, enum vmx_control_group group);
uint64_t vmx_controls_default1(enum vmx_control_group group);
uint64_t vmx_controls_allowed(const struct vmx_profile *profile, enum vmx_control_group group);

// The field that holds a group, and the group's title ("Pin-based VM-execution controls").
enum vmcs_slot vmx_group_slot(enum vmx_control_group group);
const char *vmx_group_name(enum vmx_control_group group);

// A control's name ("NMI_EXITING"); NULL when the bit has no row (reserved).
const char *vmx_control_name(enum vmx_control_group group, unsigned bit);

// The controls of a group in force: the field's, or 0 when the control that activates the group
// is clear or the processor has no such field.
uint64_t vmx_controls_active(const struct vmcs *vmcs, enum vmx_control_group group);

// Makes the VM-entry control "IA-32e mode guest" what LMA of the guest's IA32_EFER is, as the
// processor does when it saves the guest's state with "unrestricted guest".
void vmx_controls_follow_efer(struct vmcs *vmcs);

// The bits of CR4 that the processor has.
uint64_t vmx_cr4_supported(const struct vmx_profile *profile);

#endif
