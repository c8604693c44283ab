#include "endpoint_peers.h"

#include <stdlib.h>
#include <string.h>

bool udp_peers_init(struct udp_peers *peers, size_t max)
{
    *peers = (struct udp_peers){.num_buckets = 1};
    TAILQ_INIT(&peers->by_age);
    while (peers->num_buckets < max) {
        peers->num_buckets *= 2;
    }
    peers->buckets = calloc(peers->num_buckets, sizeof(struct udp_peer *));
    return peers->buckets != NULL;
}

void udp_peers_cleanup(struct udp_peers *peers)
{
    free(peers->buckets);
    peers->buckets = NULL;
}

static bool is_equal(const union socket_address *a, const union socket_address *b)
{
    if (a->base.sa_family == AF_INET) {
        return b->base.sa_family == AF_INET && a->v4.sin_port == b->v4.sin_port &&
               a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    }
    return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
           memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

// FNV-1a.
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001B3);
    }
    return hash;
}

static struct udp_peer **bucket_of(const struct udp_peers *peers,
                                   const union socket_address *address)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    if (address->base.sa_family == AF_INET) {
        hash = hash_bytes(hash, &address->v4.sin_addr, sizeof(address->v4.sin_addr));
        hash = hash_bytes(hash, &address->v4.sin_port, sizeof(address->v4.sin_port));
    } else {
        hash = hash_bytes(hash, &address->v6.sin6_addr, sizeof(address->v6.sin6_addr));
        hash = hash_bytes(hash, &address->v6.sin6_port, sizeof(address->v6.sin6_port));
    }
    return &peers->buckets[(hash ^ hash >> 32) & (peers->num_buckets - 1)];
}

struct udp_peer *udp_peers_find(struct udp_peers *peers, const union socket_address *address)
{
    struct udp_peer *peer = TAILQ_FIRST(&peers->by_age);
    if (peer && is_equal(&peer->address, address)) {
        return peer;
    }
    peer = *bucket_of(peers, address);
    while (peer && !is_equal(&peer->address, address)) {
        peer = peer->next_in_bucket;
    }
    if (peer) {
        TAILQ_REMOVE(&peers->by_age, peer, by_age);
        TAILQ_INSERT_HEAD(&peers->by_age, peer, by_age);
    }
    return peer;
}

void udp_peers_add(struct udp_peers *peers, struct udp_peer *peer)
{
    struct udp_peer **bucket = bucket_of(peers, &peer->address);
    peer->next_in_bucket = *bucket;
    *bucket = peer;
    TAILQ_INSERT_HEAD(&peers->by_age, peer, by_age);
    peers->num++;
}

struct udp_peer *udp_peers_take_oldest(struct udp_peers *peers)
{
    struct udp_peer *peer = TAILQ_LAST(&peers->by_age, udp_peer_list);
    if (!peer) {
        return NULL;
    }
    struct udp_peer **link = bucket_of(peers, &peer->address);
    while (*link != peer) {
        link = &(*link)->next_in_bucket;
    }
    *link = peer->next_in_bucket;
    TAILQ_REMOVE(&peers->by_age, peer, by_age);
    peers->num--;
    return peer;
}
