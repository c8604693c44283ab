#include "xstate.h"

#include <stdbool.h>

#define XCR0_X87     UINT64_C(0x001)
#define XCR0_SSE     UINT64_C(0x002)
#define XCR0_AVX     UINT64_C(0x004)
#define XCR0_MPX     UINT64_C(0x018)
#define XCR0_AVX_512 UINT64_C(0x0E0)

// The legacy region of FXSAVE and the XSAVE header.
#define XSAVE_EXTENDED_OFFSET 576u

// SDM Vol. 1, "XSAVE-Supported Features and State-Component Bitmaps". The offsets are those of
// every processor that has all of these.
static const struct xstate_component components[] = {
    [2] = {256, 576, VMX_FEATURE_AVX, false},
    [3] = {64, 960, VMX_FEATURE_MPX, false},        // BND0-BND3
    [4] = {64, 1024, VMX_FEATURE_MPX, false},       // BNDCFGU, BNDSTATUS
    [5] = {64, 1088, VMX_FEATURE_AVX512F, false},   // k0-k7
    [6] = {512, 1152, VMX_FEATURE_AVX512F, false},  // upper halves of ZMM0-ZMM15
    [7] = {1024, 1664, VMX_FEATURE_AVX512F, false}, // ZMM16-ZMM31
    [8] = {128, 0, VMX_FEATURE_PT, true},
    [9] = {8, 2688, VMX_FEATURE_PKU, false},
    [10] = {8, 0, VMX_FEATURE_ENQCMD, true},     // IA32_PASID
    [11] = {16, 0, VMX_FEATURE_CET_SS, true},    // IA32_U_CET, IA32_PL3_SSP
    [12] = {24, 0, VMX_FEATURE_CET_SS, true},    // IA32_PL0_SSP to IA32_PL2_SSP
    [14] = {48, 0, VMX_FEATURE_UINTR, true},     // the user-interrupt MSRs
    [15] = {808, 0, VMX_FEATURE_ARCH_LBR, true}, // IA32_LBR_CTL, IA32_LBR_DEPTH and the records
};

#define NUM_ROWS (sizeof(components) / sizeof(components[0]))

struct xstate_component xstate_component_of(const struct vmx_profile *profile, unsigned n)
{
    static const struct xstate_component none;
    if (n >= NUM_ROWS || !vmx_profile_has(profile, VMX_FEATURE_XSAVE) ||
        !vmx_profile_has(profile, (enum vmx_feature)components[n].feature)) {
        return none;
    }
    return components[n];
}

static uint64_t mask_of(const struct vmx_profile *profile, bool supervisor)
{
    uint64_t mask = 0;
    for (unsigned n = 2; n < NUM_ROWS; n++) {
        struct xstate_component component = xstate_component_of(profile, n);
        if (component.size != 0 && component.supervisor == supervisor) {
            mask |= UINT64_C(1) << n;
        }
    }
    return mask;
}

uint64_t vmx_profile_xcr0_mask(const struct vmx_profile *profile)
{
    if (!vmx_profile_has(profile, VMX_FEATURE_XSAVE)) {
        return 0;
    }
    return XCR0_X87 | XCR0_SSE | mask_of(profile, false);
}

uint64_t xstate_xss_mask(const struct vmx_profile *profile)
{
    return mask_of(profile, true);
}

static bool all_or_none(uint64_t value, uint64_t bits)
{
    return (value & bits) == 0 || (value & bits) == bits;
}

// SDM Vol. 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features": what makes XSETBV #GP.
bool vmx_profile_allows_xcr0(const struct vmx_profile *profile, uint64_t xcr0)
{
    if ((xcr0 & XCR0_X87) == 0 || (xcr0 & ~vmx_profile_xcr0_mask(profile)) != 0) {
        return false;
    }
    if ((xcr0 & XCR0_AVX) != 0 && (xcr0 & XCR0_SSE) == 0) {
        return false;
    }
    if ((xcr0 & XCR0_AVX_512) != 0 && (xcr0 & XCR0_AVX) == 0) {
        return false;
    }
    return all_or_none(xcr0, XCR0_MPX) && all_or_none(xcr0, XCR0_AVX_512);
}

bool vmx_xcr0_valid(uint64_t xcr0)
{
    return vmx_profile_allows_xcr0(&vmx_profile_generic, xcr0);
}

uint32_t xstate_standard_size(const struct vmx_profile *profile, uint64_t mask)
{
    uint32_t size = XSAVE_EXTENDED_OFFSET;
    for (unsigned n = 2; n < NUM_ROWS; n++) {
        struct xstate_component component = xstate_component_of(profile, n);
        uint32_t end = (uint32_t)component.offset + component.size;
        if ((mask >> n & 1) != 0 && !component.supervisor && end > size) {
            size = end;
        }
    }
    return size;
}

uint32_t xstate_compacted_size(const struct vmx_profile *profile, uint64_t mask)
{
    uint32_t size = XSAVE_EXTENDED_OFFSET;
    for (unsigned n = 2; n < NUM_ROWS; n++) {
        if ((mask >> n & 1) != 0) {
            size += xstate_component_of(profile, n).size;
        }
    }
    return size;
}
