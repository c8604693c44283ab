// Accesses through segments, and the instructions that ask beforehand: one row per rule.
#include "rows.h"

#include "mmu_model/segment_check.h"
#include "segment_rig.h"

enum {
    DATA32 = 0xC093, // G, B, present, data, writable
    DATA16 = 0x0093,
    READ_ONLY = 0x0091,
    DOWN32 = 0x4097, // expand-down, B
    DOWN16 = 0x0097,
    CODE_XR = 0x009B,
    CODE_X = 0x0099,
    V86_DATA = 0x00F3,
    UNUSABLE = SEGMENT_ACCESS_UNUSABLE,
    CODE = 0x08,
    CALL_GATE = 0x10,
    RESERVED = 0x18,
    ABSENT = 0x20,
    LDT_LAST = 0xF8, // an LDT, whose upper half is cut off
};

#define ES    SEGMENT_REGISTER_ES
#define CS    SEGMENT_REGISTER_CS
#define SS    SEGMENT_REGISTER_SS
#define DS    SEGMENT_REGISTER_DS
#define FS    SEGMENT_REGISTER_FS
#define GS    SEGMENT_REGISTER_GS
#define READ  MMU_ACCESS_READ
#define WRITE MMU_ACCESS_WRITE
#define FETCH MMU_ACCESS_FETCH
#define HIGH  UINT64_C(0xFFFF800000000000)
#define HOLE  UINT64_C(0x0000800000000000)

struct access_case {
    const char *name;
    enum cpu_mode mode;
    struct segment_access_request request;
    uint64_t linear;
    uint8_t vector; // 0: allowed
    bool la57;
};

#define GP          .vector = SEGMENT_VECTOR_GP
#define STACK_FAULT .vector = SEGMENT_VECTOR_SS

// clang-format off
static struct access_case accesses[] = {
    // Limits. SDM 3A, "Limit Checking".
    {"a read at the end of the segment", PROT32, {DS, {8, DATA16, 0xFFF, 0x5000}, READ, 0xFFC, 4},
     .linear = 0x5FFC},
    {"a read across the end of the segment", PROT32,
     {DS, {8, DATA16, 0xFFF, 0x5000}, READ, 0xFFD, 4}, GP},
    {"a read beyond the segment", PROT32, {DS, {8, DATA16, 0xFFF, 0x5000}, READ, 0x1000, 1}, GP},
    {"a limit of 0 holds one byte", PROT32, {DS, {8, DATA16, 0, 0x5000}, READ, 0, 1}, .linear = 0x5000},
    {"a limit of 0 holds no word", PROT32, {DS, {8, DATA16, 0, 0x5000}, READ, 0, 2}, GP},
    {"a write through SS beyond the limit is #SS", PROT32,
     {SS, {8, DATA16, 0xFFF, 0x5000}, WRITE, 0x1000, 1}, STACK_FAULT},
    {"an access larger than the segment", PROT32, {DS, {8, DATA16, 0x1F, 0}, READ, 0, 0x21}, GP},
    {"a flat segment up to its last byte", PROT32,
     {DS, {8, DATA32, 0xFFFFFFFF, 0}, READ, 0xFFFFFFFF, 1}, .linear = 0xFFFFFFFF},
    {"an access does not wrap in a flat segment", PROT32,
     {DS, {8, DATA32, 0xFFFFFFFF, 0}, READ, 0xFFFFFFFF, 2}, GP},
    {"base plus offset wraps at 4 GiB", PROT32,
     {DS, {8, DATA32, 0xFFFFFFFF, 0x7000}, READ, 0xFFFFFFF8, 8}, .linear = 0x6FF8},
    {"the bytes of an access may lie on both sides of 4 GiB", PROT32,
     {DS, {8, DATA32, 0xFFFF, 0xFFFFFFFC}, READ, 0, 8}, .linear = 0xFFFFFFFC},
    {"the upper half of a base does not count", PROT32,
     {FS, {8, DATA32, 0xFFFF, HIGH + 0x5000}, READ, 1, 1}, .linear = 0x5001},
    {"16-bit protected mode", PROT16, {ES, {8, DATA16, 0xFFFF, 0x5000}, READ, 0xFFFF, 2}, GP},
    {"compatibility mode has limits", LONG32, {DS, {8, DATA16, 0xFFF, 0}, READ, 0x1000, 1}, GP},
    {"compatibility mode wraps at 4 GiB", LONG32,
     {DS, {8, DATA32, 0xFFFFFFFF, 0x7000}, READ, 0xFFFFFFF8, 8}, .linear = 0x6FF8},

