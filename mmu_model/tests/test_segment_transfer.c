// Far transfers, gates, interrupts and returns: one row per rule that is not one of type and level
// (test_segment_rules.c).
#include "rows.h"

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

#define MODE_REAL CPU_MODE_REAL
#define MODE_V86  CPU_MODE_V86
#define PROT16    CPU_MODE_PROT16
#define PROT32    CPU_MODE_PROT32
#define LONG32    CPU_MODE_LONG32
#define LONG64    CPU_MODE_LONG64

// A gate: rights are P, DPL, S and type.
#define LOW_HALF(word)  ((uint64_t)(word) % 0x10000)
#define HIGH_HALF(word) ((uint64_t)(word) / 0x10000)
#define GATE_TO(rights, count, selector, offset)                                                   \
    .low = (LOW_HALF(offset) | (uint64_t)(selector) << 16 | (uint64_t)(count) << 32 |              \
            (uint64_t)(rights) << 40 | HIGH_HALF(offset) << 48)
#define CALL32(count, selector, offset) GATE_TO(0xEC, count, selector, offset)
#define CALL16(count, selector, offset) GATE_TO(0xE4, count, selector, offset)
#define TASK(selector)                  GATE_TO(0xE5, 0, selector, 0)
#define INT32(selector, offset)         GATE_TO(0xEE, 0, selector, offset)
#define TRAP32(selector, offset)        GATE_TO(0xEF, 0, selector, offset)
#define IST(number, selector, offset)   GATE_TO(0xEE, number, selector, offset)

#define RAISES(number, error)                                                                      \
    .outcome = SEGMENT_RAISES, .vector = SEGMENT_VECTOR_##number, .code = (error)
#define UNREAD             .outcome = SEGMENT_UNREAD
#define SWITCHES(t)        .outcome = SEGMENT_TASK_SWITCH, .task = (t)
#define GOES(selector, to) .cs = (selector), .offset = (to)
#define GATED(bytes)       .gated = true, .width = (bytes)
#define INNER(selector, pointer, num)                                                              \
    .ss = (selector), .sp = (pointer), .inner = true, .params = (num)
#define AT_4_GIB         UINT64_C(0x100000000)
#define IDT_CODE(vector) ((vector)*8u + 2)

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

// clang-format off
static struct transfer_case transfers[] = {
    // Without a gate. SDM 2A, "JMP".
    {"JMP to the same level", PROT32, 0, JMP, {CODE, 0x1234}, GOES(CODE, 0x1234)},
    {"the RPL of CS becomes the CPL", PROT32, 3, JMP, {CODE3, 0x1234}, GOES(CODE3 | 3, 0x1234)},
    {"conforming code keeps the CPL", PROT32, 3, JMP, {CONFORMING, 1}, GOES(CONFORMING | 3, 1)},
    {"the last byte of the segment", PROT32, 0, JMP, {CODE, 0xFFFF}, GOES(CODE, 0xFFFF)},
    {"an offset beyond the segment", PROT32, 0, JMP, {CODE, 0x10000}, RAISES(GP, 0)},
    {"a null selector", PROT32, 0, JMP, {3, 0}, RAISES(GP, 0)},
    {"a selector beyond the table", PROT32, 0, CALL, {BEYOND, 0}, RAISES(GP, BEYOND)},
    {"a table that cannot be read", PROT32, 0, CALL, {CODE, 0}, .unreadable = RIG_GDT + CODE, UNREAD},
    {"64-bit code has no limit", LONG64, 0, JMP, {CODE64, 0xFFFF800000000000},
     GOES(CODE64, 0xFFFF800000000000)},
    {"64-bit code needs a canonical offset", LONG64, 0, JMP, {CODE64, 0x800000000000},
     RAISES(GP, 0)},
    {"from 64-bit to compatibility mode the limit counts", LONG64, 0, JMP, {CODE, 0x10000},
     RAISES(GP, 0)},
    {"from compatibility to 64-bit mode", LONG32, 0, JMP, {CODE64, 0x10000}, GOES(CODE64, 0x10000)},
    {"L means nothing outside IA-32e mode", PROT32, 0, JMP, {CODE64, 0x10000},
     GOES(CODE64, 0x10000)},

    // Real and virtual-8086 mode.
    {"real mode: the base is the selector times 16", MODE_REAL, 0, JMP, {0x1234, 0xFFFF},
     GOES(0x1234, 0xFFFF)},
    {"real mode: a limit of 64 KiB", MODE_REAL, 0, JMP, {0x1234, 0x10000}, RAISES(GP, 0)},
    {"virtual-8086 mode: no descriptor", MODE_V86, 3, CALL, {0, 0xFFFF}, GOES(0, 0xFFFF)},
    {"virtual-8086 mode: a limit of 64 KiB", MODE_V86, 3, CALL, {0, 0x10000}, RAISES(GP, 0)},

