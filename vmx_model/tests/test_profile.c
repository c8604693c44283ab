#include "vmx_tests.h"

#include "vmx_model/profile.h"

static void the_generic_profile_has_every_feature(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VMX_NUM_FEATURES; i++) {
        assert_true(vmx_profile_has(&vmx_profile_generic, (enum vmx_feature)i));
    }
}

static void every_feature_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VMX_NUM_FEATURES; i++) {
        assert_non_null(vmx_feature_name((enum vmx_feature)i));
    }
    assert_string_equal("MPX", vmx_feature_name(VMX_FEATURE_MPX));
    assert_string_equal("EN_EPT", vmx_feature_name(VMX_FEATURE_EN_EPT));
    assert_null(vmx_feature_name(VMX_NUM_FEATURES));
}

static void no_two_features_share_a_cpuid_bit(void **state)
{
    (void)state;
    enum { EAX, EBX, ECX, EDX };
    static const struct {
        uint32_t leaf;
        uint32_t place;
    } bits[] = {
#define CPUID_FEATURE(name, leaf, subleaf, register, bit)                                          \
    {(leaf), (subleaf) << 8 | (register) << 5 | (bit)},
#include "vmx_model/features.def"
    };
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_true(bits[i].leaf != bits[j].leaf || bits[i].place != bits[j].place);
        }
    }
}

static void the_generic_profile_is_as_wide_as_documented(void **state)
{
    (void)state;
    assert_string_equal("generic", vmx_profile_generic.name);
    assert_int_equal(46, vmx_profile_generic.max_phys_bits);
    assert_int_equal(57, vmx_profile_generic.linear_bits);
}

static void four_profiles_are_built_in(void **state)
{
    (void)state;
    static const char *const names[] = {"generic", "skylake-x", "icelake", "tigerlake"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(names[i], vmx_profile_at(i)->name);
        assert_ptr_equal(vmx_profile_at(i), vmx_profile_find(names[i]));
    }
    assert_ptr_equal(&vmx_profile_generic, vmx_profile_at(0));
    assert_null(vmx_profile_at(4));
    assert_null(vmx_profile_at(SIZE_MAX));
    assert_null(vmx_profile_find("generi"));
    assert_null(vmx_profile_find("generic2"));
    assert_null(vmx_profile_find(""));
}

static void the_real_profiles_are_as_wide_as_their_processors(void **state)
{
    (void)state;
    assert_int_equal(46, vmx_profile_find("skylake-x")->max_phys_bits);
    assert_int_equal(39, vmx_profile_find("icelake")->max_phys_bits);
    assert_int_equal(39, vmx_profile_find("tigerlake")->max_phys_bits);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(48, vmx_profile_at(i)->linear_bits);
        assert_false(vmx_profile_has(vmx_profile_at(i), VMX_FEATURE_LA57));
        assert_false(vmx_profile_has(vmx_profile_at(i), VMX_FEATURE_PT));
        assert_true(vmx_profile_has(vmx_profile_at(i), VMX_FEATURE_VMX));
    }
}

// A value of an MSR that the processor lacks, or of a leaf beyond the last one, would be dropped.
static void profiles_speak_of_what_they_have(void **state)
{
    (void)state;
    for (size_t i = 0; vmx_profile_at(i) != NULL; i++) {
        const struct vmx_profile *profile = vmx_profile_at(i);
        struct vmx_cpu cpu;
        vmx_cpu_reset(&cpu, profile);
        for (uint32_t n = 0; n < profile->num_msrs; n++) {
            uint64_t value = 0;
            assert_int_equal(MSR_OK, msr_read(&cpu, MSR_GUEST, profile->msrs[n].index, &value));
            assert_int_equal(profile->msrs[n].value, value & profile->msrs[n].value);
        }
        for (uint32_t n = 0; n < profile->num_leaves; n++) {
            assert_true(profile->leaves[n].leaf <= profile->last_leaf);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_generic_profile_has_every_feature),
        cmocka_unit_test(every_feature_has_a_name),
        cmocka_unit_test(no_two_features_share_a_cpuid_bit),
        cmocka_unit_test(the_generic_profile_is_as_wide_as_documented),
        cmocka_unit_test(four_profiles_are_built_in),
        cmocka_unit_test(profiles_speak_of_what_they_have),
        cmocka_unit_test(the_real_profiles_are_as_wide_as_their_processors),
    };
    return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
