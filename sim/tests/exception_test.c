// Exceptions: what raises them, and how they are delivered.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bare.h"
#include "exec.h"

enum {
    LOTS = 100000,
};

// Page faults: each with its error code and CR2, and the registers of the instruction as before.

struct fault_case {
    const char *name;
    struct code code;
    bool ring3;
    uint64_t cr4;
    uint64_t at; // RBX
    int vector;
    uint64_t error;
    uint64_t cr2;
    uint64_t fault_at; // offset of the instruction; an absolute address when it jumps there
};

static struct fault_case fault_cases[] = {
    {"a read of a hole", ASM("mov rax, [rbx]", "\x48\x8B\x03"), .at = BARE_HOLE + 8, .vector = 14,
     .error = 0, .cr2 = BARE_HOLE + 8},
    {"a write to a hole", ASM("mov [rbx], rax", "\x48\x89\x03"), .at = BARE_HOLE, .vector = 14,
     .error = 2, .cr2 = BARE_HOLE},
    {"an increment of a hole is a write", ASM("inc qword ptr [rbx]", "\x48\xFF\x03"),
     .at = BARE_HOLE, .vector = 14, .error = 2, .cr2 = BARE_HOLE},
    {"a locked exchange with a hole is a write",
     ASM("lock xadd [rbx], rax", "\xF0\x48\x0F\xC1\x03"), .at = BARE_HOLE, .vector = 14, .error = 2,
     .cr2 = BARE_HOLE},
    {"a comparison with a hole is a read", ASM("cmp qword ptr [rbx], 1", "\x48\x83\x3B\x01"),
     .at = BARE_HOLE, .vector = 14, .error = 0, .cr2 = BARE_HOLE},
    {"a write to a read-only page", ASM("mov [rbx], al", "\x88\x03"), .at = BARE_READ_ONLY + 0xFFF,
     .vector = 14, .error = 3, .cr2 = BARE_READ_ONLY + 0xFFF},
    {"a write after a read of a read-only page",
     ASM("mov rax, [rbx]; mov [rbx], rax", "\x48\x8B\x03\x48\x89\x03"), .at = BARE_READ_ONLY,
     .vector = 14, .error = 3, .cr2 = BARE_READ_ONLY, .fault_at = 3},
    {"an increment of a read-only page", ASM("inc byte ptr [rbx]", "\xFE\x03"),
     .at = BARE_READ_ONLY, .vector = 14, .error = 3, .cr2 = BARE_READ_ONLY},
    {"a reserved bit", ASM("mov rax, [rbx]", "\x48\x8B\x03"), .at = BARE_RESERVED, .vector = 14,
     .error = 9, .cr2 = BARE_RESERVED},
    {"ring 3 reads the kernel's page", ASM("mov rax, [rbx]", "\x48\x8B\x03"), .ring3 = true,
     .at = BARE_DATA, .vector = 14, .error = 5, .cr2 = BARE_DATA},
    {"ring 3 writes the kernel's page", ASM("mov [rbx], rax", "\x48\x89\x03"), .ring3 = true,
     .at = BARE_DATA, .vector = 14, .error = 7, .cr2 = BARE_DATA},
    {"ring 3 writes a read-only page", ASM("mov [rbx], rax", "\x48\x89\x03"), .ring3 = true,
     .at = BARE_USER_RO, .vector = 14, .error = 7, .cr2 = BARE_USER_RO},
    {"ring 3 reads a hole", ASM("mov rax, [rbx]", "\x48\x8B\x03"), .ring3 = true, .at = BARE_HOLE,
     .vector = 14, .error = 4, .cr2 = BARE_HOLE},
    {"ring 3 jumps into the kernel", ASM("jmp rbx", "\xFF\xE3"), .ring3 = true, .at = BARE_CODE,
     .vector = 14, .error = 0x15, .cr2 = BARE_CODE, .fault_at = BARE_CODE},
    {"a jump into a hole", ASM("jmp rbx", "\xFF\xE3"), .at = BARE_HOLE + 5, .vector = 14,
     .error = 0x10, .cr2 = BARE_HOLE + 5, .fault_at = BARE_HOLE + 5},
    {"a jump into an execute-disable page", ASM("jmp rbx", "\xFF\xE3"), .at = BARE_NX, .vector = 14,
     .error = 0x11, .cr2 = BARE_NX, .fault_at = BARE_NX},
    {"a jump into an execute-disable page that was read",
     ASM("mov rax, [rbx]; jmp rbx", "\x48\x8B\x03\xFF\xE3"), .at = BARE_NX, .vector = 14,
     .error = 0x11, .cr2 = BARE_NX, .fault_at = BARE_NX},
    {"SMEP: the kernel jumps into a user page", ASM("jmp rbx", "\xFF\xE3"), .cr4 = 0x100000,
     .at = BARE_USER_RO, .vector = 14, .error = 0x11, .cr2 = BARE_USER_RO,
     .fault_at = BARE_USER_RO},
    {"SMAP: the kernel reads a user page", ASM("mov rax, [rbx]", "\x48\x8B\x03"), .cr4 = 0x200000,
     .at = BARE_USER_RO, .vector = 14, .error = 1, .cr2 = BARE_USER_RO},
    {"SMAP: after CLAC the page is closed again",
     ASM("stac; mov rax, [rbx]; clac; mov rax, [rbx]",
         "\x0F\x01\xCB\x48\x8B\x03\x0F\x01\xCA\x48\x8B\x03"),
     .cr4 = 0x200000, .at = BARE_USER_RO, .vector = 14, .error = 1, .cr2 = BARE_USER_RO,
     .fault_at = 9},
    {"a store into a page and a reserved entry", ASM("mov [rbx], rax", "\x48\x89\x03"),
     .at = BARE_PLAIN + 0xFFC, .vector = 14, .error = 0xB, .cr2 = BARE_RESERVED},
    {"a store into a page just written and a reserved entry",
     ASM("mov byte ptr [rbx - 0x100], 1; mov [rbx], rax",
         "\xC6\x83\x00\xFF\xFF\xFF\x01\x48\x89\x03"),
     .at = BARE_PLAIN + 0xFFC, .vector = 14, .error = 0xB, .cr2 = BARE_RESERVED, .fault_at = 7},
    {"a push into a hole", ASM("mov rsp, rbx; push rax", "\x48\x89\xDC\x50"), .at = BARE_HOLE + 16,
     .vector = 14, .error = 2, .cr2 = BARE_HOLE + 8, .fault_at = 3},
    {"a call with its stack in a hole", ASM("mov rsp, rbx; call rbx", "\x48\x89\xDC\xFF\xD3"),
     .at = BARE_HOLE + 16, .vector = 14, .error = 2, .cr2 = BARE_HOLE + 8, .fault_at = 3},
    {"FXSAVE into a hole", ASM("fxsave [rbx]", "\x0F\xAE\x03"), .at = BARE_HOLE, .vector = 14,
     .error = 2, .cr2 = BARE_HOLE},
    {"a non-canonical address", ASM("mov rax, [rbx]", "\x48\x8B\x03"),
     .at = UINT64_C(0x0000800000000000), .vector = 13, .error = 0},
    {"a non-canonical address in the stack segment",
     ASM("mov rbp, rbx; mov rax, [rbp]", "\x48\x89\xDD\x48\x8B\x45\x00"),
     .at = UINT64_C(0x0000800000000000), .vector = 12, .error = 0, .fault_at = 3},
    {"a word across the end of the lower half", ASM("mov ds, [rbx]", "\x8E\x1B"),
     .at = UINT64_C(0x7FFFFFFFFFFF), .vector = 13},
    {"a stack across the end of the lower half",
     ASM("mov rsp, rbx; pop fs", "\x48\x89\xDC\x0F\xA1"), .ring3 = true,
     .at = UINT64_C(0x7FFFFFFFFFFC), .vector = 12, .fault_at = 3},
    {"a word from the last byte of all to the first", ASM("mov ds, [rbx]", "\x8E\x1B"),
     .at = UINT64_MAX, .vector = 14, .cr2 = UINT64_MAX},
    {"a jump to a non-canonical address", ASM("nop; jmp rbx", "\x90\xFF\xE3"),
     .at = UINT64_C(0x0000800000000000), .vector = 13, .error = 0, .fault_at = 1},
    {"a call through memory to a non-canonical address",
     ASM("mov [rip + 0x1000], rbx; call [rip + 0xFF9]",
         "\x48\x89\x1D\x00\x10\x00\x00\xFF\x15\xF9\x0F\x00\x00"),
     .at = UINT64_C(0xFFFF7FFFFFFFFFFF), .vector = 13, .error = 0, .fault_at = 7},
    {"a return to a non-canonical address", ASM("push rbx; ret 16", "\x53\xC2\x10\x00"),
     .at = UINT64_C(0x8000000000000000), .vector = 13, .error = 0, .fault_at = 1},
    {"a division by zero", ASM("xor ecx, ecx; div ecx", "\x31\xC9\xF7\xF1"), .vector = 0,
     .fault_at = 2},
    {"a misaligned CMPXCHG16B", ASM("cmpxchg16b [rbx]", "\x48\x0F\xC7\x0B"), .at = BARE_DATA + 8,
     .vector = 13, .error = 0},
};

