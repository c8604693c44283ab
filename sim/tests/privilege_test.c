// Privilege levels: the ways from one to another and back, and which stack is used.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bare.h"
#include "exec.h"

static void ring_3_calls_and_comes_back(void **state)
{
    (void)state;
    struct code code = ASM("mov eax, 1; int 0x81; mov ebx, 2; int 0x30",
                           "\xB8\x01\x00\x00\x00\xCD\x81\xBB\x02\x00\x00\x00\xCD\x30");
    struct code handler = ASM("mov ecx, ss; mov rdx, rsp; iretq", "\x8C\xD1\x48\x89\xE2\x48\xCF");
    bare_enter_ring3();
    bare_handle(BARE_USER_VECTOR, handler);
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_GP); // INT 0x30 is not for ring 3
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 0);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], BARE_RSP0 - 40);
    assert_int_equal(cpu->vmx.gpr[VMX_RBX], 2);
    assert_int_equal(bare_frame(0, 1), BARE_USER_CODE + 12);
    assert_int_equal(bare_frame(0, 2), BARE_USER_CS);
    assert_int_equal(bare_frame(0, 4), BARE_USER_TOP);
    assert_int_equal(bare_frame(0, 5), BARE_USER_SS);
    assert_int_equal(cpu_cpl(cpu), 0);
}

static void syscall_and_sysret_go_there_and_back(void **state)
{
    (void)state;
    struct code user = ASM("mov eax, 7; stc; syscall; mov r8, rcx; setc r9b; int 0x81",
                           "\xB8\x07\x00\x00\x00\xF9\x0F\x05\x49\x89\xC8\x41\x0F\x92\xC1\xCD\x81");
    struct code kernel =
        ASM("add eax, 1; mov r10, r11; sysretq", "\x83\xC0\x01\x4D\x89\xDA\x48\x0F\x07");
    cpu->vmx.msr[MSR_SLOT_IA32_STAR] = UINT64_C(0x1B) << 48 | (uint64_t)BARE_KERNEL_CS << 32;
    cpu->vmx.msr[MSR_SLOT_IA32_LSTAR] = BARE_CODE;
    cpu->vmx.msr[MSR_SLOT_IA32_FMASK] = 0x201;
    bare_place(BARE_CODE, kernel);
    bare_enter_ring3();
    bare_run_program(user);
    assert_int_equal(bare_vector(cpu), BARE_USER_VECTOR);
    assert_int_equal(bare_rax(), 8);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], BARE_USER_CODE + 8);
    assert_int_equal(cpu->vmx.gpr[VMX_R9] & 0xFF, 1);
    assert_int_equal(cpu->vmx.gpr[VMX_R10], 0x3);
    assert_int_equal(bare_frame(0, 1), BARE_USER_CS);
    assert_int_equal(bare_frame(0, 4), BARE_USER_SS);
}

static void sysenter_and_sysexit_go_there_and_back(void **state)
{
    (void)state;
    struct code user =
        ASM("mov rcx, rsp; lea rdx, [rip + 2]; sysenter; mov eax, 5; int 0x81",
            "\x48\x89\xE1\x48\x8D\x15\x02\x00\x00\x00\x0F\x34\xB8\x05\x00\x00\x00\xCD\x81");
    struct code kernel = ASM("mov r8, rsp; mov r9d, cs; .byte 0x48, 0x0F, 0x35",
                             "\x49\x89\xE0\x41\x8C\xC9\x48\x0F\x35");
    cpu_guest(cpu, SYSENTER_CS) = BARE_KERNEL_CS;
    cpu_guest(cpu, SYSENTER_EIP) = BARE_CODE;
    cpu_guest(cpu, SYSENTER_ESP) = BARE_STACK;
    bare_place(BARE_CODE, kernel);
    bare_enter_ring3();
    bare_run_program(user);
    assert_int_equal(bare_vector(cpu), BARE_USER_VECTOR);
    assert_int_equal(bare_rax(), 5);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], BARE_STACK);
    assert_int_equal(cpu->vmx.gpr[VMX_R9], BARE_KERNEL_CS);
    assert_int_equal(bare_frame(0, 1), 0x2B); // SYSENTER_CS + 32, as ring 3
    assert_int_equal(bare_frame(0, 3), BARE_USER_TOP);
}

static void iretq_to_ring_3_drops_the_kernels_data_segments(void **state)
{
    (void)state;
    struct code code = ASM("mov ax, 0x10; mov ds, eax; push 0x23; push 0x8F000; push 2; push 0x2B; "
                           "push 0x80000; iretq",
                           "\x66\xB8\x10\x00\x8E\xD8\x6A\x23\x68\x00\xF0\x08\x00\x6A\x02\x6A\x2B"
                           "\x68\x00\x00\x08\x00\x48\xCF");
    struct code user = ASM("mov eax, ds; int 0x81", "\x8C\xD8\xCD\x81");
    bare_place(BARE_USER_CODE, user);
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_USER_VECTOR);
    assert_int_equal(bare_rax(), 0);
    assert_int_equal(cpu_guest(cpu, DS_ACCESS), 0x10000);
}

static void iretq_to_a_worse_level_is_refused(void **state)
{
    (void)state;
    struct code code =
        ASM("push 0x23; push 0x8F000; push 2; push 8; push 0x20000; iretq",
            "\x6A\x23\x68\x00\xF0\x08\x00\x6A\x02\x6A\x08\x68\x00\x00\x02\x00\x48\xCF");
    bare_enter_ring3();
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_GP);
    assert_int_equal(bare_frame(0, 0), BARE_KERNEL_CS);
}

static void an_interrupt_stack_table_entry_is_used_at_the_same_level(void **state)
{
    (void)state;
    struct code code = ASM("int 0x82", "\xCD\x82");
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_IST_VECTOR);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_IST1 - 40);
    assert_int_equal(bare_frame(0, 3), BARE_STACK);
}

static void an_interrupt_gate_clears_if_and_a_trap_gate_does_not(void **state)
{
    (void)state;
    struct code interrupt = ASM("sti; int 0x30", "\xFB\xCD\x30");
    struct code trap = ASM("sti; int 0x83", "\xFB\xCD\x83");
    bare_run_program(interrupt);
    assert_int_equal(cpu_guest(cpu, RFLAGS) & RFLAGS_IF, 0);
    assert_int_equal(bare_frame(0, 2) & RFLAGS_IF, RFLAGS_IF);
    cpu_guest(cpu, ACTIVITY) = ACTIVITY_RUNS;
    cpu_guest(cpu, RIP) = BARE_CODE;
    bare_run_program(trap);
    assert_int_equal(bare_vector(cpu), BARE_TRAP_VECTOR);
    assert_int_equal(cpu_guest(cpu, RFLAGS) & RFLAGS_IF, RFLAGS_IF);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bare_set_up, bare_tear_down)

static const struct CMUnitTest tests[] = {
    TEST(ring_3_calls_and_comes_back),
    TEST(syscall_and_sysret_go_there_and_back),
    TEST(sysenter_and_sysexit_go_there_and_back),
    TEST(iretq_to_ring_3_drops_the_kernels_data_segments),
    TEST(iretq_to_a_worse_level_is_refused),
    TEST(an_interrupt_stack_table_entry_is_used_at_the_same_level),
    TEST(an_interrupt_gate_clears_if_and_a_trap_gate_does_not),
};

int main(void)
{
    return cmocka_run_group_tests_name("privilege levels", tests, NULL, NULL);
}
