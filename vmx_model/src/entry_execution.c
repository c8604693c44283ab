// SDM Vol. 3C, "VM Entries": "VM-Execution Control Fields".

#include "entry_rules.h"

#define PAGE UINT64_C(0xFFF)

bool entry_pin_controls(const struct entry *entry)
{
    return entry_controls_allowed(entry, VMX_GROUP_PIN, entry->pin);
}

bool entry_processor_controls(const struct entry *entry)
{
    return entry_controls_allowed(entry, VMX_GROUP_PROCESSOR, entry->processor);
}

bool entry_secondary_controls(const struct entry *entry)
{
    return entry_controls_allowed(entry, VMX_GROUP_SECONDARY, entry->secondary);
}

bool entry_tertiary_controls(const struct entry *entry)
{
    return entry_controls_allowed(entry, VMX_GROUP_TERTIARY, entry->tertiary);
}

bool entry_cr3_target_count(const struct entry *entry)
{
    return entry->field[VMCS_CR3_TARGET_COUNT] <= 4;
}

static bool processor_has(const struct entry *entry, uint64_t control)
{
    return (entry->processor & control) != 0;
}

static bool secondary_has(const struct entry *entry, uint64_t control)
{
    return (entry->secondary & control) != 0;
}

static bool tertiary_has(const struct entry *entry, uint64_t control)
{
    return (entry->tertiary & control) != 0;
}

static bool has_ept(const struct entry *entry)
{
    return secondary_has(entry, VMX_SECONDARY_EPT);
}

static bool is_page(const struct entry *entry, enum vmcs_slot slot)
{
    return entry_is_physical(entry, entry->field[slot], PAGE);
}

bool entry_io_bitmaps(const struct entry *entry)
{
    return implies(processor_has(entry, VMX_PROCESSOR_IO_BITMAPS),
                   is_page(entry, VMCS_IO_BITMAP_A) && is_page(entry, VMCS_IO_BITMAP_B));
}

bool entry_msr_bitmaps(const struct entry *entry)
{
    return implies(processor_has(entry, VMX_PROCESSOR_MSR_BITMAPS),
                   is_page(entry, VMCS_MSR_BITMAPS));
}

static bool has_tpr_shadow(const struct entry *entry)
{
    return processor_has(entry, VMX_PROCESSOR_TPR_SHADOW);
}

bool entry_virtual_apic_address(const struct entry *entry)
{
    return implies(has_tpr_shadow(entry), is_page(entry, VMCS_VIRTUAL_APIC_ADDRESS));
}

// The threshold is used: a fall of the TPR below it causes a VM exit.
static bool has_threshold(const struct entry *entry)
{
    return has_tpr_shadow(entry) && !secondary_has(entry, VMX_SECONDARY_VIRTUAL_INTERRUPTS);
}

bool entry_tpr_threshold_reserved(const struct entry *entry)
{
    return implies(has_threshold(entry), entry->field[VMCS_TPR_THRESHOLD] <= 0xF);
}

#define VTPR 0x80 // offset in the virtual-APIC page

bool entry_tpr_threshold_vtpr(const struct entry *entry)
{
    uint8_t vtpr;
    if (!has_threshold(entry) || secondary_has(entry, VMX_SECONDARY_APIC_ACCESSES) ||
        !entry_read(entry, entry->field[VMCS_VIRTUAL_APIC_ADDRESS] + VTPR, &vtpr, sizeof(vtpr))) {
        return true;
    }
    return (entry->field[VMCS_TPR_THRESHOLD] & 0xF) <= (uint64_t)vtpr >> 4;
}

bool entry_virtual_nmis(const struct entry *entry)
{
    return implies((entry->pin & VMX_PIN_VIRTUAL_NMIS) != 0,
                   (entry->pin & VMX_PIN_NMI_EXITING) != 0);
}

bool entry_nmi_window(const struct entry *entry)
{
    return implies(processor_has(entry, VMX_PROCESSOR_NMI_WINDOW_EXITING),
                   (entry->pin & VMX_PIN_VIRTUAL_NMIS) != 0);
}

