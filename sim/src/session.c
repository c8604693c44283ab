#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "server.h"

// A packet that waits for its turn.
struct held_packet {
    TAILQ_ENTRY(held_packet) next;
    size_t len;
    uint8_t bytes[];
};

enum {
    HELLO_TYPE = 0,           // of class NOTIFICATION: a debuggee is here
    FIRST_TRACE_PORT = 49152, // of the ports that nobody registers
    NUM_TRACE_PORTS = 16384,
};

static struct session *session_of(struct debuggee_peer *peer)
{
    return (struct session *)(void *)((char *)peer - offsetof(struct session, peer));
}

bool session_open(struct session *session, struct server *server)
{
    session->instance = server->shared ? server->shared : instance_new(server);
    if (!session->instance) {
        return false;
    }
    TAILQ_INIT(&session->held);
    LIST_INIT(&session->late);
    LIST_INSERT_HEAD(&session->instance->sessions, session, in_instance);
    session->heard_ms = uv_now(&server->loop);
    uint64_t number = server->num_sessions++;
    if (session->trace_peer.ipv4 == 0) {
        session->trace_peer = (struct trace_peer){
            TRACE_LOOPBACK, (uint16_t)(FIRST_TRACE_PORT + number % NUM_TRACE_PORTS)};
    }
    return true;
}

// The head of the packets that wait is fed or given up.
static void release(struct session *session, struct held_packet *packet)
{
    TAILQ_REMOVE(&session->held, packet, next);
    free(packet);
    if (--session->num_held == 0) {
        LIST_REMOVE(session, in_waiting);
    }
}

void session_close(struct session *session)
{
    struct instance *instance = session->instance;
    debuggee_forget(&instance->debuggee, &session->peer);
    while (!TAILQ_EMPTY(&session->held)) {
        release(session, TAILQ_FIRST(&session->held));
    }
    session_drop_late(session);
    LIST_REMOVE(session, in_instance);
    if (instance != instance->server->shared) {
        instance_free(instance);
    }
}

static void hold(struct session *session, const uint8_t *packet, size_t len)
{
    struct held_packet *held = malloc(sizeof(*held) + len);
    if (!held) {
        return; // as if it had been lost on the way
    }
    held->len = len;
    memcpy(held->bytes, packet, len);
    TAILQ_INSERT_TAIL(&session->held, held, next);
    if (session->num_held++ == 0) {
        LIST_INSERT_HEAD(&session->instance->server->waiting, session, in_waiting);
    }
}

// True when packet asks once more for an answer that is under way. The peer will have it, and a
// second one would cost the 2018 client a receive buffer.
static bool is_repeat(const struct session *session, const uint8_t *packet)
{
    struct packet_header header = packet_header_read(packet);
    bool busy = debuggee_is_busy(&session->peer);
    if (header.class == CLASS_RESEND) {
        return busy || session->num_held != 0;
    }
    if (busy && header.id == session->peer.last_id) {
        return true;
    }
    const struct held_packet *held = NULL;
    TAILQ_FOREACH(held, &session->held, next)
    {
        if (packet_header_read(held->bytes).id == header.id) {
            return true;
        }
    }
    return false;
}

bool session_can_receive(const struct session *session)
{
    return !session->blocked && session->num_held < DEBUGGEE_OUTSTANDING;
}

static bool must_wait(const struct session *session)
{
    return session->num_held != 0 || session->blocked || debuggee_is_busy(&session->peer) ||
           instance_is_polling(session->instance);
}

static void wait_in_line(struct session *session, const uint8_t *packet, size_t len)
{
    bool room = session->num_held < DEBUGGEE_OUTSTANDING || debuggee_is_urgent(packet, len);
    if (len < PACKET_HEADER_SIZE || !room || is_repeat(session, packet)) {
        return;
    }
    hold(session, packet, len);
    session_drain(session);
}

void session_receive(struct session *session, const uint8_t *packet, size_t len)
{
    struct server *server = session->instance->server;
    session->heard_ms = uv_now(&server->loop);
    if (server->trace) {
        trace_packet(server->trace, TRACE_REQUEST, &session->trace_peer, packet, len);
    }
    if (must_wait(session)) {
        wait_in_line(session, packet, len);
    } else {
        instance_receive(session->instance, session, packet, len);
    }
}

// The next packet that may be fed now: the oldest, or during a search the oldest urgent one.
static struct held_packet *next_held(const struct session *session)
{
    if (session->blocked || instance_is_polling(session->instance)) {
        return NULL;
    }
    if (!debuggee_is_busy(&session->peer)) {
        return TAILQ_FIRST(&session->held);
    }
    struct held_packet *held = NULL;
    TAILQ_FOREACH(held, &session->held, next)
    {
        if (debuggee_is_urgent(held->bytes, held->len)) {
            return held;
        }
    }
    return NULL;
}

void session_drain(struct session *session)
{
    struct held_packet *held = next_held(session);
    while (held) {
        instance_receive(session->instance, session, held->bytes, held->len);
        release(session, held);
        held = next_held(session);
    }
    if (session->num_held != 0 && instance_is_polling(session->instance)) {
        server_await_tick(session->instance->server);
    }
}

void session_bad_frame(struct session *session, enum pulse_status error)
{
    char line[CONSOLE_LINE];
    (void)snprintf(line, sizeof(line), "Can't read packet: %016" PRIX64,
                   (uint64_t)status_number(error, PROTOCOL_V1));
    instance_log(session->instance, line);
}

void session_deliver(struct session *session, const struct delivery *delivery)
{
    struct server *server = session->instance->server;
    if (server->trace) {
        trace_packet(server->trace, TRACE_REPLY, &session->trace_peer, delivery->packet,
                     delivery->len);
    }
    session->transport->send(session, delivery->packet, delivery->len, &delivery->faults);
}

static void deliver_copies(struct session *session, const struct delivery *delivery)
{
    static const char text[] = "text before a reply\r\n";
    if (delivery->text_before) {
        session->transport->send_text(session, text, sizeof(text) - 1);
    }
    for (unsigned i = 0; i < delivery->copies; i++) {
        if (delivery->delay_ms) {
            session_reply_later(session, delivery);
        } else {
            session_deliver(session, delivery);
        }
    }
}

void session_reply(void *user, struct debuggee_peer *peer, const uint8_t *packet, size_t len)
{
    (void)user;
    struct session *session = session_of(peer);
    struct server *server = session->instance->server;
    struct delivery delivery = {.packet = packet, .len = len};
    if (!server->bugs.any) {
        session_deliver(session, &delivery);
        return;
    }
    delivery.scratch = server->scratch;
    delivery.num_replies = session->num_replies++;
    bugs_apply(&server->bugs, &delivery);
    deliver_copies(session, &delivery);
}

void session_greet(struct session *session)
{
    struct server *server = session->instance->server;
    if (!server->bugs.on[BUG_HELLO]) {
        return;
    }
    uint8_t version = server->options->versions == DEBUGGEE_V2 ? PROTOCOL_V2 : PROTOCOL_V1;
    uint8_t hello[PACKET_HEADER_SIZE] = {
        version, CLASS_NOTIFICATION, HELLO_TYPE, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    session_deliver(session, &(struct delivery){.packet = hello, .len = sizeof(hello)});
}
