#include "vmx_model/controls.h"

#include "recorded.h"

static void check_capability(void *context, char *line)
{
    unsigned *differences = context;
    char *cursor = line;
    const char *name = next_item(&cursor, " ");
    uint32_t index = (uint32_t)next_hex(&cursor);
    uint64_t want = next_hex(&cursor);
    uint64_t got = 0;
    const struct vmx_profile *profile = vmx_profile_find(name);
    assert_non_null(profile);
    assert_true(vmx_capability_msr(profile, index, &got));
    if (want != got) {
        print_error("%s %X: want %llX, got %llX\n", name, index, (unsigned long long)want,
                    (unsigned long long)got);
        (*differences)++;
    }
}

static void recorded_models_have_the_recorded_values(void **state)
{
    (void)state;
    unsigned differences = 0;
    assert_int_equal(
        54, read_recorded(VMX_MODEL_TEST_DATA "/capabilities.txt", check_capability, &differences));
    assert_int_equal(0, differences);
}

static void check_field(void *context, char *line)
{
    (void)context;
    char *cursor = line;
    const struct vmx_profile *profile = vmx_profile_find(next_item(&cursor, " "));
    uint32_t encoding = (uint32_t)next_hex(&cursor);
    uint64_t want = next_hex(&cursor);
    uint64_t got = 0;
    struct vmcs vmcs;
    assert_non_null(profile);
    vmcs_init(&vmcs, profile);
    assert_true(vmcs_write(&vmcs, encoding, UINT64_MAX));
    assert_true(vmcs_read(&vmcs, encoding, &got));
    assert_int_equal(want, got);
}

static void recorded_models_have_the_recorded_fields(void **state)
{
    (void)state;
    assert_int_equal(275, read_recorded(VMX_MODEL_TEST_DATA "/vmread.txt", check_field, NULL));
}

// The rows once more: what each group allows on a processor with every feature, what it requires,
// and the default1 class (SDM Vol. 3, appendix "VMX Capability Reporting Facility").
static struct group_case {
    const char *name;
    enum vmx_control_group group;
    enum vmcs_slot slot;
    uint64_t allowed, required, default1;
} groups[] = {
    {"pin", VMX_GROUP_PIN, VMCS_PIN_CONTROLS, 0xFF, 0x16, 0x16},
    {"processor", VMX_GROUP_PROCESSOR, VMCS_PROCESSOR_CONTROLS, 0xFFFBFFFE, 0x04006172, 0x0401E172},
    {"secondary", VMX_GROUP_SECONDARY, VMCS_SECONDARY_PROCESSOR_CONTROLS, 0xDFFFFFFF, 0, 0},
    {"tertiary", VMX_GROUP_TERTIARY, VMCS_TERTIARY_CONTROLS, 0xDF, 0, 0},
    {"exit", VMX_GROUP_EXIT, VMCS_EXIT_CONTROLS, 0xFFFFFFFF, 0x00036DFB, 0x00036DFF},
    {"secondary exit", VMX_GROUP_SECONDARY_EXIT, VMCS_SECONDARY_EXIT_CONTROLS, 0x8, 0, 0},
    {"entry", VMX_GROUP_ENTRY, VMCS_ENTRY_CONTROLS, 0x007FFFFF, 0x000011FB, 0x000011FF},
};

enum { NUM_GROUPS = sizeof(groups) / sizeof(groups[0]) };

static void has_its_bits(void **state)
{
    const struct group_case *row = *state;
    const struct vmx_profile *profile = &vmx_profile_generic;
    uint64_t allowed = vmx_controls_allowed(profile, row->group);
    assert_int_equal(row->allowed, allowed);
    assert_int_equal(row->required, vmx_controls_required(profile, row->group));
    assert_int_equal(row->default1, vmx_controls_default1(row->group));
    assert_int_equal(row->slot, vmx_group_slot(row->group));
    assert_non_null(vmx_group_name(row->group));
    for (unsigned bit = 0; bit < 64; bit++) {
        bool named = (row->allowed & ~row->required) >> bit & 1;
        assert_int_equal(named, vmx_control_name(row->group, bit) != NULL);
    }
}

