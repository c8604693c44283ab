// Memory under the run loop: paging, devices, fetches across pages.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bare.h"
#include "exec.h"

enum {
    A = 0x20,
    D = 0x40,
    PRESENT = 0x3, // and writable
    LOTS = 100000,
};

// Accessed and dirty flags.

static void a_read_sets_accessed_only(void **state)
{
    (void)state;
    struct code code = ASM("mov rax, [rbx]", "\x48\x8B\x03");
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    bare_run_program(code);
    assert_int_equal(bare_pte(BARE_PLAIN) & (A | D), A);
}

static void a_write_after_a_read_sets_dirty(void **state)
{
    (void)state;
    struct code code = ASM("mov rax, [rbx]; mov [rbx], rax", "\x48\x8B\x03\x48\x89\x03");
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    bare_run_program(code);
    assert_int_equal(bare_pte(BARE_PLAIN) & (A | D), A | D);
}

static void a_refused_write_sets_nothing(void **state)
{
    (void)state;
    struct code code = ASM("mov [rbx], rax", "\x48\x89\x03");
    cpu->vmx.gpr[VMX_RBX] = BARE_READ_ONLY;
    bare_run_program(code);
    assert_int_equal(bare_pte(BARE_READ_ONLY) & (A | D), 0);
}

static void a_fetch_sets_accessed_in_the_pages_executed_and_no_other(void **state)
{
    (void)state;
    struct code code = ASM("jmp rbx", "\xFF\xE3");
    struct code at_the_end = ASM("nop; nop; jmp .-4096", "\x90\x90\xE9\xFB\xEF\xFF\xFF");
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0xFF9;
    bare_set_pte(BARE_CODE - 0x1000, (BARE_CODE - 0x1000) | PRESENT);
    bare_place(BARE_CODE + 0xFF9, at_the_end);
    bare_place(BARE_CODE - 5, at_the_end); // a HLT after it, at BARE_CODE + 2
    struct code hlt = ASM("hlt", "\xF4");
    bare_place(BARE_CODE - 5, hlt);
    bare_run_program(code);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE - 4);
    assert_int_equal(bare_pte(BARE_CODE) & (A | D), A);
    assert_int_equal(bare_pte(BARE_CODE - 0x1000) & (A | D), A);
    assert_int_equal(bare_pte(BARE_CODE + 0x1000) & (A | D), 0);
}

static void memory_written_is_marked_dirty(void **state)
{
    (void)state;
    struct code code =
        ASM("mov [rbx], rax; mov rax, [rbx + 0x1000]", "\x48\x89\x03\x48\x8B\x83\x00\x10\x00\x00");
    memory_mark(&machine->memory);
    cpu->vmx.gpr[VMX_RBX] = BARE_LARGE + 0x5000;
    cpu->vmx.gpr[VMX_RAX] = 0x99;
    bare_place(BARE_CODE, code);
    memory_mark(&machine->memory);
    bare_run(0, LOTS);
    assert_int_equal(*memory_flags(&machine->memory, BARE_LARGE + 0x5000) & PAGE_DIRTY, PAGE_DIRTY);
    assert_int_equal(*memory_flags(&machine->memory, BARE_LARGE + 0x6000) & PAGE_DIRTY, 0);
    memory_reset(&machine->memory);
    assert_int_equal(bare_peek(BARE_LARGE + 0x5000), 0);
}

static void what_the_interpreter_and_a_delivery_write_is_marked_dirty(void **state)
{
    (void)state;
    struct code code = ASM("sidt [rbx]; ud2", "\x0F\x01\x0B\x0F\x0B");
    bare_place(BARE_CODE, code);
    memory_mark(&machine->memory);
    cpu->vmx.gpr[VMX_RBX] = BARE_DATA;
    bare_run(0, LOTS);
    assert_int_not_equal(bare_peek(BARE_DATA), 0);
    assert_int_not_equal(bare_peek(BARE_STACK - 8), 0);
    memory_reset(&machine->memory);
    assert_int_equal(bare_peek(BARE_DATA), 0);
    assert_int_equal(bare_peek(BARE_STACK - 8), 0);
}

// Fetches across pages.

