#include "entry_bench.h"

#include <string.h>

static uint64_t word_at(const struct bench *bench, uint64_t address)
{
    for (unsigned i = bench->num_words; i-- > 0;) {
        if (bench->address[i] == address) {
            return bench->word[i];
        }
    }
    return 0;
}

static bool read_memory(void *context, uint64_t physical, void *buffer, size_t len)
{
    uint8_t *byte = buffer;
    for (size_t i = 0; i < len; i++) {
        uint64_t address = physical + i;
        byte[i] = (uint8_t)(word_at(context, address & ~UINT64_C(7)) >> (8 * (address & 7)));
    }
    return true;
}

static void apply(struct bench *bench, const struct change *change)
{
    uint64_t *field = bench->cpu.vmcs.field;
    switch (change->op) {
    case OP_NONE:
    case OP_LACK:
        break;
    case OP_SET:
        field[change->what] = change->value;
        break;
    case OP_SET_BITS:
        field[change->what] |= change->value;
        break;
    case OP_CLEAR_BITS:
        field[change->what] &= ~change->value;
        break;
    case OP_WORD:
        assert_true(bench->num_words < MAX_WORDS);
        bench->address[bench->num_words] = change->what;
        bench->word[bench->num_words++] = change->value;
        break;
    case OP_CURRENT_VMCS:
        bench->attempt.current_vmcs = change->value;
        break;
    case OP_IS_SHADOW:
        bench->attempt.is_shadow = true;
        break;
    case OP_IS_LAUNCHED:
        bench->attempt.is_launched = true;
        break;
    case OP_RESUMES:
        bench->attempt.resumes = true;
        break;
    case OP_BLOCKS_MOV_SS:
        bench->attempt.blocks_mov_ss = true;
        break;
    }
}

void bench_apply(struct bench *bench, const struct change changes[MAX_CHANGES])
{
    for (unsigned i = 0; i < MAX_CHANGES; i++) {
        apply(bench, &changes[i]);
    }
}

static void set_segments(uint64_t field[], uint64_t cs_access, uint64_t access, uint64_t limit)
{
    for (unsigned i = 0; i < 6; i++) {
        field[VMCS_GUEST_ES_SELECTOR + i] = 0x10;
        field[VMCS_GUEST_ES_BASE + i] = 0;
        field[VMCS_GUEST_ES_LIMIT + i] = limit;
        field[VMCS_GUEST_ES_ACCESS + i] = access;
    }
    field[VMCS_GUEST_CS_SELECTOR] = 0x8;
    field[VMCS_GUEST_CS_ACCESS] = cs_access;
}

static void set_protected(uint64_t field[], uint64_t cs_access)
{
    set_segments(field, cs_access, 0xC093, 0xFFFFFFFF);
    field[VMCS_GUEST_CR0] = 0x80050033;
    field[VMCS_GUEST_CR4] = 0x2010;
    field[VMCS_GUEST_LDTR_ACCESS] = 0x10000;
    field[VMCS_GUEST_TR_LIMIT] = 0x67;
    field[VMCS_GUEST_RIP] = 0x1000;
}

static void set_long(uint64_t field[], uint64_t cs_access)
{
    set_protected(field, cs_access);
    field[VMCS_GUEST_CR4] = 0x2020;
    field[VMCS_GUEST_IA32_EFER] = 0xD01;
    field[VMCS_ENTRY_CONTROLS] |= 0x200;
}

static void set_user(uint64_t field[])
{
    set_long(field, 0xA0FB);
    for (unsigned i = 0; i < 6; i++) {
        field[VMCS_GUEST_ES_SELECTOR + i] |= 3;
    }
    field[VMCS_GUEST_SS_ACCESS] = 0xC0F3;
}

static void set_v86(uint64_t field[])
{
    set_protected(field, 0);
    set_segments(field, 0xF3, 0xF3, 0xFFFF);
    for (unsigned i = 0; i < 6; i++) {
        field[VMCS_GUEST_ES_SELECTOR + i] = 0x9000;
        field[VMCS_GUEST_ES_BASE + i] = 0x90000;
    }
    field[VMCS_GUEST_RFLAGS] = 0x20002;
}

static void set_host32(uint64_t field[])
{
    set_protected(field, 0xC09B);
    field[VMCS_HOST_IA32_EFER] = 0x801;
    field[VMCS_HOST_RIP] = 0x100000;
}

static void set_state(uint64_t field[], enum state state)
{
    switch (state) {
    case REAL:
    case NUM_STATES:
        break;
    case LONG64:
        set_long(field, 0xA09B);
        break;
    case COMPAT:
        set_long(field, 0xC09B);
        break;
    case USER64:
        set_user(field);
        break;
    case PM32:
        set_protected(field, 0xC09B);
        break;
    case PAE32:
        set_protected(field, 0xC09B);
        field[VMCS_GUEST_CR4] = 0x2020;
        break;
    case PM16:
        set_protected(field, 0);
        set_segments(field, 0x9B, 0x93, 0xFFFF);
        break;
    case V86:
        set_v86(field);
        break;
    case HOST32:
        set_host32(field);
        break;
    }
}

void bench_init(struct bench *bench, enum state state, const struct change *given)
{
    memset(bench, 0, sizeof(*bench));
    bench->profile = vmx_profile_generic;
    bench->profile.feature[VMX_FEATURE_LM] = state != HOST32;
    for (unsigned i = 0; given != NULL && i < MAX_CHANGES; i++) {
        if (given[i].op == OP_LACK) {
            bench->profile.feature[given[i].what] = false;
        }
    }
    vmx_cpu_reset(&bench->cpu, &bench->profile);
    set_state(bench->cpu.vmcs.field, state);
    bench->attempt.current_vmcs = 0x4000;
}

struct vmx_entry_outcome bench_check(struct bench *bench)
{
    struct mmu_memory memory = {.read = read_memory, .context = bench};
    struct vmx_entry_outcome outcome;
    struct vmx_cpu before = bench->cpu;
    entry_check(&bench->cpu, &memory, &bench->attempt, &outcome);
    assert_cpu_equal(&before, &bench->cpu);
    return outcome;
}

void assert_entered(const struct vmx_entry_outcome *outcome)
{
    assert_string_equal("none", vmx_entry_rule_name(outcome->rule));
    assert_int_equal(VMX_ENTERED, outcome->result);
    assert_int_equal(0, outcome->instruction_error);
    assert_int_equal(0, outcome->exit_reason);
    assert_int_equal(0, outcome->qualification);
}
