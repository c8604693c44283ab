#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

// What pulsim is compared with: a process that receives a request whole and sends a reply it has
// ready, with blocking calls and nothing in between but the copy of the id.

#include <sys/types.h>

#include "client.h"
#include "wire.h"

// Starts one that answers what `like` asks as `like` was answered last. out_address is where.
pid_t echo_start(const struct client *like, struct wire_address *out_address);

#endif
