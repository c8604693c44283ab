// RDMSR and WRMSR as a CPU of a machine executes them: vmx_model's rules over the machine's APICs,
// and the registers that a package has once.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bare.h"
#include "cpu_msr.h"

enum { APIC_BASE = 0x1B, VERSION = 0x803, TPR = 0x808, SIVR = 0x80F, LVT_CMCI = 0x82F };
enum { LVT_TIMER = 0x832, LVT_LINT0 = 0x835, INITIAL_COUNT = 0x838, CURRENT_COUNT = 0x839 };

static void expect_read(enum msr_result want, uint32_t index, uint64_t value)
{
    for (enum msr_agent agent = MSR_DEBUGGER; agent <= MSR_GUEST; agent++) {
        uint64_t got = 0;
        assert_int_equal(want, cpu_msr_read(cpu, agent, index, &got));
        assert_int_equal(value, got);
    }
}

static enum msr_result write_msr(uint32_t index, uint64_t value)
{
    return cpu_msr_write(machine, cpu, MSR_DEBUGGER, index, value);
}

static void x2apic_registers_are_gp_in_xapic_mode(void **state)
{
    (void)state;
    bare_build(1);
    cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00900;
    expect_read(MSR_GP, VERSION, 0);
    assert_int_equal(MSR_GP, write_msr(SIVR, 0x1FF));
    cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00D00;
    expect_read(MSR_OK, VERSION, cpu->vmx.profile->apic_version);
    assert_int_equal(MSR_OK, write_msr(SIVR, 0x1FF));
    expect_read(MSR_OK, SIVR, 0x1FF);
    assert_int_equal(0x1FF, cpu->apic.svr);
    machine_free(machine);
}

static void the_model_checks_and_the_apic_counts(void **state)
{
    (void)state;
    bare_build(1);
    cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00D00;
    assert_int_equal(MSR_OK, write_msr(SIVR, 0x1FF));
    assert_int_equal(MSR_OK, write_msr(INITIAL_COUNT, 1000));
    cpu->vmx.tsc += 200; // divided by 2
    expect_read(MSR_OK, CURRENT_COUNT, 900);
    assert_int_equal(MSR_GP, write_msr(CURRENT_COUNT, 1));
    assert_int_equal(MSR_GP, write_msr(LVT_TIMER, 0x60020));
    assert_int_equal(MSR_OK, write_msr(LVT_LINT0, 0xF7FF)); // with both read-only bits
    expect_read(MSR_OK, LVT_LINT0, 0xA7FF);
    assert_int_equal(MSR_OK, write_msr(TPR, 0x35));
    expect_read(MSR_OK, TPR, 0x35);
    assert_int_equal(3, cpu->vmx.cr8);
    machine_free(machine);
}

// An LVT entry that the machine's APIC does not have.
static void what_the_apic_lacks_is_the_models(void **state)
{
    (void)state;
    bare_build(1);
    cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00D00;
    assert_int_equal(MSR_OK, write_msr(SIVR, 0x1FF));
    assert_int_equal(MSR_OK, write_msr(LVT_CMCI, 0xF2));
    expect_read(MSR_OK, LVT_CMCI, 0xF2);
    machine_free(machine);
}

static void an_override_goes_before_the_apic(void **state)
{
    (void)state;
    static const struct msr_override overrides[] = {
        {.index = SIVR, .effects = MSR_OVERRIDE_READ_GP},
    };
    bare_build(1);
    cpu->vmx.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00D00;
    vmx_cpu_override(&cpu->vmx, overrides, 1);
    expect_read(MSR_GP, SIVR, 0);
    machine_free(machine);
}

static void a_package_has_one_power_limit(void **state)
{
    (void)state;
    enum { PACKAGE_LIMIT = 0x610, BIAS = 0x1B0 };
    uint64_t value = 0;
    bare_build(2);
    struct cpu *other = &machine->cpus[1];
    assert_int_equal(MSR_OK, write_msr(PACKAGE_LIMIT, 0x8080));
    assert_int_equal(MSR_OK, write_msr(BIAS, 0xF));
    assert_int_equal(MSR_OK, cpu_msr_read(other, MSR_GUEST, PACKAGE_LIMIT, &value));
    assert_int_equal(0x8080, value);
    assert_int_equal(MSR_OK, cpu_msr_read(other, MSR_GUEST, BIAS, &value));
    assert_int_equal(6, value);
    assert_int_equal(MSR_GP, write_msr(PACKAGE_LIMIT, UINT64_MAX));
    assert_int_equal(MSR_OK, cpu_msr_read(other, MSR_GUEST, PACKAGE_LIMIT, &value));
    assert_int_equal(0x8080, value);
    machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x2apic_registers_are_gp_in_xapic_mode),
        cmocka_unit_test(the_model_checks_and_the_apic_counts),
        cmocka_unit_test(what_the_apic_lacks_is_the_models),
        cmocka_unit_test(an_override_goes_before_the_apic),
        cmocka_unit_test(a_package_has_one_power_limit),
    };
    return cmocka_run_group_tests_name("cpu_msr", tests, NULL, NULL);
}