// One bit of one control, for the test of every control with and without its feature.
static struct control_case {
    const char *name;
    enum vmx_control_group group;
    unsigned bit;
    enum vmx_feature feature;
} controls[] = {
#define CONTROL(group, name, bit, class, feature)                                                  \
    {#group " " #name, VMX_GROUP_##group, bit, VMX_FEATURE_##feature},
#include "vmx_model/controls.def"
};

enum { NUM_CONTROLS = sizeof(controls) / sizeof(controls[0]) };

static void needs_its_feature(void **state)
{
    const struct control_case *row = *state;
    struct vmx_profile profile = vmx_profile_generic;
    uint64_t bit = BIT(row->bit);
    assert_int_equal(bit, vmx_controls_allowed(&profile, row->group) & bit);
    assert_int_equal(0, vmx_controls_required(&profile, row->group) & bit);
    profile.feature[row->feature] = false;
    bool stays = row->feature == VMX_FEATURE_ALWAYS;
    assert_int_equal(stays ? bit : 0, vmx_controls_allowed(&profile, row->group) & bit);
}

static void names_are_those_of_the_manual(void **state)
{
    (void)state;
    assert_string_equal("NMI_EXITING", vmx_control_name(VMX_GROUP_PIN, 3));
    assert_string_equal("EPT", vmx_control_name(VMX_GROUP_SECONDARY, 1));
    assert_null(vmx_control_name(VMX_GROUP_PIN, 1));
    assert_string_equal("VM-entry controls", vmx_group_name(VMX_GROUP_ENTRY));
}

static void a_group_counts_when_it_is_activated(void **state)
{
    (void)state;
    static const struct {
        enum vmx_control_group group;
        enum vmcs_slot slot;
        uint64_t control;
    } rows[] = {
        {VMX_GROUP_SECONDARY, VMCS_PROCESSOR_CONTROLS, 0x80000000},
        {VMX_GROUP_TERTIARY, VMCS_PROCESSOR_CONTROLS, 0x20000},
        {VMX_GROUP_SECONDARY_EXIT, VMCS_EXIT_CONTROLS, 0x80000000},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vmcs vmcs;
        vmcs_init(&vmcs, &vmx_profile_generic);
        vmcs.field[vmx_group_slot(rows[i].group)] = 0x5A;
        assert_int_equal(0, vmx_controls_active(&vmcs, rows[i].group));
        vmcs.field[rows[i].slot] = rows[i].control;
        assert_int_equal(0x5A, vmx_controls_active(&vmcs, rows[i].group));
    }
}

static void a_group_without_its_field_is_0(void **state)
{
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_EN_SECONDARY_CONTROLS] = false;
    struct vmcs vmcs;
    vmcs_init(&vmcs, &profile);
    vmcs.field[VMCS_PROCESSOR_CONTROLS] = 0x80000000;
    vmcs.field[VMCS_SECONDARY_PROCESSOR_CONTROLS] = 2;
    assert_int_equal(0, vmx_controls_active(&vmcs, VMX_GROUP_SECONDARY));
}