    // Call gates. SDM 3A, "Call Gates", "Stack Switching".
    {"a gate of 32 bits to an inner level copies parameters", PROT32, 3, CALL, {GATE, 9},
     CALL32(5, CODE, 0x1234), GOES(CODE, 0x1234), GATED(4), INNER(STACK, ESP0, 5)},
    {"a gate of 16 bits has 16 bits of offset", PROT16, 3, CALL, {GATE | 3, 9},
     CALL16(31, CODE, 0xABCD1234), GOES(CODE, 0x1234), GATED(2), INNER(STACK, ESP0, 31)},
    {"a gate to the same level copies nothing", PROT32, 0, CALL, {GATE, 9},
     CALL32(5, CODE, 0x1234), GOES(CODE, 0x1234), GATED(4)},
    {"a gate to conforming code keeps level and stack", PROT32, 3, CALL, {GATE, 9},
     CALL32(5, CONFORMING, 0x1234), GOES(CONFORMING | 3, 0x1234), GATED(4)},
    {"a JMP through a gate", PROT32, 0, JMP, {GATE, 9}, CALL32(0, CODE, 0x1234),
     GOES(CODE, 0x1234), GATED(4)},
    {"a gate beyond its code segment", PROT32, 0, CALL, {GATE, 0}, CALL32(0, CODE, 0x10000),
     RAISES(GP, 0)},
    {"a gate with a null selector", PROT32, 0, CALL, {GATE, 0}, CALL32(0, 3, 0), RAISES(GP, 0)},
    {"a gate with a selector beyond the table", PROT32, 0, CALL, {GATE, 0}, CALL32(0, BEYOND, 0),
     RAISES(GP, BEYOND)},
    {"a gate whose code cannot be read", PROT32, 0, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .unreadable = RIG_GDT + CODE, UNREAD},
    {"a gate of 64 bits", LONG64, 3, CALL, {GATE, 0}, CALL32(5, CODE64, 0x12345678),
     .high = 0xFFFF8000, GOES(CODE64, 0xFFFF800012345678), GATED(8), INNER(0, ESP0, 0)},
    {"a gate of 64 bits from compatibility mode", LONG32, 3, CALL, {GATE, 0},
     CALL32(0, CODE64, 0x12345678), GOES(CODE64, 0x12345678), GATED(8), INNER(0, ESP0, 0)},
    {"a gate of 64 bits to ring 1: SS is null with its RPL", LONG64, 3, CALL, {GATE, 0},
     CALL32(0, CODE64_1, 8), GOES(CODE64_1 | 1, 8), GATED(8), INNER(1, ESP1, 0)},
    {"a gate of 64 bits to an offset that is not canonical", LONG64, 0, CALL, {GATE, 0},
     CALL32(0, CODE64, 0), .high = 0x8000, RAISES(GP, 0)},
    {"a gate of 64 bits whose upper half has a type", LONG64, 0, CALL, {GATE, 0},
     CALL32(0, CODE64, 0), .high = UINT64_C(0x0000010000000000), RAISES(GP, GATE)},
    {"a gate of 64 bits whose upper half cannot be read", LONG64, 0, CALL, {GATE, 0},
     CALL32(0, CODE64, 0), .unreadable = RIG_GDT + GATE + 8, UNREAD},

