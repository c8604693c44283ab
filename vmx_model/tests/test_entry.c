// How the rules of VM entry work together.
#include "entry_bench.h"

#include <string.h>

static void good_states_enter(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NUM_STATES; i++) {
        struct bench bench;
        bench_init(&bench, (enum state)i, NULL);
        struct vmx_entry_outcome outcome = bench_check(&bench);
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
    struct vmx_entry_outcome outcome = bench_check(&bench);
    assert_entered(&outcome);
    bench.cpu.vmcs.field[VMCS_GUEST_FS_ACCESS] = 0x10000;
    outcome = bench_check(&bench);
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
        struct vmx_entry_outcome outcome = bench_check(&bench);
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
    assert_int_equal(VMX_ENTRY_RULE_VPID, bench_check(&bench).rule);
    field[VMCS_VPID] = 1;
    assert_int_equal(VMX_ENTRY_RULE_HOST_CS, bench_check(&bench).rule);
    field[VMCS_HOST_CS_SELECTOR] = 8;
    assert_int_equal(VMX_ENTRY_RULE_RFLAGS_RESERVED, bench_check(&bench).rule);
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
    bench_apply(&bench, changes);
    struct vmx_entry_outcome outcome = bench_check(&bench);
    assert_entered(&outcome);
    bench_init(&bench, PM32, NULL);
    bench_apply(&bench, changes);
    bench_apply(&bench, (const struct change[MAX_CHANGES]){W(0x8018, 0x100)});
    assert_int_equal(VMX_ENTRY_RULE_MSR_LOAD_VALUE, bench_check(&bench).rule);
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
        struct vmx_entry_outcome outcome = bench_check(&bench);
        assert_int_equal(outcome.result == VMX_ENTERED, outcome.rule == VMX_ENTRY_RULE_NONE);
        assert_true(outcome.result != VMX_FAIL_INVALID);
        seen[outcome.result] = true;
    }
    assert_true(seen[VMX_ENTERED] && seen[VMX_FAIL_VALID] && seen[VMX_ENTRY_FAILED]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_states_enter),
        cmocka_unit_test(every_processor_enters_after_reset),
        cmocka_unit_test(v86_takes_what_protected_mode_refuses),
        cmocka_unit_test(unusable_segments_may_hold_anything),
        cmocka_unit_test(controls_come_before_the_host_and_the_host_before_the_guest),
        cmocka_unit_test(rules_without_memory_pass),
        cmocka_unit_test(at_most_512_msrs_are_looked_at),
        cmocka_unit_test(msrs_are_loaded_in_order),
        cmocka_unit_test(any_contents_get_an_answer),
    };
    return cmocka_run_group_tests_name("VM entry", tests, NULL, NULL);
}
