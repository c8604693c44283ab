// Every row of msrs.def against the restated table of msr_cases.def.
#include <stdio.h>
#include <string.h>

#include "vmx_tests.h"

// Homes that are not VMCS fields; no encoding has these numbers.
enum {
    IN_MSR = 0x10000,
    IN_TSC,
    IN_SHADOW,
    NOWHERE,
    COUNTER_0,
    COUNTER_1,
    COUNTER_2,
    COUNTER_3,
    COUNTER_4,
    COUNTER_5,
    COUNTER_6,
    COUNTER_7,
};

#define CLEARED UINT64_MAX

struct msr_case {
    const char *name;
    uint32_t index;
    enum msr_slot slot;
    uint64_t reset, good, gp_bits;
    uint32_t home[2];
    enum vmx_feature feature;
    const char *gp_text;
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
        .gp_text = #row_gp_bits,                                                                   \
    },
#include "msr_cases.def"
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static bool is_read_only(const struct msr_case *row)
{
    return strcmp(row->gp_text, "0xFFFFFFFFFFFFFFFF") == 0;
}

// The state that a row needs to be reachable or writable, itself untouched.
static void prepare(struct vmx_cpu *cpu, const struct msr_case *row)
{
    if (row->index >= 0x800 && row->index <= 0x8FF) {
        cpu->msr[MSR_SLOT_IA32_APIC_BASE] |= 0x400;
        cpu->msr[MSR_SLOT_IA32_X2APIC_SIVR] |= row->index == 0x80F ? 0 : 0x100;
    } else if (row->index > 0x770 && row->index <= 0x777) {
        cpu->msr[MSR_SLOT_IA32_PM_ENABLE] = 1;
    } else if (row->index >= 0x8C && row->index <= 0x8F) {
        cpu->feature_control = 0x20001;
    } else if (row->index == 0x4F) {
        cpu->msr[MSR_SLOT_MSR_PPIN_CTL] = 2;
    } else if (row->index == 0x6E0) {
        cpu->msr[MSR_SLOT_IA32_X2APIC_LVT_TIMER] = 0x400EF;
    }
}

static struct vmx_cpu prepared_cpu(const struct msr_case *row)
{
    static struct vmx_cpu after_reset;
    if (after_reset.profile == NULL) {
        after_reset = generic_cpu();
    }
    struct vmx_cpu cpu = after_reset;
    prepare(&cpu, row);
    return cpu;
}

// Where the value is, in cpu.
static uint64_t *home_of(struct vmx_cpu *cpu, const struct msr_case *row, enum msr_agent agent)
{
    switch (row->home[agent]) {
    case IN_MSR:
        return &cpu->msr[row->slot];
    case IN_TSC:
        return &cpu->tsc;
    case IN_SHADOW:
        return &cpu->feature_control;
    default:
        break;
    }
    if (row->home[agent] >= COUNTER_0) {
        return &cpu->msr[MSR_SLOT_IA32_PMC0 + (row->home[agent] - COUNTER_0)];
    }
    enum vmcs_slot slot;
    assert_true(vmcs_slot_of(row->home[agent], &slot));
    return &cpu->vmcs.field[slot];
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
    struct vmx_cpu cpu = prepared_cpu(row);
    enum msr_agent agent = row->home[MSR_GUEST] == NOWHERE ? MSR_DEBUGGER : MSR_GUEST;
    uint64_t value = ~row->reset;

    assert_int_equal(MSR_OK, msr_read(&cpu, agent, row->index, &value));
    assert_int_equal(row->reset, value);
}

// A write of the good value changes the home of who writes, and that alone.
static void check_home(const struct msr_case *row, enum msr_agent agent)
{
    struct vmx_cpu cpu = prepared_cpu(row);
    struct vmx_cpu want = cpu;
    uint64_t value = 0x5A5A;

    if (row->home[agent] == NOWHERE) {
        assert_int_equal(MSR_GP, msr_read(&cpu, agent, row->index, &value));
        assert_int_equal(0x5A5A, value);
        assert_int_equal(MSR_GP, msr_write(&cpu, agent, row->index, row->good));
        assert_cpu_equal(&want, &cpu);
        return;
    }
    *home_of(&cpu, row, agent) = row->reset;
    want = cpu;
    assert_int_equal(is_read_only(row) ? MSR_GP : MSR_OK,
                     msr_write(&cpu, agent, row->index, row->good));
    assert_int_equal(row->good, *home_of(&cpu, row, agent));
    assert_int_equal(MSR_OK, msr_read(&cpu, agent, row->index, &value));
    assert_int_equal(row->good, value);

    *home_of(&want, row, agent) = row->good;
    if (row->slot == MSR_SLOT_IA32_TIME_STAMP_COUNTER) {
        want.msr[MSR_SLOT_IA32_TSC_ADJUST] = row->good;
    }
    if (row->slot == MSR_SLOT_IA32_TSC_ADJUST) {
        want.tsc = row->good;
    }
    if (row->slot == MSR_SLOT_IA32_X2APIC_TPR) {
        want.cr8 = row->good >> 4;
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
        struct vmx_cpu cpu = prepared_cpu(row);
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
    struct vmx_profile profile = generic_without(row->feature);
    enum msr_result want = row->feature == VMX_FEATURE_ALWAYS ? MSR_OK : MSR_GP;
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &profile);
    prepare(&cpu, row);
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
        cmocka_unit_test(writing_sysenter_cs_leaves_the_host_alone),
        cmocka_unit_test(fs_and_gs_base_are_the_hosts_for_the_debugger),
    };
    return run_rows() + cmocka_run_group_tests_name("msr", tests, NULL, NULL);
}
