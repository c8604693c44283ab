// What a hypervisor puts into a new VMCS.
#ifndef VMX_MODEL_SRC_VMCS_RESET_H
#define VMX_MODEL_SRC_VMCS_RESET_H

#include "vmx_model/vmcs.h"

// Stores controls that the processor allows, with everything that makes the guest-state area the
// whole truth (its MSRs are loaded at entry and saved at exit), and the guest's CR0 and CR4 such
// that VM entry takes them while the guest reads the values after RESET. The host-state area has
// been filled.
void vmcs_reset_controls(struct vmcs *vmcs);

#endif
