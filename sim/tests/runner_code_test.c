// Code that changes while it runs, and breakpoints on it.

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

// Code that changes.

static void code_may_change_its_next_instruction(void **state)
{
    (void)state;
    struct code code = ASM("mov byte ptr [rip + 1], 0x22; mov eax, 0x11",
                           "\xC6\x05\x01\x00\x00\x00\x22\xB8\x11\x00\x00\x00");
    bare_run_program(code);
    assert_int_equal(bare_rax(), 0x22);
}

static void a_change_through_an_alias_counts_at_once(void **state)
{
    (void)state;
    struct code code =
        ASM("mov ecx, 2; 1: mov byte ptr [rbx], 0x22; mov eax, 0x11; dec ecx; jnz 1b",
            "\xB9\x02\x00\x00\x00\xC6\x03\x22\xB8\x11\x00\x00\x00\xFF\xC9\x75\xF4");
    cpu->vmx.gpr[VMX_RBX] = BARE_ALIAS + 9;
    bare_run_program(code);
    assert_int_equal(bare_rax(), 0x22);
}

static void a_change_by_another_cpu_counts(void **state)
{
    (void)state;
    struct code code = ASM("1: mov eax, 0x11; jmp 1b", "\xB8\x11\x00\x00\x00\xEB\xF9");
    struct code writer = ASM("mov byte ptr [0x20001], 0x22", "\xC6\x04\x25\x01\x00\x02\x00\x22");
    bare_place(BARE_CODE, code);
    bare_place(BARE_CODE + 0x1000, writer);
    cpu_guest(&machine->cpus[1], RIP) = BARE_CODE + 0x1000;
    bare_run(0, 100);
    assert_int_equal(bare_rax(), 0x11);
    bare_run(1, 100);
    bare_run(0, 100);
    assert_int_equal(bare_rax(), 0x22);
}

static void a_change_by_a_debugger_counts(void **state)
{
    (void)state;
    struct code code = ASM("1: mov eax, 0x11; jmp 1b", "\xB8\x11\x00\x00\x00\xEB\xF9");
    uint8_t byte = 0x22;
    bare_place(BARE_CODE, code);
    bare_run(0, 100);
    runner_code_written(machine, BARE_CODE + 1);
    memory_write(&machine->memory, BARE_CODE + 1, &byte, 1);
    bare_run(0, 100);
    assert_int_equal(bare_rax(), 0x22);
}

static void a_change_by_an_interpreted_instruction_counts(void **state)
{
    (void)state;
    struct code code =
        ASM("mov ecx, 2; 1: smsw word ptr [rip + 1]; mov eax, 0x1111; dec ecx; jnz 1b",
            "\xB9\x02\x00\x00\x00\x0F\x01\x25\x01\x00\x00\x00\xB8\x11\x11\x00\x00\xFF\xC9\x75\xF0");
    bare_run_program(code);
    assert_int_equal(bare_rax(), 0x0033);
}

static void poison_may_come_and_go(void **state)
{
    (void)state;
    // A call of two bytes that is poison in the second of three rounds.
    struct code code = ASM("mov r9d, 3; 1: call rbx; mov word ptr [rbx], 0xD8FF; cmp r9d, 3; je "
                           "2f; mov word ptr [rbx], 0x9090; 2: dec r9d; jnz 1b",
                           "\x41\xB9\x03\x00\x00\x00\xFF\xD3\x66\xC7\x03\xFF\xD8\x41\x83\xF9\x03"
                           "\x74\x05\x66\xC7\x03\x90\x90\x41\xFF\xC9\x75\xE9");
    struct code callee = ASM("nop; nop; inc r8; ret", "\x90\x90\x49\xFF\xC0\xC3");
    struct code handler =
        ASM("inc r10; add qword ptr [rsp], 2; iretq", "\x49\xFF\xC2\x48\x83\x04\x24\x02\x48\xCF");
    bare_place(BARE_CODE + 0x200, callee);
    bare_handle(VECTOR_UD, handler);
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0x200;
    bare_run_program(code);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 3);
    assert_int_equal(cpu->vmx.gpr[VMX_R10], 1);
}

