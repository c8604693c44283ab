// Packets in and out of a descriptor.

#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000 };

int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

// SUCCESS when the descriptor is ready for events, or has an error to tell of. A deadline that has
// passed still takes what is there.
static enum pulse_status wait_ready(const struct pulse_transport *transport, short events,
                                    int64_t deadline)
{
    struct pollfd poll_fd = {.fd = transport->fd, .events = events};
    int ready = 0;
    do {
        int64_t left = deadline - clock_now();
        left = left > 0 ? left : 0;
        struct timespec timeout = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
        ready = ppoll(&poll_fd, 1, &timeout, NULL);
    } while (ready < 0 && errno == EINTR);
    if (ready < 0) {
        return STATUS_READ_FAILED;
    }
    return ready == 0 ? STATUS_TIMEOUT : STATUS_SUCCESS;
}

static enum pulse_status lose(struct pulse_transport *transport)
{
    transport->lost = true;
    return STATUS_DEVICE_CONNECTION_LOST;
}

static bool would_block(int error)
{
    return error == EAGAIN || error == EINTR;
}

// What a failed receive or send means; `otherwise` for an error that does not end the connection.
static enum pulse_status fail(struct pulse_transport *transport, int error,
                              enum pulse_status otherwise)
{
    bool is_stream = transport->type != pttNet;
    if (is_stream && (error == ECONNRESET || error == EPIPE || error == EIO)) {
        return lose(transport);
    }
    return otherwise;
}

// --- sending --------------------------------------------------------------------------------

// The error of an earlier datagram, which a refusing port left behind, is reported by the next
// send; so one refusal says nothing about this datagram.
static ssize_t send_datagram(int fd, const uint8_t *packet, size_t len)
{
    ssize_t sent = send(fd, packet, len, MSG_NOSIGNAL);
    if (sent < 0 && errno == ECONNREFUSED) {
        sent = send(fd, packet, len, MSG_NOSIGNAL);
    }
    return sent;
}

static enum pulse_status datagram_send(struct pulse_transport *transport, const uint8_t *packet,
                                       size_t len, int64_t deadline)
{
    while (send_datagram(transport->fd, packet, len) < 0) {
        if (!would_block(errno)) {
            return STATUS_WRITE_FAILED;
        }
        enum pulse_status status = wait_ready(transport, POLLOUT, deadline);
        if (status != STATUS_SUCCESS) {
            return status;
        }
    }
    return STATUS_SUCCESS;
}

static ssize_t send_parts(const struct pulse_transport *transport, struct iovec *parts,
                          int num_parts)
{
    if (transport->type == pttSerial) {
        return writev(transport->fd, parts, num_parts);
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)num_parts};
    return sendmsg(transport->fd, &message, MSG_NOSIGNAL);
}

// Leaves out the first len bytes of the parts.
static void skip_parts(struct iovec *parts, int num_parts, size_t len)
{
    for (int i = 0; i < num_parts; i++) {
        size_t skipped = len < parts[i].iov_len ? len : parts[i].iov_len;
        parts[i].iov_base = (uint8_t *)parts[i].iov_base + skipped;
        parts[i].iov_len -= skipped;
        len -= skipped;
    }
}

static enum pulse_status send_all(struct pulse_transport *transport, struct iovec *parts,
                                  int num_parts, int64_t deadline)
{
    size_t left = 0;
    for (int i = 0; i < num_parts; i++) {
        left += parts[i].iov_len;
    }
    size_t total = left;
    while (left > 0) {
        ssize_t sent = send_parts(transport, parts, num_parts);
        if (sent >= 0) {
            skip_parts(parts, num_parts, (size_t)sent);
            left -= (size_t)sent;
            continue;
        }
        if (!would_block(errno)) {
            return fail(transport, errno, STATUS_WRITE_FAILED);
        }
        enum pulse_status status = wait_ready(transport, POLLOUT, deadline);
        if (status != STATUS_SUCCESS) {
            // Behind half a frame nothing would be understood any more.
            transport->lost = left != total;
            return status;
        }
    }
    return STATUS_SUCCESS;
}

