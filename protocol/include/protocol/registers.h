#ifndef PROTOCOL_REGISTERS_H
#define PROTOCOL_REGISTERS_H

// The registers of PsGetContext and PsGetExtendedContext: which mask bit stands for which, how many
// bytes each takes on the wire, and the two ways between that packing and plain values.

#include <stddef.h>
#include <stdint.h>

enum context_register {
#define CONTEXT_REGISTER(bit, name, size) CONTEXT_##name,
#include "protocol/registers.def"
    NUM_CONTEXT_REGISTERS,
};

enum extended_register {
#define EXTENDED_REGISTER(bit, name, size) EXTENDED_##name,
#include "protocol/registers.def"
    NUM_EXTENDED_REGISTERS,
};

enum {
    CONTEXT_FULL_SIZE = 396,  // bytes of all context registers
    EXTENDED_FULL_SIZE = 952, // bytes of all extended registers
};

#define CONTEXT_FULL_MASK  UINT64_C(0xFFFFFFFFFFFFFFFF)
#define EXTENDED_FULL_MASK UINT64_C(0x01FFFFFFFFFFFFFF)

// One value per register, whatever its size on the wire. All-zero is a valid value.
struct context {
    uint64_t value[NUM_CONTEXT_REGISTERS];
};

// The bytes of every extended register where a packet with the full mask has them.
struct extended_context {
    uint8_t bytes[EXTENDED_FULL_SIZE];
};

struct register_info {
    const char *name;
    uint8_t bit;     // of the mask
    uint8_t size;    // bytes on the wire
    uint16_t offset; // in a packing of all registers
};

extern const struct register_info context_registers[NUM_CONTEXT_REGISTERS];
extern const struct register_info extended_registers[NUM_EXTENDED_REGISTERS];

// How many bytes the registers of mask take on the wire. Bits 57 to 63 of an extended mask name no
// register.
size_t context_size(uint64_t mask);
size_t extended_context_size(uint64_t mask);

// Packs the registers of mask, in mask order, into out, which has room for their size.
void context_pack(uint64_t mask, const struct context *context, uint8_t *out);
void extended_context_pack(uint64_t mask, const struct extended_context *context, uint8_t *out);

// Unpacks what the functions above pack; registers outside the mask keep their values.
void context_unpack(uint64_t mask, const uint8_t *packed, struct context *out);
void extended_context_unpack(uint64_t mask, const uint8_t *packed, struct extended_context *out);

// The bytes of one extended register inside context.
uint8_t *extended_register(struct extended_context *context, enum extended_register reg);

#endif