static void an_instruction_that_writes_code_is_completed(void **state)
{
    (void)state;
    struct code code =
        ASM("mov rsp, 0x20900; mov byte ptr [0x20F00], 0xFF; stc; inc byte ptr [0x20F00]; setz al; "
            "setc cl; push rbx; mov rdx, rsp; pop r8; lock xadd [0x20F08], r8; call 1f; 1: pop r9",
            "\x48\xC7\xC4\x00\x09\x02\x00\xC6\x04\x25\x00\x0F\x02\x00\xFF\xF9\xFE\x04\x25\x00\x0F"
            "\x02\x00\x0F\x94\xC0\x0F\x92\xC1\x53\x48\x89\xE2\x41\x58\xF0\x4C\x0F\xC1\x04\x25\x08"
            "\x0F\x02\x00\xE8\x00\x00\x00\x00\x41\x59");
    cpu->vmx.gpr[VMX_RBX] = 0x1234;
    bare_poke(BARE_CODE + 0xF08, 5);
    bare_run_program(code);
    assert_int_equal(bare_rax(), 1);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 1);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], BARE_CODE + 0x8F8);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 5);
    assert_int_equal(bare_peek(BARE_CODE + 0xF08), 0x1239);
    assert_int_equal(cpu->vmx.gpr[VMX_R9], cpu_guest(cpu, RIP) - 3);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_CODE + 0x900);
}

static void a_string_instruction_that_makes_poison_of_itself_is_refused(void **state)
{
    (void)state;
    struct code code =
        ASM("mov ax, 0xD8FF; lea rdi, [rip + 5]; mov ecx, 8; rep stosw",
            "\x66\xB8\xFF\xD8\x48\x8D\x3D\x05\x00\x00\x00\xB9\x08\x00\x00\x00\x66\xF3\xAB");
    bare_place(BARE_CODE, code);
    assert_int_equal(bare_run(0, LOTS).stop, RUN_UNSUPPORTED);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 16);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 8);
}

static void a_string_instruction_may_make_poison_of_what_follows(void **state)
{
    (void)state;
    struct code code =
        ASM("mov ax, 0xD8FF; lea rdi, [rip + 8]; mov ecx, 8; rep stosw; nop; nop; nop; nop",
            "\x66\xB8\xFF\xD8\x48\x8D\x3D\x08\x00\x00\x00\xB9\x08\x00\x00\x00\x66\xF3\xAB\x90\x90"
            "\x90\x90");
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
    assert_int_equal(bare_frame(0, 0), BARE_CODE + 19);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 0);
}

static void an_instruction_may_make_poison_of_itself(void **state)
{
    (void)state;
    struct code code = ASM("1: mov word ptr [rip - 9], 0xD8FF; jmp 1b",
                           "\x66\xC7\x05\xF7\xFF\xFF\xFF\xFF\xD8\xEB\xF5");
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
    assert_int_equal(bare_frame(0, 0), BARE_CODE);
}

static void a_page_may_be_executed_then_read_then_written(void **state)
{
    (void)state;
    // Translated ahead, read, executed, written: each in its turn.
    struct code code =
        ASM("mov rbx, 0x21000; mov rcx, [rbx]; mov [rbx + 0x100], rbx; mov rdx, [rbx + 0x100]; "
            "call rbx; mov [rbx + 0x108], rbx; mov r8, [rbx + 0x108]",
            "\x48\xC7\xC3\x00\x10\x02\x00\x48\x8B\x0B\x48\x89\x9B\x00\x01\x00\x00\x48\x8B\x93\x00"
            "\x01\x00\x00\xFF\xD3\x48\x89\x9B\x08\x01\x00\x00\x4C\x8B\x83\x08\x01\x00\x00");
    struct code callee = ASM("inc r9; ret", "\x49\xFF\xC1\xC3");
    bare_place(BARE_CODE + 0x1000, callee);
    struct code first = ASM("jmp rbx", "\xFF\xE3");
    bare_place(BARE_CODE + 0xF00, code);
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0xF00;
    bare_run_program(first);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], BARE_CODE + 0x1000);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], BARE_CODE + 0x1000);
    assert_int_equal(cpu->vmx.gpr[VMX_R9], 1);
    assert_int_equal(bare_peek(BARE_CODE + 0x1100), BARE_CODE + 0x1000);
    assert_int_equal(bare_peek(BARE_CODE + 0x1108), BARE_CODE + 0x1000);
}

