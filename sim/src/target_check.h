#ifndef SIM_TARGET_CHECK_H
#define SIM_TARGET_CHECK_H

// Whether a target fits itself: what machine_new would refuse, and what it would silently cut off.

#include <stdbool.h>
#include <stddef.h>

#include "target.h"

enum target_part {
    TARGET_PART_CPUS,
    TARGET_PART_REGIONS,
    TARGET_PART_LOADS,
    TARGET_PART_REGISTERS,
    TARGET_PART_MSRS,
    TARGET_PART_OVERRIDES,
};

struct target_problem {
    enum target_part part;
    size_t index; // of the row in that part
    char reason[120];
};

// False: out tells of the first problem.
bool target_check(const struct target *target, struct target_problem *out);

#endif
