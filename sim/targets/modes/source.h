#ifndef MODES_SOURCE_H
#define MODES_SOURCE_H

#include <stdio.h>

#include "modes/image.h"

// Writes C source that defines struct target target_ID: rows and image as tables.
void source_print(FILE *out, const struct mode_target *target, const struct image *image);

#endif
