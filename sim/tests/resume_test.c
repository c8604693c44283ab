// VM entry's checks at every resume: what the debugger, the log and the VMCS tell of a refusal.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "long64.h"
#include "rig.h"

#define UNSUCCESSFUL  UINT64_C(0xC0000000)
#define NOT_SUPPORTED UINT64_C(0xC0000031)

enum {
    VMCS_LINK_POINTER = 0x2800,
    PIN = 0x4000,
    ENTRY_EVENT = 0x4016,
    INSTRUCTION_ERROR = 0x4400,
    EXIT_REASON = 0x4402,
    ACTIVITY = 0x4826,
    QUALIFICATION = 0x6400,
    HOST_CR0 = 0x6C00,
    INITIAL = 0,
    BREAK_IN = 2,
    RUNNING = 6,
};

static struct rig rig;
static char log_text[1024];

static void keep_log(void *user, const char *line)
{
    (void)user;
    size_t len = strlen(log_text);
    (void)snprintf(log_text + len, sizeof(log_text) - len, "%s\n", line);
}

static void open_rig(enum protocol_version version)
{
    log_text[0] = '\0';
    rig_open_with(&rig, version, &(struct pulsim_options){.log = keep_log});
}

static int set_up(void **state)
{
    (void)state;
    open_rig(PROTOCOL_V2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void set_field(unsigned cpu, uint32_t encoding, uint64_t value)
{
    assert_true(pulsim_vmcs_write(rig.pulsim, cpu, encoding, value));
}

static uint64_t field(unsigned cpu, uint32_t encoding)
{
    uint64_t value = 0;
    assert_true(pulsim_vmcs_read(rig.pulsim, cpu, encoding, &value));
    return value;
}

static void set_register(unsigned cpu, const char *name, uint64_t value)
{
    assert_true(pulsim_register_write(rig.pulsim, cpu, name, value));
}

static uint64_t reg(unsigned cpu, const char *name)
{
    uint64_t value = 0;
    assert_true(pulsim_register_read(rig.pulsim, cpu, name, &value));
    return value;
}

static void expect_stopped(unsigned event)
{
    struct packet request = rig_plain(PACKET_GET_STATE);
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply.state.running, 0);
    assert_int_equal(rig.reply.state.event, event);
}

// What is wrong with CPU 0, and what comes of it.
struct refusal {
    const char *name;
    const char *reg; // this register, or this field
    uint32_t encoding;
    uint64_t value;
    uint32_t error;  // VM-instruction error; 0: a failed entry
    uint32_t reason; // of that
    uint64_t qualification;
    const char *log; // part of it
};

static struct refusal refusals[] = {
    {"RFLAGS without its fixed bit", "rflags", 0, 0, 0, 33, 0, "exit reason 33, qualification 0"},
    {"CR3 beyond MAXPHYADDR", "cr3", 0, UINT64_C(1) << 46, 0, 33, 0, "exit reason 33"},
    {"CR4 with a reserved bit", "cr4", 0, LONG64_CR4 | UINT64_C(0x8000), 0, 33, 0,
     "exit reason 33"},
    {"RIP beyond the canonical ones", "rip", 0, UINT64_C(0x0200000000000000), 0, 33, 0,
     "exit reason 33"},
    {"TR unusable", "tss_access", 0, 0x10000, 0, 33, 0, "exit reason 33"},
    {"paging off in IA-32e mode", "cr0", 0, 0x31, 0, 33, 0, "exit reason 33"},
    {"link pointer not aligned", NULL, VMCS_LINK_POINTER, 0x123, 0, 33, 4, "qualification 4"},
    {"activity state 5", NULL, ACTIVITY, 5, 0, 33, 0, "exit reason 33"},
    {"pin-based controls with a reserved bit", NULL, PIN, 0x80000016, 7, 0, 0,
     "VMfailValid, VM-instruction error 7"},
    {"an event that cannot be injected", NULL, ENTRY_EVENT, 0x80000101, 7, 0, 0,
     "VM-instruction error 7"},
    {"host CR0 without paging", NULL, HOST_CR0, 0x33, 8, 0, 0, "VM-instruction error 8"},
};

static void spoil(const struct refusal *row)
{
    if (row->reg) {
        set_register(0, row->reg, row->value);
    } else {
        set_field(0, row->encoding, row->value);
    }
}

static void expect_recorded(const struct refusal *row)
{
    assert_non_null(strstr(log_text, "CPU 0: VM entry refused by rule "));
    assert_non_null(strstr(log_text, row->log));
    assert_int_equal(field(0, INSTRUCTION_ERROR), row->error);
    if (row->error == 0) {
        assert_int_equal(field(0, EXIT_REASON), 0x80000000 | row->reason);
        assert_int_equal(field(0, QUALIFICATION), row->qualification);
    } else {
        assert_int_equal(field(0, EXIT_REASON), 0);
    }
}

static void refuse(const struct refusal *row, enum packet_kind kind)
{
    spoil(row);
    uint64_t rip = reg(0, "rip");
    struct packet request = rig_plain(kind);
    rig_expect_status(&rig, &request, UNSUCCESSFUL);
    expect_stopped(INITIAL);
    assert_int_equal(reg(0, "rip"), rip);
    expect_recorded(row);
    request = rig_plain(PACKET_REBOOT);
    rig_expect_value(&rig, &request, INITIAL);
    request = rig_plain(kind);
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply.kind, PACKET_SUCCESS);
}

