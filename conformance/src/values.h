#ifndef CONFORMANCE_VALUES_H
#define CONFORMANCE_VALUES_H

// Numbers and data as text.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes on the heap; null stands for a null pointer.
struct buffer {
    uint8_t *bytes;
    size_t len;
    bool null;
};

enum { BUFFER_MAX = 0x40000000 };

// Room for len zero bytes (of one at least); false when memory is out, or len above BUFFER_MAX.
bool buffer_reserve(struct buffer *buffer, uint64_t len);
void buffer_cleanup(struct buffer *buffer);

// Decimal, or hexadecimal with 0x; nothing before or behind it.
bool number_parse(const char *text, uint64_t max, uint64_t *out);

// Hexadecimal, with or without 0x.
bool hex_number_parse(const char *text, uint64_t max, uint64_t *out);

// Pairs of hexadecimal digits into a new buffer; false when they are none, or memory is out.
bool hex_parse(const char *text, struct buffer *out);

// len bytes as lower-case digits into a new string, the caller's; NULL when memory is out.
char *hex_format(const uint8_t *bytes, size_t len);

#endif
