// The run loop and interrupts: the timer, what holds an interrupt back, and who is woken by one.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bare.h"
#include "exec.h"

// A handler of the timer: INC R8, EOI.
static const struct code counts_in_r8 =
    ASM("inc r8; mov ecx, 0x80B; xor eax, eax; xor edx, edx; wrmsr; iretq",
        "\x49\xFF\xC0\xB9\x0B\x08\x00\x00\x31\xC0\x31\xD2\x0F\x30\x48\xCF");

static void enable_apic(void)
{
    bool sent = false;
    assert_true(apic_write(&cpu->apic, 0x80F, 0, 0x1FF, &sent));
}

static void arm_timer(uint32_t mode, uint32_t count)
{
    bool sent = false;
    enable_apic();
    assert_true(apic_write(&cpu->apic, 0x83E, 0, 0xB, &sent)); // divide by 1
    assert_true(apic_write(&cpu->apic, 0x832, 0, mode | 0x40, &sent));
    assert_true(apic_write(&cpu->apic, 0x838, cpu->vmx.tsc, count, &sent));
}

static void a_timer_interrupts_at_its_deadline(void **state)
{
    (void)state;
    struct code code = ASM("1: inc r8; jmp 1b", "\x49\xFF\xC0\xEB\xFB");
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    bare_place(BARE_CODE, code);
    arm_timer(0, 100);
    struct run_result result = bare_run(0, 1000);
    assert_int_equal(bare_vector(cpu), 0x40);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 50);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_int_equal(result.executed, 101); // and the handler's HLT
    assert_int_equal(cpu->vmx.tsc, 101);
    assert_int_equal(cpu->apic.isr[1], 1);
}

static void without_if_the_timer_waits(void **state)
{
    (void)state;
    struct code code =
        ASM("mov ecx, 100; 1: dec ecx; jnz 1b; sti; inc r8; inc r8; inc r8",
            "\xB9\x64\x00\x00\x00\xFF\xC9\x75\xFC\xFB\x49\xFF\xC0\x49\xFF\xC0\x49\xFF\xC0");
    bare_place(BARE_CODE, code);
    arm_timer(0, 50);
    bare_run(0, 1000);
    assert_int_equal(bare_vector(cpu), 0x40);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1); // one instruction after STI
}

static void a_periodic_timer_comes_again_and_again(void **state)
{
    (void)state;
    struct code code = ASM("sti; 1: jmp 1b", "\xFB\xEB\xFE");
    bare_handle(0x40, counts_in_r8);
    bare_place(BARE_CODE, code);
    arm_timer(0x20000, 1000);
    bare_run(0, 10500);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 10);
}

static void a_halted_cpu_sleeps_until_its_timer(void **state)
{
    (void)state;
    struct code code = ASM("sti; 1: hlt; jmp 1b", "\xFB\xF4\xEB\xFD");
    bare_handle(0x40, counts_in_r8);
    bare_place(BARE_CODE, code);
    arm_timer(0x20000, 1000);
    struct run_result result = bare_run(0, 10500);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 10);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_int_equal(result.executed, 2 + 10 * 8);
    assert_true(cpu->vmx.tsc < 10500);
}

static void a_halted_cpu_without_a_timer_waits(void **state)
{
    (void)state;
    struct code code = ASM("sti; hlt; nop", "\xFB\xF4\x90");
    bare_place(BARE_CODE, code);
    struct run_result result = bare_run(0, 1000);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_int_equal(result.executed, 2);
    assert_int_equal(cpu_guest(cpu, ACTIVITY), ACTIVITY_HALTED);
    result = bare_run(0, 1000);
    assert_int_equal(result.executed, 0);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 2);
}

static void cr8_holds_an_interrupt_back(void **state)
{
    (void)state;
    struct code code =
        ASM("mov eax, 4; mov cr8, rax; sti; nop; nop; inc r8; xor eax, eax; mov cr8, rax; inc r8",
            "\xB8\x04\x00\x00\x00\x44\x0F\x22\xC0\xFB\x90\x90\x49\xFF\xC0\x31\xC0\x44\x0F\x22\xC0"
            "\x49\xFF\xC0");
    bare_place(BARE_CODE, code);
    enable_apic();
    apic_request(&cpu->apic, 0x40);
    bare_run(0, 1000);
    assert_int_equal(bare_vector(cpu), 0x40);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
}