static void a_refused_go(void **state)
{
    refuse(*state, PACKET_GO);
}

static void a_refused_step(void **state)
{
    refuse(*state, PACKET_STEP);
}

static void version_1_says_unsuccessful_too(void **state)
{
    (void)state;
    rig_close(&rig);
    open_rig(PROTOCOL_V1);
    set_register(0, "rflags", 0);
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_status(&rig, &request, UNSUCCESSFUL);
    request = rig_plain(PACKET_STEP);
    rig_expect_status(&rig, &request, UNSUCCESSFUL);
}

static void another_cpu_keeps_go_from_going_but_not_a_step(void **state)
{
    (void)state;
    set_register(2, "rflags", 0);
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_status(&rig, &request, UNSUCCESSFUL);
    assert_non_null(strstr(log_text, "CPU 2: VM entry refused"));
    request = rig_plain(PACKET_STEP);
    rig_expect_value(&rig, &request, 3);
    assert_int_equal(field(2, EXIT_REASON), 0x80000021);
}

static void a_cpu_that_has_shut_down_is_not_entered(void **state)
{
    (void)state;
    set_register(1, "idt_limit", 0);
    pulsim_poke(rig.pulsim, LONG64_IMAGE + (LONG64_ENTRY - LONG64_VECTORS), "\x0F\x0B", 2);
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_value(&rig, &request, RUNNING);
    request = rig_plain(PACKET_BREAK_IN);
    rig_expect_value(&rig, &request, BREAK_IN);
    assert_int_equal(field(1, EXIT_REASON), 2); // triple fault
    set_register(1, "rflags", 0);
    request = rig_plain(PACKET_GO);
    rig_expect_value(&rig, &request, RUNNING);
}

static void a_mode_that_does_not_run_is_told_after_the_checks(void **state)
{
    (void)state;
    set_register(0, "cs_access", 0xC09B); // compatibility mode
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_status(&rig, &request, UNSUCCESSFUL); // whose RIP has 32 bits
    set_register(0, "rip", 0x1000);
    rig_expect_status(&rig, &request, NOT_SUPPORTED);
    request = rig_plain(PACKET_STEP);
    rig_expect_status(&rig, &request, NOT_SUPPORTED);
    expect_stopped(INITIAL);
}

// The library changes a running machine between two packets; version 1's SetContext does it by one.
static void a_write_to_a_running_guest_is_checked(void **state)
{
    (void)state;
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_value(&rig, &request, RUNNING);
    request = rig_plain(PACKET_PING);
    rig_ask(&rig, &request);
    set_register(1, "rflags", 0);
    uint64_t rip = reg(1, "rip");
    expect_stopped(INITIAL);
    assert_non_null(strstr(log_text, "CPU 1: VM entry refused"));
    assert_int_equal(reg(1, "rip"), rip);
    set_register(1, "rflags", 2);
    request = rig_plain(PACKET_GO);
    rig_expect_value(&rig, &request, RUNNING);
}

static void set_context_of_a_running_guest_is_checked(void **state)
{
    (void)state;
    rig_close(&rig);
    open_rig(PROTOCOL_V1);
    uint64_t rflags = 0;
    struct packet request = rig_plain(PACKET_GO);
    rig_ask(&rig, &request);
    request = (struct packet){
        .kind = PACKET_SET_CONTEXT,
        .set_context = {.mask = UINT64_C(1) << 10, .registers = (const uint8_t *)&rflags}};
    rig_expect_value(&rig, &request, 0);
    expect_stopped(INITIAL);
    assert_non_null(strstr(log_text, "CPU 0: VM entry refused"));
}

// An event that VM entry injects, and what its handler finds on the stack.
struct injection {
    const char *name;
    uint32_t event;
    uint64_t code;
    uint64_t length;
    unsigned vector;
    bool has_code;
    uint64_t behind; // of the instruction: its length
};

