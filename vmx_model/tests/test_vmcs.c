#include "vmx_tests.h"

#include <string.h>

#include "vmx_model/vmcs.h"

// The manual's tables of encodings again, as first and last of each run in steps of 2.
static const struct {
    uint16_t first, last;
} runs[] = {
    {0x0000, 0x0008},                   // 16-bit control
    {0x0800, 0x0814},                   // 16-bit guest
    {0x0C00, 0x0C0C},                   // 16-bit host
    {0x2000, 0x2044}, {0x204A, 0x204C}, // 64-bit control
    {0x2400, 0x2402},                   // 64-bit read-only
    {0x2800, 0x2818},                   // 64-bit guest
    {0x2C00, 0x2C06},                   // 64-bit host
    {0x4000, 0x4024},                   // 32-bit control
    {0x4400, 0x440E},                   // 32-bit read-only
    {0x4800, 0x482A}, {0x482E, 0x482E}, // 32-bit guest
    {0x4C00, 0x4C00},                   // 32-bit host
    {0x6000, 0x600E},                   // natural control
    {0x6400, 0x640A},                   // natural read-only
    {0x6800, 0x682C},                   // natural guest
    {0x6C00, 0x6C1C},                   // natural host
};

static bool in_manual(uint32_t encoding)
{
    bool is_64_bit = encoding >= 0x2000 && encoding < 0x4000;
    uint32_t full = is_64_bit ? encoding & ~1u : encoding;
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        if (full >= runs[i].first && full <= runs[i].last && full % 2 == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t bits_of(uint32_t encoding)
{
    if (encoding < 0x2000) {
        return 0xFFFF;
    }
    if (encoding >= 0x4000 && encoding < 0x6000) {
        return 0xFFFFFFFF;
    }
    return UINT64_MAX;
}

// A VMCS in which every slot holds something of its own.
static struct vmcs filled_vmcs(void)
{
    struct vmcs vmcs;
    vmcs_init(&vmcs, &vmx_profile_generic);
    for (unsigned i = 0; i < VMCS_NUM_FIELDS; i++) {
        uint64_t pattern = UINT64_C(0x0123456789ABCDEF) * (i + 1);
        vmcs.field[i] = pattern & vmcs_slot_mask((enum vmcs_slot)i);
    }
    return vmcs;
}

static unsigned num_differences(const struct vmcs *a, const struct vmcs *b)
{
    unsigned count = 0;
    for (unsigned i = 0; i < VMCS_NUM_FIELDS; i++) {
        count += a->field[i] != b->field[i];
    }
    return count;
}

static void vmread_of_all_65536_encodings_agrees_with_the_manual(void **state)
{
    (void)state;
    struct vmcs vmcs = filled_vmcs();
    unsigned count = 0;
    for (uint32_t encoding = 0; encoding < 0x10000; encoding++) {
        uint64_t value = 0x5A5A;
        assert_int_equal(in_manual(encoding), vmcs_read(&vmcs, encoding, &value));
        assert_int_equal(in_manual(encoding), vmcs_field_name(encoding) != NULL);
        if (!in_manual(encoding)) {
            assert_int_equal(0x5A5A, value);
            continue;
        }
        count += encoding % 2 == 0;
        enum vmcs_slot slot = VMCS_NUM_FIELDS;
        assert_true(vmcs_slot_of(encoding, &slot));
        uint64_t whole = vmcs.field[slot];
        assert_int_equal(encoding % 2 == 0 ? whole : whole >> 32, value);
        assert_int_equal(encoding & ~1u, vmcs_slot_encoding(slot));
    }
    assert_int_equal(VMCS_NUM_FIELDS, count);
}

static void vmwrite_of_all_65536_encodings_agrees_with_the_manual(void **state)
{
    (void)state;
    const struct vmcs before = filled_vmcs();
    for (uint32_t encoding = 0; encoding < 0x10000; encoding++) {
        struct vmcs vmcs = before;
        uint64_t value = UINT64_C(0xFEDCBA9876543210);
        assert_int_equal(in_manual(encoding), vmcs_write(&vmcs, encoding, value));
        if (!in_manual(encoding)) {
            assert_int_equal(0, num_differences(&before, &vmcs));
            continue;
        }
        enum vmcs_slot slot = VMCS_NUM_FIELDS;
        assert_true(vmcs_slot_of(encoding, &slot));
        uint64_t want = encoding % 2 == 0
                            ? value & bits_of(encoding)
                            : (before.field[slot] & 0xFFFFFFFF) | UINT64_C(0x7654321000000000);
        assert_int_equal(want, vmcs.field[slot]);
        assert_int_equal(1, num_differences(&before, &vmcs));
    }
}

static void encodings_beyond_16_bits_name_no_field(void **state)
{
    (void)state;
    struct vmcs vmcs = filled_vmcs();
    uint64_t value = 0;
    for (unsigned bit = 15; bit < 32; bit++) {
        assert_false(vmcs_read(&vmcs, 0x681Eu | 1u << bit, &value));
        assert_false(vmcs_write(&vmcs, 0x681Eu | 1u << bit, 1));
    }
}

static void read_only_data_can_be_written_only_with_the_feature(void **state)
{
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_VMWRITE_READ_ONLY_FIELDS] = false;
    struct vmcs vmcs;
    vmcs_init(&vmcs, &profile);
    for (uint32_t encoding = 0; encoding < 0x10000; encoding++) {
        bool read_only = (encoding >> 10 & 3) == 1;
        uint64_t value = 0;
        assert_int_equal(in_manual(encoding) && !read_only, vmcs_write(&vmcs, encoding, 1));
        assert_int_equal(in_manual(encoding), vmcs_read(&vmcs, encoding, &value));
    }
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void names_agree_with_the_group_of_the_encoding(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VMCS_NUM_FIELDS; i++) {
        uint32_t encoding = vmcs_slot_encoding((enum vmcs_slot)i);
        const char *name = vmcs_field_name(encoding);
        unsigned group = encoding >> 10 & 3;
        // Two fields of exit information are named after the guest's addresses.
        bool is_guest = starts_with(name, "GUEST_") && encoding != 0x2400 && encoding != 0x640A;
        assert_true(!is_guest || group == 2);
        assert_int_equal(starts_with(name, "HOST_"), group == 3);
    }
}

static struct field_case {
    const char *name;
    uint32_t encoding;
    enum vmcs_slot slot;
    enum vmx_feature feature;
} field_cases[] = {
    {"VPID", 0x0000, VMCS_VPID, VMX_FEATURE_EN_VPID},
    {"GUEST_CS_SELECTOR", 0x0802, VMCS_GUEST_CS_SELECTOR, VMX_FEATURE_ALWAYS},
    {"HOST_TR_SELECTOR", 0x0C0C, VMCS_HOST_TR_SELECTOR, VMX_FEATURE_ALWAYS},
    {"EPT_POINTER", 0x201A, VMCS_EPT_POINTER, VMX_FEATURE_EN_EPT},
    {"GUEST_PHYSICAL_ADDRESS", 0x2400, VMCS_GUEST_PHYSICAL_ADDRESS, VMX_FEATURE_EN_EPT},
    {"MSR_DATA", 0x2402, VMCS_MSR_DATA, VMX_FEATURE_EN_MSR_LISTS},
    {"VMCS_LINK_POINTER", 0x2800, VMCS_VMCS_LINK_POINTER, VMX_FEATURE_ALWAYS},
    {"GUEST_IA32_DEBUGCTL", 0x2802, VMCS_GUEST_IA32_DEBUGCTL, VMX_FEATURE_ALWAYS},
    {"GUEST_IA32_PAT", 0x2804, VMCS_GUEST_IA32_PAT, VMX_FEATURE_PAT},
    {"GUEST_IA32_EFER", 0x2806, VMCS_GUEST_IA32_EFER, VMX_FEATURE_LM},
    {"GUEST_IA32_PERF_GLOBAL_CTRL", 0x2808, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL,
     VMX_FEATURE_EN_PERFMON},
    {"GUEST_PDPTE3", 0x2810, VMCS_GUEST_PDPTE3, VMX_FEATURE_EN_EPT},
    {"GUEST_IA32_BNDCFGS", 0x2812, VMCS_GUEST_IA32_BNDCFGS, VMX_FEATURE_MPX},
    {"GUEST_IA32_RTIT_CTL", 0x2814, VMCS_GUEST_IA32_RTIT_CTL, VMX_FEATURE_PT},
    {"GUEST_IA32_PKRS", 0x2818, VMCS_GUEST_IA32_PKRS, VMX_FEATURE_PKS},
    {"HOST_IA32_EFER", 0x2C02, VMCS_HOST_IA32_EFER, VMX_FEATURE_LM},
    {"PIN_CONTROLS", 0x4000, VMCS_PIN_CONTROLS, VMX_FEATURE_ALWAYS},
    {"EXIT_REASON", 0x4402, VMCS_EXIT_REASON, VMX_FEATURE_ALWAYS},
    {"GUEST_CS_LIMIT", 0x4802, VMCS_GUEST_CS_LIMIT, VMX_FEATURE_ALWAYS},
    {"GUEST_GDTR_LIMIT", 0x4810, VMCS_GUEST_GDTR_LIMIT, VMX_FEATURE_ALWAYS},
    {"GUEST_CS_ACCESS", 0x4816, VMCS_GUEST_CS_ACCESS, VMX_FEATURE_ALWAYS},
    {"GUEST_TR_ACCESS", 0x4822, VMCS_GUEST_TR_ACCESS, VMX_FEATURE_ALWAYS},
    {"GUEST_INTERRUPTIBILITY", 0x4824, VMCS_GUEST_INTERRUPTIBILITY, VMX_FEATURE_ALWAYS},
    {"GUEST_ACTIVITY", 0x4826, VMCS_GUEST_ACTIVITY, VMX_FEATURE_ALWAYS},
    {"GUEST_SMBASE", 0x4828, VMCS_GUEST_SMBASE, VMX_FEATURE_ALWAYS},
    {"GUEST_SYSENTER_CS", 0x482A, VMCS_GUEST_SYSENTER_CS, VMX_FEATURE_ALWAYS},
    {"PREEMPTION_TIMER", 0x482E, VMCS_PREEMPTION_TIMER, VMX_FEATURE_EN_PREEMPTION_TIMER},
    {"HOST_SYSENTER_CS", 0x4C00, VMCS_HOST_SYSENTER_CS, VMX_FEATURE_ALWAYS},
    {"EXIT_QUALIFICATION", 0x6400, VMCS_EXIT_QUALIFICATION, VMX_FEATURE_ALWAYS},
    {"GUEST_LINEAR_ADDRESS", 0x640A, VMCS_GUEST_LINEAR_ADDRESS, VMX_FEATURE_ALWAYS},
    {"GUEST_CR0", 0x6800, VMCS_GUEST_CR0, VMX_FEATURE_ALWAYS},
    {"GUEST_CR3", 0x6802, VMCS_GUEST_CR3, VMX_FEATURE_ALWAYS},
    {"GUEST_CR4", 0x6804, VMCS_GUEST_CR4, VMX_FEATURE_ALWAYS},
    {"GUEST_FS_BASE", 0x680E, VMCS_GUEST_FS_BASE, VMX_FEATURE_ALWAYS},
    {"GUEST_GS_BASE", 0x6810, VMCS_GUEST_GS_BASE, VMX_FEATURE_ALWAYS},
    {"GUEST_IDTR_BASE", 0x6818, VMCS_GUEST_IDTR_BASE, VMX_FEATURE_ALWAYS},
    {"GUEST_DR7", 0x681A, VMCS_GUEST_DR7, VMX_FEATURE_ALWAYS},
    {"GUEST_RSP", 0x681C, VMCS_GUEST_RSP, VMX_FEATURE_ALWAYS},
    {"GUEST_RIP", 0x681E, VMCS_GUEST_RIP, VMX_FEATURE_ALWAYS},
    {"GUEST_RFLAGS", 0x6820, VMCS_GUEST_RFLAGS, VMX_FEATURE_ALWAYS},
    {"GUEST_PENDING_DEBUG_EXCEPTIONS", 0x6822, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
     VMX_FEATURE_ALWAYS},
    {"GUEST_SYSENTER_ESP", 0x6824, VMCS_GUEST_SYSENTER_ESP, VMX_FEATURE_ALWAYS},
    {"GUEST_SYSENTER_EIP", 0x6826, VMCS_GUEST_SYSENTER_EIP, VMX_FEATURE_ALWAYS},
    {"GUEST_IA32_S_CET", 0x6828, VMCS_GUEST_IA32_S_CET, VMX_FEATURE_CET_SS},
    {"GUEST_INTERRUPT_SSP_TABLE_ADDR", 0x682C, VMCS_GUEST_INTERRUPT_SSP_TABLE_ADDR,
     VMX_FEATURE_CET_SS},
    {"HOST_FS_BASE", 0x6C06, VMCS_HOST_FS_BASE, VMX_FEATURE_ALWAYS},
    {"HOST_GS_BASE", 0x6C08, VMCS_HOST_GS_BASE, VMX_FEATURE_ALWAYS},
    {"HOST_RIP", 0x6C16, VMCS_HOST_RIP, VMX_FEATURE_ALWAYS},
};

enum { NUM_FIELD_CASES = sizeof(field_cases) / sizeof(field_cases[0]) };

static void has_its_encoding_and_its_feature(void **state)
{
    const struct field_case *row = *state;
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[row->feature] = false;
    bool exists = row->feature == VMX_FEATURE_ALWAYS;
    struct vmcs vmcs;
    uint64_t value = 0;

    assert_string_equal(row->name, vmcs_field_name(row->encoding));
    assert_int_equal(row->encoding, vmcs_slot_encoding(row->slot));
    assert_true(vmcs_slot_exists(&vmx_profile_generic, row->slot));
    vmcs_init(&vmcs, &profile);
    assert_int_equal(exists, vmcs_slot_exists(&profile, row->slot));
    assert_int_equal(exists, vmcs_write(&vmcs, row->encoding, 1));
    assert_int_equal(exists, vmcs.field[row->slot]);
    assert_int_equal(exists, vmcs_read(&vmcs, row->encoding, &value));
}

static void width_and_group_follow_from_the_encoding(void **state)
{
    (void)state;
    assert_int_equal(VMCS_WIDTH_16, vmcs_encoding_width(0x0802));
    assert_int_equal(VMCS_WIDTH_64, vmcs_encoding_width(0x2804));
    assert_int_equal(VMCS_WIDTH_32, vmcs_encoding_width(0x4402));
    assert_int_equal(VMCS_WIDTH_NATURAL, vmcs_encoding_width(0x681E));
    assert_int_equal(VMCS_GROUP_CONTROL, vmcs_encoding_group(0x4002));
    assert_int_equal(VMCS_GROUP_READ_ONLY, vmcs_encoding_group(0x4402));
    assert_int_equal(VMCS_GROUP_GUEST, vmcs_encoding_group(0x681E));
    assert_int_equal(VMCS_GROUP_HOST, vmcs_encoding_group(0x6C16));
    assert_int_equal(0xFFFF, vmcs_slot_mask(VMCS_GUEST_CS_SELECTOR));
    assert_int_equal(0xFFFFFFFF, vmcs_slot_mask(VMCS_GUEST_CS_LIMIT));
    assert_int_equal(UINT64_MAX, vmcs_slot_mask(VMCS_GUEST_IA32_PAT));
    assert_int_equal(UINT64_MAX, vmcs_slot_mask(VMCS_GUEST_RIP));
}

int main(void)
{
    static struct CMUnitTest rows[NUM_FIELD_CASES];
    for (unsigned i = 0; i < NUM_FIELD_CASES; i++) {
        rows[i] = (struct CMUnitTest){
            .name = field_cases[i].name,
            .test_func = has_its_encoding_and_its_feature,
            .initial_state = &field_cases[i],
        };
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vmread_of_all_65536_encodings_agrees_with_the_manual),
        cmocka_unit_test(vmwrite_of_all_65536_encodings_agrees_with_the_manual),
        cmocka_unit_test(encodings_beyond_16_bits_name_no_field),
        cmocka_unit_test(read_only_data_can_be_written_only_with_the_feature),
        cmocka_unit_test(names_agree_with_the_group_of_the_encoding),
        cmocka_unit_test(width_and_group_follow_from_the_encoding),
    };
    return _cmocka_run_group_tests("vmcs fields", rows, NUM_FIELD_CASES, NULL, NULL) +
           cmocka_run_group_tests_name("vmcs", tests, NULL, NULL);
}
