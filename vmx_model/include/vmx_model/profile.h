// A processor's profile: what it has, and how wide it is.
#ifndef VMX_MODEL_PROFILE_H
#define VMX_MODEL_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vmx_feature {
    VMX_FEATURE_ALWAYS, // what every processor has
#define CPUID_FEATURE(name, leaf, subleaf, register, bit) VMX_FEATURE_##name,
#define MSR_FEATURE(name, msr, bit)                       VMX_FEATURE_##name,
#define MODEL_FEATURE(name)                               VMX_FEATURE_##name,
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
    bool shared;    // by all cores of the package
    bool inclusive; // of the lower levels
    bool complex;   // a function of all address bits chooses the set
};

// A CPUID leaf that is the same on every processor of the model, or the constant part of one.
struct vmx_leaf {
    uint32_t leaf;
    uint32_t subleaf;
    uint32_t reg[4]; // EAX, EBX, ECX, EDX
};

// A value after RESET that is the model's, not the architecture's.
struct vmx_msr_value {
    uint32_t index;
    uint64_t value;
};

#define VMX_MAX_CACHES      4
#define VMX_MAX_GP_COUNTERS 8
#define VMX_MAX_FIXED       4
#define VMX_MAX_MC_BANKS    20
#define VMX_MAX_MTRRS       10
#define VMX_MAX_LBR_ENTRIES 32
#define VMX_MAX_PT_RANGES   4
#define VMX_MAX_PHYS_BITS   52
#define VMX_MIN_PHYS_BITS   32

// Made from profiles/*.yaml by tools/profiles.c. A copy may be changed: what a profile says is
// asked for when it is needed.
struct vmx_profile {
    const char *name;
    const char *vendor;      // 12 characters
    const char *brand;       // at most 47 characters
    uint32_t signature;      // CPUID.1 EAX
    uint32_t last_leaf;      // the last basic one
    uint8_t max_phys_bits;   // MAXPHYADDR
    uint8_t linear_bits;     // 48, or 57 when the processor supports 5-level paging
    uint8_t perfmon_version; // CPUID.0AH, as what follows
    uint8_t num_gp_counters; // IA32_PMCx
    uint8_t num_fixed_counters;
    uint8_t counter_bits;
    uint8_t num_perf_events; // architectural ones
    uint8_t num_pt_ranges;   // address filters of Intel PT
    uint16_t pt_mtc_periods; // bit n: encoding n may be used
    uint16_t pt_cyc_thresholds;
    uint16_t pt_psb_frequencies;
    uint8_t num_mc_banks;
    uint8_t num_mtrrs;       // of variable range
    uint8_t num_lbr_entries; // deepest stack of last-branch records
    uint32_t apic_version;   // of the local APIC, as IA32_X2APIC_VERSION shows it
    uint32_t crystal_hz;     // CPUID.15H ECX; 0 when it is not enumerated there
    uint32_t tsc_numerator;  // TSC Hz = crystal * numerator / denominator
    uint32_t tsc_denominator;
    uint32_t vmcs_revision; // bits 30:0 of a VMCS region's first word
    uint8_t vmcs_max_index; // the highest index of a VMCS encoding, as IA32_VMX_VMCS_ENUM says it
    struct vmx_cache cache[VMX_MAX_CACHES];
    const struct vmx_leaf *leaves;
    const struct vmx_msr_value *msrs;
    uint32_t num_leaves;
    uint32_t num_msrs;
    bool feature[VMX_NUM_FEATURES];
};

// A fictional Intel core with every feature: MAXPHYADDR 46, 57-bit linear addresses.
extern const struct vmx_profile vmx_profile_generic;

// The built-in profiles: by name ("skylake-x"), NULL when none has it; by number from 0, generic
// first, NULL beyond the last.
const struct vmx_profile *vmx_profile_find(const char *name);
const struct vmx_profile *vmx_profile_at(size_t index);

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
