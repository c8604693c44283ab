#ifndef SIM_EXCEPTION_H
#define SIM_EXCEPTION_H

// Takes exceptions and interrupts through the IDT, in 64-bit mode.

#include <stdint.h>

#include "exec.h"

enum delivery_kind {
    DELIVERY_FAULT,    // the instruction at return_rip has not been executed
    DELIVERY_TRAP,     // the instruction before return_rip has; INT1 is one too
    DELIVERY_SOFTWARE, // INT n, INT3: the gate's DPL counts
    DELIVERY_EXTERNAL, // an interrupt
};

struct delivery {
    enum delivery_kind kind;
    struct exception exception;
    uint64_t return_rip;
};

// Leaves the CPU at the first instruction of the handler. What goes wrong on the way is delivered
// instead, with RIP as the address of the instruction at fault: #DF when that follows from two
// exceptions, and after a third the CPU is shut down.
void exception_deliver(struct machine *machine, struct cpu *cpu, const struct delivery *delivery);

#endif
