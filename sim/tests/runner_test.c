// The run loop: exceptions, interrupts, paging, breakpoints, changing code, steps.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bare.h"
#include "exec.h"

struct code {
    const void *bytes;
    size_t len;
};

#define CODE(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

enum {
    A = 0x20,
    D = 0x40,
    PRESENT = 0x3, // and writable
    LOTS = 100000,
};

static struct machine *machine;
static struct cpu *cpu;

static int set_up(void **state)
{
    (void)state;
    machine = bare_new(2);
    cpu = &machine->cpus[0];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_free(machine);
    return 0;
}

static uint64_t rax(void)
{
    return cpu->vmx.gpr[VMX_RAX];
}

static void program_at(uint64_t guest_phys, struct code code)
{
    bare_program(machine, guest_phys, code.bytes, code.len);
}

// Runs a program on CPU 0 until it halts.
static void run_program(struct code code)
{
    program_at(cpu_cpl(cpu) == 3 ? BARE_USER_CODE : BARE_CODE, code);
    struct run_result result = bare_run(machine, 0, LOTS);
    assert_string_equal(bare_log, "");
    assert_int_equal(result.stop, RUN_WAITING);
}

// A handler of the test's own in place of the HLT.
static void handle(unsigned vector, struct code code)
{
    program_at(BARE_HANDLERS + UINT64_C(16) * vector, code);
}

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
    {"a read of a hole", CODE("\x48\x8B\x03") /* mov rax, [rbx] */, .at = BARE_HOLE + 8,
     .vector = 14, .error = 0, .cr2 = BARE_HOLE + 8},
    {"a write to a hole", CODE("\x48\x89\x03") /* mov [rbx], rax */, .at = BARE_HOLE, .vector = 14,
     .error = 2, .cr2 = BARE_HOLE},
    {"an increment of a hole is a write", CODE("\x48\xFF\x03") /* inc qword ptr [rbx] */,
     .at = BARE_HOLE, .vector = 14, .error = 2, .cr2 = BARE_HOLE},
    {"a locked exchange with a hole is a write",
     CODE("\xF0\x48\x0F\xC1\x03") /* lock xadd [rbx], rax */, .at = BARE_HOLE, .vector = 14,
     .error = 2, .cr2 = BARE_HOLE},
    {"a comparison with a hole is a read", CODE("\x48\x83\x3B\x01") /* cmp qword ptr [rbx], 1 */,
     .at = BARE_HOLE, .vector = 14, .error = 0, .cr2 = BARE_HOLE},
    {"a write to a read-only page", CODE("\x88\x03") /* mov [rbx], al */,
     .at = BARE_READ_ONLY + 0xFFF, .vector = 14, .error = 3, .cr2 = BARE_READ_ONLY + 0xFFF},
    {"a write after a read of a read-only page",
     CODE("\x48\x8B\x03\x48\x89\x03") /* mov rax, [rbx]; mov [rbx], rax */, .at = BARE_READ_ONLY,
     .vector = 14, .error = 3, .cr2 = BARE_READ_ONLY, .fault_at = 3},
    {"an increment of a read-only page", CODE("\xFE\x03") /* inc byte ptr [rbx] */,
     .at = BARE_READ_ONLY, .vector = 14, .error = 3, .cr2 = BARE_READ_ONLY},
    {"a reserved bit", CODE("\x48\x8B\x03") /* mov rax, [rbx] */, .at = BARE_RESERVED, .vector = 14,
     .error = 9, .cr2 = BARE_RESERVED},
    {"ring 3 reads the kernel's page", CODE("\x48\x8B\x03") /* mov rax, [rbx] */, .ring3 = true,
     .at = BARE_DATA, .vector = 14, .error = 5, .cr2 = BARE_DATA},
    {"ring 3 writes the kernel's page", CODE("\x48\x89\x03") /* mov [rbx], rax */, .ring3 = true,
     .at = BARE_DATA, .vector = 14, .error = 7, .cr2 = BARE_DATA},
    {"ring 3 writes a read-only page", CODE("\x48\x89\x03") /* mov [rbx], rax */, .ring3 = true,
     .at = BARE_USER_RO, .vector = 14, .error = 7, .cr2 = BARE_USER_RO},
    {"ring 3 reads a hole", CODE("\x48\x8B\x03") /* mov rax, [rbx] */, .ring3 = true,
     .at = BARE_HOLE, .vector = 14, .error = 4, .cr2 = BARE_HOLE},
    {"ring 3 jumps into the kernel", CODE("\xFF\xE3") /* jmp rbx */, .ring3 = true, .at = BARE_CODE,
     .vector = 14, .error = 0x15, .cr2 = BARE_CODE, .fault_at = BARE_CODE},
    {"a jump into a hole", CODE("\xFF\xE3") /* jmp rbx */, .at = BARE_HOLE + 5, .vector = 14,
     .error = 0x10, .cr2 = BARE_HOLE + 5, .fault_at = BARE_HOLE + 5},
    {"a jump into an execute-disable page", CODE("\xFF\xE3") /* jmp rbx */, .at = BARE_NX,
     .vector = 14, .error = 0x11, .cr2 = BARE_NX, .fault_at = BARE_NX},
    {"a jump into an execute-disable page that was read",
     CODE("\x48\x8B\x03\xFF\xE3") /* mov rax, [rbx]; jmp rbx */, .at = BARE_NX, .vector = 14,
     .error = 0x11, .cr2 = BARE_NX, .fault_at = BARE_NX},
    {"SMEP: the kernel jumps into a user page", CODE("\xFF\xE3") /* jmp rbx */, .cr4 = 0x100000,
     .at = BARE_USER_RO, .vector = 14, .error = 0x11, .cr2 = BARE_USER_RO,
     .fault_at = BARE_USER_RO},
    {"SMAP: the kernel reads a user page", CODE("\x48\x8B\x03") /* mov rax, [rbx] */,
     .cr4 = 0x200000, .at = BARE_USER_RO, .vector = 14, .error = 1, .cr2 = BARE_USER_RO},
    {"SMAP: after CLAC the page is closed again",
     CODE("\x0F\x01\xCB\x48\x8B\x03\x0F\x01\xCA\x48\x8B\x03") /* stac; mov rax, [rbx]; clac; mov
                                                                 rax, [rbx] */
     ,
     .cr4 = 0x200000, .at = BARE_USER_RO, .vector = 14, .error = 1, .cr2 = BARE_USER_RO,
     .fault_at = 9},
    {"a store into a page and a reserved entry", CODE("\x48\x89\x03") /* mov [rbx], rax */,
     .at = BARE_PLAIN + 0xFFC, .vector = 14, .error = 0xB, .cr2 = BARE_RESERVED},
    {"a push into a hole", CODE("\x48\x89\xDC\x50") /* mov rsp, rbx; push rax */,
     .at = BARE_HOLE + 16, .vector = 14, .error = 2, .cr2 = BARE_HOLE + 8, .fault_at = 3},
    {"a call with its stack in a hole", CODE("\x48\x89\xDC\xFF\xD3") /* mov rsp, rbx; call rbx */,
     .at = BARE_HOLE + 16, .vector = 14, .error = 2, .cr2 = BARE_HOLE + 8, .fault_at = 3},
    {"FXSAVE into a hole", CODE("\x0F\xAE\x03") /* fxsave [rbx] */, .at = BARE_HOLE, .vector = 14,
     .error = 2, .cr2 = BARE_HOLE},
    {"a non-canonical address", CODE("\x48\x8B\x03") /* mov rax, [rbx] */,
     .at = UINT64_C(0x0000800000000000), .vector = 13, .error = 0},
    {"a non-canonical address in the stack segment",
     CODE("\x48\x89\xDD\x48\x8B\x45\x00") /* mov rbp, rbx; mov rax, [rbp] */,
     .at = UINT64_C(0x0000800000000000), .vector = 12, .error = 0, .fault_at = 3},
    {"a division by zero", CODE("\x31\xC9\xF7\xF1") /* xor ecx, ecx; div ecx */, .vector = 0,
     .fault_at = 2},
    {"a misaligned CMPXCHG16B", CODE("\x48\x0F\xC7\x0B") /* cmpxchg16b [rbx] */,
     .at = BARE_DATA + 8, .vector = 13, .error = 0},
};

