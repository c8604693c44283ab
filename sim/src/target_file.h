#ifndef SIM_TARGET_FILE_H
#define SIM_TARGET_FILE_H

// Target files: YAML that describes a target. sim/targets/README.md describes the format.

#include <stddef.h>

#include "target.h"

// Reads and checks a file. NULL: error (at most error_size bytes, always terminated) receives one
// line, "PATH:LINE: reason", or without a line where none is to blame. The target is freed by
// target_file_free; machines made of it must be gone by then.
struct target *target_file_load(const char *path, char *error, size_t error_size);
void target_file_free(struct target *target);

#endif
