#include "vmx_model/hypervisor.h"

#include "mmu_model/control_bits.h"
#include "vmx_model/controls.h"
#include "vmx_model/moves.h"
#include "vmx_model/vmx_exit.h"

#define CR0_NE        UINT64_C(0x00000020)
#define CR4_VMXE      UINT64_C(0x00002000)
#define EPTP_WB_4     UINT64_C(0x1E) // write-back, a walk of four levels
#define VECTOR_BP_BIT UINT64_C(0x8)

// The hypervisor's structures lie in the last 64 KiB of physical memory, where targets have none.
enum {
    OFFSET_EPT = 0x0000,
    OFFSET_MSR_BITMAPS = 0x1000,
    OFFSET_IO_BITMAP_A = 0x2000,
    OFFSET_IO_BITMAP_B = 0x3000,
    OWN_SIZE = 0x10000,
};

static void set_group(struct vmx_cpu *cpu, enum vmx_control_group group, uint64_t wanted)
{
    uint64_t allowed = vmx_controls_allowed(cpu->profile, group);
    cpu->vmcs.field[vmx_group_slot(group)] =
        vmx_controls_required(cpu->profile, group) | (wanted & allowed);
}

// The guest's MSRs are those of the VMCS: every entry loads them, every exit saves them.
static void set_controls(struct vmx_cpu *cpu)
{
    set_group(cpu, VMX_GROUP_PIN, VMX_PIN_NMI_EXITING);
    set_group(cpu, VMX_GROUP_PROCESSOR,
              VMX_PROCESSOR_MSR_BITMAPS | VMX_PROCESSOR_SECONDARY_CONTROLS);
    set_group(cpu, VMX_GROUP_EXIT,
              VMX_EXIT_SAVE_DEBUG_CONTROLS | VMX_EXIT_HOST_64_BIT | VMX_EXIT_SAVE_PAT |
                  VMX_EXIT_LOAD_PAT | VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER |
                  VMX_EXIT_CLEAR_BNDCFGS | VMX_EXIT_CLEAR_RTIT_CTL | VMX_EXIT_LOAD_CET_STATE |
                  VMX_EXIT_LOAD_PKRS);
    set_group(cpu, VMX_GROUP_ENTRY,
              VMX_ENTRY_LOAD_DEBUG_CONTROLS | VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL | VMX_ENTRY_LOAD_PAT |
                  VMX_ENTRY_LOAD_EFER | VMX_ENTRY_LOAD_BNDCFGS | VMX_ENTRY_LOAD_RTIT_CTL |
                  VMX_ENTRY_LOAD_CET_STATE | VMX_ENTRY_LOAD_PKRS);
    if (vmx_profile_has(cpu->profile, VMX_FEATURE_EN_SECONDARY_CONTROLS)) {
        set_group(cpu, VMX_GROUP_SECONDARY,
                  VMX_SECONDARY_EPT | VMX_SECONDARY_RDTSCP | VMX_SECONDARY_VPID |
                      VMX_SECONDARY_UNRESTRICTED_GUEST | VMX_SECONDARY_INVPCID |
                      VMX_SECONDARY_XSAVES);
    }
}

static void set_addresses(struct vmx_cpu *cpu)
{
    uint64_t *field = cpu->vmcs.field;
    uint64_t own = (UINT64_C(1) << cpu->profile->max_phys_bits) - OWN_SIZE;
    uint64_t secondary = vmx_controls_active(&cpu->vmcs, VMX_GROUP_SECONDARY);
    if ((field[VMCS_PROCESSOR_CONTROLS] & VMX_PROCESSOR_MSR_BITMAPS) != 0) {
        field[VMCS_MSR_BITMAPS] = own + OFFSET_MSR_BITMAPS;
    }
    if ((secondary & VMX_SECONDARY_EPT) != 0) {
        field[VMCS_EPT_POINTER] = (own + OFFSET_EPT) | EPTP_WB_4;
    }
    if ((secondary & VMX_SECONDARY_VPID) != 0) {
        field[VMCS_VPID] = 1;
    }
    field[VMCS_IO_BITMAP_A] = own + OFFSET_IO_BITMAP_A;
    field[VMCS_IO_BITMAP_B] = own + OFFSET_IO_BITMAP_B;
}

// SDM Vol. 3C, "Restrictions on VMX Operation": CR0.NE and CR4.VMXE stay set.
static void own_fixed_bits(struct vmx_cpu *cpu)
{
    uint64_t *field = cpu->vmcs.field;
    uint64_t cr0 = vmx_guest_cr0(&cpu->vmcs);
    uint64_t cr4 = vmx_guest_cr4(&cpu->vmcs);
    field[VMCS_CR0_MASK] = CR0_NE;
    field[VMCS_CR4_MASK] = CR4_VMXE;
    field[VMCS_GUEST_CR0] |= CR0_NE;
    field[VMCS_GUEST_CR4] |= CR4_VMXE;
    vmx_cr0_set(cpu, cr0);
    vmx_cr4_set(cpu, cr4);
}

void vmx_hypervisor_begin(struct vmx_cpu *cpu)
{
    if (!vmx_profile_has(cpu->profile, VMX_FEATURE_VMX)) {
        return;
    }
    set_controls(cpu);
    set_addresses(cpu);
    own_fixed_bits(cpu);
    // A debugger's breakpoints are INT3 instructions.
    cpu->vmcs.field[VMCS_EXCEPTION_BITMAP] = VECTOR_BP_BIT;
    vmx_hypervisor_follow_mode(cpu);
}

void vmx_hypervisor_follow_mode(struct vmx_cpu *cpu)
{
    uint64_t *controls = &cpu->vmcs.field[VMCS_ENTRY_CONTROLS];
    bool is_long = (cpu->vmcs.field[VMCS_GUEST_IA32_EFER] & MMU_EFER_LMA) != 0;
    *controls =
        is_long ? *controls | VMX_ENTRY_GUEST_IA32E_MODE : *controls & ~VMX_ENTRY_GUEST_IA32E_MODE;
}