static void a_fault_is_delivered(void **state)
{
    const struct fault_case *row = *state;
    bool page_fault = row->vector == VECTOR_PF;
    unsigned frame = row->vector == VECTOR_DE ? 0 : 1;
    uint64_t begin = row->ring3 ? BARE_USER_CODE : BARE_CODE;
    machine = bare_new(1);
    cpu = &machine->cpus[0];
    if (row->ring3) {
        bare_enter_ring3(machine);
    }
    // What faults on the stack in use is handled on another one.
    bare_poke(machine, BARE_IDT + 14 * 16,
              bare_peek(machine, BARE_IDT + 14 * 16) | UINT64_C(1) << 32);
    cpu_guest(cpu, CR4) |= row->cr4;
    cpu->vmx.gpr[VMX_RBX] = row->at;
    cpu->vmx.gpr[VMX_RAX] = 0x5555;
    bare_poke(machine, 0x53FF8, UINT64_C(0x1122334455667788));
    run_program(row->code);
    assert_int_equal(bare_vector(cpu), row->vector);
    if (frame == 1) {
        assert_int_equal(bare_frame(machine, 0, 0), row->error);
    }
    uint64_t expected = row->fault_at < 0x1000 ? begin + row->fault_at : row->fault_at;
    assert_int_equal(bare_frame(machine, 0, frame), expected);
    assert_int_equal(cpu->vmx.cr2, page_fault ? row->cr2 : 0);
    assert_int_equal(bare_frame(machine, 0, frame + 2) & RFLAGS_RF, RFLAGS_RF);
    assert_int_equal(bare_peek(machine, 0x53FF8), UINT64_C(0x1122334455667788));
    machine_free(machine);
}

static void a_push_that_faults_leaves_rsp(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x89\xDC\x50") /* mov rsp, rbx; push rax */;
    bare_poke(machine, BARE_IDT + 14 * 16,
              bare_peek(machine, BARE_IDT + 14 * 16) | UINT64_C(1) << 32);
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE + 16;
    run_program(code);
    assert_int_equal(bare_frame(machine, 0, 4), BARE_HOLE + 16);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_IST1 - 48);
}

static void without_wp_the_kernel_writes_a_read_only_page(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x89\x03") /* mov [rbx], rax */;
    cpu_guest(cpu, CR0) &= ~UINT64_C(0x10000);
    cpu->vmx.gpr[VMX_RBX] = BARE_READ_ONLY;
    cpu->vmx.gpr[VMX_RAX] = 0x77;
    run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(bare_peek(machine, 0x50000), 0x77);
}

static void a_frame_has_all_of_the_context(void **state)
{
    (void)state;
    struct code code = CODE("\x31\xC9\xF7\xF1") /* xor ecx, ecx; div ecx */;
    cpu_guest(cpu, RSP) = BARE_STACK - 3;
    run_program(code);
    assert_int_equal(bare_vector(cpu), 0);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_STACK - 16 - 40);
    assert_int_equal(bare_frame(machine, 0, 0), BARE_CODE + 2);
    assert_int_equal(bare_frame(machine, 0, 1), BARE_KERNEL_CS);
    assert_int_equal(bare_frame(machine, 0, 2), 0x10046); // RF, ZF, PF
    assert_int_equal(bare_frame(machine, 0, 3), BARE_STACK - 3);
    assert_int_equal(bare_frame(machine, 0, 4), BARE_KERNEL_SS);
}

static void exceptions_follow_each_other_without_a_double_fault(void **state)
{
    (void)state;
    struct code code =
        CODE("\x31\xC9\xF7\xF1\xF7\xF1\xF7\xF1\xF7\xF1") /* xor ecx, ecx; div ecx; div ecx; div ecx;
                                                            div ecx */
        ;
    struct code handler = CODE(
        "\x49\xFF\xC0\x48\x83\x04\x24\x02\x48\xCF") /* inc r8; add qword ptr [rsp], 2; iretq */;
    handle(VECTOR_DE, handler);
    run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 4);
}

static void the_handler_maps_the_page_and_the_access_succeeds(void **state)
{
    (void)state;
    struct code code = CODE(
        "\x48\xC7\x03\x42\x00\x00\x00\x48\x8B\x03") /* mov qword ptr [rbx], 0x42; mov rax, [rbx] */;
    struct code handler = CODE("\xC7\x04\x25\x80\x48\x00\x00\x03\x30\x05\x00\x48\x83\xC4\x08\x48"
                               "\xCF") /* mov dword ptr [0x4880], 0x53003; add rsp, 8; iretq */;
    bare_poke(machine, BARE_HANDLERS + 14 * 16 + 8, 0);
    handle(VECTOR_PF, handler);
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE;
    run_program(code);
    assert_int_equal(rax(), 0x42);
    assert_int_equal(bare_peek(machine, 0x53000), 0x42);
}

// Accessed and dirty flags.

static void a_read_sets_accessed_only(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x8B\x03") /* mov rax, [rbx] */;
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    run_program(code);
    assert_int_equal(bare_pte(machine, BARE_PLAIN) & (A | D), A);
}

static void a_write_after_a_read_sets_dirty(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x8B\x03\x48\x89\x03") /* mov rax, [rbx]; mov [rbx], rax */;
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    run_program(code);
    assert_int_equal(bare_pte(machine, BARE_PLAIN) & (A | D), A | D);
}

static void a_refused_write_sets_nothing(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x89\x03") /* mov [rbx], rax */;
    cpu->vmx.gpr[VMX_RBX] = BARE_READ_ONLY;
    run_program(code);
    assert_int_equal(bare_pte(machine, BARE_READ_ONLY) & (A | D), 0);
}

static void a_fetch_sets_accessed_in_the_pages_executed_and_no_other(void **state)
{
    (void)state;
    struct code code = CODE("\xFF\xE3") /* jmp rbx */;
    struct code at_the_end = CODE("\x90\x90\xE9\xFB\xEF\xFF\xFF") /* nop; nop; jmp .-4096 */;
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0xFF9;
    bare_set_pte(machine, BARE_CODE - 0x1000, (BARE_CODE - 0x1000) | PRESENT);
    program_at(BARE_CODE + 0xFF9, at_the_end);
    program_at(BARE_CODE - 5, at_the_end); // a HLT after it, at BARE_CODE + 2
    struct code hlt = CODE("\xF4") /* hlt */;
    program_at(BARE_CODE - 5, hlt);
    run_program(code);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE - 4);
    assert_int_equal(bare_pte(machine, BARE_CODE) & (A | D), A);
    assert_int_equal(bare_pte(machine, BARE_CODE - 0x1000) & (A | D), A);
    assert_int_equal(bare_pte(machine, BARE_CODE + 0x1000) & (A | D), 0);
}

static void memory_written_is_marked_dirty(void **state)
{
    (void)state;
    struct code code = CODE(
        "\x48\x89\x03\x48\x8B\x83\x00\x10\x00\x00") /* mov [rbx], rax; mov rax, [rbx + 0x1000] */;
    memory_mark(&machine->memory);
    cpu->vmx.gpr[VMX_RBX] = BARE_LARGE + 0x5000;
    cpu->vmx.gpr[VMX_RAX] = 0x99;
    program_at(BARE_CODE, code);
    memory_mark(&machine->memory);
    bare_run(machine, 0, LOTS);
    assert_int_equal(*memory_flags(&machine->memory, BARE_LARGE + 0x5000) & PAGE_DIRTY, PAGE_DIRTY);
    assert_int_equal(*memory_flags(&machine->memory, BARE_LARGE + 0x6000) & PAGE_DIRTY, 0);
    memory_reset(&machine->memory);
    assert_int_equal(bare_peek(machine, BARE_LARGE + 0x5000), 0);
}

// Fetches across pages.

static void an_instruction_that_crosses_into_a_bad_page_faults_there(void **state)
{
    (void)state;
    struct code code = CODE("\xFF\xE3") /* jmp rbx */;
    struct code crossing = CODE(
        "\x49\xFF\xC0\x49\xFF\xC0\x48\xB8\x88\x77\x66\x55\x44\x33\x22\x11") /* inc r8; inc r8; mov
                                                                               rax,
                                                                               0x1122334455667788 */
        ;
    bare_program(machine, 0x53000 + 0xFF8, crossing.bytes, 8);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN + 0xFF8;
    run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_PF);
    assert_int_equal(bare_frame(machine, 0, 0), 0x19);
    assert_int_equal(bare_frame(machine, 0, 1), BARE_PLAIN + 0xFFE);
    assert_int_equal(cpu->vmx.cr2, BARE_RESERVED);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 2);
    assert_int_equal(bare_pte(machine, BARE_PLAIN) & A, A);
}

static void a_sensitive_instruction_that_crosses_into_a_bad_page_faults_there(void **state)
{
    (void)state;
    struct code code = CODE("\xFF\xE3") /* jmp rbx */;
    struct code crossing = CODE("\x49\xFF\xC0\x0F\xA2") /* inc r8; cpuid */;
    bare_program(machine, 0x53000 + 0xFFC, crossing.bytes, 4);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN + 0xFFC;
    run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_PF);
    assert_int_equal(bare_frame(machine, 0, 1), BARE_PLAIN + 0xFFF);
    assert_int_equal(cpu->vmx.cr2, BARE_RESERVED);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
}

static void code_runs_on_into_the_next_page(void **state)
{
    (void)state;
    struct code code = CODE("\xFF\xE3") /* jmp rbx */;
    struct code crossing =
        CODE("\x49\xFF\xC0\x48\xB8\x88\x77\x66\x55\x44\x33\x22\x11\x49\xFF\xC0") /* inc r8; mov rax,
                                                                                    0x1122334455667788;
                                                                                    inc r8 */
        ;
    program_at(BARE_CODE + 0xFF8, crossing);
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0xFF8;
    run_program(code);
    assert_int_equal(rax(), UINT64_C(0x1122334455667788));
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 2);
    assert_int_equal(bare_pte(machine, BARE_CODE + 0x1000) & A, A);
}