    // The stack of an inner level.
    {"a TSS of 16 bits", PROT16, 3, CALL, {GATE, 0}, CALL16(0, CODE, 0), .tss16 = true,
     GOES(CODE, 0), GATED(2), INNER(STACK, ESP0, 0)},
    {"a TSS of 16 bits has a stack of ring 1", PROT16, 3, CALL, {GATE, 0},
     CALL16(0, CODE64_1, 0), .tss16 = true, GOES(CODE64_1 | 1, 0), GATED(2),
     INNER(STACK1 | 1, ESP1, 0)},
    {"a TSS of 32 bits has a stack of ring 1", PROT32, 3, CALL, {GATE, 0},
     CALL32(0, CODE64_1, 0), GOES(CODE64_1 | 1, 0), GATED(4), INNER(STACK1 | 1, ESP1, 0)},
    {"a TSS that ends with SS0", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0), .tss_limit = 9,
     GOES(CODE, 0), GATED(4), INNER(STACK, ESP0, 0)},
    {"a TSS at 4 GiB wraps outside IA-32e mode", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .shift = AT_4_GIB, GOES(CODE, 0), GATED(4), INNER(STACK, ESP0, 0)},
    {"a TSS that ends before SS0", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0), .tss_limit = 8,
     RAISES(TS, RIG_TR)},
    {"a TSS of 16 bits that ends before SS0", PROT16, 3, CALL, {GATE, 0}, CALL16(0, CODE, 0),
     .tss16 = true, .tss_limit = 4, RAISES(TS, RIG_TR)},
    {"a TSS of 64 bits that ends with RSP0", LONG64, 3, CALL, {GATE, 0}, CALL32(0, CODE64, 0),
     .tss_limit = 11, GOES(CODE64, 0), GATED(8), INNER(0, ESP0, 0)},
    {"a TSS of 64 bits that ends before RSP0", LONG64, 3, CALL, {GATE, 0}, CALL32(0, CODE64, 0),
     .tss_limit = 10, RAISES(TS, RIG_TR)},
    {"a TSS whose SS0 cannot be read", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .unreadable = RIG_TSS + 8, UNREAD},
    {"a TSS whose ESP0 cannot be read", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .unreadable = RIG_TSS + 4, UNREAD},
    {"a TSS whose RSP0 cannot be read", LONG64, 3, CALL, {GATE, 0}, CALL32(0, CODE64, 0),
     .unreadable = RIG_TSS + 4, UNREAD},
    {"an RSP0 that is not canonical", LONG64, 3, CALL, {GATE, 0}, CALL32(0, CODE64, 0),
     .rsp0 = UINT64_C(0x800000000000), RAISES(SS, 0)},
    {"a null SS0 is #TS", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0), .tss_ss = 3,
     RAISES(TS, 0)},
    {"an SS0 beyond the table is #TS", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .tss_ss = BEYOND, RAISES(TS, BEYOND)},
    {"an SS0 with another RPL is #TS", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .tss_ss = STACK | 1, RAISES(TS, STACK)},
    {"an SS0 of another level is #TS", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .tss_ss = STACK3, RAISES(TS, STACK3)},
    {"an SS0 that is read-only is #TS", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .tss_ss = STACK_RO, RAISES(TS, STACK_RO)},
    {"an SS0 that is not present is #SS", PROT32, 3, CALL, {GATE, 0}, CALL32(0, CODE, 0),
     .tss_ss = STACK_ABSENT, RAISES(SS, STACK_ABSENT)},

    // Tasks. SDM 3A, "Task Switching".
    {"JMP to a TSS", PROT32, 0, JMP, {TSS, 0}, SWITCHES(TSS)},
    {"CALL of a busy TSS", PROT32, 0, CALL, {TSS_BUSY, 0}, RAISES(GP, TSS_BUSY)},
    {"CALL of a TSS that is not present", PROT32, 0, CALL, {TSS_ABSENT, 0}, RAISES(NP, TSS_ABSENT)},
    {"CALL of a TSS in the LDT", PROT32, 0, CALL, {0x0C, 0}, RAISES(GP, 0x0C)},
    {"JMP to a TSS in IA-32e mode", LONG64, 0, JMP, {TSS, 0}, RAISES(GP, TSS)},
    {"a task gate", PROT32, 0, CALL, {GATE, 0}, TASK(TSS), SWITCHES(TSS)},
    {"a task gate: the RPL of its selector does not count", PROT32, 3, CALL, {GATE, 0},
     TASK(TSS | 3), SWITCHES(TSS | 3)},
    {"a task gate to a busy TSS", PROT32, 0, CALL, {GATE, 0}, TASK(TSS_BUSY), RAISES(GP, TSS_BUSY)},
    {"a task gate to a TSS that is not present", PROT32, 0, CALL, {GATE, 0}, TASK(TSS_ABSENT),
     RAISES(NP, TSS_ABSENT)},
    {"a task gate to nothing", PROT32, 0, CALL, {GATE, 0}, TASK(0), RAISES(GP, 0)},
    {"a task gate to code", PROT32, 0, CALL, {GATE, 0}, TASK(CODE), RAISES(GP, CODE)},
    {"a task gate in IA-32e mode", LONG64, 0, CALL, {GATE, 0}, TASK(TSS), RAISES(GP, GATE)},

    // Interrupts. SDM 2A, "INT n/INTO/INT3/INT1".
    {"an interrupt gate masks interrupts", PROT32, 0, INT, INT32(CODE, 0x1234), GOES(CODE, 0x1234),
     GATED(4), .masks = true},
    {"a trap gate does not", PROT32, 0, INT, TRAP32(CODE, 0x1234), GOES(CODE, 0x1234), GATED(4)},
    {"an interrupt gate of 16 bits", PROT32, 0, INT, GATE_TO(0x86, 0, CODE, 0xABCD1234),
     GOES(CODE, 0x1234), GATED(2), .masks = true},
    {"a trap gate of 16 bits", PROT32, 0, INT, GATE_TO(0x87, 0, CODE, 0x1234), GOES(CODE, 0x1234),
     GATED(2)},
    {"to ring 0 on its stack", PROT32, 3, EXTERNAL, INT32(CODE, 0x1234), GOES(CODE, 0x1234),
     GATED(4), INNER(STACK, ESP0, 0), .masks = true},
    {"from virtual-8086 mode", MODE_V86, 3, EXTERNAL, INT32(CODE, 0x1234), GOES(CODE, 0x1234),
     GATED(4), INNER(STACK, ESP0, 0), .masks = true},
    {"from virtual-8086 mode to ring 3", MODE_V86, 3, INT, INT32(CODE3, 0), RAISES(GP, CODE3)},
    {"from virtual-8086 mode to conforming code", MODE_V86, 3, INT, INT32(CONFORMING, 0),
     RAISES(GP, CONFORMING)},
    {"a gate of ring 0 is not for INT n in ring 3", PROT32, 3, INT, GATE_TO(0x8E, 0, CODE, 0),
     RAISES(GP, IDT_CODE(VECTOR))},
    {"a gate of ring 0 is for interrupts in ring 3", PROT32, 3, EXTERNAL,
     GATE_TO(0x8E, 0, CODE, 0x1234), GOES(CODE, 0x1234), GATED(4), INNER(STACK, ESP0, 0),
     .masks = true},
    {"a gate that is not present", PROT32, 0, INT, GATE_TO(0x6E, 0, CODE, 0),
     RAISES(NP, IDT_CODE(VECTOR))},
    {"EXT stands in the codes of an external interrupt", PROT32, 0, EXTERNAL,
     GATE_TO(0x6E, 0, CODE, 0), RAISES(NP, IDT_CODE(VECTOR) | 1)},
    {"EXT stands in the code of a null selector", PROT32, 0, EXTERNAL, INT32(0, 0), RAISES(GP, 1)},
    {"a call gate in the IDT", PROT32, 0, INT, CALL32(0, CODE, 0), RAISES(GP, IDT_CODE(VECTOR))},
    {"a code segment in the IDT", PROT32, 0, INT, GATE_TO(0x9E, 0, CODE, 0),
     RAISES(GP, IDT_CODE(VECTOR))},
    {"a code segment of the other type in the IDT", LONG64, 0, INT, GATE_TO(0x96, 0, CODE, 0),
     RAISES(GP, IDT_CODE(VECTOR))},
    {"a task gate in the IDT", PROT32, 0, INT, TASK(TSS), SWITCHES(TSS)},
    {"a task gate in the IDT whose TSS cannot be read", PROT32, 0, INT, TASK(TSS),
     .unreadable = RIG_GDT + TSS, UNREAD},
    {"a task gate in the IDT of IA-32e mode", LONG64, 0, INT, TASK(TSS),
     RAISES(GP, IDT_CODE(VECTOR))},
    {"a gate of 16 bits in IA-32e mode", LONG64, 0, INT, GATE_TO(0x86, 0, CODE64, 0),
     RAISES(GP, IDT_CODE(VECTOR))},
    {"an IDT that ends with the gate", PROT32, 0, INT, TRAP32(CODE, 1), .idt_limit = 0x17,
     GOES(CODE, 1), GATED(4)},
    {"an IDT that ends within the gate", PROT32, 0, INT, TRAP32(CODE, 1), .idt_limit = 0x16,
     RAISES(GP, IDT_CODE(VECTOR))},
    {"an IDT of IA-32e mode that ends within the gate", LONG64, 0, INT, TRAP32(CODE64, 1),
     .idt_limit = 0x2E, RAISES(GP, IDT_CODE(VECTOR))},
    {"an IDT that cannot be read", PROT32, 0, INT, TRAP32(CODE, 1), .unreadable = RIG_IDT + 16,
     UNREAD},
    {"an IDT at 4 GiB wraps outside IA-32e mode", PROT32, 0, INT, TRAP32(CODE, 1),
     .shift = AT_4_GIB, GOES(CODE, 1), GATED(4)},
    {"an IDT at 4 GiB does not wrap in compatibility mode", LONG32, 0, INT, TRAP32(CODE64, 1),
     .shift = AT_4_GIB, RAISES(GP, IDT_CODE(VECTOR))},
    {"outside IA-32e mode a gate has no upper half", PROT32, 0, INT, TRAP32(CODE, 1),
     .unreadable = RIG_IDT + 24, GOES(CODE, 1), GATED(4)},
    {"an IDT of IA-32e mode whose upper half cannot be read", LONG64, 0, INT, TRAP32(CODE64, 1),
     .unreadable = RIG_IDT + 40, UNREAD},
    {"64 bits: the stack of ring 0", LONG64, 3, EXTERNAL, INT32(CODE64, 0x1234), .high = 0xFFFF8000,
     GOES(CODE64, 0xFFFF800000001234), GATED(8), INNER(0, ESP0, 0), .masks = true},
    {"64 bits: the same level keeps the stack", LONG64, 0, EXTERNAL, TRAP32(CODE64, 0x1234),
     GOES(CODE64, 0x1234), GATED(8)},
    {"64 bits: an IST at the same level", LONG64, 0, EXTERNAL, IST(2, CODE64, 0x1234),
     GOES(CODE64, 0x1234), GATED(8), .switches = true, .sp = 0x1502, .masks = true},
    {"64 bits: an IST goes before RSP0", LONG64, 3, EXTERNAL, IST(7, CODE64, 0x1234),
     GOES(CODE64, 0x1234), GATED(8), INNER(0, 0x1507, 0), .masks = true},
    {"64 bits: an IST beyond the TSS", LONG64, 0, EXTERNAL, IST(1, CODE64, 0), .tss_limit = 42,
     RAISES(TS, RIG_TR | 1)},
    {"outside IA-32e mode there is no IST", PROT32, 0, EXTERNAL, IST(2, CODE, 0x1234),
     GOES(CODE, 0x1234), GATED(4), .masks = true},
    {"64 bits: an offset that is not canonical has EXT", LONG64, 0, EXTERNAL, TRAP32(CODE64, 0),
     .high = 0x8000, RAISES(GP, 1)},
    {"real mode: an offset and a selector", MODE_REAL, 0, INT, .low = 0x12345678,
     GOES(0x1234, 0x5678), GATED(2), .masks = true},
    {"real mode: a vector table that ends with the entry", MODE_REAL, 0, INT, .low = 0x12345678,
     .idt_limit = 0x0B, GOES(0x1234, 0x5678), GATED(2), .masks = true},
    {"real mode: beyond the vector table", MODE_REAL, 0, INT, .idt_limit = 0x0A,
     RAISES(GP, IDT_CODE(VECTOR))},
    {"real mode: a vector table that cannot be read", MODE_REAL, 0, INT, .unreadable = RIG_IDT + 8,
     UNREAD},
};
// clang-format on