bool entry_apic_access_address(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_APIC_ACCESSES),
                   is_page(entry, VMCS_APIC_ACCESS_ADDRESS));
}

bool entry_tpr_shadow_needed(const struct entry *entry)
{
    uint64_t secondary =
        VMX_SECONDARY_X2APIC_MODE | VMX_SECONDARY_APIC_REGISTERS | VMX_SECONDARY_VIRTUAL_INTERRUPTS;
    return has_tpr_shadow(entry) || (!secondary_has(entry, secondary) &&
                                     !tertiary_has(entry, VMX_TERTIARY_IPI_VIRTUALIZATION));
}

bool entry_x2apic_mode(const struct entry *entry)
{
    return !secondary_has(entry, VMX_SECONDARY_X2APIC_MODE) ||
           !secondary_has(entry, VMX_SECONDARY_APIC_ACCESSES);
}

bool entry_virtual_interrupts(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_VIRTUAL_INTERRUPTS),
                   (entry->pin & VMX_PIN_EXTERNAL_INTERRUPT_EXITING) != 0);
}

static bool has_posted_interrupts(const struct entry *entry)
{
    return (entry->pin & VMX_PIN_POSTED_INTERRUPTS) != 0;
}

bool entry_posted_interrupts(const struct entry *entry)
{
    return implies(has_posted_interrupts(entry),
                   secondary_has(entry, VMX_SECONDARY_VIRTUAL_INTERRUPTS) &&
                       (entry->exit & VMX_EXIT_ACKNOWLEDGE_INTERRUPT) != 0);
}

bool entry_posted_interrupt_vector(const struct entry *entry)
{
    return implies(has_posted_interrupts(entry),
                   entry->field[VMCS_POSTED_INTERRUPT_VECTOR] <= 0xFF);
}

bool entry_posted_interrupt_descriptor(const struct entry *entry)
{
    return implies(has_posted_interrupts(entry),
                   entry_is_physical(entry, entry->field[VMCS_POSTED_INTERRUPT_DESCRIPTOR], 0x3F));
}

bool entry_vpid(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_VPID), entry->field[VMCS_VPID] != 0);
}

// The extended-page-table pointer (SDM Vol. 3C, "Extended-Page-Table Pointer (EPTP)"):
//
//  63      12  11  8   7      6     5         3  2      0
// | address  | 0    | SSS | A/D  | length - 1 | type   |
bool entry_eptp_memory_type(const struct entry *entry)
{
    uint64_t type = entry->field[VMCS_EPT_POINTER] & 7;
    return implies(has_ept(entry), type == 0 || type == 6);
}

bool entry_eptp_walk_length(const struct entry *entry)
{
    uint64_t length = (entry->field[VMCS_EPT_POINTER] >> 3 & 7) + 1;
    return implies(has_ept(entry),
                   length == 4 ||
                       (length == 5 && vmx_profile_has(entry->profile, VMX_FEATURE_EPT_5_LEVEL)));
}

bool entry_eptp_accessed_dirty(const struct entry *entry)
{
    return implies(has_ept(entry),
                   (entry->field[VMCS_EPT_POINTER] & 0x40) == 0 ||
                       vmx_profile_has(entry->profile, VMX_FEATURE_EPT_ACCESSED_DIRTY));
}

bool entry_eptp_reserved(const struct entry *entry)
{
    uint64_t reserved = 0xF80;
    if (vmx_profile_has(entry->profile, VMX_FEATURE_EPT_SHADOW_STACK)) {
        reserved = 0xF00;
    }
    return implies(has_ept(entry),
                   entry_is_physical(entry, entry->field[VMCS_EPT_POINTER], reserved));
}

bool entry_pml_ept(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_PML), has_ept(entry));
}

bool entry_pml_address(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_PML), is_page(entry, VMCS_PML_ADDRESS));
}

