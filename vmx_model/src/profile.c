#include "vmx_model/profile.h"

#include <stddef.h>

static const char *const names[] = {
    [VMX_FEATURE_ALWAYS] = "ALWAYS",
#define CPUID_FEATURE(name, leaf, subleaf, register, bit) [VMX_FEATURE_##name] = #name,
#define VMX_FEATURE(name)                                 [VMX_FEATURE_##name] = #name,
#include "vmx_model/features.def"
};

const char *vmx_feature_name(enum vmx_feature feature)
{
    return (unsigned)feature < VMX_NUM_FEATURES ? names[feature] : NULL;
}

// MPX was gone before PKS and CET came, so no core ever had all of these; here they meet, so that
// every guest MSR and every VMCS field exists.
const struct vmx_profile vmx_profile_generic = {
    .name = "generic",
    .vendor = "GenuineIntel",
    .brand = "Pulsim generic processor",
    .signature = 0x000E06F1, // family 6, model 0xEF, stepping 1
    .max_phys_bits = 46,
    .linear_bits = 57,
    .num_gp_counters = 8,
    .num_fixed_counters = 4,
    .counter_bits = 48,
    .num_pt_ranges = 2,
    .pt_mtc_periods = 0x0249,
    .pt_cyc_thresholds = 0x3FFF,
    .pt_psb_frequencies = 0x003F,
    .crystal_hz = 25000000,
    .tsc_ratio = 80, // 2 GHz
    .vmcs_revision = 0x50554C53, // "PULS"
    .vmcs_max_index = 0x26,      // SPEC_CTRL_SHADOW
    .cache =
        {
            {.type = 1, .level = 1, .ways = 12, .num_sets = 64},
            {.type = 2, .level = 1, .ways = 8, .num_sets = 64},
            {.type = 3, .level = 2, .ways = 8, .num_sets = 1024},
            {.type = 3, .level = 3, .ways = 12, .num_sets = 16384, .shared = true},
        },
    .feature =
        {
#define CPUID_FEATURE(name, leaf, subleaf, register, bit) [VMX_FEATURE_##name] = true,
#define VMX_FEATURE(name)                                 [VMX_FEATURE_##name] = true,
#include "vmx_model/features.def"
        },
};
