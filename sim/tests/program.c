#include "program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 128, NUM_PATHS = 4 };

static char directory[] = "/tmp/pulsim-test-XXXXXX";
static bool has_directory;

static void remove_directory(void)
{
    char command[PATH_SIZE];
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    if (system(command) != 0) { // NOLINT(cert-env33-c): a fixed command on our own directory
        perror(directory);
    }
}

const char *scratch_path(const char *name)
{
    static char paths[NUM_PATHS][PATH_SIZE];
    static unsigned next;
    if (!has_directory) {
        assert_non_null(mkdtemp(directory));
        has_directory = true;
        atexit(remove_directory); // NOLINT(cert-err33-c): at worst a directory stays
    }
    char *path = paths[next++ % NUM_PATHS];
    (void)snprintf(path, PATH_SIZE, "%s/%s", directory, name);
    return path;
}

bool program_wait(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};
    return poll(&ready, 1, PROGRAM_WAIT_MS) == 1;
}

static void run_child(const int out[2], const int err[2], const char *const *args)
{
    char *argv[PROGRAM_ARGS + 2] = {(char *)(uintptr_t) "pulsim"};
    for (size_t i = 0; i < PROGRAM_ARGS && args[i]; i++) {
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that fails leaves nothing running
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    execv(PULSIM_PROGRAM, argv);
    _exit(127);
}

static void start_child(struct program *program, const char *const *args)
{
    int out[2];
    int err[2];
    *program = (struct program){.pid = -1};
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    program->pid = fork();
    assert_true(program->pid >= 0);
    if (program->pid == 0) {
        run_child(out, err, args);
    }
    close(out[1]);
    close(err[1]);
    program->out = out[0];
    program->err = err[0];
}

// Reads until the other end is closed; what does not fit is left out.
static void read_all(int fd, char *out)
{
    size_t len = 0;
    char chunk[512];
    ssize_t n = 1;
    while (n > 0) {
        assert_true(program_wait(fd, POLLIN));
        n = read(fd, chunk, sizeof(chunk));
        for (ssize_t i = 0; i < n && len < PROGRAM_TEXT - 1; i++) {
            out[len++] = chunk[i];
        }
    }
    out[len] = '\0';
    close(fd);
}

static void await_end(struct program *program, struct program_end *out)
{
    read_all(program->out, out->out);
    read_all(program->err, out->err);
    int status = 0;
    assert_int_equal(waitpid(program->pid, &status, 0), program->pid);
    out->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void program_run(const char *const *args, struct program_end *out)
{
    struct program program;
    start_child(&program, args);
    await_end(&program, out);
}

// One line without its end. False at the end of the output.
static bool read_line(int fd, char *out, size_t size)
{
    size_t len = 0;
    char byte = 0;
    while (program_wait(fd, POLLIN) && read(fd, &byte, 1) == 1) {
        if (byte == '\n') {
            out[len] = '\0';
            return true;
        }
        assert_true(len < size - 1);
        out[len++] = byte;
    }
    return false;
}

void program_start(struct program *program, const char *const *args)
{
    static const char listening[] = "listening ";
    const char *serve[PROGRAM_ARGS + 1] = {"serve"};
    for (size_t i = 0; args[i]; i++) {
        assert_true(i + 2 < NUM_OF(serve));
        serve[i + 1] = args[i];
    }
    start_child(program, serve);
    char line[sizeof(program->listening[0])];
    while (read_line(program->out, line, sizeof(line))) {
        if (strcmp(line, "ready") == 0) {
            return;
        }
        assert_memory_equal(line, listening, sizeof(listening) - 1);
        assert_true(program->num_listening < PROGRAM_ENDPOINTS);
        const char *what = line + sizeof(listening) - 1;
        memcpy(program->listening[program->num_listening++], what, strlen(what) + 1);
    }
    struct program_end end;
    await_end(program, &end);
    fail_msg("pulsim ended with %d before it was ready: %s", end.code, end.err);
}

void program_stop(struct program *program, int number, struct program_end *out)
{
    kill(program->pid, number);
    await_end(program, out);
}

void program_finish(struct program *program)
{
    struct program_end end;
    program_stop(program, SIGTERM, &end);
    if (end.code != 0 || strstr(end.err, "Sanitizer") || strstr(end.err, "runtime error")) {
        fail_msg("pulsim ended with %d: %s", end.code, end.err);
    }
}

void program_start_at(struct program *program, enum transport transport, const char *const *more)
{
    static unsigned number; // a program that a failed test left behind keeps its path
    char name[16];
    (void)snprintf(name, sizeof(name), "%u", number++);
    const char *args[PROGRAM_ARGS] = {NULL};
    size_t num = 0;
    switch (transport) {
    case UDP:
        args[num++] = "--udp=127.0.0.1:0";
        break;
    case TCP:
        args[num++] = "--tcp=127.0.0.1:0";
        break;
    case UNIX:
        args[num++] = "--unix";
        args[num++] = scratch_path(name);
        break;
    case PTY:
        args[num++] = "--pty";
        args[num++] = scratch_path(name);
        break;
    }
    for (size_t i = 0; more && more[i]; i++) {
        args[num++] = more[i];
    }
    program_start(program, args);
}
