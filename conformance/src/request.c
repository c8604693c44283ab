// Submitting and waiting.

#include "engine.h"

enum { NS_PER_MS = 1000000, QUARTERS = 4 };

static enum protocol_version version_of(const struct pulse_engine *engine)
{
    return engine->version == PROTOCOL_V1 ? PROTOCOL_V1 : PROTOCOL_V2;
}

// The moment after this many quarters of the request time.
static int64_t quarter_end(const struct pulse_engine *engine, const struct pulse_request *request,
                           int quarters)
{
    return request->sent + (int64_t)engine->timeout_ms * NS_PER_MS / QUARTERS * quarters;
}

static void finish(struct pulse_request *request, PULSE_STATUS status)
{
    request->done = true;
    request->status = status;
}

static void finish_without_reply(const struct pulse_engine *engine, struct pulse_request *request,
                                 enum pulse_status status)
{
    request->reply.packet.kind = NUM_PACKET_KINDS;
    finish(request, engine_status(engine, status));
}

static void remove_outstanding(struct pulse_engine *engine, const struct pulse_request *request)
{
    struct pulse_request **at = &engine->outstanding;
    while (*at != NULL && *at != request) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = request->next;
    }
}

PULSE_STATUS request_submit(struct pulse_engine *engine, struct pulse_request *request,
                            struct packet *packet)
{
    request->id = engine->next_id++;
    if (engine->next_id == PACKET_NO_ID) {
        engine->next_id = 0;
    }
    request->kind = packet->kind;
    request->done = false;
    packet->header.version = (uint8_t)version_of(engine);
    packet->header.id = request->id;
    request->len = packet_write(packet, request->bytes, PACKET_MAX);
    request->sent = clock_now();
    enum pulse_status status = transport_send(engine->transport, request->bytes, request->len,
                                              quarter_end(engine, request, QUARTERS));
    if (status != STATUS_SUCCESS) {
        finish_without_reply(engine, request, status);
        return request->status;
    }
    request->next = engine->outstanding;
    engine->outstanding = request;
    return PULSE_STATUS_SUCCESS;
}

// Any answer to the question for the version decides it, by its byte 0.
static void settle_version(struct pulse_engine *engine, struct pulse_request *request,
                           struct packet_view packet)
{
    uint8_t version = packet.bytes[0];
    if (version != PROTOCOL_V1 && version != PROTOCOL_V2) {
        finish_without_reply(engine, request, STATUS_INVALID_PACKET);
        return;
    }
    engine->version = version;
    transport_set_version(engine->transport, version_of(engine));
    finish(request, PULSE_STATUS_SUCCESS);
}

static void deliver(struct pulse_engine *engine, struct packet_view packet)
{
    if (packet.len < PACKET_HEADER_SIZE || packet.len > packet_max(version_of(engine))) {
        return;
    }
    struct packet_header header = packet_header_read(packet.bytes);
    struct pulse_request *request = engine->outstanding;
    while (request != NULL && (request->done || request->id != header.id)) {
        request = request->next;
    }
    if (request == NULL) {
        return;
    }
    if (engine->version == 0) {
        settle_version(engine, request, packet);
        return;
    }
    struct question question = {version_of(engine), request->kind, request->bytes, request->len};
    PULSE_STATUS status = PULSE_STATUS_SUCCESS;
    if (exchange_judge(&question, packet, &status, &request->reply) == JUDGEMENT_END) {
        finish(request, status);
    }
}

// Receives until request is done or deadline has come. What is there already when it has come is
// still looked at, one packet of it.
static enum pulse_status pump(struct pulse_engine *engine, struct pulse_request *request,
                              int64_t deadline)
{
    while (!request->done) {
        bool is_over = clock_now() >= deadline;
        struct packet_view packet;
        enum pulse_status status = transport_receive(engine->transport, deadline, &packet);
        if (status != STATUS_SUCCESS) {
            return status;
        }
        if (packet.bytes != NULL) {
            deliver(engine, packet);
        }
        if (is_over && !request->done) {
            return STATUS_TIMEOUT;
        }
    }
    return STATUS_SUCCESS;
}

// Version 1 asks for the last reply again, on every transport; version 2 sends the identical packet
// where packets get lost.
static enum pulse_status repeat(struct pulse_engine *engine, const struct pulse_request *request)
{
    static const uint8_t resend[] = {PROTOCOL_V1, CLASS_RESEND, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    int64_t deadline = quarter_end(engine, request, QUARTERS);
    if (engine->version == PROTOCOL_V1) {
        return transport_send(engine->transport, resend, sizeof(resend), deadline);
    }
    if (transport_loses_packets(engine->transport)) {
        return transport_send(engine->transport, request->bytes, request->len, deadline);
    }
    return STATUS_SUCCESS;
}

PULSE_STATUS request_wait(struct pulse_engine *engine, struct pulse_request *request)
{
    enum pulse_status status = STATUS_SUCCESS;
    for (int quarter = 1; quarter <= QUARTERS && !request->done; quarter++) {
        status = pump(engine, request, quarter_end(engine, request, quarter));
        if (status == STATUS_TIMEOUT && quarter < QUARTERS) {
            status = repeat(engine, request);
        }
        if (status != STATUS_SUCCESS) {
            break;
        }
    }
    remove_outstanding(engine, request);
    if (!request->done) {
        bool is_silence = status == STATUS_TIMEOUT && engine->version == PROTOCOL_V1;
        finish_without_reply(engine, request, is_silence ? STATUS_NO_PACKET : status);
    }
    return request->status;
}

PULSE_STATUS engine_execute(struct pulse_engine *engine, struct packet *packet,
                            const struct reply **out_reply)
{
    const struct packet_info *info = packet_info(packet->kind);
    struct pulse_request *request = &engine->request;
    *out_reply = &request->reply;
    if (engine->version == PROTOCOL_V1 ? !info->in_v1 : !info->in_v2) {
        request->reply.packet.kind = NUM_PACKET_KINDS;
        return engine_status(engine, STATUS_NOT_SUPPORTED);
    }
    PULSE_STATUS status = request_submit(engine, request, packet);
    return status == PULSE_STATUS_SUCCESS ? request_wait(engine, request) : status;
}
