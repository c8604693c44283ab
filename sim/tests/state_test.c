// Running, stopping, stepping, breakpoints and CPUs, through the protocol (clauses D-RUN, D-BP).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "long64.h"
#include "rig.h"

#define NOT_STOPPED UINT64_C(0xC0000045)

enum {
    EVENT_INITIAL = 0,
    EVENT_NONE = 1,
    EVENT_BREAK_IN = 2,
    EVENT_STEP = 3,
    EVENT_BREAKPOINT = 4,
    EVENT_CPU_SWITCH = 5,
    EVENT_RUNNING = 6,
};

static int setup(void **state)
{
    static struct rig rig;
    rig_open(&rig, PROTOCOL_V2, false);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    return 0;
}

static void expect_state(struct rig *rig, bool running, unsigned event)
{
    struct packet request = rig_plain(PACKET_GET_STATE);
    rig_ask(rig, &request);
    assert_int_equal(rig->reply.kind, PACKET_STATE);
    assert_int_equal(rig->reply.state.running, running);
    assert_int_equal(rig->reply.state.event, event);
}

static void control(struct rig *rig, enum packet_kind kind, uint64_t event)
{
    struct packet request = rig_plain(kind);
    rig_expect_value(rig, &request, event);
}

static uint64_t reg(struct rig *rig, unsigned cpu, const char *name)
{
    uint64_t value = 0;
    assert_true(pulsim_register_read(rig->pulsim, cpu, name, &value));
    return value;
}

static uint16_t set_breakpoint(struct rig *rig, uint64_t guest_phys)
{
    struct packet request = {.kind = PACKET_SET_BREAKPOINT,
                             .set_breakpoint = {.address = guest_phys}};
    rig_ask(rig, &request);
    assert_int_equal(rig->reply.kind, PACKET_SUCCESS);
    return (uint16_t)rig->reply.success.value;
}

// Lets a lockstep machine run until it stops by itself.
static void run_until_stop(struct rig *rig)
{
    control(rig, PACKET_GO, EVENT_RUNNING);
    struct packet request = rig_plain(PACKET_GET_STATE);
    for (unsigned i = 0; i < 500; i++) {
        rig_ask(rig, &request);
        if (!rig->reply.state.running) {
            return;
        }
    }
    fail_msg("the target did not stop");
}

static void a_target_starts_stopped_on_cpu_0(void **state)
{
    struct rig *rig = *state;
    expect_state(rig, false, EVENT_INITIAL);
    struct packet request = rig_plain(PACKET_GET_CPU_INFO);
    rig_ask(rig, &request);
    assert_int_equal(rig->reply.cpu_info.current, 0);
    assert_int_equal(rig->reply.cpu_info.count, LONG64_NUM_CPUS);
    assert_int_equal(reg(rig, 0, "rip"), LONG64_ENTRY);
}

static void go_runs_and_break_in_stops(void **state)
{
    struct rig *rig = *state;
    control(rig, PACKET_BREAK_IN, EVENT_INITIAL); // stopped already: the event stays
    control(rig, PACKET_GO, EVENT_RUNNING);
    expect_state(rig, true, EVENT_NONE);
    control(rig, PACKET_GO, EVENT_RUNNING);
    control(rig, PACKET_BREAK_IN, EVENT_BREAK_IN);
    expect_state(rig, false, EVENT_BREAK_IN);
    control(rig, PACKET_BREAK_IN, EVENT_BREAK_IN);
    assert_int_not_equal(reg(rig, 0, "rip"), LONG64_ENTRY);
}

static void a_running_target_refuses_what_needs_a_stop(void **state)
{
    static const enum packet_kind refused[] = {
        PACKET_SET_CONTEXT,     PACKET_SET_BREAKPOINT,    PACKET_REMOVE_BREAKPOINT,
        PACKET_ADD_FILTER,      PACKET_REMOVE_FILTER,     PACKET_LIST_BREAKPOINTS,
        PACKET_LIST_FILTERS,    PACKET_CLEAR_BREAKPOINTS, PACKET_STEP,
        PACKET_STEP_SUPPRESSED, PACKET_SWITCH_CPU,
    };
    struct rig *rig = *state;
    control(rig, PACKET_GO, EVENT_RUNNING);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct packet request = rig_plain(refused[i]);
        rig_expect_status(rig, &request, NOT_STOPPED);
    }
    expect_state(rig, true, EVENT_NONE);
    struct packet request = {.kind = PACKET_READ_MSR, .read_msr = {.index = 0xC0000080}};
    rig_ask(rig, &request);
    assert_int_equal(rig->reply.msr_data.value, 0xD01);
}

