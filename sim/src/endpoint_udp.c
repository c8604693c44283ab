// UDP: one datagram is one packet; a peer is an address and a port.

#include <stdlib.h>
#include <string.h>

#include "endpoint.h"
#include "endpoint_peers.h"
#include "server.h"
#include "session.h"

enum { TEXT_MS = 60000 }; // peers silent for longer get no text

struct udp {
    struct endpoint endpoint;
    uv_poll_t poll;
    struct udp_peers peers;
    uint8_t datagram[PACKET_MAX];
};

struct udp_session {
    struct session session;
    struct udp_peer peer;
    struct udp *udp;
    socklen_t address_len;
    uint8_t memory[DEBUGGEE_MEMORY_SIZE];
};

static struct udp_session *udp_session_of(struct session *session)
{
    return (struct udp_session *)(void *)((char *)session - offsetof(struct udp_session, session));
}

static struct udp_session *udp_session_at(struct udp_peer *peer)
{
    return (struct udp_session *)(void *)((char *)peer - offsetof(struct udp_session, peer));
}

// A datagram that the host does not take is lost, as datagrams are.
static void udp_send_bytes(const struct udp_session *to, const void *bytes, size_t len)
{
    (void)!sendto(to->udp->endpoint.fd, bytes, len, MSG_NOSIGNAL, &to->peer.address.base,
                  to->address_len);
}

static void udp_send(struct session *session, const uint8_t *packet, size_t len,
                     const struct frame_faults *faults)
{
    (void)faults; // there are no frames
    udp_send_bytes(udp_session_of(session), packet, len);
}

static void udp_send_text(struct session *session, const char *text, size_t len)
{
    if (uv_now(&session->instance->server->loop) - session->heard_ms <= TEXT_MS) {
        udp_send_bytes(udp_session_of(session), text, len);
    }
}

static const struct session_transport udp_transport = {udp_send, udp_send_text, NULL};

static void forget_oldest(struct udp_peers *peers)
{
    struct udp_session *oldest = udp_session_at(udp_peers_take_oldest(peers));
    session_close(&oldest->session);
    free(oldest);
}

static struct udp_session *udp_session_new(struct udp *udp, const union socket_address *address,
                                           socklen_t address_len)
{
    struct server *server = udp->endpoint.server;
    if (udp->peers.num >= server->options->max_peers) {
        forget_oldest(&udp->peers);
    }
    struct udp_session *peer = malloc(sizeof(*peer));
    if (!peer) {
        return NULL;
    }
    memset(peer, 0, offsetof(struct udp_session, memory));
    peer->udp = udp;
    peer->peer.address = *address;
    peer->address_len = address_len;
    peer->session.transport = &udp_transport;
    peer->session.peer.memory = peer->memory;
    if (address->base.sa_family == AF_INET) {
        peer->session.trace_peer =
            (struct trace_peer){ntohl(address->v4.sin_addr.s_addr), ntohs(address->v4.sin_port)};
    }
    if (!session_open(&peer->session, server)) {
        free(peer);
        return NULL;
    }
    udp_peers_add(&udp->peers, &peer->peer);
    session_greet(&peer->session);
    return peer;
}

static void udp_take(struct udp *udp, size_t len, const union socket_address *address,
                     socklen_t address_len)
{
    struct udp_peer *known = udp_peers_find(&udp->peers, address);
    struct udp_session *peer =
        known ? udp_session_at(known) : udp_session_new(udp, address, address_len);
    if (peer) {
        session_receive(&peer->session, udp->datagram, len);
    }
}

static void on_datagram(uv_poll_t *poll, int status, int events)
{
    struct udp *udp = poll->data;
    (void)events;
    union socket_address address;
    address.base.sa_family = AF_UNSPEC;
    socklen_t address_len = sizeof(address);
    // With MSG_TRUNC the length is the datagram's, however much of it fits.
    ssize_t len = recvfrom(udp->endpoint.fd, udp->datagram, sizeof(udp->datagram), MSG_TRUNC,
                           &address.base, &address_len);
    if (len >= 0 && (size_t)len <= sizeof(udp->datagram)) {
        udp_take(udp, (size_t)len, &address, address_len);
    }
    if (status < 0) {
        uv_poll_start(poll, UV_READABLE, on_datagram); // libuv stopped it for an error now read
    }
}

static bool udp_open(struct endpoint *endpoint)
{
    struct udp *udp = (struct udp *)endpoint;
    if (!udp_peers_init(&udp->peers, endpoint->server->options->max_peers)) {
        return false;
    }
    endpoint->fd = endpoint_bind(endpoint, SOCK_DGRAM);
    if (endpoint->fd < 0) {
        return false;
    }
    socket_enlarge_buffers(endpoint->fd);
    udp->poll.data = udp;
    return uv_poll_init(&endpoint->server->loop, &udp->poll, endpoint->fd) == 0 &&
           uv_poll_start(&udp->poll, UV_READABLE, on_datagram) == 0;
}

static void udp_close(struct endpoint *endpoint)
{
    struct udp *udp = (struct udp *)endpoint;
    while (udp->peers.num > 0) {
        forget_oldest(&udp->peers);
    }
    udp_peers_cleanup(&udp->peers);
    handle_close((uv_handle_t *)&udp->poll);
}

const struct endpoint_ops endpoint_udp_ops = {udp_open, udp_close, sizeof(struct udp)};
