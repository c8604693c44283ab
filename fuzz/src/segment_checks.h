#ifndef FUZZ_SEGMENT_CHECKS_H
#define FUZZ_SEGMENT_CHECKS_H

#include "segment_world.h"

// An answer of the CPU's model: error codes have a selector and EXT, in interrupts a vector; what
// was unread, the memory refused.
void check_answer(const struct segment_world *world, struct segment_answer answer);
void check_interrupt_answer(const struct segment_world *world, struct segment_answer answer);

// A loaded segment is present, is what stands in the table, and has the flag that is set.
void check_loaded(struct segment_world *world, const struct segment_loaded *loaded);

// The debugger's question: what an answer covers gets that answer, and it ends where it says.
void check_translation(struct segment_world *world);

// A descriptor and its segment are the same eight bytes.
void check_descriptors(const struct segment_world *world);

void check_data_load(struct segment_world *world);
void check_stack_load(struct segment_world *world);
void check_system_loads(struct segment_world *world);
void check_queries(struct segment_world *world);

// What the CPU may access the debugger finds at the same place.
void check_access(struct segment_world *world);

void check_transfers(struct segment_world *world);
void check_interrupt(struct segment_world *world);
void check_return(struct segment_world *world);
void check_fast_calls(const struct segment_world *world);

#endif
