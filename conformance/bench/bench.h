#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

// The sections of a benchmark run.

#include <stdbool.h>

#include "report.h"

struct bench {
    const char *pulsim; // the program
    double seconds;     // of one run
    struct report report;
};

// Measures one section, named `section`, and reports its figures.
typedef void bench_section(struct bench *bench, const char *section);

// pulsim over a socket, beside the bare echo; the section's name is the transport's.
bench_section bench_transport;

// The same requests in this process, without a socket; and how fast a guest runs.
bench_section bench_library;

// What other modules promise of their inner loops.
bench_section bench_models;

// From exec to the first reply, and what is resident then.
bench_section bench_start;

// Other debug stubs, where they are installed.
bench_section bench_gdbserver;
bench_section bench_qemu;

#endif
