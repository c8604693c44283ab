#include "interp_decode.h"

#include <string.h>

enum {
    RSP_OR_SIB = 4, // rm: a SIB byte follows; index: none
    RBP_OR_DISP = 5,
};

struct cursor {
    const uint8_t *bytes;
    size_t len;
    size_t at;
    struct insn *insn;
};

static uint8_t next(struct cursor *cursor)
{
    if (cursor->at == INSN_MAX_LENGTH) {
        cursor->insn->too_long = true;
        return 0;
    }
    if (cursor->at >= cursor->len) {
        cursor->insn->truncated = true;
        return 0;
    }
    return cursor->bytes[cursor->at++];
}

static uint32_t next_number(struct cursor *cursor, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint32_t)next(cursor) << 8 * i;
    }
    return value;
}

// A set of opcodes, one bit each.
struct opcode_set {
    uint32_t bits[8];
};

static bool contains(const struct opcode_set *set, uint8_t opcode)
{
    return (set->bits[opcode / 32] >> opcode % 32 & 1) != 0;
}

// SDM 2D, "Opcode Map", 64-bit mode. Below 0x40 an instruction of each eight opcodes has four
// with ModRM.
static const struct opcode_set one_byte_modrm = {{
    0x0F0F0F0F, 0x0F0F0F0F, // 00-3F
    0x00000000,             // 40-5F
    0x00000A0C,             // 62, 63, 69, 6B
    0x0000FFFF,             // 80-8F
    0x00000000,             // A0-BF
    0xFF0F00F3,             // C0, C1, C4-C7, D0-D3, D8-DF
    0xC0C00000,             // F6, F7, FE, FF
}};

// Those without ModRM: 04-0C, 0E, 30-37, 77, 80-8F, A0-A2, A8-AA, C8-CF.
static const struct opcode_set two_byte_plain = {{
    0x00005FF0,
    0x00FF0000,
    0x00000000,
    0x00800000,
    0x0000FFFF,
    0x00000707,
    0x0000FF00,
    0x00000000,
}};

// 26, 2E, 36, 3E, 40-4F, 64-67, F0, F2, F3.
static const struct opcode_set prefixes = {{
    0x00000000,
    0x40404040,
    0x0000FFFF,
    0x000000F0,
    0x00000000,
    0x00000000,
    0x00000000,
    0x000D0000,
}};

bool insn_is_prefix(uint8_t byte)
{
    return contains(&prefixes, byte);
}

// A REX prefix counts only when it is the last prefix. CS, DS, ES and SS overrides are ignored in
// 64-bit mode.
static void note_prefix(struct insn *insn, uint8_t byte)
{
    insn->rex = 0;
    switch (byte) {
    case 0x64:
    case 0x65:
        insn->segment = byte;
        break;
    case 0x66:
        insn->operand_16 = true;
        break;
    case 0x67:
        insn->address_32 = true;
        break;
    case 0xF0:
        insn->lock = true;
        break;
    case 0xF2:
    case 0xF3:
        insn->repeat = byte;
        break;
    default:
        insn->rex = (byte & 0xF0) == 0x40 ? byte : 0;
    }
}

static uint8_t decode_prefixes(struct cursor *cursor)
{
    uint8_t byte = next(cursor);
    while (insn_is_prefix(byte) && !cursor->insn->truncated && !cursor->insn->too_long) {
        note_prefix(cursor->insn, byte);
        byte = next(cursor);
    }
    return byte;
}

static void decode_opcode(struct cursor *cursor)
{
    struct insn *insn = cursor->insn;
    insn->opcode = decode_prefixes(cursor);
    if (insn->opcode != 0x0F) {
        insn->has_modrm = contains(&one_byte_modrm, insn->opcode);
        return;
    }
    insn->map = MAP_0F;
    insn->opcode = next(cursor);
    if (insn->opcode == 0x38 || insn->opcode == 0x3A) {
        insn->map = insn->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
        insn->opcode = next(cursor);
        insn->has_modrm = true;
        return;
    }
    insn->has_modrm = !contains(&two_byte_plain, insn->opcode);
}

static void decode_sib(struct cursor *cursor)
{
    struct insn *insn = cursor->insn;
    uint8_t sib = next(cursor);
    unsigned index = (sib >> 3 & 7u) | ((insn->rex & REX_X) != 0 ? 8u : 0);
    insn->scale = sib >> 6;
    insn->index = (uint8_t)index;
    insn->has_index = index != RSP_OR_SIB;
    insn->base = (uint8_t)((sib & 7u) | ((insn->rex & REX_B) != 0 ? 8u : 0));
    insn->has_base = (sib & 7) != RBP_OR_DISP || insn->mod != 0;
    if (!insn->has_base) {
        insn->displacement = (int32_t)next_number(cursor, 4);
    }
}

static void decode_memory(struct cursor *cursor, unsigned low_rm)
{
    struct insn *insn = cursor->insn;
    if (low_rm == RSP_OR_SIB) {
        decode_sib(cursor);
    } else if (low_rm == RBP_OR_DISP && insn->mod == 0) {
        insn->rip_relative = true;
        insn->displacement = (int32_t)next_number(cursor, 4);
    } else {
        insn->has_base = true;
        insn->base = insn->rm;
    }
    if (insn->mod == 1) {
        insn->displacement = (int32_t)(next(cursor) ^ 0x80U) - 0x80; // sign-extended
    } else if (insn->mod == 2) {
        insn->displacement = (int32_t)next_number(cursor, 4);
    }
}

// MOV to and from CR and DR have registers whatever mod says.
static bool ignores_mod(const struct insn *insn)
{
    return insn->map == MAP_0F && (insn->opcode & 0xFC) == 0x20;
}

static void decode_modrm(struct cursor *cursor)
{
    struct insn *insn = cursor->insn;
    uint8_t modrm = next(cursor);
    insn->mod = ignores_mod(insn) ? 3 : modrm >> 6;
    insn->reg = (uint8_t)((modrm >> 3 & 7u) | ((insn->rex & REX_R) != 0 ? 8u : 0));
    insn->rm = (uint8_t)((modrm & 7u) | ((insn->rex & REX_B) != 0 ? 8u : 0));
    if (insn->mod != 3) {
        decode_memory(cursor, modrm & 7);
    }
}

// Of the instructions that the interpreter executes.
static unsigned immediate_size(const struct insn *insn)
{
    if (insn->map != MAP_ONE_BYTE) {
        return 0;
    }
    switch (insn->opcode) {
    case 0xCD: // INT n
    case 0xE4: // IN, OUT
    case 0xE5:
    case 0xE6:
    case 0xE7:
        return 1;
    case 0xC2: // RET, RETF n
    case 0xCA:
        return 2;
    default:
        return 0;
    }
}

// VEX and EVEX: nothing but their lead byte is needed.
static bool is_vector_prefix(const struct insn *insn)
{
    return insn->map == MAP_ONE_BYTE &&
           (insn->opcode == 0xC4 || insn->opcode == 0xC5 || insn->opcode == 0x62);
}

void insn_decode(const uint8_t *bytes, size_t len, struct insn *out)
{
    struct cursor cursor = {.bytes = bytes, .len = len, .insn = out};
    *out = (struct insn){0};
    decode_opcode(&cursor);
    if (is_vector_prefix(out)) {
        out->has_modrm = false;
        out->immediate = next_number(&cursor, 2);
    }
    if (out->has_modrm) {
        decode_modrm(&cursor);
    }
    unsigned size = immediate_size(out);
    if (size != 0) {
        out->immediate = next_number(&cursor, size);
    }
    out->length = (uint8_t)cursor.at;
}
