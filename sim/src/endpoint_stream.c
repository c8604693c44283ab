// TCP ports and Unix sockets: a listening socket and a stream for each connection.

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint.h"
#include "server.h"
#include "stream.h"

enum {
    BACKLOG = 512,
    RETRY_MS = 50, // after the host had no descriptor left for a connection
};

struct listener {
    struct endpoint endpoint;
    uv_poll_t poll;
    uv_timer_t retry;
    struct stream_list streams;
    dev_t path_device; // of the Unix socket's name; with path_inode, whether it is still ours
    ino_t path_inode;
};

static void on_connection(uv_poll_t *poll, int status, int events);

static void on_retry(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    uv_poll_start(&listener->poll, UV_READABLE, on_connection);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    (void)status, (void)events;
    int fd = accept4(listener->endpoint.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        // A TCP connection inherits its options from the listening socket, a Unix one does not.
        if (listener->endpoint.address->kind == ENDPOINT_UNIX) {
            socket_enlarge_buffers(fd);
        }
        stream_new(listener->endpoint.server, fd, true, &listener->streams);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        uv_poll_stop(&listener->poll);
        uv_timer_start(&listener->retry, on_retry, RETRY_MS, 0);
    }
}

// A name that a dead server left behind is a socket that refuses connections.
static bool is_stale(const struct endpoint_address *address)
{
    struct stat info;
    if (lstat(address->socket.local.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool refused =
        connect(fd, &address->socket.base, address->socket_len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_path(struct listener *listener)
{
    const struct endpoint_address *address = listener->endpoint.address;
    const char *path = address->socket.local.sun_path;
    int fd = endpoint_bind(&listener->endpoint, SOCK_STREAM);
    if (fd < 0 && errno == EADDRINUSE) {
        if (!is_stale(address)) {
            errno = EADDRINUSE;
            return -1;
        }
        unlink(path);
        fd = endpoint_bind(&listener->endpoint, SOCK_STREAM);
    }
    struct stat info;
    if (fd >= 0 && lstat(path, &info) == 0) {
        listener->path_device = info.st_dev;
        listener->path_inode = info.st_ino;
    }
    return fd;
}

static int bind_port(struct listener *listener)
{
    int fd = endpoint_bind(&listener->endpoint, SOCK_STREAM);
    int on = 1;
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        socket_enlarge_buffers(fd);
    }
    return fd;
}

static bool listener_open(struct endpoint *endpoint)
{
    struct listener *listener = (struct listener *)endpoint;
    uv_loop_t *loop = &endpoint->server->loop;
    LIST_INIT(&listener->streams);
    endpoint->fd =
        endpoint->address->kind == ENDPOINT_UNIX ? bind_path(listener) : bind_port(listener);
    if (endpoint->fd < 0 || listen(endpoint->fd, BACKLOG) != 0) {
        return false;
    }
    listener->poll.data = listener->retry.data = listener;
    uv_timer_init(loop, &listener->retry);
    return uv_poll_init(loop, &listener->poll, endpoint->fd) == 0 &&
           uv_poll_start(&listener->poll, UV_READABLE, on_connection) == 0;
}

static void remove_path(const struct listener *listener)
{
    const char *path = listener->endpoint.address->socket.local.sun_path;
    struct stat info;
    if (listener->path_inode != 0 && lstat(path, &info) == 0 &&
        info.st_dev == listener->path_device && info.st_ino == listener->path_inode) {
        unlink(path);
    }
}

static void listener_close(struct endpoint *endpoint)
{
    struct listener *listener = (struct listener *)endpoint;
    while (!LIST_EMPTY(&listener->streams)) {
        stream_close(LIST_FIRST(&listener->streams));
    }
    handle_close((uv_handle_t *)&listener->retry);
    handle_close((uv_handle_t *)&listener->poll);
    remove_path(listener);
}

const struct endpoint_ops endpoint_stream_ops = {listener_open, listener_close,
                                                 sizeof(struct listener)};
