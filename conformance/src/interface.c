#include "interface.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { CONNECT_TIMEOUT_MS = 5000 };

struct host_port {
    char host[256];
    char port[8];
};

// The text after the host: nothing, or a colon and a port.
static bool port_split(const char *rest, struct host_port *out)
{
    if (*rest == '\0') {
        (void)snprintf(out->port, sizeof(out->port), "%d", INTERFACE_DEFAULT_PORT);
        return true;
    }
    const char *digits = rest + 1;
    size_t len = strspn(digits, "0123456789");
    bool is_number = *rest == ':' && len > 0 && len <= 5 && digits[len] == '\0';
    if (!is_number || strtoul(digits, NULL, 10) > UINT16_MAX) {
        return false;
    }
    memcpy(out->port, digits, len + 1);
    return true;
}

// HOST, HOST:PORT, [HOST], [HOST]:PORT; brackets are for numeric IPv6 hosts.
static bool name_split(const char *name, struct host_port *out)
{
    bool bracketed = name[0] == '[';
    const char *host = name + bracketed;
    size_t len = strcspn(host, bracketed ? "]" : ":");
    if (len == 0 || len >= sizeof(out->host) || (bracketed && host[len] != ']')) {
        return false;
    }
    memcpy(out->host, host, len);
    out->host[len] = '\0';
    return port_split(host + len + bracketed, out);
}

static int keep_errno_and_close(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

// Waits for a connection that is under way.
static int connect_finish(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int ready = poll(&poll_fd, 1, CONNECT_TIMEOUT_MS);
    if (ready == 0) {
        errno = ETIMEDOUT;
    }
    int error = 0;
    socklen_t size = sizeof(error);
    if (ready <= 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        return -1;
    }
    errno = error;
    return error == 0 ? 0 : -1;
}

static int connect_to(int family, int type, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    bool connected =
        connect(fd, address, len) == 0 || (errno == EINPROGRESS && connect_finish(fd) == 0);
    return connected ? fd : keep_errno_and_close(fd);
}

// A UDP socket is connected too: only so does the system tell of a port that refuses.
static int open_inet(const char *name, int type)
{
    struct host_port where;
    if (!name_split(name, &where)) {
        errno = EINVAL;
        return -1;
    }
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    if (getaddrinfo(where.host, where.port, &hints, &list) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next) {
        fd = connect_to(at->ai_family, type, at->ai_addr, at->ai_addrlen);
    }
    freeaddrinfo(list);
    if (fd >= 0 && type == SOCK_STREAM) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
    return fd;
}

static int open_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(address.sun_path)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sun_path, path, len);
    return connect_to(AF_UNIX, SOCK_STREAM, (const struct sockaddr *)&address, sizeof(address));
}

static int make_raw(int fd)
{
    struct termios settings;
    if (tcgetattr(fd, &settings) != 0) {
        return -1;
    }
    cfmakeraw(&settings);
    return tcsetattr(fd, TCSANOW, &settings);
}

static int open_terminal(const char *path)
{
    if (path[0] == '\0') {
        errno = EINVAL;
        return -1;
    }
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    return make_raw(fd) == 0 ? fd : keep_errno_and_close(fd);
}

int interface_open(PS_TRANSPORT_TYPE type, const char *name)
{
    switch (type) {
    case pttNet:
        return open_inet(name, SOCK_DGRAM);
    case pttTcp:
        return open_inet(name, SOCK_STREAM);
    case pttPipe:
        return open_unix(name);
    case pttSerial:
        return open_terminal(name);
    case pttInvalid:
    case pttLocal:
        break;
    }
    errno = EINVAL;
    return -1;
}