static void a_harmless_instruction_that_begins_like_poison_runs(void **state)
{
    (void)state;
    struct code code = CODE(
        "\x48\xC7\xC3\x00\x00\x04\x00\x48\xC7\x03\x77\x00\x00\x00\x48\xC7\xC0\xFF\x0F\x02\x00\xFF"
        "\xE0") /* mov rbx, 0x40000; mov qword ptr [rbx], 0x77; mov rax, 0x20FFF; jmp rax */;
    struct code crossing = CODE("\xFF\x33\x58") /* push qword ptr [rbx]; pop rax */;
    program_at(BARE_CODE + 0xFFF, crossing);
    run_program(code);
    assert_int_equal(rax(), 0x77);
}

static void poison_across_a_page_boundary_is_undefined(void **state)
{
    (void)state;
    struct code code = CODE("\x48\xC7\xC0\xFF\x0F\x02\x00\xFF\xE0") /* mov rax, 0x20FFF; jmp rax */;
    struct code crossing = CODE("\xFF\xD8");
    program_at(BARE_CODE + 0xFFF, crossing);
    run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
    assert_int_equal(bare_frame(machine, 0, 0), BARE_CODE + 0xFFF);
}

static void pages_full_of_poison_are_undefined_everywhere(void **state)
{
    (void)state;
    struct code code = CODE(
        "\x41\xB9\x0C\x00\x00\x00\x48\xC7\xC3\x00\x00\x20\x00\xFF\xE3") /* mov r9d, 12; mov rbx,
                                                                           0x200000; jmp rbx */
        ;
    struct code
        handler = CODE("\x48\x81\x04\x24\x00\x10\x00\x00\x49\xFF\xC0\x49\xFF\xC9\x74\x02\x48\xCF"
                       "\xF4") /* add qword ptr [rsp], 4096; inc r8; dec r9; jz 1f; iretq; 1: hlt */
        ;
    uint8_t poison[MEMORY_PAGE_SIZE];
    for (size_t i = 0; i < sizeof(poison); i++) {
        poison[i] = i % 2 == 0 ? 0xFF : 0xD8;
    }
    for (uint64_t page = 0; page < 12; page++) {
        assert_true(
            memory_load(&machine->memory, BARE_LARGE + page * 4096, poison, sizeof(poison)));
    }
    handle(VECTOR_UD, handler);
    run_program(code);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 12);
}

// Privilege levels.

static void ring_3_calls_and_comes_back(void **state)
{
    (void)state;
    struct code code =
        CODE("\xB8\x01\x00\x00\x00\xCD\x81\xBB\x02\x00\x00\x00\xCD\x30") /* mov eax, 1; int 0x81;
                                                                            mov ebx, 2; int 0x30 */
        ;
    struct code handler =
        CODE("\x8C\xD1\x48\x89\xE2\x48\xCF") /* mov ecx, ss; mov rdx, rsp; iretq */;
    bare_enter_ring3(machine);
    handle(BARE_USER_VECTOR, handler);
    run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_GP); // INT 0x30 is not for ring 3
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 0);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], BARE_RSP0 - 40);
    assert_int_equal(cpu->vmx.gpr[VMX_RBX], 2);
    assert_int_equal(bare_frame(machine, 0, 1), BARE_USER_CODE + 12);
    assert_int_equal(bare_frame(machine, 0, 2), BARE_USER_CS);
    assert_int_equal(bare_frame(machine, 0, 4), BARE_USER_TOP);
    assert_int_equal(bare_frame(machine, 0, 5), BARE_USER_SS);
    assert_int_equal(cpu_cpl(cpu), 0);
}

static void syscall_and_sysret_go_there_and_back(void **state)
{
    (void)state;
    struct code user = CODE(
        "\xB8\x07\x00\x00\x00\xF9\x0F\x05\x49\x89\xC8\x41\x0F\x92\xC1\xCD\x81") /* mov eax, 7; stc;
                                                                                   syscall; mov r8,
                                                                                   rcx; setc r9b;
                                                                                   int 0x81 */
        ;
    struct code kernel =
        CODE("\x83\xC0\x01\x4D\x89\xDA\x48\x0F\x07") /* add eax, 1; mov r10, r11; sysretq */;
    cpu->vmx.msr[MSR_SLOT_IA32_STAR] = UINT64_C(0x1B) << 48 | (uint64_t)BARE_KERNEL_CS << 32;
    cpu->vmx.msr[MSR_SLOT_IA32_LSTAR] = BARE_CODE;
    cpu->vmx.msr[MSR_SLOT_IA32_FMASK] = 0x201;
    program_at(BARE_CODE, kernel);
    bare_enter_ring3(machine);
    run_program(user);
    assert_int_equal(bare_vector(cpu), BARE_USER_VECTOR);
    assert_int_equal(rax(), 8);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], BARE_USER_CODE + 8);
    assert_int_equal(cpu->vmx.gpr[VMX_R9] & 0xFF, 1);
    assert_int_equal(cpu->vmx.gpr[VMX_R10], 0x3);
    assert_int_equal(bare_frame(machine, 0, 1), BARE_USER_CS);
    assert_int_equal(bare_frame(machine, 0, 4), BARE_USER_SS);
}

static void sysenter_and_sysexit_go_there_and_back(void **state)
{
    (void)state;
    struct code user = CODE("\x48\x89\xE1\x48\x8D\x15\x02\x00\x00\x00\x0F\x34\xB8\x05\x00\x00\x00"
                            "\xCD\x81") /* mov rcx, rsp; lea rdx, [rip + 2]; sysenter; mov eax, 5;
                                           int 0x81 */
        ;
    struct code kernel = CODE("\x49\x89\xE0\x41\x8C\xC9\x48\x0F\x35") /* mov r8, rsp; mov r9d, cs;
                                                                         .byte 0x48, 0x0F, 0x35 */
        ;
    cpu_guest(cpu, SYSENTER_CS) = BARE_KERNEL_CS;
    cpu_guest(cpu, SYSENTER_EIP) = BARE_CODE;
    cpu_guest(cpu, SYSENTER_ESP) = BARE_STACK;
    program_at(BARE_CODE, kernel);
    bare_enter_ring3(machine);
    run_program(user);
    assert_int_equal(bare_vector(cpu), BARE_USER_VECTOR);
    assert_int_equal(rax(), 5);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], BARE_STACK);
    assert_int_equal(cpu->vmx.gpr[VMX_R9], BARE_KERNEL_CS);
    assert_int_equal(bare_frame(machine, 0, 1), 0x2B); // SYSENTER_CS + 32, as ring 3
    assert_int_equal(bare_frame(machine, 0, 3), BARE_USER_TOP);
}

static void iretq_to_ring_3_drops_the_kernels_data_segments(void **state)
{
    (void)state;
    struct code code =
        CODE("\x66\xB8\x10\x00\x8E\xD8\x6A\x23\x68\x00\xF0\x08\x00\x6A\x02\x6A\x2B\x68\x00\x00\x08"
             "\x00\x48\xCF") /* mov ax, 0x10; mov ds, eax; push 0x23; push 0x8F000; push 2; push
                                0x2B; push 0x80000; iretq */
        ;
    struct code user = CODE("\x8C\xD8\xCD\x81") /* mov eax, ds; int 0x81 */;
    program_at(BARE_USER_CODE, user);
    run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_USER_VECTOR);
    assert_int_equal(rax(), 0);
    assert_int_equal(cpu_guest(cpu, DS_ACCESS), 0x10000);
}

static void iretq_to_a_worse_level_is_refused(void **state)
{
    (void)state;
    struct code code = CODE("\x6A\x23\x68\x00\xF0\x08\x00\x6A\x02\x6A\x08\x68\x00\x00\x02\x00\x48"
                            "\xCF") /* push 0x23; push 0x8F000; push 2; push 8; push 0x20000; iretq
                                     */
        ;
    bare_enter_ring3(machine);
    run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_GP);
    assert_int_equal(bare_frame(machine, 0, 0), BARE_KERNEL_CS);
}

static void an_interrupt_stack_table_entry_is_used_at_the_same_level(void **state)
{
    (void)state;
    struct code code = CODE("\xCD\x82") /* int 0x82 */;
    run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_IST_VECTOR);
    assert_int_equal(cpu_guest(cpu, RSP), BARE_IST1 - 40);
    assert_int_equal(bare_frame(machine, 0, 3), BARE_STACK);
}

