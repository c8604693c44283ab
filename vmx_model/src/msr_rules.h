// What WRMSR accepts, beyond the writable bits of an MSR's row.
#ifndef VMX_MODEL_SRC_MSR_RULES_H
#define VMX_MODEL_SRC_MSR_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/cpu.h"

enum msr_rule {
    MSR_RULE_ANY,       // nothing else
    MSR_RULE_READ_ONLY, // #GP for every value, the present one too
    MSR_RULE_IGNORED,   // accepted and dropped
    MSR_RULE_LOW_32,    // bits 63:32 are accepted and dropped
    MSR_RULE_CANONICAL, // a linear address
    MSR_RULE_TSC,
    MSR_RULE_TSC_ADJUST,
    MSR_RULE_APIC_BASE,
    MSR_RULE_FEATURE_CONTROL,
    MSR_RULE_MISC_ENABLE,
    MSR_RULE_DEBUGCTL,
    MSR_RULE_MTRR_BASE,
    MSR_RULE_MTRR_MASK,
    MSR_RULE_MTRR_TYPES,
    MSR_RULE_MTRR_DEF_TYPE,
    MSR_RULE_PAT_TYPES,
    MSR_RULE_PERF_GLOBAL_CTRL,
    MSR_RULE_RTIT_CTL,
    MSR_RULE_CET,
    MSR_RULE_XSS,
    MSR_RULE_EFER,
};

// Whether WRMSR of `value`, which has only writable bits of its row, is accepted in place of
// `old`; then *out is what the register holds afterwards.
bool msr_rule_accepts(const struct vmx_cpu *cpu, enum msr_rule rule, uint64_t old, uint64_t value,
                      uint64_t *out);

#endif
