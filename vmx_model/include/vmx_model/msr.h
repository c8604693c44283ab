// RDMSR and WRMSR, as the debugger (VMX root) and as the guest executes them.
//
// Which register an access reaches is the row's: the debugger's home and the guest's home differ
// for FS_BASE and GS_BASE, whose debugger's copy is the host's, and for SMBASE, which the guest
// does not have. Everything else either acts on the guest (its VMCS field) or is shared.
//
// A number that the machine overrides (vmx_cpu_override) follows its override; any other one
// without a row that exists on this processor is #GP.
//
// IA32_TSC is the host's here for both: the guest's offset is the machine's to add. Of the
// registers of the local APIC (msr_is_apics) this module knows the rules and what was last
// written; a machine asks it first, and when the access is no #GP lets its own APIC act.
#ifndef VMX_MODEL_MSR_H
#define VMX_MODEL_MSR_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/cpu.h"

enum msr_result {
    MSR_OK,
    MSR_GP,
};

enum msr_agent {
    MSR_DEBUGGER, // executes in VMX root
    MSR_GUEST,    // executes in VMX non-root
};

// MSR_GP leaves *out untouched.
enum msr_result msr_read(const struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index,
                         uint64_t *out);

// MSR_GP leaves the whole CPU as it was.
enum msr_result msr_write(struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index,
                          uint64_t value);

// Whether the machine's local APIC holds this number's value: the x2APIC registers and
// IA32_TSC_DEADLINE, unless they are overridden.
bool msr_is_apics(const struct vmx_cpu *cpu, uint32_t index);

// Whether all processors of a package share this number's register, and its copy from one of them,
// which wrote it, to another. A number that is not the package's copies nothing.
bool msr_is_packages(uint32_t index);
void msr_copy_package(struct vmx_cpu *to, const struct vmx_cpu *from, uint32_t index);

// The manual's name ("IA32_PAT"); NULL for a number without a row.
const char *msr_name(uint32_t index);

// The number of a row, and its value after RESET where the profile does not say otherwise.
uint32_t msr_slot_index(enum msr_slot slot);
uint64_t msr_slot_reset(enum msr_slot slot);

// Whether a processor of this profile has the row. The state of a CPU may hide it nevertheless:
// the x2APIC registers exist in x2APIC mode only.
bool msr_slot_exists(const struct vmx_profile *profile, enum msr_slot slot);

#endif
