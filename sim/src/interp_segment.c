// Segment registers, far transfers, and the fast system calls.
#include "interp_handlers.h"

#include "segment_load.h"
#include "vmx_model/msr.h"

#define EFER_SCE UINT64_C(0x1)

// What SYSRET restores from R11.
#define SYSRET_FLAGS UINT64_C(0x3C7FD7)

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
    exec_load_segment(x, index, selector);
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

// What a far CALL leaves on the stack. To an inner level it is the new stack, and the old one's
// place stands on it too; it is written with the rights of that level.
static void push_return(struct exec *x, const struct segment_transfer *transfer, size_t size)
{
    uint64_t rsp = cpu_guest(x->cpu, RSP);
    if (transfer->switches_stack) {
        x->user = false;
        cpu_guest(x->cpu, RSP) = transfer->sp;
        interp_push(x, size, cpu_guest(x->cpu, SS_SELECTOR));
        interp_push(x, size, rsp);
    }
    interp_push(x, size, cpu_guest(x->cpu, CS_SELECTOR));
    interp_push(x, size, cpu_guest(x->cpu, RIP));
}

// FF /3 CALL, FF /5 JMP, to a code segment or through a call gate.
void interp_far_indirect(struct exec *x, const struct insn *insn)
{
    struct segment_cpu cpu = exec_segment_cpu(x);
    struct segment_transfer transfer;
    struct far_pointer to = {0};
    bool call = (insn->reg & 7) == 3;
    to.offset = load_pointer(x, insn, &to.selector);
    if (x->faulted ||
        !exec_settle(x, segment_transfer(&cpu, call ? SEGMENT_CALL : SEGMENT_JMP, to, &transfer))) {
        return;
    }
    if (call) {
        push_return(x, &transfer, transfer.gated ? transfer.width : insn_operand_size(insn));
    }
    exec_set_descriptor_flag(x, &transfer.code);
    cpu_set_segment(x->cpu, SEG_CS, &transfer.code.segment);
    cpu_guest(x->cpu, RIP) = transfer.offset;
    if (transfer.changes_level) {
        cpu_set_segment(x->cpu, SEG_SS, &transfer.stack.segment);
    }
}

void interp_far_return(struct exec *x, const struct insn *insn)
{
    struct segment_frame frame = {0};
    uint64_t rsp = 0;
    size_t size = insn_operand_size(insn);
    frame.rip = interp_pop(x, size);
    frame.cs = (uint16_t)interp_pop(x, size);
    cpu_guest(x->cpu, RSP) += insn->immediate;
    frame.has_stack = (frame.cs & 3u) > cpu_cpl(x->cpu);
    if (frame.has_stack) {
        rsp = interp_pop(x, size) + insn->immediate;
        frame.ss = (uint16_t)interp_pop(x, size);
    }
    exec_return(x, &frame, rsp);
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

// SDM 2A, "IRET/IRETD/IRETQ": in 64-bit mode SS and RSP are popped whatever the frame holds, or
// the return is refused before.
void interp_iret(struct exec *x, const struct insn *insn)
{
    struct segment_cpu cpu = exec_segment_cpu(x);
    struct segment_frame frame = {.has_stack = true};
    size_t size = insn_operand_size(insn);
    uint64_t mask = iret_flags(x, size);
    if (segment_iret(&cpu, cpu_guest(x->cpu, RFLAGS), 0, 0) == SEGMENT_IRET_REFUSED) {
        interp_gp(x);
    }
    frame.rip = interp_pop(x, size);
    frame.cs = (uint16_t)interp_pop(x, size);
    uint64_t rflags = interp_pop(x, size);
    uint64_t rsp = interp_pop(x, size);
    frame.ss = (uint16_t)interp_pop(x, size);
    exec_return(x, &frame, rsp);
    if (!x->faulted) {
        interp_set_flags(x, mask, rflags);
    }
}

static void load_pair(struct exec *x, struct segment_pair pair)
{
    cpu_set_segment(x->cpu, SEG_CS, &pair.cs);
    cpu_set_segment(x->cpu, SEG_SS, &pair.ss);
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
    if (!syscall_enabled(x)) {
        return;
    }
    vmx->gpr[VMX_RCX] = cpu_guest(x->cpu, RIP);
    vmx->gpr[VMX_R11] = cpu_guest(x->cpu, RFLAGS) & ~RFLAGS_RF;
    cpu_guest(x->cpu, RIP) = vmx->msr[MSR_SLOT_IA32_LSTAR];
    interp_set_flags(x, vmx->msr[MSR_SLOT_IA32_FMASK] | RFLAGS_RF, 0);
    load_pair(x, segment_of_syscall(vmx->msr[MSR_SLOT_IA32_STAR]));
    x->delivered = true;
}

void interp_sysret(struct exec *x, const struct insn *insn)
{
    struct vmx_cpu *vmx = &x->cpu->vmx;
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
    load_pair(x, segment_of_sysret(vmx->msr[MSR_SLOT_IA32_STAR], code64));
}

// SDM 2B, "SYSENTER": a null selector in the MSR is #GP(0).
static bool sysenter_enabled(const struct exec *x)
{
    return !segment_is_null((uint16_t)cpu_guest(x->cpu, SYSENTER_CS));
}

void interp_sysenter(struct exec *x, const struct insn *insn)
{
    (void)insn;
    if (!sysenter_enabled(x)) {
        interp_gp(x);
        return;
    }
    interp_set_flags(x, RFLAGS_VM | RFLAGS_IF | RFLAGS_RF, 0);
    cpu_guest(x->cpu, RSP) = cpu_guest(x->cpu, SYSENTER_ESP);
    cpu_guest(x->cpu, RIP) = cpu_guest(x->cpu, SYSENTER_EIP);
    load_pair(x, segment_of_sysenter(cpu_guest(x->cpu, SYSENTER_CS), true));
    x->delivered = true;
}

void interp_sysexit(struct exec *x, const struct insn *insn)
{
    const uint64_t *gpr = x->cpu->vmx.gpr;
    bool code64 = (insn->rex & REX_W) != 0;
    uint64_t mask = code64 ? UINT64_MAX : UINT32_MAX;
    uint64_t rip = gpr[VMX_RDX] & mask;
    interp_require_cpl0(x);
    if (!sysenter_enabled(x) || !cpu_is_canonical(x->cpu, rip)) {
        interp_gp(x);
    }
    cpu_guest(x->cpu, RIP) = rip;
    cpu_guest(x->cpu, RSP) = gpr[VMX_RCX] & mask;
    load_pair(x, segment_of_sysexit(cpu_guest(x->cpu, SYSENTER_CS), code64));
}
