#ifndef SIM_INTERP_HANDLERS_H
#define SIM_INTERP_HANDLERS_H

// What the files of the interpreter share: the handlers, and how they reach their operands.

#include "exec.h"
#include "interp_decode.h"

#define SENSITIVE(map, opcode, handler)                                                            \
    void interp_##handler(struct exec *x, const struct insn *insn);
#include "interp_opcodes.def"

// The linear address of the memory operand, and how accesses to it are checked. RIP is already that
// of the next instruction.
uint64_t interp_linear(const struct exec *x, const struct insn *insn);
enum exec_access interp_access(const struct insn *insn);

// The r/m operand of size 1 to 8.
uint64_t interp_load_rm(struct exec *x, const struct insn *insn, size_t size);
void interp_store_rm(struct exec *x, const struct insn *insn, size_t size, uint64_t value);

void interp_push(struct exec *x, size_t size, uint64_t value);
uint64_t interp_pop(struct exec *x, size_t size);

// #GP(0), always or unless CPL is 0.
void interp_gp(struct exec *x);
void interp_require_cpl0(struct exec *x);

// RDX:RAX as two halves of 32 bits.
uint64_t interp_edx_eax(const struct exec *x);
void interp_set_edx_eax(struct exec *x, uint64_t value);

void interp_set_flags(struct exec *x, uint64_t mask, uint64_t value);

// The processor has the feature (CPUID says so).
bool interp_has(const struct exec *x, enum vmx_feature feature);

// XSETBV and XGETBV, of 0F 01; XSAVE, XRSTOR, XSAVEOPT and XSAVEC, of 0F AE and 0F C7.
void interp_xgetbv(struct exec *x);
void interp_xsetbv(struct exec *x, const struct insn *insn);
void interp_xsave(struct exec *x, const struct insn *insn);
void interp_xrstor(struct exec *x, const struct insn *insn);

// VMCALL, VMLAUNCH, VMRESUME, VMXOFF and VMFUNC, of 0F 01.
void interp_vmx_plain(struct exec *x, const struct insn *insn);

// The rest of groups that interp_table.c takes apart.
void interp_rdtscp(struct exec *x, const struct insn *insn);
void interp_lmsw(struct exec *x, const struct insn *insn);
void interp_smsw(struct exec *x, const struct insn *insn);

#endif
