#include "vmx_model/entry.h"

#include "vmx_tests.h"

#include <string.h>

#include "entry_rules.h"
#include "vmx_model/controls.h"

enum { MAX_CHANGES = 6, MAX_WORDS = 8 };

enum op {
    OP_NONE,
    OP_SET,
    OP_SET_BITS,
    OP_CLEAR_BITS,
    OP_WORD, // of memory
    OP_LACK, // a feature
    OP_CURRENT_VMCS,
    OP_IS_SHADOW,
    OP_IS_LAUNCHED,
    OP_RESUMES,
    OP_BLOCKS_MOV_SS,
};

struct change {
    enum op op;
    uint64_t what; // a field, an address, a feature
    uint64_t value;
};

// Good states of a guest.
enum state {
    REAL, // after RESET
    LONG64,
    COMPAT,
    USER64,
    PM32,
    PAE32,
    PM16,
    V86,
    HOST32, // PM32 on a processor without Intel 64
    NUM_STATES
};

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
#define AND ,
#define NOTHING                                                                                    \
    {                                                                                              \
        OP_NONE, 0, 0                                                                              \
    }
#define S(slot, value)                                                                             \
    {                                                                                              \
        OP_SET, VMCS_##slot, value                                                                 \
    }
#define O(slot, value)                                                                             \
    {                                                                                              \
        OP_SET_BITS, VMCS_##slot, value                                                            \
    }
#define C(slot, value)                                                                             \
    {                                                                                              \
        OP_CLEAR_BITS, VMCS_##slot, value                                                          \
    }
#define W(address, value)                                                                          \
    {                                                                                              \
        OP_WORD, address, value                                                                    \
    }
#define N(name)                                                                                    \
    {                                                                                              \
        OP_LACK, VMX_FEATURE_##name, 0                                                             \
    }
#define A(member, value)                                                                           \
    {                                                                                              \
        OP_##member, 0, value                                                                      \
    }
#define RESTRICTED  C(SECONDARY_PROCESSOR_CONTROLS, 0x80)
#define WITHOUT_EPT C(SECONDARY_PROCESSOR_CONTROLS, 0x82)
#define LINKED      S(VMCS_LINK_POINTER, 0x6000), W(0x6000, 0x50554C53)
#define POSTED_INTERRUPTS                                                                          \
    O(PIN_CONTROLS, 0x81), O(PROCESSOR_CONTROLS, 0x200000),                                        \
        O(SECONDARY_PROCESSOR_CONTROLS, 0x200), O(EXIT_CONTROLS, 0x8000)
#define MSR_AREA                                                                                   \
    S(ENTRY_MSR_LOAD_COUNT, 2), S(ENTRY_MSR_LOAD_ADDRESS, 0x8000), W(0x8000, 0x174),               \
        W(0x8010, 0x175)
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

struct bench {
    struct vmx_profile profile;
    struct vmx_cpu cpu;
    struct entry_attempt attempt;
    uint64_t address[MAX_WORDS], word[MAX_WORDS];
    unsigned num_words;
};

static uint64_t word_at(const struct bench *bench, uint64_t address)
{
    for (unsigned i = bench->num_words; i-- > 0;) {
        if (bench->address[i] == address) {
            return bench->word[i];
        }
    }
    return 0;
}

static bool read_memory(void *context, uint64_t physical, void *buffer, size_t len)
{
    uint8_t *byte = buffer;
    for (size_t i = 0; i < len; i++) {
        uint64_t address = physical + i;
        byte[i] = (uint8_t)(word_at(context, address & ~UINT64_C(7)) >> (8 * (address & 7)));
    }
    return true;
}

static void apply(struct bench *bench, const struct change *change)
{
    uint64_t *field = bench->cpu.vmcs.field;
    switch (change->op) {
    case OP_NONE:
    case OP_LACK:
        break;
    case OP_SET:
        field[change->what] = change->value;
        break;
    case OP_SET_BITS:
        field[change->what] |= change->value;
        break;
    case OP_CLEAR_BITS:
        field[change->what] &= ~change->value;
        break;
    case OP_WORD:
        assert_true(bench->num_words < MAX_WORDS);
        bench->address[bench->num_words] = change->what;
        bench->word[bench->num_words++] = change->value;
        break;
    case OP_CURRENT_VMCS:
        bench->attempt.current_vmcs = change->value;
        break;
    case OP_IS_SHADOW:
        bench->attempt.is_shadow = true;
        break;
    case OP_IS_LAUNCHED:
        bench->attempt.is_launched = true;
        break;
    case OP_RESUMES:
        bench->attempt.resumes = true;
        break;
    case OP_BLOCKS_MOV_SS:
        bench->attempt.blocks_mov_ss = true;
        break;
    }
}