bool entry_unrestricted_guest_ept(const struct entry *entry)
{
    uint64_t controls = VMX_SECONDARY_UNRESTRICTED_GUEST | VMX_SECONDARY_MODE_BASED_EXECUTE;
    return implies(secondary_has(entry, controls), has_ept(entry));
}

bool entry_sub_page_ept(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_SUB_PAGE_PERMISSIONS), has_ept(entry));
}

bool entry_sub_page_table(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_SUB_PAGE_PERMISSIONS),
                   is_page(entry, VMCS_SUB_PAGE_PERMISSION_TABLE));
}

static uint64_t vm_functions(const struct entry *entry)
{
    return secondary_has(entry, VMX_SECONDARY_VM_FUNCTIONS)
               ? entry->field[VMCS_VM_FUNCTION_CONTROLS]
               : 0;
}

#define EPTP_SWITCHING UINT64_C(1)

bool entry_vm_functions(const struct entry *entry)
{
    uint64_t allowed = 0;
    vmx_capability_msr(entry->profile, VMX_MSR_VMFUNC, &allowed);
    return (vm_functions(entry) & ~allowed) == 0;
}

bool entry_eptp_switching_ept(const struct entry *entry)
{
    return implies((vm_functions(entry) & EPTP_SWITCHING) != 0, has_ept(entry));
}

bool entry_eptp_list(const struct entry *entry)
{
    return implies((vm_functions(entry) & EPTP_SWITCHING) != 0,
                   is_page(entry, VMCS_EPTP_LIST_ADDRESS));
}

bool entry_vmread_bitmap(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_VMCS_SHADOWING),
                   is_page(entry, VMCS_VMREAD_BITMAP));
}

bool entry_vmwrite_bitmap(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_VMCS_SHADOWING),
                   is_page(entry, VMCS_VMWRITE_BITMAP));
}

bool entry_ve_information(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_EPT_VIOLATION_VE),
                   is_page(entry, VMCS_VE_INFORMATION_ADDRESS));
}

bool entry_pt_guest_physical(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_PT_GUEST_PHYSICAL),
                   has_ept(entry) && (entry->entry & VMX_ENTRY_LOAD_RTIT_CTL) != 0 &&
                       (entry->exit & VMX_EXIT_CLEAR_RTIT_CTL) != 0);
}

bool entry_tsc_multiplier(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_TSC_SCALING),
                   entry->field[VMCS_TSC_MULTIPLIER] != 0);
}

bool entry_pasid_directories(const struct entry *entry)
{
    return implies(secondary_has(entry, VMX_SECONDARY_PASID_TRANSLATION),
                   is_page(entry, VMCS_LOW_PASID_DIRECTORY) &&
                       is_page(entry, VMCS_HIGH_PASID_DIRECTORY));
}

bool entry_paging_ept(const struct entry *entry)
{
    uint64_t controls =
        VMX_TERTIARY_HLAT | VMX_TERTIARY_PAGING_WRITE | VMX_TERTIARY_GUEST_PAGING_VERIFICATION;
    return implies(tertiary_has(entry, controls), has_ept(entry));
}

bool entry_hlat_pointer(const struct entry *entry)
{
    return implies(tertiary_has(entry, VMX_TERTIARY_HLAT),
                   entry_is_physical(entry, entry->field[VMCS_HLAT_POINTER], 0xFE7));
}

bool entry_pid_pointer_table(const struct entry *entry)
{
    return implies(tertiary_has(entry, VMX_TERTIARY_IPI_VIRTUALIZATION),
                   entry_is_physical(entry, entry->field[VMCS_PID_POINTER_TABLE], 0x7));
}

bool entry_pid_pointer_table_end(const struct entry *entry)
{
    uint64_t last =
        entry->field[VMCS_PID_POINTER_TABLE] + (entry->field[VMCS_LAST_PID_POINTER_INDEX] << 3) + 7;
    return implies(tertiary_has(entry, VMX_TERTIARY_IPI_VIRTUALIZATION),
                   entry_is_physical(entry, last, 0));
}