static void an_instruction_that_crosses_into_a_bad_page_faults_there(void **state)
{
    (void)state;
    struct code code = ASM("jmp rbx", "\xFF\xE3");
    struct code crossing = ASM("inc r8; inc r8; mov rax, 0x1122334455667788",
                               "\x49\xFF\xC0\x49\xFF\xC0\x48\xB8\x88\x77\x66\x55\x44\x33\x22\x11");
    bare_program(0x53000 + 0xFF8, crossing.bytes, 8);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN + 0xFF8;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_PF);
    assert_int_equal(bare_frame(0, 0), 0x19);
    assert_int_equal(bare_frame(0, 1), BARE_PLAIN + 0xFFE);
    assert_int_equal(cpu->vmx.cr2, BARE_RESERVED);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 2);
    assert_int_equal(bare_pte(BARE_PLAIN) & A, A);
}

static void a_page_that_was_read_is_still_checked_when_execution_runs_into_it(void **state)
{
    (void)state;
    struct code code = ASM("mov rax, [rbx + 2]; jmp rbx", "\x48\x8B\x43\x02\xFF\xE3");
    struct code nops = ASM("nop; nop; nop", "\x90\x90\x90");
    bare_place(0x50FFE, nops);
    cpu->vmx.gpr[VMX_RBX] = BARE_READ_ONLY + 0xFFE;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_PF);
    assert_int_equal(bare_frame(0, 0), 0x11);
    assert_int_equal(bare_frame(0, 1), BARE_NX);
    assert_int_equal(cpu->vmx.cr2, BARE_NX);
}

static void poison_in_a_data_page_behind_code_is_harmless(void **state)
{
    (void)state;
    struct code code = ASM("mov rax, [rbx + 2]; mov [rbx + 0x10], rax; jmp rbx",
                           "\x48\x8B\x43\x02\x48\x89\x43\x10\xFF\xE3");
    struct code nops = ASM("nop; nop; .byte 0xFF, 0xD8", "\x90\x90\xFF\xD8");
    bare_place(BARE_CODE + 0x1FFE, nops);
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0x1FFE;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
    assert_int_equal(bare_frame(0, 0), BARE_CODE + 0x2000);
}

static void a_sensitive_instruction_that_crosses_into_a_bad_page_faults_there(void **state)
{
    (void)state;
    struct code code = ASM("jmp rbx", "\xFF\xE3");
    struct code crossing = ASM("inc r8; cpuid", "\x49\xFF\xC0\x0F\xA2");
    bare_program(0x53000 + 0xFFC, crossing.bytes, 4);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN + 0xFFC;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_PF);
    assert_int_equal(bare_frame(0, 1), BARE_PLAIN + 0xFFF);
    assert_int_equal(cpu->vmx.cr2, BARE_RESERVED);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
}

static void code_runs_on_into_the_next_page(void **state)
{
    (void)state;
    struct code code = ASM("jmp rbx", "\xFF\xE3");
    struct code crossing = ASM("inc r8; mov rax, 0x1122334455667788; inc r8",
                               "\x49\xFF\xC0\x48\xB8\x88\x77\x66\x55\x44\x33\x22\x11\x49\xFF\xC0");
    bare_place(BARE_CODE + 0xFF8, crossing);
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0xFF8;
    bare_run_program(code);
    assert_int_equal(bare_rax(), UINT64_C(0x1122334455667788));
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 2);
    assert_int_equal(bare_pte(BARE_CODE + 0x1000) & A, A);
}

static void a_harmless_instruction_that_begins_like_poison_runs(void **state)
{
    (void)state;
    struct code code = ASM("mov rbx, 0x40000; mov qword ptr [rbx], 0x77; mov rax, 0x20FFF; jmp rax",
                           "\x48\xC7\xC3\x00\x00\x04\x00\x48\xC7\x03\x77\x00\x00\x00\x48\xC7\xC0"
                           "\xFF\x0F\x02\x00\xFF\xE0");
    struct code crossing = ASM("push qword ptr [rbx]; pop rax", "\xFF\x33\x58");
    bare_place(BARE_CODE + 0xFFF, crossing);
    bare_run_program(code);
    assert_int_equal(bare_rax(), 0x77);
}

