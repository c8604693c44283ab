#ifndef SIM_TESTS_RIG_H
#define SIM_TESTS_RIG_H

// A machine with one client in this process: a test asks with packets and looks behind them.

#include <stdbool.h>
#include <stdint.h>

#include "protocol/packets.h"
#include "pulsim/pulsim.h"

struct rig {
    struct pulsim *pulsim;
    struct pulsim_peer *peer;
    enum protocol_version version;
    uint32_t last_id;
    bool has_reply;
    struct packet reply; // points into the peer's reply
    size_t reply_len;
    uint8_t bytes[PACKET_MAX];
};

// The default target, one peer, this version. Fails the test when that cannot be had.
void rig_open(struct rig *rig, enum protocol_version version, bool compat);
void rig_open_with(struct rig *rig, enum protocol_version version,
                   const struct pulsim_options *options);
void rig_close(struct rig *rig);

// Sends a request under a new id. Afterwards has_reply and reply say what came; a reply must carry
// the id and be a packet of its version.
void rig_ask(struct rig *rig, struct packet *request);

// Takes what comes later.
void rig_continue(struct rig *rig);

// Asks and expects a status reply, or a success with a value.
void rig_expect_status(struct rig *rig, struct packet *request, uint64_t number);
void rig_expect_value(struct rig *rig, struct packet *request, uint64_t value);

// A request without a body.
struct packet rig_plain(enum packet_kind kind);

#endif
