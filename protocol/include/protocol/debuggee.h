#ifndef PROTOCOL_DEBUGGEE_H
#define PROTOCOL_DEBUGGEE_H

// The debuggee's side of the protocol without any I/O: it is fed the bytes of a packet, asks a
// target, and hands out the bytes of the reply through one callback. Both versions, several peers,
// repeats and resends (clauses D-REP-*), requests that take a while (a step that waits, a search).

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/packets.h"
#include "protocol/target_ops.h"

enum debuggee_versions {
    DEBUGGEE_ANY = 0, // byte 0 = 2 is version 2, everything else is answered as version 1
    DEBUGGEE_V1 = PROTOCOL_V1,
    DEBUGGEE_V2 = PROTOCOL_V2,
};

enum {
    DEBUGGEE_MEMORY_SIZE = 2 * PACKET_MAX, // of a peer: its last reply, then its last request
    DEBUGGEE_OLD_IDS = 16,     // ids before the last that a version 2 debuggee remembers
    DEBUGGEE_OUTSTANDING = 16, // requests a stream peer may have unanswered
};

struct debuggee_peer;

// Hands one reply to the transport of peer. The bytes are the debuggee's and are to be used at
// once: they may change with the next call.
typedef void debuggee_send_fn(void *user, struct debuggee_peer *peer, const uint8_t *packet,
                              size_t len);

// Which request a later answer belongs to.
struct debuggee_ticket {
    enum protocol_version version;
    uint32_t id;
};

struct debuggee {
    const struct target_ops *ops;
    void *target;
    enum debuggee_versions versions;
    bool compat_2018_client; // replies bent to what the published 2018 client needs
    debuggee_send_fn *send;
    void *user;
    struct debuggee_peer *stepper;   // whose step is under way
    struct debuggee_ticket step;     // and which request that was
    struct debuggee_peer *searching; // peers with a search under way, linked by next_searching
};

// What a debuggee remembers of one peer: a connection, a pty, a UDP address and port.
struct debuggee_peer {
    uint8_t *memory;  // DEBUGGEE_MEMORY_SIZE bytes of the caller's
    size_t reply_len; // 0: the last request has no reply yet
    bool has_request; // a request came before
    uint32_t last_id;
    size_t last_len; // of the last request's bytes, which version 2 keeps behind the reply
    uint32_t old_ids[DEBUGGEE_OLD_IDS];
    unsigned num_old_ids;
    uint8_t aside[16]; // a reply that must not replace that of the last request
    struct debuggee_ticket search_ticket;
    struct target_search search;
    bool is_searching;
    struct debuggee_peer *next_searching;
};

// All-zero but for ops, target, versions, compat_2018_client, send and user is a debuggee ready for
// packets; so is a peer that is all-zero but for its memory.

// Takes one packet of peer and answers it, at once or later. Sends nothing, one reply, or several
// when the packet ends what other peers wait for.
void debuggee_receive(struct debuggee *debuggee, struct debuggee_peer *peer, const uint8_t *packet,
                      size_t len);

// True while peer waits for the end of a search: its further packets are to be fed only after that,
// in order of arrival, except those debuggee_is_urgent names.
bool debuggee_is_busy(const struct debuggee_peer *peer);

// True for a packet that must not wait behind a search: BreakIn.
bool debuggee_is_urgent(const uint8_t *packet, size_t len);

// Runs one slice of the search whose turn it is, and answers it when it ends. Returns true while
// any search is left; then call again soon.
bool debuggee_continue(struct debuggee *debuggee);

// Peer is gone: what it waits for is cancelled, and nothing is sent to it any more.
void debuggee_forget(struct debuggee *debuggee, struct debuggee_peer *peer);

#endif
