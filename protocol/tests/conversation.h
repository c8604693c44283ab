#ifndef PROTOCOL_TESTS_CONVERSATION_H
#define PROTOCOL_TESTS_CONVERSATION_H

// Peers that talk to a debuggee over a fake target, in hex: "02 00 0000 ID 00*8" is a packet, where
// ID stands for 11 22 33 44 and *8 repeats the byte before it; in what is expected, ".." is any
// byte.

#include "fake_target.h"
#include "protocol/debuggee.h"

enum { NUM_PEERS = 3, MOST_SENT = 64, PACKET_ROOM = 70000 };

struct sent {
    size_t peer;
    size_t len;
    uint8_t *bytes;
};

struct conversation {
    struct fake_target target;
    struct debuggee debuggee;
    struct debuggee_peer peers[NUM_PEERS];
    uint8_t memory[NUM_PEERS][DEBUGGEE_MEMORY_SIZE];
    struct sent sent[MOST_SENT]; // in order
    size_t num_sent;
    size_t num_seen; // of those, what has been expected
};

struct conversation *conversation_new(enum debuggee_versions versions, bool compat);
void conversation_free(struct conversation *talk);

// Hands a packet of peer to the debuggee.
void say(struct conversation *talk, size_t peer, const char *hex);

// Fails the test unless the next packet sent is this one, to this peer.
void expect(struct conversation *talk, size_t peer, const char *hex);

// Fails the test unless everything sent has been expected.
void expect_silence(struct conversation *talk);

// A request and its only reply.
void say_and_expect(struct conversation *talk, size_t peer, const char *request, const char *reply);

// Fails the test unless the target was asked just this, and forgets it.
void expect_asked(struct conversation *talk, const char *log);

// The bytes that hex stands for; true in any where it says "..". Returns how many.
size_t from_hex(const char *hex, uint8_t *out, bool *any);

#endif
