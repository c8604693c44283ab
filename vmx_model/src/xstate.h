// The state components that XSAVE manages.
#ifndef VMX_MODEL_SRC_XSTATE_H
#define VMX_MODEL_SRC_XSTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/profile.h"

#define XSTATE_NUM_COMPONENTS 63

struct xstate_component {
    uint16_t size;    // bytes; 0: the component does not exist here
    uint16_t offset;  // in the standard format; 0 for a supervisor component
    uint16_t feature; // that brings it
    bool supervisor;  // enabled in IA32_XSS, not in XCR0
};

// Component n <= 62 (bit n of XCR0 or IA32_XSS) on a processor of this profile; all zero when the
// processor lacks it. 0 and 1, which live in the legacy region, have no size of their own.
struct xstate_component xstate_component_of(const struct vmx_profile *profile, unsigned n);

// The bits of IA32_XSS that the processor supports.
uint64_t xstate_xss_mask(const struct vmx_profile *profile);

// Bytes of an XSAVE area, header included, that holds the components of `mask`.
uint32_t xstate_standard_size(const struct vmx_profile *profile, uint64_t mask);
uint32_t xstate_compacted_size(const struct vmx_profile *profile, uint64_t mask);

#endif
