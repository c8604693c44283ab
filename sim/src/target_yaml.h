#ifndef SIM_TARGET_YAML_H
#define SIM_TARGET_YAML_H

// What a target file says, before anything is made of it. sim/targets/README.md describes the
// format.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/registers.h"

struct yaml_region {
    int kind; // enum region_kind
    uint64_t base;
    uint64_t size;
};

// Exactly one of file, hex, text, quads and fill says which bytes.
struct yaml_load {
    uint64_t address;
    char *file;
    char *hex;
    char *text;
    uint64_t *quads;
    unsigned quads_count;
    uint8_t *fill;
    uint64_t size; // with fill
};

// NULL stands for what is not mentioned.
struct yaml_values {
    uint64_t *value[NUM_CONTEXT_REGISTERS];
};

struct yaml_registers {
    int *cpu;
    struct yaml_values set;
};

// At least one of value, fixed and faults.
struct yaml_msr {
    int *cpu;
    uint32_t index;
    uint64_t *value;
    uint64_t *fixed;
    int *faults; // MSR_OVERRIDE_READ_GP, MSR_OVERRIDE_WRITE_GP or both
};

struct yaml_target {
    char *name;
    char *summary;
    char *base;
    char *profile;
    unsigned *max_phys_bits;
    unsigned *cpus;
    struct yaml_region *regions;
    unsigned regions_count;
    struct yaml_load *load;
    unsigned load_count;
    struct yaml_registers *registers;
    unsigned registers_count;
    struct yaml_msr *msrs;
    unsigned msrs_count;
};

// A file that was read: its contents, and where in the text they stand.
struct target_yaml;

// A place in the file: the index-th item of a list, a key in it, a key in that; NULL: no further.
struct yaml_place {
    const char *list;
    size_t index;
    const char *key;
    const char *inner;
};

// Reads a file. NULL: out_error receives "PATH:LINE: reason" or, without a line, "PATH: reason".
struct target_yaml *target_yaml_load(const char *path, char *out_error, size_t error_size);
void target_yaml_free(struct target_yaml *yaml);

const struct yaml_target *target_yaml_root(const struct target_yaml *yaml);

// The line at which a place stands, or the nearest around it; 0 when not even the list does.
size_t target_yaml_line(struct target_yaml *yaml, const struct yaml_place *place);

#endif
