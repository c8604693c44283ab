#ifndef SIM_SEGMENT_LOAD_H
#define SIM_SEGMENT_LOAD_H

// Carries out what mmu_model answers about segments: descriptors are read through exec, exceptions
// raised, flags of descriptors written and registers loaded.

#include <stdbool.h>
#include <stdint.h>

#include "exec.h"
#include "mmu_model/segment_load.h"
#include "mmu_model/segment_transfer.h"

// The CPU as mmu_model asks for it. Its reader raises in x what a read of a table raises.
struct segment_cpu exec_segment_cpu(struct exec *x);

// Raises what the answer says. False: the execution ends here.
bool exec_settle(struct exec *x, struct segment_answer answer);

// Sets the accessed or busy flag of a loaded descriptor in memory.
void exec_set_descriptor_flag(struct exec *x, const struct segment_loaded *loaded);

// MOV, POP and LxS: loads a data segment register or SS.
void exec_load_segment(struct exec *x, enum segment_index index, uint16_t selector);

// LLDT and LTR.
void exec_load_ldtr(struct exec *x, uint16_t selector);
void exec_load_tr(struct exec *x, uint16_t selector);

// Loads CS and RIP for a far return and, when the frame has them, SS and RSP.
void exec_return(struct exec *x, const struct segment_frame *frame, uint64_t rsp);

#endif
