// IN, OUT, INS and OUTS.
#include "interp_handlers.h"

#include "exits.h"

enum { TSS_IO_MAP = 102 };

// SDM 1, "I/O Permission Bit Map": two bytes are read at a time, so the map ends with a byte of
// ones.
static bool map_allows(struct exec *x, uint16_t port, unsigned size)
{
    uint64_t base = cpu_guest(x->cpu, TR_BASE);
    uint64_t limit = cpu_guest(x->cpu, TR_LIMIT);
    if (TSS_IO_MAP + 1 > limit) {
        return false;
    }
    uint64_t offset = exec_load(x, ACCESS_SYSTEM, base + TSS_IO_MAP, 2) + port / 8;
    if (offset + 1 > limit) {
        return false;
    }
    uint64_t bits = exec_load(x, ACCESS_SYSTEM, base + offset, 2) >> port % 8;
    return (bits & ((1u << size) - 1)) == 0;
}

// What the permission map allows may still be a VM exit.
static bool may_access(struct exec *x, const struct insn *insn, const struct io_operands *io)
{
    bool allowed = cpu_cpl(x->cpu) <= cpu_iopl(x->cpu) || map_allows(x, io->port, io->size);
    if (!allowed) {
        exec_raise_code(x, VECTOR_GP, 0);
    }
    if (!x->faulted) {
        exit_io(x, insn, io);
    }
    return allowed && !x->faulted;
}

// Even opcodes move a byte; the others two or four, never eight.
static unsigned access_size(const struct insn *insn)
{
    if ((insn->opcode & 1) == 0) {
        return 1;
    }
    return insn->operand_16 ? 2 : 4;
}

static uint16_t port_of(const struct exec *x, const struct insn *insn)
{
    bool immediate = insn->opcode < 0xEC;
    return (uint16_t)(immediate ? insn->immediate : x->cpu->vmx.gpr[VMX_RDX]);
}

void interp_in(struct exec *x, const struct insn *insn)
{
    uint16_t port = port_of(x, insn);
    unsigned size = access_size(insn);
    if (may_access(x, insn, &(struct io_operands){port, size, 0})) {
        cpu_set_gpr(x->cpu, VMX_RAX, size, ports_read(x->machine, port, size));
    }
}

void interp_out(struct exec *x, const struct insn *insn)
{
    uint16_t port = port_of(x, insn);
    unsigned size = access_size(insn);
    uint32_t value = (uint32_t)(x->cpu->vmx.gpr[VMX_RAX] & (UINT32_MAX >> (32 - 8 * size)));
    if (may_access(x, insn, &(struct io_operands){port, size, 0})) {
        ports_write(x->machine, port, size, value);
    }
}

static uint64_t masked(const struct insn *insn, uint64_t value)
{
    return insn->address_32 ? value & 0xFFFFFFFF : value;
}

// One element of a string instruction is done: the index moves, and with REP the instruction goes
// on until the count is used up.
static void advance(struct exec *x, const struct insn *insn, unsigned index)
{
    struct cpu *cpu = x->cpu;
    size_t width = insn->address_32 ? 4 : 8;
    uint64_t size = access_size(insn);
    bool down = (cpu_guest(cpu, RFLAGS) & RFLAGS_DF) != 0;
    cpu_set_gpr(cpu, index, width, cpu->vmx.gpr[index] + (down ? -size : size));
    if (insn->repeat == 0) {
        return;
    }
    cpu_set_gpr(cpu, VMX_RCX, width, cpu->vmx.gpr[VMX_RCX] - 1);
    if (masked(insn, cpu->vmx.gpr[VMX_RCX]) != 0) {
        cpu_guest(cpu, RIP) -= insn->length;
    }
}

static bool is_over(const struct exec *x, const struct insn *insn)
{
    return insn->repeat != 0 && masked(insn, x->cpu->vmx.gpr[VMX_RCX]) == 0;
}

void interp_ins(struct exec *x, const struct insn *insn)
{
    uint16_t port = (uint16_t)x->cpu->vmx.gpr[VMX_RDX];
    unsigned size = access_size(insn);
    uint64_t linear = masked(insn, x->cpu->vmx.gpr[VMX_RDI]);
    // The port is read only when nothing can go wrong any more.
    if (is_over(x, insn) || !may_access(x, insn, &(struct io_operands){port, size, linear}) ||
        !exec_check_write(x, ACCESS_DATA, linear, size)) {
        return;
    }
    exec_store(x, ACCESS_DATA, linear, size, ports_read(x->machine, port, size));
    advance(x, insn, VMX_RDI);
}

void interp_outs(struct exec *x, const struct insn *insn)
{
    uint16_t port = (uint16_t)x->cpu->vmx.gpr[VMX_RDX];
    unsigned size = access_size(insn);
    uint64_t linear = masked(insn, x->cpu->vmx.gpr[VMX_RSI]);
    if (insn->segment != 0) {
        linear += insn->segment == 0x64 ? cpu_guest(x->cpu, FS_BASE) : cpu_guest(x->cpu, GS_BASE);
    }
    if (is_over(x, insn) || !may_access(x, insn, &(struct io_operands){port, size, linear})) {
        return;
    }
    uint32_t value = (uint32_t)exec_load(x, ACCESS_DATA, linear, size);
    if (!x->faulted) {
        ports_write(x->machine, port, size, value);
        advance(x, insn, VMX_RSI);
    }
}
