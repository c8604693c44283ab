#ifndef SIM_BUGS_H
#define SIM_BUGS_H

// The named misbehaviours of bugs.def: which are on, and what they make of a reply. No I/O: the
// session and the transports do what a delivery says.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "protocol/packets.h"

enum bug {
#define BUG(NAME, name, option, argument, lowest, highest, text) BUG_##NAME,
#include "bugs.def"
    NUM_BUGS,
};

struct bugs {
    bool any;
    bool on[NUM_BUGS];
    uint64_t argument[NUM_BUGS];
    uint64_t random; // state of the generator that decides by chance; any value
};

// How a frame on a byte stream is spoilt. All false: not at all.
struct frame_faults {
    bool bad_length;
    bool bad_checksum;
    bool bad_end;
    bool half;
    bool dribble;
};

enum { DELIVERY_SCRATCH = PACKET_MAX + 1 };

// How one reply leaves. bugs_apply begins with the well-behaved one: one copy, now.
struct delivery {
    const uint8_t *packet;
    size_t len;
    uint8_t *scratch;     // DELIVERY_SCRATCH bytes for a changed packet
    uint64_t num_replies; // this peer had before
    uint64_t argument;    // of the bug whose turn it is
    uint64_t *random;     // state of the generator
    unsigned copies;
    unsigned delay_ms;
    bool text_before;
    struct frame_faults faults;
};

// Turns on the bug that text names, "NAME" or "NAME=NUMBER". False when there is none, or when its
// number is missing, superfluous or out of range; then error says so.
bool bugs_enable(struct bugs *bugs, const char *text, char *error, size_t error_size);

// Lets every bug that is on have its way with a delivery, whose packet, len, scratch and
// num_replies are set.
void bugs_apply(struct bugs *bugs, struct delivery *delivery);

// One line per bug: its option and what it does.
void bugs_print(FILE *out);

#endif
