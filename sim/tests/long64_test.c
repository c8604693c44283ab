// long64 at work: what its kernel and its user process do, on a machine that only this test
// touches.

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "long64.h"
#include "machine.h"

enum {
    WHILE = 400000, // long enough for everything to happen several times
    MILLION = 1000000,
};

struct fixture {
    struct machine *machine;
    char log[512];
};

static void keep_log(void *user, const char *line)
{
    struct fixture *fixture = user;
    size_t len = strlen(fixture->log);
    (void)snprintf(fixture->log + len, sizeof(fixture->log) - len, "%s\n", line);
}

static struct fixture fixture;

static struct machine *new_machine(void)
{
    const char *error = "";
    struct machine *machine = machine_new(target_find("long64"), &error);
    assert_string_equal("", error);
    assert_non_null(machine);
    machine->log = keep_log;
    machine->log_user = &fixture;
    return machine;
}

static int set_up(void **state)
{
    fixture.log[0] = '\0';
    fixture.machine = new_machine();
    *state = fixture.machine;
    return 0;
}

static int tear_down(void **state)
{
    machine_free(*state);
    return 0;
}

// Lets the machine run for so many nanoseconds of each CPU's time.
static void run(struct machine *machine, uint64_t time)
{
    assert_int_equal(STATUS_SUCCESS, machine_go(machine));
    machine_run(machine, time * machine->num_cpus);
    assert_true(machine->running);
}

static uint64_t quad(struct machine *machine, uint64_t guest_phys)
{
    uint64_t value = 0;
    assert_true(memory_peek(&machine->memory, guest_phys, &value, sizeof(value)));
    return value;
}

static uint64_t percpu(struct machine *machine, unsigned cpu, unsigned member)
{
    return quad(machine, LONG64_PERCPU_PAGE(cpu) - LONG64_KERNEL + member);
}

static uint64_t user(struct machine *machine, uint64_t linear)
{
    return quad(machine, linear - LONG64_USER_DATA + LONG64_USER_DATA_PHYS);
}

static void expect_no_fault(struct machine *machine, unsigned cpu)
{
    if (percpu(machine, cpu, LONG64_PERCPU_FAULTS) != 0) {
        print_error("CPU %u: vector %d, error code 0x%x, RIP 0x%lx, CR2 0x%lx\n", cpu,
                    (int)percpu(machine, cpu, LONG64_PERCPU_FAULT_VECTOR),
                    (unsigned)percpu(machine, cpu, LONG64_PERCPU_FAULT_ERROR),
                    (unsigned long)percpu(machine, cpu, LONG64_PERCPU_FAULT_RIP),
                    (unsigned long)percpu(machine, cpu, LONG64_PERCPU_FAULT_CR2));
        fail();
    }
    assert_false(machine->cpus[cpu].shut_down);
}

static void no_cpu_faults(void **state)
{
    struct machine *machine = *state;
    run(machine, WHILE);
    for (unsigned cpu = 0; cpu < LONG64_NUM_CPUS; cpu++) {
        expect_no_fault(machine, cpu);
    }
}

static void it_says_once_that_it_is_up(void **state)
{
    run(*state, WHILE);
    assert_string_equal("COM1: long64 is up\n", fixture.log);
}

// A periodic timer neither gains nor loses: so many interrupts, one more or less for its start.
static void expect_ticks(struct machine *machine, unsigned cpu, uint64_t time, uint64_t period)
{
    uint64_t ticks = percpu(machine, cpu, LONG64_PERCPU_TICKS);
    assert_in_range(ticks, time / period - 1, time / period);
}

static void every_timer_ticks_at_its_pace(void **state)
{
    struct machine *machine = *state;
    run(machine, WHILE);
    expect_ticks(machine, 0, WHILE, LONG64_TIMER_0);
    expect_ticks(machine, 1, WHILE, LONG64_TIMER_1);
    expect_ticks(machine, 2, WHILE, LONG64_TIMER_2);
    assert_int_equal(0, percpu(machine, 3, LONG64_PERCPU_TICKS));

    uint64_t sum = 0;
    for (unsigned cpu = 0; cpu < LONG64_NUM_CPUS; cpu++) {
        sum += percpu(machine, cpu, LONG64_PERCPU_TICKS);
    }
    assert_int_equal(sum, quad(machine, LONG64_SHARED_TICKS - LONG64_KERNEL));
}

static void every_cpu_turns(void **state)
{
    struct machine *machine = *state;
    run(machine, WHILE);
    uint64_t turns = percpu(machine, 0, LONG64_PERCPU_TURNS);
    assert_true(turns > 1000);
    assert_in_range(turns - quad(machine, LONG64_LAST_TURN - LONG64_KERNEL), 0, 1);
    for (unsigned cpu = 1; cpu <= 2; cpu++) {
        uint64_t ticks = percpu(machine, cpu, LONG64_PERCPU_TICKS);
        assert_in_range(percpu(machine, cpu, LONG64_PERCPU_TURNS), ticks - 1, ticks);
    }
    // CPU 3 needs two instructions for a turn.
    assert_in_range(percpu(machine, 3, LONG64_PERCPU_TURNS), WHILE / 2 - 2000, WHILE / 2);
}

