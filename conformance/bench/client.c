#include "client.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/bytes.h"

enum {
    ID_AT = 4, // in a packet
    ID_SIZE = 4,
    CHECKSUM_SIZE = 4, // right before a packet, in a frame
    LONG_PACKET = 256, // its frame has a byte of length more
};

struct client *client_new(const char *peer, enum transport transport,
                          const struct wire_address *address)
{
    struct client *client = malloc(sizeof(*client));
    if (!client) {
        errx(EXIT_FAILURE, "out of memory");
    }
    client->peer = peer;
    client->transport = transport;
    client->last_id = 0;
    client->fd = wire_connect(transport, address);
    return client;
}

void client_free(struct client *client)
{
    close(client->fd);
    free(client);
}

static size_t frame_head_len(size_t packet_len)
{
    return (packet_len < LONG_PACKET ? 3 : 4) + CHECKSUM_SIZE;
}

void client_use_prepared(struct client *client)
{
    const struct prepared *prepared = &client->prepared;
    store_le(client->prepared.request + ID_AT, ID_SIZE, 0);
    client->id_free_sum = frame_checksum(prepared->request, prepared->request_len);
    if (client->transport == TRANSPORT_UDP) {
        memcpy(client->sent, prepared->request, prepared->request_len);
        client->packet_at = 0;
        client->sent_len = prepared->request_len;
        client->reply_at = 0;
        client->received_len = prepared->reply_len;
        return;
    }
    client->sent_len =
        frame_write(prepared->request, prepared->request_len, client->sent, sizeof(client->sent));
    client->packet_at = frame_head_len(prepared->request_len);
    client->reply_at = frame_head_len(prepared->reply_len);
    client->received_len = client->reply_at + prepared->reply_len + 1;
}

static void put_id(struct client *client, uint32_t id)
{
    uint8_t *packet = client->sent + client->packet_at;
    store_le(packet + ID_AT, ID_SIZE, id);
    if (client->transport != TRANSPORT_UDP) {
        uint32_t sum = client->id_free_sum + frame_checksum(packet + ID_AT, ID_SIZE);
        store_le(packet - CHECKSUM_SIZE, CHECKSUM_SIZE, sum);
    }
}

// A datagram comes in one piece, and its length is an answer too.
static size_t receive(struct client *client)
{
    if (client->transport == TRANSPORT_UDP) {
        ssize_t len = recv(client->fd, client->received, sizeof(client->received), 0);
        return len > 0 ? (size_t)len : 0;
    }
    bool all = wire_receive_all(client->fd, client->received, client->received_len);
    return all ? client->received_len : 0;
}

void client_request(struct client *client)
{
    uint32_t id = ++client->last_id;
    put_id(client, id);
    if (!wire_send_all(client->fd, client->sent, client->sent_len)) {
        err(EXIT_FAILURE, "%s, %s: cannot send", client->peer, transport_names[client->transport]);
    }
    size_t len = receive(client);
    if (len != client->received_len) {
        errx(EXIT_FAILURE, "%s, %s: no reply, or one of %zu bytes instead of %zu", client->peer,
             transport_names[client->transport], len, client->received_len);
    }
    if (!reply_is_right(&client->prepared, id, client->received + client->reply_at,
                        client->prepared.reply_len)) {
        errx(EXIT_FAILURE, "%s, %s: the reply is not what the request asks for", client->peer,
             transport_names[client->transport]);
    }
}

void client_repeat(void *client, uint64_t times)
{
    for (; times != 0; times--) {
        client_request(client);
    }
}