static void a_fault_is_delivered(void **state)
{
    const struct fault_case *row = *state;
    bool page_fault = row->vector == VECTOR_PF;
    unsigned frame = row->vector == VECTOR_DE ? 0 : 1;
    uint64_t begin = row->ring3 ? BARE_USER_CODE : BARE_CODE;
    bare_build(1);
    if (row->ring3) {
        bare_enter_ring3();
    }
    // What faults on the stack in use is handled on another one.
    bare_poke(BARE_GATE(14), bare_peek(BARE_GATE(14)) | UINT64_C(1) << 32);
    cpu_guest(cpu, CR4) |= row->cr4;
    cpu->vmx.gpr[VMX_RBX] = row->at;
    cpu->vmx.gpr[VMX_RAX] = 0x5555;
    bare_poke(0x53FF8, UINT64_C(0x1122334455667788));
    bare_run_program(row->code);
    assert_int_equal(bare_vector(cpu), row->vector);
    if (frame == 1) {
        assert_int_equal(bare_frame(0, 0), row->error);
    }
    uint64_t expected = row->fault_at < 0x1000 ? begin + row->fault_at : row->fault_at;
    assert_int_equal(bare_frame(0, frame), expected);
    assert_int_equal(cpu->vmx.cr2, page_fault ? row->cr2 : 0);
    assert_int_equal(bare_frame(0, frame + 2) & RFLAGS_RF, RFLAGS_RF);
    assert_int_equal(bare_peek(0x53FF8), UINT64_C(0x1122334455667788));
    machine_free(machine);
}

