#ifndef SIM_ENDPOINT_PEERS_H
#define SIM_ENDPOINT_PEERS_H

// The peers of a UDP endpoint by address and port, and in the order in which they were last heard.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "endpoint.h"

// The part of a peer that the table needs.
struct udp_peer {
    union socket_address address;
    struct udp_peer *next_in_bucket;
    TAILQ_ENTRY(udp_peer) by_age;
};

TAILQ_HEAD(udp_peer_list, udp_peer);

struct udp_peers {
    size_t num;
    size_t num_buckets; // a power of two
    struct udp_peer **buckets;
    struct udp_peer_list by_age; // the one heard last comes first
};

// For about max peers. False: out of memory.
bool udp_peers_init(struct udp_peers *peers, size_t max);

// The table must be empty.
void udp_peers_cleanup(struct udp_peers *peers);

// The peer at address, which becomes the one heard last. NULL when it is new.
struct udp_peer *udp_peers_find(struct udp_peers *peers, const union socket_address *address);

// Adds a peer whose address is set and not in the table, as the one heard last.
void udp_peers_add(struct udp_peers *peers, struct udp_peer *peer);

// Takes the longest silent peer out. NULL when there is none.
struct udp_peer *udp_peers_take_oldest(struct udp_peers *peers);

#endif
