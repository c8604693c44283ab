// What one access to an MSR leaves for the next, and what another register shows of it.
#include "vmx_tests.h"

#define APIC_BASE   0x1Bu
#define MISC_ENABLE 0x1A0u
#define EFER        0xC0000080u

static void tsc_and_tsc_adjust_move_together(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    cpu.tsc = 1000;
    assert_write(&cpu, 0x10, 400, MSR_OK);
    assert_int_equal(400, cpu.tsc);
    assert_int_equal((uint64_t)-600, read_msr(&cpu, 0x3B));
    assert_write(&cpu, 0x3B, 0, MSR_OK);
    assert_int_equal(1000, read_msr(&cpu, 0x10));
}

static void xd_disable_takes_nxe_away(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_write(&cpu, EFER, 0x800, MSR_OK);
    assert_write(&cpu, EFER, 0, MSR_OK);
    assert_write(&cpu, MISC_ENABLE, BIT(34) | 0x80, MSR_OK);
    assert_write(&cpu, EFER, 0x800, MSR_GP);
}

static void the_debuggers_efer_obeys_the_guests_paging(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    cpu.vmcs.field[VMCS_GUEST_CR0] = 0x80000001;
    cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0xD01;
    struct vmx_cpu before = cpu;
    assert_int_equal(MSR_GP, msr_write(&cpu, MSR_DEBUGGER, EFER, 0));
    assert_cpu_equal(&before, &cpu);
    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_DEBUGGER, EFER, 0x100));
    assert_int_equal(0x500, cpu.vmcs.field[VMCS_GUEST_IA32_EFER]);
}

static void pmc_and_a_pmc_are_one_counter(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_write(&cpu, 0x4C3, 0x923456789ABC, MSR_OK);
    assert_int_equal(0x923456789ABC, read_msr(&cpu, 0xC3));
    assert_write(&cpu, 0xC3, 5, MSR_OK);
    assert_int_equal(5, read_msr(&cpu, 0x4C3));
    assert_int_equal(0, read_msr(&cpu, 0x4C2));
}

static void the_overflow_status_is_set_and_reset(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_write(&cpu, 0x391, BIT(32) | 0x5, MSR_OK);
    assert_int_equal(BIT(32) | 0x5, read_msr(&cpu, 0x38E));
    assert_write(&cpu, 0x390, BIT(32) | 0x1, MSR_OK);
    assert_int_equal(0x4, read_msr(&cpu, 0x38E));
    assert_int_equal(0, read_msr(&cpu, 0x390));
    assert_int_equal(0, read_msr(&cpu, 0x391));
}

static void counters_in_use_are_those_programmed(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_write(&cpu, 0x188, 0x4300C0, MSR_OK);
    assert_write(&cpu, 0x38D, 0x20, MSR_OK);
    assert_int_equal(BIT(33) | 0x4, read_msr(&cpu, 0x392));
    assert_write(&cpu, 0x188, 0x5300C0, MSR_OK);
    assert_int_equal(BIT(63) | BIT(33) | 0x4, read_msr(&cpu, 0x392));
    assert_write(&cpu, 0x188, 0, MSR_OK);
    assert_write(&cpu, 0x38D, 0x80, MSR_OK);
    assert_int_equal(BIT(63), read_msr(&cpu, 0x392));
}

static void a_new_depth_clears_the_records(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_write(&cpu, 0x1503, 0x401000, MSR_OK);
    assert_write(&cpu, 0x14CF, 16, MSR_OK);
    assert_int_equal(0, read_msr(&cpu, 0x1503));
}

static void the_x2apic_registers_follow_the_processor(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    vmx_cpu_place(&cpu, 0x25, 64);
    assert_write(&cpu, APIC_BASE, 0xFEE00C00, MSR_OK);
    assert_int_equal(0x25, read_msr(&cpu, 0x802));
    assert_int_equal(0x20020, read_msr(&cpu, 0x80D));
    assert_write(&cpu, 0x808, 0x35, MSR_OK);
    assert_int_equal(3, cpu.cr8);
    assert_int_equal(0x35, read_msr(&cpu, 0x808));
    cpu.cr8 = 7;
    assert_int_equal(0x70, read_msr(&cpu, 0x808));
    assert_int_equal(0x70, read_msr(&cpu, 0x80A));
}

