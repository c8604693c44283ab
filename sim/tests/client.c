#include "client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/bytes.h"

enum transport transports[4] = {UDP, TCP, UNIX, PTY};

static int make_socket(int family, int type)
{
    int size = 1 << 20;
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return fd;
}

static int connect_port(const char *address, int type)
{
    const char *colon = strrchr(address, ':');
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    int fd = make_socket(AF_INET, type);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static int connect_path(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int fd = make_socket(AF_UNIX, SOCK_STREAM);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static int open_terminal(const char *path)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int connect_endpoint(const char *listening)
{
    const char *address = strchr(listening, ' ') + 1;
    switch (listening[0] == 'u' ? listening[1] : listening[0]) {
    case 'd':
        return connect_port(address, SOCK_DGRAM);
    case 't':
        return connect_port(address, SOCK_STREAM);
    case 'n':
        return connect_path(address);
    default:
        return open_terminal(address);
    }
}

void client_open(struct client *client, const struct program *program, size_t endpoint)
{
    assert_true(endpoint < program->num_listening);
    const char *listening = program->listening[endpoint];
    *client = (struct client){.fd = connect_endpoint(listening)};
    client->is_stream = strncmp(listening, "udp", 3) != 0;
    frame_reader_init(&client->reader, client->buffer, sizeof(client->buffer), PACKET_MAX,
                      FRAME_SKIP);
}

void client_close(struct client *client)
{
    close(client->fd);
}

void client_start(struct client *client, struct program *program, enum transport transport,
                  const char *const *more)
{
    program_start_at(program, transport, more);
    client_open(client, program, 0);
}

void client_finish(struct client *client, struct program *program)
{
    client_close(client);
    program_finish(program);
}

bool client_send_bytes(struct client *client, const void *bytes, size_t len)
{
    const char *at = bytes;
    do {
        assert_true(program_wait(client->fd, POLLOUT));
        ssize_t n = write(client->fd, at, len);
        if (n < 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
    } while (len != 0);
    return true;
}

void client_send(struct client *client, const void *packet, size_t len)
{
    static uint8_t frame[FRAME_MAX];
    if (!client->is_stream) {
        assert_true(client_send_bytes(client, packet, len));
        return;
    }
    size_t frame_len = frame_write(packet, len, frame, sizeof(frame));
    assert_true(frame_len > 0);
    assert_true(client_send_bytes(client, frame, frame_len));
}

static void add_text(struct client *client, const uint8_t *bytes, size_t len)
{
    assert_true(client->text_len + len < CLIENT_TEXT);
    memcpy(client->text + client->text_len, bytes, len);
    client->text_len += len;
    client->text[client->text_len] = '\0';
}

// Reads what is there, waiting for it. False when the other side closed.
static bool fill(struct client *client)
{
    size_t room = 0;
    uint8_t *space = frame_reader_space(&client->reader, &room);
    assert_true(program_wait(client->fd, POLLIN));
    ssize_t n = read(client->fd, space, room);
    if (n <= 0) {
        client->is_closed = true;
        return false;
    }
    frame_reader_commit(&client->reader, (size_t)n);
    return true;
}

// The next packet that is there already; 0: none.
static size_t take_packet(struct client *client, uint8_t *out)
{
    struct frame_view view;
    for (;;) {
        switch (frame_reader_next(&client->reader, &view)) {
        case FRAME_MORE:
            return 0;
        case FRAME_DROPPED:
            client->num_dropped++;
            break;
        case FRAME_TEXT:
            add_text(client, view.bytes, view.len);
            break;
        case FRAME_PACKET:
            memcpy(out, view.bytes, view.len);
            return view.len;
        }
    }
}

static size_t receive_datagram(struct client *client, uint8_t *out)
{
    for (;;) {
        assert_true(program_wait(client->fd, POLLIN));
        ssize_t n = recv(client->fd, out, PACKET_MAX + 1, 0);
        if (n <= 0) {
            client->is_closed = n < 0;
            return 0;
        }
        if (out[0] < 0x20 || out[0] > 0x7E) {
            return (size_t)n;
        }
        add_text(client, out, (size_t)n);
    }
}

size_t client_receive(struct client *client, uint8_t *out)
{
    if (!client->is_stream) {
        return receive_datagram(client, out);
    }
    size_t len = take_packet(client, out);
    while (len == 0 && fill(client)) {
        len = take_packet(client, out);
    }
    return len;
}

void client_await_text(struct client *client, const char *text)
{
    uint8_t packet[PACKET_MAX + 1];
    while (!strstr(client->text, text)) {
        if (client->is_stream) {
            assert_true(fill(client));
            assert_int_equal(take_packet(client, packet), 0);
        } else {
            assert_true(program_wait(client->fd, POLLIN));
            ssize_t n = recv(client->fd, packet, sizeof(packet), 0);
            assert_true(n > 0);
            add_text(client, packet, (size_t)n);
        }
    }
}

size_t client_collect_until(struct client *client, const char *text, uint8_t *out, size_t num_ids)
{
    static uint8_t packet[PACKET_MAX + 1];
    size_t num = 0;
    while (!strstr(client->text, text)) {
        size_t len = take_packet(client, packet);
        if (len == 0) {
            assert_true(strstr(client->text, text) || fill(client));
            continue;
        }
        uint32_t id = packet_header_read(packet).id;
        if (id < num_ids) {
            out[id] = 1;
            num++;
        }
    }
    return num;
}

void client_receive_bytes(struct client *client, uint8_t *out, size_t len)
{
    while (len != 0) {
        assert_true(program_wait(client->fd, POLLIN));
        ssize_t n = read(client->fd, out, len);
        assert_true(n > 0);
        out += n;
        len -= (size_t)n;
    }
}

bool client_is_quiet(struct client *client)
{
    struct pollfd ready = {.fd = client->fd, .events = POLLIN};
    return client->reader.begin == client->reader.end && poll(&ready, 1, 0) == 0;
}

size_t client_ask(struct client *client, const void *packet, size_t len, uint8_t *out)
{
    client_send(client, packet, len);
    size_t out_len = client_receive(client, out);
    assert_true(out_len >= PACKET_HEADER_SIZE);
    assert_int_equal(packet_header_read(out).id, packet_header_read(packet).id);
    return out_len;
}

void client_ping(struct client *client, uint32_t id)
{
    uint8_t ping[PACKET_HEADER_SIZE];
    static uint8_t reply[PACKET_MAX + 1];
    static const uint8_t zeros[8];
    size_t len = request_simple(CLASS_REQUEST, 0, id, ping);
    assert_int_equal(client_ask(client, ping, len, reply), 16);
    assert_int_equal(packet_header_read(reply).class, CLASS_REPLY);
    assert_int_equal(packet_header_read(reply).type, 0);
    assert_memory_equal(reply + PACKET_HEADER_SIZE, zeros, sizeof(zeros));
}

size_t request_simple(uint8_t class, uint16_t type, uint32_t id, uint8_t *out)
{
    out[0] = PROTOCOL_V2;
    out[1] = class;
    store_le(out + 2, 2, type);
    store_le(out + 4, 4, id);
    return PACKET_HEADER_SIZE;
}

size_t request_read(uint32_t id, uint64_t guest_phys, uint32_t num_bytes, uint8_t *out)
{
    size_t len = request_simple(CLASS_REQUEST, 9, id, out);
    store_le(out + len, 8, guest_phys);
    store_le(out + len + 8, 4, num_bytes);
    return len + 12;
}

size_t request_write(uint32_t id, uint64_t guest_phys, const void *bytes, size_t num_bytes,
                     uint8_t *out)
{
    size_t len = request_read(id, guest_phys, (uint32_t)num_bytes, out);
    store_le(out + 2, 2, 10);
    memcpy(out + len, bytes, num_bytes);
    return len + num_bytes;
}

size_t request_number(uint16_t type, uint32_t id, uint64_t number, size_t size, uint8_t *out)
{
    size_t len = request_simple(CLASS_REQUEST, type, id, out);
    store_le(out + len, size, number);
    return len + size;
}

uint64_t reply_number(const uint8_t *reply, size_t offset, size_t size)
{
    return load_le(reply + offset, size);
}
