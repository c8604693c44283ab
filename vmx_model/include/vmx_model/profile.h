// A processor's profile: what it has, and how wide it is.
#ifndef VMX_MODEL_PROFILE_H
#define VMX_MODEL_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

enum vmx_feature {
    VMX_FEATURE_ALWAYS, // what every processor has
#define CPUID_FEATURE(name, leaf, subleaf, register, bit) VMX_FEATURE_##name,
#define VMX_FEATURE(name)                                 VMX_FEATURE_##name,
#include "vmx_model/features.def"
    VMX_NUM_FEATURES
};

// Deterministic (leaf 4) description of one cache level.
struct vmx_cache {
    uint8_t type; // 1 data, 2 instruction, 3 unified
    uint8_t level;
    uint16_t ways;
    uint32_t num_sets;
    bool shared; // by all cores of the package
};

#define VMX_MAX_CACHES 4

struct vmx_profile {
    const char *name;
    const char *vendor;      // 12 characters
    const char *brand;       // at most 47 characters
    uint32_t signature;      // CPUID.1 EAX
    uint8_t max_phys_bits;   // MAXPHYADDR
    uint8_t linear_bits;     // 48, or 57 when the processor supports 5-level paging
    uint8_t num_gp_counters; // IA32_PMCx
    uint8_t num_fixed_counters;
    uint8_t counter_bits;
    uint8_t num_pt_ranges;   // address filters of Intel PT
    uint16_t pt_mtc_periods; // bit n: encoding n may be used
    uint16_t pt_cyc_thresholds;
    uint16_t pt_psb_frequencies;
    uint32_t crystal_hz; // CPUID.15H ECX
    uint32_t tsc_ratio;  // TSC Hz = crystal_hz * tsc_ratio
    uint32_t vmcs_revision; // bits 30:0 of a VMCS region's first word
    uint8_t vmcs_max_index; // the highest index of a VMCS encoding, as IA32_VMX_VMCS_ENUM says it
    struct vmx_cache cache[VMX_MAX_CACHES];
    bool feature[VMX_NUM_FEATURES];
};

// A fictional Intel core with every feature: MAXPHYADDR 46, 57-bit linear addresses.
extern const struct vmx_profile vmx_profile_generic;

static inline bool vmx_profile_has(const struct vmx_profile *profile, enum vmx_feature feature)
{
    return feature == VMX_FEATURE_ALWAYS || profile->feature[feature];
}

// The name of a feature's row ("MPX"), NULL when there is none.
const char *vmx_feature_name(enum vmx_feature feature);

// The bits of XCR0 that the profile's processor supports.
uint64_t vmx_profile_xcr0_mask(const struct vmx_profile *profile);

// Whether XSETBV of XCR0 accepts `xcr0` on a processor of this profile.
bool vmx_profile_allows_xcr0(const struct vmx_profile *profile, uint64_t xcr0);

// The same for the generic profile.
bool vmx_xcr0_valid(uint64_t xcr0);

#endif
