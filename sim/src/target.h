#ifndef SIM_TARGET_H
#define SIM_TARGET_H

// A target: what a machine is made of at its start. Built-in ones are tables; target files make the
// same tables.

#include <stddef.h>
#include <stdint.h>

#include "guest_memory.h"
#include "protocol/registers.h"
#include "vmx_model/cpu.h"

enum { TARGET_ALL_CPUS = -1 };

struct target_region {
    enum region_kind kind;
    uint64_t base;
    uint64_t size;
};

// Bytes that memory holds at the start.
struct target_load {
    uint64_t guest_phys;
    const uint8_t *bytes;
    size_t len;
};

// A register's value at the start, on one CPU or on all. Later rows win.
struct target_register {
    int cpu;
    enum context_register reg;
    uint64_t value;
};

struct target_msr {
    int cpu;
    uint32_t index;
    uint64_t value;
};

// What an MSR does instead, from the start on. A CPU has at most one of each number.
struct target_override {
    int cpu;
    struct msr_override override;
};

struct target {
    const char *name;
    const char *summary;
    const struct vmx_profile *profile; // of the processor; NULL: generic
    unsigned num_cpus;
    size_t num_regions;
    const struct target_region *regions;
    size_t num_loads;
    const struct target_load *loads;
    size_t num_registers;
    const struct target_register *registers;
    size_t num_msrs;
    const struct target_msr *msrs;
    size_t num_overrides;
    const struct target_override *overrides;
};

// The processor that a target has.
const struct vmx_profile *target_profile(const struct target *target);

// The built-in target of that name, NULL when there is none.
const struct target *target_find(const char *name);

// The i-th built-in target, NULL past the last.
const struct target *target_at(size_t i);

#endif
