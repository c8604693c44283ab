#include "cpu_msr.h"

#include "vmx_model/controls.h"

#define ICR_MODE(icr)   ((icr) >> 8 & 7)
#define ICR_VECTOR(icr) ((uint8_t)((icr)&0xFF))

enum {
    MSR_TSC = 0x10,
    ICR_FIXED = 0,
    ICR_LOWEST_PRIORITY = 1,
};

// The model says what is #GP and knows what was last written; the APIC knows what has become of it.
static enum msr_result read_apic_msr(struct cpu *cpu, enum msr_agent agent, uint32_t index,
                                     uint64_t *out)
{
    if (msr_read(&cpu->vmx, agent, index, out) != MSR_OK) {
        return MSR_GP;
    }
    if (index == APIC_MSR_PPR) {
        *out = apic_priority(&cpu->apic, cpu->vmx.cr8);
        return MSR_OK;
    }
    apic_tick(&cpu->apic, cpu->vmx.tsc);
    (void)apic_read(&cpu->apic, index, cpu->vmx.tsc, out); // else it is the model's
    return MSR_OK;
}

static void send_ipi(struct machine *machine, const struct apic *sender)
{
    uint64_t mode = ICR_MODE(sender->icr);
    if (mode != ICR_FIXED && mode != ICR_LOWEST_PRIORITY) {
        machine_log(machine, "interprocessor interrupt of delivery mode %u is not modelled",
                    (unsigned)mode);
        return;
    }
    bool taken = false;
    for (unsigned i = 0; i < machine->num_cpus && !taken; i++) {
        struct apic *apic = &machine->cpus[i].apic;
        bool addressed = apic_is_addressed(apic, sender);
        if (addressed) {
            apic_request(apic, ICR_VECTOR(sender->icr));
        }
        taken = addressed && mode == ICR_LOWEST_PRIORITY;
    }
}

static enum msr_result write_apic_msr(struct machine *machine, struct cpu *cpu,
                                      enum msr_agent agent, uint32_t index, uint64_t value)
{
    bool icr_sent = false;
    if (msr_write(&cpu->vmx, agent, index, value) != MSR_OK) {
        return MSR_GP;
    }
    apic_tick(&cpu->apic, cpu->vmx.tsc);
    (void)apic_write(&cpu->apic, index, cpu->vmx.tsc, value, &icr_sent); // else only stored
    if (icr_sent) {
        send_ipi(machine, &cpu->apic);
    }
    return MSR_OK;
}

// An MSR of the package is the same on all its processors.
static void share_package_msr(struct machine *machine, const struct cpu *cpu, uint32_t index)
{
    unsigned num_cpus = msr_is_packages(index) ? machine->num_cpus : 0;
    for (unsigned i = 0; i < num_cpus; i++) {
        if (&machine->cpus[i] != cpu) {
            msr_copy_package(&machine->cpus[i].vmx, &cpu->vmx, index);
        }
    }
}

static uint64_t tsc_offset(const struct cpu *cpu)
{
    const uint64_t *field = cpu->vmx.vmcs.field;
    bool used = (field[VMCS_PROCESSOR_CONTROLS] & VMX_PROCESSOR_TSC_OFFSETTING) != 0;
    return used ? field[VMCS_TSC_OFFSET] : 0;
}

static bool is_overridden(const struct cpu *cpu, uint32_t index)
{
    for (uint32_t i = 0; i < cpu->vmx.num_overrides; i++) {
        if (cpu->vmx.overrides[i].index == index) {
            return true;
        }
    }
    return false;
}

uint64_t cpu_guest_tsc(const struct cpu *cpu)
{
    return cpu->vmx.tsc + tsc_offset(cpu);
}

enum msr_result cpu_msr_read(struct cpu *cpu, enum msr_agent agent, uint32_t index, uint64_t *out)
{
    if (msr_is_apics(&cpu->vmx, index)) {
        return read_apic_msr(cpu, agent, index, out);
    }
    enum msr_result result = msr_read(&cpu->vmx, agent, index, out);
    if (result == MSR_OK && index == MSR_TSC && agent == MSR_GUEST && !is_overridden(cpu, index)) {
        *out = cpu_guest_tsc(cpu);
    }
    return result;
}

enum msr_result cpu_msr_write(struct machine *machine, struct cpu *cpu, enum msr_agent agent,
                              uint32_t index, uint64_t value)
{
    if (msr_is_apics(&cpu->vmx, index)) {
        return write_apic_msr(machine, cpu, agent, index, value);
    }
    uint64_t tsc = cpu->vmx.tsc;
    bool is_guest_tsc = index == MSR_TSC && agent == MSR_GUEST;
    enum msr_result result =
        msr_write(&cpu->vmx, agent, index, is_guest_tsc ? value - tsc_offset(cpu) : value);
    share_package_msr(machine, cpu, index);
    apic_shift(&cpu->apic, cpu->vmx.tsc - tsc); // by nothing, unless that was the TSC's
    return result;
}
