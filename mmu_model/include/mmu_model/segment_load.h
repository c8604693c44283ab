// Segment registers as the CPU loads them, with every check and its exception.
//
// Nothing here writes: an answer says what the register holds afterwards and which flag of the
// descriptor is to be set; the caller raises, writes and loads.
#ifndef MMU_MODEL_SEGMENT_LOAD_H
#define MMU_MODEL_SEGMENT_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mmu_model/segment.h"

// SYSTEM_TYPE_LDT, SYSTEM_TYPE_CALL_GATE, ...: the type field of a descriptor whose S is 0.
enum system_type {
#define SYSTEM_TYPE(type, name, lar, lsl, lar_ia32e, lsl_ia32e) SYSTEM_TYPE_##name = (type),
#include "mmu_model/system_types.def"
};

// In the order of their numbers in encodings.
enum segment_register {
    SEGMENT_REGISTER_ES,
    SEGMENT_REGISTER_CS,
    SEGMENT_REGISTER_SS,
    SEGMENT_REGISTER_DS,
    SEGMENT_REGISTER_FS,
    SEGMENT_REGISTER_GS,
};

// What of a CPU decides about its segments.
struct segment_cpu {
    enum cpu_mode mode;
    unsigned cpl;
    unsigned linear_bits; // 48 or 57: what canonical means
    bool external;        // EXT of the error codes
    struct segment cs;    // real mode keeps its limit and rights
    struct segment ldtr, tr;
    uint64_t gdt_base;
    uint32_t gdt_limit;

    // Reads len bytes (at most 8) of a descriptor table or a TSS, as a supervisor whatever the CPL.
    // False: they cannot be read, and what this raises the caller of the loads knows.
    bool (*read)(void *context, uint64_t linear, void *buffer, size_t len);
    void *context;
};

enum segment_vector {
    SEGMENT_VECTOR_UD = 6, // without an error code
    SEGMENT_VECTOR_TS = 10,
    SEGMENT_VECTOR_NP = 11,
    SEGMENT_VECTOR_SS = 12,
    SEGMENT_VECTOR_GP = 13,
};

enum segment_outcome {
    SEGMENT_DONE,
    SEGMENT_RAISES,      // vector and code; the code is pushed in protected mode only
    SEGMENT_UNREAD,      // segment_cpu.read said false
    SEGMENT_TASK_SWITCH, // the selector is that of a TSS or a task gate, outside IA-32e mode
};

struct segment_answer {
    enum segment_outcome outcome;
    uint8_t vector;
    uint32_t code;
};

// A descriptor as it stands in its table.
struct segment_descriptor {
    uint64_t linear;
    uint64_t low;
    uint64_t high; // 0 but for a system descriptor of 16 bytes
};

// What a register holds after a load.
struct segment_loaded {
    struct segment segment; // its rights include the flag that is set
    uint64_t linear;        // of the descriptor
    uint8_t set;            // to be ORed into the byte at linear + 5: accessed, busy; 0: nothing
};

unsigned segment_dpl(const struct segment *segment);
bool segment_is_null(uint16_t selector);
bool segment_is_code(const struct segment *segment);
bool segment_is_conforming(const struct segment *segment); // of code
bool segment_is_writable(const struct segment *segment);   // data
bool segment_is_readable(const struct segment *segment);   // data, and code that may be read

// The first eight bytes of a selector's descriptor. A null selector raises vector with the code 0,
// one beyond its table or of no LDT with the selector.
struct segment_answer segment_fetch(const struct segment_cpu *cpu, uint16_t selector,
                                    enum segment_vector vector, struct segment_descriptor *out);

// MOV, POP and LxS to a segment register; old is what it holds. MOV to CS is #UD.
struct segment_answer segment_load(const struct segment_cpu *cpu, enum segment_register index,
                                   uint16_t selector, const struct segment *old,
                                   struct segment_loaded *out);

// LLDT and LTR.
struct segment_answer segment_load_ldtr(const struct segment_cpu *cpu, uint16_t selector,
                                        struct segment_loaded *out);
struct segment_answer segment_load_tr(const struct segment_cpu *cpu, uint16_t selector,
                                      struct segment_loaded *out);

// What any segment register holds after a load in real mode, when it held old, and in
// virtual-8086 mode.
struct segment segment_in_real_mode(const struct segment *old, uint16_t selector);
struct segment segment_in_v86_mode(uint16_t selector);

#endif
