#include <string.h>

#include "harness.h"
#include "vmx_model/controls.h"
#include "vmx_model/cpuid.h"
#include "vmx_model/entry.h"
#include "vmx_world.h"

#define CPUID_EXTENDED UINT32_C(0x80000000)

// --- MSRs -----------------------------------------------------------------------------------

struct row {
    const char *rule;
    uint64_t writable;
};

static const struct row rows[] = {
#define MSR(name, index, reset, writable_bits, rule_name, debugger, guest, feature, bank, number,  \
            cite)                                                                                  \
    [MSR_SLOT_##name] = {#rule_name, (writable_bits)},
#include "vmx_model/msrs.def"
};

// Registers that RDMSR does not give back as WRMSR took them: each bit is then one that it had
// before, one that was written, or one of these.
static const struct {
    const char *rule;
    uint64_t forced;
} inexact[] = {
    {"IGNORED", 0},
    {"LOW_32", 0},
    {"SET_ONCE", 0},
    {"STICKY_LOG", 0},
    {"TEMPERATURE_TARGET", 0},
    {"TSC_DEADLINE", 0},
    {"MISC_ENABLE", 0},
    {"EFER", 0},
    {"MCU_OPT_CTRL", 0},
    {"PMC", UINT64_MAX},
    {"PERF_STATUS_RESET", 0},
    {"PERF_STATUS_SET", 0},
    {"RTIT_MASK", 0x7F},
    {"RTIT_STATUS", 0},
    {"HWP_STATUS", 0},
    {"X2APIC_LVT", 0x10000},
    {"X2APIC_LVT_TIMER", 0x10000},
    {"X2APIC_COUNT", 0},
};

// Rules whose write changes more than one register.
static const char *const far_reaching[] = {
    "TSC",       "TSC_ADJUST",  "PERF_STATUS_RESET", "PERF_STATUS_SET",
    "LBR_DEPTH", "X2APIC_SIVR", "X2APIC_TPR",
};

