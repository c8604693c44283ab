#include "cpu_msr.h"

#define APIC_BASE_EXTD  UINT64_C(0x00000400)
#define USE_TSC_OFFSET  UINT64_C(0x00000008)
#define ICR_MODE(icr)   ((icr) >> 8 & 7)
#define ICR_VECTOR(icr) ((uint8_t)((icr)&0xFF))

enum {
    MSR_TSC = 0x10,
    ICR_FIXED = 0,
    ICR_LOWEST_PRIORITY = 1,
};

static bool is_apic_msr(uint32_t index)
{
    return (index >= APIC_MSR_FIRST && index <= APIC_MSR_LAST) || index == APIC_MSR_TSC_DEADLINE;
}

// SDM 3A, "Extended XAPIC (x2APIC)": the registers exist in x2APIC mode only.
static bool apic_msr_exists(const struct cpu *cpu, uint32_t index)
{
    bool x2apic = (cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] & APIC_BASE_EXTD) != 0;
    return x2apic || index == APIC_MSR_TSC_DEADLINE;
}

static bool read_apic_msr(struct cpu *cpu, uint32_t index, uint64_t *out)
{
    if (!apic_msr_exists(cpu, index)) {
        return false;
    }
    if (index == APIC_MSR_TPR) {
        *out = cpu->vmx.cr8 << 4;
        return true;
    }
    if (index == APIC_MSR_PPR) {
        *out = apic_priority(&cpu->apic, cpu->vmx.cr8);
        return true;
    }
    apic_tick(&cpu->apic, cpu->vmx.tsc);
    return apic_read(&cpu->apic, index, cpu->vmx.tsc, out);
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

static bool write_apic_msr(struct machine *machine, struct cpu *cpu, uint32_t index, uint64_t value)
{
    bool icr_sent = false;
    if (!apic_msr_exists(cpu, index)) {
        return false;
    }
    if (index == APIC_MSR_TPR) {
        cpu->vmx.cr8 = value <= 0xFF ? value >> 4 : cpu->vmx.cr8;
        return value <= 0xFF;
    }
    apic_tick(&cpu->apic, cpu->vmx.tsc);
    if (!apic_write(&cpu->apic, index, cpu->vmx.tsc, value, &icr_sent)) {
        return false;
    }
    if (icr_sent) {
        send_ipi(machine, &cpu->apic);
    }
    return true;
}

static uint64_t tsc_offset(const struct cpu *cpu)
{
    const uint64_t *field = cpu->vmx.vmcs.field;
    bool used = (field[VMCS_PROCESSOR_CONTROLS] & USE_TSC_OFFSET) != 0;
    return used ? field[VMCS_TSC_OFFSET] : 0;
}

uint64_t cpu_guest_tsc(const struct cpu *cpu)
{
    return cpu->vmx.tsc + tsc_offset(cpu);
}

enum msr_result cpu_msr_read(struct cpu *cpu, enum msr_agent agent, uint32_t index, uint64_t *out)
{
    if (is_apic_msr(index)) {
        return read_apic_msr(cpu, index, out) ? MSR_OK : MSR_GP;
    }
    enum msr_result result = msr_read(&cpu->vmx, agent, index, out);
    if (result == MSR_OK && index == MSR_TSC && agent == MSR_GUEST) {
        *out = cpu_guest_tsc(cpu);
    }
    return result;
}

enum msr_result cpu_msr_write(struct machine *machine, struct cpu *cpu, enum msr_agent agent,
                              uint32_t index, uint64_t value)
{
    if (is_apic_msr(index)) {
        return write_apic_msr(machine, cpu, index, value) ? MSR_OK : MSR_GP;
    }
    uint64_t tsc = cpu->vmx.tsc;
    bool is_guest_tsc = index == MSR_TSC && agent == MSR_GUEST;
    enum msr_result result =
        msr_write(&cpu->vmx, agent, index, is_guest_tsc ? value - tsc_offset(cpu) : value);
    apic_shift(&cpu->apic, cpu->vmx.tsc - tsc); // by nothing, unless that was the TSC's
    return result;
}
