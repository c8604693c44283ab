// When a call over a stream ends, and with which status: frames that are bad or come in parts, and
// streams that close.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "msr_rule.h"
#include "protocol/frame.h"
#include "protocol/status.h"

static void answer_with_frame_byte(struct fake *fake, const uint8_t *request, size_t offset,
                                   uint8_t flip)
{
    uint8_t reply[MSR_REPLY_SIZE];
    uint8_t frame[MSR_REPLY_SIZE + FRAME_OVERHEAD_MAX];
    msr_reply(request, reply);
    size_t len = frame_write(reply, sizeof(reply), frame, sizeof(frame));
    frame[offset < len ? offset : len - 1] ^= flip;
    fake_send_raw(fake, frame, len);
    fake_send_raw(fake, frame, 0);
    answer_right(fake, request, 0);
}

ANSWER(bad_checksum_first)
{
    answer_with_frame_byte(fake, request, 3, 1);
}

ANSWER(bad_end_first)
{
    answer_with_frame_byte(fake, request, SIZE_MAX, 1);
}

ANSWER(bad_k_first)
{
    answer_with_frame_byte(fake, request, 1, 4);
}

ANSWER(bad_length_first)
{
    answer_with_frame_byte(fake, request, 2, 2);
}

// The good frame begins inside the bad one.
ANSWER(frame_within_a_frame)
{
    uint8_t bad[] = {FRAME_START, 4, 30, 0, 0, 0, 0};
    fake_send_raw(fake, bad, sizeof(bad));
    answer_right(fake, request, len);
    uint8_t rest[20] = {0};
    fake_send_raw(fake, rest, sizeof(rest));
}

ANSWER(byte_by_byte)
{
    uint8_t reply[MSR_REPLY_SIZE];
    uint8_t frame[MSR_REPLY_SIZE + FRAME_OVERHEAD_MAX];
    msr_reply(request, reply);
    size_t frame_len = frame_write(reply, sizeof(reply), frame, sizeof(frame));
    for (size_t i = 0; i < frame_len; i++) {
        fake_send_raw(fake, frame + i, 1);
    }
}

ANSWER(hang_up)
{
    fake_hang_up(fake);
}

ANSWER(hang_up_within_a_frame)
{
    uint8_t reply[MSR_REPLY_SIZE];
    uint8_t frame[MSR_REPLY_SIZE + FRAME_OVERHEAD_MAX];
    msr_reply(request, reply);
    fake_send_raw(fake, frame, frame_write(reply, sizeof(reply), frame, sizeof(frame)) - 5);
    fake_hang_up(fake);
}

// Faster than it can be looked at.
ANSWER(junk_in_bulk)
{
    enum { NUM_FRAMES = 4000, FRAME_SIZE = MSR_REPLY_SIZE + 8 };
    static _Thread_local uint8_t junk[NUM_FRAMES * FRAME_SIZE];
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    reply[4] ^= 1;
    for (size_t i = 0; i < NUM_FRAMES; i++) {
        (void)frame_write(reply, sizeof(reply), junk + i * FRAME_SIZE, FRAME_SIZE);
    }
    while (!fake_is_stopping(fake)) {
        fake_send_raw(fake, junk, sizeof(junk));
    }
}

static struct rule rules[] = {
    {"junk over TCP does not prolong the time", pttTcp, call_read_msr, answer_junk_in_bulk, TIMEOUT,
     false},
    {"the right reply ends a call over TCP", pttTcp, call_read_msr, answer_right, OK, false},
    {"the right reply ends a call over a Unix socket", pttPipe, call_read_msr, answer_right, OK,
     false},
    {"the right reply ends a call over a pty", pttSerial, call_read_msr, answer_right, OK, false},
    {"a wrong echo over TCP is invalid", pttTcp, call_read_msr, answer_wrong_echo, INVALID, false},
    {"text between frames costs nothing", pttTcp, call_read_msr, answer_text_first, OK, false},
    {"a frame with a bad checksum is dropped", pttTcp, call_read_msr, answer_bad_checksum_first, OK,
     false},
    {"a frame with a bad end is dropped", pttTcp, call_read_msr, answer_bad_end_first, OK, false},
    {"a frame with a bad k is dropped", pttTcp, call_read_msr, answer_bad_k_first, OK, false},
    {"a frame with a bad length is dropped", pttPipe, call_read_msr, answer_bad_length_first, OK,
     false},
    {"a good frame inside a bad one is found", pttTcp, call_read_msr, answer_frame_within_a_frame,
     OK, false},
    {"a frame that comes byte by byte is taken", pttTcp, call_read_msr, answer_byte_by_byte, OK,
     false},
    {"a second reply over TCP costs nothing", pttTcp, call_read_msr, answer_twice, OK, false},
    {"silence over TCP is a timeout", pttTcp, call_read_msr, answer_nothing, TIMEOUT, false},
    {"silence over a pty is a timeout", pttSerial, call_read_msr, answer_nothing, TIMEOUT, false},
    {"the last repeat over a pty is answered in time", pttSerial, call_read_msr, answer_late, OK,
     true},
    {"a TCP stream that closes is a lost connection", pttTcp, call_read_msr, answer_hang_up, LOST,
     false},
    {"a Unix stream that closes is a lost connection", pttPipe, call_read_msr, answer_hang_up, LOST,
     false},
    {"a stream that closes within a frame is a lost connection", pttTcp, call_read_msr,
     answer_hang_up_within_a_frame, LOST, false},
};

int main(void)
{
    struct CMUnitTest tests[sizeof(rules) / sizeof(rules[0])];
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        tests[i] = (struct CMUnitTest){rules[i].name, test_rule, NULL, NULL, &rules[i]};
    }
    return cmocka_run_group_tests_name("end of a call over a stream", tests, NULL, NULL);
}
