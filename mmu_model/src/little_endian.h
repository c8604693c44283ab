// Entries and descriptors are little-endian in guest memory, whatever the host is.
#ifndef MMU_MODEL_LITTLE_ENDIAN_H
#define MMU_MODEL_LITTLE_ENDIAN_H

#include <stdint.h>

static inline uint32_t load_le32(const uint8_t bytes[4])
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static inline uint64_t load_le64(const uint8_t bytes[8])
{
    return (uint64_t)load_le32(bytes) | (uint64_t)load_le32(bytes + 4) << 32;
}

#endif
