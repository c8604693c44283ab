// From exec to the first reply, and what is resident then and after the guest has run.

#include <time.h>

#include "bench.h"
#include "client.h"
#include "server.h"

enum {
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
};

static void ask(struct client *client, enum packet_kind request, enum packet_kind reply)
{
    const struct packet packet = {.kind = request};
    packet_prepare(&packet, reply, &client->prepared);
    client_use_prepared(client);
    client_request(client);
}

static void ask_operations(struct client *client)
{
    for (int id = 0; id < NUM_OPERATIONS; id++) {
        operation_prepare((enum operation_id)id, &client->prepared);
        client_use_prepared(client);
        client_request(client);
    }
}

static void let_run(struct client *client, double seconds)
{
    int64_t ns = (int64_t)(seconds * NS_PER_S);
    const struct timespec run = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    ask(client, PACKET_GO, PACKET_SUCCESS);
    nanosleep(&run, NULL);
    ask(client, PACKET_BREAK_IN, PACKET_SUCCESS);
}

struct start {
    struct samples first_reply; // ms
    struct samples resident;    // MiB
    struct samples after_run;   // MiB
};

static void sample(struct bench *bench, size_t run, struct start *out)
{
    struct server server = {0};
    int64_t start = clock_now();
    server_start_udp(&server, bench->pulsim);
    struct client *client = client_new("pulsim", TRANSPORT_UDP, &server.addresses[TRANSPORT_UDP]);
    ask(client, PACKET_PING, PACKET_SUCCESS);
    out->first_reply.value[run] = (double)(clock_now() - start) / NS_PER_MS;
    ask_operations(client);
    out->resident.value[run] = server_resident(&server);
    let_run(client, bench->seconds);
    out->after_run.value[run] = server_resident(&server);
    client_free(client);
    server_stop(&server);
}

void bench_start(struct bench *bench, const char *section)
{
    struct start start;
    for (size_t run = 0; run < RUNS; run++) {
        sample(bench, run, &start);
    }
    const struct figure figures[] = {
        {.section = section,
         .name = "first-reply",
         .text = "exec to the first reply",
         .unit = "ms",
         .measured = start.first_reply,
         .goal = {GOAL_VALUE, true, 10}},
        {.section = section,
         .name = "resident",
         .text = "resident after the first replies",
         .unit = "MiB",
         .measured = start.resident,
         .goal = {GOAL_VALUE, true, 24}},
        {.section = section,
         .name = "resident-after-run",
         .text = "resident after the guest has run",
         .unit = "MiB",
         .measured = start.after_run,
         .goal = {GOAL_VALUE, true, 24}},
    };
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        report_add(&bench->report, &figures[i]);
    }
}
