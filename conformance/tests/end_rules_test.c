// When a call ends, and with which status: one row for each rule, played by a debuggee that breaks
// it. The fields of replies and the rules of streams have tests of their own.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "msr_rule.h"
#include "protocol/bytes.h"
#include "protocol/status.h"

// --- calls ----------------------------------------------------------------------------------

static PULSE_STATUS call_write_msr(PPS_ENGINE engine)
{
    return PsWriteMsr(engine, MSR, MSR_VALUE);
}

static PULSE_STATUS call_switch_cpu(PPS_ENGINE engine)
{
    return PsSwitchCpu(engine, 1);
}

// --- answers --------------------------------------------------------------------------------

ANSWER(version_1)
{
    answer_with_byte(fake, request, 0, 1);
}

ANSWER(version_0)
{
    answer_with_byte(fake, request, 0, 0);
}

ANSWER(class_request)
{
    answer_with_byte(fake, request, 1, CLASS_REQUEST);
}

ANSWER(class_notification)
{
    answer_with_byte(fake, request, 1, CLASS_NOTIFICATION);
}

ANSWER(unknown_type)
{
    answer_with_byte(fake, request, 2, 99);
}

ANSWER(short_by_one)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    fake_send(fake, reply, sizeof(reply) - 1);
}

ANSWER(long_by_one)
{
    uint8_t reply[MSR_REPLY_SIZE + 1] = {0};
    msr_reply(request, reply);
    fake_send(fake, reply, sizeof(reply));
}

ANSWER(header_only)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    fake_send(fake, reply, PACKET_HEADER_SIZE);
}

ANSWER(other_type)
{
    struct packet reply = {.kind = PACKET_STATE};
    fake_reply(fake, request, &reply);
}

static void answer_number(struct fake *fake, const uint8_t *request, uint64_t number)
{
    struct packet reply = {.kind = PACKET_STATUS, .status = {.status = number}};
    fake_reply(fake, request, &reply);
}

ANSWER(status_0)
{
    answer_number(fake, request, 0);
}

ANSWER(status_21)
{
    answer_number(fake, request, 0x21);
}

ANSWER(status_gp)
{
    answer_number(fake, request, 0xC001000D);
}

ANSWER(unheard_status)
{
    answer_number(fake, request, 0xC0ABCDEF);
}

ANSWER(status_upper_half)
{
    answer_number(fake, request, UINT64_C(0x1C0000010));
}

// Something useless, then the right reply.

ANSWER(other_id_first)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    reply[4] ^= 1;
    fake_send(fake, reply, sizeof(reply));
    answer_right(fake, request, len);
}

ANSWER(no_id_first)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    store_le(reply + 4, 4, PACKET_NO_ID);
    fake_send(fake, reply, sizeof(reply));
    answer_right(fake, request, len);
}

// The eighth byte would be that of the packet before, which makes the id right.
ANSWER(seven_bytes_first)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    reply[4] ^= 1;
    fake_send(fake, reply, sizeof(reply));
    fake_send(fake, request, 7);
    answer_right(fake, request, len);
}

ANSWER(empty_first)
{
    fake_send_raw(fake, request, 0);
    answer_right(fake, request, len);
}

ANSWER(too_long_first)
{
    static _Thread_local uint8_t reply[PACKET_MAX_V2 + 1];
    msr_reply(request, reply);
    fake_send_raw(fake, reply, sizeof(reply));
    answer_right(fake, request, len);
}

ANSWER(junk_without_end)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    reply[4] ^= 1;
    while (!fake_is_stopping(fake)) {
        fake_send(fake, reply, sizeof(reply));
    }
}

// --- rows -----------------------------------------------------------------------------------

static struct rule rules[] = {
    {"the right reply ends a call", pttNet, call_read_msr, answer_right, OK, false},
    {"a reply with byte 0 = 1 is invalid", pttNet, call_read_msr, answer_version_1, INVALID, false},
    {"a reply with byte 0 = 0 is invalid", pttNet, call_read_msr, answer_version_0, INVALID, false},
    {"a reply of class 0 is invalid", pttNet, call_read_msr, answer_class_request, INVALID, false},
    {"a reply of class 3 is invalid", pttNet, call_read_msr, answer_class_notification, INVALID,
     false},
    {"a notification is no answer to a control request", pttNet, call_switch_cpu,
     answer_class_notification, INVALID, false},
    {"a reply of an unknown type is invalid", pttNet, call_read_msr, answer_unknown_type, INVALID,
     false},
    {"a reply of another call's type is invalid", pttNet, call_read_msr, answer_other_type, INVALID,
     false},
    {"a plain success is invalid where data is due", pttNet, call_read_msr, answer_success, INVALID,
     false},
    {"a reply short by a byte is invalid", pttNet, call_read_msr, answer_short_by_one, INVALID,
     false},
    {"a reply long by a byte is invalid", pttNet, call_read_msr, answer_long_by_one, INVALID,
     false},
    {"a reply of a header is invalid", pttNet, call_read_msr, answer_header_only, INVALID, false},
    {"an MSR reply with another index is invalid", pttNet, call_read_msr, answer_wrong_echo,
     INVALID, false},
    {"an error status is the call's status", pttNet, call_read_msr, answer_status_gp, 0xC001000D,
     false},
    {"a status nobody has heard of is the call's status", pttNet, call_read_msr,
     answer_unheard_status, 0xC0ABCDEF, false},
    {"a status with an upper half is invalid", pttNet, call_write_msr, answer_status_upper_half,
     INVALID, false},
    {"status 0 is success for a call without outputs", pttNet, call_write_msr, answer_status_0, OK,
     false},
    {"status 0 is invalid for a call with outputs", pttNet, call_read_msr, answer_status_0, INVALID,
     false},
    {"status 0x21 tells of a CPU that is current already", pttNet, call_switch_cpu,
     answer_status_21, 0x21, false},
    {"status 0x21 is invalid for an MSR", pttNet, call_read_msr, answer_status_21, INVALID, false},
    {"a packet with another id costs nothing", pttNet, call_read_msr, answer_other_id_first, OK,
     false},
    {"a packet with no id costs nothing", pttNet, call_read_msr, answer_no_id_first, OK, false},
    {"a packet of 7 bytes costs nothing", pttNet, call_read_msr, answer_seven_bytes_first, OK,
     false},
    {"an empty datagram costs nothing", pttNet, call_read_msr, answer_empty_first, OK, false},
    {"a packet over 61,440 bytes costs nothing", pttNet, call_read_msr, answer_too_long_first, OK,
     false},
    {"text costs nothing", pttNet, call_read_msr, answer_text_first, OK, false},
    {"a second reply costs nothing", pttNet, call_read_msr, answer_twice, OK, false},
    {"the last repeat is answered in time", pttNet, call_read_msr, answer_late, OK, true},
    {"silence is a timeout", pttNet, call_read_msr, answer_nothing, TIMEOUT, false},
    {"junk does not prolong the time", pttNet, call_read_msr, answer_junk_without_end, TIMEOUT,
     false},
};

int main(void)
{
    struct CMUnitTest tests[sizeof(rules) / sizeof(rules[0])];
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        tests[i] = (struct CMUnitTest){rules[i].name, test_rule, NULL, NULL, &rules[i]};
    }
    return cmocka_run_group_tests_name("end of a call", tests, NULL, NULL);
}
