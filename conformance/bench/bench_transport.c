// pulsim over a socket, beside the bare echo.

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "child.h"
#include "client.h"
#include "echo.h"
#include "server.h"

enum { BYTES_PER_MB = 1000000 };

static void measure(struct bench *bench, struct client *pulsim, struct client *echo,
                    struct figure *figure)
{
    const struct contender contenders[] = {{client_repeat, pulsim}, {client_repeat, echo}};
    struct samples samples[2];
    measure_rates(contenders, 2, bench->seconds, samples);
    figure->measured = samples[0];
    figure->base = samples[1];
}

// The first reply of pulsim is what the echo then answers.
static void measure_operation(struct bench *bench, struct client *client, enum operation_id id,
                              const char *section)
{
    const struct operation *operation = &operations[id];
    struct figure figure = {
        .section = section,
        .name = operation->name,
        .text = operation->text,
        .unit = operation->payload ? "MB/s" : "requests/s",
        .baseline = "echo",
        .goal = {operation->least_ratio > 0 ? GOAL_RATIO : GOAL_NONE, false,
                 operation->least_ratio},
    };
    operation_prepare(id, &client->prepared);
    client_use_prepared(client);
    client_request(client);
    struct wire_address address;
    pid_t echo_pid = echo_start(client, &address);
    struct client *echo = client_new("echo", client->transport, &address);
    echo->prepared = client->prepared;
    client_use_prepared(echo);
    measure(bench, client, echo, &figure);
    client_free(echo);
    child_stop(echo_pid);
    if (operation->payload) {
        samples_scale(&figure.measured, (double)operation->payload / BYTES_PER_MB);
        samples_scale(&figure.base, (double)operation->payload / BYTES_PER_MB);
    }
    report_add(&bench->report, &figure);
}

static enum transport transport_of(const char *section)
{
    int transport = 0;
    while (transport < NUM_TRANSPORTS - 1 && strcmp(transport_names[transport], section) != 0) {
        transport++;
    }
    return (enum transport)transport;
}

void bench_transport(struct bench *bench, const char *section)
{
    enum transport transport = transport_of(section);
    struct server server = {0};
    server_start(&server, bench->pulsim);
    struct client *client = client_new("pulsim", transport, &server.addresses[transport]);
    for (int id = 0; id < NUM_OPERATIONS; id++) {
        measure_operation(bench, client, (enum operation_id)id, section);
    }
    client_free(client);
    server_stop(&server);
}
