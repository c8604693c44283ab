#ifndef CONFORMANCE_DRIVER_H
#define CONFORMANCE_DRIVER_H

// The driver protocol: a JSON object per line in, one per line out.

#include <stdio.h>

enum {
    DRIVER_LINE_MAX = 4 * 1024 * 1024, // bytes of a line, its end included
    DRIVER_TIMEOUT_MS = 5000,          // of a connection that names no request_timeout_ms
};

// Serves until quit or the end of in. Returns the program's exit code: 0, or 1 when memory or out
// failed. Lines that are no messages are reported on errors and skipped.
int driver_serve(FILE *in, FILE *out, FILE *errors);

#endif
