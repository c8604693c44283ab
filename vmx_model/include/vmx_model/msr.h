// RDMSR and WRMSR, as the debugger (VMX root) and as the guest executes them.
//
// Which register an access reaches is the row's: the debugger's home and the guest's home differ
// for FS_BASE and GS_BASE, whose debugger's copy is the host's, and for SMBASE, which the guest
// does not have. Everything else either acts on the guest (its VMCS field) or is shared.
//
// IA32_TSC is the host's here for both. The guest's offset, the numbers 0x800-0x8FF (x2APIC) and
// whatever else a device owns are served by the machine before it asks this module; a number
// without a row is #GP.
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

// The manual's name ("IA32_PAT"); NULL for a number without a row.
const char *msr_name(uint32_t index);

// The number of a row, and its value after RESET.
uint32_t msr_slot_index(enum msr_slot slot);
uint64_t msr_slot_reset(enum msr_slot slot);

#endif
