#include "endpoint.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HOST_SIZE = 64,
    SOCKET_BUFFER = 4 << 20, // several of the largest packets
};

static const struct {
    const char *name;
    const struct endpoint_ops *ops;
} kinds[NUM_ENDPOINT_KINDS] = {
    [ENDPOINT_UDP] = {"udp", &endpoint_udp_ops},
    [ENDPOINT_TCP] = {"tcp", &endpoint_stream_ops},
    [ENDPOINT_UNIX] = {"unix", &endpoint_stream_ops},
    [ENDPOINT_PTY] = {"pty", &endpoint_pty_ops},
};

const char *endpoint_kind_name(enum endpoint_kind kind)
{
    return kinds[kind].name;
}

static bool parse_port(const char *text, in_port_t *out)
{
    unsigned long port = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len) {
        return false;
    }
    port = strtoul(text, NULL, 10);
    *out = htons((uint16_t)port);
    return port <= 0xFFFF;
}

static const char *set_v4(const char *host, in_port_t port, struct endpoint_address *out)
{
    struct sockaddr_in *v4 = &out->socket.v4;
    *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4->sin_addr) !=
        1) {
        return "the host is not an IPv4 address, an IPv6 address in brackets, or localhost";
    }
    out->socket_len = sizeof(*v4);
    out->is_remote = ntohl(v4->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET;
    return NULL;
}

static const char *set_v6(const char *host, in_port_t port, struct endpoint_address *out)
{
    struct sockaddr_in6 *v6 = &out->socket.v6;
    *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) {
        return "the host in brackets is not an IPv6 address";
    }
    out->socket_len = sizeof(*v6);
    out->is_remote = !IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    return NULL;
}

static const char *parse_host_port(const char *text, struct endpoint_address *out)
{
    const char *colon = strrchr(text, ':');
    in_port_t port = 0;
    if (!colon || !parse_port(colon + 1, &port)) {
        return "the address is not HOST:PORT with a port from 0 to 65535";
    }
    char host[HOST_SIZE];
    size_t len = (size_t)(colon - text);
    if (len >= sizeof(host)) {
        return "the host is too long";
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        return set_v6(host + 1, port, out);
    }
    return set_v4(host, port, out);
}

static const char *parse_path(const char *text, struct endpoint_address *out)
{
    struct sockaddr_un *local = &out->socket.local;
    if (*text == '\0') {
        return "the path is empty";
    }
    if (out->kind == ENDPOINT_UNIX && strlen(text) >= sizeof(local->sun_path)) {
        return "the path is too long for a Unix socket (107 bytes at most)";
    }
    if (out->kind == ENDPOINT_UNIX) {
        *local = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(local->sun_path, text, strlen(text));
        out->socket_len = sizeof(*local);
    }
    return NULL;
}

const char *endpoint_address_parse(enum endpoint_kind kind, const char *text,
                                   struct endpoint_address *out)
{
    *out = (struct endpoint_address){.kind = kind, .text = text};
    bool is_path = kind == ENDPOINT_UNIX || kind == ENDPOINT_PTY;
    return is_path ? parse_path(text, out) : parse_host_port(text, out);
}

struct endpoint *endpoint_new(struct server *server, const struct endpoint_address *address)
{
    const struct endpoint_ops *ops = kinds[address->kind].ops;
    struct endpoint *endpoint = calloc(1, ops->size);
    if (endpoint) {
        *endpoint = (struct endpoint){ops, server, address, -1};
    }
    return endpoint;
}

bool endpoint_open(struct endpoint *endpoint)
{
    if (!endpoint->ops->open(endpoint)) {
        warn("%s %s", endpoint_kind_name(endpoint->address->kind), endpoint->address->text);
        return false;
    }
    return true;
}

void endpoint_close(struct endpoint *endpoint)
{
    endpoint->ops->close(endpoint);
    if (endpoint->fd >= 0) {
        close(endpoint->fd);
        endpoint->fd = -1;
    }
}

static void print_socket(int fd)
{
    union socket_address bound = {.base.sa_family = AF_UNSPEC};
    socklen_t len = sizeof(bound);
    char host[HOST_SIZE] = "?";
    getsockname(fd, &bound.base, &len);
    if (bound.base.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &bound.v6.sin6_addr, host, sizeof(host));
        printf("[%s]:%u", host, ntohs(bound.v6.sin6_port));
        return;
    }
    inet_ntop(AF_INET, &bound.v4.sin_addr, host, sizeof(host));
    printf("%s:%u", host, ntohs(bound.v4.sin_port));
}

void endpoint_announce(const struct endpoint *endpoint)
{
    const struct endpoint_address *address = endpoint->address;
    printf("listening %s ", endpoint_kind_name(address->kind));
    if (address->kind == ENDPOINT_UDP || address->kind == ENDPOINT_TCP) {
        print_socket(endpoint->fd);
    } else {
        printf("%s", address->text);
    }
    printf("\n");
}

int endpoint_bind(const struct endpoint *endpoint, int type)
{
    const struct endpoint_address *address = endpoint->address;
    int fd = socket(address->socket.base.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    if (address->kind == ENDPOINT_TCP) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (bind(fd, &address->socket.base, address->socket_len) == 0) {
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

void socket_enlarge_buffers(int fd)
{
    int size = SOCKET_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

void handle_close(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE) {
        uv_close(handle, NULL);
    }
}
