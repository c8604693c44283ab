#include "machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "machine_build.h"
#include "resume.h"
#include "runner.h"

struct machine *machine_new(const struct target *target, const char **out_error)
{
    struct machine *machine = calloc(1, sizeof(*machine));
    if (!machine) {
        *out_error = "out of memory";
        return NULL;
    }
    machine->target = target;
    const char *error = machine_build(machine);
    if (error) {
        *out_error = error;
        machine_free(machine);
        return NULL;
    }
    memcpy(machine->initial_cpus, machine->cpus, machine->num_cpus * sizeof(*machine->cpus));
    ports_reset(&machine->ports);
    machine->event = EVENT_INITIAL;
    machine->skip_breakpoint = MACHINE_NO_CPU;
    return machine;
}

void machine_free(struct machine *machine)
{
    if (!machine) {
        return;
    }
    for (unsigned i = 0; machine->cpus && i < machine->num_cpus; i++) {
        runner_free(&machine->cpus[i]);
    }
    memory_cleanup(&machine->memory);
    free(machine->cpus);
    free(machine->initial_cpus);
    free(machine->overrides);
    free(machine);
}

void machine_reset(struct machine *machine)
{
    memory_reset(&machine->memory);
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        struct runner *runner = machine->cpus[i].runner;
        machine->cpus[i] = machine->initial_cpus[i];
        machine->cpus[i].runner = runner;
        runner_invalidate(&machine->cpus[i]);
    }
    breakpoints_clear(&machine->breakpoints);
    ports_reset(&machine->ports);
    machine->current = 0;
    machine->turn = 0;
    machine->running = false;
    machine->step_pending = false;
    machine->broke_in = false;
    machine->event = EVENT_INITIAL;
    machine->skip_breakpoint = MACHINE_NO_CPU;
    machine->time = 0;
}

static void stop_at(struct machine *machine, unsigned cpu, enum event_code event)
{
    machine->running = false;
    machine->broke_in = false;
    machine->current = cpu;
    machine->event = event;
}

// One CPU's turn of `slice` nanoseconds of its virtual time.
static void run_slice(struct machine *machine, unsigned index, uint64_t slice)
{
    struct cpu *cpu = &machine->cpus[index];
    uint64_t end = cpu->vmx.tsc + slice;
    if (cpu->shut_down) {
        cpu->vmx.tsc = end;
        return;
    }
    if (cpu->changed && !resume_check(machine, index)) {
        stop_at(machine, index, machine->event);
        return;
    }
    struct run_request request = {
        .budget = slice,
        .skip_breakpoint = machine->skip_breakpoint == index,
    };
    if (request.skip_breakpoint) {
        machine->skip_breakpoint = MACHINE_NO_CPU;
    }
    struct run_result result = runner_run(machine, cpu, &request);
    switch (result.stop) {
    case RUN_BUDGET:
        break;
    case RUN_WAITING:
        cpu->vmx.tsc = end;
        break;
    case RUN_BREAKPOINT:
        stop_at(machine, index, EVENT_BREAKPOINT);
        resume_stopped(machine, index);
        break;
    case RUN_SHUT_DOWN:
        machine_log(machine, "CPU %u shut down: triple fault", index);
        cpu->shut_down = true;
        break;
    case RUN_UNSUPPORTED:
        stop_at(machine, index, machine->event);
        break;
    }
}

void machine_run(struct machine *machine, uint64_t instructions)
{
    while (machine->running && instructions != 0) {
        uint64_t slice = instructions < MACHINE_SLICE ? instructions : MACHINE_SLICE;
        unsigned index = machine->turn;
        machine->turn = (index + 1) % machine->num_cpus;
        run_slice(machine, index, slice);
        machine->time += slice;
        instructions -= slice;
    }
}

// How long until an interrupt can wake cpu: 0 when it executes.
static uint64_t cpu_idle_time(const struct cpu *cpu)
{
    if (cpu->shut_down) {
        return UINT64_MAX;
    }
    if (cpu_guest(cpu, ACTIVITY) == ACTIVITY_RUNS) {
        return 0;
    }
    if (cpu_guest(cpu, ACTIVITY) != ACTIVITY_HALTED || !(cpu_guest(cpu, RFLAGS) & RFLAGS_IF)) {
        return UINT64_MAX;
    }
    if (apic_pending(&cpu->apic, cpu->vmx.cr8) >= 0) {
        return 0;
    }
    if (cpu->apic.deadline == UINT64_MAX) {
        return UINT64_MAX;
    }
    return cpu->apic.deadline > cpu->vmx.tsc ? cpu->apic.deadline - cpu->vmx.tsc : 0;
}

