// Far CALL and JMP through call gates, in 64-bit mode.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bare.h"
#include "exec.h"
#include "vmx_model/cpu.h"

enum {
    GATE = 0x60,     // a call gate of 16 bytes
    NEW_CODE = 0x70, // 64-bit code of ring 0, not accessed
    RING1_CODE = 0x78,
    LIMIT = 0x7F,
    NEXT = 3, // bytes of the CALL or JMP
};

#define CALL ASM("48 FF 1B", "\x48\xFF\x1B")
#define JMP  ASM("48 FF 2B", "\x48\xFF\x2B")

// Where the gate leads, in ring 0 and for conforming code in ring 3.
#define TARGET      (BARE_CODE + 0x100)
#define USER_TARGET (BARE_USER_CODE + 0x100)
#define POINTER     (BARE_USER_CODE + 0x800)

#define GATE_DPL3    UINT64_C(0xEC00)
#define GATE_DPL0    UINT64_C(0x8C00)
#define GATE_ABSENT  UINT64_C(0x6C00)
#define GATE_16      UINT64_C(0xE400)
#define GATE_PARAMS  UINT64_C(0xEC1F)
#define TSS_FREE     UINT64_C(0xE900)
#define UPPER_TYPED  (UINT64_C(0xC) << 40)
#define NO_CANONICAL UINT64_C(0x00008000)

struct gate_case {
    const char *name;
    struct code code;
    bool ring3;
    uint16_t selector; // of the gate; 0: GATE
    uint64_t rights;   // of the gate, bits 63:32 of its first half but for the offset
    uint16_t target;   // the code segment
    uint64_t offset;   // 0: TARGET
    uint64_t upper;    // the gate's second half
    void (*prepare)(void);
    int vector; // what is raised; 0: the target's HLT is reached
    uint64_t error;
    void (*check)(void);
};

static void check_inner_call(void)
{
    assert_int_equal(cpu_guest(cpu, CS_SELECTOR), BARE_KERNEL_CS);
    assert_int_equal(cpu_guest(cpu, SS_SELECTOR), 0);
    assert_int_equal(cpu_guest(cpu, SS_ACCESS), 0x10000);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_RSP0 - 32);
    assert_int_equal(bare_frame(0, 0), BARE_USER_CODE + NEXT);
    assert_int_equal(bare_frame(0, 1), BARE_USER_CS);
    assert_int_equal(bare_frame(0, 2), BARE_USER_TOP);
    assert_int_equal(bare_frame(0, 3), BARE_USER_SS);
}

static void check_same_level_call(void)
{
    assert_int_equal(cpu_guest(cpu, CS_SELECTOR), BARE_KERNEL_CS);
    assert_int_equal(cpu_guest(cpu, SS_SELECTOR), BARE_KERNEL_SS);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_STACK - 16);
    assert_int_equal(bare_frame(0, 0), BARE_CODE + NEXT);
    assert_int_equal(bare_frame(0, 1), BARE_KERNEL_CS);
}

static void check_jump(void)
{
    assert_int_equal(cpu_guest(cpu, CS_SELECTOR), BARE_KERNEL_CS);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_STACK);
}

static void check_accessed(void)
{
    assert_int_equal(bare_peek(BARE_GDT + NEW_CODE) >> 40 & 0xFF, 0x9B);
    assert_int_equal(cpu_guest(cpu, CS_ACCESS), 0xA09B);
}

// Ring 3 goes on in the conforming segment and calls BARE_USER_VECTOR from there.
static void check_conforming(void)
{
    assert_int_equal(bare_frame(0, 0), USER_TARGET + 2);
    assert_int_equal(bare_frame(0, 1), BARE_CONFORMING_CS | 3);
    assert_int_equal(bare_frame(0, 3), BARE_USER_TOP - 16);
    assert_int_equal(bare_frame(0, 4), BARE_USER_SS);
}

static void check_returned(void)
{
    assert_int_equal(bare_rax(), 5);
    assert_int_equal(bare_frame(0, 1), BARE_USER_CS);
    assert_int_equal(bare_frame(0, 3), BARE_USER_TOP);
    assert_int_equal(bare_frame(0, 4), BARE_USER_SS);
}

