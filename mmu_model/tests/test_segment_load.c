// Loads of segment registers, LDTR and TR: one row per rule that is not one of type and level
// (test_segment_rules.c).
#include "rows.h"

#include "mmu_model/segment_load.h"
#include "segment_rig.h"

enum {
    DATA = 0x08,
    DATA_A = 0x10, // accessed
    ABSENT = 0x18,
    CODE = 0x20,
    LDT = 0x40,
    TSS = 0x50,
    TSS16 = 0x60,
    LDT_ABSENT = 0x70,
    LDT_TYPED = 0x80, // its upper half has a type
    LDT_FAR = 0x90,   // its base is not canonical with 48 bits, with 57 it is
    TSS_FAR = 0xA0,
    LAST = 0xF8,   // the table's last 8 bytes hold an LDT
    IN_LDT = 0x0C, // data in the LDT
    LDT_TI = 0x14, // an LDT in the LDT
    BEYOND = 0x100,
    UNUSABLE = SEGMENT_ACCESS_UNUSABLE,
};

#define CANONICAL_57 UINT64_C(0x0000800012345678)

enum target {
    TO_DS,
    TO_SS,
    TO_CS,
    TO_LDTR,
    TO_TR,
};

struct load_case {
    const char *name;
    enum cpu_mode mode;
    unsigned cpl;
    enum target target;
    uint16_t selector;
    // Raised, or the register afterwards.
    enum segment_outcome outcome;
    uint8_t vector;
    uint32_t code;
    struct segment after;
    uint64_t linear;
    uint8_t set;
    // What differs from the usual.
    struct segment old;
    bool external;
    bool no_ldt;
    bool la57;
    uint32_t gdt_limit;
    uint64_t gdt_base;
    uint64_t unreadable;
};

#define RAISES(number, error)                                                                      \
    .outcome = SEGMENT_RAISES, .vector = SEGMENT_VECTOR_##number, .code = (error)
#define HOLDS(...)     .after = {__VA_ARGS__}
#define FLAG(at, bits) .linear = (at), .set = (bits)

// clang-format off
static struct load_case cases[] = {
    // SDM 2B, "MOV".
    {"a data segment: base, byte limit and rights", PROT32, 0, TO_DS, DATA,
     HOLDS(DATA, 0x40F3, 0x5678, 0x80341234), FLAG(RIG_GDT + DATA, 1)},
    {"an accessed segment needs no flag", PROT32, 0, TO_DS, DATA_A,
     HOLDS(DATA_A, 0xC0F3, 0xFFFFFFFF, 0), .linear = RIG_GDT + DATA_A},
    {"a segment of the LDT", PROT32, 3, TO_DS, IN_LDT | 3,
     HOLDS(IN_LDT | 3, 0x40F3, 0x5678, 0x80341234), FLAG(RIG_LDT + 8, 1)},
    {"without an LDT", PROT32, 0, TO_DS, IN_LDT, .no_ldt = true, RAISES(GP, IN_LDT)},
    {"beyond the GDT", PROT32, 0, TO_DS, BEYOND, RAISES(GP, BEYOND)},
    {"beyond the GDT: the error code has no RPL", PROT32, 3, TO_DS, BEYOND | 3, RAISES(GP, BEYOND)},
    {"beyond the LDT", PROT32, 0, TO_DS, BEYOND | 4, RAISES(GP, BEYOND | 4)},
    {"the last byte of a descriptor beyond the GDT", PROT32, 0, TO_DS, DATA, .gdt_limit = DATA + 6,
     RAISES(GP, DATA)},
    {"a descriptor that ends the GDT", PROT32, 0, TO_DS, DATA_A, .gdt_limit = DATA_A + 7,
     HOLDS(DATA_A, 0xC0F3, 0xFFFFFFFF, 0), .linear = RIG_GDT + DATA_A},
    {"EXT stands in the error code", PROT32, 0, TO_DS, BEYOND, .external = true,
     RAISES(GP, BEYOND | 1)},
    {"not present is #NP", PROT32, 0, TO_DS, ABSENT, RAISES(NP, ABSENT)},
    {"not present in SS is #SS", PROT32, 3, TO_SS, ABSENT | 3, RAISES(SS, ABSENT)},
    {"a GDT that cannot be read", PROT32, 0, TO_DS, DATA, .unreadable = RIG_GDT + DATA,
     .outcome = SEGMENT_UNREAD},
    {"SS from a GDT that cannot be read", PROT32, 0, TO_SS, DATA, .unreadable = RIG_GDT + DATA,
     .outcome = SEGMENT_UNREAD},
    {"a GDT at 4 GiB wraps outside IA-32e mode", PROT32, 0, TO_DS, DATA_A,
     .gdt_base = UINT64_C(0x100000000) + RIG_GDT, HOLDS(DATA_A, 0xC0F3, 0xFFFFFFFF, 0),
     .linear = RIG_GDT + DATA_A},
    {"a GDT at 4 GiB does not wrap in compatibility mode", LONG32, 0, TO_DS, DATA_A,
     .gdt_base = UINT64_C(0x100000000) + RIG_GDT, RAISES(GP, DATA_A)},
    {"MOV to CS is undefined", PROT32, 0, TO_CS, CODE, RAISES(UD, 0)},

