// Far RET, IRET and the fast system calls: one row per rule that is not one of type and level
// (test_segment_rules.c).
#include "rows.h"

#include "transfer_rig.h"

// SDM 2B, "RET"; SDM 2A, "IRET/IRETD/IRETQ".
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
    rig_put_segments(&rig);
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
        cmocka_unit_test(a_return_drops_the_segments_of_inner_levels),
        cmocka_unit_test(the_fast_system_calls_load_flat_segments),
    };
    RUN_ROWS(failures, "returns", returns, check_return);
    RUN_ROWS(failures, "IRET", irets, check_iret);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
