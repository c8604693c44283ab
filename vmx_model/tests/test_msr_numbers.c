// Which numbers are MSRs, of which processor, and that every other one is #GP.
#include <string.h>

#include "vmx_tests.h"

// The rows that test_msr.c tests.
static const struct {
    uint32_t index;
    enum msr_slot slot;
} cases[] = {
#define MSR_CASE(name, index, reset, good, gp_bits, debugger, guest, needs)                        \
    {(index), MSR_SLOT_##name},
#include "msr_cases.def"
};

// What these accept they drop, so that they are no rows of the table.
static const uint32_t dropping[] = {0x0, 0x1, 0x8B};

// Commands: nothing is stored, and RDMSR is #GP. `bits` are those of a command.
static const struct {
    uint32_t index;
    uint64_t bits;
    enum vmx_feature feature;
} commands[] = {
    {0x49, 0x1, VMX_FEATURE_SPEC_CTRL},          {0x79, UINT64_MAX, VMX_FEATURE_ALWAYS},
    {0x10B, 0x1, VMX_FEATURE_L1D_FLUSH},         {0x80B, 0x0, VMX_FEATURE_X2APIC},
    {0x83F, 0xFF, VMX_FEATURE_X2APIC},           {0xD91, 0x1, VMX_FEATURE_KEY_LOCKER_BACKUP},
    {0xD92, 0x1, VMX_FEATURE_KEY_LOCKER_BACKUP},
};

static void some_msrs_drop_what_is_written(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(dropping); i++) {
        struct vmx_cpu cpu = generic_cpu();
        struct vmx_cpu before = cpu;
        uint64_t value = 1;
        assert_int_equal(MSR_OK, msr_write(&cpu, MSR_GUEST, dropping[i], UINT64_MAX));
        assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, dropping[i], &value));
        assert_int_equal(0, value);
        assert_cpu_equal(&before, &cpu);
    }
}

static void commands_are_write_only(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        uint32_t index = commands[i].index;
        struct vmx_cpu cpu = generic_cpu();
        cpu.msr[MSR_SLOT_IA32_APIC_BASE] |= 0x400;
        struct vmx_cpu before = cpu;
        uint64_t value = 0x5A5A;
        assert_int_equal(MSR_GP, msr_read(&cpu, MSR_GUEST, index, &value));
        assert_int_equal(0x5A5A, value);
        for (unsigned bit = 0; bit < 64; bit++) {
            bool good = (commands[i].bits & BIT(bit)) != 0;
            assert_int_equal(good ? MSR_OK : MSR_GP, msr_write(&cpu, MSR_GUEST, index, BIT(bit)));
        }
        assert_int_equal(MSR_OK, msr_write(&cpu, MSR_DEBUGGER, index, 0));
        assert_cpu_equal(&before, &cpu);

        struct vmx_profile profile = generic_without(commands[i].feature);
        cpu.profile = &profile;
        assert_int_equal(commands[i].feature == VMX_FEATURE_ALWAYS ? MSR_OK : MSR_GP,
                         msr_write(&cpu, MSR_GUEST, index, 0));
    }
}

static bool in_table(uint32_t index)
{
    bool found = index == 0x80D; // made from the APIC id: test_msr_sequences.c
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        found = found || cases[i].index == index;
    }
    for (unsigned i = 0; i < ARRAY_LEN(dropping); i++) {
        found = found || dropping[i] == index;
    }
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        found = found || commands[i].index == index;
    }
    return found;
}

static void the_table_has_every_row_of_the_processor(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(msr_slot_exists(&vmx_profile_generic, cases[i].slot));
        for (unsigned j = 0; j < i; j++) {
            assert_int_not_equal(cases[i].slot, cases[j].slot);
        }
    }
    const char *missing = NULL;
    for (unsigned slot = 0; slot < MSR_NUM_SLOTS; slot++) {
        uint32_t index = msr_slot_index((enum msr_slot)slot);
        if (msr_slot_exists(&vmx_profile_generic, (enum msr_slot)slot) && !in_table(index)) {
            missing = msr_name(index);
        }
    }
    if (missing != NULL) {
        fail_msg("no row tests %s", missing);
    }
}

static void there_are_at_least_250_rows(void **state)
{
    (void)state;
    assert_true(MSR_NUM_SLOTS >= 250);
    assert_true(ARRAY_LEN(cases) >= 250);
}

static void check_unknown(uint32_t first, uint32_t last)
{
    struct vmx_cpu cpu = generic_cpu();
    struct vmx_cpu before = cpu;
    for (uint32_t index = first; index <= last; index++) {
        uint64_t value = 0x5A5A;
        if (in_table(index)) {
            continue;
        }
        for (enum msr_agent agent = MSR_DEBUGGER; agent <= MSR_GUEST; agent++) {
            assert_int_equal(MSR_GP, msr_read(&cpu, agent, index, &value));
            assert_int_equal(MSR_GP, msr_write(&cpu, agent, index, 0));
            assert_int_equal(MSR_GP, msr_write(&cpu, agent, index, 1));
        }
        assert_int_equal(0x5A5A, value);
    }
    assert_cpu_equal(&before, &cpu);
}

