// The run loop: between two runs of Unicorn stand interrupts, exceptions and the interpreter.
#include "runner.h"

#include <stdlib.h>

#include "exception.h"
#include "exits.h"
#include "interp.h"
#include "runner_engine.h"
#include "vmx_model/controls.h"

#define DR6_BS UINT64_C(0x4000)

struct run {
    struct machine *machine;
    struct cpu *cpu;
    struct runner *runner;
    const struct run_request *request;
    struct run_result result;
    uint64_t left; // of the budget
    bool over;
};

static void finish(struct run *run, enum run_stop stop)
{
    run->result.stop = stop;
    run->over = true;
}

static void give_up(struct run *run, const char *what)
{
    machine_log(run->machine, "CPU %u cannot go on at 0x%llx: %s", run->cpu->vmx.apic_id,
                (unsigned long long)cpu_guest(run->cpu, RIP), what);
    finish(run, RUN_UNSUPPORTED);
}

static void pass_time(struct run *run, uint64_t instructions)
{
    run->left -= instructions;
    run->cpu->vmx.tsc += instructions;
}

static void count_one(struct run *run)
{
    pass_time(run, 1);
    run->result.executed++;
}

// What keeps the CPU's state from being executed, NULL when nothing does.
static const char *unsupported_state(const struct cpu *cpu)
{
    uint64_t cr0 = cpu_guest(cpu, CR0);
    uint64_t efer = cpu_guest(cpu, IA32_EFER);
    uint64_t access = cpu_guest(cpu, CS_ACCESS);
    if ((cr0 & MMU_CR0_PE) == 0 || (cr0 & MMU_CR0_PG) == 0) {
        return "CR0.PE or CR0.PG is 0";
    }
    if ((efer & MMU_EFER_LMA) == 0 || (cpu_guest(cpu, CR4) & MMU_CR4_PAE) == 0) {
        return "IA32_EFER.LMA or CR4.PAE is 0";
    }
    if ((access & SEGMENT_ACCESS_L) == 0 || (access & SEGMENT_ACCESS_DB) != 0) {
        return "CS is not a 64-bit code segment";
    }
    if (!cpu_is_canonical(cpu, cpu_guest(cpu, RIP))) {
        return "RIP is not canonical";
    }
    return cpu_guest(cpu, ACTIVITY) > ACTIVITY_HALTED
               ? "the activity state is neither active nor HLT"
               : NULL;
}

static bool may_interrupt(const struct run *run)
{
    return (cpu_guest(run->cpu, RFLAGS) & RFLAGS_IF) != 0 && !run->request->suppress_interrupts;
}

static void check_shut_down(struct run *run)
{
    if (run->cpu->shut_down) {
        exit_triple_fault(run->cpu);
        finish(run, RUN_SHUT_DOWN);
    }
}

// Takes an interrupt, if one is due at this instruction boundary.
static bool take_interrupt(struct run *run)
{
    struct cpu *cpu = run->cpu;
    apic_tick(&cpu->apic, cpu->vmx.tsc);
    if (!may_interrupt(run) || (cpu_guest(cpu, INTERRUPTIBILITY) & BLOCKING) != 0) {
        return false;
    }
    int vector = apic_pending(&cpu->apic, cpu->vmx.cr8);
    if (vector < 0) {
        return false;
    }
    struct delivery delivery = {
        DELIVERY_EXTERNAL, {.vector = (uint8_t)vector}, cpu_guest(cpu, RIP)};
    apic_accept(&cpu->apic, vector);
    exit_interrupt(cpu, (uint8_t)vector);
    cpu_guest(cpu, ACTIVITY) = ACTIVITY_RUNS;
    exception_deliver(run->machine, cpu, &delivery);
    if (run->request->stepping) {
        finish(run, RUN_BUDGET);
    }
    check_shut_down(run);
    return true;
}

// A halted CPU: to the timer's deadline, if that is within the budget.
static void wait_for_timer(struct run *run)
{
    struct cpu *cpu = run->cpu;
    uint64_t deadline = cpu->apic.deadline;
    if (!may_interrupt(run) || deadline == UINT64_MAX || deadline - cpu->vmx.tsc > run->left) {
        finish(run, RUN_WAITING);
        return;
    }
    pass_time(run, deadline - cpu->vmx.tsc);
}

static void deliver(struct run *run, const struct exception *exception)
{
    struct delivery delivery = {DELIVERY_FAULT, *exception, cpu_guest(run->cpu, RIP)};
    exception_deliver(run->machine, run->cpu, &delivery);
    check_shut_down(run);
}

