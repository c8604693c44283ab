#ifndef CONFORMANCE_ENGINE_H
#define CONFORMANCE_ENGINE_H

// The core under the calls: a request is encoded, submitted, waited for and its reply decoded. Any
// number may be outstanding; whoever waits hands every packet that comes to the request with its
// id.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/pulse.h"
#include "exchange.h"
#include "protocol/packets.h"
#include "transport.h"

// One packet that wants a reply. The bytes are its owner's, PACKET_MAX of them.
struct pulse_request {
    uint8_t *bytes;
    size_t len;
    uint32_t id;
    enum packet_kind kind;
    int64_t sent; // when it first went out
    bool done;
    PULSE_STATUS status; // once done
    struct reply reply;  // once done; its view and tails last until the transport's next receive
    struct pulse_request *next;
};

struct pulse_engine {
    struct pulse_transport *transport;
    uint32_t version; // 0: to be asked for
    uint32_t timeout_ms;
    uint32_t next_id;
    bool started;
    struct pulse_request *outstanding;
    struct pulse_request request; // that of the synchronous calls
};

// The number of status in the version the engine speaks; a null engine speaks version 2.
PULSE_STATUS engine_status(const struct pulse_engine *engine, enum pulse_status status);

// Whether a call may be made: SUCCESS with the version known, memory there and the connection up.
PULSE_STATUS engine_enter(struct pulse_engine *engine);

// Sends what packet says, under the next id. Its header is filled in here.
PULSE_STATUS request_submit(struct pulse_engine *engine, struct pulse_request *request,
                            struct packet *packet);

// Waits until request is done, or its time is over. It is outstanding no more.
PULSE_STATUS request_wait(struct pulse_engine *engine, struct pulse_request *request);

// One packet there and back, by an engine that has been entered. The reply lasts until the next
// one; its kind is STATUS when the debuggee answered by a status, NUM_PACKET_KINDS when there is
// none.
PULSE_STATUS engine_execute(struct pulse_engine *engine, struct packet *packet,
                            const struct reply **out_reply);

#endif
