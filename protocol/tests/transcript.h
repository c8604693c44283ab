#ifndef PROTOCOL_TESTS_TRANSCRIPT_H
#define PROTOCOL_TESTS_TRANSCRIPT_H

// Transcripts of the published client (tests/golden): a comment with the calls and what they
// returned, then a line per datagram or per write to the stream. See tests/golden/README.md.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/frame.h"

enum { TRANSCRIPT_BYTES_MAX = 40000, TRANSCRIPT_VISIBLE_MAX = 512 };

// One thing that went over the wire.
enum item_type {
    ITEM_PACKET,    // a packet, all its bytes
    ITEM_SHORTENED, // a packet of total bytes, of which the transcript shows head and tail
    ITEM_TEXT,      // log text
    ITEM_DROPPED,   // a bad frame: error says why
};

struct item {
    enum item_type type;
    char direction; // 'C' from the client, 'D' from the debuggee
    uint8_t *bytes; // all of them, or the head
    size_t len;
    size_t total;
    uint8_t tail[64];
    size_t tail_len;
    enum pulse_status error;
    bool is_canonical; // the frame around it is the one frame_write makes
    bool has_checksum; // of a shortened one in a frame
    uint32_t checksum;
};

struct transcript {
    char name[96]; // without its directory and ".txt"
    bool is_stream;
    char *calls;    // "cpuid 1 2 -- ping"
    char *outcomes; // what the calls returned, JSON objects
    struct item *items;
    size_t num_items;
    size_t num_lines; // of packets, in the file
};

// Reads the file at path; false when it is no transcript.
bool transcript_load(const char *path, struct transcript *out);

void transcript_cleanup(struct transcript *transcript);

#endif
