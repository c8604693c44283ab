// What the model's hypervisor, whose debugger asks, puts into the VMCS of its guest.
#ifndef VMX_MODEL_HYPERVISOR_H
#define VMX_MODEL_HYPERVISOR_H

#include "vmx_model/cpu.h"

// Takes a processor after RESET into VMX operation: it owns the bits of CR0 and CR4 that VMX
// operation fixes, so that the guest may read and write them as it likes.
void vmx_hypervisor_begin(struct vmx_cpu *cpu);

#endif
