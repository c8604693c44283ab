#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

// The client of every measurement over a socket: one request outstanding, built beforehand but for
// its id. It is the same whether pulsim answers or the echo.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "operations.h"
#include "protocol/frame.h"
#include "wire.h"

struct client {
    const char *peer; // for messages
    enum transport transport;
    int fd;
    uint32_t last_id; // of the request before; every request has another
    struct prepared prepared;
    size_t sent_len;
    size_t packet_at; // of the packet in what is sent
    uint32_t id_free_sum;
    size_t received_len;
    size_t reply_at; // of the packet in what is received
    uint8_t sent[FRAME_MAX];
    uint8_t received[FRAME_MAX];
};

// A client is large; NULL is never returned. Freed, and its socket closed, by client_free.
struct client *client_new(const char *peer, enum transport transport,
                          const struct wire_address *address);
void client_free(struct client *client);

// What client->prepared says is what is asked from now on.
void client_use_prepared(struct client *client);

// One request; its reply is at client->received + client->reply_at. Ends the program when the reply
// does not come or is not right.
void client_request(struct client *client);

// A contender: a client and a number of requests.
void client_repeat(void *client, uint64_t times);

#endif