// It ends behind RSP0.
static void with_short_tss(void)
{
    cpu_guest(cpu, TR_LIMIT) = 0xB;
}

// The exception's own handler needs a stack: that of an IST.
static void with_ist(unsigned vector)
{
    bare_poke(BARE_GATE(vector), bare_peek(BARE_GATE(vector)) | UINT64_C(1) << 32);
}

static void with_bad_stack(void)
{
    bare_poke(BARE_TSS + 4, UINT64_C(0x800000000000));
    with_ist(VECTOR_SS);
}

static void with_stack_in_a_hole(void)
{
    bare_poke(BARE_TSS + 4, BARE_HOLE + 0x100);
    with_ist(VECTOR_PF);
}

static void with_cut_gate(void)
{
    cpu_guest(cpu, GDTR_LIMIT) = GATE + 7;
}

static void with_far_return(void)
{
    bare_program(TARGET, "\x48\xCB", 2);
    bare_program(BARE_USER_CODE + NEXT, "\xB8\x05\x00\x00\x00\xCD\x81", 7);
}

static void with_call_from_user_target(void)
{
    bare_program(USER_TARGET, "\xCD\x81", 2);
}

#define INNER .ring3 = true, .rights = GATE_DPL3, .target = BARE_KERNEL_CS

static struct gate_case cases[] = {
    {"a CALL to ring 0 takes RSP from the TSS and makes SS null", CALL, INNER,
     .check = check_inner_call},
    {"the parameter count of a gate is ignored", CALL, .ring3 = true, .rights = GATE_PARAMS,
     .target = BARE_KERNEL_CS, .check = check_inner_call},
    {"the RPL in the gate is ignored", CALL, .ring3 = true, .rights = GATE_DPL3,
     .target = BARE_KERNEL_CS | 3, .check = check_inner_call},
    {"a far RET goes back to ring 3", CALL, INNER, .prepare = with_far_return,
     .vector = BARE_USER_VECTOR, .check = check_returned},
    {"a CALL to the same level keeps the stack", CALL, .rights = GATE_DPL0,
     .target = BARE_KERNEL_CS, .check = check_same_level_call},
    {"a JMP to the same level pushes nothing", JMP, .rights = GATE_DPL0, .target = BARE_KERNEL_CS,
     .check = check_jump},
    {"the code segment is marked accessed", CALL, .rights = GATE_DPL0, .target = NEW_CODE,
     .check = check_accessed},
    {"conforming code keeps ring 3 and its stack", CALL, .ring3 = true, .rights = GATE_DPL3,
     .target = BARE_CONFORMING_CS, .offset = USER_TARGET, .prepare = with_call_from_user_target,
     .vector = BARE_USER_VECTOR, .check = check_conforming},

    {"ring 3 may not see a gate of ring 0", CALL, .ring3 = true, .rights = GATE_DPL0,
     .target = BARE_KERNEL_CS, .vector = VECTOR_GP, .error = GATE},
    {"an RPL of 3 may not see a gate of ring 0", CALL, .selector = GATE | 3, .rights = GATE_DPL0,
     .target = BARE_KERNEL_CS, .vector = VECTOR_GP, .error = GATE},
    {"an absent gate is #NP", CALL, .rights = GATE_ABSENT, .target = BARE_KERNEL_CS,
     .vector = VECTOR_NP, .error = GATE},
    {"a gate cut off by the table's limit", CALL, .rights = GATE_DPL3, .target = BARE_KERNEL_CS,
     .prepare = with_cut_gate, .vector = VECTOR_GP, .error = GATE},
    {"a gate whose upper half has a type", CALL, .rights = GATE_DPL3, .target = BARE_KERNEL_CS,
     .upper = UPPER_TYPED, .vector = VECTOR_GP, .error = GATE},
    {"a gate of 16 bits does not exist", CALL, .rights = GATE_16, .target = BARE_KERNEL_CS,
     .vector = VECTOR_GP, .error = GATE},
    {"there is no task switch", JMP, .rights = TSS_FREE, .target = BARE_KERNEL_CS,
     .vector = VECTOR_GP, .error = GATE},
    {"a gate to nowhere", CALL, .rights = GATE_DPL3, .vector = VECTOR_GP},
    {"a gate beyond the table", CALL, .rights = GATE_DPL3, .target = 0x1008, .vector = VECTOR_GP,
     .error = 0x1008},
    {"a gate to data", CALL, .rights = GATE_DPL3, .target = BARE_KERNEL_SS, .vector = VECTOR_GP,
     .error = BARE_KERNEL_SS},
    {"a gate to compatibility mode", CALL, .ring3 = true, .rights = GATE_DPL3,
     .target = BARE_COMPAT_CS, .vector = VECTOR_GP, .error = BARE_COMPAT_CS & ~3},
    {"a gate to an outer ring", CALL, .rights = GATE_DPL3, .target = BARE_USER_CS,
     .vector = VECTOR_GP, .error = BARE_USER_CS & ~3},
    {"a JMP does not change the ring", JMP, INNER, .vector = VECTOR_GP, .error = BARE_KERNEL_CS},
    {"an offset that is not canonical", CALL, .rights = GATE_DPL3, .target = BARE_KERNEL_CS,
     .upper = NO_CANONICAL, .vector = VECTOR_GP},
    {"a TSS that ends before the stack of ring 1", CALL, .ring3 = true, .rights = GATE_DPL3,
     .target = RING1_CODE, .prepare = with_short_tss, .vector = VECTOR_TS, .error = BARE_TR},
    {"a stack that is not canonical is #SS", CALL, INNER, .prepare = with_bad_stack,
     .vector = VECTOR_SS},
    {"a stack in a hole is a supervisor's page fault", CALL, INNER, .prepare = with_stack_in_a_hole,
     .vector = VECTOR_PF, .error = 2},
};

