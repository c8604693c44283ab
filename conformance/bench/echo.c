#include "echo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"

enum {
    ID_AT = 4, // in a packet
    ID_SIZE = 4,
    PATH_SIZE = 108,
};

struct echo {
    size_t request_len;
    size_t request_id_at;
    size_t reply_len;
    size_t reply_id_at;
    uint8_t request[FRAME_MAX];
    uint8_t reply[FRAME_MAX];
};

static void copy_id(struct echo *echo)
{
    memcpy(echo->reply + echo->reply_id_at, echo->request + echo->request_id_at, ID_SIZE);
}

static void echo_datagrams(struct echo *echo, int fd)
{
    struct wire_address peer;
    for (;;) {
        peer.len = sizeof(peer.v4);
        ssize_t len = recvfrom(fd, echo->request, sizeof(echo->request), 0, &peer.base, &peer.len);
        if (len < 0) {
            return;
        }
        copy_id(echo);
        (void)!sendto(fd, echo->reply, echo->reply_len, 0, &peer.base, peer.len);
    }
}

static void echo_stream(struct echo *echo, int fd)
{
    bool good = true;
    while (good && wire_receive_all(fd, echo->request, echo->request_len)) {
        copy_id(echo);
        good = wire_send_all(fd, echo->reply, echo->reply_len);
    }
}

static void echo_init(struct echo *echo, const struct client *like)
{
    echo->request_len = like->sent_len;
    echo->request_id_at = like->packet_at + ID_AT;
    echo->reply_len = like->received_len;
    echo->reply_id_at = like->reply_at + ID_AT;
    memcpy(echo->reply, like->received, like->received_len);
}

pid_t echo_start(const struct client *like, struct wire_address *out_address)
{
    char path[PATH_SIZE];
    child_path("echo.sock", path, sizeof(path));
    unlink(path);
    *out_address = like->transport == TRANSPORT_UNIX ? wire_path(path) : wire_port(0);
    int fd = wire_listen(like->transport, out_address);
    pid_t pid = child_fork();
    if (pid == 0) {
        static struct echo echo;
        echo_init(&echo, like);
        if (like->transport == TRANSPORT_UDP) {
            echo_datagrams(&echo, fd);
        } else {
            echo_stream(&echo, wire_accept(like->transport, fd));
        }
        _exit(EXIT_SUCCESS);
    }
    close(fd);
    return pid;
}
