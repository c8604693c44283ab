#ifndef SIM_TESTS_PROGRAM_H
#define SIM_TESTS_PROGRAM_H

// The built program pulsim as a child, and clients of it. Every wait has an end; what fails, fails
// the test.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/frame.h"
#include "protocol/packets.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define NUM_OF(array) (sizeof(array) / sizeof((array)[0]))

enum {
    PROGRAM_WAIT_MS = 10000, // the longest wait for anything
    PROGRAM_TEXT = 16384,
    PROGRAM_ENDPOINTS = 4,
    PROGRAM_ARGS = 16,
    LINK_TEXT = 4096,
};

// `pulsim serve` under way.
struct program {
    pid_t pid;
    int out;
    int err;
    char listening[PROGRAM_ENDPOINTS][160]; // "udp 127.0.0.1:50100", in the order of the options
    size_t num_listening;
};

// What a program that ended has left.
struct program_end {
    int code; // of exit; -1: a signal ended it
    char out[PROGRAM_TEXT];
    char err[PROGRAM_TEXT];
};

// Runs pulsim with args, up to a NULL, until it ends.
void program_run(const char *const *args, struct program_end *out);

// Starts `pulsim serve` with args, up to a NULL, and waits until it is ready.
void program_start(struct program *program, const char *const *args);

// One endpoint of each kind.
enum transport { UDP, TCP, UNIX, PTY };

// Starts with a single endpoint of that kind and more args.
void program_start_at(struct program *program, enum transport transport, const char *const *more);

// Sends number to the program and waits for its end.
void program_stop(struct program *program, int number, struct program_end *out);

// Stops a program with SIGTERM and expects it to end well, with nothing on standard error that a
// sanitizer wrote.
void program_finish(struct program *program);

// A path in this test program's own directory, which goes at its end. Static storage, for four
// calls.
const char *scratch_path(const char *name);

// A client's connection to one endpoint of a program.
struct link {
    int fd;
    bool is_stream;
    bool is_closed; // by the other side
    struct frame_reader reader;
    size_t num_dropped;   // bad frames received
    char text[LINK_TEXT]; // received outside of packets
    size_t text_len;
    uint8_t buffer[FRAME_MAX];
};

void link_open(struct link *link, const struct program *program, size_t endpoint);
void link_close(struct link *link);

// Sends one packet, in a frame where there are frames.
void link_send(struct link *link, const void *packet, size_t len);

// Sends bytes as they are: one datagram, or somewhere on the stream. False when the other side is
// gone.
bool link_send_bytes(struct link *link, const void *bytes, size_t len);

// Receives the next packet into out, which has PACKET_MAX + 1 bytes. Returns its length; 0 when the
// other side closed.
size_t link_receive(struct link *link, uint8_t *out);

// Reads until this text has come outside of packets.
void link_await_text(struct link *link, const char *text);

// Receives packets of a stream until this text has come outside of them; out[id] becomes 1 for
// those with an id below num_ids. Returns how many that were.
size_t link_collect_until(struct link *link, const char *text, uint8_t *out, size_t num_ids);

// Receives exactly len bytes of a stream as they come. Not to be mixed with the other calls.
void link_receive_bytes(struct link *link, uint8_t *out, size_t len);

// True when nothing has come that was not yet received. Does not wait.
bool link_is_quiet(struct link *link);

// Sends a version 2 ping with id and expects its reply next.
void link_ping(struct link *link, uint32_t id);

// Sends packet and receives the reply, whose header must answer it.
size_t link_ask(struct link *link, const void *packet, size_t len, uint8_t *out);

// Requests of version 2; out has room for the whole packet. They return its length.
size_t request_simple(uint8_t class, uint16_t type, uint32_t id, uint8_t *out);
size_t request_read(uint32_t id, uint64_t guest_phys, uint32_t num_bytes, uint8_t *out);
size_t request_write(uint32_t id, uint64_t guest_phys, const void *bytes, size_t num_bytes,
                     uint8_t *out);
size_t request_number(uint16_t type, uint32_t id, uint64_t number, size_t size, uint8_t *out);

// The number of size bytes at offset of a reply.
uint64_t reply_number(const uint8_t *reply, size_t offset, size_t size);

#endif
