#include "child.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

enum {
    MOST_CHILDREN = 16,
    PATH_SIZE = 80, // a Unix socket's name has at most 107 bytes
    NOT_STARTED = 127,
    PATIENCE_MS = 2000,
    NS_PER_MS = 1000000,
};

// What a signal handler has to know cannot be anybody's parameter.
static volatile sig_atomic_t children[MOST_CHILDREN]; // 0: free
static pid_t owner;                                   // of children and directory
static char directory[PATH_SIZE];
static char socket_paths[2][PATH_SIZE + sizeof("/pulsim.sock")];

// Calls only what a signal handler may call.
static void clean_up(void)
{
    if (getpid() != owner) {
        return;
    }
    for (size_t i = 0; i < MOST_CHILDREN; i++) {
        if (children[i] != 0) {
            kill(children[i], SIGKILL);
        }
    }
    unlink(socket_paths[0]);
    unlink(socket_paths[1]);
    rmdir(directory);
}

static void on_signal(int number)
{
    clean_up();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

void child_guard(void)
{
    const char *parent = getenv("TMPDIR");
    int len = snprintf(directory, sizeof(directory), "%s/pulsim-bench-XXXXXX",
                       parent && *parent ? parent : "/tmp");
    if (len >= (int)sizeof(directory)) {
        errx(EXIT_FAILURE, "the name of the directory for temporary files is too long");
    }
    if (!mkdtemp(directory)) {
        err(EXIT_FAILURE, "%s", directory);
    }
    child_path("pulsim.sock", socket_paths[0], sizeof(socket_paths[0]));
    child_path("echo.sock", socket_paths[1], sizeof(socket_paths[1]));
    owner = getpid();
    if (atexit(clean_up) != 0) {
        errx(EXIT_FAILURE, "out of memory");
    }
    struct sigaction action = {.sa_handler = on_signal};
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

void child_path(const char *name, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/%s", directory, name);
}

static volatile sig_atomic_t *slot_of(pid_t pid)
{
    for (size_t i = 0; i < MOST_CHILDREN; i++) {
        if (children[i] == pid) {
            return &children[i];
        }
    }
    errx(EXIT_FAILURE, "too many processes at a time");
}

static void set_default_signals(void)
{
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
}

// No signal may come between the child's birth and its entry in the table.
pid_t child_fork(void)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    volatile sig_atomic_t *slot = slot_of(0);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t pid = fork();
    if (pid < 0) {
        err(EXIT_FAILURE, "fork");
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // for the one way to end that nobody can catch
        set_default_signals();
    } else {
        *slot = pid;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

pid_t child_start(const char *const arguments[], int *out_fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        err(EXIT_FAILURE, "pipe");
    }
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    pid_t pid = child_fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        warn("%s", arguments[0]);
        _exit(NOT_STARTED);
    }
    close(ends[1]);
    *out_fd = ends[0];
    return pid;
}

static bool wait_readable(int fd, int64_t deadline)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int64_t left = deadline - clock_now();
    return left > 0 && poll(&poll_fd, 1, (int)(left / NS_PER_MS) + 1) > 0;
}

bool child_read_line(int fd, int64_t deadline, char *out, size_t size)
{
    size_t len = 0;
    while (len + 1 < size && wait_readable(fd, deadline) && read(fd, out + len, 1) == 1) {
        if (out[len] == '\n') {
            out[len] = '\0';
            return true;
        }
        len++;
    }
    return false;
}

static bool has_ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == pid;
}

void child_stop(pid_t pid)
{
    const struct timespec millisecond = {.tv_nsec = NS_PER_MS};
    int64_t deadline = clock_now() + (int64_t)PATIENCE_MS * NS_PER_MS;
    kill(pid, SIGTERM);
    bool ended = has_ended(pid);
    while (!ended && clock_now() < deadline) {
        nanosleep(&millisecond, NULL);
        ended = has_ended(pid);
    }
    if (!ended) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    *slot_of(pid) = 0;
}

bool child_is_installed(const char *program)
{
    const char *path = getenv("PATH");
    char name[4096];
    while (path && *path) {
        size_t len = strcspn(path, ":");
        (void)snprintf(name, sizeof(name), "%.*s/%s", (int)len, path, program);
        if (access(name, X_OK) == 0) {
            return true;
        }
        path += len + (path[len] == ':');
    }
    return false;
}