static void turning_the_apic_off_masks_its_entries(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_write(&cpu, APIC_BASE, 0xFEE00D00, MSR_OK);
    assert_write(&cpu, 0x80F, 0x1FF, MSR_OK);
    assert_write(&cpu, 0x832, 0xEF, MSR_OK);
    assert_write(&cpu, 0x82F, 0xF2, MSR_OK);
    assert_int_equal(0xEF, read_msr(&cpu, 0x832));
    assert_write(&cpu, 0x80F, 0xFF, MSR_OK);
    assert_int_equal(0x100EF, read_msr(&cpu, 0x832));
    assert_int_equal(0x100F2, read_msr(&cpu, 0x82F));
}

static void the_deadline_reads_as_0_in_another_mode(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_write(&cpu, APIC_BASE, 0xFEE00D00, MSR_OK);
    assert_write(&cpu, 0x832, 0x400EF, MSR_OK);
    assert_write(&cpu, 0x6E0, 123, MSR_OK);
    assert_int_equal(123, read_msr(&cpu, 0x6E0));
    assert_write(&cpu, 0x832, 0x200EF, MSR_OK);
    assert_int_equal(0, read_msr(&cpu, 0x6E0));
}

static void the_inventory_number_shows_when_enabled(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    uint64_t value = 0;
    assert_int_equal(MSR_GP, msr_read(&cpu, MSR_GUEST, 0x4F, &value));
    assert_write(&cpu, 0x4E, 0x2, MSR_OK);
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, 0x4F, &value));
    assert_write(&cpu, 0x4E, 0x3, MSR_OK);
    assert_write(&cpu, 0x4E, 0x0, MSR_GP);
}

static void hwp_registers_show_when_enabled(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    uint64_t value = 0;
    assert_int_equal(MSR_GP, msr_read(&cpu, MSR_GUEST, 0x771, &value));
    assert_int_equal(MSR_GP, msr_read(&cpu, MSR_GUEST, 0x774, &value));
    assert_write(&cpu, 0x770, 1, MSR_OK);
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, 0x771, &value));
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, 0x774, &value));
}

static void the_packages_registers_are_copied(void **state)
{
    (void)state;
    struct vmx_cpu first = generic_cpu();
    struct vmx_cpu second = generic_cpu();
    struct vmx_cpu want = second;
    assert_true(msr_is_packages(0x610));
    assert_false(msr_is_packages(0x1B0));
    assert_false(msr_is_packages(0x999));
    assert_write(&first, 0x610, 0x8080, MSR_OK);
    assert_write(&first, 0x1B0, 0xF, MSR_OK);
    msr_copy_package(&second, &first, 0x1B0);
    assert_cpu_equal(&want, &second);
    msr_copy_package(&second, &first, 0x610);
    assert_int_equal(0x8080, read_msr(&second, 0x610));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tsc_and_tsc_adjust_move_together),
        cmocka_unit_test(xd_disable_takes_nxe_away),
        cmocka_unit_test(the_debuggers_efer_obeys_the_guests_paging),
        cmocka_unit_test(pmc_and_a_pmc_are_one_counter),
        cmocka_unit_test(the_overflow_status_is_set_and_reset),
        cmocka_unit_test(counters_in_use_are_those_programmed),
        cmocka_unit_test(a_new_depth_clears_the_records),
        cmocka_unit_test(the_x2apic_registers_follow_the_processor),
        cmocka_unit_test(turning_the_apic_off_masks_its_entries),
        cmocka_unit_test(the_deadline_reads_as_0_in_another_mode),
        cmocka_unit_test(the_inventory_number_shows_when_enabled),
        cmocka_unit_test(hwp_registers_show_when_enabled),
        cmocka_unit_test(the_packages_registers_are_copied),
    };
    return cmocka_run_group_tests_name("msr rules, in sequence", tests, NULL, NULL);
}