static void put_segments(struct segment_rig *rig)
{
    static const struct {
        uint16_t selector;
        uint64_t descriptor;
    } segments[] = {
        {0, UINT64_C(0x00409B000000FFFF)}, // no selector means it
        {CODE, UINT64_C(0x00409B000000FFFF)},
        {CODE64, UINT64_C(0x00AF9B000000FFFF)},
        {CODE3, UINT64_C(0x00CFFB000000FFFF)},
        {TSS, UINT64_C(0x0000890030000067)},
        {TSS_BUSY, UINT64_C(0x00008B0030000067)},
        {TSS_ABSENT, UINT64_C(0x0000090030000067)},
        {STACK, UINT64_C(0x00CF93000000FFFF)},
        {STACK_RO, UINT64_C(0x00CF91000000FFFF)},
        {STACK_ABSENT, UINT64_C(0x00CF13000000FFFF)},
        {STACK3, UINT64_C(0x00CFF3000000FFFF)},
        {CODE64_3, UINT64_C(0x00AFFB000000FFFF)},
        {CONFORMING, UINT64_C(0x00CF9F000000FFFF)},
        {CODE64_1, UINT64_C(0x00AFBB000000FFFF)},
        {STACK1, UINT64_C(0x00CFB3000000FFFF)},
        {FRESH, UINT64_C(0x00CF9A000000FFFF)},
    };
    for (size_t i = 0; i < ARRAY_LEN(segments); i++) {
        rig_put_gdt(rig, segments[i].selector, segments[i].descriptor);
    }
    rig_put(rig, RIG_LDT + 8, UINT64_C(0x0000890030000067), 8);
}