static void cpu_0_sends_messages_to_cpu_3(void **state)
{
    struct machine *machine = *state;
    run(machine, WHILE);
    uint64_t sent = percpu(machine, 0, LONG64_PERCPU_TICKS) / LONG64_TICKS_PER_MESSAGE;
    assert_true(sent >= 4);
    assert_in_range(percpu(machine, 3, LONG64_PERCPU_MESSAGES), sent - 1, sent);
    assert_int_equal(percpu(machine, 3, LONG64_PERCPU_MESSAGES),
                     percpu(machine, 3, LONG64_PERCPU_INTERRUPTS));
    assert_int_equal(0, percpu(machine, 0, LONG64_PERCPU_MESSAGES));
}

static void the_user_process_does_its_work(void **state)
{
    struct machine *machine = *state;
    run(machine, WHILE);
    uint64_t started = percpu(machine, 0, LONG64_PERCPU_USER_RUNS);
    uint64_t runs = user(machine, LONG64_USER_RUNS);
    assert_true(runs > 100);
    assert_in_range(started - runs, 0, 1);
    assert_in_range(runs - user(machine, LONG64_USER_GS), 0, 1);
    assert_in_range(runs + 1 - user(machine, LONG64_USER_SUCCESSOR), 0, 1);
    assert_in_range(percpu(machine, 0, LONG64_PERCPU_TICKS) - user(machine, LONG64_USER_TICKS), 0,
                    1);
    assert_in_range(user(machine, LONG64_USER_ROUNDS), (runs - 1) * LONG64_USER_ROUNDS_RUN,
                    runs * LONG64_USER_ROUNDS_RUN);
    // One SYSCALL asks, another exits; one INT 0x80.
    assert_in_range(percpu(machine, 0, LONG64_PERCPU_SYSCALLS), 2 * runs - 2, 2 * runs);
    assert_in_range(percpu(machine, 0, LONG64_PERCPU_INT80), runs - 1, runs);
}

// Steps CPU 0 until it is at linear; fails when it does not come there.
static void step_to(struct machine *machine, uint64_t linear)
{
    for (unsigned i = 0; i < 20000; i++) {
        if (cpu_guest(&machine->cpus[0], RIP) == linear) {
            return;
        }
        assert_int_equal(STATUS_SUCCESS, machine_step(machine, true));
    }
    fail_msg("CPU 0 never came to 0x%lx", (unsigned long)linear);
}

static void it_calls_break_me_in_every_turn(void **state)
{
    struct machine *machine = *state;
    for (uint64_t turn = 1; turn <= 3; turn++) {
        step_to(machine, LONG64_BREAK_ME);
        assert_int_equal(turn, machine->cpus[0].vmx.gpr[VMX_RDI]);
        assert_int_equal(STATUS_SUCCESS, machine_step(machine, true));
    }
}

static void a_breakpoint_on_break_me_stops_cpu_0(void **state)
{
    struct machine *machine = *state;
    uint16_t id = 0;
    assert_int_equal(STATUS_SUCCESS,
                     machine_ops.set_breakpoint(machine, LONG64_BREAK_ME_PHYS, &id));
    for (uint64_t turn = 1; turn <= 3; turn++) {
        assert_int_equal(STATUS_SUCCESS, machine_go(machine));
        machine_run(machine, WHILE);
        assert_false(machine->running);
        assert_int_equal(EVENT_BREAKPOINT, machine->event);
        assert_int_equal(0, machine->current);
        assert_int_equal(LONG64_BREAK_ME, cpu_guest(&machine->cpus[0], RIP));
        assert_int_equal(turn, machine->cpus[0].vmx.gpr[VMX_RDI]);
    }
}

static void the_user_process_runs_in_ring_3(void **state)
{
    struct machine *machine = *state;
    const struct cpu *cpu = &machine->cpus[0];
    step_to(machine, LONG64_USER_CODE);
    assert_int_equal(LONG64_USER_CS, cpu_guest(cpu, CS_SELECTOR));
    assert_int_equal(LONG64_USER_SS, cpu_guest(cpu, SS_SELECTOR));
    assert_int_equal(0xA0FB, cpu_guest(cpu, CS_ACCESS));
    assert_int_equal(LONG64_USER_STACK_TOP, cpu_guest(cpu, RSP));
    assert_int_equal(LONG64_USER_GS, cpu_guest(cpu, GS_BASE));
    assert_int_equal(LONG64_USER_FS(0), cpu_guest(cpu, FS_BASE));
    assert_int_equal(0x202, cpu_guest(cpu, RFLAGS));

    step_to(machine, LONG64_SYSCALL);
    assert_int_equal(LONG64_KERNEL_CS, cpu_guest(cpu, CS_SELECTOR));
    assert_int_equal(LONG64_KERNEL_SS, cpu_guest(cpu, SS_SELECTOR));
    assert_int_equal(0, cpu_guest(cpu, RFLAGS) & 0x200);
}

