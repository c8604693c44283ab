#ifndef SIM_ENDPOINT_H
#define SIM_ENDPOINT_H

// Where peers come in: a UDP port, a TCP port, a Unix socket, a pty.

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

struct server;

enum endpoint_kind { ENDPOINT_UDP, ENDPOINT_TCP, ENDPOINT_UNIX, ENDPOINT_PTY, NUM_ENDPOINT_KINDS };

union socket_address {
    struct sockaddr base;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

struct endpoint_address {
    enum endpoint_kind kind;
    const char *text;            // as the user wrote it
    union socket_address socket; // not of a pty
    socklen_t socket_len;
    bool is_remote; // reachable from other hosts
};

struct endpoint {
    const struct endpoint_ops *ops;
    struct server *server;
    const struct endpoint_address *address;
    int fd; // bound socket or pty; -1: none
};

struct endpoint_ops {
    // Begins to serve. False, with errno set, when the host refuses.
    bool (*open)(struct endpoint *endpoint);
    // Forgets all peers, closes handles, removes names from the file system; of what open did, so
    // far as it came. fd is closed by the caller.
    void (*close)(struct endpoint *endpoint);
    size_t size; // of the struct that begins with a struct endpoint
};

extern const struct endpoint_ops endpoint_udp_ops;
extern const struct endpoint_ops endpoint_stream_ops; // TCP and Unix socket
extern const struct endpoint_ops endpoint_pty_ops;

// The option and printed name of kind: "udp".
const char *endpoint_kind_name(enum endpoint_kind kind);

// Reads HOST:PORT (udp, tcp; IPv4, IPv6 in brackets, or localhost) or a path. NULL when it is good,
// otherwise what is wrong with it.
const char *endpoint_address_parse(enum endpoint_kind kind, const char *text,
                                   struct endpoint_address *out);

// An endpoint at address, which must outlive it; nothing is opened. NULL when memory is out. After
// endpoint_close and a turn of the loop it is to be freed by free.
struct endpoint *endpoint_new(struct server *server, const struct endpoint_address *address);

// Begins to serve. False, with a line on standard error, when that fails.
bool endpoint_open(struct endpoint *endpoint);

// Ends what endpoint_open began, so far as it came.
void endpoint_close(struct endpoint *endpoint);

// Prints "listening udp 127.0.0.1:50100" to standard output.
void endpoint_announce(const struct endpoint *endpoint);

// A bound, non-blocking socket of an endpoint's address; -1 and errno when the host refuses.
int endpoint_bind(const struct endpoint *endpoint, int type);

// Closes a handle that lies in zeroed memory and was perhaps never initialised.
void handle_close(uv_handle_t *handle);

// Asks for large socket buffers; the host grants what it likes.
void socket_enlarge_buffers(int fd);

#endif