static void put_tss(struct segment_rig *rig, const struct transfer_case *c)
{
    uint16_t ss = c->tss_ss != 0 ? c->tss_ss : (uint16_t)STACK;
    uint64_t rsp0 = c->rsp0 != 0 ? c->rsp0 : (uint64_t)ESP0;
    rig->cpu.tr.access = c->tss16 ? 0x83 : 0x8B;
    rig->cpu.tr.base += c->shift;
    rig->cpu.tr.limit = c->tss_limit != 0 ? c->tss_limit : 0x67;
    if (c->tss16) {
        rig_put(rig, RIG_TSS + 2, rsp0, 2);
        rig_put(rig, RIG_TSS + 4, ss, 2);
        rig_put(rig, RIG_TSS + 6, ESP1, 2);
        rig_put(rig, RIG_TSS + 8, STACK1 | 1, 2);
        return;
    }
    rig_put(rig, RIG_TSS + 4, rsp0, 8);
    if (c->mode < CPU_MODE_LONG64) {
        rig_put(rig, RIG_TSS + 8, ss, 2);
        rig_put(rig, RIG_TSS + 12, ESP1, 4);
        rig_put(rig, RIG_TSS + 16, STACK1 | 1, 2);
        return;
    }
    rig_put(rig, RIG_TSS + 12, ESP1, 8);
    for (uint64_t ist = 1; ist <= 7; ist++) {
        rig_put(rig, RIG_TSS + 28 + 8 * ist, 0x1500 + ist, 8);
    }
}

static void put_gate(struct segment_rig *rig, const struct transfer_case *c)
{
    uint64_t idt_size = 8;
    rig_put_gdt(rig, GATE, c->low);
    rig_put_gdt(rig, GATE + 8, c->high);
    if (c->mode == CPU_MODE_REAL) {
        idt_size = 4;
    } else if (c->mode >= CPU_MODE_LONG64) {
        idt_size = 16;
    }
    rig_put(rig, RIG_IDT + VECTOR * idt_size, c->low, 8);
    rig_put(rig, RIG_IDT + VECTOR * idt_size + 8, c->high, 8);
}

