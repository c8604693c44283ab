// Interrupts through the IDT: one row per rule that is not one of type and level
// (test_segment_rules.c).
#include "rows.h"

#include "transfer_rig.h"

#define INT32(selector, offset)       GATE_TO(0xEE, 0, selector, offset)
#define TRAP32(selector, offset)      GATE_TO(0xEF, 0, selector, offset)
#define IST(number, selector, offset) GATE_TO(0xEE, number, selector, offset)

#define IDT_CODE(vector) ((vector)*8u + 2)

// SDM 2A, "INT n/INTO/INT3/INT1".
// clang-format off
static struct transfer_case interrupts[] = {
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

// SDM 3A, "Protection of Exception- and Interrupt-Handler Procedures".
static void a_gate_of_the_idt_is_for_software_up_to_its_dpl(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 32; n++) {
        unsigned dpl = n & 3;
        unsigned cpl = n >> 2 & 3;
        struct transfer_case c = {
            .mode = LONG64, .cpl = cpl, .way = n >= 16 ? INT : EXTERNAL, TRAP32(CODE64, 0)};
        struct segment_transfer out;
        c.low = (c.low & ~(UINT64_C(3) << 45)) | (uint64_t)dpl << 45;

        struct segment_answer answer = transfer_answer(&c, &out);

        bool refused = c.way == INT && dpl < cpl;
        assert_int_equal(answer.outcome, refused ? SEGMENT_RAISES : SEGMENT_DONE);
    }
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_of_the_idt_is_for_software_up_to_its_dpl),
    };
    RUN_ROWS(failures, "interrupts", interrupts, check_transfer);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
