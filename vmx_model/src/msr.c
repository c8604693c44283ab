#include "vmx_model/msr.h"

#include <stddef.h>

#include "msr_reset.h"
#include "msr_rules.h"
#include "vmx_model/controls.h"

// HOME_GUEST_IA32_PAT and the like have the numbers of the VMCS slots; then come the others.
enum msr_home {
#define VMCS_FIELD(name, encoding, feature) HOME_##name,
#include "vmx_model/vmcs_fields.def"
    HOME_SHARED,
    HOME_PACKAGE,
    HOME_APIC,
    HOME_X2APIC,
    HOME_COUNTER,
    HOME_TSC,
    HOME_FEATURE_CONTROL,
    HOME_NONE,
};

enum msr_bank {
    BANK_ONE,
    BANK_GENERAL,
    BANK_FIXED,
    BANK_MC,
    BANK_MTRR,
    BANK_LBR,
    BANK_DEPTH,
    BANK_PT,
    BANK_PERFMON,
};

struct msr_row {
    const char *name;
    uint64_t reset;
    uint64_t writable;
    uint32_t index;
    uint16_t home[2]; // by enum msr_agent
    uint16_t feature;
    uint8_t rule;
    uint8_t bank;
    uint8_t number;
};

static const struct msr_row rows[] = {
#define MSR(row_name, row_index, row_reset, row_writable, row_rule, root, guest, needs, row_bank,  \
            row_number, cite)                                                                      \
    [MSR_SLOT_##row_name] = {                                                                      \
        .name = #row_name,                                                                         \
        .reset = (row_reset),                                                                      \
        .writable = (row_writable),                                                                \
        .index = (row_index),                                                                      \
        .home = {[MSR_DEBUGGER] = HOME_##root, [MSR_GUEST] = HOME_##guest},                        \
        .feature = VMX_FEATURE_##needs,                                                            \
        .rule = MSR_RULE_##row_rule,                                                               \
        .bank = BANK_##row_bank,                                                                   \
        .number = (row_number),                                                                    \
    },
#include "vmx_model/msrs.def"
};

// The slot of a number, -1 when no row has it.
static int slot_of(uint32_t index)
{
    switch (index) {
#define MSR(name, index, reset, writable, rule, root, guest, feature, bank, number, cite)          \
    case index:                                                                                    \
        return MSR_SLOT_##name;
#include "vmx_model/msrs.def"
    default:
        return -1;
    }
}

// --- what exists -------------------------------------------------------------------------------

// How many of a bank's rows the processor has.
static unsigned count_of(const struct vmx_profile *profile, enum msr_bank bank)
{
    switch (bank) {
    case BANK_ONE:
        return 1;
    case BANK_GENERAL:
        return profile->num_gp_counters;
    case BANK_FIXED:
        return profile->num_fixed_counters;
    case BANK_MC:
        return profile->num_mc_banks;
    case BANK_MTRR:
        return profile->num_mtrrs;
    case BANK_LBR:
    case BANK_DEPTH:
        return profile->num_lbr_entries;
    case BANK_PT:
        return profile->num_pt_ranges;
    case BANK_PERFMON:
        return profile->perfmon_version;
    }
    return 0;
}

bool msr_slot_exists(const struct vmx_profile *profile, enum msr_slot slot)
{
    const struct msr_row *row = &rows[slot];
    return vmx_profile_has(profile, (enum vmx_feature)row->feature) &&
           row->number < count_of(profile, (enum msr_bank)row->bank);
}

#define APIC_BASE_EXTD UINT64_C(0x400)

