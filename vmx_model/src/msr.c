#include "vmx_model/msr.h"

#include <stddef.h>

#include "msr_reset.h"
#include "msr_rules.h"

// HOME_GUEST_IA32_PAT and the like have the numbers of the VMCS slots; then come the others.
enum msr_home {
#define VMCS_FIELD(name, encoding, feature) HOME_##name,
#include "vmx_model/vmcs_fields.def"
    HOME_SHARED,
    HOME_TSC,
    HOME_FEATURE_CONTROL,
    HOME_NONE,
};

struct msr_row {
    const char *name;
    uint64_t reset;
    uint64_t writable;
    uint32_t index;
    uint16_t home[2]; // by enum msr_agent
    uint16_t feature;
    uint16_t rule;
};

static const struct msr_row rows[] = {
#define MSR(row_name, row_index, row_reset, row_writable, row_rule, root, guest, needs, cite)      \
    [MSR_SLOT_##row_name] = {                                                                      \
        .name = #row_name,                                                                         \
        .reset = (row_reset),                                                                      \
        .writable = (row_writable),                                                                \
        .index = (row_index),                                                                      \
        .home = {[MSR_DEBUGGER] = HOME_##root, [MSR_GUEST] = HOME_##guest},                        \
        .feature = VMX_FEATURE_##needs,                                                            \
        .rule = MSR_RULE_##row_rule,                                                               \
    },
#include "vmx_model/msrs.def"
};

// What RESET leaves could also have been written, or could never be.
#define MSR(name, index, reset, writable, rule, root, guest, feature, cite)                        \
    _Static_assert(MSR_RULE_##rule == MSR_RULE_READ_ONLY || ((reset) & ~(writable)) == 0,          \
                   #name ": reset value beyond the writable bits");
#include "vmx_model/msrs.def"

// The slot of a number, -1 when no row has it.
static int slot_of(uint32_t index)
{
    switch (index) {
#define MSR(name, index, reset, writable, rule, root, guest, feature, cite)                        \
    case index:                                                                                    \
        return MSR_SLOT_##name;
#include "vmx_model/msrs.def"
    default:
        return -1;
    }
}

static uint64_t home_load(const struct vmx_cpu *cpu, int slot, unsigned home)
{
    if (home < VMCS_NUM_FIELDS) {
        return cpu->vmcs.field[home];
    }
    switch (home) {
    case HOME_TSC:
        return cpu->tsc;
    case HOME_FEATURE_CONTROL:
        return cpu->feature_control;
    default:
        return cpu->msr[slot];
    }
}

static void home_store(struct vmx_cpu *cpu, int slot, unsigned home, uint64_t value)
{
    if (home < VMCS_NUM_FIELDS) {
        cpu->vmcs.field[home] = value & vmcs_slot_mask((enum vmcs_slot)home);
        return;
    }
    switch (home) {
    case HOME_TSC:
        cpu->tsc = value;
        break;
    case HOME_FEATURE_CONTROL:
        cpu->feature_control = value;
        break;
    default:
        cpu->msr[slot] = value;
        break;
    }
}

// The slot that an agent can reach on this processor, -1 when the access is #GP.
static int find(const struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index)
{
    int slot = slot_of(index);
    if (slot < 0 || rows[slot].home[agent] == HOME_NONE ||
        !vmx_profile_has(cpu->profile, (enum vmx_feature)rows[slot].feature)) {
        return -1;
    }
    return slot;
}

enum msr_result msr_read(const struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index,
                         uint64_t *out)
{
    int slot = find(cpu, agent, index);
    if (slot < 0) {
        return MSR_GP;
    }
    *out = home_load(cpu, slot, rows[slot].home[agent]);
    return MSR_OK;
}

// SDM Vol. 3B, "IA32_TSC_ADJUST MSR": a write to either of the two moves the other by as much.
static void follow(struct vmx_cpu *cpu, enum msr_rule rule, uint64_t change)
{
    if (rule == MSR_RULE_TSC) {
        cpu->msr[MSR_SLOT_IA32_TSC_ADJUST] += change;
    } else if (rule == MSR_RULE_TSC_ADJUST) {
        cpu->tsc += change;
    }
}

enum msr_result msr_write(struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index, uint64_t value)
{
    int slot = find(cpu, agent, index);
    if (slot < 0) {
        return MSR_GP;
    }
    const struct msr_row *row = &rows[slot];
    enum msr_rule rule = (enum msr_rule)row->rule;
    unsigned home = row->home[agent];
    uint64_t old = home_load(cpu, slot, home);
    uint64_t stored;

    if ((value & ~row->writable) != 0 || !msr_rule_accepts(cpu, rule, old, value, &stored)) {
        return MSR_GP;
    }
    home_store(cpu, slot, home, stored);
    follow(cpu, rule, stored - old);
    return MSR_OK;
}

// SDM Vol. 3A, table of processor states after RESET: IA32_PERF_GLOBAL_CTRL enables the general
// counters that there are.
static uint64_t reset_value(const struct vmx_profile *profile, int slot)
{
    if (slot == MSR_SLOT_IA32_PERF_GLOBAL_CTRL) {
        return rows[slot].reset & ((UINT64_C(1) << profile->num_gp_counters) - 1);
    }
    return rows[slot].reset;
}

void msr_reset(struct vmx_cpu *cpu)
{
    for (int slot = 0; slot < MSR_NUM_SLOTS; slot++) {
        const struct msr_row *row = &rows[slot];
        bool in_guest = row->home[MSR_GUEST] != HOME_NONE;
        if (vmx_profile_has(cpu->profile, (enum vmx_feature)row->feature)) {
            unsigned home = row->home[in_guest ? MSR_GUEST : MSR_DEBUGGER];
            home_store(cpu, slot, home, reset_value(cpu->profile, slot));
        }
    }
}

const char *msr_name(uint32_t index)
{
    int slot = slot_of(index);
    return slot < 0 ? NULL : rows[slot].name;
}

uint32_t msr_slot_index(enum msr_slot slot)
{
    return rows[slot].index;
}

uint64_t msr_slot_reset(enum msr_slot slot)
{
    return rows[slot].reset;
}