static struct injection injections[] = {
    {"an external interrupt", 0x80000040, 0, 0, 0x40, false, 0},
    {"a non-maskable interrupt", 0x80000202, 0, 0, 2, false, 0},
    {"a #GP", 0x80000B0D, 0x50, 0, 13, true, 0},
    {"a #PF", 0x80000B0E, 0x2, 0, 14, true, 0},
    {"a #UD", 0x80000306, 0, 0, 6, false, 0},
    {"INT 0x80", 0x80000480, 0, 2, 0x80, false, 2},
    {"INT1", 0x80000501, 0, 1, 1, false, 1},
    {"INT3", 0x80000603, 0, 1, 3, false, 1},
};

enum { ENTRY_CODE = 0x4018, ENTRY_LENGTH = 0x401A };

static void expect_handler(const struct injection *row, uint64_t rip)
{
    uint64_t frame[2] = {0};
    assert_int_equal(reg(0, "rip"), LONG64_VECTORS + UINT64_C(16) * row->vector);
    uint64_t stack = reg(0, "rsp") - LONG64_KERNEL;
    assert_int_equal(pulsim_peek(rig.pulsim, stack, frame, sizeof(frame)), sizeof(frame));
    assert_int_equal(frame[row->has_code], rip + row->behind);
    if (row->has_code) {
        assert_int_equal(frame[0], row->code);
    }
    assert_int_equal(field(0, ENTRY_EVENT) & 0x80000000, 0);
}

static void an_event_is_injected(void **state)
{
    const struct injection *row = *state;
    set_field(0, ENTRY_EVENT, row->event);
    set_field(0, ENTRY_CODE, row->code);
    set_field(0, ENTRY_LENGTH, row->length);
    set_register(0, "rflags", 0x202); // an interrupt wants IF
    set_register(0, "cr2", 0x1234);
    uint64_t rip = reg(0, "rip");
    struct packet request = rig_plain(PACKET_STEP);
    rig_expect_value(&rig, &request, 3);
    expect_handler(row, rip);
    assert_int_equal(reg(0, "cr2"), 0x1234);
    assert_int_equal(field(0, EXIT_REASON), 37); // monitor trap flag
}

static void an_event_is_injected_when_the_guest_goes(void **state)
{
    const struct injection *row = *state;
    set_field(0, ENTRY_EVENT, row->event);
    set_field(0, ENTRY_CODE, row->code);
    set_field(0, ENTRY_LENGTH, row->length);
    set_register(0, "rflags", 0x202);
    uint64_t rip = reg(0, "rip");
    pulsim_poke(rig.pulsim, LONG64_IMAGE + UINT64_C(16) * row->vector, "\xEB\xFE", 2);
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_value(&rig, &request, RUNNING);
    request = rig_plain(PACKET_BREAK_IN);
    rig_expect_value(&rig, &request, BREAK_IN);
    expect_handler(row, rip);
}

static void an_event_without_a_handler_is_a_triple_fault(void **state)
{
    (void)state;
    set_register(0, "idt_limit", 0);
    set_field(0, ENTRY_EVENT, 0x80000306);
    struct packet request = rig_plain(PACKET_GO);
    rig_expect_value(&rig, &request, RUNNING);
    assert_non_null(strstr(log_text, "CPU 0 shut down: triple fault"));
    assert_int_equal(field(0, EXIT_REASON), 2);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

enum {
    NUM_REFUSALS = sizeof(refusals) / sizeof(refusals[0]),
    NUM_INJECTIONS = sizeof(injections) / sizeof(injections[0]),
};

int main(void)
{
    static const struct CMUnitTest others[] = {
        CASE(version_1_says_unsuccessful_too),
        CASE(another_cpu_keeps_go_from_going_but_not_a_step),
        CASE(a_cpu_that_has_shut_down_is_not_entered),
        CASE(a_mode_that_does_not_run_is_told_after_the_checks),
        CASE(a_write_to_a_running_guest_is_checked),
        CASE(set_context_of_a_running_guest_is_checked),
        CASE(an_event_without_a_handler_is_a_triple_fault),
    };
    struct CMUnitTest tests[2 * NUM_REFUSALS];
    for (size_t i = 0; i < NUM_REFUSALS; i++) {
        struct refusal *row = &refusals[i];
        tests[2 * i] = (struct CMUnitTest){row->name, a_refused_go, set_up, tear_down, row};
        tests[2 * i + 1] = (struct CMUnitTest){row->name, a_refused_step, set_up, tear_down, row};
    }
    struct CMUnitTest events[2 * NUM_INJECTIONS];
    for (size_t i = 0; i < NUM_INJECTIONS; i++) {
        struct injection *row = &injections[i];
        events[2 * i] =
            (struct CMUnitTest){row->name, an_event_is_injected, set_up, tear_down, row};
        events[2 * i + 1] = (struct CMUnitTest){row->name, an_event_is_injected_when_the_guest_goes,
                                                set_up, tear_down, row};
    }
    int failed = cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("injections", events, NULL, NULL);
    return failed + cmocka_run_group_tests_name("resumes", others, NULL, NULL);
}
