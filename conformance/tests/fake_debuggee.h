#ifndef CONFORMANCE_FAKE_DEBUGGEE_H
#define CONFORMANCE_FAKE_DEBUGGEE_H

// A debuggee that does what a test says: a thread that listens on one endpoint, hands every packet
// that comes to the test's function, and sends what that function wants sent.

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/pulse.h"
#include "protocol/packets.h"

struct fake;
typedef void fake_packet_fn(struct fake *fake, const uint8_t *packet, size_t len);

enum { FAKE_LOG_SIZE = 64, FAKE_LOG_BYTES = 64 };

// The beginning of a packet that came.
struct fake_log {
    size_t len;
    uint8_t bytes[FAKE_LOG_BYTES];
};

struct fake {
    PS_TRANSPORT_TYPE type;
    fake_packet_fn *on_packet;
    void *user;
    char name[128]; // interface name for the client
    char endpoint[160];
    int listener; // or the only descriptor
    int peer;     // of a stream; -1: none yet
    int wake[2];
    pthread_t thread;
    bool has_thread;
    // For the test after fake_stop, and for on_packet:
    size_t num_packets;
    struct fake_log log[FAKE_LOG_SIZE];
};

// Starts listening. on_packet runs on the fake's thread.
void fake_start(struct fake *fake, PS_TRANSPORT_TYPE type, fake_packet_fn *on_packet, void *user);
void fake_stop(struct fake *fake);

// For on_packet. Sends a packet as the transport carries it; bytes as they are; a reply to request.
void fake_send(struct fake *fake, const uint8_t *packet, size_t len);
void fake_send_raw(struct fake *fake, const uint8_t *bytes, size_t len);
void fake_reply(struct fake *fake, const uint8_t *request, struct packet *reply);
// True once fake_stop has been called.
bool fake_is_stopping(const struct fake *fake);
// Ends the stream.
void fake_hang_up(struct fake *fake);

// A reply as bytes, with the header's version and id taken from request. Returns its length.
size_t reply_bytes(const uint8_t *request, struct packet *reply, uint8_t *out, size_t size);

#endif
