#ifndef SIM_SESSION_H
#define SIM_SESSION_H

// A session is what the server knows of one peer: a connection, a pty, a UDP address and port. It
// stands between a transport and the debuggee: holds packets back that must wait, and lets the bugs
// have their way with the replies.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bugs.h"
#include "instance.h"
#include "protocol/debuggee.h"
#include "trace.h"

// How a transport takes what a session sends. Neither call may close the session.
struct session_transport {
    // One packet, in a frame that is spoilt as faults say where there are frames.
    void (*send)(struct session *session, const uint8_t *packet, size_t len,
                 const struct frame_faults *faults);
    // Log text outside of packets, len bytes with CR LF at the end. May be dropped.
    void (*send_text)(struct session *session, const char *text, size_t len);
    // The session takes packets again, after session_can_receive was false. NULL: nobody waits.
    void (*resume)(struct session *session);
};

struct held_packet;
struct late_reply;

struct session {
    const struct session_transport *transport;
    struct instance *instance;
    struct debuggee_peer peer;
    LIST_ENTRY(session) in_instance;
    LIST_ENTRY(session) in_waiting;
    TAILQ_HEAD(, held_packet) held; // packets that wait, in order of arrival
    size_t num_held;
    bool blocked;         // set by a transport whose output is stuck: feed nothing
    uint64_t heard_ms;    // loop time of the last packet
    uint64_t num_replies; // sent so far
    LIST_HEAD(, late_reply) late;
    struct trace_peer trace_peer;
};

// Begins the session of a new peer, all-zero but for transport and peer.memory. False, with a line
// on standard error, when it is to have a machine of its own and that cannot be built.
bool session_open(struct session *session, struct server *server);

// The peer is gone.
void session_close(struct session *session);

// Greets the peer: what a debuggee sends unasked, which is nothing unless a bug makes it.
void session_greet(struct session *session);

// Takes one packet. The bytes are not needed afterwards.
void session_receive(struct session *session, const uint8_t *packet, size_t len);

// False while a transport that can wait should leave packets where they are.
bool session_can_receive(const struct session *session);

// Feeds what is held back and may be fed now.
void session_drain(struct session *session);

// Logs that the peer sent a bad frame.
void session_bad_frame(struct session *session, enum pulse_status error);

// What struct debuggee calls; user is not used.
void session_reply(void *user, struct debuggee_peer *peer, const uint8_t *packet, size_t len);

// Sends a delivery after its delay. Dropped when the session closes before that.
void session_reply_later(struct session *session, const struct delivery *delivery);
void session_drop_late(struct session *session);

// Hands one copy of a delivery to the transport.
void session_deliver(struct session *session, const struct delivery *delivery);

#endif
