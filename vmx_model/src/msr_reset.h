// What RESET does to the MSRs.
#ifndef VMX_MODEL_SRC_MSR_RESET_H
#define VMX_MODEL_SRC_MSR_RESET_H

#include "vmx_model/cpu.h"

// Stores every row's reset value where the guest has the MSR, or the debugger, when the guest has
// not. Rows whose feature the profile lacks store nothing.
void msr_reset(struct vmx_cpu *cpu);

#endif
