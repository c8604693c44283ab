#include "wire.h"

#include <err.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PATIENCE_S = 5 };

const char *const transport_names[NUM_TRANSPORTS] = {
    [TRANSPORT_UDP] = "udp",
    [TRANSPORT_TCP] = "tcp",
    [TRANSPORT_UNIX] = "unix",
};

struct wire_address wire_port(uint16_t port)
{
    struct wire_address address = {.len = sizeof(address.v4)};
    address.v4 = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    return address;
}

struct wire_address wire_path(const char *path)
{
    struct wire_address address = {.len = sizeof(address.local)};
    address.local = (struct sockaddr_un){.sun_family = AF_UNIX};
    strncpy(address.local.sun_path, path, sizeof(address.local.sun_path) - 1);
    return address;
}

static int wire_socket(enum transport transport, const struct wire_address *address)
{
    int type = transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(address->base.sa_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err(EXIT_FAILURE, "%s: socket", transport_names[transport]);
    }
    return fd;
}

static void send_at_once(enum transport transport, int fd)
{
    int on = 1;
    if (transport == TRANSPORT_TCP) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
}

int wire_listen(enum transport transport, struct wire_address *address)
{
    int fd = wire_socket(transport, address);
    if (bind(fd, &address->base, address->len) != 0 ||
        (transport != TRANSPORT_UDP && listen(fd, 1) != 0) ||
        (transport != TRANSPORT_UNIX && getsockname(fd, &address->base, &address->len) != 0)) {
        err(EXIT_FAILURE, "%s: cannot listen", transport_names[transport]);
    }
    return fd;
}

int wire_connect(enum transport transport, const struct wire_address *address)
{
    int fd = wire_socket(transport, address);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, &address->base, address->len) != 0) {
        err(EXIT_FAILURE, "%s: cannot connect", transport_names[transport]);
    }
    send_at_once(transport, fd);
    return fd;
}

int wire_accept(enum transport transport, int listener)
{
    int fd = accept(listener, NULL, NULL);
    send_at_once(transport, fd);
    return fd;
}

bool wire_send_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len != 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

bool wire_receive_all(int fd, uint8_t *bytes, size_t len)
{
    while (len != 0) {
        ssize_t received = recv(fd, bytes, len, 0);
        if (received <= 0) {
            return false;
        }
        bytes += received;
        len -= (size_t)received;
    }
    return true;
}