static void apply_all(struct bench *bench, const struct change changes[MAX_CHANGES])
{
    for (unsigned i = 0; i < MAX_CHANGES; i++) {
        apply(bench, &changes[i]);
    }
}

static void set_segments(uint64_t field[], uint64_t cs_access, uint64_t access, uint64_t limit)
{
    for (unsigned i = 0; i < 6; i++) {
        field[VMCS_GUEST_ES_SELECTOR + i] = 0x10;
        field[VMCS_GUEST_ES_BASE + i] = 0;
        field[VMCS_GUEST_ES_LIMIT + i] = limit;
        field[VMCS_GUEST_ES_ACCESS + i] = access;
    }
    field[VMCS_GUEST_CS_SELECTOR] = 0x8;
    field[VMCS_GUEST_CS_ACCESS] = cs_access;
}

static void set_protected(uint64_t field[], uint64_t cs_access)
{
    set_segments(field, cs_access, 0xC093, 0xFFFFFFFF);
    field[VMCS_GUEST_CR0] = 0x80050033;
    field[VMCS_GUEST_CR4] = 0x2010;
    field[VMCS_GUEST_LDTR_ACCESS] = 0x10000;
    field[VMCS_GUEST_TR_LIMIT] = 0x67;
    field[VMCS_GUEST_RIP] = 0x1000;
}

static void set_long(uint64_t field[], uint64_t cs_access)
{
    set_protected(field, cs_access);
    field[VMCS_GUEST_CR4] = 0x2020;
    field[VMCS_GUEST_IA32_EFER] = 0xD01;
    field[VMCS_ENTRY_CONTROLS] |= 0x200;
}

static void set_user(uint64_t field[])
{
    set_long(field, 0xA0FB);
    for (unsigned i = 0; i < 6; i++) {
        field[VMCS_GUEST_ES_SELECTOR + i] |= 3;
    }
    field[VMCS_GUEST_SS_ACCESS] = 0xC0F3;
}

static void set_v86(uint64_t field[])
{
    set_protected(field, 0);
    set_segments(field, 0xF3, 0xF3, 0xFFFF);
    for (unsigned i = 0; i < 6; i++) {
        field[VMCS_GUEST_ES_SELECTOR + i] = 0x9000;
        field[VMCS_GUEST_ES_BASE + i] = 0x90000;
    }
    field[VMCS_GUEST_RFLAGS] = 0x20002;
}

static void set_host32(uint64_t field[])
{
    set_protected(field, 0xC09B);
    field[VMCS_HOST_IA32_EFER] = 0x801;
    field[VMCS_HOST_RIP] = 0x100000;
}

static void set_state(uint64_t field[], enum state state)
{
    switch (state) {
    case REAL:
    case NUM_STATES:
        break;
    case LONG64:
        set_long(field, 0xA09B);
        break;
    case COMPAT:
        set_long(field, 0xC09B);
        break;
    case USER64:
        set_user(field);
        break;
    case PM32:
        set_protected(field, 0xC09B);
        break;
    case PAE32:
        set_protected(field, 0xC09B);
        field[VMCS_GUEST_CR4] = 0x2020;
        break;
    case PM16:
        set_protected(field, 0);
        set_segments(field, 0x9B, 0x93, 0xFFFF);
        break;
    case V86:
        set_v86(field);
        break;
    case HOST32:
        set_host32(field);
        break;
    }
}

static void bench_init(struct bench *bench, enum state state, const struct change *given)
{
    memset(bench, 0, sizeof(*bench));
    bench->profile = vmx_profile_generic;
    bench->profile.feature[VMX_FEATURE_LM] = state != HOST32;
    for (unsigned i = 0; given != NULL && i < MAX_CHANGES; i++) {
        if (given[i].op == OP_LACK) {
            bench->profile.feature[given[i].what] = false;
        }
    }
    vmx_cpu_reset(&bench->cpu, &bench->profile);
    set_state(bench->cpu.vmcs.field, state);
    bench->attempt.current_vmcs = 0x4000;
}

static struct vmx_entry_outcome check(struct bench *bench)
{
    struct mmu_memory memory = {.read = read_memory, .context = bench};
    struct vmx_entry_outcome outcome;
    struct vmx_cpu before = bench->cpu;
    entry_check(&bench->cpu, &memory, &bench->attempt, &outcome);
    assert_cpu_equal(&before, &bench->cpu);
    return outcome;
}

