// What WRMSR accepts beyond the writable bits of an MSR's row, and what RDMSR and WRMSR do beyond
// loading and storing.
#ifndef VMX_MODEL_SRC_MSR_RULES_H
#define VMX_MODEL_SRC_MSR_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx_model/cpu.h"

enum msr_rule {
    MSR_RULE_ANY,       // nothing else
    MSR_RULE_CLEAR,     // only 0 is in the row's bits: what was logged goes
    MSR_RULE_READ_ONLY, // #GP for every value, the present one too
    MSR_RULE_IGNORED,   // accepted and dropped
    MSR_RULE_COMMAND,   // a command, done and forgotten; RDMSR is #GP
    MSR_RULE_LOW_32,    // bits 63:32 are accepted and dropped
    MSR_RULE_CANONICAL, // a linear address
    MSR_RULE_PHYSICAL,  // a physical address
    MSR_RULE_LOCK_0,    // #GP once this bit is set
    MSR_RULE_LOCK_15,
    MSR_RULE_LOCK_30,
    MSR_RULE_LOCK_31,
    MSR_RULE_LOCK_63,
    MSR_RULE_SET_ONCE,   // no bit is cleared again
    MSR_RULE_STICKY_LOG, // log bits are cleared by 0, the others are read-only
    MSR_RULE_TSC,
    MSR_RULE_TSC_ADJUST,
    MSR_RULE_TSC_DEADLINE,
    MSR_RULE_APIC_BASE,
    MSR_RULE_FEATURE_CONTROL,
    MSR_RULE_MISC_ENABLE,
    MSR_RULE_DEBUGCTL,
    MSR_RULE_MTRR_BASE,
    MSR_RULE_MTRR_MASK,
    MSR_RULE_MTRR_TYPES,
    MSR_RULE_MTRR_DEF_TYPE,
    MSR_RULE_PAT_TYPES,
    MSR_RULE_CACHE_MASK,
    MSR_RULE_TME_EXCLUDE,
    MSR_RULE_MCG_STATUS,
    MSR_RULE_PMC,     // the low half of a counter, sign-extended
    MSR_RULE_COUNTER, // all of a counter
    MSR_RULE_PERFEVTSEL,
    MSR_RULE_FIXED_CTR_CTRL,
    MSR_RULE_PERF_GLOBAL_CTRL,
    MSR_RULE_PERF_STATUS_RESET,
    MSR_RULE_PERF_STATUS_SET,
    MSR_RULE_PERF_INUSE,
    MSR_RULE_PEBS_ENABLE,
    MSR_RULE_RTIT_CTL,
    MSR_RULE_RTIT_BASE,
    MSR_RULE_RTIT_MASK,
    MSR_RULE_RTIT_STATUS,
    MSR_RULE_RTIT_ADDRESS,
    MSR_RULE_RTIT_PLAIN,
    MSR_RULE_LBR_CTL,
    MSR_RULE_LBR_DEPTH,
    MSR_RULE_CET,
    MSR_RULE_XSS,
    MSR_RULE_EFER,
    MSR_RULE_SPEC_CTRL,
    MSR_RULE_SGX_KEY_HASH,
    MSR_RULE_MCU_OPT_CTRL,
    MSR_RULE_TEST_CTRL,
    MSR_RULE_PPIN,
    MSR_RULE_CLOCK_MODULATION,
    MSR_RULE_THERM_INTERRUPT,
    MSR_RULE_TEMPERATURE_TARGET,
    MSR_RULE_TURBO_RATIO,
    MSR_RULE_HWP_READ_ONLY,
    MSR_RULE_HWP_REQUEST,
    MSR_RULE_HWP_STATUS,
    MSR_RULE_HW_FEEDBACK_CONFIG,
    MSR_RULE_X2APIC_ID,
    MSR_RULE_X2APIC_TPR,
    MSR_RULE_X2APIC_PPR,
    MSR_RULE_X2APIC_LDR,
    MSR_RULE_X2APIC_SIVR,
    MSR_RULE_X2APIC_LVT,
    MSR_RULE_X2APIC_LVT_TIMER,
    MSR_RULE_X2APIC_COUNT,
    MSR_NUM_RULES
};

// Whether WRMSR of `value`, which has only writable bits of its row, is accepted in place of
// `old`; then *out is what the register holds afterwards.
bool msr_rule_accepts(const struct vmx_cpu *cpu, enum msr_rule rule, uint64_t old, uint64_t value,
                      uint64_t *out);

// Turns what the register holds into what RDMSR gives; false: #GP.
bool msr_rule_loads(const struct vmx_cpu *cpu, enum msr_rule rule, uint64_t *value);

// What an accepted write of `value`, which made the register grow by `change`, does elsewhere.
void msr_rule_follow(struct vmx_cpu *cpu, enum msr_rule rule, uint64_t change, uint64_t value);

#endif