static void a_page_may_be_read_then_executed_then_written(void **state)
{
    (void)state;
    struct code code =
        ASM("mov rcx, [rbx]; call rbx; mov [rbx + 0x108], rbx; mov r8, [rbx + 0x108]",
            "\x48\x8B\x0B\xFF\xD3\x48\x89\x9B\x08\x01\x00\x00\x4C\x8B\x83\x08\x01\x00\x00");
    struct code callee = ASM("inc r9; ret", "\x49\xFF\xC1\xC3");
    bare_place(BARE_CODE + 0x5000, callee);
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0x5000;
    bare_run_program(code);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], BARE_CODE + 0x5000);
    assert_int_equal(bare_peek(BARE_CODE + 0x5108), BARE_CODE + 0x5000);
}

static void a_call_may_make_poison_of_its_target(void **state)
{
    (void)state;
    // The return address 0x2D8FF is pushed where the call goes: FF D8 02 00.
    struct code code = ASM("mov rbx, 0x2D8F8; mov rsp, 0x2D810; mov rax, 0x2D808; jmp rbx",
                           "\x48\xC7\xC3\xF8\xD8\x02\x00\x48\xC7\xC4\x10\xD8\x02\x00\x48\xC7\xC0"
                           "\x08\xD8\x02\x00\xFF\xE3");
    struct code call = ASM("nop; nop; nop; nop; nop; call rax", "\x90\x90\x90\x90\x90\xFF\xD0");
    bare_place(0x2D8F8, call);
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
    assert_int_equal(bare_frame(0, 0), 0x2D808);
}

static void a_store_across_pages_is_seen_in_both(void **state)
{
    (void)state;
    struct code code = ASM("mov [rbx], rax; mov [rbx], rax", "\x48\x89\x03\x48\x89\x03");
    bare_place(BARE_CODE, code);
    memory_mark(&machine->memory);
    cpu->vmx.gpr[VMX_RBX] = BARE_DATA + 0xFFC;
    cpu->vmx.gpr[VMX_RAX] = UINT64_C(0x1122334455667788);
    bare_run(0, LOTS);
    assert_int_equal(bare_peek(BARE_DATA + 0xFFC), UINT64_C(0x1122334455667788));
    memory_reset(&machine->memory);
    assert_int_equal(bare_peek(BARE_DATA + 0xFFC), 0);
}

static void a_store_across_pages_changes_the_code_of_both(void **state)
{
    (void)state;
    // The loop calls into the end of one page and the begin of the next, and changes both.
    struct code code = ASM("mov ecx, 2; 1: call rbx; mov [rsi], rax; dec ecx; jnz 1b",
                           "\xB9\x02\x00\x00\x00\xFF\xD3\x48\x89\x06\xFF\xC9\x75\xF7");
    struct code callee =
        ASM("mov r8d, 1; mov r9d, 1; ret", "\x41\xB8\x01\x00\x00\x00\x41\xB9\x01\x00\x00\x00\xC3");
    bare_place(BARE_CODE + 0xFFA, callee);
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0xFFA;
    cpu->vmx.gpr[VMX_RSI] = BARE_CODE + 0xFFC;
    cpu->vmx.gpr[VMX_RAX] = UINT64_C(0x0222B94100010002);
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 0x10002);
    assert_int_equal(cpu->vmx.gpr[VMX_R9], 0x222);
}

