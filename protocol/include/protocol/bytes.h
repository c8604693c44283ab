#ifndef PROTOCOL_BYTES_H
#define PROTOCOL_BYTES_H

// Sticky cursors over bytes, little-endian. Past the end a reader yields zeros and a writer writes
// nothing, and `ok` turns false for good; so a codec is the list of its fields and one check.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct byte_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool ok;
};

struct byte_writer {
    uint8_t *at;
    uint8_t *end;
    bool ok;
};

// The size bytes (1 to 8) at bytes as a little-endian number.
static inline uint64_t load_le(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

// Stores the low size bytes (1 to 8) of value.
static inline void store_le(uint8_t *bytes, size_t size, uint64_t value)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

// The next len bytes, owned by whoever owns the reader's bytes; NULL past the end.
static inline const uint8_t *read_bytes(struct byte_reader *reader, size_t len)
{
    if (!reader->ok || (size_t)(reader->end - reader->at) < len) {
        reader->ok = false;
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += len;
    return bytes;
}

static inline uint64_t read_number(struct byte_reader *reader, size_t size)
{
    const uint8_t *bytes = read_bytes(reader, size);
    return bytes ? load_le(bytes, size) : 0;
}

// Appends len bytes. Bytes that already stand where they belong are not copied.
static inline void write_bytes(struct byte_writer *writer, const uint8_t *bytes, size_t len)
{
    if (!writer->ok || (size_t)(writer->end - writer->at) < len) {
        writer->ok = false;
        return;
    }
    if (len != 0 && bytes != writer->at) {
        memmove(writer->at, bytes, len);
    }
    writer->at += len;
}

static inline void write_number(struct byte_writer *writer, size_t size, uint64_t value)
{
    uint8_t bytes[8];
    store_le(bytes, size, value);
    write_bytes(writer, bytes, size);
}

#endif