static const struct row *row_of(uint32_t index)
{
    switch (index) {
#define MSR(name, index, reset, writable, rule, debugger, guest, feature, bank, number, cite)      \
    case index:                                                                                    \
        return &rows[MSR_SLOT_##name];
#include "vmx_model/msrs.def"
    default:
        return NULL;
    }
}

static bool is_far_reaching(const char *rule)
{
    for (size_t i = 0; i < sizeof(far_reaching) / sizeof(far_reaching[0]); i++) {
        if (strcmp(far_reaching[i], rule) == 0) {
            return true;
        }
    }
    return false;
}

static const struct msr_override *override_of(const struct vmx_cpu *cpu, uint32_t index)
{
    for (uint32_t i = 0; i < cpu->num_overrides; i++) {
        if (cpu->overrides[i].index == index) {
            return &cpu->overrides[i];
        }
    }
    return NULL;
}

// What a write did beside the MSRs and the VMCS, and how many of them it changed.
static void check_reach(const struct vmx_cpu *before, const struct vmx_cpu *after, const char *rule)
{
    unsigned num_changed = before->feature_control != after->feature_control;
    for (unsigned i = 0; i < MSR_NUM_SLOTS; i++) {
        num_changed += before->msr[i] != after->msr[i];
    }
    for (unsigned i = 0; i < VMCS_NUM_FIELDS; i++) {
        num_changed += before->vmcs.field[i] != after->vmcs.field[i];
    }
    FUZZ_REQUIRE(num_changed <= 1 || is_far_reaching(rule));
    FUZZ_REQUIRE(memcmp(before->gpr, after->gpr, sizeof(before->gpr)) == 0);
    FUZZ_REQUIRE(memcmp(before->dr, after->dr, sizeof(before->dr)) == 0);
    FUZZ_REQUIRE(before->cr2 == after->cr2 && before->dr6 == after->dr6);
    FUZZ_REQUIRE(before->xcr0 == after->xcr0 && before->pkru == after->pkru);
    FUZZ_REQUIRE(before->apic_id == after->apic_id && before->num_cpus == after->num_cpus);
    FUZZ_REQUIRE(before->cr8 == after->cr8 || strcmp(rule, "X2APIC_TPR") == 0);
    FUZZ_REQUIRE(before->tsc == after->tsc || strncmp(rule, "TSC", 3) == 0);
}

// Each bit read is one that was written, or a documented other one.
static void check_bits(const char *rule, uint64_t old, uint64_t value, uint64_t got)
{
    uint64_t forced = 0;
    bool exact = true;
    for (size_t i = 0; i < sizeof(inexact) / sizeof(inexact[0]); i++) {
        if (strcmp(inexact[i].rule, rule) == 0) {
            exact = false;
            forced = inexact[i].forced;
        }
    }
    FUZZ_REQUIRE(!exact || got == value);
    FUZZ_REQUIRE((got & ~(old | value | forced)) == 0);
    FUZZ_REQUIRE((old & value & ~got) == 0 || forced == UINT64_MAX);
}

// The agents see one register, but for the bases of FS and GS and for SMBASE.
static bool is_common(uint32_t index)
{
    return index != 0xC0000100 && index != 0xC0000101 && index != 0x9E;
}

static void check_read_back(struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index, uint64_t old,
                            uint64_t value)
{
    const char *rule = row_of(index)->rule;
    enum msr_agent other = agent == MSR_GUEST ? MSR_DEBUGGER : MSR_GUEST;
    uint64_t got = 0;
    uint64_t seen = 0;
    if (strcmp(rule, "COMMAND") == 0) {
        FUZZ_REQUIRE(msr_read(cpu, agent, index, &got) == MSR_GP);
        return;
    }
    FUZZ_REQUIRE(msr_read(cpu, agent, index, &got) == MSR_OK);
    check_bits(rule, old, value, got);
    if (is_common(index)) {
        FUZZ_REQUIRE(msr_read(cpu, other, index, &seen) == MSR_OK && seen == got);
    }
    // What a register reads as stays when it can be written at all.
    struct vmx_cpu again = *cpu;
    if (msr_write(&again, agent, index, got) == MSR_OK) {
        FUZZ_REQUIRE(msr_read(&again, agent, index, &seen) == MSR_OK && seen == got);
    }
}

static void check_overridden_write(const struct vmx_cpu *before, const struct vmx_cpu *after,
                                   const struct msr_override *override, enum msr_result result)
{
    if ((override->effects & MSR_OVERRIDE_WRITE_GP) != 0) {
        FUZZ_REQUIRE(result == MSR_GP);
    } else if ((override->effects & MSR_OVERRIDE_FIXED) != 0) {
        FUZZ_REQUIRE(result == MSR_OK && vmx_cpu_equal(before, after));
    }
}

// A package's other processors get the register and nothing else.
static void check_package(const struct vmx_cpu *cpu, const struct vmx_cpu *before, uint32_t index)
{
    struct vmx_cpu other = *before;
    uint64_t here = 0;
    uint64_t there = 0;
    msr_copy_package(&other, cpu, index);
    FUZZ_REQUIRE(msr_is_packages(index) || vmx_cpu_equal(&other, before));
    if (msr_is_packages(index) && msr_read(cpu, MSR_GUEST, index, &here) == MSR_OK) {
        FUZZ_REQUIRE(msr_read(&other, MSR_GUEST, index, &there) == MSR_OK && there == here);
    }
}

void vmx_check_msr_write(struct vmx_cpu *cpu, enum msr_agent agent, uint32_t index, uint64_t value)
{
    struct vmx_cpu before = *cpu;
    uint64_t old = 0;
    (void)msr_read(cpu, agent, index, &old);
    enum msr_result result = msr_write(cpu, agent, index, value);
    const struct row *row = row_of(index);
    const struct msr_override *override = override_of(cpu, index);
    FUZZ_REQUIRE((row == NULL) == (msr_name(index) == NULL));
    if (result == MSR_GP) {
        FUZZ_REQUIRE(vmx_cpu_equal(&before, cpu));
    }
    if (override != NULL) {
        check_overridden_write(&before, cpu, override, result);
        return;
    }
    if (result == MSR_GP) {
        return;
    }
    FUZZ_REQUIRE(row != NULL);
    FUZZ_REQUIRE((value & ~row->writable) == 0);
    vmx_check_widths(&cpu->vmcs);
    check_reach(&before, cpu, row->rule);
    check_read_back(cpu, agent, index, old, value);
    check_package(cpu, &before, index);
}

void vmx_check_msr_read(const struct vmx_cpu *cpu, uint32_t index)
{
    static const uint64_t untouched = UINT64_C(0x5A5A5A5A5A5A5A5A);
    const struct msr_override *override = override_of(cpu, index);
    uint64_t value[2] = {untouched, untouched};
    enum msr_result result[2];
    for (unsigned agent = 0; agent < 2; agent++) {
        result[agent] = msr_read(cpu, (enum msr_agent)agent, index, &value[agent]);
        FUZZ_REQUIRE(result[agent] == MSR_OK || value[agent] == untouched);
        FUZZ_REQUIRE(result[agent] == MSR_GP || override != NULL || msr_name(index) != NULL);
    }
    if (is_common(index)) {
        FUZZ_REQUIRE(result[0] == result[1] && value[0] == value[1]);
    }
    if (override != NULL && (override->effects & MSR_OVERRIDE_READ_GP) != 0) {
        FUZZ_REQUIRE(result[0] == MSR_GP);
    } else if (override != NULL && (override->effects & MSR_OVERRIDE_FIXED) != 0) {
        FUZZ_REQUIRE(result[0] == MSR_OK && value[0] == override->value);
    }
    FUZZ_REQUIRE(!msr_is_apics(cpu, index) || override == NULL);
}

// --- VMCS -----------------------------------------------------------------------------------

void vmx_check_widths(const struct vmcs *vmcs)
{
    for (unsigned i = 0; i < VMCS_NUM_FIELDS; i++) {
        FUZZ_REQUIRE((vmcs->field[i] & ~vmcs_slot_mask((enum vmcs_slot)i)) == 0);
    }
}

static void check_written(const struct vmcs *before, const struct vmcs *vmcs, uint32_t encoding,
                          uint64_t value)
{
    enum vmcs_slot slot = VMCS_NUM_FIELDS;
    uint64_t got = 0;
    bool high = (encoding & VMCS_ENCODING_HIGH) != 0;
    uint64_t mask = high ? UINT32_MAX : vmcs_encoding_mask(encoding);
    FUZZ_REQUIRE(vmcs_slot_of(encoding, &slot) && vmcs_slot_exists(vmcs->profile, slot));
    FUZZ_REQUIRE(vmcs_slot_encoding(slot) == (encoding & ~VMCS_ENCODING_HIGH));
    FUZZ_REQUIRE(vmcs_read(vmcs, encoding, &got) && got == (value & mask));
    for (unsigned i = 0; i < VMCS_NUM_FIELDS; i++) {
        FUZZ_REQUIRE(i == slot || vmcs->field[i] == before->field[i]);
    }
    FUZZ_REQUIRE(!high || (uint32_t)vmcs->field[slot] == (uint32_t)before->field[slot]);
    FUZZ_REQUIRE(vmcs_encoding_group(encoding) != VMCS_GROUP_READ_ONLY ||
                 vmx_profile_has(vmcs->profile, VMX_FEATURE_VMWRITE_READ_ONLY_FIELDS));
}

void vmx_check_vmcs_write(struct vmcs *vmcs, uint32_t encoding, uint64_t value)
{
    struct vmcs before;
    memcpy(&before, vmcs, sizeof(before));
    if (vmcs_write(vmcs, encoding, value)) {
        check_written(&before, vmcs, encoding, value);
        vmx_check_widths(vmcs);
        return;
    }
    FUZZ_REQUIRE(memcmp(&before, vmcs, sizeof(before)) == 0);
    FUZZ_REQUIRE(!vmcs_read(vmcs, encoding, &value) ||
                 vmcs_encoding_group(encoding) == VMCS_GROUP_READ_ONLY);
}

void vmx_check_vmcs_read(const struct vmcs *vmcs, uint32_t encoding)
{
    uint64_t value = 0;
    uint64_t high = 0;
    if (!vmcs_read(vmcs, encoding, &value)) {
        FUZZ_REQUIRE(value == 0);
        return;
    }
    FUZZ_REQUIRE(vmcs_field_name(encoding));
    bool has_high = vmcs_read(vmcs, encoding | VMCS_ENCODING_HIGH, &high);
    FUZZ_REQUIRE(has_high == (vmcs_encoding_width(encoding) == VMCS_WIDTH_64));
    FUZZ_REQUIRE(!has_high || high == ((encoding & VMCS_ENCODING_HIGH) != 0 ? value : value >> 32));
}

// --- entry ----------------------------------------------------------------------------------

void vmx_check_outcome(const struct vmx_entry_outcome *outcome)
{
    bool is_entered = outcome->result == VMX_ENTERED;
    bool is_exit = outcome->result == VMX_ENTRY_FAILED;
    uint32_t reason = outcome->exit_reason & ~VMX_EXIT_ENTRY_FAILURE;
    FUZZ_REQUIRE(outcome->rule < VMX_NUM_ENTRY_RULES);
    FUZZ_REQUIRE(is_entered == (outcome->rule == VMX_ENTRY_RULE_NONE));
    FUZZ_REQUIRE(is_entered == (vmx_entry_rule_text(outcome->rule)[0] == '\0'));
    FUZZ_REQUIRE((outcome->result == VMX_FAIL_VALID) == (outcome->instruction_error != 0));
    FUZZ_REQUIRE(outcome->instruction_error == 0 ||
                 vmx_instruction_error_text(outcome->instruction_error));
    FUZZ_REQUIRE(is_exit == (outcome->exit_reason != 0));
    FUZZ_REQUIRE(is_exit || outcome->qualification == 0);
    FUZZ_REQUIRE(!is_exit || (outcome->exit_reason & VMX_EXIT_ENTRY_FAILURE) != 0);
    FUZZ_REQUIRE(!is_exit || reason == VMX_EXIT_INVALID_GUEST_STATE ||
                 reason == VMX_EXIT_MSR_LOADING);
    FUZZ_REQUIRE(reason != VMX_EXIT_MSR_LOADING || outcome->qualification != 0);
}

// Of a guest that entered: what no rule may let pass, said of the whole.
static void check_entered(const struct vmx_cpu *cpu)
{
    const uint64_t *field = cpu->vmcs.field;
    for (unsigned i = 0; i < VMX_NUM_CONTROL_GROUPS; i++) {
        enum vmx_control_group group = (enum vmx_control_group)i;
        uint64_t active = vmx_controls_active(&cpu->vmcs, group);
        uint64_t required = active != 0 ? vmx_controls_required(cpu->profile, group) : 0;
        FUZZ_REQUIRE((active & ~vmx_controls_allowed(cpu->profile, group)) == 0);
        FUZZ_REQUIRE((required & ~active) == 0);
    }
    uint64_t cr0 = field[VMCS_GUEST_CR0];
    bool ia32e = (field[VMCS_ENTRY_CONTROLS] & VMX_ENTRY_GUEST_IA32E_MODE) != 0;
    FUZZ_REQUIRE((cr0 & MMU_CR0_PG) == 0 || (cr0 & MMU_CR0_PE) != 0);
    FUZZ_REQUIRE(!ia32e || (cr0 & MMU_CR0_PG) != 0);
    FUZZ_REQUIRE(!ia32e || (field[VMCS_GUEST_CR4] & MMU_CR4_PAE) != 0);
    FUZZ_REQUIRE((field[VMCS_GUEST_CR4] & ~vmx_cr4_supported(cpu->profile)) == 0);
    FUZZ_REQUIRE(!ia32e || (field[VMCS_GUEST_RFLAGS] & MMU_RFLAGS_VM) == 0);
    FUZZ_REQUIRE((field[VMCS_GUEST_RFLAGS] & 0x802A) == 2);
    FUZZ_REQUIRE((field[VMCS_GUEST_TR_ACCESS] & 0x10090) == 0x80);
}

// What passes with memory passes without, and what fails with it fails at the same rule or later.
void vmx_check_entry(struct vmx_world *world)
{
    struct vmx_memory memory = vmx_world_memory(world);
    struct vmx_cpu before = world->cpu;
    struct vmx_entry_outcome with;
    struct vmx_entry_outcome without;
    vmx_entry_check(&world->cpu, &memory.reader, &with);
    vmx_entry_check(&world->cpu, NULL, &without);
    FUZZ_REQUIRE(vmx_cpu_equal(&before, &world->cpu));
    vmx_check_outcome(&with);
    vmx_check_outcome(&without);
    FUZZ_REQUIRE(with.result != VMX_FAIL_INVALID && without.result != VMX_FAIL_INVALID);
    FUZZ_REQUIRE(with.rule != VMX_ENTRY_RULE_NONE || without.rule == VMX_ENTRY_RULE_NONE);
    FUZZ_REQUIRE(without.rule == VMX_ENTRY_RULE_NONE || with.rule <= without.rule);
    if (with.result == VMX_ENTERED) {
        check_entered(&world->cpu);
    }
}

// --- exits ----------------------------------------------------------------------------------

static bool same_event(const struct vmx_event *a, const struct vmx_event *b)
{
    if (!a->valid || !b->valid) {
        return a->valid == b->valid;
    }
    return a->type == b->type && a->vector == b->vector && a->has_error_code == b->has_error_code &&
           a->nmi_unblocked == b->nmi_unblocked &&
           (!a->has_error_code || a->error_code == b->error_code);
}

// An exit that was recorded is the one that is told of, and nothing but the exit's fields changed.
void vmx_check_exit(struct vmcs *vmcs, const struct vmx_exit *exit)
{
    struct vmcs before;
    memcpy(&before, vmcs, sizeof(before));
    vmx_exit_record(vmcs, exit);
    struct vmx_exit told = vmx_exit_of(vmcs);
    FUZZ_REQUIRE(told.reason == exit->reason && told.qualification == exit->qualification);
    vmx_check_widths(vmcs);
    for (unsigned i = 0; i < VMCS_NUM_FIELDS; i++) {
        uint32_t encoding = vmcs_slot_encoding((enum vmcs_slot)i);
        FUZZ_REQUIRE(vmcs->field[i] == before.field[i] ||
                     vmcs_encoding_group(encoding) == VMCS_GROUP_READ_ONLY ||
                     i == VMCS_ENTRY_INTERRUPTION_INFORMATION);
    }
    bool is_entry_failure = (exit->reason & VMX_EXIT_ENTRY_FAILURE) != 0;
    if (!is_entry_failure) {
        FUZZ_REQUIRE(same_event(&told.event, &exit->event));
        FUZZ_REQUIRE(same_event(&told.vectoring, &exit->vectoring));
        FUZZ_REQUIRE(told.guest_linear == exit->guest_linear);
        FUZZ_REQUIRE(told.instruction_length == exit->instruction_length);
        FUZZ_REQUIRE((vmcs->field[VMCS_ENTRY_INTERRUPTION_INFORMATION] >> 31) == 0);
    }
    FUZZ_REQUIRE((vmx_exit_reason_name(exit->reason) == NULL) ==
                 (vmx_exit_reason_text(exit->reason) == NULL));
    FUZZ_REQUIRE(vmx_qualification_text(vmx_exit_qualification_format(exit->reason)));
}

// The guest reads what was set for it; a write of it does not exit, and any other of the host's
// bits does.
void vmx_check_guest_cr(struct vmcs *vmcs, uint64_t value, bool is_cr4)
{
    uint64_t read = 0;
    uint64_t flipped = value ^ vmcs->field[is_cr4 ? VMCS_CR4_MASK : VMCS_CR0_MASK];
    bool exits = false;
    if (is_cr4) {
        vmx_guest_cr4_set(vmcs, value);
        read = vmx_guest_cr4(vmcs);
        exits = vmx_guest_cr4_write_exits(vmcs, value);
        FUZZ_REQUIRE(vmx_guest_cr4_write_exits(vmcs, flipped) == (flipped != value));
        FUZZ_REQUIRE(vmx_guest_cr4_written(vmcs, value) == vmcs->field[VMCS_GUEST_CR4]);
    } else {
        vmx_guest_cr0_set(vmcs, value);
        read = vmx_guest_cr0(vmcs);
        exits = vmx_guest_cr0_write_exits(vmcs, value);
        FUZZ_REQUIRE(vmx_guest_cr0_write_exits(vmcs, flipped) == (flipped != value));
        FUZZ_REQUIRE(vmx_guest_cr0_written(vmcs, value) == vmcs->field[VMCS_GUEST_CR0]);
    }
    FUZZ_REQUIRE(read == value && !exits);
}

// --- CPUID ----------------------------------------------------------------------------------

// A leaf beyond the last of its range answers as the last basic one.
void vmx_check_cpuid(const struct vmx_cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
    uint32_t range[4];
    uint32_t basic[4];
    uint32_t last[4];
    uint32_t out[4];
    vmx_cpuid(cpu->profile, cpu, 0, 0, basic);
    vmx_cpuid(cpu->profile, cpu, leaf & CPUID_EXTENDED, 0, range);
    vmx_cpuid(cpu->profile, cpu, basic[CPUID_EAX], subleaf, last);
    vmx_cpuid(cpu->profile, cpu, leaf, subleaf, out);
    FUZZ_REQUIRE(((range[CPUID_EAX] ^ leaf) & CPUID_EXTENDED) == 0);
    if (leaf > range[CPUID_EAX]) {
        FUZZ_REQUIRE(memcmp(out, last, sizeof(out)) == 0);
    }
}
