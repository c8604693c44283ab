#include "msr_rules.h"

#include <stddef.h>

#include "msr_accepts.h"

static bool accepts_nothing(const struct msr_attempt *a, uint64_t *out)
{
    (void)a;
    (void)out;
    return false;
}

static bool accepts_any(const struct msr_attempt *a, uint64_t *out)
{
    (void)a;
    (void)out;
    return true;
}

static bool accepts_ignored(const struct msr_attempt *a, uint64_t *out)
{
    *out = a->old;
    return true;
}

static bool accepts_command(const struct msr_attempt *a, uint64_t *out)
{
    (void)a;
    *out = 0;
    return true;
}

static bool loads_command(const struct vmx_cpu *cpu, uint64_t *value)
{
    (void)cpu;
    (void)value;
    return false;
}

static bool accepts_low_32(const struct msr_attempt *a, uint64_t *out)
{
    *out = a->value & 0xFFFFFFFF;
    return true;
}

#define ACCEPTS_UNLOCKED(bit)                                                                      \
    static bool accepts_lock_##bit(const struct msr_attempt *a, uint64_t *out)                     \
    {                                                                                              \
        (void)out;                                                                                 \
        return (a->old >> (bit)&1) == 0;                                                           \
    }

ACCEPTS_UNLOCKED(0)
ACCEPTS_UNLOCKED(15)
ACCEPTS_UNLOCKED(30)
ACCEPTS_UNLOCKED(31)
ACCEPTS_UNLOCKED(63)

static bool accepts_set_once(const struct msr_attempt *a, uint64_t *out)
{
    *out = a->old | a->value;
    return true;
}

// SDM Vol. 3B, "IA32_TSC_ADJUST MSR": a write to either of the two moves the other by as much.
static void follow_tsc(struct vmx_cpu *cpu, uint64_t change, uint64_t value)
{
    (void)value;
    cpu->msr[MSR_SLOT_IA32_TSC_ADJUST] += change;
}

static void follow_tsc_adjust(struct vmx_cpu *cpu, uint64_t change, uint64_t value)
{
    (void)value;
    cpu->tsc += change;
}