static void assert_entered(const struct vmx_entry_outcome *outcome)
{
    assert_string_equal("none", vmx_entry_rule_name(outcome->rule));
    assert_int_equal(VMX_ENTERED, outcome->result);
    assert_int_equal(0, outcome->instruction_error);
    assert_int_equal(0, outcome->exit_reason);
    assert_int_equal(0, outcome->qualification);
}

static void is_broken(void **state)
{
    const struct entry_case *row = *state;
    struct bench bench;
    bench_init(&bench, row->state, row->given);
    apply_all(&bench, row->given);
    struct vmx_entry_outcome outcome = check(&bench);
    assert_entered(&outcome);

    apply_all(&bench, row->broken);
    outcome = check(&bench);
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

static void good_states_enter(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NUM_STATES; i++) {
        struct bench bench;
        bench_init(&bench, (enum state)i, NULL);
        struct vmx_entry_outcome outcome = check(&bench);
        assert_entered(&outcome);
    }
}

static void every_processor_enters_after_reset(void **state)
{
    (void)state;
    static const char *const names[] = {"generic", "skylake-x", "icelake", "tigerlake"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct vmx_cpu cpu;
        struct vmx_entry_outcome outcome;
        vmx_cpu_reset(&cpu, vmx_profile_find(names[i]));
        vmx_entry_check(&cpu, NULL, &outcome);
        assert_entered(&outcome);
        cpu.vmcs.field[VMCS_ENTRY_CONTROLS] &= ~UINT64_C(0x1000);
        vmx_entry_check(&cpu, NULL, &outcome);
        assert_int_equal(VMX_FAIL_VALID, outcome.result);
    }
}

// Virtual-8086 mode has rules of its own: whatever the others ask of the six segments, they do
// not ask it there, and it asks the same of an unusable one.
static void v86_takes_what_protected_mode_refuses(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, V86, NULL);
    bench.cpu.vmcs.field[VMCS_SECONDARY_PROCESSOR_CONTROLS] &= ~UINT64_C(0x80);
    bench.cpu.vmcs.field[VMCS_GUEST_CS_SELECTOR] = 0x9003; // RPL
    bench.cpu.vmcs.field[VMCS_GUEST_CS_BASE] = 0x90030;
    struct vmx_entry_outcome outcome = check(&bench);
    assert_entered(&outcome);
    bench.cpu.vmcs.field[VMCS_GUEST_FS_ACCESS] = 0x10000;
    outcome = check(&bench);
    assert_int_equal(VMX_ENTRY_RULE_V86_ACCESS, outcome.rule);
}

static void unusable_segments_may_hold_anything(void **state)
{
    (void)state;
    static const unsigned segments[] = {0, 3, 4, 5, 6}; // ES, DS, FS, GS, LDTR
    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
        struct bench bench;
        bench_init(&bench, LONG64, NULL);
        uint64_t *field = bench.cpu.vmcs.field;
        field[VMCS_SECONDARY_PROCESSOR_CONTROLS] &= ~UINT64_C(0x80);
        field[VMCS_GUEST_ES_SELECTOR + segments[i]] = 0xFFFF;
        field[VMCS_GUEST_ES_LIMIT + segments[i]] = 0x12345678;
        field[VMCS_GUEST_ES_ACCESS + segments[i]] = 0xFFFFFFFF;
        struct vmx_entry_outcome outcome = check(&bench);
        assert_entered(&outcome);
    }
}

static void controls_come_before_the_host_and_the_host_before_the_guest(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, LONG64, NULL);
    uint64_t *field = bench.cpu.vmcs.field;
    field[VMCS_VPID] = 0;
    field[VMCS_HOST_CS_SELECTOR] = 0;
    field[VMCS_GUEST_RFLAGS] = 0;
    assert_int_equal(VMX_ENTRY_RULE_VPID, check(&bench).rule);
    field[VMCS_VPID] = 1;
    assert_int_equal(VMX_ENTRY_RULE_HOST_CS, check(&bench).rule);
    field[VMCS_HOST_CS_SELECTOR] = 8;
    assert_int_equal(VMX_ENTRY_RULE_RFLAGS_RESERVED, check(&bench).rule);
}

static bool read_nothing(void *context, uint64_t physical, void *buffer, size_t len)
{
    (void)context, (void)physical, (void)buffer, (void)len;
    return false;
}