static void an_interrupt_gate_clears_if_and_a_trap_gate_does_not(void **state)
{
    (void)state;
    struct code interrupt = CODE("\xFB\xCD\x30") /* sti; int 0x30 */;
    struct code trap = CODE("\xFB\xCD\x83") /* sti; int 0x83 */;
    run_program(interrupt);
    assert_int_equal(cpu_guest(cpu, RFLAGS) & RFLAGS_IF, 0);
    assert_int_equal(bare_frame(machine, 0, 2) & RFLAGS_IF, RFLAGS_IF);
    cpu_guest(cpu, ACTIVITY) = ACTIVITY_RUNS;
    cpu_guest(cpu, RIP) = BARE_CODE;
    run_program(trap);
    assert_int_equal(bare_vector(cpu), BARE_TRAP_VECTOR);
    assert_int_equal(cpu_guest(cpu, RFLAGS) & RFLAGS_IF, RFLAGS_IF);
}

// Double and triple faults.

static void a_page_fault_without_a_gate_is_a_double_fault(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x8B\x03") /* mov rax, [rbx] */;
    bare_poke(machine, BARE_IDT + 14 * 16, 0);
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE;
    run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_DF);
    assert_int_equal(bare_frame(machine, 0, 0), 0);
    assert_int_equal(bare_frame(machine, 0, 1), BARE_CODE);
    assert_int_equal(cpu->vmx.cr2, BARE_HOLE);
}

static void an_undefined_instruction_without_a_gate_is_a_protection_fault(void **state)
{
    (void)state;
    struct code code = CODE("\x0F\x0B") /* ud2 */;
    bare_poke(machine, BARE_IDT + 6 * 16, 0);
    run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_GP);
    assert_int_equal(bare_frame(machine, 0, 0), 6 * 8 + 3); // in the IDT, from outside
}

static void a_triple_fault_shuts_the_cpu_down(void **state)
{
    (void)state;
    struct code code = CODE("\x0F\x0B") /* ud2 */;
    cpu_guest(cpu, IDTR_LIMIT) = 0;
    program_at(BARE_CODE, code);
    assert_int_equal(bare_run(machine, 0, LOTS).stop, RUN_SHUT_DOWN);
    assert_true(cpu->shut_down);
    struct run_result again = bare_run(machine, 0, LOTS);
    assert_int_equal(again.stop, RUN_SHUT_DOWN);
    assert_int_equal(again.executed, 0);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE);
}

static void a_handler_that_always_faults_uses_up_the_budget(void **state)
{
    (void)state;
    struct code code = CODE("\xFF\xE3") /* jmp rbx */;
    struct code handler = CODE("\x48\x83\xC4\x30\xFF\xE3") /* add rsp, 48; jmp rbx */;
    handle(VECTOR_PF, handler);
    cpu->vmx.gpr[VMX_RBX] = BARE_HOLE;
    program_at(BARE_CODE, code);
    struct run_result result = bare_run(machine, 0, 1000);
    assert_int_equal(result.stop, RUN_BUDGET);
    assert_int_equal(result.executed, 1000);
}

// Memory.

static void the_higher_half_is_another_way_to_the_same_page(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x8D\x05\x00\x00\x00\x00\xFF\xE3") /* lea rax, [rip]; jmp rbx */;
    struct code high = CODE("\x48\x8D\x05\x00\x00\x00\x00") /* lea rax, [rip] */;
    program_at(BARE_CODE + 0x100, high);
    cpu->vmx.gpr[VMX_RBX] = BARE_HIGH + 0x100;
    run_program(code);
    assert_int_equal(rax(), BARE_HIGH + 0x107);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HIGH + 0x108);
}

static void more_pages_than_windows_work(void **state)
{
    (void)state;
    // Two passes over 180 pages: number each, then add them up.
    struct code code = CODE(
        "\x48\xC7\xC3\x00\x00\x04\x00\x31\xC9\x48\x89\x0B\x48\x81\xC3\x00\x10\x00\x00\x48\xFF\xC1"
        "\x48\x81\xF9\xB4\x00\x00\x00\x75\xEA\x48\xC7\xC3\x00\x00\x04\x00\x31\xC0\x48\x03\x03\x48"
        "\x81\xC3\x00\x10\x00\x00\x48\xFF\xC9\x75\xF1") /* mov rbx, 0x40000; xor ecx, ecx; 1: mov
                                                           [rbx], rcx; add rbx, 4096; inc rcx; cmp
                                                           rcx, 180; jne 1b; mov rbx, 0x40000; xor
                                                           eax, eax; 2: add rax, [rbx]; add rbx,
                                                           4096; dec rcx; jnz 2b */
        ;
    run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(rax(), 180 * 179 / 2);
}

static void code_and_data_share_a_large_page(void **state)
{
    (void)state;
    struct code code = CODE(
        "\x48\xC7\xC3\x00\x00\x20\x00\x48\x89\x9B\x00\x30\x00\x00\xFF\xE3") /* mov rbx, 0x200000;
                                                                               mov [rbx + 0x3000],
                                                                               rbx; jmp rbx */
        ;
    struct code large =
        CODE("\x48\x8B\x83\x00\x30\x00\x00\x48\x89\x83\x00\x01\x00\x00\x48\x8B\x83\x00\x01\x00\x00"
             "\x48\x89\x83\xF8\xFF\x1F\x00") /* mov rax, [rbx + 0x3000]; mov [rbx + 0x100], rax; mov
                                                rax, [rbx + 0x100]; mov [rbx + 0x1FFFF8], rax */
        ;
    program_at(BARE_LARGE, large);
    run_program(code);
    assert_int_equal(rax(), BARE_LARGE);
    assert_int_equal(bare_peek(machine, 0x3FFFF8), BARE_LARGE);
}

static void a_new_root_maps_other_pages(void **state)
{
    (void)state;
    // Another PML4, PDPT and PD at 0x60000, whose page table maps BARE_PLAIN elsewhere.
    struct code code = CODE(
        "\x48\x8B\x03\x48\xC7\xC1\x00\x00\x06\x00\x0F\x22\xD9\x48\x8B\x13") /* mov rax, [rbx]; mov
                                                                               rcx, 0x60000; mov
                                                                               cr3, rcx; mov rdx,
                                                                               [rbx] */
        ;
    static uint8_t table[MEMORY_PAGE_SIZE];
    bare_poke(machine, 0x60000, 0x61007);
    bare_poke(machine, 0x61000, 0x62007);
    bare_poke(machine, 0x62000, 0x63007);
    assert_true(memory_peek(&machine->memory, BARE_PT, table, sizeof(table)));
    assert_true(memory_load(&machine->memory, 0x63000, table, sizeof(table)));
    bare_poke(machine, 0x63000 + BARE_PLAIN / 512, 0x55003);
    bare_poke(machine, 0x53000, 0x11);
    bare_poke(machine, 0x55000, 0x22);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    run_program(code);
    assert_int_equal(rax(), 0x11);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], 0x22);
}

static void invlpg_makes_a_changed_entry_count(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x8B\x03\x48\xC7\x04\x25\xC8\x48\x00\x00\x03\x50\x05\x00\x0F\x01"
                            "\x3B\x48\x8B\x13") /* mov rax, [rbx]; mov qword ptr [0x48C8], 0x55003;
                                                   invlpg [rbx]; mov rdx, [rbx] */
        ;
    bare_poke(machine, 0x53000, 0x11);
    bare_poke(machine, 0x55000, 0x22);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    run_program(code);
    assert_int_equal(rax(), 0x11);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], 0x22);
}

static void a_debuggers_new_entry_counts_at_once(void **state)
{
    (void)state;
    struct code code = CODE("\x48\x8B\x03\xEB\xFB") /* 1: mov rax, [rbx]; jmp 1b */;
    uint64_t entry = 0x55003;
    bare_poke(machine, 0x53000, 0x11);
    bare_poke(machine, 0x55000, 0x22);
    cpu->vmx.gpr[VMX_RBX] = BARE_PLAIN;
    program_at(BARE_CODE, code);
    bare_run(machine, 0, 10);
    assert_int_equal(rax(), 0x11);
    memory_write(&machine->memory, 0x48C8, &entry, sizeof(entry));
    bare_run(machine, 0, 10);
    assert_int_equal(rax(), 0x22);
}

static void rom_is_read_executed_and_never_written(void **state)
{
    (void)state;
    struct code rom = CODE("\xB8\x34\x12\x00\x00") /* mov eax, 0x1234 */;
    struct code code = CODE("\xC6\x03\x90\x48\x8B\x0B\x48\xC7\x03\x00\x00\x00\x00\xFF\xD3\xC6\x43"
                            "\x05\x90") /* mov byte ptr [rbx], 0x90; mov rcx, [rbx]; mov qword ptr
                                           [rbx], 0; call rbx; mov byte ptr [rbx + 5], 0x90 */
        ;
    program_at(BARE_ROM_PHYS, rom);
    struct code ret = CODE("\xC3") /* ret */;
    program_at(BARE_ROM_PHYS + 5, ret);
    cpu->vmx.gpr[VMX_RBX] = BARE_ROM;
    run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(rax(), 0x1234);
    assert_int_equal(bare_peek(machine, BARE_ROM_PHYS) & 0xFFFFFFFFFF, UINT64_C(0x00001234B8));
}

