// Segment registers, far transfers, and the fast system calls.
#include "interp_handlers.h"

#include "segment_load.h"
#include "vmx_model/msr.h"

#define EFER_SCE UINT64_C(0x1)

// What SYSRET restores from R11.
#define SYSRET_FLAGS UINT64_C(0x3C7FD7)

enum {
    FLAT_CODE64 = 0xA09B, // G L P S, execute, read, accessed
    FLAT_CODE32 = 0xC09B, // with D
    FLAT_DATA = 0xC093,   // G B P S, read, write, accessed
    DPL_3 = 0x60,
};

void interp_mov_from_segment(struct exec *x, const struct insn *insn)
{
    struct segment segment;
    if ((insn->reg & 7) > SEG_GS) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    cpu_segment(x->cpu, (enum segment_index)(insn->reg & 7), &segment);
    interp_store_rm(x, insn, insn->mod == 3 ? insn_operand_size(insn) : 2, segment.selector);
}

// SDM 2B, "MOV", "POP", "LSS": after SS is loaded, interrupts wait for one instruction more.
static void load_segment(struct exec *x, enum segment_index index, uint16_t selector)
{
    segment_load(x, index, selector);
    if (index == SEG_SS) {
        cpu_guest(x->cpu, INTERRUPTIBILITY) |= BLOCKING_MOV_SS;
    }
}

void interp_mov_to_segment(struct exec *x, const struct insn *insn)
{
    unsigned index = insn->reg & 7;
    if (index > SEG_GS || index == SEG_CS) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    uint16_t selector = (uint16_t)interp_load_rm(x, insn, 2);
    if (!x->faulted) {
        load_segment(x, (enum segment_index)index, selector);
    }
}

// 0F A0, A1: FS; A8, A9: GS.
static enum segment_index fs_or_gs(const struct insn *insn)
{
    return (insn->opcode & 8) != 0 ? SEG_GS : SEG_FS;
}

static size_t stack_size(const struct insn *insn)
{
    return insn->operand_16 && (insn->rex & REX_W) == 0 ? 2 : 8;
}

void interp_push_segment(struct exec *x, const struct insn *insn)
{
    struct segment segment;
    cpu_segment(x->cpu, fs_or_gs(insn), &segment);
    interp_push(x, stack_size(insn), segment.selector);
}

void interp_pop_segment(struct exec *x, const struct insn *insn)
{
    uint16_t selector = (uint16_t)interp_pop(x, stack_size(insn));
    if (!x->faulted) {
        load_segment(x, fs_or_gs(insn), selector);
    }
}

// A far pointer in memory: the offset, then the selector.
static uint64_t load_pointer(struct exec *x, const struct insn *insn, uint16_t *out_selector)
{
    size_t size = insn_operand_size(insn);
    uint64_t linear = interp_linear(x, insn);
    uint64_t offset = exec_load(x, interp_access(insn), linear, size);
    *out_selector = (uint16_t)exec_load(x, interp_access(insn), linear + size, 2);
    return offset;
}

// LSS, LFS, LGS: 0F B2, B4, B5.
void interp_load_far_pointer(struct exec *x, const struct insn *insn)
{
    uint16_t selector = 0;
    if (insn->mod == 3) {
        exec_raise(x, VECTOR_UD);
        return;
    }
    uint64_t offset = load_pointer(x, insn, &selector);
    if (x->faulted) {
        return;
    }
    load_segment(x, (enum segment_index)(insn->opcode & 7), selector);
    cpu_set_gpr(x->cpu, insn->reg, insn_operand_size(insn), offset);
}

// FF /3 CALL, FF /5 JMP, through a code segment.
void interp_far_indirect(struct exec *x, const struct insn *insn)
{
    struct segment code;
    struct segment old;
    uint16_t selector = 0;
    size_t size = insn_operand_size(insn);
    uint64_t rip = load_pointer(x, insn, &selector);
    if (x->faulted || !segment_load_far_code(x, selector, &code)) {
        return;
    }
    bool code64 = (code.access & SEGMENT_ACCESS_L) != 0;
    if (code64 ? !cpu_is_canonical(x->cpu, rip) : rip > code.limit) {
        interp_gp(x);
    }
    cpu_segment(x->cpu, SEG_CS, &old);
    if ((insn->reg & 7) == 3) {
        interp_push(x, size, old.selector);
        interp_push(x, size, cpu_guest(x->cpu, RIP));
    }
    cpu_set_segment(x->cpu, SEG_CS, &code);
    cpu_guest(x->cpu, RIP) = rip;
}

void interp_far_return(struct exec *x, const struct insn *insn)
{
    struct return_frame frame = {0};
    size_t size = insn_operand_size(insn);
    frame.rip = interp_pop(x, size);
    frame.cs = (uint16_t)interp_pop(x, size);
    cpu_guest(x->cpu, RSP) += insn->immediate;
    frame.has_stack = (frame.cs & 3u) > cpu_cpl(x->cpu);
    if (frame.has_stack) {
        frame.rsp = interp_pop(x, size) + insn->immediate;
        frame.ss = (uint16_t)interp_pop(x, size);
    }
    if (!x->faulted) {
        segment_return(x, &frame);
    }
}

// The flags that IRET may change at this CPL.
static uint64_t iret_flags(const struct exec *x, size_t size)
{
    uint64_t mask = RFLAGS_ARITH | RFLAGS_DF | RFLAGS_TF | RFLAGS_NT;
    mask |= size == 2 ? 0 : RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
    mask |= cpu_cpl(x->cpu) <= cpu_iopl(x->cpu) ? RFLAGS_IF : 0;
    mask |= cpu_cpl(x->cpu) == 0 ? RFLAGS_IOPL : 0;
    return mask;
}

