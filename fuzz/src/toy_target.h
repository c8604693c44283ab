#ifndef FUZZ_TOY_TARGET_H
#define FUZZ_TOY_TARGET_H

// The smallest target that answers every call in every way the contract of struct target_ops
// allows. It has 4 KiB of memory at 0, the same in all three address spaces, and nothing else;
// which status a call gets depends on its arguments alone.

#include <stdbool.h>
#include <stdint.h>

#include "protocol/target_ops.h"

enum {
    TOY_MEMORY = 4096,
    TOY_CPUS = 4,
};

struct toy_target {
    bool running;
    bool step_pending;
    bool broke_in;
    enum event_code event;
    unsigned cpu;
    unsigned slices; // of the search under way
    unsigned num_breakpoints;
    unsigned num_filters;
    uint64_t num_changes; // calls that may have changed something
    uint64_t msr;
    struct context context;
    struct extended_context extended;
    uint8_t memory[TOY_MEMORY];
};

extern const struct target_ops toy_ops;

#endif
