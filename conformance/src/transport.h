#ifndef CONFORMANCE_TRANSPORT_H
#define CONFORMANCE_TRANSPORT_H

// A connection that carries packets: UDP datagrams, or frames on a stream. One send and one receive
// per packet; waiting is poll against a monotonic deadline.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/pulse.h"
#include "protocol/frame.h"
#include "protocol/status.h"

enum { TRANSPORT_NAME_SIZE = 256 };

struct packet_view {
    const uint8_t *bytes; // until the next receive
    size_t len;
};

struct pulse_transport {
    PS_TRANSPORT_TYPE type;
    int fd;    // -1: no interface is set
    bool lost; // a stream has ended; nothing goes any more until it is opened anew
    uint8_t *buffer;
    struct frame_reader reader;
    enum protocol_version version;
    PS_RAW_DATA_CALLBACK callback;
    uintptr_t callback_context;
    char name[TRANSPORT_NAME_SIZE];
};

// Nanoseconds of the monotonic clock.
int64_t clock_now(void);

// Frames are bounded, and bad ones skipped, as version has it. Keeps what has been received.
void transport_set_version(struct pulse_transport *transport, enum protocol_version version);

// True where a packet can get lost on its way, so that repeating a request makes sense.
bool transport_loses_packets(const struct pulse_transport *transport);

// Sends one packet. TIMEOUT when it cannot leave by deadline, WRITE_FAILED, DEVICE_CONNECTION_LOST.
enum pulse_status transport_send(struct pulse_transport *transport, const uint8_t *packet,
                                 size_t len, int64_t deadline);

// Receives at most once. SUCCESS with a packet, or with out->bytes NULL when what came was none
// (log text went to the callback); TIMEOUT when nothing came by deadline; READ_FAILED;
// DEVICE_CONNECTION_LOST.
enum pulse_status transport_receive(struct pulse_transport *transport, int64_t deadline,
                                    struct packet_view *out);

#endif