    // Null selectors.
    {"DS may be null", PROT32, 0, TO_DS, 0, HOLDS(0, UNUSABLE, 0, 0)},
    {"DS may be null with any RPL", LONG64, 3, TO_DS, 3, HOLDS(3, UNUSABLE, 0, 0)},
    {"index 0 of the LDT is not null", PROT32, 0, TO_DS, 4, RAISES(GP, 4)},
    {"SS may not be null in protected mode", PROT32, 0, TO_SS, 0, RAISES(GP, 0)},
    {"SS may not be null in compatibility mode", LONG32, 0, TO_SS, 0, RAISES(GP, 0)},
    {"SS may be null in 64-bit mode at CPL 0", LONG64, 0, TO_SS, 0, HOLDS(0, UNUSABLE, 0, 0)},
    {"SS may be null in 64-bit mode at CPL 1", LONG64, 1, TO_SS, 1, HOLDS(1, UNUSABLE | 0x20, 0, 0)},
    {"SS may be null in 64-bit mode at CPL 2", LONG64, 2, TO_SS, 2, HOLDS(2, UNUSABLE | 0x40, 0, 0)},
    {"SS may not be null at CPL 3", LONG64, 3, TO_SS, 3, RAISES(GP, 0)},
    {"SS may not be null with another RPL", LONG64, 1, TO_SS, 0, RAISES(GP, 0)},

    // Real mode. SDM 3B, "Real-Address Mode".
    {"real mode: the base is the selector times 16", MODE_REAL, 0, TO_DS, 0xFFFF,
     .old = {0, 0x93, 0xFFFF, 0}, HOLDS(0xFFFF, 0x93, 0xFFFF, 0xFFFF0)},
    {"real mode: limit and rights stay", MODE_REAL, 0, TO_SS, 0x10,
     .old = {8, 0xC093, 0xFFFFFFFF, 0x5000}, HOLDS(0x10, 0xC093, 0xFFFFFFFF, 0x100)},
    {"real mode: null is a paragraph", MODE_REAL, 0, TO_DS, 0, .old = {8, 0x93, 0xFFFF, 0x80},
     HOLDS(0, 0x93, 0xFFFF, 0)},
    {"real mode: an unusable register becomes usable", MODE_REAL, 0, TO_DS, 0x10,
     .old = {0, UNUSABLE, 0, 0}, HOLDS(0x10, 0x93, 0xFFFF, 0x100)},
    {"real mode: MOV to CS is undefined", MODE_REAL, 0, TO_CS, 0x10, RAISES(UD, 0)},
    {"virtual-8086 mode: base, 64 KiB, ring 3", MODE_V86, 3, TO_DS, 0x1234,
     .old = {8, 0xC093, 0xFFFFFFFF, 0}, HOLDS(0x1234, 0xF3, 0xFFFF, 0x12340)},
    {"virtual-8086 mode: SS is not checked either", MODE_V86, 3, TO_SS, 0,
     .old = {8, 0xC093, 0xFFFFFFFF, 0}, HOLDS(0, 0xF3, 0xFFFF, 0)},