static const struct {
    msr_accepts_fn *accepts;
    msr_loads_fn *loads;   // NULL: RDMSR gives what the register holds
    msr_follow_fn *follow; // NULL: nothing else changes
} rules[MSR_NUM_RULES] = {
    [MSR_RULE_ANY] = {.accepts = accepts_any},
    [MSR_RULE_CLEAR] = {.accepts = accepts_any},
    [MSR_RULE_READ_ONLY] = {.accepts = accepts_nothing},
    [MSR_RULE_IGNORED] = {.accepts = accepts_ignored},
    [MSR_RULE_COMMAND] = {.accepts = accepts_command, .loads = loads_command},
    [MSR_RULE_LOW_32] = {.accepts = accepts_low_32},
    [MSR_RULE_CANONICAL] = {.accepts = accepts_canonical},
    [MSR_RULE_PHYSICAL] = {.accepts = accepts_physical},
    [MSR_RULE_LOCK_0] = {.accepts = accepts_lock_0},
    [MSR_RULE_LOCK_15] = {.accepts = accepts_lock_15},
    [MSR_RULE_LOCK_30] = {.accepts = accepts_lock_30},
    [MSR_RULE_LOCK_31] = {.accepts = accepts_lock_31},
    [MSR_RULE_LOCK_63] = {.accepts = accepts_lock_63},
    [MSR_RULE_SET_ONCE] = {.accepts = accepts_set_once},
    [MSR_RULE_STICKY_LOG] = {.accepts = accepts_sticky_log},
    [MSR_RULE_TSC] = {.accepts = accepts_any, .follow = follow_tsc},
    [MSR_RULE_TSC_ADJUST] = {.accepts = accepts_any, .follow = follow_tsc_adjust},
    [MSR_RULE_TSC_DEADLINE] = {.accepts = accepts_tsc_deadline, .loads = loads_tsc_deadline},
    [MSR_RULE_APIC_BASE] = {.accepts = accepts_apic_base},
    [MSR_RULE_FEATURE_CONTROL] = {.accepts = accepts_feature_control},
    [MSR_RULE_MISC_ENABLE] = {.accepts = accepts_misc_enable},
    [MSR_RULE_DEBUGCTL] = {.accepts = accepts_debugctl},
    [MSR_RULE_MTRR_BASE] = {.accepts = accepts_mtrr_base},
    [MSR_RULE_MTRR_MASK] = {.accepts = accepts_physical},
    [MSR_RULE_MTRR_TYPES] = {.accepts = accepts_mtrr_types},
    [MSR_RULE_MTRR_DEF_TYPE] = {.accepts = accepts_mtrr_def_type},
    [MSR_RULE_PAT_TYPES] = {.accepts = accepts_pat_types},
    [MSR_RULE_CACHE_MASK] = {.accepts = accepts_cache_mask},
    [MSR_RULE_TME_EXCLUDE] = {.accepts = accepts_tme_exclude},
    [MSR_RULE_MCG_STATUS] = {.accepts = accepts_mcg_status},
    [MSR_RULE_PMC] = {.accepts = accepts_pmc},
    [MSR_RULE_COUNTER] = {.accepts = accepts_counter},
    [MSR_RULE_PERFEVTSEL] = {.accepts = accepts_perfevtsel},
    [MSR_RULE_FIXED_CTR_CTRL] = {.accepts = accepts_fixed_ctr_ctrl},
    [MSR_RULE_PERF_GLOBAL_CTRL] = {.accepts = accepts_perf_global_ctrl},
    [MSR_RULE_PERF_STATUS_RESET] = {.accepts = accepts_perf_status_reset,
                                    .follow = follow_perf_status_reset},
    [MSR_RULE_PERF_STATUS_SET] = {.accepts = accepts_perf_status_set,
                                  .follow = follow_perf_status_set},
    [MSR_RULE_PERF_INUSE] = {.accepts = accepts_nothing, .loads = loads_perf_inuse},
    [MSR_RULE_PEBS_ENABLE] = {.accepts = accepts_pebs_enable},
    [MSR_RULE_RTIT_CTL] = {.accepts = accepts_rtit_ctl},
    [MSR_RULE_RTIT_BASE] = {.accepts = accepts_rtit_base},
    [MSR_RULE_RTIT_MASK] = {.accepts = accepts_rtit_mask},
    [MSR_RULE_RTIT_STATUS] = {.accepts = accepts_rtit_status},
    [MSR_RULE_RTIT_ADDRESS] = {.accepts = accepts_rtit_address},
    [MSR_RULE_RTIT_PLAIN] = {.accepts = accepts_rtit_plain},
    [MSR_RULE_LBR_CTL] = {.accepts = accepts_lbr_ctl},
    [MSR_RULE_LBR_DEPTH] = {.accepts = accepts_lbr_depth, .follow = follow_lbr_depth},
    [MSR_RULE_CET] = {.accepts = accepts_cet},
    [MSR_RULE_XSS] = {.accepts = accepts_xss},
    [MSR_RULE_EFER] = {.accepts = accepts_efer},
    [MSR_RULE_SPEC_CTRL] = {.accepts = accepts_spec_ctrl},
    [MSR_RULE_SGX_KEY_HASH] = {.accepts = accepts_sgx_key_hash},
    [MSR_RULE_MCU_OPT_CTRL] = {.accepts = accepts_mcu_opt_ctrl},
    [MSR_RULE_TEST_CTRL] = {.accepts = accepts_test_ctrl},
    [MSR_RULE_PPIN] = {.accepts = accepts_nothing, .loads = loads_ppin},
    [MSR_RULE_CLOCK_MODULATION] = {.accepts = accepts_clock_modulation},
    [MSR_RULE_THERM_INTERRUPT] = {.accepts = accepts_therm_interrupt},
    [MSR_RULE_TEMPERATURE_TARGET] = {.accepts = accepts_temperature_target},
    [MSR_RULE_TURBO_RATIO] = {.accepts = accepts_turbo_ratio},
    [MSR_RULE_HWP_READ_ONLY] = {.accepts = accepts_nothing, .loads = loads_hwp},
    [MSR_RULE_HWP_REQUEST] = {.accepts = accepts_hwp_request, .loads = loads_hwp},
    [MSR_RULE_HWP_STATUS] = {.accepts = accepts_hwp_status, .loads = loads_hwp},
    [MSR_RULE_HW_FEEDBACK_CONFIG] = {.accepts = accepts_hw_feedback_config},
    [MSR_RULE_X2APIC_ID] = {.accepts = accepts_nothing, .loads = loads_x2apic_id},
    [MSR_RULE_X2APIC_TPR] = {.accepts = accepts_any,
                             .loads = loads_x2apic_tpr,
                             .follow = follow_x2apic_tpr},
    [MSR_RULE_X2APIC_PPR] = {.accepts = accepts_nothing, .loads = loads_x2apic_tpr},
    [MSR_RULE_X2APIC_LDR] = {.accepts = accepts_nothing, .loads = loads_x2apic_ldr},
    [MSR_RULE_X2APIC_SIVR] = {.accepts = accepts_x2apic_sivr, .follow = follow_x2apic_sivr},
    [MSR_RULE_X2APIC_LVT] = {.accepts = accepts_x2apic_lvt},
    [MSR_RULE_X2APIC_LVT_TIMER] = {.accepts = accepts_x2apic_lvt_timer},
    [MSR_RULE_X2APIC_COUNT] = {.accepts = accepts_x2apic_count},
};

bool msr_rule_accepts(const struct vmx_cpu *cpu, enum msr_rule rule, uint64_t old, uint64_t value,
                      uint64_t *out)
{
    struct msr_attempt attempt = {.cpu = cpu, .old = old, .value = value};
    *out = value;
    return rules[rule].accepts(&attempt, out);
}

bool msr_rule_loads(const struct vmx_cpu *cpu, enum msr_rule rule, uint64_t *value)
{
    return rules[rule].loads == NULL || rules[rule].loads(cpu, value);
}

void msr_rule_follow(struct vmx_cpu *cpu, enum msr_rule rule, uint64_t change, uint64_t value)
{
    if (rules[rule].follow != NULL) {
        rules[rule].follow(cpu, change, value);
    }
}