static void poison_across_a_page_boundary_is_undefined(void **state)
{
    (void)state;
    struct code code = ASM("mov rax, 0x20FFF; jmp rax", "\x48\xC7\xC0\xFF\x0F\x02\x00\xFF\xE0");
    struct code crossing = ASM("FF D8", "\xFF\xD8");
    bare_place(BARE_CODE + 0xFFF, crossing);
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
    assert_int_equal(bare_frame(0, 0), BARE_CODE + 0xFFF);
}

static void pages_full_of_poison_are_undefined_everywhere(void **state)
{
    (void)state;
    struct code code = ASM("mov r9d, 12; mov rbx, 0x200000; jmp rbx",
                           "\x41\xB9\x0C\x00\x00\x00\x48\xC7\xC3\x00\x00\x20\x00\xFF\xE3");
    struct code handler =
        ASM("add qword ptr [rsp], 4096; inc r8; dec r9; jz 1f; iretq; 1: hlt",
            "\x48\x81\x04\x24\x00\x10\x00\x00\x49\xFF\xC0\x49\xFF\xC9\x74\x02\x48\xCF\xF4");
    uint8_t poison[MEMORY_PAGE_SIZE];
    for (size_t i = 0; i < sizeof(poison); i++) {
        poison[i] = i % 2 == 0 ? 0xFF : 0xD8;
    }
    for (uint64_t page = 0; page < 12; page++) {
        assert_true(
            memory_load(&machine->memory, BARE_LARGE + page * 4096, poison, sizeof(poison)));
    }
    bare_handle(VECTOR_UD, handler);
    bare_run_program(code);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 12);
}

// Memory.

static void the_higher_half_is_another_way_to_the_same_page(void **state)
{
    (void)state;
    struct code code = ASM("lea rax, [rip]; jmp rbx", "\x48\x8D\x05\x00\x00\x00\x00\xFF\xE3");
    struct code high = ASM("lea rax, [rip]", "\x48\x8D\x05\x00\x00\x00\x00");
    bare_place(BARE_CODE + 0x100, high);
    cpu->vmx.gpr[VMX_RBX] = BARE_HIGH + 0x100;
    bare_run_program(code);
    assert_int_equal(bare_rax(), BARE_HIGH + 0x107);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HIGH + 0x108);
}

static void more_pages_than_windows_work(void **state)
{
    (void)state;
    // Two passes over 180 pages: number each, then add them up.
    struct code code = ASM(
        "mov rbx, 0x40000; xor ecx, ecx; 1: mov [rbx], rcx; add rbx, 4096; inc rcx; cmp rcx, 180; "
        "jne 1b; mov rbx, 0x40000; xor eax, eax; 2: add rax, [rbx]; add rbx, 4096; dec rcx; jnz 2b",
        "\x48\xC7\xC3\x00\x00\x04\x00\x31\xC9\x48\x89\x0B\x48\x81\xC3\x00\x10\x00\x00\x48\xFF\xC1"
        "\x48\x81\xF9\xB4\x00\x00\x00\x75\xEA\x48\xC7\xC3\x00\x00\x04\x00\x31\xC0\x48\x03\x03\x48"
        "\x81\xC3\x00\x10\x00\x00\x48\xFF\xC9\x75\xF1");
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(bare_rax(), 180 * 179 / 2);
}

static void code_and_data_share_a_large_page(void **state)
{
    (void)state;
    struct code code = ASM("mov rbx, 0x200000; mov [rbx + 0x3000], rbx; jmp rbx",
                           "\x48\xC7\xC3\x00\x00\x20\x00\x48\x89\x9B\x00\x30\x00\x00\xFF\xE3");
    struct code large = ASM("mov rax, [rbx + 0x3000]; mov [rbx + 0x100], rax; mov rax, [rbx + "
                            "0x100]; mov [rbx + 0x1FFFF8], rax",
                            "\x48\x8B\x83\x00\x30\x00\x00\x48\x89\x83\x00\x01\x00\x00\x48\x8B\x83"
                            "\x00\x01\x00\x00\x48\x89\x83\xF8\xFF\x1F\x00");
    bare_place(BARE_LARGE, large);
    bare_run_program(code);
    assert_int_equal(bare_rax(), BARE_LARGE);
    assert_int_equal(bare_peek(0x3FFFF8), BARE_LARGE);
}

