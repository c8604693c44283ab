#ifndef SIM_STREAM_H
#define SIM_STREAM_H

// One peer on a byte stream: a TCP connection, a Unix socket's connection, a pty. Packets come and
// go in frames.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "protocol/frame.h"
#include "session.h"

struct stream {
    struct session session;
    uv_poll_t poll;
    int fd;
    bool is_socket; // a pty never ends
    int events;     // that poll waits for
    struct frame_reader reader;
    uint8_t *outbox; // what the host did not take yet: from outbox_begin to outbox_end
    size_t outbox_begin;
    size_t outbox_end;
    size_t outbox_size;
    LIST_ENTRY(stream) in_endpoint;
    uint8_t memory[DEBUGGEE_MEMORY_SIZE];
    uint8_t buffer[FRAME_MAX];
};

LIST_HEAD(stream_list, stream);

// Serves the peer on fd, which is not blocking and now belongs to the stream, and adds it to list.
// NULL, with fd closed, when the host refuses.
struct stream *stream_new(struct server *server, int fd, bool is_socket, struct stream_list *list);

// Ends the stream and its session; the memory goes with the loop's next turn.
void stream_close(struct stream *stream);

#endif