uint64_t machine_idle_time(const struct machine *machine)
{
    uint64_t idle = UINT64_MAX;
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        uint64_t time = cpu_idle_time(&machine->cpus[i]);
        idle = time < idle ? time : idle;
    }
    return idle;
}

void machine_pass_time(struct machine *machine, uint64_t time)
{
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        machine->cpus[i].vmx.tsc += time;
    }
    machine->time += time;
}

bool machine_can_run(struct machine *machine, unsigned index)
{
    if (cpu_pulse_mode(&machine->cpus[index]) == PULSE_MODE_LONG64) {
        return true;
    }
    machine_log(machine, "CPU %u is not in 64-bit mode and cannot run", index);
    return false;
}

enum pulse_status machine_go(struct machine *machine)
{
    if (machine->running) {
        return STATUS_SUCCESS;
    }
    if (!resume_check_all(machine)) {
        return STATUS_UNSUCCESSFUL;
    }
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        if (!machine->cpus[i].shut_down && !machine_can_run(machine, i)) {
            return STATUS_NOT_SUPPORTED;
        }
    }
    machine->skip_breakpoint = machine->current;
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        if (resume_inject(machine, i) && i == machine->current) {
            machine->skip_breakpoint = MACHINE_NO_CPU; // it stands elsewhere now
        }
    }
    machine->running = true;
    machine->broke_in = false;
    return STATUS_SUCCESS;
}

enum pulse_status machine_break_in(struct machine *machine)
{
    if (machine->running || machine->step_pending) {
        machine->running = false;
        machine->step_pending = false;
        machine->broke_in = true;
        machine->event = EVENT_BREAK_IN;
        resume_stopped(machine, MACHINE_NO_CPU);
    }
    return STATUS_SUCCESS;
}

// After the instruction has run: a CPU that now waits is taken to its next interrupt, if there is
// one and it may be delivered. The others stay where they are.
static struct run_result step_through_halt(struct machine *machine, struct cpu *cpu,
                                           const struct run_request *request)
{
    struct run_result waiting = {.stop = RUN_WAITING};
    uint64_t idle = cpu_idle_time(cpu);
    if (request->suppress_interrupts || idle == UINT64_MAX) {
        return waiting;
    }
    cpu->vmx.tsc += idle;
    machine->time += idle;
    return runner_run(machine, cpu, request);
}

// An event that VM entry injects is a step of its own: the handler has not begun.
static struct run_result step_once(struct machine *machine, struct cpu *cpu,
                                   const struct run_request *request)
{
    struct run_result result = {.stop = RUN_BUDGET};
    if (resume_inject(machine, machine->current)) {
        result.stop = cpu->shut_down ? RUN_SHUT_DOWN : RUN_BUDGET;
        return result;
    }
    if (cpu_guest(cpu, ACTIVITY) == ACTIVITY_RUNS) {
        result = runner_run(machine, cpu, request);
        machine->time += result.executed;
    }
    if (cpu_guest(cpu, ACTIVITY) != ACTIVITY_RUNS) {
        result = step_through_halt(machine, cpu, request);
    }
    return result;
}

enum pulse_status machine_step(struct machine *machine, bool suppress_interrupts)
{
    struct cpu *cpu = &machine->cpus[machine->current];
    machine->running = false;
    if (cpu->shut_down) {
        return STATUS_BARRIER_OWNER_INACTIVE;
    }
    if (!resume_check(machine, machine->current)) {
        return STATUS_UNSUCCESSFUL;
    }
    if (!machine_can_run(machine, machine->current)) {
        return STATUS_NOT_SUPPORTED;
    }
    struct run_request request = {
        .budget = 1,
        .suppress_interrupts = suppress_interrupts,
        .stepping = true,
        .skip_breakpoint = true,
    };
    struct run_result result = step_once(machine, cpu, &request);
    if (result.stop == RUN_UNSUPPORTED) {
        return STATUS_NOT_SUPPORTED;
    }
    cpu->shut_down = result.stop == RUN_SHUT_DOWN;
    machine->broke_in = false;
    if (result.stop == RUN_WAITING) {
        machine->step_pending = true;
        return STATUS_PENDING;
    }
    if (!cpu->shut_down && !result.exited) {
        exit_step(cpu);
    }
    machine->event = EVENT_STEP;
    return STATUS_SUCCESS;
}