    // SDM 2A, "LLDT".
    {"LLDT of 8 bytes", PROT32, 0, TO_LDTR, LDT, HOLDS(LDT, 0x82, 0xFF, RIG_LDT),
     .linear = RIG_GDT + LDT},
    {"LLDT of 16 bytes", LONG64, 0, TO_LDTR, LDT,
     HOLDS(LDT, 0x82, 0xFF, UINT64_C(0xFFFF800000002000)), .linear = RIG_GDT + LDT},
    {"LLDT of 16 bytes in compatibility mode", LONG32, 0, TO_LDTR, LDT,
     HOLDS(LDT, 0x82, 0xFF, UINT64_C(0xFFFF800000002000)), .linear = RIG_GDT + LDT},
    {"LLDT of a null selector", LONG64, 0, TO_LDTR, 3, HOLDS(3, UNUSABLE, 0, 0)},
    {"LLDT is for ring 0", LONG64, 3, TO_LDTR, LDT, RAISES(GP, 0)},
    {"LLDT of a null selector is for ring 0", PROT32, 1, TO_LDTR, 0, RAISES(GP, 0)},
    {"LLDT from the LDT", PROT32, 0, TO_LDTR, LDT_TI, RAISES(GP, LDT_TI)},
    {"LLDT not present", PROT32, 0, TO_LDTR, LDT_ABSENT, RAISES(NP, LDT_ABSENT)},
    {"LLDT of data", PROT32, 0, TO_LDTR, DATA, RAISES(GP, DATA)},
    {"LLDT beyond the table", PROT32, 0, TO_LDTR, BEYOND, RAISES(GP, BEYOND)},
    {"LLDT of 8 bytes at the end of the table", PROT32, 0, TO_LDTR, LAST,
     HOLDS(LAST, 0x82, 0xFF, RIG_LDT), .linear = RIG_GDT + LAST},
    {"LLDT of 16 bytes cut off", LONG64, 0, TO_LDTR, LAST, RAISES(GP, LAST)},
    {"LLDT whose upper half has a type", LONG64, 0, TO_LDTR, LDT_TYPED, RAISES(GP, LDT_TYPED)},
    {"LLDT of a base that is not canonical", LONG64, 0, TO_LDTR, LDT_FAR, RAISES(GP, LDT_FAR)},
    {"LLDT of a base that is canonical with LA57", LONG64, 0, TO_LDTR, LDT_FAR, .la57 = true,
     HOLDS(LDT_FAR, 0x82, 0xFF, CANONICAL_57), .linear = RIG_GDT + LDT_FAR},
    {"LLDT whose upper half cannot be read", LONG64, 0, TO_LDTR, LDT,
     .unreadable = RIG_GDT + LDT + 8, .outcome = SEGMENT_UNREAD},
    {"LLDT of 8 bytes reads no upper half", PROT32, 0, TO_LDTR, LDT,
     .unreadable = RIG_GDT + LDT + 8, HOLDS(LDT, 0x82, 0xFF, RIG_LDT), .linear = RIG_GDT + LDT},
    {"LLDT in real mode", MODE_REAL, 0, TO_LDTR, LDT, RAISES(UD, 0)},
    {"LLDT in virtual-8086 mode", MODE_V86, 3, TO_LDTR, LDT, RAISES(UD, 0)},

    // SDM 2A, "LTR".
    {"LTR of 8 bytes marks the TSS busy", PROT32, 0, TO_TR, TSS, HOLDS(TSS, 0x8B, 0x67, RIG_TSS),
     FLAG(RIG_GDT + TSS, 2)},
    {"LTR of 16 bytes", LONG64, 0, TO_TR, TSS,
     HOLDS(TSS, 0x8B, 0x67, UINT64_C(0xFFFF800000003000)), FLAG(RIG_GDT + TSS, 2)},
    {"LTR of a TSS of 16 bits", PROT32, 0, TO_TR, TSS16, HOLDS(TSS16, 0x83, 0x2B, RIG_TSS),
     FLAG(RIG_GDT + TSS16, 2)},
    {"LTR of a TSS of 16 bits in IA-32e mode", LONG64, 0, TO_TR, TSS16, RAISES(GP, TSS16)},
    {"LTR of a null selector", PROT32, 0, TO_TR, 0, RAISES(GP, 0)},
    {"LTR is for ring 0", PROT32, 2, TO_TR, TSS, RAISES(GP, 0)},
    {"LTR of a base that is not canonical", LONG64, 0, TO_TR, TSS_FAR, RAISES(GP, TSS_FAR)},
    {"LTR in real mode", MODE_REAL, 0, TO_TR, TSS, RAISES(UD, 0)},
};
// clang-format on

