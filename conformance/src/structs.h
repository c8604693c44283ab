#ifndef CONFORMANCE_STRUCTS_H
#define CONFORMANCE_STRUCTS_H

// The documented structures as lists of named fields, for text and JSON.

#include <stddef.h>
#include <stdint.h>

#include "conformance/pulse_types.h"

enum struct_kind {
#define STRUCT(tag, name) KIND_##name,
#include "conformance/pulse_structs.def"
    KIND_PS_CTX,
    KIND_PS_CTX_EXT,
    NUM_STRUCT_KINDS,
};

struct struct_field {
    const char *name;
    uint16_t offset;
    uint16_t size;  // of the field, or of each number in it
    uint16_t count; // of numbers; 1 for a plain field
    uint8_t bit;    // of a register mask; 0 otherwise
};

struct struct_info {
    const struct struct_field *fields;
    size_t num_fields;
    size_t size;
};

enum { NUMBER_SIZE_MAX = 8 }; // a field above it holds plain bytes

const struct struct_info *struct_info(enum struct_kind kind);

// The field of this name; NULL when there is none.
const struct struct_field *struct_field(enum struct_kind kind, const char *name);

// A number of 1, 2, 4 or 8 bytes inside a structure.
uint64_t field_load(const void *structure, size_t offset, size_t size);
void field_store(void *structure, size_t offset, size_t size, uint64_t value);

#endif
