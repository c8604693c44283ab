#ifndef CONFORMANCE_SIMULATOR_H
#define CONFORMANCE_SIMULATOR_H

// `pulsim serve` as a child process, for tests and the demonstration.

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SIMULATOR_ENDPOINTS_MAX = 8 };

struct simulator {
    pid_t pid;
    int output; // its standard output
    size_t num_endpoints;
    char endpoints[SIMULATOR_ENDPOINTS_MAX][160]; // as pulsim-client's --connect wants them
};

// Starts program with the given arguments, the last one NULL, and waits until it is ready. Its log
// goes where ours does, or nowhere when it is quiet. Returns false when it ends before, with
// nothing left running.
bool simulator_start(struct simulator *simulator, const char *program, const char *const *arguments,
                     bool quiet);

// Asks it to end and waits for that. Returns its exit code, or 1000 and the signal that ended it.
int simulator_stop(struct simulator *simulator);

#endif
