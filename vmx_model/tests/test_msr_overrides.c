// MSRs that the owner of the processor gives another behaviour.
#include "vmx_tests.h"

static const struct msr_override overrides[] = {
    {.index = 0x10, .effects = MSR_OVERRIDE_READ_GP},
    {.index = 0x174, .effects = MSR_OVERRIDE_WRITE_GP},
    {.index = 0x277, .effects = MSR_OVERRIDE_READ_GP | MSR_OVERRIDE_WRITE_GP},
    {.index = 0x80F, .effects = MSR_OVERRIDE_FIXED, .value = 0x1FF},
    {.index = 0x999, .effects = MSR_OVERRIDE_FIXED, .value = 42},
    {.index = 0xC0010000, .effects = MSR_OVERRIDE_FIXED | MSR_OVERRIDE_WRITE_GP, .value = 7},
};

static struct override_case {
    const char *name;
    uint32_t index;
    enum msr_result read, write;
    uint64_t value; // read after a write of 8
} override_cases[] = {
    {"a read that faults", 0x10, MSR_GP, MSR_OK, 0},
    {"a write that faults", 0x174, MSR_OK, MSR_GP, 0},
    {"both fault", 0x277, MSR_GP, MSR_GP, 0},
    {"a fixed value without a row", 0x999, MSR_OK, MSR_OK, 42},
    {"a fixed value that faults when written", 0xC0010000, MSR_OK, MSR_GP, 7},
    {"a fixed value of the APIC's", 0x80F, MSR_OK, MSR_OK, 0x1FF},
    {"no override", 0x175, MSR_OK, MSR_OK, 8},
    {"no override and no row", 0x998, MSR_GP, MSR_GP, 0},
    {"beyond the last override", 0xFFFFFFFF, MSR_GP, MSR_GP, 0},
};

static void acts_as_overridden(void **state)
{
    const struct override_case *row = *state;
    for (enum msr_agent agent = MSR_DEBUGGER; agent <= MSR_GUEST; agent++) {
        struct vmx_cpu cpu = generic_cpu();
        vmx_cpu_override(&cpu, overrides, ARRAY_LEN(overrides));
        uint64_t value = 0;
        assert_int_equal(row->write, msr_write(&cpu, agent, row->index, 8));
        assert_int_equal(row->read, msr_read(&cpu, agent, row->index, &value));
        assert_int_equal(row->read == MSR_OK ? row->value : 0, value);
    }
}

static void the_apic_serves_what_is_not_overridden(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    assert_true(msr_is_apics(&cpu, 0x80F));
    assert_true(msr_is_apics(&cpu, 0x6E0));
    assert_false(msr_is_apics(&cpu, 0x10));
    assert_false(msr_is_apics(&cpu, 0x8FF));
    vmx_cpu_override(&cpu, overrides, ARRAY_LEN(overrides));
    assert_false(msr_is_apics(&cpu, 0x80F));
    vmx_cpu_reset(&cpu, &vmx_profile_generic);
    assert_true(msr_is_apics(&cpu, 0x80F));
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_apic_serves_what_is_not_overridden),
    };
    RUN_ROWS(failures, "msr overrides", override_cases, acts_as_overridden);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
