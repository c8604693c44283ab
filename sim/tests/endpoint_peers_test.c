// The table of UDP peers against a list that is searched from end to end.

#include "endpoint_peers.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

enum { MAX_PEERS = 40, NUM_ADDRESSES = 100, ROUNDS = 20000 };

static union socket_address v4(uint32_t host, uint16_t port)
{
    union socket_address address = {
        .v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons(port)}};
    return address;
}

static union socket_address v6(uint8_t host, uint16_t port)
{
    union socket_address address = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    address.v6.sin6_addr.s6_addr[15] = host;
    return address;
}

static struct udp_peer *add(struct udp_peers *peers, union socket_address address)
{
    struct udp_peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    peer->address = address;
    udp_peers_add(peers, peer);
    return peer;
}

static void empty(struct udp_peers *peers)
{
    struct udp_peer *peer = udp_peers_take_oldest(peers);
    while (peer) {
        free(peer);
        peer = udp_peers_take_oldest(peers);
    }
    assert_int_equal(peers->num, 0);
    udp_peers_cleanup(peers);
}

static void addresses_and_ports_tell_peers_apart(void **state)
{
    (void)state;
    struct udp_peers peers;
    assert_true(udp_peers_init(&peers, 1));
    const union socket_address addresses[] = {v4(1, 1), v4(1, 2), v4(2, 1),
                                              v6(1, 1), v6(1, 2), v6(2, 1)};
    enum { NUM = sizeof(addresses) / sizeof(addresses[0]) };
    struct udp_peer *added[NUM];
    for (size_t i = 0; i < NUM; i++) {
        assert_null(udp_peers_find(&peers, &addresses[i]));
        added[i] = add(&peers, addresses[i]);
    }
    for (size_t i = 0; i < NUM; i++) {
        assert_ptr_equal(udp_peers_find(&peers, &addresses[i]), added[i]);
        assert_ptr_equal(udp_peers_find(&peers, &addresses[i]), added[i]);
    }
    empty(&peers);
}

static void an_empty_table_has_no_oldest(void **state)
{
    (void)state;
    struct udp_peers peers;
    assert_true(udp_peers_init(&peers, 1024));
    assert_null(udp_peers_take_oldest(&peers));
    udp_peers_cleanup(&peers);
}

// Position of address among the num in order, or num.
static size_t position_of(const unsigned *order, size_t num, unsigned address)
{
    size_t i = 0;
    while (i < num && order[i] != address) {
        i++;
    }
    return i;
}

static void the_oldest_goes_whatever_came_before(void **state)
{
    (void)state;
    unsigned order[MAX_PEERS] = {0}; // the model: oldest first
    size_t num = 0;
    unsigned random = 1;
    struct udp_peers peers;
    assert_true(udp_peers_init(&peers, MAX_PEERS));
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 1103515245 + 12345;
        unsigned number = (random >> 16) % NUM_ADDRESSES;
        union socket_address address = v4(number, 7);
        size_t position = position_of(order, num, number);
        struct udp_peer *found = udp_peers_find(&peers, &address);
        assert_int_equal(found != NULL, position < num);
        if (!found && num == MAX_PEERS) {
            struct udp_peer *oldest = udp_peers_take_oldest(&peers);
            assert_int_equal(ntohl(oldest->address.v4.sin_addr.s_addr), order[0]);
            free(oldest);
            position = 0;
        }
        if (!found) {
            add(&peers, address);
        }
        if (position < num) {
            memmove(order + position, order + position + 1, (num - position - 1) * sizeof(*order));
            num--;
        }
        order[num++] = number;
        assert_int_equal(peers.num, num);
    }
    empty(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_ports_tell_peers_apart),
        cmocka_unit_test(an_empty_table_has_no_oldest),
        cmocka_unit_test(the_oldest_goes_whatever_came_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
