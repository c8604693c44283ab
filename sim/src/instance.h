#ifndef SIM_INSTANCE_H
#define SIM_INSTANCE_H

// One machine with its debuggee and the sessions of the peers that talk to it.

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "protocol/debuggee.h"

struct machine;
struct server;
struct session;

struct instance {
    struct server *server;
    struct machine *machine;
    struct debuggee debuggee;
    LIST_HEAD(, session) sessions;
    LIST_ENTRY(instance) in_server;
    uint64_t asleep_since; // host nanoseconds; 0: a CPU executes
};

// Builds a machine of the server's target. NULL, with a line on standard error, when that fails.
struct instance *instance_new(struct server *server);

// No session may be left. NULL is allowed.
void instance_free(struct instance *instance);

// Takes one packet of a session: lets a lockstep machine advance, then asks the debuggee.
void instance_receive(struct instance *instance, struct session *session, const uint8_t *packet,
                      size_t len);

// True while packets wait for the next tick of the poll interval.
bool instance_is_polling(const struct instance *instance);

// Runs a slice of whatever goes on between packets. Returns after how many nanoseconds there is
// more to do: 0 at once, UINT64_MAX only after another packet.
uint64_t instance_work(struct instance *instance);

// Logs one line: to standard error and, with --text, to the peers. user is the instance.
void instance_log(void *user, const char *line);

#endif
