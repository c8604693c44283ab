#ifndef CONFORMANCE_CLIENT_FIXTURE_H
#define CONFORMANCE_CLIENT_FIXTURE_H

// A client and the fake debuggee that it talks to.

#include <stdint.h>

#include "connection.h"
#include "fake_debuggee.h"

enum {
    SHORT_TIMEOUT_MS = 40,   // where silence is expected
    LATE_TIMEOUT_MS = 3000,  // where an answer comes to a repeat
    LONG_TIMEOUT_MS = 20000, // where an answer is
};

struct client {
    struct fake fake;
    struct connection connection;
    PPS_ENGINE engine;
};

struct client_options {
    PS_TRANSPORT_TYPE type;
    uint32_t version;
    uint32_t timeout_ms;
    fake_packet_fn *on_packet;
    void *user;
};

// Fails the test when there is no connection.
void client_open(struct client *client, const struct client_options *options);
// The same in version 2, with time for every answer.
void client_open_plain(struct client *client, PS_TRANSPORT_TYPE type, fake_packet_fn *on_packet);
void client_close(struct client *client);

// Milliseconds of the monotonic clock.
int64_t now_ms(void);

// Success without a value, whatever is asked.
void answer_success(struct fake *fake, const uint8_t *packet, size_t len);

// An answer that never comes.
void answer_nothing(struct fake *fake, const uint8_t *packet, size_t len);

#endif
