#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

// Processes that this program starts, and its directory for sockets. Both are gone when it ends,
// however it ends; only these processes are ever ended, by their ids.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// To be called once, before anything else of this header.
void child_guard(void);

// Puts "directory/name" into out, where the directory is this run's own. Name: one of a few that
// are removed at the end, "pulsim.sock" and "echo.sock".
void child_path(const char *name, char *out, size_t size);

// Forks; 0 in the child, which is to leave by _exit.
pid_t child_fork(void);

// Runs a program found on PATH. What it prints, errors too, comes out of *out_fd; what nobody reads
// there is lost and does not stop it.
pid_t child_start(const char *const arguments[], int *out_fd);

// The next line of a child's output, without its end; false when it ends or deadline passes first.
bool child_read_line(int fd, int64_t deadline, char *out, size_t size);

// Asks the child to end, insists after two seconds, and waits for it.
void child_stop(pid_t pid);

// Whether a program of this name is on PATH.
bool child_is_installed(const char *program);

#endif