static void mov_ss_holds_an_interrupt_back_for_one_instruction(void **state)
{
    (void)state;
    struct code code =
        ASM("mov eax, ss; mov ss, eax; inc r8; inc r8", "\x8C\xD0\x8E\xD0\x49\xFF\xC0\x49\xFF\xC0");
    bare_place(BARE_CODE, code);
    enable_apic();
    bare_run(0, 2);
    apic_request(&cpu->apic, 0x40);
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    bare_run(0, 100);
    assert_int_equal(bare_vector(cpu), 0x40);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
}

static void a_breakpoint_in_the_shadow_of_mov_ss_keeps_the_shadow(void **state)
{
    (void)state;
    struct code code =
        ASM("mov eax, ss; mov ss, eax; inc r8; inc r8", "\x8C\xD0\x8E\xD0\x49\xFF\xC0\x49\xFF\xC0");
    struct run_request go = {.budget = 100, .skip_breakpoint = true};
    uint16_t id = 0;
    bare_place(BARE_CODE, code);
    enable_apic();
    breakpoints_set(&machine->breakpoints, BARE_CODE + 4, &id);
    assert_int_equal(bare_run(0, 100).stop, RUN_BREAKPOINT);
    apic_request(&cpu->apic, 0x40);
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    runner_run(machine, cpu, &go);
    assert_int_equal(bare_vector(cpu), 0x40);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
}

static void an_interrupt_counts_as_the_step(void **state)
{
    (void)state;
    struct code code = ASM("inc r8; inc r8", "\x49\xFF\xC0\x49\xFF\xC0");
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    bare_place(BARE_CODE, code);
    enable_apic();
    apic_request(&cpu->apic, 0x40);
    struct run_result result = bare_step(0);
    assert_int_equal(result.stop, RUN_BUDGET);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HANDLER(0x40));
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 0);
}

static void suppressed_interrupts_stay_pending(void **state)
{
    (void)state;
    struct code code = ASM("inc r8; inc r8", "\x49\xFF\xC0\x49\xFF\xC0");
    struct run_request request = {.budget = 1, .stepping = true, .suppress_interrupts = true};
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    bare_place(BARE_CODE, code);
    enable_apic();
    apic_request(&cpu->apic, 0x40);
    runner_run(machine, cpu, &request);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 3);
    assert_int_equal(apic_pending(&cpu->apic, 0), 0x40);
}

static void an_interprocessor_interrupt_wakes_the_other_cpu(void **state)
{
    (void)state;
    struct code waits = ASM("mov ecx, 0x80F; mov eax, 0x1FF; xor edx, edx; wrmsr; sti; hlt",
                            "\xB9\x0F\x08\x00\x00\xB8\xFF\x01\x00\x00\x31\xD2\x0F\x30\xFB\xF4");
    struct code sends = ASM("mov ecx, 0x830; mov eax, 0x41; mov edx, 1; wrmsr",
                            "\xB9\x30\x08\x00\x00\xB8\x41\x00\x00\x00\xBA\x01\x00\x00\x00\x0F\x30");
    bare_place(BARE_CODE, waits);
    bare_place(BARE_CODE + 0x1000, sends);
    assert_int_equal(bare_run(1, 100).stop, RUN_WAITING);
    cpu_guest(cpu, RIP) = BARE_CODE + 0x1000;
    bare_run(0, 100);
    bare_run(1, 100);
    assert_int_equal(bare_vector(&machine->cpus[1]), 0x41);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bare_set_up, bare_tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_timer_interrupts_at_its_deadline),
    TEST(without_if_the_timer_waits),
    TEST(a_periodic_timer_comes_again_and_again),
    TEST(a_halted_cpu_sleeps_until_its_timer),
    TEST(a_halted_cpu_without_a_timer_waits),
    TEST(cr8_holds_an_interrupt_back),
    TEST(mov_ss_holds_an_interrupt_back_for_one_instruction),
    TEST(a_breakpoint_in_the_shadow_of_mov_ss_keeps_the_shadow),
    TEST(an_interrupt_counts_as_the_step),
    TEST(suppressed_interrupts_stay_pending),
    TEST(an_interprocessor_interrupt_wakes_the_other_cpu),
};

int main(void)
{
    return cmocka_run_group_tests_name("runner: interrupts", tests, NULL, NULL);
}
