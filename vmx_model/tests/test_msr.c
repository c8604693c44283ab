// Every row of msrs.def against the restated table of msr_cases.def.
#include <stdio.h>
#include <string.h>

#include "vmx_tests.h"

// Homes that are not VMCS fields; no encoding has these numbers.
enum { IN_MSR = 0x10000, IN_TSC, IN_SHADOW, NOWHERE };

struct msr_case {
    const char *name;
    uint32_t index;
    enum msr_slot slot;
    uint64_t reset, good, gp_bits;
    uint32_t home[2];
    enum vmx_feature feature;
};

static struct msr_case cases[] = {
#define MSR_CASE(row_name, row_index, row_reset, row_good, row_gp_bits, debugger, guest, needs)    \
    {                                                                                              \
        .name = #row_name,                                                                         \
        .index = (row_index),                                                                      \
        .slot = MSR_SLOT_##row_name,                                                               \
        .reset = (row_reset),                                                                      \
        .good = (row_good),                                                                        \
        .gp_bits = (row_gp_bits),                                                                  \
        .home = {[MSR_DEBUGGER] = (debugger), [MSR_GUEST] = (guest)},                              \
        .feature = VMX_FEATURE_##needs,                                                            \
    },
#include "msr_cases.def"
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static bool is_read_only(const struct msr_case *row)
{
    return row->gp_bits == UINT64_MAX;
}

static uint64_t get(const struct vmx_cpu *cpu, const struct msr_case *row, enum msr_agent agent)
{
    switch (row->home[agent]) {
    case IN_MSR:
        return cpu->msr[row->slot];
    case IN_TSC:
        return cpu->tsc;
    case IN_SHADOW:
        return cpu->feature_control;
    default:
        return read_field(cpu, row->home[agent]);
    }
}

static void put(struct vmx_cpu *cpu, const struct msr_case *row, enum msr_agent agent,
                uint64_t value)
{
    switch (row->home[agent]) {
    case IN_MSR:
        cpu->msr[row->slot] = value;
        break;
    case IN_TSC:
        cpu->tsc = value;
        break;
    case IN_SHADOW:
        cpu->feature_control = value;
        break;
    default:
        assert_true(vmcs_write(&cpu->vmcs, row->home[agent], value));
        break;
    }
}

static void has_its_number_and_name(void **state)
{
    const struct msr_case *row = *state;
    assert_string_equal(row->name, msr_name(row->index));
    assert_int_equal(row->index, msr_slot_index(row->slot));
}

static void holds_its_reset_value(void **state)
{
    const struct msr_case *row = *state;
    struct vmx_cpu cpu = generic_cpu();
    enum msr_agent agent = row->home[MSR_GUEST] == NOWHERE ? MSR_DEBUGGER : MSR_GUEST;
    uint64_t value = ~row->reset;

    assert_int_equal(MSR_OK, msr_read(&cpu, agent, row->index, &value));
    assert_int_equal(row->reset, value);
    assert_int_equal(row->reset, msr_slot_reset(row->slot));
}

// A write of the good value changes the home of who writes, and that alone.
static void check_home(const struct msr_case *row, enum msr_agent agent)
{
    struct vmx_cpu cpu = generic_cpu();
    struct vmx_cpu want = cpu;
    uint64_t value = 0x5A5A;

    if (row->home[agent] == NOWHERE) {
        assert_int_equal(MSR_GP, msr_read(&cpu, agent, row->index, &value));
        assert_int_equal(0x5A5A, value);
        assert_int_equal(MSR_GP, msr_write(&cpu, agent, row->index, row->good));
        assert_cpu_equal(&want, &cpu);
        return;
    }
    put(&cpu, row, agent, row->reset);
    want = cpu;
    assert_int_equal(is_read_only(row) ? MSR_GP : MSR_OK,
                     msr_write(&cpu, agent, row->index, row->good));
    assert_int_equal(row->good, get(&cpu, row, agent));
    assert_int_equal(MSR_OK, msr_read(&cpu, agent, row->index, &value));
    assert_int_equal(row->good, value);

    put(&want, row, agent, row->good);
    if (row->slot == MSR_SLOT_IA32_TIME_STAMP_COUNTER) {
        want.msr[MSR_SLOT_IA32_TSC_ADJUST] = row->good;
    }
    if (row->slot == MSR_SLOT_IA32_TSC_ADJUST) {
        want.tsc = row->good;
    }
    assert_cpu_equal(&want, &cpu);
}

static void lives_where_the_debugger_finds_it(void **state)
{
    check_home(*state, MSR_DEBUGGER);
}

static void lives_where_the_guest_finds_it(void **state)
{
    check_home(*state, MSR_GUEST);
}

static void accepts_exactly_its_bits(void **state)
{
    const struct msr_case *row = *state;
    for (unsigned bit = 0; bit < 64; bit++) {
        struct vmx_cpu cpu = generic_cpu();
        struct vmx_cpu before = cpu;
        bool gp = (row->gp_bits & BIT(bit)) != 0;
        assert_int_equal(gp ? MSR_GP : MSR_OK, msr_write(&cpu, MSR_DEBUGGER, row->index, BIT(bit)));
        if (gp) {
            assert_cpu_equal(&before, &cpu);
        }
    }
}

static void is_gp_without_its_feature(void **state)
{
    const struct msr_case *row = *state;
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[row->feature] = false;
    enum msr_result want = row->feature == VMX_FEATURE_ALWAYS ? MSR_OK : MSR_GP;
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &profile);
    struct vmx_cpu before = cpu;
    uint64_t value = 0;

