#ifndef SIM_TESTS_PROGRAM_H
#define SIM_TESTS_PROGRAM_H

// The built program pulsim as a child. Every wait has an end; what fails, fails the test.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define NUM_OF(array) (sizeof(array) / sizeof((array)[0]))

enum {
    PROGRAM_WAIT_MS = 10000, // the longest wait for anything
    PROGRAM_TEXT = 16384,
    PROGRAM_ENDPOINTS = 4,
    PROGRAM_ARGS = 16,
};

// `pulsim serve` under way.
struct program {
    pid_t pid;
    int out;
    int err;
    char listening[PROGRAM_ENDPOINTS][160]; // "udp 127.0.0.1:50100", in the order of the options
    size_t num_listening;
};

// What a program that ended has left.
struct program_end {
    int code; // of exit; -1: a signal ended it
    char out[PROGRAM_TEXT];
    char err[PROGRAM_TEXT];
};

// True when fd is ready for events before the longest wait is over.
bool program_wait(int fd, short events);

// Runs pulsim with args, up to a NULL, until it ends.
void program_run(const char *const *args, struct program_end *out);

// Starts `pulsim serve` with args, up to a NULL, and waits until it is ready.
void program_start(struct program *program, const char *const *args);

// One endpoint of each kind.
enum transport { UDP, TCP, UNIX, PTY };

// Starts with a single endpoint of that kind and more args.
void program_start_at(struct program *program, enum transport transport, const char *const *more);

// Sends number to the program and waits for its end.
void program_stop(struct program *program, int number, struct program_end *out);

// Stops a program with SIGTERM and expects it to end well, with nothing on standard error that a
// sanitizer wrote.
void program_finish(struct program *program);

// A path in this test program's own directory, which goes at its end. Static storage, for four
// calls.
const char *scratch_path(const char *name);

#endif
