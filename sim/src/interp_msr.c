// RDMSR and WRMSR, with what the machine serves before vmx_model: the TSC and the local APIC.
#include "interp_handlers.h"

#include "vmx_model/msr.h"

#define APIC_BASE_EXTD  UINT64_C(0x00000400)
#define MSR_EFER        UINT32_C(0xC0000080)
#define ICR_MODE(icr)   ((icr) >> 8 & 7)
#define ICR_VECTOR(icr) ((uint8_t)((icr)&0xFF))

enum {
    MSR_TSC = 0x10,
    MSR_PKRS = 0x6E1,
    ICR_FIXED = 0,
    ICR_LOWEST_PRIORITY = 1,
};

static bool is_apic_msr(uint32_t index)
{
    return (index >= APIC_MSR_FIRST && index <= APIC_MSR_LAST) || index == APIC_MSR_TSC_DEADLINE;
}

// The x2APIC's registers exist in x2APIC mode only.
static bool apic_msr_exists(const struct exec *x, uint32_t index)
{
    bool x2apic = (x->cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] & APIC_BASE_EXTD) != 0;
    return x2apic || index == APIC_MSR_TSC_DEADLINE;
}

static bool read_apic_msr(struct exec *x, uint32_t index, uint64_t *out)
{
    struct cpu *cpu = x->cpu;
    if (!apic_msr_exists(x, index)) {
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

static void send_ipi(struct exec *x)
{
    const struct apic *sender = &x->cpu->apic;
    uint64_t mode = ICR_MODE(sender->icr);
    if (mode != ICR_FIXED && mode != ICR_LOWEST_PRIORITY) {
        machine_log(x->machine, "interprocessor interrupt of delivery mode %u is not modelled",
                    (unsigned)mode);
        return;
    }
    bool taken = false;
    for (unsigned i = 0; i < x->machine->num_cpus && !taken; i++) {
        struct apic *apic = &x->machine->cpus[i].apic;
        bool addressed = apic_is_addressed(apic, sender);
        if (addressed) {
            apic_request(apic, ICR_VECTOR(sender->icr));
        }
        taken = addressed && mode == ICR_LOWEST_PRIORITY;
    }
}

static bool write_apic_msr(struct exec *x, uint32_t index, uint64_t value)
{
    struct cpu *cpu = x->cpu;
    bool icr_sent = false;
    if (!apic_msr_exists(x, index)) {
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
        send_ipi(x);
    }
    return true;
}

static bool read_msr(struct exec *x, uint32_t index, uint64_t *out)
{
    if (is_apic_msr(index)) {
        return read_apic_msr(x, index, out);
    }
    if (index == MSR_TSC) {
        *out = interp_guest_tsc(x);
        return true;
    }
    return msr_read(&x->cpu->vmx, MSR_GUEST, index, out) == MSR_OK;
}

static bool write_msr(struct exec *x, uint32_t index, uint64_t value)
{
    if (is_apic_msr(index)) {
        return write_apic_msr(x, index, value);
    }
    if (index == MSR_TSC) {
        interp_set_guest_tsc(x, value);
        return true;
    }
    if (index == MSR_EFER || index == MSR_PKRS) {
        x->flush = FLUSH_ALL;
    }
    return msr_write(&x->cpu->vmx, MSR_GUEST, index, value) == MSR_OK;
}

void interp_rdmsr(struct exec *x, const struct insn *insn)
{
    (void)insn;
    uint64_t value = 0;
    interp_require_cpl0(x);
    if (!x->faulted && !read_msr(x, (uint32_t)x->cpu->vmx.gpr[VMX_RCX], &value)) {
        interp_gp(x);
    }
    interp_set_edx_eax(x, value);
}

void interp_wrmsr(struct exec *x, const struct insn *insn)
{
    (void)insn;
    interp_require_cpl0(x);
    if (!x->faulted && !write_msr(x, (uint32_t)x->cpu->vmx.gpr[VMX_RCX], interp_edx_eax(x))) {
        interp_gp(x);
    }
}