// Whether the CPU's present state hides a row that the processor has. SDM Vol. 3A, "x2APIC Register
// Address Space"; Vol. 3B, "Architectural Last Branch Records": entries beyond the depth are #GP.
static bool is_hidden(const struct vmx_cpu *cpu, const struct msr_row *row, unsigned home)
{
    if (home == HOME_X2APIC) {
        return (cpu->msr[MSR_SLOT_IA32_APIC_BASE] & APIC_BASE_EXTD) == 0;
    }
    return home == HOME_NONE ||
           (row->bank == BANK_DEPTH && row->number >= cpu->msr[MSR_SLOT_IA32_LBR_DEPTH]);
}

// The slot that an agent can reach on this processor, -1 when the access is #GP.
static int find(const struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index)
{
    int slot = slot_of(index);
    if (slot < 0 || !msr_slot_exists(cpu->profile, (enum msr_slot)slot) ||
        is_hidden(cpu, &rows[slot], rows[slot].home[agent])) {
        return -1;
    }
    return slot;
}

// --- homes -------------------------------------------------------------------------------------

// IA32_PMCn and IA32_A_PMCn are two names of one counter.
static int storage_of(int slot, unsigned home)
{
    return home == HOME_COUNTER ? (int)MSR_SLOT_IA32_PMC0 + rows[slot].number : slot;
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
        return cpu->msr[storage_of(slot, home)];
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
        cpu->msr[storage_of(slot, home)] = value;
        break;
    }
}

// --- access ------------------------------------------------------------------------------------

// NULL when the machine leaves this number to the table.
static const struct msr_override *override_of(const struct vmx_cpu *cpu, uint32_t index)
{
    uint32_t from = 0;
    uint32_t to = cpu->num_overrides;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (cpu->overrides[middle].index < index) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    bool found = from < cpu->num_overrides && cpu->overrides[from].index == index;
    return found ? &cpu->overrides[from] : NULL;
}

static enum msr_result read_row(const struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index,
                                uint64_t *out)
{
    int slot = find(cpu, agent, index);
    if (slot < 0) {
        return MSR_GP;
    }
    uint64_t value = home_load(cpu, slot, rows[slot].home[agent]);
    if (!msr_rule_loads(cpu, (enum msr_rule)rows[slot].rule, &value)) {
        return MSR_GP;
    }
    *out = value;
    return MSR_OK;
}

enum msr_result msr_read(const struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index,
                         uint64_t *out)
{
    const struct msr_override *override = override_of(cpu, index);
    if (override != NULL && (override->effects & MSR_OVERRIDE_READ_GP) != 0) {
        return MSR_GP;
    }
    if (override != NULL && (override->effects & MSR_OVERRIDE_FIXED) != 0) {
        *out = override->value;
        return MSR_OK;
    }
    return read_row(cpu, agent, index, out);
}

static enum msr_result write_row(struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index,
                                 uint64_t value)
{
    int slot = find(cpu, agent, index);
    if (slot < 0) {
        return MSR_GP;
    }
    const struct msr_row *row = &rows[slot];
    unsigned home = row->home[agent];
    enum msr_rule rule = (enum msr_rule)row->rule;
    uint64_t old = home_load(cpu, slot, home);
    uint64_t stored;

    if ((value & ~row->writable) != 0 || !msr_rule_accepts(cpu, rule, old, value, &stored)) {
        return MSR_GP;
    }
    home_store(cpu, slot, home, stored);
    msr_rule_follow(cpu, rule, stored - old, value);
    return MSR_OK;
}

enum msr_result msr_write(struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index, uint64_t value)
{
    const struct msr_override *override = override_of(cpu, index);
    if (override != NULL && (override->effects & MSR_OVERRIDE_WRITE_GP) != 0) {
        return MSR_GP;
    }
    if (override != NULL && (override->effects & MSR_OVERRIDE_FIXED) != 0) {
        return MSR_OK;
    }
    return write_row(cpu, agent, index, value);
}

bool msr_is_apics(const struct vmx_cpu *cpu, uint32_t index)
{
    int slot = slot_of(index);
    unsigned home = slot < 0 ? HOME_NONE : rows[slot].home[MSR_GUEST];
    return (home == HOME_APIC || home == HOME_X2APIC) && override_of(cpu, index) == NULL;
}