static void put_tables(struct segment_rig *rig)
{
    const uint64_t high = 0xFFFF8000;
    const uint64_t data = UINT64_C(0x8040F23412345678);
    const uint64_t ldt = UINT64_C(0x00008200200000FF);
    const uint64_t tss = UINT64_C(0x0000890030000067);
    rig_put_gdt(rig, 0, tss); // no selector means it
    rig_put_gdt(rig, DATA, data);
    rig_put_gdt(rig, DATA_A, UINT64_C(0x00CFF3000000FFFF));
    rig_put_gdt(rig, ABSENT, UINT64_C(0x00CF73000000FFFF));
    rig_put_gdt(rig, CODE, UINT64_C(0x00CF9B000000FFFF));
    rig_put_gdt(rig, LDT, ldt);
    rig_put_gdt(rig, LDT + 8, high);
    rig_put_gdt(rig, TSS, tss);
    rig_put_gdt(rig, TSS + 8, high);
    rig_put_gdt(rig, TSS16, UINT64_C(0x000081003000002B));
    rig_put_gdt(rig, LDT_ABSENT, UINT64_C(0x00000200200000FF));
    rig_put_gdt(rig, LDT_TYPED, ldt);
    rig_put_gdt(rig, LDT_TYPED + 8, high | UINT64_C(0x0000100000000000));
    rig_put_gdt(rig, LDT_FAR, UINT64_C(0x12008234567800FF));
    rig_put_gdt(rig, LDT_FAR + 8, CANONICAL_57 >> 32);
    rig_put_gdt(rig, TSS_FAR, tss);
    rig_put_gdt(rig, TSS_FAR + 8, 0x8000);
    rig_put_gdt(rig, LAST, ldt);
    rig_put(rig, RIG_LDT + 8, data, 8);
    rig_put(rig, RIG_LDT + 16, ldt, 8);
}

static struct segment_answer load(const struct segment_rig *rig, const struct load_case *c,
                                  struct segment_loaded *out)
{
    switch (c->target) {
    case TO_LDTR:
        return segment_load_ldtr(&rig->cpu, c->selector, out);
    case TO_TR:
        return segment_load_tr(&rig->cpu, c->selector, out);
    case TO_DS:
        return segment_load(&rig->cpu, SEGMENT_REGISTER_DS, c->selector, &c->old, out);
    case TO_SS:
        return segment_load(&rig->cpu, SEGMENT_REGISTER_SS, c->selector, &c->old, out);
    case TO_CS:
        break;
    }
    return segment_load(&rig->cpu, SEGMENT_REGISTER_CS, c->selector, &c->old, out);
}

static void check_load(void **state)
{
    const struct load_case *c = *state;
    struct segment_rig rig;
    struct segment_loaded out;
    rig_init(&rig, c->mode, c->cpl);
    put_tables(&rig);
    rig.cpu.external = c->external;
    rig.cpu.linear_bits = c->la57 ? 57 : 48;
    rig.cpu.ldtr.access = c->no_ldt ? UNUSABLE : 0x82;
    rig.cpu.gdt_limit = c->gdt_limit != 0 ? c->gdt_limit : RIG_TABLE_SIZE - 1;
    rig.cpu.gdt_base = c->gdt_base != 0 ? c->gdt_base : RIG_GDT;
    rig.unreadable = c->unreadable;

    struct segment_answer answer = load(&rig, c, &out);

    assert_int_equal(answer.outcome, c->outcome);
    assert_int_equal(answer.vector, c->vector);
    assert_int_equal(answer.code, c->code);
    if (answer.outcome == SEGMENT_DONE) {
        assert_int_equal(out.segment.selector, c->after.selector);
        assert_int_equal(out.segment.access, c->after.access);
        assert_int_equal(out.segment.limit, c->after.limit);
        assert_int_equal(out.segment.base, c->after.base);
        assert_int_equal(out.set, c->set);
        assert_int_equal(out.linear, c->linear);
    }
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "segment loads", cases, check_load);
    return failures;
}