// What a rule would find in memory passes where there is none.
static void rules_without_memory_pass(void **state)
{
    (void)state;
    struct bench bench;
    struct mmu_memory nothing = {.read = read_nothing};
    struct vmx_entry_outcome outcome;
    bench_init(&bench, PAE32, NULL);
    uint64_t *field = bench.cpu.vmcs.field;
    field[VMCS_SECONDARY_PROCESSOR_CONTROLS] &= ~UINT64_C(0x82);
    field[VMCS_PROCESSOR_CONTROLS] |= 0x200000;
    field[VMCS_TPR_THRESHOLD] = 15;
    field[VMCS_VMCS_LINK_POINTER] = 0x6000;
    field[VMCS_ENTRY_MSR_LOAD_COUNT] = 2;
    vmx_entry_check(&bench.cpu, NULL, &outcome);
    assert_entered(&outcome);
    vmx_entry_check(&bench.cpu, &nothing, &outcome);
    assert_entered(&outcome);
}

// Loads of a longer area are not defined; here they end.
static bool read_sysenter_cs(void *context, uint64_t physical, void *buffer, size_t len)
{
    unsigned *count = context;
    uint8_t *byte = buffer;
    memset(buffer, 0, len);
    byte[0] = (physical & 0xF) == 0 ? 0x74 : 0;
    byte[1] = (physical & 0xF) == 0 ? 0x01 : 0;
    (*count)++;
    return true;
}

static void at_most_512_msrs_are_looked_at(void **state)
{
    (void)state;
    struct bench bench;
    unsigned count = 0;
    struct mmu_memory memory = {.read = read_sysenter_cs, .context = &count};
    struct vmx_entry_outcome outcome;
    bench_init(&bench, LONG64, NULL);
    bench.cpu.vmcs.field[VMCS_ENTRY_MSR_LOAD_COUNT] = UINT32_MAX;
    vmx_entry_check(&bench.cpu, &memory, &outcome);
    assert_entered(&outcome);
    assert_int_equal(2 * 512, count);
}

// An entry sees what those before it have loaded: IA32_EFER.LME can change only without paging.
static void msrs_are_loaded_in_order(void **state)
{
    (void)state;
    struct bench bench;
    static const struct change changes[MAX_CHANGES] = {MSR_AREA, W(0x8010, 0xC0000080)};
    bench_init(&bench, REAL, NULL);
    apply_all(&bench, changes);
    struct vmx_entry_outcome outcome = check(&bench);
    assert_entered(&outcome);
    bench_init(&bench, PM32, NULL);
    apply_all(&bench, changes);
    apply(&bench, &(struct change)W(0x8018, 0x100));
    assert_int_equal(VMX_ENTRY_RULE_MSR_LOAD_VALUE, check(&bench).rule);
}

// Fields full of anything: an answer that is one of the four, and nothing undefined on the way.
// Few of the fields are changed, so that rules beyond the controls are reached.
static void any_contents_get_an_answer(void **state)
{
    (void)state;
    uint64_t random = 1;
    bool seen[VMX_ENTRY_FAILED + 1] = {false};
    for (unsigned i = 0; i < 5000; i++) {
        struct bench bench;
        bench_init(&bench, (enum state)(i % NUM_STATES), NULL);
        for (unsigned change = 0; change <= i % 4; change++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            enum vmcs_slot slot = (enum vmcs_slot)((random >> 33) % VMCS_NUM_FIELDS);
            bench.cpu.vmcs.field[slot] = random & vmcs_slot_mask(slot);
        }
        struct vmx_entry_outcome outcome = check(&bench);
        assert_int_equal(outcome.result == VMX_ENTERED, outcome.rule == VMX_ENTRY_RULE_NONE);
        assert_true(outcome.result != VMX_FAIL_INVALID);
        seen[outcome.result] = true;
    }
    assert_true(seen[VMX_ENTERED] && seen[VMX_FAIL_VALID] && seen[VMX_ENTRY_FAILED]);
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
        cmocka_unit_test(good_states_enter),
        cmocka_unit_test(every_processor_enters_after_reset),
        cmocka_unit_test(v86_takes_what_protected_mode_refuses),
        cmocka_unit_test(unusable_segments_may_hold_anything),
        cmocka_unit_test(controls_come_before_the_host_and_the_host_before_the_guest),
        cmocka_unit_test(rules_without_memory_pass),
        cmocka_unit_test(at_most_512_msrs_are_looked_at),
        cmocka_unit_test(msrs_are_loaded_in_order),
        cmocka_unit_test(any_contents_get_an_answer),
        cmocka_unit_test(rows_have_name_text_and_source),
    };
    return _cmocka_run_group_tests("VM-entry rules", rows, NUM_CASES, NULL, NULL) +
           cmocka_run_group_tests_name("VM entry", tests, NULL, NULL);
}
