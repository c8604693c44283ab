#include "vmx_model/entry.h"

#include <stddef.h>

#include "entry_rules.h"
#include "vmx_model/vmx_exit.h"

// The basic checks come first and have results of their own: see broken().
enum group {
    GROUP_BASIC,
    GROUP_CONTROLS,
    GROUP_HOST,
    GROUP_GUEST,
    GROUP_MSR_LOAD,
};

static const struct {
    const char *name, *source, *text;
    bool (*holds)(const struct entry *entry);
    uint8_t group;
    uint8_t qualification;
} rules[] = {
    [VMX_ENTRY_RULE_NONE] = {"none", "", "", NULL, GROUP_BASIC, 0},
#define ENTRY_CHECK(name, function, group, qualification, source, text)                            \
    [VMX_ENTRY_RULE_##                                                                             \
        name] = {#function, source, text, entry_##function, GROUP_##group, qualification},
#include "vmx_model/entry_checks.def"
};

const char *vmx_entry_rule_name(enum vmx_entry_rule rule)
{
    return (unsigned)rule < VMX_NUM_ENTRY_RULES ? rules[rule].name : NULL;
}

const char *vmx_entry_rule_text(enum vmx_entry_rule rule)
{
    return (unsigned)rule < VMX_NUM_ENTRY_RULES ? rules[rule].text : NULL;
}

const char *vmx_entry_rule_source(enum vmx_entry_rule rule)
{
    return (unsigned)rule < VMX_NUM_ENTRY_RULES ? rules[rule].source : NULL;
}

static uint32_t basic_error(enum vmx_entry_rule rule)
{
    if (rule == VMX_ENTRY_RULE_NO_MOV_SS) {
        return VMX_ERROR_ENTRY_MOV_SS;
    }
    return rule == VMX_ENTRY_RULE_LAUNCH_STATE_CLEAR ? VMX_ERROR_LAUNCH_NOT_CLEAR
                                                     : VMX_ERROR_RESUME_NOT_LAUNCHED;
}

// SDM Vol. 3C, "Basic VM-Entry Checks", "VM-Entry Failures During or After Loading Guest State".
static struct vmx_entry_outcome broken(const struct entry *entry, enum vmx_entry_rule rule)
{
    struct vmx_entry_outcome outcome = {.result = VMX_FAIL_VALID, .rule = rule};
    switch ((enum group)rules[rule].group) {
    case GROUP_BASIC:
        if (rule == VMX_ENTRY_RULE_CURRENT_VMCS) {
            outcome.result = VMX_FAIL_INVALID;
        } else {
            outcome.instruction_error = basic_error(rule);
        }
        break;
    case GROUP_CONTROLS:
        outcome.instruction_error = VMX_ERROR_ENTRY_CONTROLS;
        break;
    case GROUP_HOST:
        outcome.instruction_error = VMX_ERROR_ENTRY_HOST_STATE;
        break;
    case GROUP_GUEST:
        outcome.result = VMX_ENTRY_FAILED;
        outcome.exit_reason = VMX_EXIT_ENTRY_FAILURE | VMX_EXIT_INVALID_GUEST_STATE;
        outcome.qualification = rules[rule].qualification;
        break;
    case GROUP_MSR_LOAD:
        outcome.result = VMX_ENTRY_FAILED;
        outcome.exit_reason = VMX_EXIT_ENTRY_FAILURE | VMX_EXIT_MSR_LOADING;
        outcome.qualification = entry->bad_msr;
        break;
    }
    return outcome;
}

static struct entry entry_of(const struct vmx_cpu *cpu, const struct mmu_memory *memory,
                             const struct entry_attempt *attempt)
{
    return (struct entry){
        .cpu = cpu,
        .memory = memory,
        .profile = cpu->profile,
        .attempt = attempt,
        .field = cpu->vmcs.field,
        .pin = vmx_controls_active(&cpu->vmcs, VMX_GROUP_PIN),
        .processor = vmx_controls_active(&cpu->vmcs, VMX_GROUP_PROCESSOR),
        .secondary = vmx_controls_active(&cpu->vmcs, VMX_GROUP_SECONDARY),
        .tertiary = vmx_controls_active(&cpu->vmcs, VMX_GROUP_TERTIARY),
        .exit = vmx_controls_active(&cpu->vmcs, VMX_GROUP_EXIT),
        .secondary_exit = vmx_controls_active(&cpu->vmcs, VMX_GROUP_SECONDARY_EXIT),
        .entry = vmx_controls_active(&cpu->vmcs, VMX_GROUP_ENTRY),
    };
}

// The area is looked at only when everything before it holds.
static void prepare(struct entry *entry, enum vmx_entry_rule rule)
{
    if (rule == VMX_ENTRY_RULE_MSR_LOAD_BASE) {
        entry_scan_msrs(entry);
    }
}

void entry_check(const struct vmx_cpu *cpu, const struct mmu_memory *memory,
                 const struct entry_attempt *attempt, struct vmx_entry_outcome *out)
{
    struct entry entry = entry_of(cpu, memory, attempt);
    for (unsigned i = VMX_ENTRY_RULE_NONE + 1; i < VMX_NUM_ENTRY_RULES; i++) {
        enum vmx_entry_rule rule = (enum vmx_entry_rule)i;
        prepare(&entry, rule);
        if (!rules[rule].holds(&entry)) {
            *out = broken(&entry, rule);
            return;
        }
    }
    *out = (struct vmx_entry_outcome){.result = VMX_ENTERED};
}

void vmx_entry_check(const struct vmx_cpu *cpu, const struct mmu_memory *memory,
                     struct vmx_entry_outcome *out)
{
    entry_check(cpu, memory, NULL, out);
}

bool entry_current_vmcs(const struct entry *entry)
{
    const struct entry_attempt *attempt = entry->attempt;
    return attempt == NULL || (attempt->current_vmcs != ENTRY_NO_VMCS && !attempt->is_shadow);
}

bool entry_no_mov_ss(const struct entry *entry)
{
    return entry->attempt == NULL || !entry->attempt->blocks_mov_ss;
}

bool entry_launch_state_clear(const struct entry *entry)
{
    const struct entry_attempt *attempt = entry->attempt;
    return attempt == NULL || attempt->resumes || !attempt->is_launched;
}

bool entry_launch_state_launched(const struct entry *entry)
{
    const struct entry_attempt *attempt = entry->attempt;
    return attempt == NULL || !attempt->resumes || attempt->is_launched;
}
