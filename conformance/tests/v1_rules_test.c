// Version 1: the numbers of 2018, and a client that forgives as the one of 2018 does.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "client_fixture.h"
#include "protocol/bytes.h"
#include "protocol/status.h"

enum { ASKED = 16 };

static PULSE_STATUS call_ping(PPS_ENGINE engine)
{
    return PsPing(engine);
}

static PULSE_STATUS call_state(PPS_ENGINE engine)
{
    PS_STATE_INFO info;
    return PsGetStateInfo(engine, &info);
}

static PULSE_STATUS call_break_in(PPS_ENGINE engine)
{
    return PsBreakIn(engine);
}

static PULSE_STATUS call_go(PPS_ENGINE engine)
{
    return PsGo(engine);
}

static PULSE_STATUS call_read(PPS_ENGINE engine)
{
    uint8_t bytes[ASKED];
    return PsReadLinearMemory(engine, 0x1000, 0x2000, bytes, sizeof(bytes), NULL);
}

static PULSE_STATUS call_write(PPS_ENGINE engine)
{
    uint8_t bytes[ASKED] = {0};
    return PsWriteLinearMemory(engine, 0x1000, 0x2000, bytes, sizeof(bytes), NULL);
}

static PULSE_STATUS call_read_nothing(PPS_ENGINE engine)
{
    uint8_t byte = 0;
    uint64_t moved = 1;
    PULSE_STATUS status = PsReadLinearMemory(engine, 0x1000, 0x2000, &byte, 0, &moved);
    assert_int_equal(moved, 0);
    return status;
}

static PULSE_STATUS call_mmio(PPS_ENGINE engine)
{
    uint8_t byte = 0;
    PS_CACHE_TYPE cache = pctUncacheable;
    return PsReadMmioPhysical(engine, 0, 1, &cache, &byte, 1, NULL);
}

static PULSE_STATUS call_target_info(PPS_ENGINE engine)
{
    PS_TARGET_INFO info;
    return PsGetTargetInfo(engine, &info);
}

static PULSE_STATUS call_filter_of_version_2(PPS_ENGINE engine)
{
    PS_BREAK_POINT_FILTER_PARAMS params = {.MatchFlags = 1};
    return PsAddBreakPointFilter(engine, 1, &params, NULL);
}

static PULSE_STATUS call_register_set_1(PPS_ENGINE engine)
{
    PS_CTX_EXT context;
    uint64_t mask = 1;
    return PsGetExtendedContext(engine, &context, 1, &mask);
}

static PULSE_STATUS call_null(PPS_ENGINE engine)
{
    return PsGetStateInfo(engine, NULL);
}

static PULSE_STATUS call_walk(PPS_ENGINE engine)
{
    PS_PAGE_WALK_INFO info = {0};
    PULSE_STATUS status = PsWalkPageLinear(engine, 0x1000, 0x2000, &info);
    assert_int_equal(info.NumEntries, status == PULSE_STATUS_SUCCESS ? 4 : 0);
    assert_int_equal(info.Entry[3], status == PULSE_STATUS_SUCCESS ? 0x44 : 0);
    return status;
}

// --- answers --------------------------------------------------------------------------------

#define ANSWER(name)                                                                               \
    static void answer_##name(struct fake *fake, __attribute__((unused)) const uint8_t *request,   \
                              __attribute__((unused)) size_t len)

static void send_state(struct fake *fake, const uint8_t *request, uint8_t version, size_t len)
{
    uint8_t reply[11] = {version, CLASS_REPLY, 8, 0};
    memcpy(reply + 4, request + 4, 4);
    fake_send(fake, reply, len);
}

ANSWER(state)
{
    send_state(fake, request, 1, 10);
}

ANSWER(state_of_version_2)
{
    send_state(fake, request, 2, 10);
}

ANSWER(short_state)
{
    send_state(fake, request, 1, 9);
}

ANSWER(short_then_right_state)
{
    send_state(fake, request, 1, 9);
    send_state(fake, request, 1, 11);
    send_state(fake, request, 1, 10);
}

static void send_value(struct fake *fake, const uint8_t *request, uint8_t type, uint64_t value)
{
    uint8_t reply[16] = {1, CLASS_REPLY, type, 0};
    memcpy(reply + 4, request + 4, 4);
    store_le(reply + 8, 8, value);
    fake_send(fake, reply, sizeof(reply));
}

ANSWER(no_value)
{
    send_value(fake, request, 0, 0);
}

ANSWER(hit)
{
    send_value(fake, request, 12, 0);
}

ANSWER(not_found)
{
    send_value(fake, request, 1, 0xC0000017);
}

ANSWER(wide_status)
{
    send_value(fake, request, 1, UINT64_C(0x1C0000000));
}

ANSWER(all_written)
{
    send_value(fake, request, 0, ASKED);
}

ANSWER(part_written)
{
    send_value(fake, request, 0, ASKED - 1);
}

ANSWER(written_by_status)
{
    send_value(fake, request, 1, 6);
}

static void send_notification(struct fake *fake, const uint8_t *request, uint8_t type)
{
    uint8_t reply[8] = {1, CLASS_NOTIFICATION, type, 0};
    memcpy(reply + 4, request + 4, 4);
    fake_send(fake, reply, sizeof(reply));
}

