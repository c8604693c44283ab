// Far CALL and JMP, call gates, their stacks and tasks: one row per rule that is not one of type
// and level (test_segment_rules.c).
#include "rows.h"

#include "transfer_rig.h"

#define CALL16(count, selector, offset) GATE_TO(0xE4, count, selector, offset)

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
};
// clang-format on

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "transfers", transfers, check_transfer);
    return failures;
}
