#ifndef SIM_RESUME_H
#define SIM_RESUME_H

// What stands between the debugger and the guest: the checks of VM entry before a CPU runs, and the
// VM exit that takes it back.

#include "machine.h"

// Whether VM entry takes CPU `index` as it is. If not, the log says which rule is broken, and the
// VMCS holds the VM-instruction error, or the exit reason and qualification of the failed entry.
bool resume_check(struct machine *machine, unsigned index);

// The same for every CPU that would run.
bool resume_check_all(struct machine *machine);

// Injects the event that the VMCS of CPU `index` asks VM entry for, through the guest's IDT. False:
// it asks for none. The CPU is in 64-bit mode and has passed the checks.
bool resume_inject(struct machine *machine, unsigned index);

// CPU `index` has stopped by itself at a breakpoint, or all are stopped from outside
// (MACHINE_NO_CPU): the exits of those that a non-maskable interrupt takes from the guest.
void resume_stopped(struct machine *machine, unsigned index);

#endif
