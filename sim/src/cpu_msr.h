#ifndef SIM_CPU_MSR_H
#define SIM_CPU_MSR_H

// RDMSR and WRMSR of one CPU of a machine, as the debugger and as the guest execute them: the local
// APIC and the guest's time stamp counter are the machine's, all else is vmx_model's.

#include <stdint.h>

#include "machine.h"
#include "vmx_model/msr.h"

// MSR_GP leaves *out as it was.
enum msr_result cpu_msr_read(struct cpu *cpu, enum msr_agent agent, uint32_t index, uint64_t *out);

// MSR_GP leaves the machine as it was.
enum msr_result cpu_msr_write(struct machine *machine, struct cpu *cpu, enum msr_agent agent,
                              uint32_t index, uint64_t value);

// The time stamp counter that the guest reads: the host's and, when the controls say so, an offset.
uint64_t cpu_guest_tsc(const struct cpu *cpu);

#endif
