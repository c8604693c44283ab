#ifndef SIM_SEARCH_H
#define SIM_SEARCH_H

// Pattern searches in the three address spaces (clauses D-SRCH), a slice at a time.

#include "machine.h"

// Work is counted in what a plain machine does in a nanosecond.
enum {
    SEARCH_SLICE_WORK = 1 << 17,
    SEARCH_WALK_WORK = 256,    // finding out where an address is
    SEARCH_SEGMENT_WORK = 512, // the same for a selector and an offset
};

// Runs one slice, well under a millisecond. STATUS_SUCCESS with the match's address, STATUS_PENDING
// when another slice is needed, or why the search ends.
enum pulse_status search_slice(struct machine *machine, struct target_search *search,
                               uint64_t *out_address);

// The same for any amount of work; *work is what is left of it. It is overdrawn by no more than one
// candidate's: its bytes, and where each page, segment or region of them is.
enum pulse_status search_run(struct machine *machine, struct target_search *search, int64_t *work,
                             uint64_t *out_address);

#endif
