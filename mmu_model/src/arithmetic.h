// What the walks of both stages and the segments calculate with.
#ifndef MMU_MODEL_ARITHMETIC_H
#define MMU_MODEL_ARITHMETIC_H

#include <stdint.h>

#include "mmu_model/paging.h"

// Bits high down to low; none when low is above high.
static inline uint64_t bit_range(unsigned high, unsigned low)
{
    return (~UINT64_C(0) >> (63 - high)) & (~UINT64_C(0) << low);
}

// MAXPHYADDR; of a value that no processor has the nearest one.
static inline unsigned phys_bits_from(unsigned max_phys_bits)
{
    if (max_phys_bits < MMU_MIN_PHYS_BITS) {
        return MMU_MIN_PHYS_BITS;
    }
    return max_phys_bits > MMU_MAX_PHYS_BITS ? MMU_MAX_PHYS_BITS : max_phys_bits;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