    // Expand-down.
    {"expand-down: the first byte above the limit", PROT32,
     {DS, {8, DOWN32, 0xFFF, 0}, READ, 0x1000, 4}, .linear = 0x1000},
    {"expand-down: the limit itself", PROT32, {DS, {8, DOWN32, 0xFFF, 0}, READ, 0xFFF, 4}, GP},
    {"expand-down with B ends at 4 GiB", PROT32,
     {DS, {8, DOWN32, 0xFFF, 0}, READ, 0xFFFFFFFC, 4}, .linear = 0xFFFFFFFC},
    {"expand-down with B, across its end", PROT32,
     {DS, {8, DOWN32, 0xFFF, 0}, READ, 0xFFFFFFFD, 4}, GP},
    {"expand-down without B ends at 64 KiB", PROT32,
     {DS, {8, DOWN16, 0xFFF, 0}, READ, 0xFFFC, 4}, .linear = 0xFFFC},
    {"expand-down without B, across its end", PROT32,
     {DS, {8, DOWN16, 0xFFF, 0}, READ, 0xFFFD, 4}, GP},
    {"expand-down without any offset", PROT32, {DS, {8, DOWN16, 0xFFFF, 0}, READ, 0xFFFF, 1}, GP},
    {"expand-down on the stack", PROT32, {SS, {8, DOWN32, 0xFFF, 0}, WRITE, 0xFF8, 4},
     STACK_FAULT},

    // Types. SDM 3A, "Type Checking".
    {"a write to read-only data", PROT32, {DS, {8, READ_ONLY, 0xFFF, 0}, WRITE, 0, 1}, GP},
    {"a read of read-only data", PROT32, {DS, {8, READ_ONLY, 0xFFF, 0}, READ, 1, 1}, .linear = 1},
    {"a write to code", PROT32, {CS, {8, CODE_XR, 0xFFF, 0}, WRITE, 0, 1}, GP},
    {"a read of readable code", PROT32, {CS, {8, CODE_XR, 0xFFF, 0}, READ, 1, 1}, .linear = 1},
    {"a read of execute-only code", PROT32, {CS, {8, CODE_X, 0xFFF, 0}, READ, 0, 1}, GP},
    {"a fetch of execute-only code", PROT32, {CS, {8, CODE_X, 0xFFF, 0}, FETCH, 0xFFF, 1}, .linear = 0xFFF},
    {"a fetch across the limit", PROT32, {CS, {8, CODE_X, 0xFFF, 0}, FETCH, 0xFFF, 2}, GP},
    {"a fetch from data", PROT32, {CS, {8, DATA16, 0xFFF, 0}, FETCH, 0, 1}, GP},
    {"an unusable register", PROT32, {DS, {0, UNUSABLE, 0xFFFFFFFF, 0}, READ, 0, 1}, GP},
    {"an unusable register with old rights", PROT32,
     {DS, {0, UNUSABLE | DATA32, 0xFFFFFFFF, 0}, READ, 0, 1}, GP},
    {"an unusable SS", LONG32, {SS, {0, UNUSABLE, 0xFFFFFFFF, 0}, WRITE, 0, 1}, STACK_FAULT},

    // Real and virtual-8086 mode.
    {"real mode: the last word of 64 KiB", MODE_REAL,
     {DS, {0x1000, DATA16, 0xFFFF, 0x10000}, READ, 0xFFFE, 2}, .linear = 0x1FFFE},
    {"real mode: across 64 KiB", MODE_REAL,
     {DS, {0x1000, DATA16, 0xFFFF, 0x10000}, READ, 0xFFFF, 2}, GP},
    {"real mode: across 64 KiB on the stack", MODE_REAL,
     {SS, {0x1000, DATA16, 0xFFFF, 0x10000}, WRITE, 0xFFFF, 2}, STACK_FAULT},
    {"real mode: code may be written", MODE_REAL,
     {CS, {0xF000, CODE_XR, 0xFFFF, 0xF0000}, WRITE, 0, 1}, .linear = 0xF0000},
    {"real mode: data may be executed", MODE_REAL,
     {CS, {0x1000, DATA16, 0xFFFF, 0x10000}, FETCH, 0, 1}, .linear = 0x10000},
    {"real mode: a limit from protected mode", MODE_REAL,
     {DS, {0, DATA32, 0xFFFFFFFF, 0}, READ, 0x12345678, 4}, .linear = 0x12345678},
    {"real mode: above 1 MiB", MODE_REAL, {DS, {0xFFFF, DATA16, 0xFFFF, 0xFFFF0}, READ, 0xFFFF, 1},
     .linear = 0x10FFEF},
    {"virtual-8086 mode: a fetch", MODE_V86,
     {CS, {0x1000, V86_DATA, 0xFFFF, 0x10000}, FETCH, 0xFFFF, 1}, .linear = 0x1FFFF},
    {"virtual-8086 mode: a write", MODE_V86,
     {CS, {0x1000, V86_DATA, 0xFFFF, 0x10000}, WRITE, 0, 1}, .linear = 0x10000},
    {"virtual-8086 mode: beyond 64 KiB", MODE_V86,
     {DS, {0x1000, V86_DATA, 0xFFFF, 0x10000}, READ, 0x10000, 1}, GP},