static void deliver_fault(struct run *run, const struct exception *exception)
{
    exit_exception(run->cpu, exception, 0);
    deliver(run, exception);
}

static void deliver_single_step(struct run *run)
{
    struct delivery delivery = {
        DELIVERY_TRAP, {.vector = VECTOR_DB, .payload = DR6_BS}, cpu_guest(run->cpu, RIP)};
    exit_exception(run->cpu, &delivery.exception, 0);
    exception_deliver(run->machine, run->cpu, &delivery);
    check_shut_down(run);
}

static void flush(struct run *run, const struct exec *x)
{
    for (size_t i = 0; i < 2; i++) {
        struct engine *engine = run->runner->engines[i];
        if (engine && x->flush == FLUSH_ALL) {
            windows_drop_all(engine);
        } else if (engine && x->flush == FLUSH_PAGE) {
            windows_drop_page(engine, x->flush_linear);
        }
    }
}

// The instruction at RIP in our own model. True: it is done, and may be followed by a #DB.
static bool interpret(struct run *run)
{
    struct cpu *cpu = run->cpu;
    struct exec x = exec_begin(run->machine, cpu);
    struct insn insn;
    uint64_t rip = cpu_guest(cpu, RIP);
    enum interp_result result = INTERP_EXCEPTION;
    if (interp_fetch(&x, &insn)) {
        if (interp_uses_fpu(&insn)) {
            state_save_fpu(run->runner, cpu);
        }
        result = interp_execute(&x, &insn);
    }
    if (result == INTERP_UNSUPPORTED) {
        give_up(run, x.unsupported);
        return false;
    }
    count_one(run);
    run->result.exited = x.exited;
    if (result == INTERP_EXCEPTION) {
        if (!x.exited) { // else the hypervisor raises it, which is no exit
            exit_exception(cpu, &x.exception, 0);
        }
        deliver(run, &x.exception);
        return false;
    }
    flush(run, &x);
    check_shut_down(run);
    if (cpu_guest(cpu, RIP) == rip && insn.repeat != 0) { // its next element is no new instruction
        run->runner->skip_rip = rip;
        run->runner->skip_left = run->left;
    }
    return !x.delivered;
}

// How many instructions may run before the next look at interrupts.
static uint64_t limit_of(const struct run *run)
{
    const struct cpu *cpu = run->cpu;
    uint64_t limit = run->left;
    if (may_interrupt(run) && cpu->apic.deadline - cpu->vmx.tsc < limit) {
        limit = cpu->apic.deadline - cpu->vmx.tsc;
    }
    bool one = (cpu_guest(cpu, INTERRUPTIBILITY) & BLOCKING) != 0 ||
               (cpu_guest(cpu, RFLAGS) & (RFLAGS_TF | RFLAGS_RF)) != 0;
    return one ? 1 : limit;
}

// Whether a #DB for TF may follow what has happened.
static bool act_on(struct run *run, struct engine *engine, enum engine_stop stop)
{
    switch (stop) {
    case STOP_LIMIT:
        return true;
    case STOP_SENSITIVE:
        return interpret(run);
    case STOP_EXCEPTION:
        deliver_fault(run, &engine->exception);
        return false;
    case STOP_INVALID:
        deliver_fault(run, &(struct exception){.vector = VECTOR_UD});
        return false;
    case STOP_BREAKPOINT:
        finish(run, RUN_BREAKPOINT);
        return false;
    case STOP_NONE:
    case STOP_AGAIN:
    case STOP_FAILED:
        break;
    }
    give_up(run, "Unicorn does not execute this");
    return false;
}

