// The run loop: steps and budgets, and the state it takes and leaves.

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

// Steps and budgets.

static void a_budget_is_kept_to_the_instruction(void **state)
{
    (void)state;
    struct code code = ASM("1: inc r8; jmp 1b", "\x49\xFF\xC0\xEB\xFB");
    bare_place(BARE_CODE, code);
    for (uint64_t budget = 1; budget < 40; budget++) {
        uint64_t before = cpu->vmx.tsc;
        assert_int_equal(bare_run(0, budget).executed, budget);
        assert_int_equal(cpu->vmx.tsc - before, budget);
    }
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 39 * 40 / 2 / 2);
}

struct step_case {
    const char *name;
    struct code code;
    uint64_t rcx;
    uint64_t lengths[6]; // RIP after each step, from the start; 0: no more
};

static struct step_case step_cases[] = {
    {"plain instructions", ASM("nop; mov eax, 1; inc ecx", "\x90\xB8\x01\x00\x00\x00\xFF\xC1"),
     .lengths = {1, 6, 8}},
    {"a jump", ASM("jmp 1f; nop; 1: nop", "\xEB\x01\x90\x90"), .lengths = {3, 4}},
    {"sensitive instructions", ASM("cpuid; rdtsc; pushfq; popfq", "\x0F\xA2\x0F\x31\x9C\x9D"),
     .lengths = {2, 4, 5, 6}},
    {"a repeated instruction", ASM("mov edi, 0x40000; rep stosb", "\xBF\x00\x00\x04\x00\xF3\xAA"),
     .rcx = 2, .lengths = {5, 5, 7}},
    {"repeated input", ASM("mov edi, 0x40000; rep insb", "\xBF\x00\x00\x04\x00\xF3\x6C"), .rcx = 2,
     .lengths = {5, 5, 7}},
    {"MOV SS", ASM("mov ebx, ss; mov ss, ebx; nop; nop", "\x8C\xD3\x8E\xD3\x90\x90"),
     .lengths = {2, 4, 5, 6}},
    {"STI", ASM("sti; nop; cli", "\xFB\x90\xFA"), .lengths = {1, 2, 3}},
    {"changing code",
     ASM("mov byte ptr [rip], 0x90; inc eax; nop", "\xC6\x05\x00\x00\x00\x00\x90\xFF\xC0\x90"),
     .lengths = {7, 8}},
    {"stores", ASM("push rax; push rbx; pop rax; pop rbx", "\x50\x53\x58\x5B"),
     .lengths = {1, 2, 3, 4}},
};

static void steps_take_one_instruction_each(void **state)
{
    const struct step_case *row = *state;
    bare_build(1);
    bare_place(BARE_CODE, row->code);
    cpu->vmx.gpr[VMX_RCX] = row->rcx;
    for (size_t i = 0; i < 6 && row->lengths[i] != 0; i++) {
        struct run_result result = bare_step(0);
        assert_int_equal(result.stop, RUN_BUDGET);
        assert_int_equal(result.executed, 1);
        assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + row->lengths[i]);
    }
    machine_free(machine);
}

static void a_step_over_a_fault_ends_in_the_handler(void **state)
{
    (void)state;
    struct code code = ASM("ud2", "\x0F\x0B");
    bare_place(BARE_CODE, code);
    bare_step(0);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HANDLER(VECTOR_UD));
}