static void the_free_memory_stays_as_it_is(void **state)
{
    struct machine *machine = *state;
    run(machine, WHILE);
    for (uint64_t at = LONG64_FREE; at < LONG64_FREE + LONG64_FREE_SIZE; at += 8) {
        assert_int_equal(0, quad(machine, at));
    }
    assert_int_equal(0, quad(machine, 0));
}

// FNV-1a over everything that a debugger can see.
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001B3);
    }
    return hash;
}

static uint64_t hash_of(struct machine *machine)
{
    static uint8_t page[MEMORY_PAGE_SIZE];
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (uint64_t at = 0; at < LONG64_RAM_SIZE; at += sizeof(page)) {
        assert_true(memory_peek(&machine->memory, at, page, sizeof(page)));
        hash = hash_bytes(hash, page, sizeof(page));
    }
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        const struct cpu *cpu = &machine->cpus[i];
        const struct vmx_cpu *vmx = &cpu->vmx;
        hash = hash_bytes(hash, vmx->vmcs.field, sizeof(vmx->vmcs.field));
        hash = hash_bytes(hash, vmx->gpr, sizeof(vmx->gpr));
        hash = hash_bytes(hash, vmx->msr, sizeof(vmx->msr));
        hash = hash_bytes(hash, vmx->dr, sizeof(vmx->dr));
        hash = hash_bytes(hash, &vmx->cr2, sizeof(vmx->cr2));
        hash = hash_bytes(hash, &vmx->cr8, sizeof(vmx->cr8));
        hash = hash_bytes(hash, &vmx->dr6, sizeof(vmx->dr6));
        hash = hash_bytes(hash, &vmx->tsc, sizeof(vmx->tsc));
        hash = hash_bytes(hash, cpu->fpu.ymm, sizeof(cpu->fpu.ymm));
        hash = hash_bytes(hash, cpu->fpu.st, sizeof(cpu->fpu.st));
        hash = hash_bytes(hash, cpu->apic.irr, sizeof(cpu->apic.irr));
        hash = hash_bytes(hash, cpu->apic.isr, sizeof(cpu->apic.isr));
        hash = hash_bytes(hash, &cpu->apic.deadline, sizeof(cpu->apic.deadline));
    }
    return hash;
}

static void two_runs_are_equal_to_the_last_bit(void **state)
{
    struct machine *machine = *state;
    struct machine *other = new_machine();
    assert_true(hash_of(machine) == hash_of(other));
    run(machine, MILLION);
    run(other, MILLION);
    assert_true(hash_of(machine) == hash_of(other));
    machine_free(other);
}

// However the time is cut into pieces of whole slices.
static void it_does_not_matter_how_often_one_looks(void **state)
{
    struct machine *machine = *state;
    struct machine *other = new_machine();
    run(machine, 100000);
    assert_int_equal(STATUS_SUCCESS, machine_go(other));
    for (unsigned i = 0; i < 100 * LONG64_NUM_CPUS; i++) {
        machine_run(other, MACHINE_SLICE);
    }
    assert_true(hash_of(machine) == hash_of(other));
    machine_free(other);
}

static void reset_brings_back_the_start(void **state)
{
    struct machine *machine = *state;
    uint64_t start = hash_of(machine);
    run(machine, MILLION);
    uint64_t end = hash_of(machine);
    assert_true(start != end);

    machine_reset(machine);
    assert_true(start == hash_of(machine));
    assert_false(machine->running);
    assert_int_equal(EVENT_INITIAL, machine->event);

    run(machine, MILLION);
    assert_true(end == hash_of(machine));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_cpu_faults),
        TEST(it_says_once_that_it_is_up),
        TEST(every_timer_ticks_at_its_pace),
        TEST(every_cpu_turns),
        TEST(cpu_0_sends_messages_to_cpu_3),
        TEST(the_user_process_does_its_work),
        TEST(it_calls_break_me_in_every_turn),
        TEST(a_breakpoint_on_break_me_stops_cpu_0),
        TEST(the_user_process_runs_in_ring_3),
        TEST(the_free_memory_stays_as_it_is),
        TEST(two_runs_are_equal_to_the_last_bit),
        TEST(it_does_not_matter_how_often_one_looks),
        TEST(reset_brings_back_the_start),
    };
    return cmocka_run_group_tests_name("long64", tests, NULL, NULL);
}