static enum pulse_status stream_send(struct pulse_transport *transport, const uint8_t *packet,
                                     size_t len, int64_t deadline)
{
    uint8_t head[FRAME_OVERHEAD_MAX];
    uint8_t end = FRAME_END;
    size_t head_len = frame_head(packet, len, head);
    struct iovec parts[] = {
        {.iov_base = head, .iov_len = head_len},
        {.iov_base = (void *)(uintptr_t)packet, .iov_len = len},
        {.iov_base = &end, .iov_len = 1},
    };
    return send_all(transport, parts, 3, deadline);
}

enum pulse_status transport_send(struct pulse_transport *transport, const uint8_t *packet,
                                 size_t len, int64_t deadline)
{
    if (transport->lost) {
        return STATUS_DEVICE_CONNECTION_LOST;
    }
    return transport->type == pttNet ? datagram_send(transport, packet, len, deadline)
                                     : stream_send(transport, packet, len, deadline);
}

// --- receiving ------------------------------------------------------------------------------

static void report_text(const struct pulse_transport *transport, const uint8_t *bytes, size_t len)
{
    if (transport->callback != NULL) {
        transport->callback(transport->callback_context, (void *)(uintptr_t)bytes, (uint32_t)len);
    }
}

// A datagram that begins with a printable byte is log text.
static enum pulse_status datagram_receive(struct pulse_transport *transport,
                                          struct packet_view *out)
{
    ssize_t len = recv(transport->fd, transport->buffer, transport->reader.size, 0);
    if (len < 0) {
        return would_block(errno) ? STATUS_SUCCESS : STATUS_READ_FAILED;
    }
    if (len > 0 && transport->buffer[0] >= 0x20 && transport->buffer[0] <= 0x7E) {
        report_text(transport, transport->buffer, (size_t)len);
        return STATUS_SUCCESS;
    }
    *out = (struct packet_view){transport->buffer, (size_t)len};
    return STATUS_SUCCESS;
}

// The next packet among the bytes received; text before it goes to the callback.
static bool next_packet(struct pulse_transport *transport, struct packet_view *out)
{
    struct frame_view view;
    for (;;) {
        switch (frame_reader_next(&transport->reader, &view)) {
        case FRAME_PACKET:
            *out = (struct packet_view){view.bytes, view.len};
            return true;
        case FRAME_TEXT:
            report_text(transport, view.bytes, view.len);
            break;
        case FRAME_DROPPED:
            break;
        case FRAME_MORE:
            return false;
        }
    }
}

static enum pulse_status stream_receive(struct pulse_transport *transport, struct packet_view *out)
{
    size_t space = 0;
    uint8_t *to = frame_reader_space(&transport->reader, &space);
    ssize_t len = read(transport->fd, to, space);
    if (len == 0) {
        return lose(transport);
    }
    if (len < 0) {
        return would_block(errno) ? STATUS_SUCCESS : fail(transport, errno, STATUS_READ_FAILED);
    }
    frame_reader_commit(&transport->reader, (size_t)len);
    next_packet(transport, out);
    return STATUS_SUCCESS;
}

enum pulse_status transport_receive(struct pulse_transport *transport, int64_t deadline,
                                    struct packet_view *out)
{
    *out = (struct packet_view){0};
    bool is_stream = transport->type != pttNet;
    if (is_stream && next_packet(transport, out)) {
        return STATUS_SUCCESS;
    }
    if (transport->lost) {
        return STATUS_DEVICE_CONNECTION_LOST;
    }
    enum pulse_status status = wait_ready(transport, POLLIN, deadline);
    if (status != STATUS_SUCCESS) {
        return status;
    }
    return is_stream ? stream_receive(transport, out) : datagram_receive(transport, out);
}
