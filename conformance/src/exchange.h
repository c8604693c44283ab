#ifndef CONFORMANCE_EXCHANGE_H
#define CONFORMANCE_EXCHANGE_H

// When does a packet end a call, and with which status? (Clauses C-END-*.) No I/O here.

#include "conformance/pulse_status.h"
#include "protocol/packets.h"
#include "protocol/status.h"
#include "transport.h"

// A packet that ends a request.
struct reply {
    struct packet packet;    // kind STATUS when the debuggee answered by a status; NUM_PACKET_KINDS
                             // when there is no valid reply
    struct packet_view view; // its bytes
};

// What was asked, as it went out.
struct question {
    enum protocol_version version;
    enum packet_kind kind;
    const uint8_t *bytes;
    size_t len;
};

enum judgement {
    JUDGEMENT_IGNORE, // as if it had not come: the wait goes on
    JUDGEMENT_END,    // the call ends with the status
};

// Judges a packet that carries the id of the question. out_status and out_reply are set with
// JUDGEMENT_END.
enum judgement exchange_judge(const struct question *question, struct packet_view packet,
                              PULSE_STATUS *out_status, struct reply *out_reply);

// How many bytes a data reply carries, and where they are.
struct packet_view reply_data(const struct reply *reply);

#endif
