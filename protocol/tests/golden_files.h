#ifndef PROTOCOL_TESTS_GOLDEN_FILES_H
#define PROTOCOL_TESTS_GOLDEN_FILES_H

// All transcripts of tests/golden, in the order of their names.

#include "protocol/packets.h"
#include "transcript.h"

enum { NUM_GOLDEN_FILES = 189 };

// Loads them all; exits the program with a message when one cannot be read or one is missing.
void golden_load(struct transcript out[NUM_GOLDEN_FILES]);

void golden_cleanup(struct transcript transcripts[NUM_GOLDEN_FILES]);

// Where one is in all of them. Begins all-zero.
struct golden_cursor {
    size_t file;
    size_t next;
    const struct transcript *transcript;
    const struct item *item;
};

// Moves to the next item of any transcript; false behind the last.
bool golden_next(const struct transcript transcripts[NUM_GOLDEN_FILES],
                 struct golden_cursor *cursor);

// True for an item that is a packet, all of it visible or not.
bool golden_is_packet(const struct item *item);

// What the item is as a version 1 packet. A shortened one is first completed: by the bytes of the
// stand-in's memory where it is a memory reply, else by zeros. The packet's tail points into bytes,
// which has TRANSCRIPT_BYTES_MAX.
enum packet_error golden_read(const struct item *item, uint8_t *bytes, struct packet *out);

#endif
