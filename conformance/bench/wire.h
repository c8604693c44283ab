#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

// Sockets of the three transports, blocking.

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

enum transport {
    TRANSPORT_UDP,
    TRANSPORT_TCP,
    TRANSPORT_UNIX,
    NUM_TRANSPORTS,
};

struct wire_address {
    socklen_t len;
    union {
        struct sockaddr base;
        struct sockaddr_in v4;
        struct sockaddr_un local;
    };
};

extern const char *const transport_names[NUM_TRANSPORTS];

// A port of 127.0.0.1; 0 takes a free one.
struct wire_address wire_port(uint16_t port);

struct wire_address wire_path(const char *path);

// Bound to address, which then holds the port that was taken; streams listen.
int wire_listen(enum transport transport, struct wire_address *address);

// Waits at most five seconds for each receive.
int wire_connect(enum transport transport, const struct wire_address *address);

// A stream's next connection.
int wire_accept(enum transport transport, int listener);

// Sends or receives exactly len bytes of a stream, in as few calls as it takes. False at its end.
bool wire_send_all(int fd, const uint8_t *bytes, size_t len);
bool wire_receive_all(int fd, uint8_t *bytes, size_t len);

#endif