// SDM 2A, "IRET/IRETD/IRETQ": in 64-bit mode SS and RSP are always popped, and a nested task is
// #GP.
void interp_iret(struct exec *x, const struct insn *insn)
{
    struct return_frame frame = {.has_stack = true};
    size_t size = insn_operand_size(insn);
    uint64_t mask = iret_flags(x, size);
    if ((cpu_guest(x->cpu, RFLAGS) & RFLAGS_NT) != 0) {
        interp_gp(x);
    }
    frame.rip = interp_pop(x, size);
    frame.cs = (uint16_t)interp_pop(x, size);
    uint64_t rflags = interp_pop(x, size);
    frame.rsp = interp_pop(x, size);
    frame.ss = (uint16_t)interp_pop(x, size);
    if (!x->faulted) {
        segment_return(x, &frame);
        interp_set_flags(x, mask, rflags);
    }
}

// CS and SS as the fast system calls load them: flat, without a look at the descriptor tables.
static void load_flat(struct exec *x, uint16_t cs, uint16_t ss, bool code64)
{
    uint32_t dpl = (cs & 3) == 3 ? DPL_3 : 0;
    uint32_t rights = code64 ? FLAT_CODE64 : FLAT_CODE32;
    struct segment code = {.selector = cs, .access = rights | dpl, .limit = UINT32_MAX};
    struct segment data = {.selector = ss, .access = FLAT_DATA | dpl, .limit = UINT32_MAX};
    cpu_set_segment(x->cpu, SEG_CS, &code);
    cpu_set_segment(x->cpu, SEG_SS, &data);
}

static bool syscall_enabled(struct exec *x)
{
    if ((cpu_guest(x->cpu, IA32_EFER) & EFER_SCE) == 0) {
        exec_raise(x, VECTOR_UD);
        return false;
    }
    return true;
}

void interp_syscall(struct exec *x, const struct insn *insn)
{
    (void)insn;
    struct vmx_cpu *vmx = &x->cpu->vmx;
    uint16_t cs = (uint16_t)(vmx->msr[MSR_SLOT_IA32_STAR] >> 32 & 0xFFFC);
    if (!syscall_enabled(x)) {
        return;
    }
    vmx->gpr[VMX_RCX] = cpu_guest(x->cpu, RIP);
    vmx->gpr[VMX_R11] = cpu_guest(x->cpu, RFLAGS) & ~RFLAGS_RF;
    cpu_guest(x->cpu, RIP) = vmx->msr[MSR_SLOT_IA32_LSTAR];
    interp_set_flags(x, vmx->msr[MSR_SLOT_IA32_FMASK] | RFLAGS_RF, 0);
    load_flat(x, cs, (uint16_t)(cs + 8), true);
    x->delivered = true;
}

void interp_sysret(struct exec *x, const struct insn *insn)
{
    struct vmx_cpu *vmx = &x->cpu->vmx;
    uint16_t base = (uint16_t)(vmx->msr[MSR_SLOT_IA32_STAR] >> 48);
    bool code64 = (insn->rex & REX_W) != 0;
    uint64_t rip = code64 ? vmx->gpr[VMX_RCX] : vmx->gpr[VMX_RCX] & 0xFFFFFFFF;
    if (!syscall_enabled(x)) {
        return;
    }
    interp_require_cpl0(x);
    if (!cpu_is_canonical(x->cpu, rip)) {
        interp_gp(x);
    }
    cpu_guest(x->cpu, RFLAGS) = (vmx->gpr[VMX_R11] & SYSRET_FLAGS) | RFLAGS_FIXED;
    cpu_guest(x->cpu, RIP) = rip;
    load_flat(x, (uint16_t)((base + (code64 ? 16 : 0)) | 3), (uint16_t)((base + 8) | 3), code64);
}

void interp_sysenter(struct exec *x, const struct insn *insn)
{
    (void)insn;
    uint16_t cs = (uint16_t)(cpu_guest(x->cpu, SYSENTER_CS) & 0xFFFC);
    if (cs == 0) {
        interp_gp(x);
        return;
    }
    interp_set_flags(x, RFLAGS_VM | RFLAGS_IF | RFLAGS_RF, 0);
    cpu_guest(x->cpu, RSP) = cpu_guest(x->cpu, SYSENTER_ESP);
    cpu_guest(x->cpu, RIP) = cpu_guest(x->cpu, SYSENTER_EIP);
    load_flat(x, cs, (uint16_t)(cs + 8), true);
    x->delivered = true;
}

void interp_sysexit(struct exec *x, const struct insn *insn)
{
    const uint64_t *gpr = x->cpu->vmx.gpr;
    uint16_t base = (uint16_t)(cpu_guest(x->cpu, SYSENTER_CS) & 0xFFFC);
    bool code64 = (insn->rex & REX_W) != 0;
    uint64_t mask = code64 ? UINT64_MAX : UINT32_MAX;
    uint64_t rip = gpr[VMX_RDX] & mask;
    interp_require_cpl0(x);
    if (base == 0 || !cpu_is_canonical(x->cpu, rip)) {
        interp_gp(x);
    }
    cpu_guest(x->cpu, RIP) = rip;
    cpu_guest(x->cpu, RSP) = gpr[VMX_RCX] & mask;
    load_flat(x, (uint16_t)((base + (code64 ? 32 : 16)) | 3),
              (uint16_t)((base + (code64 ? 40 : 24)) | 3), code64);
}
