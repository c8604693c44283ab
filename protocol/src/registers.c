#include "protocol/registers.h"

#include <string.h>

#include "protocol/bytes.h"

// A struct with one array per register, in wire order: its offsets are the packed ones.
struct packed_context {
#define CONTEXT_REGISTER(bit, name, size) uint8_t name[size];
#include "protocol/registers.def"
};
struct packed_extended {
#define EXTENDED_REGISTER(bit, name, size) uint8_t name[size];
#include "protocol/registers.def"
};

_Static_assert(sizeof(struct packed_context) == CONTEXT_FULL_SIZE, "all context registers");
_Static_assert(sizeof(struct packed_extended) == EXTENDED_FULL_SIZE, "all extended registers");

const struct register_info context_registers[NUM_CONTEXT_REGISTERS] = {
#define CONTEXT_REGISTER(bit, name, size) {#name, bit, size, offsetof(struct packed_context, name)},
#include "protocol/registers.def"
};

const struct register_info extended_registers[NUM_EXTENDED_REGISTERS] = {
#define EXTENDED_REGISTER(bit, name, size)                                                         \
    {#name, bit, size, offsetof(struct packed_extended, name)},
#include "protocol/registers.def"
};

static size_t size_of(uint64_t mask, const struct register_info *registers, size_t num_registers)
{
    size_t size = 0;
    for (size_t i = 0; i < num_registers; i++) {
        size += (mask >> registers[i].bit & 1) * registers[i].size;
    }
    return size;
}

size_t context_size(uint64_t mask)
{
    return size_of(mask, context_registers, NUM_CONTEXT_REGISTERS);
}

size_t extended_context_size(uint64_t mask)
{
    return size_of(mask, extended_registers, NUM_EXTENDED_REGISTERS);
}

void context_pack(uint64_t mask, const struct context *context, uint8_t *out)
{
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        const struct register_info *info = &context_registers[i];
        if (mask >> info->bit & 1) {
            store_le(out, info->size, context->value[i]);
            out += info->size;
        }
    }
}

void context_unpack(uint64_t mask, const uint8_t *packed, struct context *out)
{
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        const struct register_info *info = &context_registers[i];
        if (mask >> info->bit & 1) {
            out->value[i] = load_le(packed, info->size);
            packed += info->size;
        }
    }
}

void extended_context_pack(uint64_t mask, const struct extended_context *context, uint8_t *out)
{
    for (size_t i = 0; i < NUM_EXTENDED_REGISTERS; i++) {
        const struct register_info *info = &extended_registers[i];
        if (mask >> info->bit & 1) {
            memcpy(out, context->bytes + info->offset, info->size);
            out += info->size;
        }
    }
}

void extended_context_unpack(uint64_t mask, const uint8_t *packed, struct extended_context *out)
{
    for (size_t i = 0; i < NUM_EXTENDED_REGISTERS; i++) {
        const struct register_info *info = &extended_registers[i];
        if (mask >> info->bit & 1) {
            memcpy(out->bytes + info->offset, packed, info->size);
            packed += info->size;
        }
    }
}

uint8_t *extended_register(struct extended_context *context, enum extended_register reg)
{
    return context->bytes + extended_registers[reg].offset;
}
