// VM entry: every check of the SDM's chapter "VM Entries", in its order, and what a failed one
// makes of the entry. The rules are the rows of entry_checks.def.
#ifndef VMX_MODEL_ENTRY_H
#define VMX_MODEL_ENTRY_H

#include <stdint.h>

#include "mmu_model/paging.h"
#include "vmx_model/cpu.h"

enum vmx_entry_result {
    VMX_ENTERED,
    VMX_FAIL_INVALID, // VMfailInvalid: there is no current VMCS
    VMX_FAIL_VALID,   // VMfailValid: instruction_error says why
    VMX_ENTRY_FAILED, // a VM exit of its own: exit_reason and qualification say why
};

// VMX_ENTRY_RULE_HOST_CR0 and the like, in the order of the checks.
enum vmx_entry_rule {
    VMX_ENTRY_RULE_NONE,
#define ENTRY_CHECK(name, function, group, qualification, source, text) VMX_ENTRY_RULE_##name,
#include "vmx_model/entry_checks.def"
    VMX_NUM_ENTRY_RULES
};

// When the failed rule is one of the VM-entry MSR-load area, the qualification is the number of
// the entry, counted from 1. What does not apply to the result is 0.
struct vmx_entry_outcome {
    enum vmx_entry_result result;
    enum vmx_entry_rule rule; // the first that is broken; NONE when entered
    uint32_t instruction_error;
    uint32_t exit_reason; // with bit 31
    uint64_t qualification;
};

// Checks the controls, the host state and the guest state of cpu->vmcs, as VM entry from VMX root
// operation does outside SMM, and the area of MSRs that it would load. Nothing is changed.
//
// `memory` is physical memory, for what rules find there (the virtual-APIC page, PDPTEs, the
// revision of the VMCS that the link pointer names, the MSR-load area); without it, NULL, or where
// it cannot be read, these rules pass. The launch state and the current-VMCS pointer are the
// instructions' matter (vmx_instruction.h).
void vmx_entry_check(const struct vmx_cpu *cpu, const struct mmu_memory *memory,
                     struct vmx_entry_outcome *out);

// Of a rule's row: "host_cr0"; what it demands; the section of the SDM that says so. "none" and
// empty strings for VMX_ENTRY_RULE_NONE, NULL for a number without a row.
const char *vmx_entry_rule_name(enum vmx_entry_rule rule);
const char *vmx_entry_rule_text(enum vmx_entry_rule rule);
const char *vmx_entry_rule_source(enum vmx_entry_rule rule);

#endif
