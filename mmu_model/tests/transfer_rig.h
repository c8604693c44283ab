// Far transfers as rows: the segments, the TSS and the gate that a row finds, and what it asks.
#ifndef MMU_MODEL_TESTS_TRANSFER_RIG_H
#define MMU_MODEL_TESTS_TRANSFER_RIG_H

#include "mmu_model/segment_transfer.h"
#include "segment_rig.h"

enum {
    CODE = 0x08,   // ring 0, 32 bits, limit FFFF
    CODE64 = 0x10, // ring 0
    CODE3 = 0x18,  // ring 3, 32 bits, 4 GiB
    GATE = 0x20,   // what the row says, 16 bytes of it
    TSS = 0x30,    // available
    TSS_BUSY = 0x38,
    TSS_ABSENT = 0x40,
    STACK = 0x50, // ring 0
    STACK_RO = 0x58,
    STACK_ABSENT = 0x60,
    STACK3 = 0x68,
    CODE64_3 = 0x70,   // ring 3
    CONFORMING = 0x78, // ring 0, 32 bits
    CODE64_1 = 0x80,   // ring 1
    FRESH = 0x88,      // ring 0, 32 bits, not accessed
    STACK1 = 0x90,     // ring 1
    BEYOND = 0x100,
    VECTOR = 2,
    IDT_LIMIT = 0xFF,
    ESP0 = 0x7000,
    ESP1 = 0x1111,
};

// A gate: rights are P, DPL, S and type.
#define LOW_HALF(word)  ((uint64_t)(word) % 0x10000)
#define HIGH_HALF(word) ((uint64_t)(word) / 0x10000)
#define GATE_TO(rights, count, selector, offset)                                                   \
    .low = (LOW_HALF(offset) | (uint64_t)(selector) << 16 | (uint64_t)(count) << 32 |              \
            (uint64_t)(rights) << 40 | HIGH_HALF(offset) << 48)
#define CALL32(count, selector, offset) GATE_TO(0xEC, count, selector, offset)
#define TASK(selector)                  GATE_TO(0xE5, 0, selector, 0)

#define RAISES(number, error)                                                                      \
    .outcome = SEGMENT_RAISES, .vector = SEGMENT_VECTOR_##number, .code = (error)
#define UNREAD             .outcome = SEGMENT_UNREAD
#define SWITCHES(t)        .outcome = SEGMENT_TASK_SWITCH, .task = (t)
#define GOES(selector, to) .cs = (selector), .offset = (to)
#define GATED(bytes)       .gated = true, .width = (bytes)
#define INNER(selector, pointer, num)                                                              \
    .ss = (selector), .sp = (pointer), .inner = true, .params = (num)
#define AT_4_GIB UINT64_C(0x100000000)

enum way {
    CALL,
    JMP,
    INT,      // by software
    EXTERNAL, // by hardware
};

struct transfer_case {
    const char *name;
    enum cpu_mode mode;
    unsigned cpl;
    enum way way;
    struct far_pointer to;
    enum segment_outcome outcome;
    uint8_t vector;
    uint32_t code;
    uint16_t task;
    uint16_t cs;
    uint64_t offset;
    bool gated;
    unsigned width;
    bool inner;
    uint16_t ss;
    uint64_t sp;
    unsigned params;
    bool switches; // the stack without the level
    bool masks;
    // What differs from the usual.
    uint64_t low, high; // of the gate in the GDT and in the IDT
    uint16_t tss_ss;    // 0: STACK
    uint64_t rsp0;      // 0: ESP0
    uint32_t tss_limit; // 0: 0x67
    bool tss16;
    uint32_t idt_limit; // 0: IDT_LIMIT
    uint64_t shift;     // of the bases of TSS and IDT: where nothing but zeros is
    uint64_t unreadable;
};

// Descriptors for the selectors above but GATE and BEYOND, and an available TSS in the LDT.
void rig_put_segments(struct segment_rig *rig);

// What becomes of the row's transfer.
struct segment_answer transfer_answer(const struct transfer_case *c, struct segment_transfer *out);

// The test of a row.
void check_transfer(void **state);

// Real mode keeps what CS held but for the base, virtual-8086 mode has its own limit and rights.
void check_paragraph(enum cpu_mode mode, uint16_t selector, const struct segment *code);

#endif