static struct segment_answer transfer(struct segment_rig *rig, const struct transfer_case *c,
                                      struct segment_transfer *out)
{
    struct segment_interrupt interrupt = {
        .vector = VECTOR,
        .software = c->way == INT,
        .idt_base = RIG_IDT + c->shift,
        .idt_limit = c->idt_limit != 0 ? c->idt_limit : (uint32_t)IDT_LIMIT,
    };
    rig->cpu.external = c->way == EXTERNAL;
    if (c->way == INT || c->way == EXTERNAL) {
        return segment_interrupt(&rig->cpu, &interrupt, out);
    }
    return segment_transfer(&rig->cpu, c->way == CALL ? SEGMENT_CALL : SEGMENT_JMP, c->to, out);
}

// Real mode keeps what CS held but for the base, virtual-8086 mode has its own limit and rights.
static void check_paragraph(enum cpu_mode mode, uint16_t selector, const struct segment *code)
{
    assert_int_equal(code->selector, selector);
    assert_int_equal(code->base, selector * 16);
    assert_int_equal(code->limit, 0xFFFF);
    assert_int_equal(code->access, mode == CPU_MODE_REAL ? 0x9B : 0xF3);
}

static void check_destination(const struct transfer_case *c, const struct segment_transfer *out)
{
    if (c->mode == CPU_MODE_REAL || (c->mode == CPU_MODE_V86 && !c->gated)) {
        check_paragraph(c->mode, c->cs, &out->code.segment);
    }
    assert_int_equal(out->code.segment.selector, c->cs);
    assert_int_equal(out->offset, c->offset);
    assert_int_equal(out->gated, c->gated);
    assert_int_equal(out->width, c->width);
    assert_int_equal(out->changes_level, c->inner);
    assert_int_equal(out->switches_stack, c->inner || c->switches);
    assert_int_equal(out->sp, c->sp);
    assert_int_equal(out->num_parameters, c->params);
    assert_int_equal(out->masks_interrupts, c->masks);
    if (c->inner) {
        assert_int_equal(out->stack.segment.selector, c->ss);
        assert_int_equal(segment_dpl(&out->stack.segment), c->cs & 3);
    }
}

static void check_transfer(void **state)
{
    const struct transfer_case *c = *state;
    struct segment_rig rig;
    struct segment_transfer out;
    rig_init(&rig, c->mode, c->cpl);
    put_segments(&rig);
    put_tss(&rig, c);
    put_gate(&rig, c);
    rig.unreadable = c->unreadable;

    struct segment_answer answer = transfer(&rig, c, &out);

    assert_int_equal(answer.outcome, c->outcome);
    assert_int_equal(answer.vector, c->vector);
    assert_int_equal(answer.code, c->code);
    if (answer.outcome == SEGMENT_DONE) {
        check_destination(c, &out);
    } else if (answer.outcome == SEGMENT_TASK_SWITCH) {
        assert_int_equal(out.task, c->task);
    }
}

// SDM 3A, "Protection of Exception- and Interrupt-Handler Procedures".
static void a_gate_of_the_idt_is_for_software_up_to_its_dpl(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 32; n++) {
        unsigned dpl = n & 3;
        unsigned cpl = n >> 2 & 3;
        struct transfer_case c = {
            .mode = LONG64, .cpl = cpl, .way = n >= 16 ? INT : EXTERNAL, TRAP32(CODE64, 0)};
        struct segment_rig rig;
        struct segment_transfer out;
        c.low = (c.low & ~(UINT64_C(3) << 45)) | (uint64_t)dpl << 45;
        rig_init(&rig, c.mode, cpl);
        put_segments(&rig);
        put_tss(&rig, &c);
        put_gate(&rig, &c);

        struct segment_answer answer = transfer(&rig, &c, &out);

        bool refused = c.way == INT && dpl < cpl;
        assert_int_equal(answer.outcome, refused ? SEGMENT_RAISES : SEGMENT_DONE);
    }
}

// Far RET and IRET. SDM 2B, "RET"; SDM 2A, "IRET/IRETD/IRETQ".
struct return_case {
    const char *name;
    enum cpu_mode mode;
    unsigned cpl;
    struct segment_frame frame;
    enum segment_outcome outcome;
    uint8_t vector;
    uint32_t code;
    uint64_t rip;
    uint8_t set; // in the descriptor of CS
    uint32_t ss_access;
    uint64_t unreadable;
};