static void a_step_is_one_instruction(void **state)
{
    struct rig *rig = *state;
    uint64_t before = reg(rig, 0, "rip");
    control(rig, PACKET_STEP, EVENT_STEP);
    expect_state(rig, false, EVENT_STEP);
    uint64_t after = reg(rig, 0, "rip");
    assert_true(after > before && after - before <= 15);
    assert_int_equal(reg(rig, 1, "rip"), LONG64_ENTRY);
}

static void a_breakpoint_stops_before_its_instruction(void **state)
{
    struct rig *rig = *state;
    uint16_t id = set_breakpoint(rig, LONG64_BREAK_ME_PHYS);
    run_until_stop(rig);
    expect_state(rig, false, EVENT_BREAKPOINT);
    assert_int_equal(reg(rig, 0, "rip"), LONG64_BREAK_ME);
    uint64_t turn = reg(rig, 0, "rdi");
    run_until_stop(rig); // past it, and around the loop once more
    assert_int_equal(reg(rig, 0, "rip"), LONG64_BREAK_ME);
    assert_true(reg(rig, 0, "rdi") > turn);
    struct packet list = {.kind = PACKET_LIST_BREAKPOINTS, .list_breakpoints = {.most = 8}};
    rig_ask(rig, &list);
    assert_int_equal(rig->reply.breakpoints.count, 1);
    assert_int_equal(rig->reply.breakpoints.entries[0], id);
    assert_int_equal(rig->reply.breakpoints.entries[4], 2); // hits
}

static void a_filter_that_does_not_match_lets_the_target_run(void **state)
{
    struct rig *rig = *state;
    uint16_t id = set_breakpoint(rig, LONG64_BREAK_ME_PHYS);
    struct packet filter = {
        .kind = PACKET_ADD_FILTER,
        .add_filter = {.breakpoint = id, .match_flags = 1, .page_table = 0x123000}};
    rig_expect_value(rig, &filter, 1);
    control(rig, PACKET_GO, EVENT_RUNNING);
    for (unsigned i = 0; i < 20; i++) {
        expect_state(rig, true, EVENT_NONE);
    }
    control(rig, PACKET_BREAK_IN, EVENT_BREAK_IN);
    filter.add_filter.page_table = reg(rig, 0, "cr3");
    rig_expect_value(rig, &filter, 2);
    run_until_stop(rig);
    assert_int_equal(reg(rig, 0, "rip"), LONG64_BREAK_ME);
}

static void the_current_cpu_is_what_requests_are_about(void **state)
{
    struct rig *rig = *state;
    struct packet request = {.kind = PACKET_SWITCH_CPU, .switch_cpu = {.cpu = 2}};
    rig_expect_value(rig, &request, EVENT_CPU_SWITCH);
    expect_state(rig, false, EVENT_CPU_SWITCH);
    rig_expect_status(rig, &request, 0x21);
    request.switch_cpu.cpu = 4;
    rig_expect_status(rig, &request, 0xC0000044);
    struct packet write = {.kind = PACKET_WRITE_MSR, .write_msr = {.index = 0x174, .value = 8}};
    rig_expect_value(rig, &write, 0);
    uint64_t value = 0;
    pulsim_vmcs_read(rig->pulsim, 2, 0x482A, &value);
    assert_int_equal(value, 8);
    pulsim_vmcs_read(rig->pulsim, 0, 0x482A, &value);
    assert_int_not_equal(value, 8);
    control(rig, PACKET_STEP, EVENT_STEP);
    assert_int_equal(reg(rig, 0, "rip"), LONG64_ENTRY);
    assert_int_not_equal(reg(rig, 2, "rip"), LONG64_ENTRY);
}

