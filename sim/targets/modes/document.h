#ifndef MODES_DOCUMENT_H
#define MODES_DOCUMENT_H

#include <stdbool.h>
#include <stdio.h>

#include "modes/image.h"

// Copies a document, with each table between <!-- begin: NAME --> and <!-- end: NAME --> made anew
// from the target's rows; target NULL: the document that lists the targets. False when a mark names
// no table, or a table of the target is missing; standard error says which.
bool document_make(const char *text, const struct mode_target *target, const struct image *image,
                   FILE *out);

#endif
