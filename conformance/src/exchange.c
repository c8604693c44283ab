#include "exchange.h"

#include <string.h>

#include "protocol/bytes.h"

enum outputs { OUTPUTS_NONE, OUTPUTS_SOME, OUTPUTS_COUNT };

struct exchange {
    uint8_t reply;
    uint8_t outputs;
    uint8_t echo; // 0: no row
    uint8_t length;
};

static const struct exchange exchanges[NUM_PACKET_KINDS] = {
#define EXCHANGE(request, reply, outputs, echo, length)                                            \
    [PACKET_##request] = {PACKET_##reply, OUTPUTS_##outputs, echo, length},
#include "exchanges.def"
};

_Static_assert(NUM_PACKET_KINDS <= UINT8_MAX, "a kind fits the rows");

static enum judgement end_with(const struct question *question, enum pulse_status status,
                               PULSE_STATUS *out_status, struct reply *out_reply)
{
    if (status != STATUS_SUCCESS) {
        out_reply->packet.kind = NUM_PACKET_KINDS;
    }
    *out_status = status_number(status, question->version);
    return JUDGEMENT_END;
}

struct packet_view reply_data(const struct reply *reply)
{
    size_t head = packet_size(reply->packet.kind);
    return (struct packet_view){reply->view.bytes + head, reply->view.len - head};
}

// The reply repeats what was asked, but for the number of bytes, which lies among it for ports.
static bool echoes(const struct exchange *exchange, const struct question *question,
                   const uint8_t *reply)
{
    for (size_t i = PACKET_HEADER_SIZE; i < exchange->echo; i++) {
        bool is_length = exchange->length != 0 && i - exchange->length < 4;
        if (!is_length && reply[i] != question->bytes[i]) {
            return false;
        }
    }
    return true;
}

static uint64_t asked_number(const struct question *question, size_t offset, size_t size)
{
    return load_le(question->bytes + offset, size);
}

// Something moved, and no more than was asked for.
static bool length_fits(const struct exchange *exchange, const struct question *question,
                        const struct reply *reply)
{
    if (exchange->length == 0) {
        return true;
    }
    bool is_write = exchange->outputs == OUTPUTS_COUNT;
    uint64_t moved = is_write ? load_le(reply->view.bytes + 8, 8) : reply_data(reply).len;
    uint64_t asked = asked_number(question, exchange->length, 4);
    bool none_moved = moved == 0 && asked != 0;
    return moved <= asked && !(none_moved && question->version == PROTOCOL_V2);
}

static bool entries_fit(const struct packet *walk)
{
    static const uint8_t most[] = {0, 2, 3, 4, 5};
    return walk->walk.mode < sizeof(most) && walk->walk.count <= most[walk->walk.mode];
}

// What no echo and no length tells.
static bool fields_fit(const struct question *question, const struct packet *reply)
{
    if (reply->kind == PACKET_CONTEXT) {
        return reply->context.mask == asked_number(question, 8, 8);
    }
    if (reply->kind == PACKET_EXTENDED_CONTEXT) {
        return (reply->extended_context.mask & ~asked_number(question, 9, 8)) == 0;
    }
    if (reply->kind == PACKET_WALK) {
        return entries_fit(reply);
    }
    if (reply->kind == PACKET_BREAKPOINTS) {
        return reply->breakpoints.count <= asked_number(question, 10, 2);
    }
    if (reply->kind == PACKET_FILTERS) {
        return reply->filters.count <= asked_number(question, 12, 2);
    }
    if (question->kind == PACKET_SET_BREAKPOINT || question->kind == PACKET_ADD_FILTER) {
        return reply->success.value <= UINT16_MAX;
    }
    return true;
}

// A status number as the call's own; its upper half is zero in version 2 and means nothing in 1.
static enum judgement judge_status(const struct question *question, PULSE_STATUS *out_status,
                                   struct reply *out_reply)
{
    uint64_t number = out_reply->packet.status.status;
    bool is_v2 = question->version == PROTOCOL_V2;
    uint8_t outputs = exchanges[question->kind].outputs;
    bool promises = outputs == OUTPUTS_SOME || (outputs == OUTPUTS_COUNT && is_v2);
    if ((is_v2 && number > UINT32_MAX) || (promises && PULSE_SUCCESS(number))) {
        return end_with(question, STATUS_INVALID_PACKET, out_status, out_reply);
    }
    *out_status = (PULSE_STATUS)number;
    return JUDGEMENT_END;
}

static enum judgement judge_v2(const struct question *question, enum packet_error error,
                               PULSE_STATUS *out_status, struct reply *out_reply)
{
    const struct exchange *exchange = &exchanges[question->kind];
    struct packet *packet = &out_reply->packet;
    if (packet->header.version != PROTOCOL_V2 || error != PACKET_OK) {
        return end_with(question, STATUS_INVALID_PACKET, out_status, out_reply);
    }
    if (packet->kind == PACKET_STATUS) {
        return judge_status(question, out_status, out_reply);
    }
    bool valid = (int)packet->kind == exchange->reply &&
                 echoes(exchange, question, out_reply->view.bytes) &&
                 length_fits(exchange, question, out_reply) && fields_fit(question, packet);
    return end_with(question, valid ? STATUS_SUCCESS : STATUS_INVALID_PACKET, out_status,
                    out_reply);
}

// As the 2018 client: a packet of a wrong length is thrown away, byte 0 and the echo mean nothing.
static enum judgement judge_v1(const struct question *question, enum packet_error error,
                               PULSE_STATUS *out_status, struct reply *out_reply)
{
    const struct exchange *exchange = &exchanges[question->kind];
    struct packet *packet = &out_reply->packet;
    if (error != PACKET_OK) {
        return JUDGEMENT_IGNORE;
    }
    if (packet->kind == PACKET_STATUS) {
        return judge_status(question, out_status, out_reply);
    }
    bool notified = packet_info(question->kind)->class == CLASS_CONTROL &&
                    packet_info(packet->kind)->class == CLASS_NOTIFICATION;
    bool valid = (int)packet->kind == exchange->reply &&
                 length_fits(exchange, question, out_reply) &&
                 (packet->kind != PACKET_WALK || packet->walk.count <= 4);
    return end_with(question, valid || notified ? STATUS_SUCCESS : STATUS_INVALID_PACKET,
                    out_status, out_reply);
}

enum judgement exchange_judge(const struct question *question, struct packet_view packet,
                              PULSE_STATUS *out_status, struct reply *out_reply)
{
    out_reply->view = packet;
    enum packet_error error =
        packet_read(question->version, packet.bytes, packet.len, &out_reply->packet);
    return question->version == PROTOCOL_V2 ? judge_v2(question, error, out_status, out_reply)
                                            : judge_v1(question, error, out_status, out_reply);
}
