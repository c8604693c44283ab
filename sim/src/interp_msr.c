// RDMSR and WRMSR.
#include "interp_handlers.h"

#include "cpu_msr.h"
#include "exits.h"

#define MSR_PKRS UINT32_C(0x000006E1)
#define MSR_EFER UINT32_C(0xC0000080)

static uint32_t msr_number(const struct exec *x)
{
    return (uint32_t)x->cpu->vmx.gpr[VMX_RCX];
}

void interp_rdmsr(struct exec *x, const struct insn *insn)
{
    uint64_t value = 0;
    interp_require_cpl0(x);
    exit_msr(x, insn, msr_number(x), false);
    if (!x->faulted && cpu_msr_read(x->cpu, MSR_GUEST, msr_number(x), &value) != MSR_OK) {
        interp_gp(x);
    }
    interp_set_edx_eax(x, value);
}

void interp_wrmsr(struct exec *x, const struct insn *insn)
{
    uint32_t index = msr_number(x);
    interp_require_cpl0(x);
    exit_msr(x, insn, index, true);
    if (x->faulted) {
        return;
    }
    if (index == MSR_EFER || index == MSR_PKRS) {
        x->flush = FLUSH_ALL;
    }
    if (cpu_msr_write(x->machine, x->cpu, MSR_GUEST, index, interp_edx_eax(x)) != MSR_OK) {
        interp_gp(x);
    }
}