static void reboot_brings_the_start_back(void **state)
{
    struct rig *rig = *state;
    struct rig fresh;
    rig_open(&fresh, PROTOCOL_V2, false);
    struct packet info = rig_plain(PACKET_GET_TARGET_INFO);
    rig_ask(rig, &info);
    uint64_t instance = rig->reply.target_info.instance;
    set_breakpoint(rig, LONG64_BREAK_ME_PHYS);
    run_until_stop(rig);
    control(rig, PACKET_REBOOT, EVENT_INITIAL);
    expect_state(rig, false, EVENT_INITIAL);
    assert_true(pulsim_equal(rig->pulsim, fresh.pulsim));
    rig_ask(rig, &info);
    assert_int_not_equal(rig->reply.target_info.instance, instance);
    struct packet list = {.kind = PACKET_LIST_BREAKPOINTS, .list_breakpoints = {.most = 8}};
    rig_ask(rig, &list);
    assert_int_equal(rig->reply.breakpoints.total, 0);
    rig_close(&fresh);
}

// CPU 3 of long64 waits for messages in a HLT loop.
static void a_step_that_waits_ends_with_a_break_in(void **state)
{
    struct rig *rig = *state;
    static const uint8_t hlt[] = {0xF4, 0x90};
    pulsim_poke(rig->pulsim, LONG64_IMAGE + (LONG64_ENTRY - LONG64_VECTORS), hlt, sizeof(hlt));
    struct packet step = rig_plain(PACKET_STEP_SUPPRESSED);
    rig_ask(rig, &step);
    assert_false(rig->has_reply);
    uint32_t step_id = rig->last_id;
    expect_state(rig, true, EVENT_NONE);
    struct packet request = {.kind = PACKET_READ_MSR, .read_msr = {.index = 0x10}};
    rig_expect_status(rig, &request, NOT_STOPPED);
    request = rig_plain(PACKET_PING);
    rig_expect_value(rig, &request, 0);
    const void *reply = NULL;
    size_t len = 0;
    request = rig_plain(PACKET_BREAK_IN);
    request.header.version = PROTOCOL_V2;
    request.header.id = ++rig->last_id;
    len = packet_write(&request, rig->bytes, sizeof(rig->bytes));
    pulsim_request(rig->peer, rig->bytes, len, &reply, &len);
    assert_int_equal(packet_read(PROTOCOL_V2, reply, len, &rig->reply), PACKET_OK);
    assert_int_equal(rig->reply.header.id, step_id);
    assert_int_equal(rig->reply.success.value, EVENT_BREAK_IN);
    rig_continue(rig);
    assert_int_equal(rig->reply.header.id, rig->last_id);
    expect_state(rig, false, EVENT_BREAK_IN);
}

static void a_cpu_that_cannot_run_is_reported_when_it_is_asked_to(void **state)
{
    struct rig *rig = *state;
    assert_true(pulsim_register_write(rig->pulsim, 0, "cs_access", 0xC09B)); // compatibility mode
    assert_true(pulsim_register_write(rig->pulsim, 0, "rip", 0x1000));
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_status(rig, &request, 0xC0000031);
    request = rig_plain(PACKET_STEP);
    rig_expect_status(rig, &request, 0xC0000031);
    expect_state(rig, false, EVENT_INITIAL);
}

static void the_same_requests_give_the_same_machine(void **state)
{
    struct rig *rig = *state;
    struct rig other;
    rig_open(&other, PROTOCOL_V2, false);
    struct rig *both[] = {rig, &other};
    for (size_t i = 0; i < 2; i++) {
        control(both[i], PACKET_GO, EVENT_RUNNING);
        for (unsigned k = 0; k < 50; k++) {
            expect_state(both[i], true, EVENT_NONE);
        }
        control(both[i], PACKET_BREAK_IN, EVENT_BREAK_IN);
    }
    assert_true(pulsim_equal(rig->pulsim, other.pulsim));
    control(rig, PACKET_STEP, EVENT_STEP);
    assert_false(pulsim_equal(rig->pulsim, other.pulsim));
    rig_close(&other);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_target_starts_stopped_on_cpu_0),
        CASE(go_runs_and_break_in_stops),
        CASE(a_running_target_refuses_what_needs_a_stop),
        CASE(a_step_is_one_instruction),
        CASE(a_breakpoint_stops_before_its_instruction),
        CASE(a_filter_that_does_not_match_lets_the_target_run),
        CASE(the_current_cpu_is_what_requests_are_about),
        CASE(reboot_brings_the_start_back),
        CASE(a_step_that_waits_ends_with_a_break_in),
        CASE(a_cpu_that_cannot_run_is_reported_when_it_is_asked_to),
        CASE(the_same_requests_give_the_same_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
