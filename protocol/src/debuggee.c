// What happens to a packet before anything is asked of the target: which version it speaks, whether
// it is a repeat, whether it may be served now.

#include "protocol/debuggee.h"

#include <string.h>

#include "exchange.h"
#include "protocol/bytes.h"

exchange_handler *exchange_handler_of(enum packet_kind kind)
{
    static exchange_handler *const handlers[NUM_PACKET_KINDS] = {
        [PACKET_PING] = answer_ping,
        [PACKET_GET_CONTEXT] = answer_get_context,
        [PACKET_SET_CONTEXT] = answer_set_context,
        [PACKET_GET_EXTENDED_CONTEXT] = answer_get_extended_context,
        [PACKET_GET_EXTENDED_CONTEXT_V1] = answer_get_extended_context_v1,
        [PACKET_SET_EXTENDED_CONTEXT] = answer_set_extended_context,
        [PACKET_SET_EXTENDED_CONTEXT_V1] = answer_set_extended_context_v1,
        [PACKET_READ_VIRTUAL] = answer_read_virtual,
        [PACKET_WRITE_VIRTUAL] = answer_write_virtual,
        [PACKET_READ_LINEAR] = answer_read_linear,
        [PACKET_WRITE_LINEAR] = answer_write_linear,
        [PACKET_READ_PHYSICAL] = answer_read_physical,
        [PACKET_WRITE_PHYSICAL] = answer_write_physical,
        [PACKET_READ_IO] = answer_read_io,
        [PACKET_WRITE_IO] = answer_write_io,
        [PACKET_GET_STATE] = answer_get_state,
        [PACKET_GET_CPU_INFO] = answer_get_cpu_info,
        [PACKET_CPUID] = answer_cpuid,
        [PACKET_SET_BREAKPOINT] = answer_set_breakpoint,
        [PACKET_REMOVE_BREAKPOINT] = answer_remove_breakpoint,
        [PACKET_REMOVE_BREAKPOINT_V1] = answer_remove_breakpoint_v1,
        [PACKET_ADD_FILTER] = answer_add_filter,
        [PACKET_ADD_FILTER_V1] = answer_add_filter_v1,
        [PACKET_REMOVE_FILTER] = answer_remove_filter,
        [PACKET_REMOVE_FILTER_V1] = answer_remove_filter_v1,
        [PACKET_READ_MSR] = answer_read_msr,
        [PACKET_WRITE_MSR] = answer_write_msr,
        [PACKET_SEARCH_VIRTUAL] = answer_search_virtual,
        [PACKET_SEARCH_LINEAR] = answer_search_linear,
        [PACKET_SEARCH_PHYSICAL] = answer_search_physical,
        [PACKET_WALK_VIRTUAL] = answer_walk_virtual,
        [PACKET_WALK_LINEAR] = answer_walk_linear,
        [PACKET_VIRTUAL_TO_PHYSICAL] = answer_virtual_to_physical,
        [PACKET_LINEAR_TO_PHYSICAL] = answer_linear_to_physical,
        [PACKET_LIST_BREAKPOINTS] = answer_list_breakpoints,
        [PACKET_LIST_BREAKPOINTS_V1] = answer_list_breakpoints_v1,
        [PACKET_LIST_FILTERS] = answer_list_filters,
        [PACKET_LIST_FILTERS_V1] = answer_list_filters_v1,
        [PACKET_CLEAR_BREAKPOINTS] = answer_clear_breakpoints,
        [PACKET_GET_TARGET_INFO] = answer_get_target_info,
        [PACKET_BREAK_IN] = answer_break_in,
        [PACKET_GO] = answer_go,
        [PACKET_STEP] = answer_step,
        [PACKET_STEP_SUPPRESSED] = answer_step_suppressed,
        [PACKET_SWITCH_CPU] = answer_switch_cpu,
        [PACKET_REBOOT] = answer_reboot,
    };
    return kind < NUM_PACKET_KINDS ? handlers[kind] : NULL;
}

static void finish(struct packet *reply, enum protocol_version version, uint32_t id)
{
    reply->header.version = (uint8_t)version;
    reply->header.id = id;
}

void exchange_reply(struct exchange *x, struct packet *reply)
{
    finish(reply, x->version, x->id);
    x->peer->reply_len = packet_write(reply, x->peer->memory, PACKET_MAX);
    x->debuggee->send(x->debuggee->user, x->peer, x->peer->memory, x->peer->reply_len);
}

