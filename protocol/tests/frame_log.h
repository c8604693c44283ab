#ifndef PROTOCOL_TESTS_FRAME_LOG_H
#define PROTOCOL_TESTS_FRAME_LOG_H

// What a frame receiver makes of a stream, written down so that two of them can be compared.

#include <stddef.h>
#include <stdint.h>

#include "protocol/frame.h"

enum { LOG_SIZE = 1 << 17, STREAM_SIZE = 1 << 16, MOST_PACKET = 700 };

// What came out of a stream: packets as 'P', length and bytes, drops as 'D' and the status, text as
// 'T' and the byte, so that runs of text compare equal however they were cut.
struct log {
    size_t len;
    size_t num_packets;
    size_t num_dropped;
    size_t num_text;
    enum pulse_status last_error;
    uint8_t last_packet[MOST_PACKET];
    size_t last_len;
    uint8_t bytes[LOG_SIZE];
};

struct log *new_log(void);

void log_packet(struct log *log, const uint8_t *bytes, size_t len);
void log_drop(struct log *log, enum pulse_status error);
void log_text(struct log *log, const uint8_t *bytes, size_t len);

// Feeds len bytes to reader, at most piece of them at a time, and logs what it says.
void feed(struct frame_reader *reader, const uint8_t *bytes, size_t len, size_t piece,
          struct log *log);

// The log of a fresh receiver with the smallest buffer. To be freed.
struct log *receive(const uint8_t *bytes, size_t len, size_t piece, enum frame_recovery recovery);

// Fails the test unless both logs say the same.
void assert_same_log(const struct log *want, const struct log *got);

#endif
