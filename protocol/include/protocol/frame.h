#ifndef PROTOCOL_FRAME_H
#define PROTOCOL_FRAME_H

// Packets on a byte stream (serial line, pipe, TCP, Unix socket, pty).
//
//  0      1   2            3 or 4     7 or 8       +n
// | 0xAB | k | length n   | checksum | packet     | 0xAA |
//
// k is the index of the highest set bit of n; n takes one byte when k < 8 and two otherwise. The
// checksum is the plain sum of the packet's bytes. Nothing is escaped. Bytes outside frames are
// log text.

#include <stddef.h>
#include <stdint.h>

#include "protocol/packets.h"
#include "protocol/status.h"

enum {
    FRAME_OVERHEAD_MAX = 9, // start, k, two bytes of length, checksum, end
    FRAME_MAX = PACKET_MAX + FRAME_OVERHEAD_MAX,
};

// What a receiver does with the bytes of a frame that turns out to be bad.
enum frame_recovery {
    FRAME_SKIP,   // they are gone, as the 2018 programs do it
    FRAME_RESCAN, // look for the next start byte right behind the bad frame's own
};

enum frame_event {
    FRAME_MORE,    // nothing yet: feed more bytes
    FRAME_PACKET,  // one packet
    FRAME_TEXT,    // bytes outside any frame, at least one
    FRAME_DROPPED, // a bad frame: `error` says why
};

struct frame_view {
    const uint8_t *bytes; // inside the reader's buffer; until the next call on the reader
    size_t len;
    enum pulse_status error; // with FRAME_DROPPED
};

// A receiver over the caller's buffer. Bytes are received straight into that buffer and packets
// are handed out where they lie.
struct frame_reader {
    uint8_t *buffer;
    size_t size;
    size_t begin; // of what is not handed out yet
    size_t end;   // of what has been received
    size_t max;   // longest packet that is accepted
    enum frame_recovery recovery;
};

// buffer belongs to the caller and has at least max_packet + FRAME_OVERHEAD_MAX bytes; more of them
// take more of a burst in one receive.
void frame_reader_init(struct frame_reader *reader, uint8_t *buffer, size_t size, size_t max_packet,
                       enum frame_recovery recovery);

// Where the next bytes go, and in out_len how many fit (at least one once frame_reader_next has
// said FRAME_MORE). Invalidates views.
uint8_t *frame_reader_space(struct frame_reader *reader, size_t *out_len);

// len bytes have been put there.
void frame_reader_commit(struct frame_reader *reader, size_t len);

// What the received bytes say next. Call until it answers FRAME_MORE.
enum frame_event frame_reader_next(struct frame_reader *reader, struct frame_view *out);

// The bytes before and behind a packet of len bytes; out has FRAME_OVERHEAD_MAX - 1 bytes of room.
// Returns how many there are before it, 0 when no frame carries such a length. Behind it stands the
// single byte FRAME_END.
size_t frame_head(const uint8_t *packet, size_t len, uint8_t *out);

#define FRAME_START UINT8_C(0xAB)
#define FRAME_END   UINT8_C(0xAA)

// Writes a whole frame into out, which has size bytes. Returns its length, 0 when it does not fit.
size_t frame_write(const uint8_t *packet, size_t len, uint8_t *out, size_t size);

// The plain sum of len bytes.
uint32_t frame_checksum(const uint8_t *bytes, size_t len);

#endif
