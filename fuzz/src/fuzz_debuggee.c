// The debuggee: whatever two peers send, each packet gets at most one reply, and it is a good one.
//
//  0       1    2       4
// | flags | op | length | packet ... | op | length | packet ... | ...
//
// flags: bits 0-1 the versions spoken, bit 2 the compatibility with the 2018 client.
// op: bit 0 which peer sends, bit 1 it sends the packet twice, bit 2 it was forgotten before, bit 3
// searches get one slice first.

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "protocol/bytes.h"
#include "protocol/debuggee.h"
#include "toy_target.h"

enum {
    NUM_PEERS = 2,
    MAX_PACKETS = 256, // in one case
    MAX_SLICES = 1000,
    FLAG_COMPAT = 4,
    OP_PEER = 1,
    OP_TWICE = 2,
    OP_FORGET = 4,
    OP_CONTINUE = 8,
};

struct peer {
    struct debuggee_peer peer;
    uint32_t ids[MAX_PACKETS]; // of what it has sent
    size_t num_packets;
    size_t num_replies;
    uint32_t last_reply_id;
    uint8_t memory[DEBUGGEE_MEMORY_SIZE];
};

struct world {
    struct toy_target toy;
    struct debuggee debuggee;
    struct peer peers[NUM_PEERS];
};

static bool sent_id(const struct peer *peer, uint32_t id)
{
    size_t i = 0;
    while (i < peer->num_packets && peer->ids[i] != id) {
        i++;
    }
    return i < peer->num_packets;
}

static void check_reply(void *user, struct debuggee_peer *to, const uint8_t *bytes, size_t len)
{
    struct world *world = user;
    struct peer *peer = &world->peers[to == &world->peers[1].peer];
    FUZZ_REQUIRE(to == &peer->peer);
    FUZZ_REQUIRE(++peer->num_replies <= peer->num_packets);
    FUZZ_REQUIRE(len >= PACKET_HEADER_SIZE);
    enum protocol_version version = bytes[0] == PROTOCOL_V2 ? PROTOCOL_V2 : PROTOCOL_V1;
    struct packet reply;
    FUZZ_REQUIRE(packet_read(version, bytes, len, &reply) == PACKET_OK);
    FUZZ_REQUIRE(len <= packet_max(version));
    FUZZ_REQUIRE(reply.header.class == CLASS_REPLY || reply.header.class == CLASS_NOTIFICATION);
    FUZZ_REQUIRE(sent_id(peer, reply.header.id));
    peer->last_reply_id = reply.header.id;
}

static struct world *world_new(uint8_t flags)
{
    struct world *world = calloc(1, sizeof(*world));
    FUZZ_REQUIRE(world);
    world->debuggee = (struct debuggee){
        .ops = &toy_ops,
        .target = &world->toy,
        .versions = (flags & 3) % 3,
        .compat_2018_client = (flags & FLAG_COMPAT) != 0,
        .send = check_reply,
        .user = world,
    };
    for (unsigned i = 0; i < NUM_PEERS; i++) {
        world->peers[i].peer.memory = world->peers[i].memory;
    }
    return world;
}

static void forget(struct world *world, struct peer *peer)
{
    debuggee_forget(&world->debuggee, &peer->peer);
    memset(&peer->peer, 0, sizeof(peer->peer));
    peer->peer.memory = peer->memory;
    peer->num_packets = peer->num_replies = 0;
}

static void finish_searches(struct world *world)
{
    unsigned slices = 0;
    while (debuggee_continue(&world->debuggee)) {
        FUZZ_REQUIRE(++slices < MAX_SLICES);
    }
}

static bool is_v1_resend(const struct world *world, const uint8_t *bytes)
{
    bool is_v2 = world->debuggee.versions == DEBUGGEE_V2 ||
                 (world->debuggee.versions == DEBUGGEE_ANY && bytes[0] == PROTOCOL_V2);
    return !is_v2 && bytes[1] == CLASS_RESEND;
}

static void send_packet(struct world *world, struct peer *peer, const uint8_t *bytes, size_t len)
{
    if (peer->num_packets == MAX_PACKETS) {
        return;
    }
    if (debuggee_is_busy(&peer->peer) && !debuggee_is_urgent(bytes, len)) {
        finish_searches(world);
        FUZZ_REQUIRE(!debuggee_is_busy(&peer->peer));
    }
    uint32_t id = len < PACKET_HEADER_SIZE ? 0 : packet_header_read(bytes).id;
    size_t num_replies = peer->num_replies;
    peer->ids[peer->num_packets++] = id;
    debuggee_receive(&world->debuggee, &peer->peer, bytes, len);
    // The last of what it gets at once answers this very packet; only a resend of version 1 does
    // not say which reply it wants.
    bool is_answered = peer->num_replies != num_replies;
    FUZZ_REQUIRE(!is_answered || peer->last_reply_id == id || is_v1_resend(world, bytes));
}

// A packet repeated at once, by a peer that is not waiting, is answered but never executed again.
static void send_twice(struct world *world, struct peer *peer, const uint8_t *bytes, size_t len)
{
    send_packet(world, peer, bytes, len);
    finish_searches(world);
    uint64_t num_changes = world->toy.num_changes;
    send_packet(world, peer, bytes, len);
    FUZZ_REQUIRE(world->toy.num_changes == num_changes);
}

static void run_record(struct world *world, uint8_t op, const uint8_t *bytes, size_t len)
{
    struct peer *peer = &world->peers[op & OP_PEER];
    if (op & OP_CONTINUE) {
        (void)debuggee_continue(&world->debuggee);
    }
    if (op & OP_FORGET) {
        forget(world, peer);
    }
    if (op & OP_TWICE) {
        send_twice(world, peer, bytes, len);
    } else {
        send_packet(world, peer, bytes, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct byte_reader reader = {.at = bytes, .end = bytes + len, .ok = true};
    struct world *world = world_new((uint8_t)read_number(&reader, 1));
    while (reader.ok && reader.at != reader.end) {
        uint8_t op = (uint8_t)read_number(&reader, 1);
        size_t packet_len = (size_t)read_number(&reader, 2);
        const uint8_t *packet = read_bytes(&reader, packet_len);
        if (packet) {
            run_record(world, op, packet, packet_len);
        }
    }
    finish_searches(world);
    for (unsigned i = 0; i < NUM_PEERS; i++) {
        debuggee_forget(&world->debuggee, &world->peers[i].peer);
    }
    free(world);
    return 0;
}