static void every_other_number_is_gp_and_changes_nothing(void **state)
{
    (void)state;
    check_unknown(0, 0x1FFF);
    check_unknown(0xC0000000, 0xC0001FFF);
    check_unknown(0x7FFFFFF0, 0x80000010);
    check_unknown(0xFFFFFFF0, 0xFFFFFFFE);
}

// Reads leave everything as it was; what is #GP does, too.
static void check_number(const struct vmx_cpu *before, enum msr_agent agent, uint32_t index)
{
    static const uint64_t values[] = {0, 1, 0x5A5A, UINT64_MAX};
    struct vmx_cpu cpu = *before;
    uint64_t value = 0x5A5A;
    if (msr_read(&cpu, agent, index, &value) == MSR_GP) {
        assert_int_equal(0x5A5A, value);
    }
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        if (msr_write(&cpu, agent, index, values[i]) == MSR_OK) {
            cpu = *before;
        }
    }
    assert_cpu_equal(before, &cpu);
}

static void every_number_of_every_profile_is_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; vmx_profile_at(i) != NULL; i++) {
        struct vmx_cpu cpu;
        vmx_cpu_reset(&cpu, vmx_profile_at(i));
        for (uint32_t index = 0; index <= 0x1FFF; index++) {
            check_number(&cpu, (enum msr_agent)(index % 2), index);
            check_number(&cpu, (enum msr_agent)(index % 2), 0xC0000000 + index);
        }
        cpu.msr[MSR_SLOT_IA32_APIC_BASE] |= 0x400;
        for (uint32_t index = 0x800; index <= 0x8FF; index++) {
            check_number(&cpu, MSR_GUEST, index);
        }
    }
}

// What one profile has and another lacks.
static void each_profile_has_its_rows(void **state)
{
    (void)state;
    static const struct {
        uint32_t index;
        const char *has, *lacks;
    } rows[] = {
        {0x570, "generic", "tigerlake"}, {0x48, "icelake", "skylake-x"},
        {0x6A2, "tigerlake", "icelake"}, {0xC5, "icelake", "skylake-x"},
        {0x44F, "skylake-x", "generic"}, {0x210, "generic", "skylake-x"},
        {0x8C, "icelake", "tigerlake"},  {0x1F2, "generic", "tigerlake"},
        {0x30C, "icelake", "skylake-x"}, {0xD90, "generic", "skylake-x"},
        {0x1500, "generic", "icelake"},  {0x618, "skylake-x", "tigerlake"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct vmx_cpu cpu;
        uint64_t value = 0;
        vmx_cpu_reset(&cpu, vmx_profile_find(rows[i].has));
        assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, rows[i].index, &value));
        vmx_cpu_reset(&cpu, vmx_profile_find(rows[i].lacks));
        assert_int_equal(MSR_GP, msr_read(&cpu, MSR_GUEST, rows[i].index, &value));
    }
}

static void profiles_give_their_own_values_after_reset(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        uint32_t index;
        uint64_t value;
    } rows[] = {
        {"skylake-x", 0xFE, 0x508}, {"skylake-x", 0x179, 0x9000C14},
        {"icelake", 0x10A, 0x1F},   {"tigerlake", 0x10A, 0x1F},
        {"tigerlake", 0xCF, 0x20},  {"icelake", 0x38F, 0xFF},
        {"skylake-x", 0x38F, 0xF},  {"skylake-x", 0x345, 0x3305},
        {"icelake", 0x345, 0xF405}, {"tigerlake", 0x480, 0x1D8100000000004},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct vmx_cpu cpu;
        uint64_t value = 0;
        vmx_cpu_reset(&cpu, vmx_profile_find(rows[i].profile));
        assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, rows[i].index, &value));
        assert_int_equal(rows[i].value, value);
    }
}

static void a_number_without_a_row_has_no_name(void **state)
{
    (void)state;
    assert_null(msr_name(0x999));
    assert_null(msr_name(0x7FFFFFFF));
    assert_string_equal("IA32_MC19_MISC", msr_name(0x44F)); // a row of skylake-x
    assert_int_equal(0x7040600070406, msr_slot_reset(MSR_SLOT_IA32_PAT));
}

static void a_write_to_0x999_is_gp_and_changes_nothing(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    struct vmx_cpu before;
    memcpy(&before, &cpu, sizeof(before));
    assert_int_equal(MSR_GP, msr_write(&cpu, MSR_DEBUGGER, 0x999, 1));
    assert_memory_equal(&before, &cpu, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_every_row_of_the_processor),
        cmocka_unit_test(there_are_at_least_250_rows),
        cmocka_unit_test(some_msrs_drop_what_is_written),
        cmocka_unit_test(commands_are_write_only),
        cmocka_unit_test(every_other_number_is_gp_and_changes_nothing),
        cmocka_unit_test(every_number_of_every_profile_is_harmless),
        cmocka_unit_test(each_profile_has_its_rows),
        cmocka_unit_test(profiles_give_their_own_values_after_reset),
        cmocka_unit_test(a_number_without_a_row_has_no_name),
        cmocka_unit_test(a_write_to_0x999_is_gp_and_changes_nothing),
    };
    return cmocka_run_group_tests_name("msr numbers", tests, NULL, NULL);
}