static void a_device_sees_each_access(void **state)
{
    (void)state;
    struct code code =
        CODE("\xC7\x43\x08\x55\x00\x00\x00\x8B\x43\x04\x66\x8B\x4B\x02") /* mov dword ptr [rbx + 8],
                                                                            0x55; mov eax, [rbx +
                                                                            4]; mov cx, [rbx + 2] */
        ;
    cpu->vmx.gpr[VMX_RBX] = BARE_DEVICE;
    run_program(code);
    assert_int_equal(bare_device.num_writes, 1);
    assert_int_equal(bare_device.num_reads, 2);
    assert_int_equal(rax(), 0x59);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX] & 0xFFFF, 0x57);
    assert_int_equal(bare_device.size, 2);
}

static void empty_and_protected_space_reads_ones_and_swallows_writes(void **state)
{
    (void)state;
    struct code code =
        CODE("\x48\xC7\x03\x00\x00\x00\x00\x48\x8B\x03\x48\xC7\x01\x00\x00\x00\x00\x48\x8B\x11\xFF"
             "\x03") /* mov qword ptr [rbx], 0; mov rax, [rbx]; mov qword ptr [rcx], 0; mov rdx,
                        [rcx]; inc dword ptr [rbx] */
        ;
    cpu->vmx.gpr[VMX_RBX] = BARE_EMPTY;
    cpu->vmx.gpr[VMX_RCX] = BARE_PROTECTED;
    run_program(code);
    assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    assert_int_equal(rax(), UINT64_MAX);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], UINT64_MAX);
}

static void code_in_empty_space_is_undefined(void **state)
{
    (void)state;
    struct code code = CODE("\xFF\xE3") /* jmp rbx */;
    cpu->vmx.gpr[VMX_RBX] = BARE_EMPTY;
    run_program(code);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
    assert_int_equal(bare_frame(machine, 0, 0), BARE_EMPTY);
}

// Code that changes.

static void code_may_change_its_next_instruction(void **state)
{
    (void)state;
    struct code code =
        CODE("\xC6\x05\x01\x00\x00\x00\x22\xB8\x11\x00\x00\x00") /* mov byte ptr [rip + 1], 0x22;
                                                                    mov eax, 0x11 */
        ;
    run_program(code);
    assert_int_equal(rax(), 0x22);
}

static void a_change_through_an_alias_counts_at_once(void **state)
{
    (void)state;
    struct code code = CODE(
        "\xB9\x02\x00\x00\x00\xC6\x03\x22\xB8\x11\x00\x00\x00\xFF\xC9\x75\xF4") /* mov ecx, 2; 1:
                                                                                   mov byte ptr
                                                                                   [rbx], 0x22; mov
                                                                                   eax, 0x11; dec
                                                                                   ecx; jnz 1b */
        ;
    cpu->vmx.gpr[VMX_RBX] = BARE_ALIAS + 9;
    run_program(code);
    assert_int_equal(rax(), 0x22);
}

static void a_change_by_another_cpu_counts(void **state)
{
    (void)state;
    struct code code = CODE("\xB8\x11\x00\x00\x00\xEB\xF9") /* 1: mov eax, 0x11; jmp 1b */;
    struct code writer =
        CODE("\xC6\x04\x25\x01\x00\x02\x00\x22") /* mov byte ptr [0x20001], 0x22 */;
    program_at(BARE_CODE, code);
    program_at(BARE_CODE + 0x1000, writer);
    cpu_guest(&machine->cpus[1], RIP) = BARE_CODE + 0x1000;
    bare_run(machine, 0, 100);
    assert_int_equal(rax(), 0x11);
    bare_run(machine, 1, 100);
    bare_run(machine, 0, 100);
    assert_int_equal(rax(), 0x22);
}

static void a_change_by_a_debugger_counts(void **state)
{
    (void)state;
    struct code code = CODE("\xB8\x11\x00\x00\x00\xEB\xF9") /* 1: mov eax, 0x11; jmp 1b */;
    uint8_t byte = 0x22;
    program_at(BARE_CODE, code);
    bare_run(machine, 0, 100);
    runner_code_written(machine, BARE_CODE + 1);
    memory_write(&machine->memory, BARE_CODE + 1, &byte, 1);
    bare_run(machine, 0, 100);
    assert_int_equal(rax(), 0x22);
}

static void a_change_by_an_interpreted_instruction_counts(void **state)
{
    (void)state;
    struct code code = CODE("\xB9\x02\x00\x00\x00\x0F\x01\x25\x01\x00\x00\x00\xB8\x11\x11\x00\x00"
                            "\xFF\xC9\x75\xF0") /* mov ecx, 2; 1: smsw word ptr [rip + 1]; mov eax,
                                                   0x1111; dec ecx; jnz 1b */
        ;
    run_program(code);
    assert_int_equal(rax(), 0x0033);
}

static void poison_may_come_and_go(void **state)
{
    (void)state;
    // A call of two bytes that is poison in the second of three rounds.
    struct code code =
        CODE("\x41\xB9\x03\x00\x00\x00\xFF\xD3\x66\xC7\x03\xFF\xD8\x41\x83\xF9\x03\x74\x05\x66\xC7"
             "\x03\x90\x90\x41\xFF\xC9\x75\xE9") /* mov r9d, 3; 1: call rbx; mov word ptr [rbx],
                                                    0xD8FF; cmp r9d, 3; je 2f; mov word ptr [rbx],
                                                    0x9090; 2: dec r9d; jnz 1b */
        ;
    struct code callee = CODE("\x90\x90\x49\xFF\xC0\xC3") /* nop; nop; inc r8; ret */;
    struct code handler = CODE(
        "\x49\xFF\xC2\x48\x83\x04\x24\x02\x48\xCF") /* inc r10; add qword ptr [rsp], 2; iretq */;
    program_at(BARE_CODE + 0x200, callee);
    handle(VECTOR_UD, handler);
    cpu->vmx.gpr[VMX_RBX] = BARE_CODE + 0x200;
    run_program(code);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 3);
    assert_int_equal(cpu->vmx.gpr[VMX_R10], 1);
}

static void many_changes_wear_nothing_out(void **state)
{
    (void)state;
    struct code code =
        CODE("\x66\x48\x0F\x6E\xDA\xB9\x40\x9C\x00\x00\xFE\x05\x01\x00\x00\x00\xB8\x11\x00\x00\x00"
             "\xFF\xC9\x75\xF1\x66\x48\x0F\x7E\xDA") /* movq xmm3, rdx; mov ecx, 40000; 1: inc byte
                                                        ptr [rip + 1]; mov eax, 0x11; dec ecx; jnz
                                                        1b; movq rdx, xmm3 */
        ;
    cpu->vmx.gpr[VMX_RDX] = UINT64_C(0x1234567890);
    program_at(BARE_CODE, code);
    assert_int_equal(bare_run(machine, 0, 1000000).stop, RUN_WAITING);
    assert_int_equal(rax(), 0x11 + 40000 % 256);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], UINT64_C(0x1234567890));
}

static void a_reset_runs_the_first_code_again(void **state)
{
    (void)state;
    struct code code = CODE(
        "\xC6\x05\x01\x00\x00\x00\x22\xB8\x11\x00\x00\x00\xFF\xC3") /* mov byte ptr [rip + 1], 0x22;
                                                                       mov eax, 0x11; inc ebx */
        ;
    program_at(BARE_CODE, code);
    memory_mark(&machine->memory);
    for (unsigned i = 0; i < 3; i++) {
        bare_run(machine, 0, LOTS);
        assert_int_equal(rax(), 0x22);
        assert_int_equal(cpu->vmx.gpr[VMX_RBX], 1);
        machine_reset(machine);
        assert_int_equal(bare_peek(machine, BARE_CODE + 8) & 0xFF, 0x11);
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
    struct code code = CODE("\x90\x90\x49\xFF\xC0\xFF\xE3") /* nop; nop; inc r8; jmp rbx */;
    program_at(BARE_CODE, code);
    cpu->vmx.gpr[VMX_RBX] = BARE_ALIAS;
    set_breakpoint(BARE_CODE + 2);
    assert_int_equal(bare_run(machine, 0, LOTS).stop, RUN_BREAKPOINT);
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
    struct code code = CODE("\x90") /* nop */;
    program_at(BARE_CODE, code);
    set_breakpoint(BARE_CODE);
    struct run_result result = bare_run(machine, 0, LOTS);
    assert_int_equal(result.stop, RUN_BREAKPOINT);
    assert_int_equal(result.executed, 0);
    assert_int_equal(bare_run(machine, 0, LOTS).stop, RUN_BREAKPOINT);
    assert_int_equal(resume().stop, RUN_WAITING);
}

static void a_jump_to_itself_stops_in_every_turn(void **state)
{
    (void)state;
    struct code code = CODE("\xEB\xFE") /* 1: jmp 1b */;
    program_at(BARE_CODE, code);
    set_breakpoint(BARE_CODE);
    bare_run(machine, 0, LOTS);
    struct run_result result = resume();
    assert_int_equal(result.stop, RUN_BREAKPOINT);
    assert_int_equal(result.executed, 1);
}

static void a_repeated_instruction_stops_once(void **state)
{
    (void)state;
    struct code code =
        CODE("\xBF\x00\x00\x04\x00\xB9\xB8\x0B\x00\x00\xF3\xAA\x90") /* mov edi, 0x40000; mov ecx,
                                                                        3000; rep stosb; nop */
        ;
    program_at(BARE_CODE, code);
    set_breakpoint(BARE_CODE + 10);
    assert_int_equal(bare_run(machine, 0, LOTS).stop, RUN_BREAKPOINT);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 3000);
    struct run_request first = {.budget = 1000, .skip_breakpoint = true};
    assert_int_equal(runner_run(machine, cpu, &first).stop, RUN_BUDGET);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 2000);
    assert_int_equal(bare_run(machine, 0, LOTS).stop, RUN_WAITING);
    assert_int_equal(cpu->vmx.gpr[VMX_RCX], 0);
}

