#ifndef PROTOCOL_TESTS_FAKE_TARGET_H
#define PROTOCOL_TESTS_FAKE_TARGET_H

// A target that does as it is told and writes down what it was asked.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/target_ops.h"

enum { FAKE_MEMORY_SIZE = 0x10000, FAKE_LOG_SIZE = 8192, FAKE_MOST_ENTRIES = 4000 };

// Memory of 64 KiB, each byte its own address's low byte, at 0 of every address space; beyond it
// nothing translates. Registers count up: every byte of the n-th is n + 1.
struct fake_target {
    struct target_state state;
    struct target_cpus cpus;
    enum pulse_status fail; // what the next call that can fail answers, once
    bool step_waits;        // a step does not end by itself
    bool is_stepping;
    bool has_ymm;
    uint64_t msr_174;
    uint8_t walk_mode;
    unsigned search_slices; // calls to search that answer STATUS_PENDING
    enum pulse_status search_status;
    size_t num_breakpoints; // ids 1, 2, ... at 0x100, 0x200, ...
    size_t num_filters;     // of breakpoint 1, ids 1, 2, ...
    uint16_t filter_flags;
    uint8_t memory[FAKE_MEMORY_SIZE];
    char log[FAKE_LOG_SIZE]; // "read V 1000 4; go;"
    size_t log_len;
};

extern const struct target_ops fake_ops;

void fake_target_init(struct fake_target *fake);

// Forgets what was written down.
void fake_target_clear_log(struct fake_target *fake);

#endif
