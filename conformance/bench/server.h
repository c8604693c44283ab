#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

// `pulsim serve` as a child process.

#include <sys/types.h>

#include "wire.h"

struct server {
    pid_t pid;
    int output; // what it prints
    struct wire_address addresses[NUM_TRANSPORTS];
};

// Starts the program with an endpoint of every transport, and returns when it is ready.
void server_start(struct server *server, const char *program);

// The same with UDP only.
void server_start_udp(struct server *server, const char *program);

void server_stop(struct server *server);

// Resident memory in MiB.
double server_resident(const struct server *server);

#endif
