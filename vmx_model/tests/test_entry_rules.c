// Each row of entry_checks.def: its texts, and the states that break it alone.
#include "entry_bench.h"

#include <string.h>

struct want {
    enum vmx_entry_result result;
    uint32_t instruction_error, exit_reason;
    uint64_t qualification;
};

static struct entry_case {
    const char *name;
    enum vmx_entry_rule rule;
    enum state state;
    struct change given[MAX_CHANGES], broken[MAX_CHANGES];
    struct want want;
} cases[] = {
#define INVALID                                                                                    \
    {                                                                                              \
        VMX_FAIL_INVALID, 0, 0, 0                                                                  \
    }
#define VALID(number)                                                                              \
    {                                                                                              \
        VMX_FAIL_VALID, number, 0, 0                                                               \
    }
#define GUEST(number)                                                                              \
    {                                                                                              \
        VMX_ENTRY_FAILED, 0, 0x80000021, number                                                    \
    }
#define MSR(number)                                                                                \
    {                                                                                              \
        VMX_ENTRY_FAILED, 0, 0x80000022, number                                                    \
    }
#define ENTRY_CASE(rule, state, given, broken, want)                                               \
    {#rule ", " #state ": " #broken, VMX_ENTRY_RULE_##rule, state, {given}, {broken}, want},
#include "entry_cases.def"
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static void is_broken(void **state)
{
    const struct entry_case *row = *state;
    struct bench bench;
    bench_init(&bench, row->state, row->given);
    bench_apply(&bench, row->given);
    struct vmx_entry_outcome outcome = bench_check(&bench);
    assert_entered(&outcome);

    bench_apply(&bench, row->broken);
    outcome = bench_check(&bench);
    assert_string_equal(vmx_entry_rule_name(row->rule), vmx_entry_rule_name(outcome.rule));
    assert_int_equal(row->want.result, outcome.result);
    assert_int_equal(row->want.instruction_error, outcome.instruction_error);
    assert_int_equal(row->want.exit_reason, outcome.exit_reason);
    assert_int_equal(row->want.qualification, outcome.qualification);
}

static void every_rule_is_broken_by_a_case(void **state)
{
    (void)state;
    bool broken[VMX_NUM_ENTRY_RULES] = {[VMX_ENTRY_RULE_NONE] = true};
    for (unsigned i = 0; i < NUM_CASES; i++) {
        broken[cases[i].rule] = true;
    }
    for (unsigned rule = 0; rule < VMX_NUM_ENTRY_RULES; rule++) {
        if (!broken[rule]) {
            print_error("no case: %s\n", vmx_entry_rule_name((enum vmx_entry_rule)rule));
        }
        assert_true(broken[rule]);
    }
}

static void rows_have_name_text_and_source(void **state)
{
    (void)state;
    for (unsigned i = 1; i < VMX_NUM_ENTRY_RULES; i++) {
        enum vmx_entry_rule rule = (enum vmx_entry_rule)i;
        assert_true(strlen(vmx_entry_rule_name(rule)) > 0);
        assert_true(strlen(vmx_entry_rule_source(rule)) > 0);
        const char *text = vmx_entry_rule_text(rule);
        assert_true(text[strlen(text) - 1] == '.' || text[strlen(text) - 1] == ')');
    }
    assert_string_equal("none", vmx_entry_rule_name(VMX_ENTRY_RULE_NONE));
    assert_string_equal("", vmx_entry_rule_text(VMX_ENTRY_RULE_NONE));
    assert_string_equal("host_cr0", vmx_entry_rule_name(VMX_ENTRY_RULE_HOST_CR0));
    assert_null(vmx_entry_rule_name(VMX_NUM_ENTRY_RULES));
    assert_null(vmx_entry_rule_text(VMX_NUM_ENTRY_RULES));
    assert_null(vmx_entry_rule_source(VMX_NUM_ENTRY_RULES));
}

int main(void)
{
    static struct CMUnitTest rows[NUM_CASES];
    for (unsigned i = 0; i < NUM_CASES; i++) {
        rows[i] = (struct CMUnitTest){
            .name = cases[i].name,
            .test_func = is_broken,
            .initial_state = &cases[i],
        };
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_is_broken_by_a_case),
        cmocka_unit_test(rows_have_name_text_and_source),
    };
    return _cmocka_run_group_tests("VM-entry rules", rows, NUM_CASES, NULL, NULL) +
           cmocka_run_group_tests_name("VM-entry rows", tests, NULL, NULL);
}