static void a_push_that_faults_leaves_rsp(void **state)
{
    (void)state;
    struct code code = ASM("mov rsp, rbx; push rax", "\x48\x89\xDC\x50");
    bare_poke(BARE_GATE(14), bare_peek(BARE_GATE(14)) | UINT64_C(1) << 32);
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE + 16;
    bare_run_program(code);
    assert_int_equal(bare_frame(0, 4), BARE_HOLE + 16);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_IST1 - 48);
}

static void a_rotation_that_faults_leaves_the_flags(void **state)
{
    (void)state;
    struct code code = ASM("cmp al, 0xCD; rcl dword ptr [rbx], 3", "\x3C\xCD\xC1\x13\x03");
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_PF);
    assert_int_equal(bare_frame(0, 3) & RFLAGS_ARITH, RFLAGS_CF | RFLAGS_AF | RFLAGS_PF);
}

static void a_step_over_a_wild_branch_ends_in_the_handler(void **state)
{
    (void)state;
    struct code code = ASM("call rbx", "\xFF\xD3");
    cpu->vmx.gpr[VMX_RBX] = UINT64_C(0x0000800000000000);
    bare_place(BARE_CODE, code);
    assert_int_equal(bare_step(0).executed, 1);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HANDLER(VECTOR_GP));
    assert_int_equal(bare_frame(0, 1), BARE_CODE);
    assert_int_equal(bare_frame(0, 4), BARE_STACK);
}

static void without_wp_the_kernel_writes_a_read_only_page(void **state)
{
    (void)state;
    struct code code = ASM("mov [rbx], rax", "\x48\x89\x03");
    cpu_guest(cpu, CR0) &= ~UINT64_C(0x10000);
    cpu->vmx.gpr[VMX_RBX] = BARE_READ_ONLY;
    cpu->vmx.gpr[VMX_RAX] = 0x77;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(bare_peek(0x50000), 0x77);
}

static void a_frame_has_all_of_the_context(void **state)
{
    (void)state;
    struct code code = ASM("xor ecx, ecx; div ecx", "\x31\xC9\xF7\xF1");
    cpu_guest(cpu, RSP) = BARE_STACK - 3;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), 0);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_STACK - 16 - 40);
    assert_int_equal(bare_frame(0, 0), BARE_CODE + 2);
    assert_int_equal(bare_frame(0, 1), BARE_KERNEL_CS);
    assert_int_equal(bare_frame(0, 2), 0x10046); // RF, ZF, PF
    assert_int_equal(bare_frame(0, 3), BARE_STACK - 3);
    assert_int_equal(bare_frame(0, 4), BARE_KERNEL_SS);
}

