#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server.h"

enum {
    HEAD_CHECKSUM = 4, // bytes of the checksum, at the end of a frame's head
    FAULT_BITS = 0x55, // flipped in what is to be wrong
    // The 2018 client's longest I/O write, which the debuggee then refuses.
    LONGEST_V1 = PACKET_MAX_V1 + 9,
    READS_PER_POLL = 8,
};

enum read_result { READ_SOME, READ_NOTHING, READ_END };

static void stream_proceed(struct stream *stream);
static void on_poll(uv_poll_t *poll, int status, int events);

static struct stream *stream_of(struct session *session)
{
    return (struct stream *)(void *)((char *)session - offsetof(struct stream, session));
}

// Waits for what may go on next. A peer that is not read from can still be seen to leave.
static void stream_watch(struct stream *stream)
{
    int events = session_can_receive(&stream->session) ? UV_READABLE : UV_DISCONNECT;
    if (stream->session.blocked) {
        events = UV_WRITABLE;
    }
    if (events != stream->events && uv_poll_start(&stream->poll, events, on_poll) == 0) {
        stream->events = events;
    }
}

// What the outbox holds stays in order before anything else.
static void outbox_append(struct stream *stream, const uint8_t *bytes, size_t len)
{
    if (stream->outbox_size - stream->outbox_end < len) {
        size_t size = 2 * (stream->outbox_end + len);
        uint8_t *outbox = realloc(stream->outbox, size);
        if (!outbox) {
            shutdown(stream->fd, SHUT_RDWR); // a hole would be worse than an end
            return;
        }
        stream->outbox = outbox;
        stream->outbox_size = size;
    }
    memcpy(stream->outbox + stream->outbox_end, bytes, len);
    stream->outbox_end += len;
}

static ssize_t write_now(const struct stream *stream, struct iovec *parts, size_t num_parts)
{
    if (!stream->is_socket) {
        return writev(stream->fd, parts, (int)num_parts);
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = num_parts};
    return sendmsg(stream->fd, &message, MSG_NOSIGNAL);
}

// Writes what the host takes and keeps the rest. A failure is not handled here: the peer is gone,
// and polling finds that out.
static void stream_write(struct stream *stream, struct iovec *parts, size_t num_parts)
{
    size_t written = 0;
    if (!stream->session.blocked) {
        ssize_t n = write_now(stream, parts, num_parts);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return;
        }
        written = n < 0 ? 0 : (size_t)n;
    }
    for (size_t i = 0; i < num_parts; i++) {
        size_t skip = written < parts[i].iov_len ? written : parts[i].iov_len;
        written -= skip;
        if (parts[i].iov_len > skip) {
            outbox_append(stream, (uint8_t *)parts[i].iov_base + skip, parts[i].iov_len - skip);
        }
    }
    if (stream->outbox_end != 0 && !stream->session.blocked) {
        stream->session.blocked = true;
        stream_watch(stream);
    }
}

