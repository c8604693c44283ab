#include "insn_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MAX_CASES = 128 };

void with_cr4(uint64_t bits)
{
    cpu_guest(cpu, CR4) |= bits;
}

void with_umip(void)
{
    with_cr4(0x800);
}

void with_ts(void)
{
    cpu_guest(cpu, CR0) |= 0x8;
}

void with_bases(void)
{
    cpu_guest(cpu, FS_BASE) = 0x1111;
    cpu_guest(cpu, GS_BASE) = UINT64_C(0xFFFF800000002222);
    cpu->vmx.msr[MSR_SLOT_IA32_KERNEL_GS_BASE] = 0x3333;
}

static void load_registers(const struct insn_case *row)
{
    uint64_t *gpr = cpu->vmx.gpr;
    gpr[VMX_RAX] = row->rax;
    gpr[VMX_RBX] = row->rbx;
    gpr[VMX_RCX] = row->rcx;
    gpr[VMX_RDX] = row->rdx;
    gpr[VMX_RSI] = row->rsi;
    gpr[VMX_RDI] = row->rdi;
}

static bool has_error_code(int vector)
{
    return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF);
}

static void expect_exception(const struct insn_case *row, uint64_t begin)
{
    unsigned i = 0;
    assert_int_equal(bare_vector(cpu), row->vector);
    if (has_error_code(row->vector)) {
        assert_int_equal(bare_frame(0, i++), row->error);
    }
    bool called = row->vector == BARE_USER_VECTOR;
    uint64_t at = called ? row->code.len : row->fault_at;
    assert_int_equal(bare_frame(0, i++), begin + at);
    assert_int_equal(bare_frame(0, i), row->ring3 ? BARE_USER_CS : BARE_KERNEL_CS);
}

static void an_instruction_behaves(void **state)
{
    const struct insn_case *row = *state;
    bare_build(1);
    uint64_t begin = row->ring3 ? BARE_USER_CODE : BARE_CODE;
    bare_program(begin, row->code.bytes, row->code.len);
    if (row->ring3) {
        bare_enter_ring3();
    }
    load_registers(row);
    if (row->prepare) {
        row->prepare();
    }
    struct run_result result = bare_run(0, 100);
    assert_int_equal(result.stop, RUN_WAITING);
    assert_string_equal(bare_log, "");
    if (row->raises) {
        expect_exception(row, begin);
    } else {
        assert_int_equal(bare_vector(cpu), BARE_NO_VECTOR);
    }
    if (row->has_result) {
        assert_int_equal(cpu->vmx.gpr[VMX_RAX], row->result);
    }
    if (row->check) {
        row->check();
    }
    machine_free(machine);
}

int insn_run_group(const char *group, struct insn_case *cases, size_t num_cases)
{
    struct CMUnitTest tests[MAX_CASES];
    if (num_cases > MAX_CASES) {
        print_error("%s: more than %d rows\n", group, MAX_CASES);
        return 1;
    }
    for (size_t i = 0; i < num_cases; i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = an_instruction_behaves, .initial_state = &cases[i]};
    }
    return _cmocka_run_group_tests(group, tests, num_cases, NULL, NULL);
}
