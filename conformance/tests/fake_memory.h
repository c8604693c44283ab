#ifndef CONFORMANCE_FAKE_MEMORY_H
#define CONFORMANCE_FAKE_MEMORY_H

// A debuggee whose memory byte at an address is a function of the address. It answers every
// transfer of memory and ports chunk by chunk, up to the chunk that ends early.

#include "fake_debuggee.h"

enum ending {
    END_NONE,    // every chunk is answered in full
    END_SHORT,   // the chunk moves one byte less
    END_STATUS,  // it is answered by an error
    END_SILENCE, // it is not answered
    END_INVALID, // its reply is malformed
};

struct fake_memory {
    enum ending ending;
    size_t ends_at; // index of the chunk
    size_t num_chunks;
    uint32_t lengths[8]; // what was asked
    uint64_t addresses[8];
    bool matches; // what was written is what belongs there
};

// For fake_start, with a struct fake_memory as user; `matches` begins as true.
void fake_memory_answer(struct fake *fake, const uint8_t *request, size_t len);

// The bytes that stand from address on.
void fake_memory_fill(uint8_t *bytes, uint64_t address, size_t len);

#endif
