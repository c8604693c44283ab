#include "rsp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

enum {
    PATIENCE_S = 5,
    NS_PER_S = 1000000000,
    NS_PER_MS = 1000000,
    FRAME_SIZE = 256,
    CHECKSUM_DIGITS = 2,
    DEFAULT_PACKET_SIZE = 400, // of a stub that names none
    RUN_BIAS = 29,             // what a run's count character stands above its count
};

// The stub may not listen yet.
static int connect_soon(uint16_t port)
{
    const struct timespec millisecond = {.tv_nsec = NS_PER_MS};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int64_t deadline = clock_now() + (int64_t)PATIENCE_S * NS_PER_S;
    do {
        int on = 1;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
            return fd;
        }
        close(fd);
        nanosleep(&millisecond, NULL);
    } while (clock_now() < deadline);
    return -1;
}

void rsp_frame(const struct rsp *rsp, const char *request, char *out, size_t size)
{
    unsigned sum = 0;
    for (const char *at = request; *at; at++) {
        sum += (unsigned char)*at;
    }
    (void)snprintf(out, size, "%s$%s#%02x", rsp->acknowledges ? "+" : "", request, sum & 0xFF);
}

static bool send_text(struct rsp *rsp, const char *text)
{
    size_t len = strlen(text);
    return send(rsp->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

// Receives until "#xx" ends what begins with "$"; acknowledgements before it are skipped.
static bool receive_reply(struct rsp *rsp)
{
    size_t len = 0;
    size_t skipped = 0;
    bool ended = false;
    while (!ended) {
        ssize_t n = recv(rsp->fd, rsp->reply + len, sizeof(rsp->reply) - 1 - len, 0);
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        while (skipped < len && rsp->reply[skipped] != '$') {
            skipped++;
        }
        ended = len > skipped + CHECKSUM_DIGITS + 1 && rsp->reply[len - CHECKSUM_DIGITS - 1] == '#';
    }
    rsp->len = len - skipped - CHECKSUM_DIGITS - 2;
    memmove(rsp->reply, rsp->reply + skipped + 1, rsp->len);
    rsp->reply[rsp->len] = '\0';
    return rsp->len != 0 && rsp->reply[0] != 'E';
}

bool rsp_call_framed(struct rsp *rsp, const char *frame)
{
    return send_text(rsp, frame) && receive_reply(rsp);
}

bool rsp_call(struct rsp *rsp, const char *request)
{
    char frame[FRAME_SIZE];
    rsp_frame(rsp, request, frame, sizeof(frame));
    return rsp_call_framed(rsp, frame);
}

bool rsp_expand(struct rsp *rsp)
{
    char *expanded = malloc(RSP_MAX);
    size_t len = 0;
    bool fits = expanded != NULL;
    for (size_t i = 0; fits && i < rsp->len; i++) {
        bool is_run = rsp->reply[i] == '*' && i != 0 && i + 1 < rsp->len;
        size_t times = is_run ? (size_t)(rsp->reply[i + 1] - RUN_BIAS) : 1;
        const char *letter = rsp->reply + i - is_run;
        fits = times < RSP_MAX - len;
        if (fits) {
            memset(expanded + len, *letter, times);
            len += times;
            i += is_run;
        }
    }
    if (fits) {
        memcpy(rsp->reply, expanded, len);
        rsp->reply[len] = '\0';
        rsp->len = len;
    }
    free(expanded);
    return fits;
}

static bool agree(struct rsp *rsp)
{
    static const char packet_size[] = "PacketSize=";
    rsp->acknowledges = true;
    if (!rsp_call(rsp, "qSupported:swbreak+;hwbreak+")) {
        return false;
    }
    const char *found = strstr(rsp->reply, packet_size);
    rsp->packet_size = found ? strtoul(found + strlen(packet_size), NULL, 16) : DEFAULT_PACKET_SIZE;
    bool quiet = rsp_call(rsp, "QStartNoAckMode") && strcmp(rsp->reply, "OK") == 0;
    rsp->acknowledges = !quiet;
    return (!quiet || send_text(rsp, "+")) && rsp_call(rsp, "?");
}

struct rsp *rsp_new(uint16_t port)
{
    struct rsp *rsp = malloc(sizeof(*rsp));
    if (!rsp) {
        return NULL;
    }
    rsp->fd = connect_soon(port);
    if (rsp->fd < 0 || !agree(rsp)) {
        rsp_free(rsp);
        return NULL;
    }
    return rsp;
}

void rsp_free(struct rsp *rsp)
{
    char frame[FRAME_SIZE];
    if (rsp->fd >= 0) {
        rsp_frame(rsp, "k", frame, sizeof(frame));
        (void)send_text(rsp, frame);
        close(rsp->fd);
    }
    free(rsp);
}
