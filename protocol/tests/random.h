#ifndef PROTOCOL_TESTS_RANDOM_H
#define PROTOCOL_TESTS_RANDOM_H

// Numbers that look random and are the same in every run.

#include <stddef.h>
#include <stdint.h>

// xorshift64*, any seed but zero.
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

// A number below limit, which is not zero.
static inline size_t random_below(uint64_t *state, size_t limit)
{
    return (size_t)(random_next(state) % limit);
}

static inline void random_fill(uint64_t *state, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(random_next(state) >> 32);
    }
}

#endif
