#ifndef SIM_EXITS_H
#define SIM_EXITS_H

// VM exits: whether the controls of the CPU's VMCS ask for one, and its record in the VMCS.
//
// An exit costs the guest nothing: the model's hypervisor does what exits.def says and enters
// again. What stays is what it would have seen, in the read-only data fields: the last exit's. An
// exit within an instruction is kept in struct exec until the instruction is over, so that it
// outlives the instruction's exception.

#include <stdbool.h>
#include <stdint.h>

#include "exec.h"
#include "interp_decode.h"
#include "vmx_model/vmx_exit.h"

// Access types of a control-register access, bits 5:4 of its qualification.
enum cr_access {
    CR_MOV_TO = 0,
    CR_MOV_FROM = 1,
    CR_CLTS = 2,
    CR_LMSW = 3,
};

// One of the controls of this field is 1. The secondary controls count as 0 unless they are active.
bool exit_pin(const struct cpu *cpu, uint64_t control);
bool exit_processor(const struct cpu *cpu, uint64_t control);
bool exit_secondary(const struct cpu *cpu, uint64_t control);

// The instruction exits, unless it has raised an exception or exited before.
void exit_instruction(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason,
                      uint64_t qualification);

// The same for instructions that tell of their operands: VMX instructions, INVPCID and those of the
// descriptor tables. The qualification is the displacement.
void exit_operand(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason);

// The same for RDRAND and RDSEED, and for instruction 0 to 3 of those that store or load a
// descriptor table, when the controls ask for it.
void exit_random(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason);
void exit_table(struct exec *x, const struct insn *insn, enum vmx_exit_reason reason);

// An access to a control register that the caller has found to exit.
void exit_cr(struct exec *x, const struct insn *insn, enum cr_access access, unsigned number);

void exit_lmsw(struct exec *x, const struct insn *insn, uint64_t value);

// Whether MOV to CR3 of value exits.
bool exit_on_cr3_load(const struct cpu *cpu, uint64_t value);

// An exit by INS, OUTS, IN or OUT, when the controls ask for it. linear is that of a string's
// element.
struct io_operands {
    uint16_t port;
    unsigned size;
    uint64_t linear;
};
void exit_io(struct exec *x, const struct insn *insn, const struct io_operands *io);

// An exit by RDMSR or WRMSR, when the controls ask for it.
void exit_msr(struct exec *x, const struct insn *insn, uint32_t index, bool writes);

// INT1, INT3: their exception, when the controls ask for it.
void exit_software_exception(struct exec *x, const struct insn *insn, uint8_t vector);

// Records the exit of an instruction that is over.
void exit_commit(const struct exec *x);

// Exits between instructions: an exception about to be delivered, of an instruction of this length
// where that raised it on purpose, else 0, and an interrupt, when the controls ask for them; a
// triple fault; and what stops the CPU for the debugger.
void exit_exception(struct cpu *cpu, const struct exception *exception,
                    unsigned instruction_length);
void exit_interrupt(struct cpu *cpu, uint8_t vector);
void exit_triple_fault(struct cpu *cpu);
void exit_break_in(struct cpu *cpu);
void exit_breakpoint(struct cpu *cpu);
void exit_step(struct cpu *cpu);

#endif