// clang-format off
static struct return_case returns[] = {
    {"to the same level", PROT32, 0, {0x1234, CODE, 0, false}, .rip = 0x1234},
    {"the code segment gets its flag", PROT32, 0, {0x1234, FRESH, 0, false}, .rip = 0x1234,
     .set = 1},
    {"to an outer level", PROT32, 0, {0x1234, CODE3 | 3, STACK3 | 3, true}, .rip = 0x1234,
     .ss_access = 0xC0F3},
    {"a null CS", PROT32, 0, {0, 3, 0, false}, RAISES(GP, 0)},
    {"a CS beyond the table", PROT32, 0, {0, BEYOND, 0, false}, RAISES(GP, BEYOND)},
    {"a CS that cannot be read", PROT32, 0, {0, CODE, 0, false}, .unreadable = RIG_GDT + CODE, UNREAD},
    {"an offset beyond the limit", PROT32, 0, {0x10000, CODE, 0, false}, RAISES(GP, 0)},
    {"outside 64-bit code RIP has 32 bits", LONG64, 0, {UINT64_C(0x100001234), CODE, 0, false},
     .rip = 0x1234},
    {"an offset that is not canonical", LONG64, 0, {UINT64_C(0x800000000000), CODE64, 0, false},
     RAISES(GP, 0)},
    {"SS not present is #SS", PROT32, 0, {0, CODE, STACK_ABSENT, true},
     RAISES(SS, STACK_ABSENT)},
    {"SS with another RPL than CS", PROT32, 0, {0, CODE3 | 3, STACK3, true}, RAISES(GP, STACK3)},
    {"SS beyond the table", PROT32, 0, {0, CODE3 | 3, BEYOND | 3, true}, RAISES(GP, BEYOND)},
    {"SS is checked before the offset", PROT32, 0, {0x10000, CODE, STACK_RO, true},
     RAISES(GP, STACK_RO)},
    {"a null SS in protected mode", PROT32, 0, {0, CODE, 0, true}, RAISES(GP, 0)},
    {"a null SS for 64-bit code of ring 0", LONG64, 0, {0x10, CODE64, 0, true}, .rip = 0x10,
     .ss_access = SEGMENT_ACCESS_UNUSABLE},
    {"a null SS for 64-bit code of ring 1", LONG64, 0, {0x10, CODE64_1 | 1, 1, true}, .rip = 0x10,
     .ss_access = SEGMENT_ACCESS_UNUSABLE | 0x20},
    {"a null SS for 64-bit code of ring 3", LONG64, 0, {0, CODE64_3 | 3, 3, true}, RAISES(GP, 0)},
    {"a null SS for compatibility mode", LONG64, 0, {0, CODE, 0, true}, RAISES(GP, 0)},
    {"a null SS with another RPL", LONG64, 0, {0, CODE64, 3, true}, RAISES(GP, 0)},
    {"real mode", MODE_REAL, 0, {0xFFFF, 0x1234, 0, false}, .rip = 0xFFFF},
    {"real mode, beyond 64 KiB", MODE_REAL, 0, {0x10000, 0x1234, 0, false}, RAISES(GP, 0)},
    {"virtual-8086 mode", MODE_V86, 3, {0xFFFF, 0, 0, false}, .rip = 0xFFFF},
    {"virtual-8086 mode, beyond 64 KiB", MODE_V86, 3, {0x10000, 0, 0, false}, RAISES(GP, 0)},
};
// clang-format on

static void check_return(void **state)
{
    const struct return_case *c = *state;
    struct segment_rig rig;
    struct segment_return out;
    rig_init(&rig, c->mode, c->cpl);
    put_segments(&rig);
    rig.unreadable = c->unreadable;

    struct segment_answer answer = segment_return(&rig.cpu, &c->frame, &out);

    assert_int_equal(answer.outcome, c->outcome);
    assert_int_equal(answer.vector, c->vector);
    assert_int_equal(answer.code, c->code);
    if (answer.outcome == SEGMENT_DONE) {
        bool tables = c->mode != CPU_MODE_REAL && c->mode != CPU_MODE_V86;
        if (!tables) {
            check_paragraph(c->mode, c->frame.cs, &out.code.segment);
        }
        assert_int_equal(out.code.segment.selector, c->frame.cs);
        assert_int_equal(out.rip, c->rip);
        assert_int_equal(out.cpl, tables ? c->frame.cs & 3u : c->cpl);
        assert_int_equal(out.code.set, c->set);
        assert_int_equal(out.stack.segment.access, c->ss_access);
        assert_int_equal(out.stack.segment.selector, c->frame.has_stack ? c->frame.ss : 0);
    }
}

struct iret_case {
    const char *name;
    enum cpu_mode mode;
    unsigned cpl;
    uint64_t rflags;
    uint16_t cs;
    uint64_t new_rflags;
    enum segment_iret kind;
};

#define IOPL0 UINT64_C(0x0002)
#define IOPL2 UINT64_C(0x2002)
#define IOPL3 UINT64_C(0x3002)
#define NT    UINT64_C(0x4002)
#define VM    UINT64_C(0x20002)