enum pulse_status machine_switch_cpu(struct machine *machine, uint64_t index)
{
    if (index >= machine->num_cpus) {
        return STATUS_BARRIER_NO_CPU;
    }
    if (index == machine->current) {
        return STATUS_BARRIER_ALREADY_OWNED;
    }
    const struct cpu *cpu = &machine->cpus[index];
    uint64_t activity = cpu_guest(cpu, ACTIVITY);
    if (cpu->shut_down || (activity != ACTIVITY_RUNS && activity != ACTIVITY_HALTED)) {
        return STATUS_BARRIER_OWNER_INACTIVE;
    }
    machine->current = (unsigned)index;
    machine->event = EVENT_CPU_SWITCH;
    return STATUS_SUCCESS;
}

void machine_log(struct machine *machine, const char *format, ...)
{
    if (!machine->log) {
        return;
    }
    char line[256];
    va_list args;
    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 does not see va_start
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    machine->log(machine->log_user, line);
}

void cpu_mmu_registers(const struct machine *machine, const struct cpu *cpu,
                       struct mmu_registers *out)
{
    // Member by member: a whole structure is first cleared, which costs as much as the rest.
    out->cr0 = cpu_guest(cpu, CR0);
    out->cr3 = cpu_guest(cpu, CR3);
    out->cr4 = cpu_guest(cpu, CR4);
    out->efer = cpu_guest(cpu, IA32_EFER);
    out->rflags = cpu_guest(cpu, RFLAGS);
    out->pkru = cpu->vmx.pkru;
    out->pkrs = (uint32_t)cpu_guest(cpu, IA32_PKRS);
    out->max_phys_bits = (uint8_t)machine->memory.max_phys_bits;
    out->no_1gib_pages = false;
    out->pdptes_loaded = false;
}

#define SEGMENT_OF(cpu, NAME)                                                                      \
    {                                                                                              \
        .selector = (uint16_t)cpu_guest(cpu, NAME##_SELECTOR),                                     \
        .access = (uint32_t)cpu_guest(cpu, NAME##_ACCESS),                                         \
        .limit = (uint32_t)cpu_guest(cpu, NAME##_LIMIT), .base = cpu_guest(cpu, NAME##_BASE),      \
    }

void cpu_segments(const struct cpu *cpu, struct segment_registers *out)
{
    *out = (struct segment_registers){
        .cs = SEGMENT_OF(cpu, CS),
        .ss = SEGMENT_OF(cpu, SS),
        .ds = SEGMENT_OF(cpu, DS),
        .es = SEGMENT_OF(cpu, ES),
        .fs = SEGMENT_OF(cpu, FS),
        .gs = SEGMENT_OF(cpu, GS),
        .ldtr = SEGMENT_OF(cpu, LDTR),
        .gdt_base = cpu_guest(cpu, GDTR_BASE),
        .gdt_limit = (uint32_t)cpu_guest(cpu, GDTR_LIMIT),
    };
}

#define BLOCKING_SMI UINT64_C(0x4) // of the interruptibility state

// SDM 3C, "Guest Non-Register State": SMIs are blocked while the processor is in SMM, and nothing
// else blocks them in the state of a guest.
enum pulse_cpu_mode cpu_pulse_mode(const struct cpu *cpu)
{
    if ((cpu_guest(cpu, INTERRUPTIBILITY) & BLOCKING_SMI) != 0) {
        return PULSE_MODE_SMM;
    }
    return (enum pulse_cpu_mode)cpu_mode_of(cpu_guest(cpu, CR0), cpu_guest(cpu, IA32_EFER),
                                            cpu_guest(cpu, RFLAGS),
                                            (uint32_t)cpu_guest(cpu, CS_ACCESS));
}
