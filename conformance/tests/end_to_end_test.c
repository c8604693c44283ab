// Every call against the simulator, over every transport, in both versions. Paths and addresses are
// those of the target long64. The simulator's path is in PULSIM.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "end_to_end.h"

enum { TIMEOUT_MS = 20000, POLLS_MAX = 10000 };

PULSE_STATUS session_status(const struct session *session, enum pulse_status status)
{
    return status_number(status, session->version == 1 ? PROTOCOL_V1 : PROTOCOL_V2);
}

static int open_session(void **state)
{
    struct session *session = *state;
    char where[96];
    char option[16];
    (void)snprintf(session->directory, sizeof(session->directory), "/tmp/pulsim-end-XXXXXX");
    assert_non_null(mkdtemp(session->directory));
    (void)snprintf(option, sizeof(option), "--%s", session->scheme);
    bool is_inet = strcmp(session->scheme, "udp") == 0 || strcmp(session->scheme, "tcp") == 0;
    (void)snprintf(where, sizeof(where), "%s%s", is_inet ? "127.0.0.1:0" : session->directory,
                   is_inet ? "" : "/endpoint");
    const char *arguments[] = {option, where, "--run", "lockstep", NULL};
    assert_true(simulator_start(&session->simulator, PULSIM, arguments, true));
    struct connection_options options = {.endpoint = session->simulator.endpoints[0],
                                         .protocol = session->version,
                                         .timeout_ms = TIMEOUT_MS};
    ASSERT_SUCCESS(connection_open(&options, &session->connection));
    session->engine = session->connection.engine;
    return 0;
}

static int close_session(void **state)
{
    struct session *session = *state;
    connection_close(&session->connection);
    int code = simulator_stop(&session->simulator);
    rmdir(session->directory);
    return code;
}

// --- groups of calls ------------------------------------------------------------------------

static void check_target(const struct session *session)
{
    PS_STATE_INFO info = {9, 9};
    uint8_t current = 9;
    uint8_t count = 0;
    uint32_t registers[4] = {0};
    PS_TARGET_INFO target;
    ASSERT_SUCCESS(PsPing(session->engine));
    ASSERT_SUCCESS(PsGetStateInfo(session->engine, &info));
    assert_int_equal(info.Running, 0);
    assert_int_equal(info.EventCode, psevInitial);
    ASSERT_SUCCESS(PsGetCpuInfo(session->engine, &current, &count));
    assert_int_equal(current, 0);
    assert_int_equal(count, LONG64_NUM_CPUS);
    ASSERT_SUCCESS(PsCpuId(session->engine, 0, 0, registers));
    assert_int_not_equal(registers[0], 0);
    PULSE_STATUS status = PsGetTargetInfo(session->engine, &target);
    assert_int_equal(status,
                     session->version == 1 ? session_status(session, STATUS_NOT_SUPPORTED) : 0);
    if (session->version == 2) {
        assert_int_equal(target.CpuCount, LONG64_NUM_CPUS);
    }
}

static void check_msrs(const struct session *session)
{
    uint64_t value = 0;
    ASSERT_SUCCESS(PsWriteMsr(session->engine, 0x174, 8));
    ASSERT_SUCCESS(PsReadMsr(session->engine, 0x174, &value));
    assert_int_equal(value, 8);
    ASSERT_STATUS(PsWriteMsr(session->engine, 0x999, 1), GENERAL_PROTECTION);
    ASSERT_STATUS(PsReadMsr(session->engine, 0x999, &value), GENERAL_PROTECTION);
}

static void check_contexts(const struct session *session)
{
    PS_CTX context;
    PS_CPU_MODE mode = cmReal;
    ASSERT_SUCCESS(PsGetContext(session->engine, &context, DBG_CTX_PART_FLAG_FULL, &mode));
    assert_int_equal(mode, cmLong64);
    assert_int_equal(context.rip, LONG64_ENTRY);
    assert_int_equal(context.cr3, LONG64_CR3);
    assert_int_equal(context.cs, LONG64_KERNEL_CS);
    context.rax = UINT64_C(0x1122334455667788);
    context.dr7 = 0x400;
    uint64_t mask = DBG_CTX_PART_FLAG(rax) | DBG_CTX_PART_FLAG(dr7);
    ASSERT_SUCCESS(PsSetContext(session->engine, &context, mask));
    PS_CTX back = {0};
    ASSERT_SUCCESS(PsGetContext(session->engine, &back, mask, NULL));
    assert_int_equal(back.rax, context.rax);
    assert_int_equal(back.rip, 0);
}

static void check_extended_contexts(const struct session *session)
{
    PS_CTX_EXT context;
    uint64_t mask = DBG_CTX_EX_PART_FLAG(xmm3);
    memset(context.xmm3, 0x5A, sizeof(context.xmm3));
    ASSERT_SUCCESS(PsSetExtendedContext(session->engine, &context, mask));
    PS_CTX_EXT back = {0};
    mask = UINT64_MAX >> 7;
    ASSERT_SUCCESS(PsGetExtendedContext(session->engine, &back, 0, &mask));
    assert_int_equal(mask & 1, 1);
    assert_memory_equal(back.xmm3, context.xmm3, sizeof(back.xmm3));
    ASSERT_STATUS(PsGetExtendedContext(session->engine, &back, 1, &mask), INVALID_PARAMETER);
}