static void stream_flush(struct stream *stream)
{
    struct iovec part = {stream->outbox + stream->outbox_begin,
                         stream->outbox_end - stream->outbox_begin};
    ssize_t n = write_now(stream, &part, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    stream->outbox_begin += n < 0 ? part.iov_len : (size_t)n;
    if (stream->outbox_begin == stream->outbox_end) {
        free(stream->outbox);
        stream->outbox = NULL;
        stream->outbox_begin = stream->outbox_end = stream->outbox_size = 0;
        stream->session.blocked = false;
    }
}

static void stream_dribble(struct stream *stream, const struct iovec *parts, size_t num_parts)
{
    for (size_t i = 0; i < num_parts; i++) {
        for (size_t at = 0; at < parts[i].iov_len; at++) {
            struct iovec byte = {(uint8_t *)parts[i].iov_base + at, 1};
            stream_write(stream, &byte, 1);
        }
    }
}

static void stream_send(struct session *session, const uint8_t *packet, size_t len,
                        const struct frame_faults *faults)
{
    struct stream *stream = stream_of(session);
    uint8_t head[FRAME_OVERHEAD_MAX];
    uint8_t end = faults->bad_end ? FRAME_END ^ FAULT_BITS : FRAME_END;
    size_t head_len = frame_head(packet, len, head);
    if (head_len == 0) {
        return; // no frame carries such a length: only a bug makes it
    }
    if (faults->bad_checksum) {
        head[head_len - HEAD_CHECKSUM] ^= FAULT_BITS;
    }
    if (faults->bad_length) {
        head[1] = 0;
    }
    struct iovec parts[] = {
        {head, head_len}, {(void *)(uintptr_t)packet, faults->half ? len / 2 : len}, {&end, 1}};
    size_t num_parts = faults->half ? 2 : 3;
    if (faults->dribble) {
        stream_dribble(stream, parts, num_parts);
    } else {
        stream_write(stream, parts, num_parts);
    }
}

// Text is worth less than packets: while the output is stuck it is dropped.
static void stream_send_text(struct session *session, const char *text, size_t len)
{
    struct stream *stream = stream_of(session);
    struct iovec part = {(void *)(uintptr_t)text, len};
    if (!session->blocked) {
        stream_write(stream, &part, 1);
    }
}

static void stream_resume(struct session *session)
{
    stream_proceed(stream_of(session));
}

static const struct session_transport stream_transport = {stream_send, stream_send_text,
                                                          stream_resume};

// Hands what has been received to the session, as far as it takes it. Of bad bytes in a row only
// the first are reported.
static void stream_pull(struct stream *stream)
{
    bool bad = false;
    while (session_can_receive(&stream->session)) {
        struct frame_view view;
        enum frame_event event = frame_reader_next(&stream->reader, &view);
        if (event == FRAME_MORE) {
            return;
        }
        if (event == FRAME_PACKET) {
            session_receive(&stream->session, view.bytes, view.len);
        } else if (!bad) {
            session_bad_frame(&stream->session,
                              event == FRAME_TEXT ? STATUS_INVALID_START_OF_PACKET : view.error);
        }
        bad = event != FRAME_PACKET;
    }
}

static void stream_proceed(struct stream *stream)
{
    session_drain(&stream->session);
    stream_pull(stream);
    stream_watch(stream);
}

static enum read_result stream_read(struct stream *stream)
{
    size_t room = 0;
    uint8_t *space = frame_reader_space(&stream->reader, &room);
    ssize_t n =
        stream->is_socket ? recv(stream->fd, space, room, 0) : read(stream->fd, space, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return READ_NOTHING;
    }
    if (n <= 0) {
        return READ_END;
    }
    frame_reader_commit(&stream->reader, (size_t)n);
    stream_pull(stream);
    return READ_SOME;
}

// Reads once, and again while a frame is not complete: the rest of a long one is often there
// already.
static bool stream_receive(struct stream *stream)
{
    enum read_result result = stream_read(stream);
    for (int i = 1; i < READS_PER_POLL && result == READ_SOME; i++) {
        bool complete = stream->reader.begin == stream->reader.end;
        if (complete || !session_can_receive(&stream->session)) {
            break;
        }
        result = stream_read(stream);
    }
    return result != READ_END;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct stream *stream = poll->data;
    bool gone = status < 0 || (events & UV_DISCONNECT);
    if (!gone && (events & UV_WRITABLE)) {
        stream_flush(stream);
    }
    if (!gone && (events & UV_READABLE)) {
        gone = !stream_receive(stream);
    }
    if (gone) {
        stream_close(stream);
    } else {
        stream_proceed(stream);
    }
}

// Only what needs it is zeroed: the buffers are pages that an idle peer should not touch.
static struct stream *stream_allocate(const struct server *server, int fd, bool is_socket)
{
    struct stream *stream = malloc(sizeof(*stream));
    if (!stream) {
        return NULL;
    }
    memset(stream, 0, offsetof(struct stream, memory));
    stream->fd = fd;
    stream->is_socket = is_socket;
    stream->poll.data = stream;
    stream->session.transport = &stream_transport;
    stream->session.peer.memory = stream->memory;
    bool v1 = server->options->versions == DEBUGGEE_V1;
    frame_reader_init(&stream->reader, stream->buffer, sizeof(stream->buffer),
                      v1 ? LONGEST_V1 : PACKET_MAX, v1 ? FRAME_SKIP : FRAME_RESCAN);
    return stream;
}

struct stream *stream_new(struct server *server, int fd, bool is_socket, struct stream_list *list)
{
    struct stream *stream = stream_allocate(server, fd, is_socket);
    if (!stream || !session_open(&stream->session, server)) {
        close(fd);
        free(stream);
        return NULL;
    }
    if (uv_poll_init(&server->loop, &stream->poll, fd) != 0) {
        session_close(&stream->session);
        close(fd);
        free(stream);
        return NULL;
    }
    LIST_INSERT_HEAD(list, stream, in_endpoint);
    session_greet(&stream->session);
    stream_watch(stream);
    return stream;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void stream_close(struct stream *stream)
{
    LIST_REMOVE(stream, in_endpoint);
    session_close(&stream->session);
    uv_close((uv_handle_t *)&stream->poll, on_closed);
    close(stream->fd);
    free(stream->outbox);
}