ANSWER(stopped)
{
    send_notification(fake, request, 1);
}

ANSWER(running)
{
    send_notification(fake, request, 2);
}

ANSWER(part_of_data)
{
    static const uint8_t data[ASKED];
    struct packet reply = {
        .kind = PACKET_LINEAR_DATA,
        .linear_data = {.root = 7, .address = 7, .length = ASKED - 1, .data = data}};
    fake_reply(fake, request, &reply);
}

ANSWER(other_echo)
{
    static const uint8_t data[ASKED];
    struct packet reply = {.kind = PACKET_LINEAR_DATA,
                           .linear_data = {.root = 7, .address = 7, .length = ASKED, .data = data}};
    fake_reply(fake, request, &reply);
}

ANSWER(four_entries)
{
    static const uint8_t entries[32] = {[0] = 0x11, [8] = 0x22, [16] = 0x33, [24] = 0x44};
    struct packet reply = {.kind = PACKET_WALK,
                           .walk = {.mode = 3, .valid = 1, .count = 4, .entries = entries}};
    fake_reply(fake, request, &reply);
}

// Nothing but resend requests may have come before.
ANSWER(to_the_second_resend)
{
    static const uint8_t resend[] = {1, CLASS_RESEND, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    if (fake->num_packets == 3 && memcmp(request, resend, sizeof(resend)) == 0) {
        send_state(fake, fake->log[0].bytes, 1, 10);
    }
}

// --- rows -----------------------------------------------------------------------------------

struct rule {
    const char *name;
    PULSE_STATUS (*call)(PPS_ENGINE engine);
    fake_packet_fn *answer;
    uint64_t status;
    bool is_local; // no packet goes out
};

#define NO_PACKET     0xC0000018
#define INVALID       0xC000001D
#define PARAMETER     0xC000000E
#define NOT_SUPPORTED 0xC000000D

static struct rule rules[] = {
    {"a reply ends a call", call_state, answer_state, 0, false},
    {"byte 0 of a reply means nothing", call_state, answer_state_of_version_2, 0, false},
    {"a reply of a wrong length is no packet", call_state, answer_short_state, NO_PACKET, false},
    {"after replies of a wrong length the right one counts", call_state,
     answer_short_then_right_state, 0, false},
    {"a reply of a wrong type is invalid", call_state, answer_hit, INVALID, false},
    {"silence is no packet", call_state, answer_nothing, NO_PACKET, false},
    {"a resend request is answered", call_state, answer_to_the_second_resend, 0, false},
    {"a notification ends a break-in", call_break_in, answer_stopped, 0, false},
    {"a notification ends a go", call_go, answer_running, 0, false},
    {"a success ends a break-in", call_break_in, answer_no_value, 0, false},
    {"a notification does not end a ping", call_ping, answer_stopped, INVALID, false},
    {"a status comes with all its 64 bits", call_ping, answer_wide_status, UINT64_C(0x1C0000000),
     false},
    {"the echo means nothing", call_read, answer_other_echo, 0, false},
    {"a short data reply is 5", call_read, answer_part_of_data, 5, false},
    {"a failed read is its status", call_read, answer_not_found, 0xC0000017, false},
    {"a whole write is success", call_write, answer_all_written, 0, false},
    {"a short write is 6", call_write, answer_part_written, 6, false},
    {"a write that is answered by status 6 is 6", call_write, answer_written_by_status, 6, false},
    {"a failed write is its status", call_write, answer_not_found, 0xC0000017, false},
    {"a read of nothing sends nothing", call_read_nothing, answer_nothing, 0, true},
    {"a walk has four entries", call_walk, answer_four_entries, 0, false},
    {"there is no MMIO", call_mmio, answer_nothing, NOT_SUPPORTED, true},
    {"there is no target info", call_target_info, answer_nothing, NOT_SUPPORTED, true},
    {"there are no filters of version 2", call_filter_of_version_2, answer_nothing, NOT_SUPPORTED,
     true},
    {"there is one register set", call_register_set_1, answer_nothing, PARAMETER, true},
    {"a null pointer is 0xC000000E", call_null, answer_nothing, PARAMETER, true},
};

static void test_rule(void **state)
{
    const struct rule *rule = *state;
    bool is_late = rule->answer == answer_to_the_second_resend;
    uint32_t late = is_late ? LATE_TIMEOUT_MS : LONG_TIMEOUT_MS;
    struct client client;
    client_open(&client, &(struct client_options){
                             .type = pttNet,
                             .version = PROTOCOL_V1,
                             .timeout_ms = rule->status == NO_PACKET ? SHORT_TIMEOUT_MS : late,
                             .on_packet = rule->answer,
                         });
    PULSE_STATUS status = rule->call(client.engine);
    client_close(&client);
    assert_int_equal(status, rule->status);
    assert_int_equal(client.fake.num_packets == 0, rule->is_local);
}

int main(void)
{
    struct CMUnitTest tests[sizeof(rules) / sizeof(rules[0])];
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        tests[i] = (struct CMUnitTest){rules[i].name, test_rule, NULL, NULL, &rules[i]};
    }
    return cmocka_run_group_tests_name("version 1", tests, NULL, NULL);
}