// Filters that hold for CPU 0 at break_me, and their removal, in each version's form.
static void check_filters_v2(const struct session *session, uint16_t breakpoint)
{
    static PS_BREAK_POINT_FILTER_INFO filters[PS_MAX_BREAK_POINT_FILTERS];
    PS_BREAK_POINT_FILTER_PARAMS params = {.MatchFlags = PS_FILTER_FLAG_MATCH_PAGE_TABLE,
                                           .PageTableAddress = LONG64_CR3};
    uint16_t id = 0;
    uint16_t count = 0;
    ASSERT_SUCCESS(PsAddBreakPointFilter(session->engine, breakpoint, &params, &id));
    ASSERT_SUCCESS(PsGetBreakPointFilterInfo(session->engine, filters, breakpoint, 0, &count));
    assert_int_equal(count, 1);
    assert_int_equal(filters[0].Id, id);
    assert_int_equal(filters[0].PageTableAddress, LONG64_CR3);
    ASSERT_SUCCESS(PsRemoveBreakPointFilter(session->engine, breakpoint, id));
    ASSERT_STATUS(PsRemoveBreakPointFilter(session->engine, breakpoint, id), FILTER_TABLE_EMPTY);
    ASSERT_STATUS(PsAddBreakPointFilter(session->engine, 77, &params, &id), BREAKPOINT_NOT_FOUND);
}

static void check_filters_v1(const struct session *session, uint16_t breakpoint)
{
    static PS_BREAK_POINT_FILTER_INFO filters[PS_MAX_BREAK_POINT_FILTERS];
    uint16_t count = 0;
    ASSERT_SUCCESS(PsAddBreakPointFilter2018(session->engine, breakpoint, LONG64_CR3, 1, 2, 3));
    ASSERT_SUCCESS(PsGetBreakPointFilterInfo(session->engine, filters, breakpoint, 0, &count));
    assert_int_equal(count, 1);
    assert_int_equal(filters[0].PageTableAddress, LONG64_CR3);
    ASSERT_SUCCESS(PsRemoveBreakPointFilter2018(session->engine, breakpoint, LONG64_CR3, 1, 2, 3));
}

static void check_breakpoints(const struct session *session)
{
    static PS_BREAK_POINT_INFO breakpoints[PS_MAX_BREAK_POINTS];
    uint16_t id = 0;
    uint16_t again = 0;
    uint16_t count = 0;
    uint16_t total = 0;
    ASSERT_STATUS(PsRemoveBreakPoint(session->engine, 1), BREAKPOINT_TABLE_EMPTY);
    ASSERT_SUCCESS(PsSetBreakPoint(session->engine, LONG64_BREAK_ME_PHYS, &id));
    ASSERT_SUCCESS(PsSetBreakPoint(session->engine, LONG64_BREAK_ME_PHYS, &again));
    assert_int_equal(id, again);
    session->version == 1 ? check_filters_v1(session, id) : check_filters_v2(session, id);
    ASSERT_SUCCESS(PsGetBreakPointInfo(session->engine, breakpoints, 1, &count, &total));
    assert_int_equal(count, 1);
    assert_int_equal(total, 1);
    assert_int_equal(breakpoints[0].Id, id);
    assert_int_equal(breakpoints[0].PhysAddress, LONG64_BREAK_ME_PHYS);
    ASSERT_STATUS(PsRemoveBreakPoint(session->engine, 77), BREAKPOINT_NOT_FOUND);
}

// --- running --------------------------------------------------------------------------------

static uint64_t rip_of(const struct session *session)
{
    PS_CTX context = {0};
    ASSERT_SUCCESS(PsGetContext(session->engine, &context, DBG_CTX_PART_FLAG(rip), NULL));
    return context.rip;
}

static uint8_t event_of(const struct session *session)
{
    PS_STATE_INFO info;
    ASSERT_SUCCESS(PsGetStateInfo(session->engine, &info));
    assert_int_equal(info.Running, 0);
    return info.EventCode;
}

// Every packet lets the target run on; so it stops after some.
static void wait_for_stop(const struct session *session)
{
    PS_STATE_INFO info = {.Running = 1};
    for (int i = 0; i < POLLS_MAX && info.Running; i++) {
        ASSERT_SUCCESS(PsGetStateInfo(session->engine, &info));
    }
    assert_int_equal(info.Running, 0);
}

// The debuggee of 2018 tells of break-ins alone, by its own number.
static uint8_t event_in(const struct session *session, uint8_t event)
{
    return session->version == 2 ? event : (event == psevBreakIn ? 3 : 0);
}

