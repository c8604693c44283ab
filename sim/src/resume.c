#include "resume.h"

#include "exception.h"
#include "exits.h"
#include "vmx_model/entry.h"

#define VALID UINT64_C(0x80000000) // of an interruption-information field

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

static enum delivery_kind kind_of(const struct vmx_event *event)
{
    switch (event->type) {
    case VMX_EVENT_HARDWARE_EXCEPTION:
        return DELIVERY_FAULT;
    case VMX_EVENT_SOFTWARE_INTERRUPT:
    case VMX_EVENT_SOFTWARE_EXCEPTION:
        return DELIVERY_SOFTWARE;
    case VMX_EVENT_PRIVILEGED_SOFTWARE_EXCEPTION:
        return DELIVERY_TRAP;
    case VMX_EVENT_EXTERNAL_INTERRUPT:
    case VMX_EVENT_NMI:
    case VMX_EVENT_OTHER:
        break;
    }
    return DELIVERY_EXTERNAL;
}

// SDM 3C, "Vectored-Event Injection": what an instruction raises returns behind it; neither CR2 nor
// the debug registers change.
static void deliver(struct machine *machine, struct cpu *cpu, const struct vmx_event *event)
{
    struct delivery delivery = {
        .kind = kind_of(event),
        .exception = {event->vector, event->has_error_code, event->error_code, 0},
        .return_rip = cpu_guest(cpu, RIP),
    };
    uint64_t cr2 = cpu->vmx.cr2;
    uint64_t dr7 = cpu_guest(cpu, DR7);
    delivery.exception.payload = event->vector == VECTOR_PF ? cr2 : 0;
    if (delivery.kind == DELIVERY_SOFTWARE || delivery.kind == DELIVERY_TRAP) {
        delivery.return_rip += cpu->vmx.vmcs.field[VMCS_ENTRY_INSTRUCTION_LENGTH];
    }
    exception_deliver(machine, cpu, &delivery);
    if (event->vector == VECTOR_DB && !cpu->shut_down) {
        cpu_guest(cpu, DR7) = dr7;
    }
}

bool resume_inject(struct machine *machine, unsigned index)
{
    struct cpu *cpu = &machine->cpus[index];
    uint64_t *field = cpu->vmx.vmcs.field;
    struct vmx_event event = vmx_event_of((uint32_t)field[VMCS_ENTRY_INTERRUPTION_INFORMATION],
                                          (uint32_t)field[VMCS_ENTRY_EXCEPTION_ERROR_CODE]);
    if (cpu->shut_down || !event.valid) {
        return false;
    }
    field[VMCS_ENTRY_INTERRUPTION_INFORMATION] &= ~VALID;
    if (event.type != VMX_EVENT_OTHER) { // that is only the monitor trap flag, before anything runs
        deliver(machine, cpu, &event);
    }
    if (cpu->shut_down) {
        exit_triple_fault(cpu);
        machine_log(machine, "CPU %u shut down: triple fault", index);
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
