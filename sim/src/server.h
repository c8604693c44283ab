#ifndef SIM_SERVER_H
#define SIM_SERVER_H

// `pulsim serve`: one event loop on one thread. Endpoints turn what a transport delivers into
// packets of sessions (one per peer); a session feeds them to the debuggee of its instance (one
// machine); replies leave by the session's transport.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "bugs.h"
#include "endpoint.h"
#include "protocol/debuggee.h"

struct instance;
struct session;
struct target;
struct trace;

struct server_options {
    const struct target *target;
    enum debuggee_versions versions;
    bool compat_2018_client;
    bool free_running;         // false: lockstep
    bool isolate;              // a machine for each peer
    bool text;                 // log lines go to the peers, too
    uint64_t poll_interval_us; // 0: answers are not delayed while the target runs
    size_t max_peers;          // of one UDP endpoint
    const char *trace_path;    // NULL: no trace
    struct bugs bugs;
    size_t num_endpoints;
    const struct endpoint_address *endpoints;
};

struct server {
    const struct server_options *options;
    struct bugs bugs;
    uint8_t *scratch; // DELIVERY_SCRATCH bytes when there are bugs
    struct trace *trace;
    struct instance *shared; // NULL with isolate
    LIST_HEAD(, instance) instances;
    LIST_HEAD(, session) waiting; // sessions that hold packets back
    uint64_t num_sessions;        // so far
    uint64_t next_instance;       // number of the machine that is built next
    struct endpoint **endpoints;  // as in options
    uv_loop_t loop;
    uv_signal_t signals[2]; // SIGINT, SIGTERM
    uv_idle_t work;         // runs machines and searches between polls
    uv_timer_t nap;         // until a machine whose CPUs all wait has something to do
    int tick_fd;            // timer of the poll interval; -1: none
    uv_poll_t tick;
    bool tick_armed;
    bool ticking; // what was held back is being answered
};

// Serves until SIGINT or SIGTERM. Returns the exit code; a failure is reported on standard error.
int server_run(const struct server_options *options);

// The parts below are for instances, sessions and endpoints.

// There may be something to do between polls.
void server_wake(struct server *server);

// Feeds what sessions hold back, as far as that may be fed now.
void server_drain(struct server *server);

// Sees to it that what is held back is answered at the next tick of the poll interval.
void server_await_tick(struct server *server);

// Prepares and closes the handles behind the calls above. False: the host refuses.
bool server_work_open(struct server *server);
void server_work_close(struct server *server);

#endif