static void the_trap_flag_raises_a_debug_exception_after_each_instruction(void **state)
{
    (void)state;
    struct code code = ASM(
        "pushfq; or dword ptr [rsp], 0x100; popfq; nop; cpuid; and dword ptr [rsp + 8], 0; mov "
        "eax, 9; 1: jmp 1b",
        "\x9C\x81\x0C\x24\x00\x01\x00\x00\x9D\x90\x0F\xA2\x83\x64\x24\x08\x00\xB8\x09\x00\x00\x00"
        "\xEB\xFE");
    struct code handler =
        ASM("inc r8; mov r9, [rsp]; iretq", "\x49\xFF\xC0\x4C\x8B\x0C\x24\x48\xCF");
    bare_handle(VECTOR_DB, handler);
    bare_place(BARE_CODE, code);
    bare_run(0, 3);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 0);
    cpu->vmx.dr6 = 0;
    assert_int_equal(bare_step(0).executed, 1); // the NOP, and its trap
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HANDLER(VECTOR_DB));
    assert_int_equal(bare_frame(0, 0), BARE_CODE + 10);
    assert_int_equal(bare_frame(0, 2) & (RFLAGS_TF | RFLAGS_RF), RFLAGS_TF);
    assert_int_equal(cpu->vmx.dr6, 0x14000); // single step, outside an RTM region
    bare_run(0, 3);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 10);
    bare_run(0, 1);
    assert_int_equal(bare_frame(0, 0), BARE_CODE + 12);
    bare_run(0, LOTS);
    assert_int_equal(bare_rax(), 9);
}

// State.

static void the_fpu_goes_in_and_comes_out(void **state)
{
    (void)state;
    struct code code =
        ASM("fld1; fldpi; movq xmm5, rbx; addsd xmm1, xmm1; ldmxcsr [rip + 1]; hlt; .long 0x1FA0",
            "\xD9\xE8\xD9\xEB\x66\x48\x0F\x6E\xEB\xF2\x0F\x58\xC9\x0F\xAE\x15\x01\x00\x00\x00\xF4"
            "\xA0\x1F\x00\x00");
    double one = 1.0;
    memcpy(cpu->fpu.ymm[1], &one, sizeof(one));
    memset(cpu->fpu.ymm[1] + 16, 0xEE, 16);
    cpu->vmx.gpr[VMX_RBX] = 0x1234;
    bare_run_program(code);
    double two = 0;
    memcpy(&two, cpu->fpu.ymm[1], sizeof(two));
    assert_true(two == 2.0);
    assert_int_equal(cpu->fpu.ymm[1][31], 0xEE);
    assert_int_equal(cpu->fpu.ymm[5][0], 0x34);
    assert_int_equal(cpu->fpu.mxcsr, 0x1FA0);
    assert_int_equal(cpu->fpu.status >> 11 & 7, 6);
    assert_int_equal(cpu->fpu.tag, 0x0FFF);
    assert_int_equal(cpu->fpu.st[0][9], 0x40); // pi
    assert_int_equal(cpu->fpu.st[1][9], 0x3F); // 1
}

static void the_fpu_is_the_same_in_ring_3(void **state)
{
    (void)state;
    struct code code =
        ASM("movq xmm0, rbx; fld1; push 0x23; push 0x8F000; push 2; push 0x2B; push 0x80000; iretq",
            "\x66\x48\x0F\x6E\xC3\xD9\xE8\x6A\x23\x68\x00\xF0\x08\x00\x6A\x02\x6A\x2B\x68\x00\x00"
            "\x08\x00\x48\xCF");
    struct code user = ASM("movq rax, xmm0; fld1; movq xmm0, rcx; int 0x81",
                           "\x66\x48\x0F\x7E\xC0\xD9\xE8\x66\x48\x0F\x6E\xC1\xCD\x81");
    struct code handler = ASM("movq rdx, xmm0", "\x66\x48\x0F\x7E\xC2");
    bare_place(BARE_USER_CODE, user);
    bare_handle(BARE_USER_VECTOR, handler);
    cpu->vmx.gpr[VMX_RBX] = 0x77;
    cpu->vmx.gpr[VMX_RCX] = 0x88;
    bare_run_program(code);
    assert_int_equal(bare_rax(), 0x77);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], 0x88);
    assert_int_equal(cpu->fpu.status >> 11 & 7, 6);
}