static void a_new_root_maps_other_pages(void **state)
{
    (void)state;
    // Another PML4, PDPT and PD at 0x60000, whose page table maps BARE_PLAIN elsewhere.
    struct code code = ASM("mov rax, [rbx]; mov rcx, 0x60000; mov cr3, rcx; mov rdx, [rbx]",
                           "\x48\x8B\x03\x48\xC7\xC1\x00\x00\x06\x00\x0F\x22\xD9\x48\x8B\x13");
    static uint8_t table[MEMORY_PAGE_SIZE];
    bare_poke(0x60000, 0x61007);
    bare_poke(0x61000, 0x62007);
    bare_poke(0x62000, 0x63007);
    assert_true(memory_peek(&machine->memory, BARE_PT, table, sizeof(table)));
    assert_true(memory_load(&machine->memory, 0x63000, table, sizeof(table)));
    bare_poke(0x63000 + BARE_PLAIN / 512, 0x55003);
    bare_poke(0x53000, 0x11);
    bare_poke(0x55000, 0x22);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    bare_run_program(code);
    assert_int_equal(bare_rax(), 0x11);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], 0x22);
}

static void invlpg_makes_a_changed_entry_count(void **state)
{
    (void)state;
    struct code code =
        ASM("mov rax, [rbx]; mov qword ptr [0x48C8], 0x55003; invlpg [rbx]; mov rdx, [rbx]",
            "\x48\x8B\x03\x48\xC7\x04\x25\xC8\x48\x00\x00\x03\x50\x05\x00\x0F\x01\x3B\x48\x8B\x13");
    bare_poke(0x53000, 0x11);
    bare_poke(0x55000, 0x22);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    bare_run_program(code);
    assert_int_equal(bare_rax(), 0x11);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], 0x22);
}

static void invlpg_drops_the_whole_of_a_large_page(void **state)
{
    (void)state;
    // The large page becomes one of 0x200000 lower, and the address invalidated is not the one
    // read.
    struct code large = ASM("jmp rbx", "\xFF\xE3");
    struct code start = ASM("mov rdi, rbx; mov rbx, rcx; mov rax, 0x240000; jmp rax",
                            "\x48\x89\xDF\x48\x89\xCB\x48\xC7\xC0\x00\x00\x24\x00\xFF\xE0");
    struct code body = ASM("mov rbx, rdi; mov rax, [rbx]; mov qword ptr [0x3008], 0x83; invlpg "
                           "[rbx + 0x1000]; mov rdx, [rbx]",
                           "\x48\x89\xFB\x48\x8B\x03\x48\xC7\x04\x25\x08\x30\x00\x00\x83\x00\x00"
                           "\x00\x0F\x01\xBB\x00\x10\x00\x00\x48\x8B\x13");
    cpu->vmx.gpr[VMX_RBX] = BARE_LARGE + 0x41000;
    bare_poke(BARE_LARGE + 0x41000, 0x11);
    bare_poke(0x41000, 0x22);
    bare_place(BARE_LARGE + 0x40000,
               large); // code beside the data, so that there are several windows
    cpu->vmx.gpr[VMX_RCX] = BARE_CODE + 0x100;
    bare_place(BARE_CODE + 0x100, body);
    bare_run_program(start);
    assert_int_equal(bare_rax(), 0x11);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], 0x22);
}

static void a_debuggers_new_entry_counts_at_once(void **state)
{
    (void)state;
    struct code code = ASM("1: mov rax, [rbx]; jmp 1b", "\x48\x8B\x03\xEB\xFB");
    uint64_t entry = 0x55003;
    bare_poke(0x53000, 0x11);
    bare_poke(0x55000, 0x22);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    bare_place(BARE_CODE, code);
    bare_run(0, 10);
    assert_int_equal(bare_rax(), 0x11);
    memory_write(&machine->memory, 0x48C8, &entry, sizeof(entry));
    bare_run(0, 10);
    assert_int_equal(bare_rax(), 0x22);
}