static void capability_msrs_exist_with_what_they_report(void **state)
{
    (void)state;
    static const struct {
        uint32_t index;
        enum vmx_feature feature;
    } rows[] = {
        {0x48B, VMX_FEATURE_EN_SECONDARY_CONTROLS},
        {0x491, VMX_FEATURE_EN_VM_FUNCTIONS},
        {0x492, VMX_FEATURE_EN_TERTIARY_CONTROLS},
        {0x493, VMX_FEATURE_EN_SECONDARY_EXIT_CONTROLS},
        {0x480, VMX_FEATURE_VMX},
        {0x490, VMX_FEATURE_VMX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vmx_profile profile = vmx_profile_generic;
        uint64_t value = 0x5A;
        assert_true(vmx_capability_msr(&profile, rows[i].index, &value));
        profile.feature[rows[i].feature] = false;
        value = 0x5A;
        assert_false(vmx_capability_msr(&profile, rows[i].index, &value));
        assert_int_equal(0x5A, value);
    }
}

static void ept_and_vpid_share_a_capability_msr(void **state)
{
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    uint64_t value;
    profile.feature[VMX_FEATURE_EN_EPT] = false;
    assert_true(vmx_capability_msr(&profile, 0x48C, &value));
    profile.feature[VMX_FEATURE_EN_VPID] = false;
    assert_false(vmx_capability_msr(&profile, 0x48C, &value));
}

static void no_other_number_is_a_capability_msr(void **state)
{
    (void)state;
    uint64_t value;
    assert_false(vmx_capability_msr(&vmx_profile_generic, 0x47F, &value));
    assert_false(vmx_capability_msr(&vmx_profile_generic, 0x494, &value));
}

static void generic_reports_all_it_has(void **state)
{
    (void)state;
    static const struct {
        uint32_t index;
        uint64_t want;
    } rows[] = {
        {0x480, 0x05D8100050554C53},
        {0x481, 0x000000FF00000016},
        {0x482, 0xFFFBFFFE0401E172},
        {0x485, 0x00000000600441E0},
        {0x486, 0x80000021},
        {0x487, 0xFFFFFFFF},
        {0x488, 0x2000},
        {0x489, 0x03F77FFF},
        {0x48A, 0x4C},
        {0x48C, 0x00000F0106F341C1},
        {0x491, 1},
        {0x492, 0xDF},
        {0x493, 0x8},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 0;
        assert_true(vmx_capability_msr(&vmx_profile_generic, rows[i].index, &value));
        assert_int_equal(rows[i].want, value);
    }
}

// Every field that the processor has is within what IA32_VMX_VMCS_ENUM announces.
static void the_highest_index_is_announced(void **state)
{
    (void)state;
    static const char *const names[] = {"generic", "skylake-x", "icelake", "tigerlake"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct vmx_profile *profile = vmx_profile_find(names[i]);
        for (unsigned slot = 0; slot < VMCS_NUM_FIELDS; slot++) {
            uint32_t index = vmcs_slot_encoding((enum vmcs_slot)slot) >> 1 & 0x1FF;
            assert_true(!vmcs_slot_exists(profile, (enum vmcs_slot)slot) ||
                        index <= profile->vmcs_max_index);
        }
    }
}

static void the_guests_mode_follows_efer(void **state)
{
    (void)state;
    struct vmx_cpu cpu = generic_cpu();
    uint64_t controls_before = cpu.vmcs.field[VMCS_ENTRY_CONTROLS];
    cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0x500;
    vmx_controls_follow_efer(&cpu.vmcs);
    assert_int_equal(controls_before | 0x200, cpu.vmcs.field[VMCS_ENTRY_CONTROLS]);
    cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0x100;
    vmx_controls_follow_efer(&cpu.vmcs);
    assert_int_equal(controls_before, cpu.vmcs.field[VMCS_ENTRY_CONTROLS]);
}

int main(void)
{
    static struct CMUnitTest rows[NUM_GROUPS + NUM_CONTROLS];
    for (unsigned i = 0; i < NUM_GROUPS; i++) {
        rows[i] = (struct CMUnitTest){
            .name = groups[i].name,
            .test_func = has_its_bits,
            .initial_state = &groups[i],
        };
    }
    for (unsigned i = 0; i < NUM_CONTROLS; i++) {
        rows[NUM_GROUPS + i] = (struct CMUnitTest){
            .name = controls[i].name,
            .test_func = needs_its_feature,
            .initial_state = &controls[i],
        };
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_models_have_the_recorded_values),
        cmocka_unit_test(recorded_models_have_the_recorded_fields),
        cmocka_unit_test(names_are_those_of_the_manual),
        cmocka_unit_test(a_group_counts_when_it_is_activated),
        cmocka_unit_test(a_group_without_its_field_is_0),
        cmocka_unit_test(capability_msrs_exist_with_what_they_report),
        cmocka_unit_test(ept_and_vpid_share_a_capability_msr),
        cmocka_unit_test(no_other_number_is_a_capability_msr),
        cmocka_unit_test(generic_reports_all_it_has),
        cmocka_unit_test(the_highest_index_is_announced),
        cmocka_unit_test(the_guests_mode_follows_efer),
    };
    return _cmocka_run_group_tests("control rows", rows, NUM_GROUPS + NUM_CONTROLS, NULL, NULL) +
           cmocka_run_group_tests_name("controls", tests, NULL, NULL);
}
