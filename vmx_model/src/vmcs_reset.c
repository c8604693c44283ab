#include "vmcs_reset.h"

#include "vmx_model/controls.h"
#include "vmx_model/vmx_exit.h"

// The hypervisor's own memory; nothing of the model looks there.
#define EPT_PML4         UINT64_C(0x7F001000)
#define EPTP_WRITE_BACK  UINT64_C(0x6)
#define EPTP_WALK_4      (UINT64_C(3) << 3)
#define EPTP_DIRTY       UINT64_C(0x40)
#define TSC_MULTIPLIER_1 (UINT64_C(1) << 48)

#define EXCEPTION_BP UINT64_C(0x8)

#define CR0_NE    UINT64_C(0x20)
#define CR0_RESET UINT64_C(0x60000010) // CD, NW, ET
#define CR4_VMXE  UINT64_C(0x2000)
#define CR4_RESET UINT64_C(0)

// Those of the wanted controls that the processor has, and what it requires.
static void set(struct vmcs *vmcs, enum vmx_control_group group, uint64_t wanted)
{
    const struct vmx_profile *profile = vmcs->profile;
    enum vmcs_slot slot = vmx_group_slot(group);
    if (vmcs_slot_exists(profile, slot)) {
        vmcs->field[slot] =
            vmx_controls_required(profile, group) | (wanted & vmx_controls_allowed(profile, group));
    }
}

// External interrupts are the guest's own, RDMSR and WRMSR always exit (no bitmaps), and so do
// the instructions that every processor lets exit without a control.
static void set_execution_controls(struct vmcs *vmcs)
{
    set(vmcs, VMX_GROUP_PIN, VMX_PIN_NMI_EXITING | VMX_PIN_VIRTUAL_NMIS);
    set(vmcs, VMX_GROUP_PROCESSOR, VMX_PROCESSOR_TSC_OFFSETTING | VMX_PROCESSOR_SECONDARY_CONTROLS);
    set(vmcs, VMX_GROUP_SECONDARY,
        VMX_SECONDARY_EPT | VMX_SECONDARY_VPID | VMX_SECONDARY_UNRESTRICTED_GUEST |
            VMX_SECONDARY_RDTSCP | VMX_SECONDARY_INVPCID | VMX_SECONDARY_XSAVES |
            VMX_SECONDARY_USER_WAIT | VMX_SECONDARY_TSC_SCALING);
}

static void set_transition_controls(struct vmcs *vmcs)
{
    set(vmcs, VMX_GROUP_EXIT,
        VMX_EXIT_SAVE_DEBUG_CONTROLS | VMX_EXIT_HOST_64_BIT | VMX_EXIT_LOAD_PERF_GLOBAL_CTRL |
            VMX_EXIT_SAVE_PERF_GLOBAL_CTRL | VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT |
            VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER | VMX_EXIT_CLEAR_BNDCFGS |
            VMX_EXIT_CLEAR_RTIT_CTL | VMX_EXIT_CLEAR_LBR_CTL | VMX_EXIT_CLEAR_UINV |
            VMX_EXIT_LOAD_CET_STATE | VMX_EXIT_LOAD_PKRS);
    set(vmcs, VMX_GROUP_ENTRY,
        VMX_ENTRY_LOAD_DEBUG_CONTROLS | VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL | VMX_ENTRY_LOAD_PAT |
            VMX_ENTRY_LOAD_EFER | VMX_ENTRY_LOAD_BNDCFGS | VMX_ENTRY_LOAD_RTIT_CTL |
            VMX_ENTRY_LOAD_LBR_CTL | VMX_ENTRY_LOAD_UINV | VMX_ENTRY_LOAD_CET_STATE |
            VMX_ENTRY_LOAD_PKRS);
}

static void set_addresses(struct vmcs *vmcs)
{
    uint64_t *field = vmcs->field;
    if (vmcs_slot_exists(vmcs->profile, VMCS_EPT_POINTER)) {
        bool dirty = vmx_profile_has(vmcs->profile, VMX_FEATURE_EPT_ACCESSED_DIRTY);
        field[VMCS_EPT_POINTER] =
            EPT_PML4 | EPTP_WALK_4 | EPTP_WRITE_BACK | (dirty ? EPTP_DIRTY : 0);
    }
    if (vmcs_slot_exists(vmcs->profile, VMCS_VPID)) {
        field[VMCS_VPID] = 1;
    }
    if (vmcs_slot_exists(vmcs->profile, VMCS_TSC_MULTIPLIER)) {
        field[VMCS_TSC_MULTIPLIER] = TSC_MULTIPLIER_1;
    }
}

void vmcs_reset_controls(struct vmcs *vmcs)
{
    uint64_t *field = vmcs->field;
    set_execution_controls(vmcs);
    set_transition_controls(vmcs);
    set_addresses(vmcs);
    field[VMCS_HOST_CR4] &= vmx_cr4_supported(vmcs->profile);
    field[VMCS_EXCEPTION_BITMAP] = EXCEPTION_BP; // a debugger's breakpoints are INT3
    // VMX operation fixes these two, and the guest does not see it.
    field[VMCS_CR0_MASK] = CR0_NE;
    field[VMCS_CR4_MASK] = CR4_VMXE;
    field[VMCS_GUEST_CR0] = CR0_NE;
    field[VMCS_GUEST_CR4] = CR4_VMXE;
    vmx_guest_cr0_set(vmcs, CR0_RESET);
    vmx_guest_cr4_set(vmcs, CR4_RESET);
}
