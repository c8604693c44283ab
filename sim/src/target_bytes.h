#ifndef SIM_TARGET_BYTES_H
#define SIM_TARGET_BYTES_H

// The bytes that an item of a target file's `load` list stands for.

#include <stddef.h>
#include <stdint.h>

struct yaml_load;

struct target_bytes {
    uint8_t *bytes; // to be freed
    size_t len;
};

// A file is looked for beside the file `beside`. NULL when the bytes are in *out; else why they
// are not, and *out is untouched. *out_key is the key of the item that it is about.
const char *target_bytes_make(const struct yaml_load *load, const char *beside,
                              struct target_bytes *out, const char **out_key);

#endif