static void rom_is_read_executed_and_never_written(void **state)
{
    (void)state;
    struct code rom = ASM("mov eax, 0x1234", "\xB8\x34\x12\x00\x00");
    struct code code =
        ASM("mov byte ptr [rbx], 0x90; mov rcx, [rbx]; mov qword ptr [rbx], 0; call rbx; mov byte "
            "ptr [rbx + 5], 0x90",
            "\xC6\x03\x90\x48\x8B\x0B\x48\xC7\x03\x00\x00\x00\x00\xFF\xD3\xC6\x43\x05\x90");
    bare_place(BARE_ROM_PHYS, rom);
    struct code ret = ASM("ret", "\xC3");
    bare_place(BARE_ROM_PHYS + 5, ret);
    cpu->vmx.gpr[VMX_RBX] = BARE_ROM;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(bare_rax(), 0x1234);
    assert_int_equal(bare_peek(BARE_ROM_PHYS) & 0xFFFFFFFFFF, UINT64_C(0x00001234B8));
}

static void a_device_sees_each_access(void **state)
{
    (void)state;
    struct code code = ASM("mov dword ptr [rbx + 8], 0x55; mov eax, [rbx + 4]; mov cx, [rbx + 2]",
                           "\xC7\x43\x08\x55\x00\x00\x00\x8B\x43\x04\x66\x8B\x4B\x02");
    cpu->vmx.gpr[VMX_RBX] = BARE_DEVICE;
    bare_run_program(code);
    assert_int_equal(bare_device.num_writes, 1);
    assert_int_equal(bare_device.num_reads, 2);
    assert_int_equal(bare_rax(), 0x59);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX] & 0xFFFF, 0x57);
    assert_int_equal(bare_device.size, 2);
}

static void empty_and_protected_space_reads_ones_and_swallows_writes(void **state)
{
    (void)state;
    struct code code = ASM(
        "mov qword ptr [rbx], 0; mov rax, [rbx]; mov qword ptr [rcx], 0; mov rdx, [rcx]; inc dword "
        "ptr [rbx]",
        "\x48\xC7\x03\x00\x00\x00\x00\x48\x8B\x03\x48\xC7\x01\x00\x00\x00\x00\x48\x8B\x11\xFF\x03");
    cpu->vmx.gpr[VMX_RBX] = BARE_EMPTY;
    cpu->vmx.gpr[VMX_RCX] = BARE_PROTECTED;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(bare_rax(), UINT64_MAX);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], UINT64_MAX);
}

static void code_in_empty_space_is_undefined(void **state)
{
    (void)state;
    struct code code = ASM("jmp rbx", "\xFF\xE3");
    cpu->vmx.gpr[VMX_RBX] = BARE_EMPTY;
    bare_run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
    assert_int_equal(bare_frame(0, 0), BARE_EMPTY);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bare_set_up, bare_tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_read_sets_accessed_only),
    TEST(a_write_after_a_read_sets_dirty),
    TEST(a_refused_write_sets_nothing),
    TEST(a_fetch_sets_accessed_in_the_pages_executed_and_no_other),
    TEST(memory_written_is_marked_dirty),
    TEST(what_the_interpreter_and_a_delivery_write_is_marked_dirty),
    TEST(an_instruction_that_crosses_into_a_bad_page_faults_there),
    TEST(a_page_that_was_read_is_still_checked_when_execution_runs_into_it),
    TEST(poison_in_a_data_page_behind_code_is_harmless),
    TEST(a_sensitive_instruction_that_crosses_into_a_bad_page_faults_there),
    TEST(code_runs_on_into_the_next_page),
    TEST(a_harmless_instruction_that_begins_like_poison_runs),
    TEST(poison_across_a_page_boundary_is_undefined),
    TEST(pages_full_of_poison_are_undefined_everywhere),
    TEST(the_higher_half_is_another_way_to_the_same_page),
    TEST(more_pages_than_windows_work),
    TEST(code_and_data_share_a_large_page),
    TEST(a_new_root_maps_other_pages),
    TEST(invlpg_makes_a_changed_entry_count),
    TEST(invlpg_drops_the_whole_of_a_large_page),
    TEST(a_debuggers_new_entry_counts_at_once),
    TEST(rom_is_read_executed_and_never_written),
    TEST(a_device_sees_each_access),
    TEST(empty_and_protected_space_reads_ones_and_swallows_writes),
    TEST(code_in_empty_space_is_undefined),
};

int main(void)
{
    return cmocka_run_group_tests_name("runner_map", tests, NULL, NULL);
}
