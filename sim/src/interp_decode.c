#include "interp_decode.h"

#include <string.h>

enum {
    REX_W = 8,
    REX_R = 4,
    REX_X = 2,
    REX_B = 1,
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

// Executed by the interpreter, some only with certain prefixes or ModRM: is_sensitive decides.
static bool may_be_sensitive(unsigned key)
{
    switch (key) {
#define SENSITIVE(map, opcode, handler)                                                            \
    case INSN_KEY(map, opcode):                                                                    \
        return true;
#include "interp_opcodes.def"
    default:
        return false;
    }
}

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

static bool is_prefix(uint8_t byte)
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
    while (is_prefix(byte) && !cursor->insn->truncated && !cursor->insn->too_long) {
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
        insn->displacement = (int8_t)next(cursor);
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

static unsigned key_of(const struct insn *insn)
{
    return INSN_KEY(insn->map, insn->opcode);
}

// The /digit of an opcode extension.
static unsigned digit_of(const struct insn *insn)
{
    return insn->reg & 7;
}

// 0F AE: in registers with F3 the FS and GS base instructions; in memory XSAVE, XRSTOR, XSAVEOPT.
static bool is_sensitive_0fae(const struct insn *insn)
{
    unsigned digit = digit_of(insn);
    if (insn->mod == 3) {
        return insn->repeat == 0xF3 && digit < 4;
    }
    return insn->repeat == 0 && !insn->operand_16 && digit >= 4 && digit <= 6;
}

// An opcode of interp_opcodes.def: is it sensitive with these prefixes and this ModRM?
static bool is_sensitive(const struct insn *insn)
{
    switch (key_of(insn)) {
    case INSN_KEY(MAP_ONE_BYTE, 0xFF): // far CALL and JMP
        return insn->mod != 3 && (digit_of(insn) == 3 || digit_of(insn) == 5);
    case INSN_KEY(MAP_0F, 0xAE):
        return is_sensitive_0fae(insn);
    case INSN_KEY(MAP_0F, 0xB8): // POPCNT
    case INSN_KEY(MAP_0F, 0xBC): // TZCNT
    case INSN_KEY(MAP_0F, 0xBD): // LZCNT
        return insn->repeat == 0xF3;
    case INSN_KEY(MAP_0F, 0xC7): // not CMPXCHG8B, CMPXCHG16B
        return insn->mod == 3 || digit_of(insn) != 1;
    default:
        return true;
    }
}

// SDM 3A, "Effects of CR0 Control Flags on x87 and SSE instructions": what may be switched off.
static bool is_fpu_0f(const struct insn *insn)
{
    uint8_t opcode = insn->opcode;
    if (opcode == 0xAE) { // fences and CLFLUSH are not
        return insn->mod != 3 && digit_of(insn) < 4;
    }
    return (opcode >= 0x10 && opcode <= 0x17) || (opcode >= 0x28 && opcode <= 0x2F) ||
           (opcode >= 0x50 && opcode <= 0x7F) || opcode == 0xC2 ||
           (opcode >= 0xC4 && opcode <= 0xC6) || opcode >= 0xD0;
}

static bool is_fpu(const struct insn *insn)
{
    switch (insn->map) {
    case MAP_ONE_BYTE:
        return insn->opcode == 0x9B || (insn->opcode & 0xF8) == 0xD8;
    case MAP_0F:
        return is_fpu_0f(insn);
    case MAP_0F38:
        return insn->opcode < 0xF0; // CRC32 and MOVBE are not
    default:
        return true;
    }
}

static bool is_repeated(const struct insn *insn)
{
    uint8_t opcode = insn->opcode;
    return insn->map == MAP_ONE_BYTE && insn->repeat != 0 && opcode >= 0xA4 && opcode <= 0xAF &&
           opcode != 0xA8 && opcode != 0xA9;
}

// FF /3 and FF /5 with a register.
static bool is_far_register(const struct insn *insn)
{
    bool far = digit_of(insn) == 3 || digit_of(insn) == 5;
    return key_of(insn) == INSN_KEY(MAP_ONE_BYTE, 0xFF) && insn->mod == 3 && far;
}

// The instructions with LOCK, where it is not allowed, on which the translator aborts.
static bool is_bad_lock(const struct insn *insn)
{
    switch (key_of(insn)) {
    case INSN_KEY(MAP_ONE_BYTE, 0x38): // CMP
    case INSN_KEY(MAP_ONE_BYTE, 0x39):
    case INSN_KEY(MAP_ONE_BYTE, 0xA6): // CMPS
    case INSN_KEY(MAP_ONE_BYTE, 0xA7):
        return true;
    case INSN_KEY(MAP_ONE_BYTE, 0x80): // CMP
    case INSN_KEY(MAP_ONE_BYTE, 0x81):
    case INSN_KEY(MAP_ONE_BYTE, 0x82):
    case INSN_KEY(MAP_ONE_BYTE, 0x83):
        return digit_of(insn) == 7;
    case INSN_KEY(MAP_0F, 0xA3): // BT
        return true;
    case INSN_KEY(MAP_0F, 0xAB): // BTS, BTR, BTC of a register
    case INSN_KEY(MAP_0F, 0xB3):
    case INSN_KEY(MAP_0F, 0xBB):
        return insn->mod == 3;
    case INSN_KEY(MAP_0F, 0xBA): // BT, or BTS, BTR, BTC of a register
        return digit_of(insn) == 4 || (digit_of(insn) > 4 && insn->mod == 3);
    default:
        return false;
    }
}

static bool is_poison(const struct insn *insn)
{
    return is_far_register(insn) || (insn->lock && is_bad_lock(insn));
}

// SDM 2A, "LOCK": the destination is memory, and the instruction one of those that modify it,
// without the shifts and double shifts.
static bool may_lock(const struct insn *insn)
{
    unsigned opcode = insn->opcode;
    bool shift = insn->map == MAP_ONE_BYTE ? (opcode & 0xFE) == 0xC0 || (opcode & 0xFC) == 0xD0
                                           : (opcode & 0xF6) == 0xA4;
    return insn_modifies_memory(insn) && !shift;
}

enum insn_class insn_classify(const struct insn *insn)
{
    if (is_poison(insn) || (insn->lock && !may_lock(insn))) {
        return INSN_POISON;
    }
    if (may_be_sensitive(key_of(insn)) && is_sensitive(insn)) {
        return INSN_SENSITIVE;
    }
    if (is_fpu(insn)) {
        return INSN_FPU;
    }
    return is_repeated(insn) ? INSN_REPEATED : INSN_PLAIN;
}

// Whether bytes that end before the opcode or its ModRM can go on as poison.
static bool may_become_poison(const struct insn *insn, uint8_t last)
{
    return insn->lock || last == 0xFF || is_prefix(last);
}

bool insn_may_be_poison(const uint8_t *bytes, size_t len)
{
    struct insn insn;
    if (bytes[0] != 0xFF && !is_prefix(bytes[0])) {
        return false;
    }
    insn_decode(bytes, len, &insn);
    if (insn.truncated && insn.length <= len && insn.length != 0) {
        return is_poison(&insn) || may_become_poison(&insn, bytes[insn.length - 1]);
    }
    return !insn.too_long && is_poison(&insn);
}

static bool is_alu_to_memory(const struct insn *insn)
{
    return insn->opcode < 0x38 && (insn->opcode & 6) == 0;
}

static bool modifies_one_byte(const struct insn *insn)
{
    switch (insn->opcode) {
    case 0x80:
    case 0x81:
    case 0x83:
        return digit_of(insn) != 7; // CMP
    case 0x86:                      // XCHG
    case 0x87:
    case 0xC0: // shifts and rotates
    case 0xC1:
    case 0xD0:
    case 0xD1:
    case 0xD2:
    case 0xD3:
        return true;
    case 0xF6:
    case 0xF7:
        return digit_of(insn) == 2 || digit_of(insn) == 3; // NOT, NEG
    case 0xFE:
    case 0xFF:
        return digit_of(insn) < 2; // INC, DEC
    default:
        return is_alu_to_memory(insn);
    }
}

static bool modifies_0f(const struct insn *insn)
{
    switch (insn->opcode) {
    case 0xA4: // SHLD, SHRD
    case 0xA5:
    case 0xAC:
    case 0xAD:
    case 0xAB: // BTS, BTR, BTC
    case 0xB3:
    case 0xBB:
    case 0xB0: // CMPXCHG, XADD
    case 0xB1:
    case 0xC0:
    case 0xC1:
    case 0xC7: // CMPXCHG8B, CMPXCHG16B
        return true;
    case 0xBA:
        return digit_of(insn) > 4;
    default:
        return false;
    }
}

bool insn_modifies_memory(const struct insn *insn)
{
    if (!insn_has_memory(insn)) {
        return false;
    }
    return insn->map == MAP_ONE_BYTE ? modifies_one_byte(insn)
                                     : insn->map == MAP_0F && modifies_0f(insn);
}

static bool pushes_or_pops(const struct insn *insn)
{
    if (insn->map == MAP_0F) {
        return (insn->opcode & 0xF6) == 0xA0; // PUSH and POP of FS and GS
    }
    switch (insn->opcode) {
    case 0x68: // PUSH
    case 0x6A:
    case 0x8F: // POP
    case 0x9C: // PUSHF, POPF
    case 0x9D:
    case 0xC2: // RET
    case 0xC3:
    case 0xC8: // ENTER, LEAVE
    case 0xC9:
    case 0xE8: // CALL
        return true;
    case 0xFF: // CALL, PUSH
        return digit_of(insn) == 2 || digit_of(insn) == 6;
    default:
        return (insn->opcode & 0xF0) == 0x50;
    }
}

bool insn_uses_stack(const struct insn *insn)
{
    bool stack_base = insn->has_base && (insn->base == 4 || insn->base == 5);
    if (insn_has_memory(insn) && insn->segment != 0) {
        return false;
    }
    return (insn_has_memory(insn) && stack_base) ||
           (insn->map <= MAP_0F && pushes_or_pops(insn) && !insn_has_memory(insn));
}

bool insn_ends_block(const struct insn *insn)
{
    bool indirect = insn->opcode == 0xFF && digit_of(insn) == 2;
    bool call = insn->map == MAP_ONE_BYTE && (insn->opcode == 0xE8 || indirect);
    return call || is_repeated(insn);
}

size_t insn_operand_size(const struct insn *insn)
{
    if ((insn->rex & REX_W) != 0) {
        return 8;
    }
    return insn->operand_16 ? 2 : 4;
}