static void many_changes_wear_nothing_out(void **state)
{
    (void)state;
    struct code code = ASM("movq xmm3, rdx; mov ecx, 40000; 1: inc byte ptr [rip + 1]; mov eax, "
                           "0x11; dec ecx; jnz 1b; movq rdx, xmm3",
                           "\x66\x48\x0F\x6E\xDA\xB9\x40\x9C\x00\x00\xFE\x05\x01\x00\x00\x00\xB8"
                           "\x11\x00\x00\x00\xFF\xC9\x75\xF1\x66\x48\x0F\x7E\xDA");
    cpu->vmx.gpr[VMX_RDX] = UINT64_C(0x1234567890);
    bare_place(BARE_CODE, code);
    assert_int_equal(bare_run(0, 1000000).stop, RUN_WAITING);
    assert_int_equal(bare_rax(), 0x11 + 40000 % 256);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], UINT64_C(0x1234567890));
}

static void a_reset_runs_the_first_code_again(void **state)
{
    (void)state;
    struct code code = ASM("mov byte ptr [rip + 1], 0x22; mov eax, 0x11; inc ebx",
                           "\xC6\x05\x01\x00\x00\x00\x22\xB8\x11\x00\x00\x00\xFF\xC3");
    bare_place(BARE_CODE, code);
    memory_mark(&machine->memory);
    for (unsigned i = 0; i < 3; i++) {
        bare_run(0, LOTS);
        assert_int_equal(bare_rax(), 0x22);
        assert_int_equal(cpu->vmx.gpr[VMX_RBX], 1);
        machine_reset(machine);
        assert_int_equal(bare_peek(BARE_CODE + 8) & 0xFF, 0x11);
    }
}

// Breakpoints.

static uint16_t set_breakpoint(uint64_t guest_phys)
{
    uint16_t id = 0;
    assert_int_equal(breakpoints_set(&machine->breakpoints, guest_phys, &id), STATUS_SUCCESS);
    return id;
}

static struct run_result resume(void)
{
    struct run_request request = {.budget = LOTS, .skip_breakpoint = true};
    return runner_run(machine, cpu, &request);
}

static void a_breakpoint_is_found_through_every_alias(void **state)
{
    (void)state;
    struct code code = ASM("nop; nop; inc r8; jmp rbx", "\x90\x90\x49\xFF\xC0\xFF\xE3");
    bare_place(BARE_CODE, code);
    cpu->vmx.gpr[VMX_RBX] = BARE_ALIAS;
    set_breakpoint(BARE_CODE + 2);
    assert_int_equal(bare_run(0, LOTS).stop, RUN_BREAKPOINT);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 2);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 0);
    assert_int_equal(resume().stop, RUN_BREAKPOINT);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_ALIAS + 2);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
    assert_int_equal(machine->breakpoints.slots[0].hit_count, 2);
}

static void without_skip_a_breakpoint_stops_again(void **state)
{
    (void)state;
    struct code code = ASM("nop", "\x90");
    bare_place(BARE_CODE, code);
    set_breakpoint(BARE_CODE);
    struct run_result result = bare_run(0, LOTS);
    assert_int_equal(result.stop, RUN_BREAKPOINT);
    assert_int_equal(result.executed, 0);
    assert_int_equal(bare_run(0, LOTS).stop, RUN_BREAKPOINT);
    assert_int_equal(resume().stop, RUN_WAITING);
}

static void a_jump_to_itself_stops_in_every_turn(void **state)
{
    (void)state;
    struct code code = ASM("1: jmp 1b", "\xEB\xFE");
    bare_place(BARE_CODE, code);
    set_breakpoint(BARE_CODE);
    bare_run(0, LOTS);
    struct run_result result = resume();
    assert_int_equal(result.stop, RUN_BREAKPOINT);
    assert_int_equal(result.executed, 1);
}

