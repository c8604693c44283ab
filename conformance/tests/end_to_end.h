#ifndef CONFORMANCE_END_TO_END_H
#define CONFORMANCE_END_TO_END_H

// A client and a simulator of its own, and what is asked of it. The files that include this include
// cmocka before.

#include "connection.h"
#include "long64.h"
#include "protocol/status.h"
#include "simulator.h"

struct session {
    const char *scheme; // of the endpoint
    uint32_t version;
    struct simulator simulator;
    char directory[64];
    struct connection connection;
    PPS_ENGINE engine;
};

// A status by its name, in the session's version.
PULSE_STATUS session_status(const struct session *session, enum pulse_status status);

#define ASSERT_STATUS(call, name) assert_int_equal(call, session_status(session, STATUS_##name))
#define ASSERT_SUCCESS(call)      assert_int_equal(call, 0)

// Partial and large transfers, ports, searches and translations.
void check_memory(const struct session *session);

#endif
