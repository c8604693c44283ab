#include "server.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "instance.h"
#include "session.h"
#include "target.h"
#include "trace.h"

static const int end_signals[] = {SIGINT, SIGTERM};
#define NANOSECONDS_S UINT64_C(1000000000)

enum { NUM_END_SIGNALS = sizeof(end_signals) / sizeof(end_signals[0]) };

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static bool open_signals(struct server *server)
{
    (void)signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < NUM_END_SIGNALS; i++) {
        if (uv_signal_init(&server->loop, &server->signals[i]) != 0 ||
            uv_signal_start(&server->signals[i], on_signal, end_signals[i]) != 0) {
            warnx("the signal handlers cannot be set");
            return false;
        }
    }
    return true;
}

static bool open_trace(struct server *server)
{
    const char *path = server->options->trace_path;
    if (path) {
        server->trace = trace_open(path);
    }
    if (path && !server->trace) {
        warn("%s", path);
        return false;
    }
    return true;
}

static bool open_bugs(struct server *server)
{
    server->bugs = server->options->bugs;
    if (server->bugs.any) {
        server->scratch = malloc(DELIVERY_SCRATCH);
    }
    if (server->bugs.any && !server->scratch) {
        warn("bugs");
        return false;
    }
    return true;
}

// With a machine for each peer one is built all the same, to see now that it can be.
static bool open_machine(struct server *server)
{
    struct instance *instance = instance_new(server);
    if (server->options->isolate) {
        instance_free(instance);
    } else {
        server->shared = instance;
    }
    return instance != NULL;
}

static bool open_endpoints(struct server *server)
{
    size_t num = server->options->num_endpoints;
    server->endpoints = calloc(num, sizeof(struct endpoint *));
    if (!server->endpoints) {
        warn("endpoints");
        return false;
    }
    for (size_t i = 0; i < num; i++) {
        server->endpoints[i] = endpoint_new(server, &server->options->endpoints[i]);
        if (!server->endpoints[i] || !endpoint_open(server->endpoints[i])) {
            return false;
        }
    }
    return true;
}

// Another number with each start; in lockstep, where the same requests get the same replies, with
// each seed.
static uint64_t first_instance(const struct server_options *options)
{
    struct timespec now;
    if (!options->free_running) {
        return options->bugs.random + 1;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS_S + (uint64_t)now.tv_nsec;
}

static bool server_open(struct server *server)
{
    server->next_instance = first_instance(server->options);
    if (!server_work_open(server)) {
        warn("the event loop cannot be set up");
        return false;
    }
    return open_signals(server) && open_trace(server) && open_bugs(server) &&
           open_machine(server) && open_endpoints(server);
}

static void server_announce(const struct server *server)
{
    for (size_t i = 0; i < server->options->num_endpoints; i++) {
        endpoint_announce(server->endpoints[i]);
    }
    printf("ready\n");
    (void)fflush(stdout);
}

// Closes what server_open opened, so far as it came.
static void server_close(struct server *server)
{
    size_t num = server->endpoints ? server->options->num_endpoints : 0;
    for (size_t i = 0; i < num && server->endpoints[i]; i++) {
        endpoint_close(server->endpoints[i]);
    }
    for (unsigned i = 0; i < NUM_END_SIGNALS; i++) {
        handle_close((uv_handle_t *)&server->signals[i]);
    }
    server_work_close(server);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    for (size_t i = 0; i < num; i++) {
        free(server->endpoints[i]);
    }
    free(server->endpoints);
    instance_free(server->shared);
    trace_close(server->trace);
    free(server->scratch);
}

int server_run(const struct server_options *options)
{
    struct server server = {.options = options};
    int error = uv_loop_init(&server.loop);
    if (error) {
        warnx("the event loop cannot be set up: %s", uv_strerror(error));
        return EXIT_FAILURE;
    }
    LIST_INIT(&server.instances);
    LIST_INIT(&server.waiting);
    bool good = server_open(&server);
    if (good) {
        server_announce(&server);
        uv_run(&server.loop, UV_RUN_DEFAULT);
    }
    server_close(&server);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