static void build_gate(const struct gate_case *row)
{
    uint64_t offset = row->offset != 0 ? row->offset : TARGET;
    uint64_t target = row->target;
    bare_poke(BARE_GDT + GATE,
              (offset & 0xFFFF) | target << 16 | row->rights << 32 | (offset & 0xFFFF0000) << 32);
    bare_poke(BARE_GDT + GATE + 8, row->upper);
    bare_poke(BARE_GDT + NEW_CODE, UINT64_C(0x00AF9A000000FFFF));
    bare_poke(BARE_GDT + RING1_CODE, UINT64_C(0x00AFBB000000FFFF));
    cpu_guest(cpu, GDTR_LIMIT) = LIMIT;
    bare_poke(POINTER,
              UINT64_C(0x123456789ABCDEF0)); // the offset of a pointer to a gate does not count
    bare_poke(POINTER + 8, row->selector != 0 ? row->selector : (uint64_t)GATE);
    bare_program(TARGET, "\x90", 1);
}

static void expect_exception(const struct gate_case *row, uint64_t begin)
{
    unsigned i = 0;
    if (row->vector != BARE_USER_VECTOR) {
        assert_int_equal(bare_frame(0, i++), row->error);
        assert_int_equal(bare_frame(0, i++), begin);
        assert_int_equal(bare_frame(0, i), row->ring3 ? BARE_USER_CS : BARE_KERNEL_CS);
        assert_int_equal(bare_peek(BARE_GDT + NEW_CODE), UINT64_C(0x00AF9A000000FFFF));
    }
}

static void a_gate_behaves(void **state)
{
    const struct gate_case *row = *state;
    bare_build(1);
    uint64_t begin = row->ring3 ? BARE_USER_CODE : BARE_CODE;
    bare_program(begin, row->code.bytes, row->code.len);
    if (row->ring3) {
        bare_enter_ring3();
    }
    cpu->vmx.gpr[VMX_RBX] = POINTER;
    build_gate(row);
    if (row->prepare) {
        row->prepare();
    }
    struct run_result result = bare_run(0, 100);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_string_equal(bare_log, "");
    if (row->vector != 0) {
        assert_int_equal(bare_vector(cpu), row->vector);
        expect_exception(row, begin);
    } else {
        assert_int_equal(cpu_guest(cpu, RIP), TARGET + 2);
    }
    if (row->check) {
        row->check();
    }
    machine_free(machine);
}

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

int main(void)
{
    struct CMUnitTest tests[NUM_CASES];
    for (size_t i = 0; i < NUM_CASES; i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = a_gate_behaves, .initial_state = &cases[i]};
    }
    return _cmocka_run_group_tests("call gates", tests, NUM_CASES, NULL, NULL);
}