// Sends a reply that is not kept for repeats.
static void send_aside(struct exchange *x, struct packet *reply)
{
    struct debuggee_peer *peer = x->peer;
    finish(reply, x->version, x->id);
    size_t len = packet_write(reply, peer->aside, sizeof(peer->aside));
    x->debuggee->send(x->debuggee->user, peer, peer->aside, len);
}

void exchange_reply_aside(struct exchange *x, struct packet *reply)
{
    if (x->peer->has_request && x->peer->last_id == x->id) {
        exchange_reply(x, reply);
    } else {
        send_aside(x, reply);
    }
}

void exchange_value(struct exchange *x, uint64_t value)
{
    struct packet reply = {.kind = PACKET_SUCCESS, .success = {.value = value}};
    exchange_reply(x, &reply);
}

void exchange_status(struct exchange *x, enum pulse_status status)
{
    struct packet reply = {.kind = PACKET_STATUS};
    reply.status.status = status_number(status, x->version);
    exchange_reply(x, &reply);
}

void exchange_outcome(struct exchange *x, enum pulse_status status)
{
    if (status == STATUS_SUCCESS) {
        exchange_value(x, 0);
    } else {
        exchange_status(x, status);
    }
}

uint8_t *exchange_tail(struct exchange *x, enum packet_kind kind)
{
    return x->peer->memory + packet_size(kind);
}

size_t exchange_tail_max(const struct exchange *x, enum packet_kind kind)
{
    return packet_max(x->version) - packet_size(kind);
}

bool exchange_is_compat(const struct exchange *x)
{
    return x->version == PROTOCOL_V1 && x->debuggee->compat_2018_client;
}

// The bytes of the peer's last request, kept for comparison.
static uint8_t *last_request(const struct debuggee_peer *peer)
{
    return peer->memory + PACKET_MAX;
}

static bool is_same_request(const struct debuggee_peer *peer, const uint8_t *bytes, size_t len)
{
    return peer->last_len == len && memcmp(last_request(peer), bytes, len) == 0;
}

static void send_again(struct debuggee *debuggee, struct debuggee_peer *peer)
{
    if (peer->reply_len != 0) {
        debuggee->send(debuggee->user, peer, peer->memory, peer->reply_len);
    }
}

static bool is_old_id(const struct debuggee_peer *peer, uint32_t id)
{
    unsigned known = peer->num_old_ids < DEBUGGEE_OLD_IDS ? peer->num_old_ids : DEBUGGEE_OLD_IDS;
    for (unsigned i = 0; i < known; i++) {
        if (peer->old_ids[i] == id) {
            return true;
        }
    }
    return false;
}

// Clauses D-REP: is this the peer's last request once more, or one from before it? If so, it has
// been dealt with; else it becomes the last request, without a reply so far.
static bool is_repeat(struct debuggee *debuggee, struct exchange *x, const uint8_t *bytes,
                      size_t len)
{
    struct debuggee_peer *peer = x->peer;
    bool is_v2 = x->version == PROTOCOL_V2;
    bool same_id = peer->has_request && peer->last_id == x->id;
    if (same_id && (!is_v2 || is_same_request(peer, bytes, len))) {
        send_again(debuggee, peer);
        return true;
    }
    if (is_v2 && !same_id && is_old_id(peer, x->id)) {
        return true;
    }
    if (peer->has_request && !same_id) {
        peer->old_ids[peer->num_old_ids++ % DEBUGGEE_OLD_IDS] = peer->last_id;
    }
    peer->has_request = true;
    peer->last_id = x->id;
    peer->reply_len = 0;
    if (is_v2) {
        peer->last_len = len;
        memcpy(last_request(peer), bytes, len);
    }
    return false;
}

static enum protocol_version version_of(const struct debuggee *debuggee, uint8_t first_byte)
{
    if (debuggee->versions == DEBUGGEE_ANY) {
        return first_byte == PROTOCOL_V2 ? PROTOCOL_V2 : PROTOCOL_V1;
    }
    return debuggee->versions == DEBUGGEE_V2 ? PROTOCOL_V2 : PROTOCOL_V1;
}

