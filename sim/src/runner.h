#ifndef SIM_RUNNER_H
#define SIM_RUNNER_H

// Runs one CPU on Unicorn. The only header behind which Unicorn is known.
//
// Unicorn keeps paging off; its address space is the CPU's linear space, into which pages are
// mapped on demand after a walk by mmu_model. Exceptions, interrupts and system instructions are
// ours.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;
struct cpu;

enum run_stop {
    RUN_BUDGET,      // the budget is used up
    RUN_WAITING,     // halted: waits for an interrupt that may come later
    RUN_BREAKPOINT,  // about to execute an instruction that a breakpoint stands on
    RUN_SHUT_DOWN,   // triple fault
    RUN_UNSUPPORTED, // a state or mode the run loop does not execute; the log says which
};

struct run_request {
    uint64_t budget;          // instructions at most
    bool suppress_interrupts; // deliver none
    bool stepping;        // stop at a handler's first instruction when an interrupt is delivered
    bool skip_breakpoint; // the first instruction runs even if a breakpoint stands on it
};

struct run_result {
    enum run_stop stop;
    bool exited;       // the last instruction that the interpreter executed was a VM exit
    uint64_t executed; // instructions; time a halted CPU spent waiting is not in it
};

// VM entry, execution, VM exit: the state is in cpu before and after. The CPU's TSC and APIC timer
// advance with the instructions executed. A halted CPU whose timer fires within what is left of the
// budget waits until then: that time is taken from the budget and added to the TSC, but is not in
// `executed`. With RUN_WAITING the TSC stands where the CPU began to wait for good.
//
// An instruction that faults counts as executed when its exception is delivered, and an element of
// a repeated string instruction counts as an instruction.
struct run_result runner_run(struct machine *machine, struct cpu *cpu,
                             const struct run_request *request);

// Memory pages or translation state of cpu changed behind the runner's back (a debugger's writes,
// reset): forget what was cached. Cheap when the CPU never ran.
void runner_invalidate(struct cpu *cpu);

// A page that code was fetched from is about to be written by anybody but a CPU: drop what was
// translated from it, on every CPU.
void runner_code_written(struct machine *machine, uint64_t guest_phys);

// The same for len bytes within a page, written by a CPU or by the model of one.
void runner_code_changed(struct machine *machine, uint64_t guest_phys, size_t len);

void runner_free(struct cpu *cpu);

#endif
