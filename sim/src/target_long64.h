#ifndef SIM_TARGET_LONG64_H
#define SIM_TARGET_LONG64_H

#include "target.h"

// Four CPUs in 64-bit mode under a small kernel: sim/targets/long64.
extern const struct target target_long64;

#endif
