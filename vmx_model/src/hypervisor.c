#include "vmx_model/hypervisor.h"

#include "vmx_model/moves.h"

#define CR0_NE   UINT64_C(0x00000020)
#define CR4_VMXE UINT64_C(0x00002000)

void vmx_hypervisor_begin(struct vmx_cpu *cpu)
{
    uint64_t *field = cpu->vmcs.field;
    uint64_t cr0 = vmx_cr0_read(cpu);
    uint64_t cr4 = vmx_cr4_read(cpu);
    field[VMCS_CR0_MASK] = CR0_NE;
    field[VMCS_CR4_MASK] = CR4_VMXE;
    field[VMCS_GUEST_CR0] |= CR0_NE;
    field[VMCS_GUEST_CR4] |= CR4_VMXE;
    vmx_cr0_set(cpu, cr0);
    vmx_cr4_set(cpu, cr4);
}