// Version 2 while the target runs, and both versions while a step waits (clauses D-RUN).
static enum pulse_status refusal(const struct exchange *x, const struct packet *packet)
{
    struct target_state state;
    x->debuggee->ops->get_state(x->debuggee->target, &state);
    bool is_v2 = x->version == PROTOCOL_V2;
    bool is_control = packet->header.class == CLASS_CONTROL;
    enum packet_kind kind = packet->kind;
    if (x->debuggee->stepper && (is_v2 || is_control)) {
        bool is_served = kind == PACKET_BREAK_IN || kind == PACKET_GET_STATE || kind == PACKET_PING;
        return is_served ? STATUS_SUCCESS : STATUS_TARGET_NOT_STOPPED;
    }
    if (!is_v2 || !state.running) {
        return STATUS_SUCCESS;
    }
    bool needs_stop = kind == PACKET_SET_CONTEXT || kind == PACKET_SET_BREAKPOINT ||
                      kind == PACKET_REMOVE_BREAKPOINT || kind == PACKET_ADD_FILTER ||
                      kind == PACKET_REMOVE_FILTER || kind == PACKET_LIST_BREAKPOINTS ||
                      kind == PACKET_LIST_FILTERS || kind == PACKET_CLEAR_BREAKPOINTS ||
                      kind == PACKET_STEP || kind == PACKET_STEP_SUPPRESSED ||
                      kind == PACKET_SWITCH_CPU;
    return needs_stop ? STATUS_TARGET_NOT_STOPPED : STATUS_SUCCESS;
}

static void serve(struct exchange *x, const uint8_t *bytes, size_t len)
{
    struct packet packet;
    if (x->id == PACKET_NO_ID && x->version == PROTOCOL_V2) {
        exchange_status(x, STATUS_INVALID_PACKET);
        return;
    }
    if (packet_read(x->version, bytes, len, &packet) != PACKET_OK) {
        exchange_status(x, STATUS_INVALID_PACKET);
        return;
    }
    exchange_handler *handler = exchange_handler_of(packet.kind);
    if (!handler) {
        exchange_status(x, STATUS_NOT_SUPPORTED);
        return;
    }
    enum pulse_status status = refusal(x, &packet);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    handler(x, &packet);
}

// Class 5: the last reply once more. A version 2 client names the request it means.
static void serve_resend(struct exchange *x, const struct packet_header *header, size_t len)
{
    if (header->type != 0 || len != PACKET_HEADER_SIZE) {
        struct packet reply = {.kind = PACKET_STATUS};
        reply.status.status = status_number(STATUS_INVALID_PACKET, x->version);
        send_aside(x, &reply);
        return;
    }
    if (x->version == PROTOCOL_V1 || (x->peer->has_request && x->peer->last_id == header->id)) {
        send_again(x->debuggee, x->peer);
    }
}

// The 2018 client sends port writes of up to 16,393 bytes; they are refused, not dropped, because
// it would repeat an unanswered one for ever.
static bool is_too_long(const struct exchange *x, const struct packet_header *header, size_t len)
{
    enum { LONGEST_WRITE_IO = 16393, WRITE_IO = 12 };
    if (x->version == PROTOCOL_V1 && header->class == CLASS_REQUEST && header->type == WRITE_IO) {
        return len > LONGEST_WRITE_IO;
    }
    return len > packet_max(x->version);
}

void debuggee_receive(struct debuggee *debuggee, struct debuggee_peer *peer, const uint8_t *packet,
                      size_t len)
{
    if (len < PACKET_HEADER_SIZE) {
        return;
    }
    struct packet_header header = packet_header_read(packet);
    struct exchange x = {debuggee, peer, version_of(debuggee, header.version), header.id};
    bool is_request = header.class == CLASS_REQUEST || header.class == CLASS_CONTROL;
    if (is_too_long(&x, &header, len) || !(is_request || header.class == CLASS_RESEND)) {
        return;
    }
    bool is_foreign = x.version == PROTOCOL_V2 && header.version != PROTOCOL_V2;
    if (!is_request) {
        if (!is_foreign) {
            serve_resend(&x, &header, len);
        }
        return;
    }
    if (is_repeat(debuggee, &x, packet, len)) {
        return;
    }
    if (!debuggee_is_urgent(packet, len)) {
        search_cancel(debuggee, peer);
    }
    if (is_foreign) {
        exchange_status(&x, STATUS_INVALID_PACKET);
        return;
    }
    serve(&x, packet, len);
}

bool debuggee_is_urgent(const uint8_t *packet, size_t len)
{
    return len == PACKET_HEADER_SIZE && packet[1] == CLASS_CONTROL && load_le(packet + 2, 2) == 0;
}

void debuggee_forget(struct debuggee *debuggee, struct debuggee_peer *peer)
{
    search_cancel(debuggee, peer);
    if (debuggee->stepper == peer) {
        debuggee->stepper = NULL;
        debuggee->ops->cancel_step(debuggee->target);
    }
}