    // 64-bit mode. SDM 1, "Canonical Addressing"; SDM 3A, "Segmentation in IA-32e Mode".
    {"64 bits: DS has neither base nor limit nor type", LONG64,
     {DS, {0, UNUSABLE, 0, 0x5000}, WRITE, 0x12345678, 8}, .linear = 0x12345678},
    {"64 bits: CS may be written", LONG64, {CS, {8, CODE_X, 0, 0x5000}, WRITE, 8, 8}, .linear = 8},
    {"64 bits: ES has no base", LONG64, {ES, {8, DATA32, 0, 0x5000}, READ, 8, 8}, .linear = 8},
    {"64 bits: SS has no base", LONG64, {SS, {8, DATA32, 0, 0x5000}, READ, 8, 8}, .linear = 8},
    {"64 bits: FS has its base", LONG64, {FS, {0, UNUSABLE, 0, HIGH}, READ, 8, 8}, .linear = HIGH + 8},
    {"64 bits: GS has its base", LONG64, {GS, {0, UNUSABLE, 0, HIGH}, READ, 8, 8}, .linear = HIGH + 8},
    {"64 bits: base plus offset into the hole", LONG64, {GS, {0, UNUSABLE, 0, HIGH}, READ, HIGH, 1},
     GP},
    {"64 bits: base plus a negative offset", LONG64,
     {GS, {0, UNUSABLE, 0, 0x1000}, READ, -UINT64_C(8), 8}, .linear = 0xFF8},
    {"64 bits: into the hole", LONG64, {DS, {0, 0, 0, 0}, READ, HOLE, 1}, GP},
    {"64 bits: into the hole on the stack", LONG64, {SS, {0, 0, 0, 0}, WRITE, HOLE, 1},
     STACK_FAULT},
    {"64 bits: the last byte of the lower half", LONG64, {DS, {0, 0, 0, 0}, READ, HOLE - 1, 1},
     .linear = HOLE - 1},
    {"64 bits: across the end of the lower half", LONG64, {DS, {0, 0, 0, 0}, READ, HOLE - 1, 2},
     GP},
    {"64 bits: the first byte of the upper half", LONG64, {DS, {0, 0, 0, 0}, READ, HIGH, 8}, .linear = HIGH},
    {"64 bits: the byte before the upper half", LONG64, {DS, {0, 0, 0, 0}, READ, HIGH - 1, 2}, GP},
    {"64 bits: from the last byte to the first", LONG64,
     {DS, {0, 0, 0, 0}, READ, UINT64_MAX, 2}, .linear = UINT64_MAX},
    {"64 bits: the hole is higher with LA57", LONG64, {DS, {0, 0, 0, 0}, READ, HOLE, 1}, .linear = HOLE,
     .la57 = true},
    {"64 bits: a fetch from the hole", LONG64, {CS, {8, CODE_X, 0, 0}, FETCH, HOLE, 1}, GP},
};
// clang-format on

static void check_access(void **state)
{
    const struct access_case *c = *state;
    struct segment_rig rig;
    uint64_t linear = 0;
    rig_init(&rig, c->mode, 0);
    rig.cpu.linear_bits = c->la57 ? 57 : 48;

    struct segment_answer answer = segment_check_access(&rig.cpu, &c->request, &linear);

    assert_int_equal(answer.outcome, c->vector != 0 ? SEGMENT_RAISES : SEGMENT_DONE);
    assert_int_equal(answer.vector, c->vector);
    assert_int_equal(answer.code, 0);
    if (answer.outcome == SEGMENT_DONE) {
        assert_int_equal(linear, c->linear);
    }
}

// LAR, LSL, VERR and VERW. SDM 2A, "LAR", "LSL"; SDM 2B, "VERR/VERW".
struct query_case {
    const char *name;
    enum cpu_mode mode;
    enum segment_query query;
    uint16_t selector;
    enum segment_outcome outcome;
    bool zf;
    uint32_t out;
    uint64_t unreadable;
};

