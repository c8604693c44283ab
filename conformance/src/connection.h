#ifndef CONFORMANCE_CONNECTION_H
#define CONFORMANCE_CONNECTION_H

// A transport with its engine, opened by an endpoint's name: udp:HOST:PORT, tcp:HOST:PORT,
// unix:PATH, pty:PATH.

#include "conformance/pulse.h"

struct connection {
    PPS_TRANSPORT transport;
    PPS_ENGINE engine;
};

struct connection_options {
    const char *endpoint;
    uint32_t protocol; // 1, 2, or 0 to ask the debuggee
    uint32_t timeout_ms;
    PS_RAW_DATA_CALLBACK text; // NULL: log text is dropped
    uintptr_t text_context;
};

// SUCCESS, or why not; then out is all NULL. INVALID_PARAMETER: the endpoint is none.
PULSE_STATUS connection_open(const struct connection_options *options, struct connection *out);

// Takes one that is all NULL too.
void connection_close(struct connection *connection);

#endif
