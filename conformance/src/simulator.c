#include "simulator.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { ARGUMENTS_MAX = 32 };

static int wait_for_end(pid_t pid)
{
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// The writing end is the child's standard output; returns the reading end.
static int spawn_with_pipe(char **arguments, bool quiet, pid_t *out_pid)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (quiet) {
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    int error = posix_spawn(out_pid, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return -1;
    }
    return ends[0];
}

// "listening udp 127.0.0.1:1234" is the endpoint udp:127.0.0.1:1234.
static void take_endpoint(struct simulator *simulator, const char *line)
{
    char scheme[16];
    char name[128];
    bool has_room = simulator->num_endpoints < SIMULATOR_ENDPOINTS_MAX;
    if (has_room && sscanf(line, "listening %15s %127s", scheme, name) == 2) {
        (void)snprintf(simulator->endpoints[simulator->num_endpoints++],
                       sizeof(simulator->endpoints[0]), "%s:%s", scheme, name);
    }
}

static bool read_until_ready(struct simulator *simulator)
{
    char line[256];
    FILE *file = fdopen(dup(simulator->output), "r");
    bool ready = false;
    while (file != NULL && !ready && fgets(line, sizeof(line), file) != NULL) {
        ready = strcmp(line, "ready\n") == 0;
        take_endpoint(simulator, line);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return ready;
}

bool simulator_start(struct simulator *simulator, const char *program, const char *const *arguments,
                     bool quiet)
{
    char *list[ARGUMENTS_MAX] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "serve"};
    for (size_t i = 0; arguments[i] != NULL && i + 3 < ARGUMENTS_MAX; i++) {
        list[i + 2] = (char *)(uintptr_t)arguments[i];
    }
    *simulator = (struct simulator){.output = -1};
    simulator->output = spawn_with_pipe(list, quiet, &simulator->pid);
    if (simulator->output < 0) {
        return false;
    }
    if (!read_until_ready(simulator)) {
        simulator_stop(simulator);
        return false;
    }
    return true;
}

int simulator_stop(struct simulator *simulator)
{
    kill(simulator->pid, SIGTERM);
    close(simulator->output);
    return wait_for_end(simulator->pid);
}
