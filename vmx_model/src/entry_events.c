// SDM Vol. 3C, "VM Entries": "VM-Exit Control Fields" and "VM-Entry Control Fields".

#include "entry_rules.h"

bool entry_exit_controls(const struct entry *entry)
{
    return entry_controls_allowed(entry, VMX_GROUP_EXIT, entry->exit);
}

bool entry_secondary_exit_controls(const struct entry *entry)
{
    return entry_controls_allowed(entry, VMX_GROUP_SECONDARY_EXIT, entry->secondary_exit);
}

bool entry_save_preemption_timer(const struct entry *entry)
{
    return implies((entry->exit & VMX_EXIT_SAVE_PREEMPTION_TIMER) != 0,
                   (entry->pin & VMX_PIN_PREEMPTION_TIMER) != 0);
}

// Areas of MSRs have 16 bytes for each, and none when the count is 0.
static bool area_begins_well(const struct entry *entry, enum vmcs_slot address,
                             enum vmcs_slot count)
{
    return entry->field[count] == 0 || entry_is_physical(entry, entry->field[address], 0xF);
}

static bool area_ends_well(const struct entry *entry, enum vmcs_slot address, enum vmcs_slot count)
{
    uint64_t last = entry->field[address] + entry->field[count] * 16 - 1;
    return entry->field[count] == 0 || entry_is_physical(entry, last, 0);
}

bool entry_exit_msr_store_address(const struct entry *entry)
{
    return area_begins_well(entry, VMCS_EXIT_MSR_STORE_ADDRESS, VMCS_EXIT_MSR_STORE_COUNT);
}

bool entry_exit_msr_store_end(const struct entry *entry)
{
    return area_ends_well(entry, VMCS_EXIT_MSR_STORE_ADDRESS, VMCS_EXIT_MSR_STORE_COUNT);
}

bool entry_exit_msr_load_address(const struct entry *entry)
{
    return area_begins_well(entry, VMCS_EXIT_MSR_LOAD_ADDRESS, VMCS_EXIT_MSR_LOAD_COUNT);
}

bool entry_exit_msr_load_end(const struct entry *entry)
{
    return area_ends_well(entry, VMCS_EXIT_MSR_LOAD_ADDRESS, VMCS_EXIT_MSR_LOAD_COUNT);
}

bool entry_entry_controls(const struct entry *entry)
{
    return entry_controls_allowed(entry, VMX_GROUP_ENTRY, entry->entry);
}

bool entry_event_type(const struct entry *entry)
{
    if (!entry_has_event(entry)) {
        return true;
    }
    if (entry_event(entry) == EVENT_OTHER) {
        return vmx_profile_has(entry->profile, VMX_FEATURE_EN_MONITOR_TRAP_FLAG);
    }
    return entry_event(entry) != EVENT_RESERVED;
}

bool entry_event_vector(const struct entry *entry)
{
    if (!entry_has_event(entry)) {
        return true;
    }
    switch (entry_event(entry)) {
    case EVENT_NMI:
        return entry_vector(entry) == 2;
    case EVENT_HARDWARE:
        return entry_vector(entry) <= 31;
    case EVENT_OTHER:
        return entry_vector(entry) == 0;
    case EVENT_EXTERNAL:
    case EVENT_RESERVED:
    case EVENT_SOFTWARE_INTERRUPT:
    case EVENT_PRIVILEGED_SOFTWARE:
    case EVENT_SOFTWARE_EXCEPTION:
        break;
    }
    return true;
}

#define EVENT_DELIVERS_ERROR_CODE  UINT64_C(0x800)
#define EVENT_INFORMATION_RESERVED UINT64_C(0x7FFFF000)

// #DF, #TS, #NP, #SS, #GP, #PF and #AC.
#define VECTORS_WITH_ERROR_CODE UINT64_C(0x00027D00)

static bool delivers_error_code(const struct entry *entry)
{
    return (entry->field[VMCS_ENTRY_INTERRUPTION_INFORMATION] & EVENT_DELIVERS_ERROR_CODE) != 0;
}

static bool vector_has_error_code(const struct entry *entry)
{
    return (VECTORS_WITH_ERROR_CODE >> entry_vector(entry) & 1) != 0;
}

// A hardware exception in protected mode: only these have error codes.
static bool may_have_error_code(const struct entry *entry)
{
    return entry_event(entry) == EVENT_HARDWARE && (entry->field[VMCS_GUEST_CR0] & MMU_CR0_PE) != 0;
}

static bool checks_vector(const struct entry *entry)
{
    return !vmx_profile_has(entry->profile, VMX_FEATURE_INJECT_WITHOUT_VECTOR_CHECK);
}

bool entry_event_error_code_missing(const struct entry *entry)
{
    return !entry_has_event(entry) || delivers_error_code(entry) || !may_have_error_code(entry) ||
           !checks_vector(entry) || !vector_has_error_code(entry);
}

bool entry_event_error_code(const struct entry *entry)
{
    if (!entry_has_event(entry) || !delivers_error_code(entry)) {
        return true;
    }
    return may_have_error_code(entry) && (!checks_vector(entry) || vector_has_error_code(entry));
}

bool entry_event_reserved(const struct entry *entry)
{
    uint64_t information = entry->field[VMCS_ENTRY_INTERRUPTION_INFORMATION];
    return !entry_has_event(entry) || (information & EVENT_INFORMATION_RESERVED) == 0;
}

bool entry_event_error_code_value(const struct entry *entry)
{
    return !entry_has_event(entry) || !delivers_error_code(entry) ||
           entry->field[VMCS_ENTRY_EXCEPTION_ERROR_CODE] <= 0xFFFF;
}

static bool has_length(const struct entry *entry)
{
    return entry_injects(entry, EVENT_SOFTWARE_INTERRUPT) ||
           entry_injects(entry, EVENT_PRIVILEGED_SOFTWARE) ||
           entry_injects(entry, EVENT_SOFTWARE_EXCEPTION);
}

bool entry_event_length(const struct entry *entry)
{
    uint64_t length = entry->field[VMCS_ENTRY_INSTRUCTION_LENGTH];
    bool zero_allowed = vmx_profile_has(entry->profile, VMX_FEATURE_INJECT_LENGTH_0);
    return !has_length(entry) || (length <= 15 && (length != 0 || zero_allowed));
}

bool entry_entry_msr_load_address(const struct entry *entry)
{
    return area_begins_well(entry, VMCS_ENTRY_MSR_LOAD_ADDRESS, VMCS_ENTRY_MSR_LOAD_COUNT);
}

bool entry_entry_msr_load_end(const struct entry *entry)
{
    return area_ends_well(entry, VMCS_ENTRY_MSR_LOAD_ADDRESS, VMCS_ENTRY_MSR_LOAD_COUNT);
}

bool entry_entry_smm(const struct entry *entry)
{
    return (entry->entry & (VMX_ENTRY_TO_SMM | VMX_ENTRY_DEACTIVATE_DUAL_MONITOR)) == 0;
}
