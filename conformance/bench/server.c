#include "server.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "measure.h"

enum {
    LINE_SIZE = 256,
    PATH_SIZE = 108,
    KIB_PER_MIB = 1024,
};

static const int64_t patience_ns = INT64_C(10000000000);

// "listening udp 127.0.0.1:50100", "listening unix PATH".
static void take_line(struct server *server, const char *line)
{
    static const char listening[] = "listening ";
    if (strncmp(line, listening, strlen(listening)) != 0) {
        return;
    }
    line += strlen(listening);
    const char *where = strchr(line, ' ');
    for (int i = 0; where && i < NUM_TRANSPORTS; i++) {
        size_t len = strlen(transport_names[i]);
        if (len == (size_t)(where - line) && strncmp(line, transport_names[i], len) == 0) {
            const char *colon = strrchr(where, ':');
            uint16_t port = (uint16_t)strtoul(colon ? colon + 1 : "0", NULL, 10);
            server->addresses[i] = i == TRANSPORT_UNIX ? wire_path(where + 1) : wire_port(port);
        }
    }
}

static void start(struct server *server, const char *const arguments[])
{
    server->pid = child_start(arguments, &server->output);
    int64_t deadline = clock_now() + patience_ns;
    char line[LINE_SIZE] = "";
    while (strcmp(line, "ready") != 0) {
        char next[LINE_SIZE] = "";
        if (!child_read_line(server->output, deadline, next, sizeof(next))) {
            errx(EXIT_FAILURE, "%s serve does not become ready: %s", arguments[0],
                 *line ? line : "it says nothing");
        }
        memcpy(line, next, sizeof(line));
        take_line(server, line);
    }
}

void server_start(struct server *server, const char *program)
{
    char path[PATH_SIZE];
    child_path("pulsim.sock", path, sizeof(path));
    const char *arguments[] = {program,       "serve",  "--udp", "127.0.0.1:0", "--tcp",
                               "127.0.0.1:0", "--unix", path,    NULL};
    start(server, arguments);
}

void server_start_udp(struct server *server, const char *program)
{
    const char *arguments[] = {program, "serve", "--udp", "127.0.0.1:0", NULL};
    start(server, arguments);
}

void server_stop(struct server *server)
{
    child_stop(server->pid);
    close(server->output);
}

double server_resident(const struct server *server)
{
    char line[LINE_SIZE];
    (void)snprintf(line, sizeof(line), "/proc/%d/status", (int)server->pid);
    FILE *status = fopen(line, "re");
    double kib = 0;
    while (status && fgets(line, sizeof(line), status)) {
        static const char name[] = "VmRSS:";
        if (strncmp(line, name, strlen(name)) == 0) {
            kib = strtod(line + strlen(name), NULL);
        }
    }
    if (status) {
        (void)fclose(status);
    }
    if (kib <= 0) {
        errx(EXIT_FAILURE, "pulsim serve has ended, or its memory cannot be seen");
    }
    return kib / KIB_PER_MIB;
}
