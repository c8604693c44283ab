#include "interp.h"

#include <stddef.h>
#include <string.h>

#include "exception.h"
#include "exits.h"
#include "interp_handlers.h"
#include "vmx_model/controls.h"
#include "vmx_model/profile.h"

enum {
    SEGMENT_FS = 0x64,
};

bool interp_fetch(struct exec *x, struct insn *out)
{
    uint8_t bytes[INSN_MAX_LENGTH];
    uint64_t rip = cpu_guest(x->cpu, RIP);
    size_t room = MEMORY_PAGE_SIZE - (size_t)(rip & (MEMORY_PAGE_SIZE - 1));
    size_t first = room < sizeof(bytes) ? room : sizeof(bytes);
    if (!exec_fetch(x, rip, bytes, first)) {
        return false;
    }
    insn_decode(bytes, first, out);
    if (!out->truncated) {
        return true;
    }
    // Only now is the second page known to be part of the instruction.
    if (!exec_fetch(x, rip + first, bytes + first, sizeof(bytes) - first)) {
        return false;
    }
    insn_decode(bytes, sizeof(bytes), out);
    return true;
}

typedef void handler_fn(struct exec *x, const struct insn *insn);

static handler_fn *handler_of(const struct insn *insn)
{
    static handler_fn *const handlers[INSN_NUM_KEYS] = {
#define SENSITIVE(map, opcode, handler) [INSN_KEY(map, opcode)] = interp_##handler,
#include "interp_opcodes.def"
    };
    return handlers[INSN_KEY(insn->map, insn->opcode)];
}

// A CPU as it was before an instruction, but for its shared MSRs: WRMSR and SWAPGS, which write
// them, do so only when nothing can go wrong any more. They are most of what a CPU has.
enum {
    MSRS_BEGIN = offsetof(struct vmx_cpu, msr),
    MSRS_END = MSRS_BEGIN + sizeof(((struct vmx_cpu *)0)->msr),
};

struct undo {
    char head[MSRS_BEGIN];
    char tail[sizeof(struct vmx_cpu) - MSRS_END];
};

static void undo_keep(struct undo *undo, const struct vmx_cpu *cpu)
{
    memcpy(undo->head, cpu, sizeof(undo->head));
    memcpy(undo->tail, (const char *)cpu + MSRS_END, sizeof(undo->tail));
}

static void undo_apply(const struct undo *undo, struct vmx_cpu *cpu)
{
    memcpy(cpu, undo->head, sizeof(undo->head));
    memcpy((char *)cpu + MSRS_END, undo->tail, sizeof(undo->tail));
}

enum interp_result interp_execute(struct exec *x, const struct insn *insn)
{
    struct undo before;
    undo_keep(&before, &x->cpu->vmx);
    cpu_guest(x->cpu, RIP) += insn->length;
    if (insn->too_long) {
        interp_gp(x); // SDM 2A, "Instruction Prefixes": at most 15 bytes
    } else if (insn->lock || insn_classify(insn) != INSN_SENSITIVE) {
        exec_raise(x, VECTOR_UD); // none of these may have LOCK
    } else {
        handler_of(insn)(x, insn);
    }
    if (x->unsupported) {
        undo_apply(&before, &x->cpu->vmx);
        return INTERP_UNSUPPORTED;
    }
    if (x->faulted) {
        undo_apply(&before, &x->cpu->vmx);
    }
    exit_commit(x);
    return x->faulted ? INTERP_EXCEPTION : INTERP_DONE;
}

uint64_t interp_linear(const struct exec *x, const struct insn *insn)
{
    const struct cpu *cpu = x->cpu;
    uint64_t offset = (uint64_t)(int64_t)insn->displacement;
    if (insn->rip_relative) {
        offset += cpu_guest(cpu, RIP);
    }
    if (insn->has_base) {
        offset += cpu_gpr(cpu, insn->base);
    }
    if (insn->has_index) {
        offset += cpu_gpr(cpu, insn->index) << insn->scale;
    }
    if (insn->address_32) {
        offset &= 0xFFFFFFFF;
    }
    if (insn->segment == 0) {
        return offset;
    }
    return offset +
           (insn->segment == SEGMENT_FS ? cpu_guest(cpu, FS_BASE) : cpu_guest(cpu, GS_BASE));
}

enum exec_access interp_access(const struct insn *insn)
{
    return insn_uses_stack(insn) ? ACCESS_STACK : ACCESS_DATA;
}

