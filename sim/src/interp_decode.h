#ifndef SIM_INTERP_DECODE_H
#define SIM_INTERP_DECODE_H

// Instructions of 64-bit mode, as far as the run loop must understand them: prefixes, opcode,
// ModRM, SIB and displacement of every instruction, immediates of those that the interpreter
// executes.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INSN_MAX_LENGTH = 15 };

// Bits of a REX prefix.
enum insn_rex {
    REX_B = 1,
    REX_X = 2,
    REX_R = 4,
    REX_W = 8,
};

enum insn_map {
    MAP_ONE_BYTE = 0,
    MAP_0F = 1,
    MAP_0F38 = 2,
    MAP_0F3A = 3,
};

struct insn {
    uint8_t length; // with everything decoded
    bool truncated; // the bytes ended before the instruction did
    bool too_long;  // more than 15 bytes
    bool lock;
    bool operand_16; // 66
    bool address_32; // 67
    uint8_t repeat;  // F2 or F3, 0: none
    uint8_t segment; // 64 or 65, 0: neither
    uint8_t rex;     // 0: none
    uint8_t map;
    uint8_t opcode;
    bool has_modrm;
    uint8_t mod;
    uint8_t reg; // with REX.R
    uint8_t rm;  // with REX.B; of a memory operand only without SIB
    bool has_base;
    bool has_index;
    bool rip_relative;
    uint8_t base;
    uint8_t index;
    uint8_t scale; // a shift
    int32_t displacement;
    uint32_t immediate;
};

// INSN(map, opcode) as one number.
#define INSN_KEY(map, opcode) ((unsigned)(map) << 8 | (opcode))
#define INSN_NUM_KEYS         (4u << 8)

// Who executes an instruction.
enum insn_class {
    INSN_PLAIN = 0x01,       // Unicorn
    INSN_FPU = 0x02,         // Unicorn, if CR0 and CR4 let x87, MMX or SSE instructions run
    INSN_REPEATED = 0x04,    // Unicorn, one element at a time: a string instruction with REP
    INSN_EARLY_FLAGS = 0x08, // Unicorn, which changes RFLAGS before it accesses memory
    INSN_SENSITIVE = 0x10,   // the interpreter
    INSN_POISON = 0x20,      // nobody: it is #UD, and Unicorn's translator aborts the process on it
};

// Decodes the instruction in len bytes; what lies beyond the 15th byte is not looked at.
void insn_decode(const uint8_t *bytes, size_t len, struct insn *out);

bool insn_is_prefix(uint8_t byte);

enum insn_class insn_classify(const struct insn *insn);

// Whether the translator might abort on an instruction that begins here, of which len bytes are
// known. Also true when more bytes would be needed to tell.
bool insn_may_be_poison(const uint8_t *bytes, size_t len);

static inline bool insn_has_memory(const struct insn *insn)
{
    return insn->has_modrm && insn->mod != 3;
}

// Whether it writes the memory operand that it reads. Such a read is checked as a write.
bool insn_modifies_memory(const struct insn *insn);

// Whether an address of this instruction is in the stack segment: implicitly, or by its base
// register.
bool insn_uses_stack(const struct insn *insn);

// Whether Unicorn translates anew behind it, among the instructions that store: near CALL, and
// string instructions with REP.
bool insn_ends_block(const struct insn *insn);

// Whether it is a near jump, call or return, and what it adds to RSP.
bool insn_is_near_branch(const struct insn *insn);
uint64_t insn_rsp_change(const struct insn *insn);

// Operand size of an instruction with the usual rule, and of one that pushes or pops.
size_t insn_operand_size(const struct insn *insn);

#endif