static void check_running(const struct session *session)
{
    ASSERT_SUCCESS(PsGo(session->engine));
    wait_for_stop(session);
    assert_int_equal(event_of(session), event_in(session, psevBreakPoint));
    assert_int_equal(rip_of(session), LONG64_BREAK_ME);
    ASSERT_SUCCESS(PsStep(session->engine, 1));
    assert_int_equal(event_of(session), event_in(session, psevStep));
    assert_int_not_equal(rip_of(session), LONG64_BREAK_ME);
    ASSERT_SUCCESS(PsStep(session->engine, 0));
    ASSERT_SUCCESS(PsClearBreakPoints(session->engine));
    ASSERT_SUCCESS(PsGo(session->engine));
    PS_STATE_INFO info = {0};
    ASSERT_SUCCESS(PsGetStateInfo(session->engine, &info));
    assert_int_equal(info.Running, 1);
    ASSERT_SUCCESS(PsBreakIn(session->engine));
    assert_int_equal(event_of(session), event_in(session, psevBreakIn));
}

static void check_cpus(const struct session *session)
{
    uint8_t current = 0;
    uint8_t count = 0;
    ASSERT_SUCCESS(PsSwitchCpu(session->engine, 3));
    ASSERT_SUCCESS(PsGetCpuInfo(session->engine, &current, &count));
    assert_int_equal(current, 3);
    ASSERT_STATUS(PsSwitchCpu(session->engine, 3), BARRIER_ALREADY_OWNED);
    ASSERT_STATUS(PsSwitchCpu(session->engine, LONG64_NUM_CPUS), BARRIER_NO_CPU);
}

static void check_reboot(const struct session *session)
{
    uint8_t byte = 1;
    uint16_t id = 0;
    ASSERT_SUCCESS(PsSetBreakPoint(session->engine, 0x5000, &id));
    ASSERT_SUCCESS(PsReboot(session->engine));
    assert_int_equal(event_of(session), psevInitial);
    assert_int_equal(rip_of(session), LONG64_ENTRY);
    ASSERT_SUCCESS(PsReadPhysicalMemory(session->engine, LONG64_FREE + 1, &byte, 1, NULL));
    assert_int_equal(byte, 0);
    ASSERT_STATUS(PsRemoveBreakPoint(session->engine, id), BREAKPOINT_TABLE_EMPTY);
}

static void test_every_call(void **state)
{
    const struct session *session = *state;
    check_target(session);
    check_msrs(session);
    check_contexts(session);
    check_extended_contexts(session);
    check_memory(session);
    check_breakpoints(session);
    check_running(session);
    check_cpus(session);
    check_reboot(session);
}

// The simulator speaks both versions on one endpoint, and says so.
static void test_the_version_is_negotiated(void **state)
{
    struct session *session = *state;
    connection_close(&session->connection);
    struct connection_options options = {
        .endpoint = session->simulator.endpoints[0], .protocol = 0, .timeout_ms = TIMEOUT_MS};
    ASSERT_SUCCESS(connection_open(&options, &session->connection));
    uint32_t version = 0;
    ASSERT_SUCCESS(PsPing(session->connection.engine));
    ASSERT_SUCCESS(EngGetProtocolVersion(session->connection.engine, &version));
    assert_int_equal(version, 2);
}

static void test_a_simulator_that_ends_is_a_lost_connection(void **state)
{
    struct session *session = *state;
    ASSERT_SUCCESS(PsPing(session->engine));
    assert_int_equal(simulator_stop(&session->simulator), 0);
    assert_int_equal(PsPing(session->engine), PULSE_STATUS_DEVICE_CONNECTION_LOST);
    assert_int_equal(PsPing(session->engine), PULSE_STATUS_DEVICE_CONNECTION_LOST);
    // For the teardown.
    const char *arguments[] = {"--udp", "127.0.0.1:0", NULL};
    assert_true(simulator_start(&session->simulator, PULSIM, arguments, true));
}

int main(void)
{
    static struct session sessions[] = {
        {.scheme = "udp", .version = 2},  {.scheme = "tcp", .version = 2},
        {.scheme = "unix", .version = 2}, {.scheme = "pty", .version = 2},
        {.scheme = "udp", .version = 1},  {.scheme = "tcp", .version = 1},
        {.scheme = "unix", .version = 1}, {.scheme = "pty", .version = 1},
    };
    enum { NUM_SESSIONS = sizeof(sessions) / sizeof(sessions[0]) };
    static char names[NUM_SESSIONS][64];
    struct CMUnitTest tests[NUM_SESSIONS + 2];
    for (size_t i = 0; i < NUM_SESSIONS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "every call over %s in version %u",
                       sessions[i].scheme, sessions[i].version);
        tests[i] = (struct CMUnitTest){names[i], test_every_call, open_session, close_session,
                                       &sessions[i]};
    }
    tests[NUM_SESSIONS] =
        (struct CMUnitTest){"the version is negotiated", test_the_version_is_negotiated,
                            open_session, close_session, &sessions[1]};
    tests[NUM_SESSIONS + 1] = (struct CMUnitTest){"a simulator that ends is a lost connection",
                                                  test_a_simulator_that_ends_is_a_lost_connection,
                                                  open_session, close_session, &sessions[2]};
    return cmocka_run_group_tests_name("end to end", tests, NULL, NULL);
}