static void exceptions_follow_each_other_without_a_double_fault(void **state)
{
    (void)state;
    struct code code = ASM("xor ecx, ecx; div ecx; div ecx; div ecx; div ecx",
                           "\x31\xC9\xF7\xF1\xF7\xF1\xF7\xF1\xF7\xF1");
    struct code handler =
        ASM("inc r8; add qword ptr [rsp], 2; iretq", "\x49\xFF\xC0\x48\x83\x04\x24\x02\x48\xCF");
    bare_handle(VECTOR_DE, handler);
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 4);
}

static void the_handler_maps_the_page_and_the_access_succeeds(void **state)
{
    (void)state;
    struct code code = ASM("mov qword ptr [rbx], 0x42; mov rax, [rbx]",
                           "\x48\xC7\x03\x42\x00\x00\x00\x48\x8B\x03");
    struct code handler =
        ASM("mov dword ptr [0x4880], 0x53003; add rsp, 8; iretq",
            "\xC7\x04\x25\x80\x48\x00\x00\x03\x30\x05\x00\x48\x83\xC4\x08\x48\xCF");
    bare_poke(BARE_HANDLER(14) + 8, 0);
    bare_handle(VECTOR_PF, handler);
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE;
    bare_run_program(code);
    assert_int_equal(bare_rax(), 0x42);
    assert_int_equal(bare_peek(0x53000), 0x42);
}

// Double and triple faults.

static void a_page_fault_without_a_gate_is_a_double_fault(void **state)
{
    (void)state;
    struct code code = ASM("mov rax, [rbx]", "\x48\x8B\x03");
    bare_poke(BARE_GATE(14), 0);
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_DF);
    assert_int_equal(bare_frame(0, 0), 0);
    assert_int_equal(bare_frame(0, 1), BARE_CODE);
    assert_int_equal(cpu->vmx.cr2, BARE_HOLE);
}

static void an_undefined_instruction_without_a_gate_is_a_protection_fault(void **state)
{
    (void)state;
    struct code code = ASM("ud2", "\x0F\x0B");
    bare_poke(BARE_GATE(6), 0);
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_GP);
    assert_int_equal(bare_frame(0, 0), 6 * 8 + 3); // in the IDT, from outside
}

static void a_triple_fault_shuts_the_cpu_down(void **state)
{
    (void)state;
    struct code code = ASM("ud2", "\x0F\x0B");
    cpu_guest(cpu, IDTR_LIMIT) = 0;
    bare_place(BARE_CODE, code);
    assert_int_equal(bare_run(0, LOTS).stop, RUN_SHUT_DOWN);
    assert_true(cpu->shut_down);
    struct run_result again = bare_run(0, LOTS);
    assert_int_equal(again.stop, RUN_SHUT_DOWN);
    assert_int_equal(again.executed, 0);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE);
}

static void a_handler_that_always_faults_uses_up_the_budget(void **state)
{
    (void)state;
    struct code code = ASM("jmp rbx", "\xFF\xE3");
    struct code handler = ASM("add rsp, 48; jmp rbx", "\x48\x83\xC4\x30\xFF\xE3");
    bare_handle(VECTOR_PF, handler);
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE;
    bare_place(BARE_CODE, code);
    struct run_result result = bare_run(0, 1000);
    assert_int_equal(result.stop, RUN_BUDGET);
    assert_int_equal(result.executed, 1000);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bare_set_up, bare_tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_push_that_faults_leaves_rsp),
    TEST(a_rotation_that_faults_leaves_the_flags),
    TEST(a_step_over_a_wild_branch_ends_in_the_handler),
    TEST(without_wp_the_kernel_writes_a_read_only_page),
    TEST(a_frame_has_all_of_the_context),
    TEST(exceptions_follow_each_other_without_a_double_fault),
    TEST(the_handler_maps_the_page_and_the_access_succeeds),
    TEST(a_page_fault_without_a_gate_is_a_double_fault),
    TEST(an_undefined_instruction_without_a_gate_is_a_protection_fault),
    TEST(a_triple_fault_shuts_the_cpu_down),
    TEST(a_handler_that_always_faults_uses_up_the_budget),
};

#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { NUM_TESTS = ROWS(tests) + ROWS(fault_cases) };

int main(void)
{
    struct CMUnitTest all[NUM_TESTS];
    size_t count = ROWS(tests);
    memcpy(all, tests, sizeof(tests));
    for (size_t i = 0; i < ROWS(fault_cases); i++) {
        all[count++] = (struct CMUnitTest){.name = fault_cases[i].name,
                                           .test_func = a_fault_is_delivered,
                                           .initial_state = &fault_cases[i]};
    }
    return _cmocka_run_group_tests("exception", all, NUM_TESTS, NULL, NULL);
}
