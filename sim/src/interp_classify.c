// What the run loop makes of a decoded instruction.
#include "interp_decode.h"

static unsigned key_of(const struct insn *insn)
{
    return INSN_KEY(insn->map, insn->opcode);
}

// Executed by the interpreter, some only with certain prefixes or ModRM: is_sensitive decides.
static bool may_be_sensitive(unsigned key)
{
    static const bool known[INSN_NUM_KEYS] = {
#define SENSITIVE(map, opcode, handler) [INSN_KEY(map, opcode)] = true,
#include "interp_opcodes.def"
    };
    return known[key];
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

// RCL, RCR and SETcc of memory.
static bool changes_flags_early(const struct insn *insn)
{
    uint8_t opcode = insn->opcode;
    bool shift = (opcode & 0xFE) == 0xC0 || (opcode & 0xFC) == 0xD0;
    bool rotate = insn->map == MAP_ONE_BYTE && shift && (digit_of(insn) & 6) == 2;
    bool set = insn->map == MAP_0F && (opcode & 0xF0) == 0x90;
    return insn_has_memory(insn) && (rotate || set);
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
    if (changes_flags_early(insn)) {
        return INSN_EARLY_FLAGS;
    }
    return is_repeated(insn) ? INSN_REPEATED : INSN_PLAIN;
}

// Whether bytes that end before the opcode or its ModRM can go on as poison.
static bool may_become_poison(const struct insn *insn, uint8_t last)
{
    return insn->lock || last == 0xFF || insn_is_prefix(last);
}

bool insn_may_be_poison(const uint8_t *bytes, size_t len)
{
    struct insn insn;
    if (bytes[0] != 0xFF && !insn_is_prefix(bytes[0])) {
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

bool insn_is_near_branch(const struct insn *insn)
{
    uint8_t opcode = insn->opcode;
    if (insn->map == MAP_0F) {
        return (opcode & 0xF0) == 0x80; // Jcc
    }
    bool conditional = (opcode & 0xF0) == 0x70 || (opcode & 0xFC) == 0xE0;
    bool direct = opcode == 0xE8 || opcode == 0xE9 || opcode == 0xEB;
    bool returns = opcode == 0xC2 || opcode == 0xC3;
    bool indirect = opcode == 0xFF && (digit_of(insn) == 2 || digit_of(insn) == 4);
    return insn->map == MAP_ONE_BYTE && (conditional || direct || returns || indirect);
}

uint64_t insn_rsp_change(const struct insn *insn)
{
    bool indirect = insn->opcode == 0xFF && digit_of(insn) == 2;
    if (insn->map != MAP_ONE_BYTE) {
        return 0;
    }
    if (insn->opcode == 0xC2 || insn->opcode == 0xC3) {
        return 8 + (uint64_t)insn->immediate;
    }
    return insn->opcode == 0xE8 || indirect ? -UINT64_C(8) : 0;
}

size_t insn_operand_size(const struct insn *insn)
{
    if ((insn->rex & REX_W) != 0) {
        return 8;
    }
    return insn->operand_16 ? 2 : 4;
}
