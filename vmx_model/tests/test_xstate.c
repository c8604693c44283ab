#include "vmx_tests.h"

#include "xstate.h"

static struct xcr0_case {
    const char *name;
    uint64_t xcr0;
    bool valid;
} cases[] = {
    {"x87 alone", 0x1, true},
    {"nothing", 0x0, false},
    {"SSE without x87", 0x2, false},
    {"x87 and SSE", 0x3, true},
    {"AVX without SSE", 0x5, false},
    {"AVX", 0x7, true},
    {"BNDREGS without BNDCSR", 0xB, false},
    {"BNDCSR without BNDREGS", 0x13, false},
    {"MPX", 0x1B, true},
    {"MPX without SSE", 0x19, true},
    {"opmask alone of AVX-512", 0x27, false},
    {"ZMM_Hi256 alone of AVX-512", 0x47, false},
    {"Hi16_ZMM alone of AVX-512", 0x87, false},
    {"AVX-512", 0xE7, true},
    {"AVX-512 without AVX", 0xE3, false},
    {"PKRU", 0x203, true},
    {"everything", 0x2FF, true},
    {"Processor Trace, which is IA32_XSS's", 0x103, false},
    {"CET, which is IA32_XSS's", 0x1803, false},
    {"AMX, which the core lacks", 0x60003, false},
    {"bit 63", 0x8000000000000003, false},
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static void is_judged_as_xsetbv_does(void **state)
{
    const struct xcr0_case *row = *state;
    assert_int_equal(row->valid, vmx_xcr0_valid(row->xcr0));
    assert_int_equal(row->valid, vmx_profile_allows_xcr0(&vmx_profile_generic, row->xcr0));
}

// All combinations of the low 12 bits, against a list of the combinations of whole features.
static void exactly_the_unions_of_whole_features_are_valid(void **state)
{
    (void)state;
    bool valid[0x1000] = {false};
    for (unsigned pick = 0; pick < 16; pick++) {
        unsigned extra = ((pick & 1) != 0 ? 0x18u : 0) | ((pick & 2) != 0 ? 0x200u : 0);
        valid[0x1 | extra] = true;
        valid[0x3 | extra] = true;
        valid[0x7 | extra] = true;
        valid[0xE7 | extra] = true;
    }
    for (unsigned xcr0 = 0; xcr0 < 0x1000; xcr0++) {
        assert_int_equal(valid[xcr0], vmx_xcr0_valid(xcr0));
    }
}

static void a_missing_feature_takes_its_bits_away(void **state)
{
    (void)state;
    struct vmx_profile profile = vmx_profile_generic;
    profile.feature[VMX_FEATURE_MPX] = false;
    assert_int_equal(0x2E7, vmx_profile_xcr0_mask(&profile));
    assert_false(vmx_profile_allows_xcr0(&profile, 0x1B));
    profile.feature[VMX_FEATURE_XSAVE] = false;
    assert_int_equal(0, vmx_profile_xcr0_mask(&profile));
    assert_int_equal(0, xstate_xss_mask(&profile));
    assert_false(vmx_profile_allows_xcr0(&profile, 0x1));
}

static void standard_areas_do_not_overlap(void **state)
{
    (void)state;
    unsigned end = 576;
    for (unsigned n = 2; n < XSTATE_NUM_COMPONENTS; n++) {
        struct xstate_component component = xstate_component_of(&vmx_profile_generic, n);
        if (component.size != 0 && !component.supervisor) {
            assert_true(component.offset >= end);
            end = component.offset + component.size;
        }
    }
    assert_int_equal(end, xstate_standard_size(&vmx_profile_generic, 0x2FF));
}

static void sizes_follow_the_mask(void **state)
{
    (void)state;
    assert_int_equal(576, xstate_standard_size(&vmx_profile_generic, 0x3));
    assert_int_equal(832, xstate_standard_size(&vmx_profile_generic, 0x7));
    assert_int_equal(2696, xstate_standard_size(&vmx_profile_generic, 0x203));
    assert_int_equal(584, xstate_compacted_size(&vmx_profile_generic, 0x203));
    assert_int_equal(616, xstate_compacted_size(&vmx_profile_generic, 0x1803));
    assert_int_equal(0xDD00, xstate_xss_mask(&vmx_profile_generic));
}

int main(void)
{
    static struct CMUnitTest rows[NUM_CASES];
    for (unsigned i = 0; i < NUM_CASES; i++) {
        rows[i] = (struct CMUnitTest){
            .name = cases[i].name,
            .test_func = is_judged_as_xsetbv_does,
            .initial_state = &cases[i],
        };
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_unions_of_whole_features_are_valid),
        cmocka_unit_test(a_missing_feature_takes_its_bits_away),
        cmocka_unit_test(standard_areas_do_not_overlap),
        cmocka_unit_test(sizes_follow_the_mask),
    };
    return _cmocka_run_group_tests("xcr0", rows, NUM_CASES, NULL, NULL) +
           cmocka_run_group_tests_name("xstate", tests, NULL, NULL);
}
