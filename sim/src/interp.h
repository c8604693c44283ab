#ifndef SIM_INTERP_H
#define SIM_INTERP_H

// Executes the instructions of interp_opcodes.def on a CPU's modelled state, in 64-bit mode.

#include <stdbool.h>
#include <stdint.h>

#include "exec.h"
#include "interp_decode.h"

enum interp_result {
    INTERP_DONE,
    INTERP_EXCEPTION,   // in x->exception; the CPU is as it was before
    INTERP_UNSUPPORTED, // x->unsupported says what; the CPU is as it was before
};

// Reads and decodes the instruction at RIP. False: x has the exception of the fetch.
bool interp_fetch(struct exec *x, struct insn *out);

// Executes an instruction that insn_classify calls sensitive or poison; any other is #UD. RIP is
// that of the instruction before and that of the next one after. Instructions that deliver an
// interrupt themselves (INT n) have delivered it.
enum interp_result interp_execute(struct exec *x, const struct insn *insn);

// Whether it reads or writes x87, SSE or AVX registers in struct cpu.
bool interp_uses_fpu(const struct insn *insn);

// Raises what CR0 and CR4 make of an x87, MMX or SSE instruction (insn_classify: INSN_FPU).
// False: it may run.
bool interp_fpu_disabled(struct exec *x, const struct insn *insn);

#endif
