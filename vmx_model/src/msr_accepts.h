// The rules themselves: what each word of msr_rules.h means, by topic.
#ifndef VMX_MODEL_SRC_MSR_ACCEPTS_H
#define VMX_MODEL_SRC_MSR_ACCEPTS_H

#include "msr_rules.h"

static inline uint64_t bits_if(const struct vmx_cpu *cpu, enum vmx_feature feature, uint64_t bits)
{
    return vmx_profile_has(cpu->profile, feature) ? bits : 0;
}

static inline bool only(uint64_t value, uint64_t allowed)
{
    return (value & ~allowed) == 0;
}

// A write of `value` in place of `old`.
struct msr_attempt {
    const struct vmx_cpu *cpu;
    uint64_t old;
    uint64_t value;
};

// As msr_rule_accepts; *out has the value.
typedef bool msr_accepts_fn(const struct msr_attempt *a, uint64_t *out);
msr_accepts_fn accepts_apic_base;
msr_accepts_fn accepts_cache_mask;
msr_accepts_fn accepts_canonical;
msr_accepts_fn accepts_cet;
msr_accepts_fn accepts_clock_modulation;
msr_accepts_fn accepts_counter;
msr_accepts_fn accepts_debugctl;
msr_accepts_fn accepts_efer;
msr_accepts_fn accepts_feature_control;
msr_accepts_fn accepts_fixed_ctr_ctrl;
msr_accepts_fn accepts_hw_feedback_config;
msr_accepts_fn accepts_hwp_request;
msr_accepts_fn accepts_hwp_status;
msr_accepts_fn accepts_lbr_ctl;
msr_accepts_fn accepts_lbr_depth;
msr_accepts_fn accepts_mcg_status;
msr_accepts_fn accepts_mcu_opt_ctrl;
msr_accepts_fn accepts_misc_enable;
msr_accepts_fn accepts_mtrr_base;
msr_accepts_fn accepts_mtrr_def_type;
msr_accepts_fn accepts_mtrr_types;
msr_accepts_fn accepts_pat_types;
msr_accepts_fn accepts_pebs_enable;
msr_accepts_fn accepts_perf_global_ctrl;
msr_accepts_fn accepts_perf_status_reset;
msr_accepts_fn accepts_perf_status_set;
msr_accepts_fn accepts_perfevtsel;
msr_accepts_fn accepts_physical;
msr_accepts_fn accepts_pmc;
msr_accepts_fn accepts_rtit_address;
msr_accepts_fn accepts_rtit_base;
msr_accepts_fn accepts_rtit_ctl;
msr_accepts_fn accepts_rtit_mask;
msr_accepts_fn accepts_rtit_plain;
msr_accepts_fn accepts_rtit_status;
msr_accepts_fn accepts_sgx_key_hash;
msr_accepts_fn accepts_spec_ctrl;
msr_accepts_fn accepts_sticky_log;
msr_accepts_fn accepts_temperature_target;
msr_accepts_fn accepts_test_ctrl;
msr_accepts_fn accepts_therm_interrupt;
msr_accepts_fn accepts_tme_exclude;
msr_accepts_fn accepts_tsc_deadline;
msr_accepts_fn accepts_turbo_ratio;
msr_accepts_fn accepts_x2apic_count;
msr_accepts_fn accepts_x2apic_lvt;
msr_accepts_fn accepts_x2apic_lvt_timer;
msr_accepts_fn accepts_x2apic_sivr;
msr_accepts_fn accepts_xss;

// As msr_rule_loads.
typedef bool msr_loads_fn(const struct vmx_cpu *cpu, uint64_t *value);
msr_loads_fn loads_hwp;
msr_loads_fn loads_perf_inuse;
msr_loads_fn loads_ppin;
msr_loads_fn loads_tsc_deadline;
msr_loads_fn loads_x2apic_id;
msr_loads_fn loads_x2apic_ldr;
msr_loads_fn loads_x2apic_tpr;

// As msr_rule_follow; `change` is how much the register grew.
typedef void msr_follow_fn(struct vmx_cpu *cpu, uint64_t change, uint64_t value);
msr_follow_fn follow_lbr_depth;
msr_follow_fn follow_perf_status_reset;
msr_follow_fn follow_perf_status_set;
msr_follow_fn follow_x2apic_sivr;
msr_follow_fn follow_x2apic_tpr;

#endif