static void an_unmasked_x87_exception_is_delivered(void **state)
{
    (void)state;
    struct code code = ASM("fldcw [rip + 8]; fldz; fld1; fdiv st, st(1); fwait; hlt; .word 0x37B",
                           "\xD9\x2D\x08\x00\x00\x00\xD9\xEE\xD9\xE8\xD8\xF1\x9B\xF4\x7B\x03");
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_MF);
}

struct mode_case {
    const char *name;
    void (*change)(void);
    const char *rule;
};

static void without_paging(void)
{
    cpu_guest(cpu, CR0) &= ~MMU_CR0_PG;
}

static void without_lma(void)
{
    cpu_guest(cpu, IA32_EFER) &= ~MMU_EFER_LMA;
}

static void with_code32(void)
{
    cpu_guest(cpu, CS_ACCESS) = 0xC09B;
}

static void with_bad_rip(void)
{
    cpu_guest(cpu, RIP) = UINT64_C(0x0000800000000000);
}

static void waiting_for_sipi(void)
{
    cpu_guest(cpu, ACTIVITY) = 3;
}

static struct mode_case mode_cases[] = {
    {"paging off", without_paging, "CR0.PE or CR0.PG is 0"},
    {"IA-32e mode not active", without_lma, "IA32_EFER.LMA or CR4.PAE is 0"},
    {"32-bit code", with_code32, "CS is not a 64-bit code segment"},
    {"a RIP that is not canonical", with_bad_rip, "RIP is not canonical"},
    {"wait for SIPI", waiting_for_sipi, "the activity state is neither active nor HLT"},
};

static void a_state_that_is_not_modelled_is_refused_with_its_rule(void **state)
{
    const struct mode_case *row = *state;
    bare_build(1);
    row->change();
    struct run_result result = bare_run(0, 10);
    assert_int_equal(result.stop, RUN_UNSUPPORTED);
    assert_int_equal(result.executed, 0);
    assert_non_null(strstr(bare_log, row->rule));
    machine_free(machine);
}

static void a_return_to_compatibility_mode_stops_the_run(void **state)
{
    (void)state;
    struct code code =
        ASM("push 0x23; push 0x8F000; push 2; push 0x1B; push 0x80000; iretq",
            "\x6A\x23\x68\x00\xF0\x08\x00\x6A\x02\x6A\x1B\x68\x00\x00\x08\x00\x48\xCF");
    bare_place(BARE_CODE, code);
    assert_int_equal(bare_run(0, 100).stop, RUN_UNSUPPORTED);
    assert_int_equal(cpu_guest(cpu, CS_SELECTOR), BARE_COMPAT_CS);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_USER_CODE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bare_set_up, bare_tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_budget_is_kept_to_the_instruction),
    TEST(a_step_over_a_fault_ends_in_the_handler),
    TEST(the_trap_flag_raises_a_debug_exception_after_each_instruction),
    TEST(the_fpu_goes_in_and_comes_out),
    TEST(the_fpu_is_the_same_in_ring_3),
    TEST(an_unmasked_x87_exception_is_delivered),
    TEST(a_return_to_compatibility_mode_stops_the_run),
};

#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { NUM_TESTS = ROWS(tests) + ROWS(step_cases) + ROWS(mode_cases) };

int main(void)
{
    struct CMUnitTest all[NUM_TESTS];
    size_t count = ROWS(tests);
    memcpy(all, tests, sizeof(tests));
    for (size_t i = 0; i < ROWS(step_cases); i++) {
        all[count++] = (struct CMUnitTest){.name = step_cases[i].name,
                                           .test_func = steps_take_one_instruction_each,
                                           .initial_state = &step_cases[i]};
    }
    for (size_t i = 0; i < ROWS(mode_cases); i++) {
        all[count++] =
            (struct CMUnitTest){.name = mode_cases[i].name,
                                .test_func = a_state_that_is_not_modelled_is_refused_with_its_rule,
                                .initial_state = &mode_cases[i]};
    }
    return _cmocka_run_group_tests("runner", all, NUM_TESTS, NULL, NULL);
}
