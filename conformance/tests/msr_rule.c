#include "msr_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

PULSE_STATUS call_read_msr(PPS_ENGINE engine)
{
    uint64_t value = 0;
    PULSE_STATUS status = PsReadMsr(engine, MSR, &value);
    assert_int_equal(value, status == PULSE_STATUS_SUCCESS ? MSR_VALUE : 0);
    return status;
}

void msr_reply(const uint8_t *request, uint8_t *out)
{
    struct packet reply = {.kind = PACKET_MSR_DATA, .msr_data = {.index = MSR, .value = MSR_VALUE}};
    size_t len = reply_bytes(request, &reply, out, MSR_REPLY_SIZE);
    assert_int_equal(len, MSR_REPLY_SIZE);
}

void answer_right(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)len;
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    fake_send(fake, reply, sizeof(reply));
}

void answer_with_byte(struct fake *fake, const uint8_t *request, size_t offset, uint8_t byte)
{
    uint8_t reply[MSR_REPLY_SIZE];
    msr_reply(request, reply);
    reply[offset] = byte;
    fake_send(fake, reply, sizeof(reply));
}

void answer_wrong_echo(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)len;
    answer_with_byte(fake, request, 8, 0x75);
}

void answer_text_first(struct fake *fake, const uint8_t *request, size_t len)
{
    fake_send_raw(fake, (const uint8_t *)"hello\r\n", 7);
    answer_right(fake, request, len);
}

void answer_twice(struct fake *fake, const uint8_t *request, size_t len)
{
    answer_right(fake, request, len);
    answer_right(fake, request, len);
}

void answer_late(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)request;
    if (fake->num_packets == 4) {
        uint8_t first[FAKE_LOG_BYTES];
        memcpy(first, fake->log[0].bytes, sizeof(first));
        answer_right(fake, first, len);
    }
}