static void a_breakpoint_stops_before_any_kind_of_instruction(void **state)
{
    (void)state;
    struct code code =
        CODE("\x0F\xA2\xFF\xD8\xF2\x0F\x0B") /* cpuid; .byte 0xFF, 0xD8, 0xF2, 0x0F, 0x0B */;
    program_at(BARE_CODE, code);
    set_breakpoint(BARE_CODE);
    set_breakpoint(BARE_CODE + 2);
    assert_int_equal(bare_run(machine, 0, LOTS).stop, RUN_BREAKPOINT);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE);
    assert_int_equal(resume().stop, RUN_BREAKPOINT);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 2);
    assert_int_equal(resume().stop, RUN_WAITING);
    assert_int_equal(bare_vector(cpu), VECTOR_UD);
}

static void a_debug_register_raises_a_fault_and_rf_passes_it(void **state)
{
    (void)state;
    struct code code =
        CODE("\xB8\x01\x00\x00\x00\xB8\x02\x00\x00\x00\xB8\x03\x00\x00\x00") /* mov eax, 1; mov eax,
                                                                                2; mov eax, 3 */
        ;
    struct code handler = CODE(
        "\x49\xFF\xC0\x4C\x8B\x0C\x24\x81\x4C\x24\x10\x00\x00\x01\x00\x48\xCF") /* inc r8; mov r9,
                                                                                   [rsp]; or dword
                                                                                   ptr [rsp + 16],
                                                                                   0x10000; iretq */
        ;
    handle(VECTOR_DB, handler);
    cpu->vmx.dr[1] = BARE_CODE + 5;
    cpu_guest(cpu, DR7) = 0x404;
    run_program(code);
    assert_int_equal(rax(), 3);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
    assert_int_equal(cpu->vmx.gpr[VMX_R9], BARE_CODE + 5);
    assert_int_equal(cpu->vmx.dr6 & 0xF, 2);
}

// Steps and budgets.

static void a_budget_is_kept_to_the_instruction(void **state)
{
    (void)state;
    struct code code = CODE("\x49\xFF\xC0\xEB\xFB") /* 1: inc r8; jmp 1b */;
    program_at(BARE_CODE, code);
    for (uint64_t budget = 1; budget < 40; budget++) {
        uint64_t before = cpu->vmx.tsc;
        assert_int_equal(bare_run(machine, 0, budget).executed, budget);
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
    {"plain instructions", CODE("\x90\xB8\x01\x00\x00\x00\xFF\xC1") /* nop; mov eax, 1; inc ecx */,
     .lengths = {1, 6, 8}},
    {"a jump", CODE("\xEB\x01\x90\x90") /* jmp 1f; nop; 1: nop */, .lengths = {3, 4}},
    {"sensitive instructions", CODE("\x0F\xA2\x0F\x31\x9C\x9D") /* cpuid; rdtsc; pushfq; popfq */,
     .lengths = {2, 4, 5, 6}},
    {"a repeated instruction",
     CODE("\xBF\x00\x00\x04\x00\xF3\xAA") /* mov edi, 0x40000; rep stosb */, .rcx = 2,
     .lengths = {5, 5, 7}},
    {"repeated input", CODE("\xBF\x00\x00\x04\x00\xF3\x6C") /* mov edi, 0x40000; rep insb */,
     .rcx = 2, .lengths = {5, 5, 7}},
    {"MOV SS", CODE("\x8C\xD3\x8E\xD3\x90\x90") /* mov ebx, ss; mov ss, ebx; nop; nop */,
     .lengths = {2, 4, 5, 6}},
    {"STI", CODE("\xFB\x90\xFA") /* sti; nop; cli */, .lengths = {1, 2, 3}},
    {"changing code",
     CODE("\xC6\x05\x00\x00\x00\x00\x90\xFF\xC0\x90") /* mov byte ptr [rip], 0x90; inc eax; nop */,
     .lengths = {7, 8}},
    {"stores", CODE("\x50\x53\x58\x5B") /* push rax; push rbx; pop rax; pop rbx */,
     .lengths = {1, 2, 3, 4}},
};

static void steps_take_one_instruction_each(void **state)
{
    const struct step_case *row = *state;
    machine = bare_new(1);
    cpu = &machine->cpus[0];
    program_at(BARE_CODE, row->code);
    cpu->vmx.gpr[VMX_RCX] = row->rcx;
    for (size_t i = 0; i < 6 && row->lengths[i] != 0; i++) {
        struct run_result result = bare_step(machine, 0);
        assert_int_equal(result.stop, RUN_BUDGET);
        assert_int_equal(result.executed, 1);
        assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + row->lengths[i]);
    }
    machine_free(machine);
}

static void a_step_over_a_fault_ends_in_the_handler(void **state)
{
    (void)state;
    struct code code = CODE("\x0F\x0B") /* ud2 */;
    program_at(BARE_CODE, code);
    bare_step(machine, 0);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HANDLERS + 16 * VECTOR_UD);
}

static void the_trap_flag_raises_a_debug_exception_after_each_instruction(void **state)
{
    (void)state;
    struct code code =
        CODE("\x9C\x81\x0C\x24\x00\x01\x00\x00\x9D\x90\x0F\xA2\x83\x64\x24\x08\x00\xB8\x09\x00\x00"
             "\x00") /* pushfq; or dword ptr [rsp], 0x100; popfq; nop; cpuid; and dword ptr [rsp +
                        8], 0; mov eax, 9 */
        ;
    struct code handler =
        CODE("\x49\xFF\xC0\x4C\x8B\x0C\x24\x48\xCF") /* inc r8; mov r9, [rsp]; iretq */;
    handle(VECTOR_DB, handler);
    program_at(BARE_CODE, code);
    bare_run(machine, 0, 3);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 0);
    assert_int_equal(bare_step(machine, 0).executed, 1); // the NOP, and its trap
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HANDLERS + 16);
    assert_int_equal(bare_frame(machine, 0, 0), BARE_CODE + 10);
    assert_int_equal(bare_frame(machine, 0, 2) & (RFLAGS_TF | RFLAGS_RF), RFLAGS_TF);
    assert_int_equal(cpu->vmx.dr6 & 0x4000, 0x4000);
    bare_run(machine, 0, 3);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 10);
    bare_run(machine, 0, 1);
    assert_int_equal(bare_frame(machine, 0, 0), BARE_CODE + 12);
    bare_run(machine, 0, LOTS);
    assert_int_equal(rax(), 9);
}

// Interrupts.

static void arm_timer(uint32_t mode, uint32_t count)
{
    bool sent = false;
    assert_true(apic_write(&cpu->apic, 0x80F, 0, 0x1FF, &sent));
    assert_true(apic_write(&cpu->apic, 0x83E, 0, 0xB, &sent)); // divide by 1
    assert_true(apic_write(&cpu->apic, 0x832, 0, mode | 0x40, &sent));
    assert_true(apic_write(&cpu->apic, 0x838, cpu->vmx.tsc, count, &sent));
}

static void a_timer_interrupts_at_its_deadline(void **state)
{
    (void)state;
    struct code code = CODE("\x49\xFF\xC0\xEB\xFB") /* 1: inc r8; jmp 1b */;
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    program_at(BARE_CODE, code);
    arm_timer(0, 100);
    struct run_result result = bare_run(machine, 0, 1000);
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
    struct code code = CODE("\xB9\x64\x00\x00\x00\xFF\xC9\x75\xFC\xFB\x49\xFF\xC0\x49\xFF\xC0\x49"
                            "\xFF\xC0") /* mov ecx, 100; 1: dec ecx; jnz 1b; sti; inc r8; inc r8;
                                           inc r8 */
        ;
    program_at(BARE_CODE, code);
    arm_timer(0, 50);
    bare_run(machine, 0, 1000);
    assert_int_equal(bare_vector(cpu), 0x40);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1); // one instruction after STI
}