    for (enum msr_agent agent = MSR_DEBUGGER; agent <= MSR_GUEST; agent++) {
        if (row->home[agent] == NOWHERE) {
            continue;
        }
        assert_int_equal(want, msr_read(&cpu, agent, row->index, &value));
        if (want == MSR_GP) {
            assert_int_equal(MSR_GP, msr_write(&cpu, agent, row->index, row->good));
        }
        assert_cpu_equal(&before, &cpu);
    }
}

// IA32_BIOS_SIGN_ID drops what is written, so it is no row of the table.
static void bios_sign_id_drops_what_is_written(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    struct vmx_cpu before = cpu;
    uint64_t value = 1;
    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_GUEST, 0x8B, UINT64_MAX));
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, 0x8B, &value));
    assert_int_equal(0, value);
    assert_cpu_equal(&before, &cpu);
}

static void the_table_has_every_row_but_that_one(void **state)
{
    (void)state;
    bool seen[MSR_NUM_SLOTS] = {[MSR_SLOT_IA32_BIOS_SIGN_ID] = true};
    for (unsigned i = 0; i < NUM_CASES; i++) {
        assert_false(seen[cases[i].slot]);
        seen[cases[i].slot] = true;
    }
    for (unsigned slot = 0; slot < MSR_NUM_SLOTS; slot++) {
        assert_true(seen[slot]);
    }
}

static bool in_table(uint32_t index)
{
    for (unsigned i = 0; i < NUM_CASES; i++) {
        if (cases[i].index == index) {
            return true;
        }
    }
    return index == 0x8B;
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
        assert_null(msr_name(index));
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

static void writing_sysenter_cs_leaves_the_host_alone(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    uint64_t host = read_field(&cpu, 0x4C00);
    uint64_t value = 0;

    assert_int_equal(MSR_OK, msr_write(&cpu, MSR_DEBUGGER, 0x174, 8));
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_DEBUGGER, 0x174, &value));
    assert_int_equal(8, value);
    assert_int_equal(8, read_field(&cpu, 0x482A));
    assert_int_equal(host, read_field(&cpu, 0x4C00));
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, 0x174, &value));
    assert_int_equal(8, value);
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

static void fs_and_gs_base_are_the_hosts_for_the_debugger(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    uint64_t fs = 0;
    uint64_t gs = 0;
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_DEBUGGER, 0xC0000100, &fs));
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_DEBUGGER, 0xC0000101, &gs));
    assert_int_equal(read_field(&cpu, 0x6C06), fs);
    assert_int_equal(read_field(&cpu, 0x6C08), gs);
    assert_true(fs != 0 && gs != 0 && fs != gs);
    assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, 0xC0000100, &fs));
    assert_int_equal(0, fs);
}

static const struct {
    const char *claim;
    CMUnitTestFunction check;
} claims[] = {
    {"has its number and name", has_its_number_and_name},
    {"holds its reset value", holds_its_reset_value},
    {"lives where the debugger finds it", lives_where_the_debugger_finds_it},
    {"lives where the guest finds it", lives_where_the_guest_finds_it},
    {"accepts exactly its bits", accepts_exactly_its_bits},
    {"is #GP without its feature", is_gp_without_its_feature},
};

enum {
    NUM_CLAIMS = sizeof(claims) / sizeof(claims[0]),
    NUM_TESTS = NUM_CASES * NUM_CLAIMS,
};

static int run_rows(void)
{
    static struct CMUnitTest tests[NUM_TESTS];
    static char names[NUM_TESTS][96];
    for (unsigned i = 0; i < NUM_TESTS; i++) {
        struct msr_case *row = &cases[i / NUM_CLAIMS];
        (void)snprintf(names[i], sizeof(names[i]), "%s %s", row->name,
                       claims[i % NUM_CLAIMS].claim);
        tests[i] = (struct CMUnitTest){
            .name = names[i],
            .test_func = claims[i % NUM_CLAIMS].check,
            .initial_state = row,
        };
    }
    return _cmocka_run_group_tests("msr rows", tests, NUM_TESTS, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_every_row_but_that_one),
        cmocka_unit_test(bios_sign_id_drops_what_is_written),
        cmocka_unit_test(every_other_number_is_gp_and_changes_nothing),
        cmocka_unit_test(writing_sysenter_cs_leaves_the_host_alone),
        cmocka_unit_test(a_write_to_0x999_is_gp_and_changes_nothing),
        cmocka_unit_test(fs_and_gs_base_are_the_hosts_for_the_debugger),
    };
    return run_rows() + cmocka_run_group_tests_name("msr", tests, NULL, NULL);
}
