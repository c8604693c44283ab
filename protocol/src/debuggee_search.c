// Searches. They run in slices so that none can starve the other peers.

#include <string.h>

#include "exchange.h"

bool debuggee_is_busy(const struct debuggee_peer *peer)
{
    return peer->is_searching;
}

static void link_peer(struct debuggee *debuggee, struct debuggee_peer *peer)
{
    peer->is_searching = true;
    peer->next_searching = debuggee->searching;
    debuggee->searching = peer;
}

void search_cancel(struct debuggee *debuggee, struct debuggee_peer *peer)
{
    if (!peer->is_searching) {
        return;
    }
    struct debuggee_peer **link = &debuggee->searching;
    while (*link != peer) {
        link = &(*link)->next_searching;
    }
    *link = peer->next_searching;
    peer->is_searching = false;
}

static void answer_late(struct debuggee *debuggee, struct debuggee_peer *peer,
                        enum pulse_status status, uint64_t address)
{
    struct packet reply = {.kind = PACKET_SEARCH_HIT, .search_hit = {.address = address}};
    if (status != STATUS_SUCCESS) {
        reply.kind = PACKET_STATUS;
        reply.status.status = status_number(status, peer->search_ticket.version);
    }
    struct exchange x = {debuggee, peer, peer->search_ticket.version, peer->search_ticket.id};
    exchange_reply_aside(&x, &reply);
}

void search_cancel_all(struct debuggee *debuggee)
{
    while (debuggee->searching) {
        struct debuggee_peer *peer = debuggee->searching;
        search_cancel(debuggee, peer);
        answer_late(debuggee, peer, STATUS_TIMEOUT, 0);
    }
}

// The searches take turns: with a slice of each, many would hold up what the caller does between
// two calls for as long as all their slices take.
static void send_to_the_end(struct debuggee *debuggee, struct debuggee_peer *peer)
{
    struct debuggee_peer **link = &debuggee->searching;
    *link = peer->next_searching;
    while (*link) {
        link = &(*link)->next_searching;
    }
    *link = peer;
    peer->next_searching = NULL;
}

bool debuggee_continue(struct debuggee *debuggee)
{
    struct debuggee_peer *peer = debuggee->searching;
    if (!peer) {
        return false;
    }
    uint64_t address = 0;
    enum pulse_status status = debuggee->ops->search(debuggee->target, &peer->search, &address);
    if (status == STATUS_PENDING) {
        send_to_the_end(debuggee, peer);
        return true;
    }
    search_cancel(debuggee, peer);
    answer_late(debuggee, peer, status, address);
    return debuggee->searching != NULL;
}

static bool is_valid(const struct exchange *x, const struct target_search *search, uint8_t gaps)
{
    bool has_pattern = search->pattern_len >= 1 && search->pattern_len <= PATTERN_MAX;
    bool has_step = search->step != 0 || search->start == search->end;
    return has_pattern && has_step && (gaps <= 1 || x->version == PROTOCOL_V1);
}

static void search_begin(struct exchange *x, const struct target_search *params,
                         const uint8_t *pattern, uint8_t gaps)
{
    if (!is_valid(x, params, gaps)) {
        exchange_status(x, STATUS_INVALID_PARAMETER);
        return;
    }
    struct debuggee_peer *peer = x->peer;
    peer->search = *params;
    peer->search.ignore_gaps = gaps == 1;
    peer->search.page_wise_end = x->version == PROTOCOL_V1;
    memcpy(peer->search.pattern, pattern, params->pattern_len);
    peer->search_ticket = (struct debuggee_ticket){x->version, x->id};
    uint64_t address = 0;
    enum pulse_status status =
        x->debuggee->ops->search(x->debuggee->target, &peer->search, &address);
    if (status == STATUS_PENDING) {
        link_peer(x->debuggee, peer);
        return;
    }
    answer_late(x->debuggee, peer, status, address);
}

void answer_search_virtual(struct exchange *x, const struct packet *packet)
{
    const struct packet_search_virtual *request = &packet->search_virtual;
    struct target_search search = {
        .where = {TARGET_VIRTUAL, request->selector, request->root, 0},
        .start = request->start,
        .end = request->end,
        .step = request->step,
        .pattern_len = request->length,
    };
    search_begin(x, &search, request->pattern, request->ignore_gaps);
}

void answer_search_linear(struct exchange *x, const struct packet *packet)
{
    const struct packet_search_linear *request = &packet->search_linear;
    struct target_search search = {
        .where = {TARGET_LINEAR, 0, request->root, 0},
        .start = request->start,
        .end = request->end,
        .step = request->step,
        .pattern_len = request->length,
    };
    search_begin(x, &search, request->pattern, request->ignore_gaps);
}

void answer_search_physical(struct exchange *x, const struct packet *packet)
{
    const struct packet_search_physical *request = &packet->search_physical;
    struct target_search search = {
        .where = {.space = TARGET_PHYSICAL},
        .start = request->start,
        .end = request->end,
        .step = request->step,
        .pattern_len = request->length,
    };
    search_begin(x, &search, request->pattern, request->ignore_gaps);
}