static struct iret_case irets[] = {
    {"in real mode", MODE_REAL, 0, NT, 3, VM, SEGMENT_IRET_INNER},
    {"in virtual-8086 mode with IOPL 3", MODE_V86, 3, VM | IOPL3, 0, 0, SEGMENT_IRET_INNER},
    {"in virtual-8086 mode with IOPL 2", MODE_V86, 3, VM | IOPL2, 0, 0, SEGMENT_IRET_REFUSED},
    {"from a nested task", PROT32, 0, NT, CODE, 0, SEGMENT_IRET_TASK},
    {"from a nested task in 64-bit mode", LONG64, 0, NT, CODE, 0, SEGMENT_IRET_REFUSED},
    {"from a nested task in compatibility mode", LONG32, 0, NT, CODE, 0, SEGMENT_IRET_REFUSED},
    {"to virtual-8086 mode", PROT32, 0, IOPL0, 0x1234, VM, SEGMENT_IRET_V86},
    {"VM is ignored outside ring 0", PROT32, 3, IOPL0, CODE3 | 3, VM, SEGMENT_IRET_INNER},
    {"VM is ignored in IA-32e mode", LONG32, 0, IOPL0, CODE, VM, SEGMENT_IRET_INNER},
    {"to the same level", PROT32, 0, IOPL0, CODE, 0, SEGMENT_IRET_INNER},
    {"to an outer level", PROT32, 0, IOPL0, CODE3 | 3, 0, SEGMENT_IRET_STACK},
    {"to an outer level from compatibility mode", LONG32, 0, IOPL0, CODE3 | 3, 0,
     SEGMENT_IRET_STACK},
    {"in 64-bit mode to the same level", LONG64, 0, IOPL0, CODE64, 0, SEGMENT_IRET_STACK},
};

static void check_iret(void **state)
{
    const struct iret_case *c = *state;
    struct segment_rig rig;
    rig_init(&rig, c->mode, c->cpl);
    assert_int_equal(segment_iret(&rig.cpu, c->rflags, c->cs, c->new_rflags), c->kind);
}

// SDM 2B, "RET": a data or nonconforming code segment of an inner level does not stay.
static void a_return_drops_the_segments_of_inner_levels(void **state)
{
    (void)state;
    for (uint32_t access = 0; access < 0x80; access++) {
        struct segment segment = {8, access | SEGMENT_ACCESS_P, 0xFFFF, 0};
        bool conforming = (access & 0x1C) == 0x1C;
        for (unsigned cpl = 0; cpl < 4; cpl++) {
            assert_int_equal(segment_survives(&segment, cpl), conforming || access >> 5 >= cpl);
        }
    }
    struct segment null = {0, SEGMENT_ACCESS_UNUSABLE, 0, 0};
    assert_true(segment_survives(&null, 3));
}

static void check_segment(const struct segment *segment, uint16_t selector, uint32_t access)
{
    assert_int_equal(segment->selector, selector);
    assert_int_equal(segment->access, access);
    assert_int_equal(segment->limit, 0xFFFFFFFF);
    assert_int_equal(segment->base, 0);
}

// SDM 2B, "SYSCALL", "SYSRET", "SYSENTER", "SYSEXIT".
static void the_fast_system_calls_load_flat_segments(void **state)
{
    (void)state;
    const uint64_t star = UINT64_C(0x0033000B00000000);
    struct segment_pair pair = segment_of_syscall(star);
    check_segment(&pair.cs, 0x08, 0xA09B);
    check_segment(&pair.ss, 0x13, 0xC093);
    pair = segment_of_sysret(star, true);
    check_segment(&pair.cs, 0x43, 0xA0FB);
    check_segment(&pair.ss, 0x3B, 0xC0F3);
    pair = segment_of_sysret(star, false);
    check_segment(&pair.cs, 0x33, 0xC0FB);
    check_segment(&pair.ss, 0x3B, 0xC0F3);
    pair = segment_of_sysenter(0x1000B, true);
    check_segment(&pair.cs, 0x08, 0xA09B);
    check_segment(&pair.ss, 0x10, 0xC093);
    pair = segment_of_sysenter(0x0B, false);
    check_segment(&pair.cs, 0x08, 0xC09B);
    check_segment(&pair.ss, 0x10, 0xC093);
    pair = segment_of_sysexit(0x08, true);
    check_segment(&pair.cs, 0x2B, 0xA0FB);
    check_segment(&pair.ss, 0x33, 0xC0F3);
    pair = segment_of_sysexit(0x08, false);
    check_segment(&pair.cs, 0x1B, 0xC0FB);
    check_segment(&pair.ss, 0x23, 0xC0F3);
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_of_the_idt_is_for_software_up_to_its_dpl),
        cmocka_unit_test(a_return_drops_the_segments_of_inner_levels),
        cmocka_unit_test(the_fast_system_calls_load_flat_segments),
    };
    RUN_ROWS(failures, "transfers", transfers, check_transfer);
    RUN_ROWS(failures, "returns", returns, check_return);
    RUN_ROWS(failures, "IRET", irets, check_iret);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