// Blocking by STI or MOV SS and RFLAGS.RF are for one instruction: they end as it begins, so that
// it can begin them anew.
static void execute(struct run *run)
{
    struct cpu *cpu = run->cpu;
    uint64_t blocking = cpu_guest(cpu, INTERRUPTIBILITY) & BLOCKING;
    uint64_t resume = cpu_guest(cpu, RFLAGS) & RFLAGS_RF;
    bool single_step = (cpu_guest(cpu, RFLAGS) & RFLAGS_TF) != 0;
    struct engine *engine = engine_for(run->machine, cpu);
    if (!engine) {
        give_up(run, "out of memory");
        return;
    }
    engine->left = run->left;
    engine->floor = run->left - limit_of(run);
    engine->resume = resume != 0;
    cpu_guest(cpu, INTERRUPTIBILITY) &= ~BLOCKING;
    cpu_guest(cpu, RFLAGS) &= ~RFLAGS_RF;
    enum engine_stop stop = engine_execute(engine);
    if (stop == STOP_BREAKPOINT && engine->left == run->left) { // it has not begun
        cpu_guest(cpu, INTERRUPTIBILITY) |= blocking;
        cpu_guest(cpu, RFLAGS) |= resume;
    }
    run->result.executed += run->left - engine->left;
    pass_time(run, run->left - engine->left);
    bool done = act_on(run, engine, stop);
    bool shadow = (cpu_guest(cpu, INTERRUPTIBILITY) & BLOCKING_MOV_SS) != 0;
    if (done && single_step && !shadow && !run->over) {
        deliver_single_step(run);
    }
}

static void advance(struct run *run)
{
    const char *why_not = unsupported_state(run->cpu);
    bool halted = cpu_guest(run->cpu, ACTIVITY) == ACTIVITY_HALTED;
    if (run->left == 0) {
        finish(run, halted ? RUN_WAITING : RUN_BUDGET);
    } else if (why_not) {
        give_up(run, why_not);
    } else if (take_interrupt(run)) {
        return;
    } else if (halted) {
        wait_for_timer(run);
    } else {
        execute(run);
    }
}

static void forget_all(struct runner *runner)
{
    for (size_t i = 0; i < 2; i++) {
        if (runner->engines[i]) {
            windows_drop_all(runner->engines[i]);
        }
    }
}

static struct runner *runner_of(struct cpu *cpu)
{
    if (!cpu->runner) {
        cpu->runner = calloc(1, sizeof(*cpu->runner));
    }
    return cpu->runner;
}

static void enter(struct run *run)
{
    struct runner *runner = run->runner;
    run->machine->cpu_writes++;
    bool repeats = runner->is_repeating && runner->skip_rip == cpu_guest(run->cpu, RIP);
    if (runner->stale || runner->generation != run->machine->memory.generation) {
        forget_all(runner);
        runner->stale = false;
        runner->generation = run->machine->memory.generation;
    }
    runner->skip_rip = cpu_guest(run->cpu, RIP);
    runner->skip_left = run->request->skip_breakpoint || repeats ? run->left : UINT64_MAX;
}

static void leave(struct run *run)
{
    struct runner *runner = run->runner;
    state_save_fpu(runner, run->cpu);
    vmx_controls_follow_efer(&run->cpu->vmx.vmcs);
    runner->is_repeating = run->result.executed != 0 && runner->skip_left == run->left &&
                           runner->skip_rip == cpu_guest(run->cpu, RIP);
}

struct run_result runner_run(struct machine *machine, struct cpu *cpu,
                             const struct run_request *request)
{
    struct run run = {
        .machine = machine,
        .cpu = cpu,
        .runner = runner_of(cpu),
        .request = request,
        .left = request->budget,
    };
    if (cpu->shut_down) {
        return (struct run_result){.stop = RUN_SHUT_DOWN};
    }
    if (!run.runner) {
        give_up(&run, "out of memory");
        return run.result;
    }
    enter(&run);
    while (!run.over) {
        advance(&run);
    }
    leave(&run);
    return run.result;
}

void runner_invalidate(struct cpu *cpu)
{
    if (cpu->runner) {
        cpu->runner->stale = true;
        cpu->runner->is_repeating = false;
    }
}

void runner_code_changed(struct machine *machine, uint64_t guest_phys, size_t len)
{
    for (unsigned i = 0; i < 2 * machine->num_cpus; i++) {
        struct runner *runner = machine->cpus[i / 2].runner;
        struct engine *engine = runner ? runner->engines[i % 2] : NULL;
        if (engine) {
            windows_code_changed(engine, guest_phys, len);
        }
    }
}

void runner_code_written(struct machine *machine, uint64_t guest_phys)
{
    uint64_t page = guest_phys & ~((uint64_t)MEMORY_PAGE_SIZE - 1);
    runner_code_changed(machine, page, MEMORY_PAGE_SIZE);
}

void runner_free(struct cpu *cpu)
{
    if (!cpu->runner) {
        return;
    }
    engine_free(cpu->runner->engines[0]);
    engine_free(cpu->runner->engines[1]);
    free(cpu->runner);
    cpu->runner = NULL;
}
