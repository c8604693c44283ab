#ifndef SIM_TARGET_OPTION_H
#define SIM_TARGET_OPTION_H

// --target NAME|FILE.yaml, as every command takes it.

#include <argp.h>

#include "target.h"

#define TARGET_OPTION_ARGUMENT "NAME|FILE.yaml"
#define TARGET_OPTION_DEFAULT  "long64"

// The target that text names. A target file is loaded into *file, which the caller frees by
// target_file_free; one that stands there already is freed. What names none ends the program.
const struct target *target_option(const struct argp_state *state, const char *text,
                                   struct target **file);

#endif
