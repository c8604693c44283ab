// Instructions of the general registers that Unicorn does not know, and groups 9 and 15.
#include "interp_handlers.h"

#include "exits.h"
#include "vmx_model/controls.h"

#define CR4_FSGSBASE UINT64_C(0x00010000)

static uint64_t count_bits(uint64_t value)
{
    return (uint64_t)__builtin_popcountll(value);
}

void interp_popcnt(struct exec *x, const struct insn *insn)
{
    size_t size = insn_operand_size(insn);
    uint64_t value = interp_load_rm(x, insn, size);
    if (!interp_has(x, VMX_FEATURE_POPCNT)) {
        exec_raise(x, VECTOR_UD);
    }
    cpu_set_gpr(x->cpu, insn->reg, size, count_bits(value));
    interp_set_flags(x, RFLAGS_ARITH, value == 0 ? RFLAGS_ZF : 0);
}

// LZCNT and TZCNT: CF says that the operand was 0, ZF that the answer is.
static void set_count(struct exec *x, const struct insn *insn, uint64_t count)
{
    size_t size = insn_operand_size(insn);
    cpu_set_gpr(x->cpu, insn->reg, size, count);
    uint64_t flags = (count == 8 * size ? RFLAGS_CF : 0) | (count == 0 ? RFLAGS_ZF : 0);
    interp_set_flags(x, RFLAGS_CF | RFLAGS_ZF, flags);
}

void interp_tzcnt(struct exec *x, const struct insn *insn)
{
    size_t size = insn_operand_size(insn);
    uint64_t value = interp_load_rm(x, insn, size);
    uint64_t count = value != 0 ? (uint64_t)__builtin_ctzll(value) : 8 * size;
    set_count(x, insn, count);
}

void interp_lzcnt(struct exec *x, const struct insn *insn)
{
    size_t size = insn_operand_size(insn);
    uint64_t value = interp_load_rm(x, insn, size);
    uint64_t unused = 64 - 8 * size;
    uint64_t count = value != 0 ? (uint64_t)__builtin_clzll(value) - unused : 8 * size;
    set_count(x, insn, count);
}

// The same CPU at the same time draws the same number: a run can be repeated.
static uint64_t draw(const struct exec *x)
{
    uint64_t value = x->cpu->vmx.tsc + ((uint64_t)x->cpu->vmx.apic_id << 56);
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return value ^ value >> 31;
}

// RDRAND is /6, RDSEED /7.
static void rdrand(struct exec *x, const struct insn *insn)
{
    bool seed = (insn->reg & 7) == 7;
    if (exit_secondary(x->cpu,
                       seed ? VMX_SECONDARY_RDSEED_EXITING : VMX_SECONDARY_RDRAND_EXITING)) {
        exit_random(x, insn, seed ? VMX_EXIT_RDSEED : VMX_EXIT_RDRAND);
    }
    cpu_set_gpr(x->cpu, insn->rm, insn_operand_size(insn), draw(x));
    interp_set_flags(x, RFLAGS_ARITH, RFLAGS_CF);
}

// 0F C7 but for CMPXCHG8B and CMPXCHG16B.
void interp_group9(struct exec *x, const struct insn *insn)
{
    unsigned digit = insn->reg & 7;
    bool rdpid = insn->repeat == 0xF3 && digit == 7;
    bool random = insn->repeat == 0 && (digit == 6 || digit == 7);
    if (insn->mod != 3 && digit == 4) {
        interp_xsave(x, insn);
    } else if (insn->mod != 3 && digit >= 6) {
        interp_vmx_operand(x, insn);
    } else if (insn->mod == 3 && rdpid) {
        cpu_set_gpr(x->cpu, insn->rm, 8, x->cpu->vmx.msr[MSR_SLOT_IA32_TSC_AUX]);
    } else if (insn->mod == 3 && random) {
        rdrand(x, insn);
    } else {
        exec_raise(x, VECTOR_UD);
    }
}

// RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE.
static void fs_gs_base(struct exec *x, const struct insn *insn)
{
    size_t size = insn_operand_size(insn) == 8 ? 8 : 4;
    bool gs = (insn->reg & 1) != 0;
    bool writes = (insn->reg & 2) != 0;
    uint64_t *base = gs ? &cpu_guest(x->cpu, GS_BASE) : &cpu_guest(x->cpu, FS_BASE);
    if ((cpu_guest(x->cpu, CR4) & CR4_FSGSBASE) == 0) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    if (!writes) {
        cpu_set_gpr(x->cpu, insn->rm, size, *base);
        return;
    }
    uint64_t value = cpu_gpr(x->cpu, insn->rm) & (size == 8 ? UINT64_MAX : UINT32_MAX);
    if (!cpu_is_canonical(x->cpu, value)) {
        exec_raise_code(x, VECTOR_GP, 0);
        return;
    }
    *base = value;
}

// 0F AE, as far as it is sensitive: the bases with F3 in registers, XSAVE and XRSTOR in memory.
void interp_group15(struct exec *x, const struct insn *insn)
{
    if (insn->mod == 3) {
        fs_gs_base(x, insn);
    } else if ((insn->reg & 7) == 5) {
        interp_xrstor(x, insn);
    } else {
        interp_xsave(x, insn);
    }
}