static void a_periodic_timer_comes_again_and_again(void **state)
{
    (void)state;
    struct code code = CODE("\xFB\xEB\xFE") /* sti; 1: jmp 1b */;
    struct code handler = CODE(
        "\x49\xFF\xC0\xB9\x0B\x08\x00\x00\x31\xC0\x31\xD2\x0F\x30\x48\xCF") /* inc r8; mov ecx,
                                                                               0x80B; xor eax, eax;
                                                                               xor edx, edx; wrmsr;
                                                                               iretq */
        ;
    handle(0x40, handler);
    program_at(BARE_CODE, code);
    arm_timer(0x20000, 1000);
    bare_run(machine, 0, 10500);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 10);
}

static void a_halted_cpu_sleeps_until_its_timer(void **state)
{
    (void)state;
    struct code code = CODE("\xFB\xF4\xEB\xFD") /* sti; 1: hlt; jmp 1b */;
    struct code handler = CODE(
        "\x49\xFF\xC0\xB9\x0B\x08\x00\x00\x31\xC0\x31\xD2\x0F\x30\x48\xCF") /* inc r8; mov ecx,
                                                                               0x80B; xor eax, eax;
                                                                               xor edx, edx; wrmsr;
                                                                               iretq */
        ;
    handle(0x40, handler);
    program_at(BARE_CODE, code);
    arm_timer(0x20000, 1000);
    struct run_result result = bare_run(machine, 0, 10500);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 10);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_int_equal(result.executed, 2 + 10 * 8);
    assert_true(cpu->vmx.tsc < 10500);
}

static void a_halted_cpu_without_a_timer_waits(void **state)
{
    (void)state;
    struct code code = CODE("\xFB\xF4\x90") /* sti; hlt; nop */;
    program_at(BARE_CODE, code);
    struct run_result result = bare_run(machine, 0, 1000);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_int_equal(result.executed, 2);
    assert_int_equal(cpu_guest(cpu, ACTIVITY), ACTIVITY_HALTED);
    result = bare_run(machine, 0, 1000);
    assert_int_equal(result.executed, 0);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 2);
}

static void cr8_holds_an_interrupt_back(void **state)
{
    (void)state;
    struct code code =
        CODE("\xB8\x04\x00\x00\x00\x44\x0F\x22\xC0\xFB\x90\x90\x49\xFF\xC0\x31\xC0\x44\x0F\x22\xC0"
             "\x49\xFF\xC0") /* mov eax, 4; mov cr8, rax; sti; nop; nop; inc r8; xor eax, eax; mov
                                cr8, rax; inc r8 */
        ;
    program_at(BARE_CODE, code);
    apic_write(&cpu->apic, 0x80F, 0, 0x1FF, &(bool){false});
    apic_request(&cpu->apic, 0x40);
    bare_run(machine, 0, 1000);
    assert_int_equal(bare_vector(cpu), 0x40);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
}

static void mov_ss_holds_an_interrupt_back_for_one_instruction(void **state)
{
    (void)state;
    struct code code = CODE(
        "\x8C\xD0\x8E\xD0\x49\xFF\xC0\x49\xFF\xC0") /* mov eax, ss; mov ss, eax; inc r8; inc r8 */;
    program_at(BARE_CODE, code);
    apic_write(&cpu->apic, 0x80F, 0, 0x1FF, &(bool){false});
    bare_run(machine, 0, 2);
    apic_request(&cpu->apic, 0x40);
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    bare_run(machine, 0, 100);
    assert_int_equal(bare_vector(cpu), 0x40);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 1);
}

static void an_interrupt_counts_as_the_step(void **state)
{
    (void)state;
    struct code code = CODE("\x49\xFF\xC0\x49\xFF\xC0") /* inc r8; inc r8 */;
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    program_at(BARE_CODE, code);
    apic_write(&cpu->apic, 0x80F, 0, 0x1FF, &(bool){false});
    apic_request(&cpu->apic, 0x40);
    struct run_result result = bare_step(machine, 0);
    assert_int_equal(result.stop, RUN_BUDGET);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_HANDLERS + 0x400);
    assert_int_equal(cpu->vmx.gpr[VMX_R8], 0);
}

static void suppressed_interrupts_stay_pending(void **state)
{
    (void)state;
    struct code code = CODE("\x49\xFF\xC0\x49\xFF\xC0") /* inc r8; inc r8 */;
    struct run_request request = {.budget = 1, .stepping = true, .suppress_interrupts = true};
    cpu_guest(cpu, RFLAGS) |= RFLAGS_IF;
    program_at(BARE_CODE, code);
    apic_write(&cpu->apic, 0x80F, 0, 0x1FF, &(bool){false});
    apic_request(&cpu->apic, 0x40);
    runner_run(machine, cpu, &request);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + 3);
    assert_int_equal(apic_pending(&cpu->apic, 0), 0x40);
}

static void an_interprocessor_interrupt_wakes_the_other_cpu(void **state)
{
    (void)state;
    struct code waits = CODE(
        "\xB9\x0F\x08\x00\x00\xB8\xFF\x01\x00\x00\x31\xD2\x0F\x30\xFB\xF4") /* mov ecx, 0x80F; mov
                                                                               eax, 0x1FF; xor edx,
                                                                               edx; wrmsr; sti; hlt
                                                                             */
        ;
    struct code sends = CODE(
        "\xB9\x30\x08\x00\x00\xB8\x41\x00\x00\x00\xBA\x01\x00\x00\x00\x0F\x30") /* mov ecx, 0x830;
                                                                                   mov eax, 0x41;
                                                                                   mov edx, 1; wrmsr
                                                                                 */
        ;
    program_at(BARE_CODE, waits);
    program_at(BARE_CODE + 0x1000, sends);
    assert_int_equal(bare_run(machine, 1, 100).stop, RUN_WAITING);
    cpu_guest(cpu, RIP) = BARE_CODE + 0x1000;
    bare_run(machine, 0, 100);
    bare_run(machine, 1, 100);
    assert_int_equal(bare_vector(&machine->cpus[1]), 0x41);
}

// State.

static void the_fpu_goes_in_and_comes_out(void **state)
{
    (void)state;
    struct code code =
        CODE("\xD9\xE8\xD9\xEB\x66\x48\x0F\x6E\xEB\xF2\x0F\x58\xC9\x0F\xAE\x15\x01\x00\x00\x00\xF4"
             "\xA0\x1F\x00\x00") /* fld1; fldpi; movq xmm5, rbx; addsd xmm1, xmm1; ldmxcsr [rip +
                                    1]; hlt; .long 0x1FA0 */
        ;
    double one = 1.0;
    memcpy(cpu->fpu.ymm[1], &one, sizeof(one));
    memset(cpu->fpu.ymm[1] + 16, 0xEE, 16);
    cpu->vmx.gpr[VMX_RBX] = 0x1234;
    run_program(code);
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
        CODE("\x66\x48\x0F\x6E\xC3\xD9\xE8\x6A\x23\x68\x00\xF0\x08\x00\x6A\x02\x6A\x2B\x68\x00\x00"
             "\x08\x00\x48\xCF") /* movq xmm0, rbx; fld1; push 0x23; push 0x8F000; push 2; push
                                    0x2B; push 0x80000; iretq */
        ;
    struct code user = CODE(
        "\x66\x48\x0F\x7E\xC0\xD9\xE8\x66\x48\x0F\x6E\xC1\xCD\x81") /* movq rax, xmm0; fld1; movq
                                                                       xmm0, rcx; int 0x81 */
        ;
    struct code handler = CODE("\x66\x48\x0F\x7E\xC2") /* movq rdx, xmm0 */;
    program_at(BARE_USER_CODE, user);
    handle(BARE_USER_VECTOR, handler);
    cpu->vmx.gpr[VMX_RBX] = 0x77;
    cpu->vmx.gpr[VMX_RCX] = 0x88;
    run_program(code);
    assert_int_equal(rax(), 0x77);
    assert_int_equal(cpu->vmx.gpr[VMX_RDX], 0x88);
    assert_int_equal(cpu->fpu.status >> 11 & 7, 6);
}

static void an_unmasked_x87_exception_is_delivered(void **state)
{
    (void)state;
    struct code code = CODE(
        "\xD9\x2D\x08\x00\x00\x00\xD9\xEE\xD9\xE8\xD8\xF1\x9B\xF4\x7B\x03") /* fldcw [rip + 8];
                                                                               fldz; fld1; fdiv st,
                                                                               st(1); fwait; hlt;
                                                                               .word 0x37B */
        ;
    run_program(code);
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
    machine = bare_new(1);
    cpu = &machine->cpus[0];
    row->change();
    struct run_result result = bare_run(machine, 0, 10);
    assert_int_equal(result.stop, RUN_UNSUPPORTED);
    assert_int_equal(result.executed, 0);
    assert_non_null(strstr(bare_log, row->rule));
    machine_free(machine);
}

