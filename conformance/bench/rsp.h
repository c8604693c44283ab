#ifndef BENCH_RSP_H
#define BENCH_RSP_H

// As much of GDB's remote serial protocol as reading memory takes.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RSP_MAX = 1 << 17 };

struct rsp {
    int fd;
    bool acknowledges;  // each request tells the stub that the reply before it came
    size_t packet_size; // the stub's largest packet, in characters
    size_t len;         // of the reply
    char reply[RSP_MAX];
};

// Connects within five seconds, agrees on features and does away with acknowledgements where the
// stub can. NULL when that fails. Freed, with a request to kill what is debugged, by rsp_free.
struct rsp *rsp_new(uint16_t port);
void rsp_free(struct rsp *rsp);

// Sends one packet and receives its reply, still run-length encoded: rsp->reply, a string of
// rsp->len characters. False when nothing, an error or an empty reply comes.
bool rsp_call(struct rsp *rsp, const char *request);

// Expands the run-length encoding of the reply; false when it does not fit.
bool rsp_expand(struct rsp *rsp);

// Writes "$request#checksum" into out, to be sent many times by rsp_call_framed.
void rsp_frame(const struct rsp *rsp, const char *request, char *out, size_t size);
bool rsp_call_framed(struct rsp *rsp, const char *frame);

#endif