static struct query_case queries[] = {
    {"LAR gives the rights of code", PROT32, SEGMENT_LAR, CODE, SEGMENT_DONE, true, 0x00C09A00, 0},
    {"LAR of a gate", LONG64, SEGMENT_LAR, CALL_GATE, SEGMENT_DONE, true, 0x00008C00, 0},
    {"LAR does not mind an absent segment", PROT32, SEGMENT_LAR, ABSENT, SEGMENT_DONE, true,
     0x00C01200, 0},
    {"LAR of a reserved type", PROT32, SEGMENT_LAR, RESERVED, SEGMENT_DONE, false, 0, 0},
    {"LAR of a null selector", PROT32, SEGMENT_LAR, 3, SEGMENT_DONE, false, 0, 0},
    {"LAR beyond the table", PROT32, SEGMENT_LAR, 0x100, SEGMENT_DONE, false, 0, 0},
    {"LAR of a table that cannot be read", PROT32, SEGMENT_LAR, CODE, SEGMENT_UNREAD, false, 0,
     RIG_GDT + CODE},
    {"LAR in real mode", MODE_REAL, SEGMENT_LAR, CODE, SEGMENT_RAISES, false, 0, 0},
    {"LAR in virtual-8086 mode", MODE_V86, SEGMENT_LAR, CODE, SEGMENT_RAISES, false, 0, 0},
    {"LSL gives the limit in bytes", PROT32, SEGMENT_LSL, CODE, SEGMENT_DONE, true, 0xFFFFFFFF, 0},
    {"LSL of a gate", LONG64, SEGMENT_LSL, CALL_GATE, SEGMENT_DONE, false, 0, 0},
    {"LSL reads 8 bytes of an LDT in IA-32e mode", LONG64, SEGMENT_LSL, LDT_LAST, SEGMENT_DONE,
     true, 0xFF, 0},
    {"VERR accepts code that may be read", PROT32, SEGMENT_VERR, CODE, SEGMENT_DONE, true,
     0x00C09A00, 0},
    {"VERW refuses code", PROT32, SEGMENT_VERW, CODE, SEGMENT_DONE, false, 0, 0},
    {"VERW accepts an absent segment", PROT32, SEGMENT_VERW, ABSENT, SEGMENT_DONE, true, 0x00C01200,
     0},
    {"VERR in virtual-8086 mode", MODE_V86, SEGMENT_VERR, CODE, SEGMENT_RAISES, false, 0, 0},
};

static void check_query(void **state)
{
    const struct query_case *c = *state;
    struct segment_rig rig;
    bool zf = true;
    uint32_t out = 0;
    rig_init(&rig, c->mode, 0);
    rig_put_gdt(&rig, 0, UINT64_C(0x00CF9A000000FFFF)); // no selector means it
    rig_put_gdt(&rig, CODE, UINT64_C(0x00CF9A000000FFFF));
    rig_put_gdt(&rig, CALL_GATE, UINT64_C(0x00008C0000080000));
    rig_put_gdt(&rig, RESERVED, UINT64_C(0x0000880000000000));
    rig_put_gdt(&rig, ABSENT, UINT64_C(0x00CF12000000FFFF));
    rig_put_gdt(&rig, LDT_LAST, UINT64_C(0x00008200200000FF));
    rig.unreadable = c->unreadable;

    struct segment_answer answer = segment_query(&rig.cpu, c->query, c->selector, &zf, &out);

    assert_int_equal(answer.outcome, c->outcome);
    assert_int_equal(answer.vector, c->outcome == SEGMENT_RAISES ? SEGMENT_VECTOR_UD : 0);
    assert_int_equal(zf, c->zf);
    if (zf) {
        assert_int_equal(out, c->out);
    }
}

// SDM 2A, "ARPL".
static void arpl_raises_an_rpl_and_never_lowers_it(void **state)
{
    (void)state;
    for (uint16_t rpl = 0; rpl < 4; rpl++) {
        for (uint16_t other = 0; other < 4; other++) {
            uint16_t selector = (uint16_t)(0x1234 | rpl);
            bool zf = segment_adjust_rpl(&selector, (uint16_t)(0xFFF0 | other));
            assert_int_equal(zf, rpl < other);
            assert_int_equal(selector, 0x1234 | (rpl < other ? other : rpl));
        }
    }
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arpl_raises_an_rpl_and_never_lowers_it),
    };
    RUN_ROWS(failures, "accesses", accesses, check_access);
    RUN_ROWS(failures, "queries", queries, check_query);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