static uint64_t mask_of(size_t size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

uint64_t interp_load_rm(struct exec *x, const struct insn *insn, size_t size)
{
    if (insn->mod == 3) {
        return cpu_gpr(x->cpu, insn->rm) & mask_of(size);
    }
    return exec_load(x, interp_access(insn), interp_linear(x, insn), size);
}

void interp_store_rm(struct exec *x, const struct insn *insn, size_t size, uint64_t value)
{
    if (insn->mod == 3) {
        cpu_set_gpr(x->cpu, insn->rm, size, value);
        return;
    }
    exec_store(x, interp_access(insn), interp_linear(x, insn), size, value);
}

void interp_push(struct exec *x, size_t size, uint64_t value)
{
    uint64_t rsp = cpu_guest(x->cpu, RSP) - size;
    exec_store(x, ACCESS_STACK, rsp, size, value);
    cpu_guest(x->cpu, RSP) = rsp;
}

uint64_t interp_pop(struct exec *x, size_t size)
{
    uint64_t value = exec_load(x, ACCESS_STACK, cpu_guest(x->cpu, RSP), size);
    cpu_guest(x->cpu, RSP) += size;
    return value;
}

void interp_gp(struct exec *x)
{
    exec_raise_code(x, VECTOR_GP, 0);
}

void interp_require_cpl0(struct exec *x)
{
    if (cpu_cpl(x->cpu) != 0) {
        interp_gp(x);
    }
}

uint64_t interp_edx_eax(const struct exec *x)
{
    const uint64_t *gpr = x->cpu->vmx.gpr;
    return gpr[VMX_RDX] << 32 | (gpr[VMX_RAX] & 0xFFFFFFFF);
}

void interp_set_edx_eax(struct exec *x, uint64_t value)
{
    x->cpu->vmx.gpr[VMX_RAX] = value & 0xFFFFFFFF;
    x->cpu->vmx.gpr[VMX_RDX] = value >> 32;
}

void interp_set_flags(struct exec *x, uint64_t mask, uint64_t value)
{
    uint64_t *rflags = &cpu_guest(x->cpu, RFLAGS);
    *rflags = (*rflags & ~mask) | (value & mask) | RFLAGS_FIXED;
}

bool interp_has(const struct exec *x, enum vmx_feature feature)
{
    return vmx_profile_has(x->cpu->vmx.profile, feature);
}

void interp_undefined(struct exec *x, const struct insn *insn)
{
    (void)insn;
    exec_raise(x, VECTOR_UD);
}

// Delivers at once: the handler returns to the next instruction, but what goes wrong on the way
// happens at this one.
static void interrupt(struct exec *x, const struct insn *insn, enum delivery_kind kind,
                      uint8_t vector)
{
    uint64_t next = cpu_guest(x->cpu, RIP);
    struct delivery delivery = {kind, {.vector = vector}, next};
    cpu_guest(x->cpu, RIP) = next - insn->length;
    exception_deliver(x->machine, x->cpu, &delivery);
    x->delivered = true;
}

void interp_int3(struct exec *x, const struct insn *insn)
{
    exit_software_exception(x, insn, VECTOR_BP);
    interrupt(x, insn, DELIVERY_SOFTWARE, VECTOR_BP);
}

void interp_int_n(struct exec *x, const struct insn *insn)
{
    interrupt(x, insn, DELIVERY_SOFTWARE, (uint8_t)insn->immediate);
}

// SDM 3A, "Interrupt 1—Debug Exception (#DB)": INT1 does not look at the gate's DPL.
void interp_icebp(struct exec *x, const struct insn *insn)
{
    exit_software_exception(x, insn, VECTOR_DB);
    interrupt(x, insn, DELIVERY_TRAP, VECTOR_DB);
}

void interp_hlt(struct exec *x, const struct insn *insn)
{
    interp_require_cpl0(x);
    if (exit_processor(x->cpu, VMX_PROCESSOR_HLT_EXITING)) {
        exit_instruction(x, insn, VMX_EXIT_HLT, 0);
    }
    cpu_guest(x->cpu, ACTIVITY) = ACTIVITY_HALTED;
}

// SDM 2A, "CLI": at CPL above IOPL #GP; the virtual interrupt flag of PVI is not modelled.
static bool may_change_if(struct exec *x)
{
    if (cpu_cpl(x->cpu) > cpu_iopl(x->cpu)) {
        interp_gp(x);
        return false;
    }
    return true;
}

void interp_cli(struct exec *x, const struct insn *insn)
{
    (void)insn;
    if (may_change_if(x)) {
        interp_set_flags(x, RFLAGS_IF, 0);
    }
}

// SDM 2B, "STI": if IF was clear, interrupts wait for one instruction more.
void interp_sti(struct exec *x, const struct insn *insn)
{
    (void)insn;
    if (!may_change_if(x)) {
        return;
    }
    if ((cpu_guest(x->cpu, RFLAGS) & RFLAGS_IF) == 0) {
        cpu_guest(x->cpu, INTERRUPTIBILITY) |= BLOCKING_STI;
    }
    interp_set_flags(x, RFLAGS_IF, RFLAGS_IF);
}

// In 64-bit mode 8 bytes, with 66 two.
static size_t stack_size(const struct insn *insn)
{
    return insn->operand_16 && (insn->rex & REX_W) == 0 ? 2 : 8;
}

void interp_pushf(struct exec *x, const struct insn *insn)
{
    interp_push(x, stack_size(insn), cpu_guest(x->cpu, RFLAGS) & ~(RFLAGS_VM | RFLAGS_RF));
}

void interp_popf(struct exec *x, const struct insn *insn)
{
    size_t size = stack_size(insn);
    uint64_t mask = RFLAGS_ARITH | RFLAGS_DF | RFLAGS_TF | RFLAGS_NT;
    mask |= size == 2 ? 0 : RFLAGS_AC | RFLAGS_ID;
    mask |= cpu_cpl(x->cpu) <= cpu_iopl(x->cpu) ? RFLAGS_IF : 0;
    mask |= cpu_cpl(x->cpu) == 0 ? RFLAGS_IOPL : 0;
    uint64_t value = interp_pop(x, size);
    interp_set_flags(x, mask, value);
    interp_set_flags(x, RFLAGS_RF, 0);
}
