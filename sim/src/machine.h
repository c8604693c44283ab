#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

// The modelled machine: CPUs, memory, breakpoints, and whether it runs. One thread uses it.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "breakpoints.h"
#include "cpu.h"
#include "guest_memory.h"
#include "mmu_model/paging.h"
#include "mmu_model/segment.h"
#include "ports.h"
#include "protocol/target_ops.h"
#include "target.h"

enum {
    MACHINE_SLICE = 1000,     // instructions one CPU runs before the next has its turn
    MACHINE_LOCKSTEP = 10000, // instructions a packet lets a lockstep machine advance
    MACHINE_MAX_CPUS = 64,
    MACHINE_NO_CPU = MACHINE_MAX_CPUS,
};

// Receives one line of log text, without a line end.
typedef void machine_log_fn(void *user, const char *line);

struct machine {
    const struct target *target;
    struct memory memory;
    struct cpu *cpus;
    unsigned num_cpus;
    unsigned current;         // the CPU that requests are about
    unsigned turn;            // the CPU whose slice is next
    unsigned skip_breakpoint; // the CPU that may pass the breakpoint it stands on
    bool running;
    bool step_pending; // a step waits for an interrupt
    bool broke_in;     // the last stop was a break-in of a running target
    enum event_code event;
    struct breakpoints breakpoints;
    struct ports ports;
    uint64_t cpu_writes;            // counts the times when the CPUs may have written memory
    struct mmu_pde_cache pde_cache; // of the debugger's accesses
    uint64_t pde_cache_writes;      // up to which writes it holds
    uint64_t time;                  // virtual nanoseconds since the start; an instruction takes one
    uint64_t instance;              // changes with each start and reboot
    struct msr_override *overrides; // of each CPU's MSRs, one table after the other
    struct cpu *initial_cpus;       // what machine_reset goes back to
    machine_log_fn *log;
    void *log_user;
};

// Builds a machine in the state its target describes, stopped, event psevInitial. NULL when the
// host lacks memory or the target does not fit itself (out_error then says why; it is static text).
// The target must outlive the machine.
struct machine *machine_new(const struct target *target, const char **out_error);
void machine_free(struct machine *machine);

// Back to the state after machine_new, exactly, in time proportional to what has changed.
void machine_reset(struct machine *machine);

// What a debuggee asks of a machine; the target argument is the machine.
extern const struct target_ops machine_ops;

// Lets a running machine advance by up to `instructions` of virtual time, CPUs round-robin. Returns
// early when it stops. Does nothing while it is stopped.
void machine_run(struct machine *machine, uint64_t instructions);

// Virtual nanoseconds until something can happen on a running machine whose CPUs all wait: 0 when
// one of them executes, UINT64_MAX when nothing is armed.
uint64_t machine_idle_time(const struct machine *machine);

// Lets virtual time pass on all CPUs of a machine that is idle: at most machine_idle_time.
void machine_pass_time(struct machine *machine, uint64_t time);

// Execution control, as target_ops promises it.
enum pulse_status machine_go(struct machine *machine);
enum pulse_status machine_break_in(struct machine *machine);
enum pulse_status machine_step(struct machine *machine, bool suppress_interrupts);
enum pulse_status machine_switch_cpu(struct machine *machine, uint64_t index);

// Whether CPU `index` is in a mode whose code the machine executes. If not, the log says so.
bool machine_can_run(struct machine *machine, unsigned index);

// One line of log text for people; printf's rules.
void machine_log(struct machine *machine, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Views of a CPU's state for the address translation of mmu_model.
void cpu_mmu_registers(const struct machine *machine, const struct cpu *cpu,
                       struct mmu_registers *out);
void cpu_segments(const struct cpu *cpu, struct segment_registers *out);
struct mmu_memory machine_mmu_memory(struct machine *machine);

// Must precede a write from outside the CPUs: what they have translated from these bytes is
// dropped.
void machine_drop_code(struct machine *machine, uint64_t guest_phys, size_t len);

// The protocol's CPU mode of a CPU.
enum pulse_cpu_mode cpu_pulse_mode(const struct cpu *cpu);

#endif
