#ifndef SIM_SEARCH_H
#define SIM_SEARCH_H

// Pattern searches in the three address spaces (clauses D-SRCH), a slice at a time.

#include "machine.h"

// Runs one slice, well under a millisecond. STATUS_SUCCESS with the match's address, STATUS_PENDING
// when another slice is needed, or why the search ends.
enum pulse_status search_slice(struct machine *machine, struct target_search *search,
                               uint64_t *out_address);

#endif
