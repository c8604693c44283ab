#ifndef SIM_SEGMENT_LOAD_H
#define SIM_SEGMENT_LOAD_H

// Descriptors as the CPU loads them, with the checks and exceptions of 64-bit mode.

#include <stdbool.h>
#include <stdint.h>

#include "exec.h"

unsigned segment_dpl(const struct segment *segment);
bool segment_is_code(const struct segment *segment);
bool segment_is_conforming(const struct segment *segment); // of a code segment
bool segment_is_null(uint16_t selector);

// The descriptor that selector means. A null selector raises vector with a code of 0, one beyond
// its table with the selector; system descriptors are read with their upper half.
bool descriptor_read(struct exec *x, uint16_t selector, enum vector vector, struct segment *out);

// The same without an exception for the selector: false when it means no descriptor.
bool descriptor_probe(struct exec *x, uint16_t selector, struct segment *out);

// Sets the accessed flag of a code or data descriptor, in memory and in *segment.
void descriptor_set_accessed(struct exec *x, uint16_t selector, struct segment *segment);

// Marks the available TSS descriptor of selector busy.
void descriptor_set_busy(struct exec *x, uint16_t selector, struct segment *segment);

// MOV, POP and LxS: loads a data segment register or SS.
void segment_load(struct exec *x, enum segment_index index, uint16_t selector);

// What a far return or IRET goes back to.
struct return_frame {
    uint64_t rip;
    uint16_t cs;
    uint64_t rsp;
    uint16_t ss;
    bool has_stack; // RSP and SS come from the frame
};

// Loads CS, SS, RSP and RIP for a return to the same or an outer privilege level.
void segment_return(struct exec *x, const struct return_frame *frame);

// A far CALL's or JMP's code segment at the current CPL. False: raised, or x->unsupported is set.
bool segment_load_far_code(struct exec *x, uint16_t selector, struct segment *out);

#endif