static void a_return_to_compatibility_mode_stops_the_run(void **state)
{
    (void)state;
    struct code code = CODE("\x6A\x23\x68\x00\xF0\x08\x00\x6A\x02\x6A\x1B\x68\x00\x00\x08\x00\x48"
                            "\xCF") /* push 0x23; push 0x8F000; push 2; push 0x1B; push 0x80000;
                                       iretq */
        ;
    program_at(BARE_CODE, code);
    assert_int_equal(bare_run(machine, 0, 100).stop, RUN_UNSUPPORTED);
    assert_int_equal(cpu_guest(cpu, CS_SELECTOR), BARE_COMPAT_CS);
    assert_int_equal(cpu_guest(cpu, RIP), BARE_USER_CODE);
}

// Random bytes as code, in both rings: nothing crashes, and every run can be repeated.

enum { RANDOM_CASES = 3000, RANDOM_CODE = 96 };

static uint64_t random_state;

static uint64_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

// Half of the bytes are likely to begin something of interest.
static uint8_t draw_byte(void)
{
    static const uint8_t spice[] = {0x0F, 0xFF, 0xF0, 0x66, 0x48, 0xF3, 0xF2, 0x8E, 0xCD, 0xCF,
                                    0xA4, 0x01, 0x00, 0x22, 0x30, 0x32, 0xC7, 0xAE, 0xD8, 0xE8};
    uint64_t number = draw();
    return (number & 1) != 0 ? spice[(number >> 8) % sizeof(spice)] : (uint8_t)(number >> 16);
}

static void prepare_random(uint64_t seed)
{
    uint8_t code[RANDOM_CODE];
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    machine_reset(machine);
    for (size_t i = 0; i < sizeof(code); i++) {
        code[i] = draw_byte();
    }
    if (seed % 2 != 0) {
        bare_enter_ring3(machine);
    }
    memory_write(&machine->memory, seed % 2 != 0 ? BARE_USER_CODE : BARE_CODE, code, sizeof(code));
    for (size_t i = 0; i < VMX_NUM_GPRS; i++) {
        cpu->vmx.gpr[i] = i == 4 ? 0 : draw() % 0x200000;
    }
}

static uint64_t digest(const void *bytes, size_t len, uint64_t hash)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001B3);
    }
    return hash;
}

static uint64_t run_random(uint64_t seed)
{
    prepare_random(seed);
    struct run_result result = bare_run(machine, 0, 200);
    uint64_t hash = digest(&cpu->vmx, sizeof(cpu->vmx), result.executed + result.stop);
    hash = digest(&cpu->fpu, sizeof(cpu->fpu), hash);
    for (size_t i = 0; i < machine->memory.regions[0].num_dirty; i++) {
        uint64_t page = machine->memory.regions[0].dirty[i];
        hash = digest(machine->memory.regions[0].host + page * 4096, 4096, hash);
    }
    return hash;
}

static void random_bytes_run_and_can_be_repeated(void **state)
{
    (void)state;
    memory_mark(&machine->memory);
    for (uint64_t seed = 1; seed <= RANDOM_CASES; seed++) {
        bare_log[0] = '\0';
        uint64_t first = run_random(seed);
        if (seed % 16 == 0) {
            assert_int_equal(run_random(seed), first);
        }
    }
}

static void slices_do_not_matter(void **state)
{
    (void)state;
    memory_mark(&machine->memory);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        bare_log[0] = '\0';
        prepare_random(seed);
        bare_run(machine, 0, 60);
        struct vmx_cpu whole = cpu->vmx;
        prepare_random(seed);
        for (unsigned i = 0; i < 60; i++) {
            bare_run(machine, 0, 1);
        }
        assert_int_equal(cpu_guest(cpu, RIP), whole.vmcs.field[VMCS_GUEST_RIP]);
        assert_memory_equal(cpu->vmx.gpr, whole.gpr, sizeof(whole.gpr));
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

static struct CMUnitTest tests[] = {
    TEST(a_push_that_faults_leaves_rsp),
    TEST(without_wp_the_kernel_writes_a_read_only_page),
    TEST(a_frame_has_all_of_the_context),
    TEST(exceptions_follow_each_other_without_a_double_fault),
    TEST(the_handler_maps_the_page_and_the_access_succeeds),
    TEST(a_read_sets_accessed_only),
    TEST(a_write_after_a_read_sets_dirty),
    TEST(a_refused_write_sets_nothing),
    TEST(a_fetch_sets_accessed_in_the_pages_executed_and_no_other),
    TEST(memory_written_is_marked_dirty),
    TEST(an_instruction_that_crosses_into_a_bad_page_faults_there),
    TEST(a_sensitive_instruction_that_crosses_into_a_bad_page_faults_there),
    TEST(code_runs_on_into_the_next_page),
    TEST(a_harmless_instruction_that_begins_like_poison_runs),
    TEST(poison_across_a_page_boundary_is_undefined),
    TEST(pages_full_of_poison_are_undefined_everywhere),
    TEST(ring_3_calls_and_comes_back),
    TEST(syscall_and_sysret_go_there_and_back),
    TEST(sysenter_and_sysexit_go_there_and_back),
    TEST(iretq_to_ring_3_drops_the_kernels_data_segments),
    TEST(iretq_to_a_worse_level_is_refused),
    TEST(an_interrupt_stack_table_entry_is_used_at_the_same_level),
    TEST(an_interrupt_gate_clears_if_and_a_trap_gate_does_not),
    TEST(a_page_fault_without_a_gate_is_a_double_fault),
    TEST(an_undefined_instruction_without_a_gate_is_a_protection_fault),
    TEST(a_triple_fault_shuts_the_cpu_down),
    TEST(a_handler_that_always_faults_uses_up_the_budget),
    TEST(the_higher_half_is_another_way_to_the_same_page),
    TEST(more_pages_than_windows_work),
    TEST(code_and_data_share_a_large_page),
    TEST(a_new_root_maps_other_pages),
    TEST(invlpg_makes_a_changed_entry_count),
    TEST(a_debuggers_new_entry_counts_at_once),
    TEST(rom_is_read_executed_and_never_written),
    TEST(a_device_sees_each_access),
    TEST(empty_and_protected_space_reads_ones_and_swallows_writes),
    TEST(code_in_empty_space_is_undefined),
    TEST(code_may_change_its_next_instruction),
    TEST(a_change_through_an_alias_counts_at_once),
    TEST(a_change_by_another_cpu_counts),
    TEST(a_change_by_a_debugger_counts),
    TEST(a_change_by_an_interpreted_instruction_counts),
    TEST(poison_may_come_and_go),
    TEST(many_changes_wear_nothing_out),
    TEST(a_reset_runs_the_first_code_again),
    TEST(a_breakpoint_is_found_through_every_alias),
    TEST(without_skip_a_breakpoint_stops_again),
    TEST(a_jump_to_itself_stops_in_every_turn),
    TEST(a_repeated_instruction_stops_once),
    TEST(a_breakpoint_stops_before_any_kind_of_instruction),
    TEST(a_debug_register_raises_a_fault_and_rf_passes_it),
    TEST(a_budget_is_kept_to_the_instruction),
    TEST(a_step_over_a_fault_ends_in_the_handler),
    TEST(the_trap_flag_raises_a_debug_exception_after_each_instruction),
    TEST(a_timer_interrupts_at_its_deadline),
    TEST(without_if_the_timer_waits),
    TEST(a_periodic_timer_comes_again_and_again),
    TEST(a_halted_cpu_sleeps_until_its_timer),
    TEST(a_halted_cpu_without_a_timer_waits),
    TEST(cr8_holds_an_interrupt_back),
    TEST(mov_ss_holds_an_interrupt_back_for_one_instruction),
    TEST(an_interrupt_counts_as_the_step),
    TEST(suppressed_interrupts_stay_pending),
    TEST(an_interprocessor_interrupt_wakes_the_other_cpu),
    TEST(the_fpu_goes_in_and_comes_out),
    TEST(the_fpu_is_the_same_in_ring_3),
    TEST(an_unmasked_x87_exception_is_delivered),
    TEST(a_return_to_compatibility_mode_stops_the_run),
    TEST(random_bytes_run_and_can_be_repeated),
    TEST(slices_do_not_matter),
};

#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

enum {
    NUM_TESTS = ROWS(tests),
    NUM_ALL = NUM_TESTS + ROWS(fault_cases) + ROWS(step_cases) + ROWS(mode_cases),
};

int main(void)
{
    struct CMUnitTest all[NUM_ALL];
    size_t count = NUM_TESTS;
    memcpy(all, tests, sizeof(tests));
    for (size_t i = 0; i < ROWS(fault_cases); i++) {
        all[count++] = (struct CMUnitTest){.name = fault_cases[i].name,
                                           .test_func = a_fault_is_delivered,
                                           .initial_state = &fault_cases[i]};
    }
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
    return _cmocka_run_group_tests("runner", all, NUM_ALL, NULL, NULL);
}