bool msr_is_packages(uint32_t index)
{
    int slot = slot_of(index);
    return slot >= 0 && rows[slot].home[MSR_GUEST] == HOME_PACKAGE;
}

void msr_copy_package(struct vmx_cpu *to, const struct vmx_cpu *from, uint32_t index)
{
    if (msr_is_packages(index)) {
        to->msr[slot_of(index)] = from->msr[slot_of(index)];
    }
}

// --- reset -------------------------------------------------------------------------------------

static const struct {
    uint16_t slot;
    uint16_t feature;
    uint8_t bit;
} feature_bits[] = {
#define MSR_FEATURE(name, msr, bit) {MSR_SLOT_##msr, VMX_FEATURE_##name, bit},
#include "vmx_model/features.def"
};

// The MSRs that enumerate something are made from it.
static void reset_enumerations(struct vmx_cpu *cpu)
{
    const struct vmx_profile *profile = cpu->profile;
    uint64_t *msr = cpu->msr;

    for (size_t i = 0; i < sizeof(feature_bits) / sizeof(feature_bits[0]); i++) {
        if (msr_slot_exists(profile, (enum msr_slot)feature_bits[i].slot) &&
            vmx_profile_has(profile, (enum vmx_feature)feature_bits[i].feature)) {
            msr[feature_bits[i].slot] |= UINT64_C(1) << feature_bits[i].bit;
        }
    }
    if (msr_slot_exists(profile, MSR_SLOT_IA32_MTRRCAP)) {
        msr[MSR_SLOT_IA32_MTRRCAP] |= profile->num_mtrrs;
    }
    if (msr_slot_exists(profile, MSR_SLOT_IA32_MCG_CAP)) {
        msr[MSR_SLOT_IA32_MCG_CAP] |= profile->num_mc_banks;
    }
    if (msr_slot_exists(profile, MSR_SLOT_IA32_X2APIC_VERSION)) {
        msr[MSR_SLOT_IA32_X2APIC_VERSION] = profile->apic_version;
    }
    for (unsigned n = 0; n <= VMX_MSR_EXIT2 - VMX_MSR_BASIC; n++) {
        (void)vmx_capability_msr(profile, VMX_MSR_BASIC + n, &msr[MSR_SLOT_IA32_VMX_BASIC + n]);
    }
}

static uint64_t reset_value(const struct vmx_profile *profile, int slot)
{
    switch (slot) {
    case MSR_SLOT_IA32_PERF_GLOBAL_CTRL: // SDM Vol. 3A, table of processor states after RESET
        return (UINT64_C(1) << profile->num_gp_counters) - 1;
    case MSR_SLOT_IA32_LBR_DEPTH:
        return profile->num_lbr_entries;
    default:
        return rows[slot].reset;
    }
}

// Stores a value where the guest has the MSR, or the debugger, when the guest has not.
static void reset_row(struct vmx_cpu *cpu, int slot, uint64_t value)
{
    const uint16_t *home = rows[slot].home;
    if (msr_slot_exists(cpu->profile, (enum msr_slot)slot)) {
        home_store(cpu, slot, home[home[MSR_GUEST] != HOME_NONE ? MSR_GUEST : MSR_DEBUGGER], value);
    }
}

void msr_reset(struct vmx_cpu *cpu)
{
    const struct vmx_profile *profile = cpu->profile;
    for (int slot = 0; slot < MSR_NUM_SLOTS; slot++) {
        reset_row(cpu, slot, reset_value(profile, slot));
    }
    for (uint32_t i = 0; i < profile->num_msrs; i++) {
        int slot = slot_of(profile->msrs[i].index);
        if (slot >= 0) {
            reset_row(cpu, slot, profile->msrs[i].value);
        }
    }
    reset_enumerations(cpu);
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