static void a_repeated_instruction_stops_once(void **state)
{
    (void)state;
    struct code code = ASM("mov edi, 0x40000; mov ecx, 3000; rep stosb; nop",
                           "\xBF\x00\x00\x04\x00\xB9\xB8\x0B\x00\x00\xF3\xAA\x90");
    bare_place(BARE_CODE, code);
    set_breakpoint(BARE_CODE + 10);
    assert_int_equal(bare_run(0, LOTS).stop, RUN_BREAKPOINT);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 3000);
    struct run_request first = {.budget = 1000, .skip_breakpoint = true};
    assert_int_equal(runner_run(machine, cpu, &first).stop, RUN_BUDGET);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 2000);
    assert_int_equal(bare_run(0, LOTS).stop, RUN_WAITING);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 0);
}

static void a_breakpoint_stops_before_any_kind_of_instruction(void **state)
{
    (void)state;
    struct code code =
        ASM("cpuid; .byte 0xFF, 0xD8, 0xF2, 0x0F, 0x0B", "\x0F\xA2\xFF\xD8\xF2\x0F\x0B");
    bare_place(BARE_CODE, code);
    set_breakpoint(BARE_CODE);
    set_breakpoint(BARE_CODE + 2);
    assert_int_equal(bare_run(0, LOTS).stop, RUN_BREAKPOINT);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE);
    assert_int_equal(resume().stop, RUN_BREAKPOINT);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 2);
    assert_int_equal(resume().stop, RUN_WAITING);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
}

static void a_debug_register_raises_a_fault_and_rf_passes_it(void **state)
{
    (void)state;
    struct code code = ASM("mov eax, 1; mov eax, 2; mov eax, 3",
                           "\xB8\x01\x00\x00\x00\xB8\x02\x00\x00\x00\xB8\x03\x00\x00\x00");
    struct code handler =
        ASM("inc r8; mov r9, [rsp]; or dword ptr [rsp + 16], 0x10000; iretq",
            "\x49\xFF\xC0\x4C\x8B\x0C\x24\x81\x4C\x24\x10\x00\x00\x01\x00\x48\xCF");
    bare_handle(VECTOR_DB, handler);
    cpu->vmx.dr[1] = BARE_CODE + 5;
    cpu_guest(cpu, DR7) = 0x404;
    bare_run_program(code);
    assert_int_equal(bare_rax(), 3);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
    assert_int_equal(cpu->vmx.gpr[VMX_R9], BARE_CODE + 5);
    assert_int_equal(cpu->vmx.dr6 & 0xF, 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bare_set_up, bare_tear_down)

static const struct CMUnitTest tests[] = {
    TEST(code_may_change_its_next_instruction),
    TEST(a_change_through_an_alias_counts_at_once),
    TEST(a_change_by_another_cpu_counts),
    TEST(a_change_by_a_debugger_counts),
    TEST(a_change_by_an_interpreted_instruction_counts),
    TEST(poison_may_come_and_go),
    TEST(an_instruction_that_writes_code_is_completed),
    TEST(a_string_instruction_that_makes_poison_of_itself_is_refused),
    TEST(a_string_instruction_may_make_poison_of_what_follows),
    TEST(an_instruction_may_make_poison_of_itself),
    TEST(a_page_may_be_executed_then_read_then_written),
    TEST(a_page_may_be_read_then_executed_then_written),
    TEST(a_call_may_make_poison_of_its_target),
    TEST(a_store_across_pages_is_seen_in_both),
    TEST(a_store_across_pages_changes_the_code_of_both),
    TEST(many_changes_wear_nothing_out),
    TEST(a_reset_runs_the_first_code_again),
    TEST(a_breakpoint_is_found_through_every_alias),
    TEST(without_skip_a_breakpoint_stops_again),
    TEST(a_jump_to_itself_stops_in_every_turn),
    TEST(a_repeated_instruction_stops_once),
    TEST(a_breakpoint_stops_before_any_kind_of_instruction),
    TEST(a_debug_register_raises_a_fault_and_rf_passes_it),
};

int main(void)
{
    return cmocka_run_group_tests_name("runner_code", tests, NULL, NULL);
}
