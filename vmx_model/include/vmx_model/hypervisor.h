// What the model's hypervisor, whose debugger asks, puts into the VMCS of its guest: a hypervisor
// that gets out of the way. It lets its guest do what it likes, nests no other hypervisor, and exits
// only on what it must and on what a debugger needs.
#ifndef VMX_MODEL_HYPERVISOR_H
#define VMX_MODEL_HYPERVISOR_H

#include "vmx_model/cpu.h"

// Takes a processor after RESET into VMX operation: the VMX controls, as far as the processor has
// them, and the bits of CR0 and CR4 that VMX operation fixes, which become the hypervisor's own, so
// that the guest reads and writes them as it likes. What the guest can see stays as it was.
void vmx_hypervisor_begin(struct vmx_cpu *cpu);

// The control "IA-32e mode guest" follows EFER.LMA, as a VM exit stores it on a processor with
// unrestricted guests.
void vmx_hypervisor_follow_mode(struct vmx_cpu *cpu);

#endif
