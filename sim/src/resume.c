#include "resume.h"

#include "exits.h"
#include "vmx_model/entry.h"

static void tell(struct machine *machine, unsigned index, const struct vmx_entry_outcome *outcome)
{
    const char *rule = vmx_entry_rule_name(outcome->rule);
    const char *text = vmx_entry_rule_text(outcome->rule);
    switch (outcome->result) {
    case VMX_ENTERED:
        return;
    case VMX_FAIL_INVALID:
        machine_log(machine, "CPU %u: VM entry refused by rule %s: VMfailInvalid: %s", index, rule,
                    text);
        return;
    case VMX_FAIL_VALID:
        machine_log(machine,
                    "CPU %u: VM entry refused by rule %s: VMfailValid, VM-instruction error %u: %s",
                    index, rule, outcome->instruction_error, text);
        return;
    case VMX_ENTRY_FAILED:
        machine_log(machine,
                    "CPU %u: VM entry refused by rule %s: exit reason %u, qualification %llu: %s",
                    index, rule, outcome->exit_reason & 0xFFFF,
                    (unsigned long long)outcome->qualification, text);
        return;
    }
}

static void note(struct cpu *cpu, const struct vmx_entry_outcome *outcome)
{
    if (outcome->result == VMX_FAIL_VALID) {
        cpu->vmx.vmcs.field[VMCS_VM_INSTRUCTION_ERROR] = outcome->instruction_error;
    } else if (outcome->result == VMX_ENTRY_FAILED) {
        vmx_exit_record(&cpu->vmx.vmcs,
                        &(struct vmx_exit){.reason = outcome->exit_reason,
                                           .qualification = outcome->qualification});
    }
}

bool resume_check(struct machine *machine, unsigned index)
{
    struct cpu *cpu = &machine->cpus[index];
    struct mmu_memory memory = machine_mmu_memory(machine);
    struct vmx_entry_outcome outcome;
    cpu->changed = false;
    vmx_entry_check(&cpu->vmx, &memory, &outcome);
    note(cpu, &outcome);
    tell(machine, index, &outcome);
    cpu->launched = cpu->launched || outcome.result == VMX_ENTERED;
    return outcome.result == VMX_ENTERED;
}

bool resume_check_all(struct machine *machine)
{
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        if (!machine->cpus[i].shut_down && !resume_check(machine, i)) {
            return false;
        }
    }
    return true;
}

void resume_stopped(struct machine *machine, unsigned index)
{
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        struct cpu *cpu = &machine->cpus[i];
        if (i == index) {
            exit_breakpoint(cpu);
        } else if (!cpu->shut_down) {
            exit_break_in(cpu);
        }
    }
}
