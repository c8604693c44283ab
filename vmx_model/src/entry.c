#include "vmx_model/entry.h"

#include <stddef.h>

#include "entry_rules.h"

// VM-instruction errors and basic exit reasons of the groups of rules.
enum {
    ERROR_CONTROLS = 7,
    ERROR_HOST = 8,
    EXIT_INVALID_GUEST = 33,
    EXIT_MSR_LOADING = 34,
};

#define EXIT_REASON_ENTRY_FAILURE 0x80000000u

enum group {
    GROUP_CONTROLS,
    GROUP_HOST,
    GROUP_GUEST,
};

static const struct {
    const char *name, *source, *text;
    bool (*holds)(const struct entry *entry);
    uint8_t group;
    uint8_t qualification;
} rules[] = {
    [VMX_ENTRY_RULE_NONE] = {"none", "", "", NULL, GROUP_CONTROLS, 0},
#define ENTRY_CHECK(name, function, group, qualification, source, text)                            \
    [VMX_ENTRY_RULE_##name] = {#function,     source, text, entry_##function, GROUP_##group,       \
                               qualification},
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

static struct vmx_entry_outcome broken(enum vmx_entry_rule rule)
{
    struct vmx_entry_outcome outcome = {.rule = rule};
    switch ((enum group)rules[rule].group) {
    case GROUP_CONTROLS:
        outcome.result = VMX_FAIL_VALID;
        outcome.instruction_error = ERROR_CONTROLS;
        break;
    case GROUP_HOST:
        outcome.result = VMX_FAIL_VALID;
        outcome.instruction_error = ERROR_HOST;
        break;
    case GROUP_GUEST:
        outcome.result = VMX_ENTRY_FAILED;
        outcome.exit_reason = EXIT_REASON_ENTRY_FAILURE | EXIT_INVALID_GUEST;
        outcome.qualification = rules[rule].qualification;
        break;
    }
    return outcome;
}

void vmx_entry_check(const struct vmx_cpu *cpu, const struct mmu_memory *memory,
                     struct vmx_entry_outcome *out)
{
    struct entry entry = {
        .cpu = cpu,
        .memory = memory,
        .profile = cpu->profile,
        .field = cpu->vmcs.field,
    };
    for (unsigned group = 0; group < VMX_NUM_CONTROL_GROUPS; group++) {
        entry.control[group] = vmx_controls_active(&cpu->vmcs, (enum vmx_control_group)group);
    }
    for (unsigned rule = VMX_ENTRY_RULE_NONE + 1; rule < VMX_NUM_ENTRY_RULES; rule++) {
        if (!rules[rule].holds(&entry)) {
            *out = broken((enum vmx_entry_rule)rule);
            return;
        }
    }
    *out = (struct vmx_entry_outcome){.result = VMX_ENTERED};
}

bool entry_cr3_target_count(const struct entry *entry)
{
    return entry->field[VMCS_CR3_TARGET_COUNT] <= 4;
}
