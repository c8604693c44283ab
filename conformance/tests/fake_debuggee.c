#include "fake_debuggee.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "protocol/frame.h"

// --- listening ------------------------------------------------------------------------------

static int listen_inet(struct fake *fake, int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert(fd >= 0);
    int bound = bind(fd, (struct sockaddr *)&address, size);
    assert(bound == 0);
    int named = getsockname(fd, (struct sockaddr *)&address, &size);
    assert(named == 0);
    (void)bound;
    (void)named;
    (void)snprintf(fake->name, sizeof(fake->name), "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

// A socket in a directory of its own.
static int listen_unix(struct fake *fake)
{
    char directory[] = "/tmp/pulsim-fake-XXXXXX";
    char *made = mkdtemp(directory);
    assert(made != NULL);
    (void)made;
    (void)snprintf(fake->name, sizeof(fake->name), "%s/socket", directory);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, fake->name, strlen(fake->name) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    assert(fd >= 0 && bound == 0);
    (void)bound;
    return fd;
}

// The slave side is held open, so that the master does not see a hang-up before the client comes.
static int listen_pty(struct fake *fake)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    int ready = master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0;
    assert(ready);
    (void)ready;
    int named = ptsname_r(master, fake->name, sizeof(fake->name));
    fake->listener = open(fake->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert(named == 0 && fake->listener >= 0);
    (void)named;
    struct termios settings;
    tcgetattr(fake->listener, &settings);
    cfmakeraw(&settings);
    tcsetattr(fake->listener, TCSANOW, &settings);
    return master;
}

static void open_endpoint(struct fake *fake)
{
    const char *scheme = "udp";
    fake->peer = -1;
    if (fake->type == pttNet) {
        fake->listener = listen_inet(fake, SOCK_DGRAM);
    } else if (fake->type == pttTcp) {
        scheme = "tcp";
        fake->listener = listen_inet(fake, SOCK_STREAM);
        listen(fake->listener, 4);
    } else if (fake->type == pttPipe) {
        scheme = "unix";
        fake->listener = listen_unix(fake);
        listen(fake->listener, 4);
    } else {
        scheme = "pty";
        fake->peer = listen_pty(fake);
    }
    (void)snprintf(fake->endpoint, sizeof(fake->endpoint), "%s:%s", scheme, fake->name);
}

static void close_endpoint(struct fake *fake)
{
    if (fake->listener >= 0) {
        close(fake->listener);
    }
    if (fake->peer >= 0) {
        close(fake->peer);
    }
    if (fake->type == pttPipe) {
        unlink(fake->name);
        *strrchr(fake->name, '/') = '\0';
        rmdir(fake->name);
    }
}

// --- serving --------------------------------------------------------------------------------

static void take_packet(struct fake *fake, const uint8_t *packet, size_t len)
{
    if (fake->num_packets < FAKE_LOG_SIZE) {
        struct fake_log *log = &fake->log[fake->num_packets];
        log->len = len;
        memcpy(log->bytes, packet, len < FAKE_LOG_BYTES ? len : FAKE_LOG_BYTES);
    }
    fake->num_packets++;
    fake->on_packet(fake, packet, len);
}

// Waits for fd or the end; false when it has come and all that came before is read.
static bool wait_for(const struct fake *fake, int fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = fake->wake[0], .events = POLLIN}};
    while (poll(fds, 2, -1) < 0) {
    }
    return fds[0].revents != 0;
}

static void serve_datagrams(struct fake *fake)
{
    static _Thread_local uint8_t packet[65536];
    while (wait_for(fake, fake->listener)) {
        struct sockaddr_in from;
        socklen_t size = sizeof(from);
        ssize_t len =
            recvfrom(fake->listener, packet, sizeof(packet), 0, (struct sockaddr *)&from, &size);
        if (len < 0) {
            continue;
        }
        (void)connect(fake->listener, (struct sockaddr *)&from, size);
        take_packet(fake, packet, (size_t)len);
    }
}

// Reads frames until the peer or the test ends.
static void serve_stream(struct fake *fake)
{
    static _Thread_local uint8_t buffer[2 * FRAME_MAX];
    struct frame_reader reader;
    frame_reader_init(&reader, buffer, sizeof(buffer), PACKET_MAX, FRAME_SKIP);
    while (fake->peer >= 0 && wait_for(fake, fake->peer)) {
        size_t space = 0;
        uint8_t *to = frame_reader_space(&reader, &space);
        ssize_t len = read(fake->peer, to, space);
        if (len <= 0) {
            return;
        }
        frame_reader_commit(&reader, (size_t)len);
        struct frame_view view;
        while (fake->peer >= 0 && frame_reader_next(&reader, &view) == FRAME_PACKET) {
            take_packet(fake, view.bytes, view.len);
        }
    }
}

static void *serve(void *pointer)
{
    struct fake *fake = pointer;
    if (fake->type == pttNet) {
        serve_datagrams(fake);
        return NULL;
    }
    if (fake->peer < 0) {
        if (!wait_for(fake, fake->listener)) {
            return NULL;
        }
        fake->peer = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
    }
    serve_stream(fake);
    return NULL;
}

void fake_start(struct fake *fake, PS_TRANSPORT_TYPE type, fake_packet_fn *on_packet, void *user)
{
    *fake = (struct fake){.type = type, .on_packet = on_packet, .user = user};
    open_endpoint(fake);
    int piped = pipe2(fake->wake, O_CLOEXEC);
    int started = pthread_create(&fake->thread, NULL, serve, fake);
    assert(piped == 0 && started == 0);
    (void)piped;
    (void)started;
    fake->has_thread = true;
}

void fake_stop(struct fake *fake)
{
    if (!fake->has_thread) {
        return;
    }
    close(fake->wake[1]);
    pthread_join(fake->thread, NULL);
    close(fake->wake[0]);
    close_endpoint(fake);
    fake->has_thread = false;
}

// --- sending --------------------------------------------------------------------------------

void fake_send_raw(struct fake *fake, const uint8_t *bytes, size_t len)
{
    if (fake->type == pttNet) {
        send(fake->listener, bytes, len, MSG_NOSIGNAL);
        return;
    }
    while (len > 0) {
        ssize_t sent = fake->type == pttSerial ? write(fake->peer, bytes, len)
                                               : send(fake->peer, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
}

void fake_send(struct fake *fake, const uint8_t *packet, size_t len)
{
    static _Thread_local uint8_t frame[FRAME_MAX];
    if (fake->type == pttNet) {
        fake_send_raw(fake, packet, len);
    } else {
        fake_send_raw(fake, frame, frame_write(packet, len, frame, sizeof(frame)));
    }
}

size_t reply_bytes(const uint8_t *request, struct packet *reply, uint8_t *out, size_t size)
{
    struct packet_header header = packet_header_read(request);
    reply->header.version = header.version;
    reply->header.id = header.id;
    return packet_write(reply, out, size);
}

void fake_reply(struct fake *fake, const uint8_t *request, struct packet *reply)
{
    static _Thread_local uint8_t bytes[PACKET_MAX];
    fake_send(fake, bytes, reply_bytes(request, reply, bytes, sizeof(bytes)));
}

void fake_hang_up(struct fake *fake)
{
    shutdown(fake->peer, SHUT_RDWR);
    close(fake->peer);
    fake->peer = -1;
}

bool fake_is_stopping(const struct fake *fake)
{
    struct pollfd wake = {.fd = fake->wake[0], .events = POLLIN};
    return poll(&wake, 1, 0) > 0;
}
