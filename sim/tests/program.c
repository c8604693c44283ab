#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "protocol/bytes.h"

enum { PATH_SIZE = 128, NUM_PATHS = 4 };

static char directory[] = "/tmp/pulsim-test-XXXXXX";
static bool has_directory;

static void remove_directory(void)
{
    char command[PATH_SIZE];
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    if (system(command) != 0) { // NOLINT(cert-env33-c): a fixed command on our own directory
        perror(directory);
    }
}

const char *scratch_path(const char *name)
{
    static char paths[NUM_PATHS][PATH_SIZE];
    static unsigned next;
    if (!has_directory) {
        assert_non_null(mkdtemp(directory));
        has_directory = true;
        atexit(remove_directory); // NOLINT(cert-err33-c): at worst a directory stays
    }
    char *path = paths[next++ % NUM_PATHS];
    (void)snprintf(path, PATH_SIZE, "%s/%s", directory, name);
    return path;
}

static bool is_ready(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};
    return poll(&ready, 1, PROGRAM_WAIT_MS) == 1;
}

static void run_child(const int out[2], const int err[2], const char *const *args)
{
    char *argv[PROGRAM_ARGS + 2] = {(char *)(uintptr_t) "pulsim"};
    for (size_t i = 0; args[i] && i < PROGRAM_ARGS; i++) {
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that fails leaves nothing running
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    execv(PULSIM_PROGRAM, argv);
    _exit(127);
}

static void start_child(struct program *program, const char *const *args)
{
    int out[2];
    int err[2];
    *program = (struct program){.pid = -1};
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    program->pid = fork();
    assert_true(program->pid >= 0);
    if (program->pid == 0) {
        run_child(out, err, args);
    }
    close(out[1]);
    close(err[1]);
    program->out = out[0];
    program->err = err[0];
}

// Reads until the other end is closed; what does not fit is left out.
static void read_all(int fd, char *out)
{
    size_t len = 0;
    char chunk[512];
    ssize_t n = 1;
    while (n > 0) {
        assert_true(is_ready(fd, POLLIN));
        n = read(fd, chunk, sizeof(chunk));
        for (ssize_t i = 0; i < n && len < PROGRAM_TEXT - 1; i++) {
            out[len++] = chunk[i];
        }
    }
    out[len] = '\0';
    close(fd);
}

static void await_end(struct program *program, struct program_end *out)
{
    read_all(program->out, out->out);
    read_all(program->err, out->err);
    int status = 0;
    assert_int_equal(waitpid(program->pid, &status, 0), program->pid);
    out->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void program_run(const char *const *args, struct program_end *out)
{
    struct program program;
    start_child(&program, args);
    await_end(&program, out);
}

// One line without its end. False at the end of the output.
static bool read_line(int fd, char *out, size_t size)
{
    size_t len = 0;
    char byte = 0;
    while (is_ready(fd, POLLIN) && read(fd, &byte, 1) == 1) {
        if (byte == '\n') {
            out[len] = '\0';
            return true;
        }
        assert_true(len < size - 1);
        out[len++] = byte;
    }
    return false;
}

void program_start(struct program *program, const char *const *args)
{
    static const char listening[] = "listening ";
    const char *serve[PROGRAM_ARGS + 1] = {"serve"};
    for (size_t i = 0; args[i]; i++) {
        assert_true(i + 2 < NUM_OF(serve));
        serve[i + 1] = args[i];
    }
    start_child(program, serve);
    char line[sizeof(program->listening[0])];
    while (read_line(program->out, line, sizeof(line))) {
        if (strcmp(line, "ready") == 0) {
            return;
        }
        assert_memory_equal(line, listening, sizeof(listening) - 1);
        assert_true(program->num_listening < PROGRAM_ENDPOINTS);
        const char *what = line + sizeof(listening) - 1;
        memcpy(program->listening[program->num_listening++], what, strlen(what) + 1);
    }
    struct program_end end;
    await_end(program, &end);
    fail_msg("pulsim ended with %d before it was ready: %s", end.code, end.err);
}

void program_stop(struct program *program, int number, struct program_end *out)
{
    kill(program->pid, number);
    await_end(program, out);
}

void program_finish(struct program *program)
{
    struct program_end end;
    program_stop(program, SIGTERM, &end);
    if (end.code != 0 || strstr(end.err, "Sanitizer") || strstr(end.err, "runtime error")) {
        fail_msg("pulsim ended with %d: %s", end.code, end.err);
    }
}

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

void program_start_at(struct program *program, enum transport transport, const char *const *more)
{
    static unsigned number; // a program that a failed test left behind keeps its path
    char name[16];
    (void)snprintf(name, sizeof(name), "%u", number++);
    const char *args[PROGRAM_ARGS] = {NULL};
    size_t num = 0;
    switch (transport) {
    case UDP:
        args[num++] = "--udp=127.0.0.1:0";
        break;
    case TCP:
        args[num++] = "--tcp=127.0.0.1:0";
        break;
    case UNIX:
        args[num++] = "--unix";
        args[num++] = scratch_path(name);
        break;
    case PTY:
        args[num++] = "--pty";
        args[num++] = scratch_path(name);
        break;
    }
    for (size_t i = 0; more && more[i]; i++) {
        args[num++] = more[i];
    }
    program_start(program, args);
}

void link_open(struct link *link, const struct program *program, size_t endpoint)
{
    assert_true(endpoint < program->num_listening);
    const char *listening = program->listening[endpoint];
    *link = (struct link){.fd = connect_endpoint(listening)};
    link->is_stream = strncmp(listening, "udp", 3) != 0;
    frame_reader_init(&link->reader, link->buffer, sizeof(link->buffer), PACKET_MAX, FRAME_SKIP);
}

void link_close(struct link *link)
{
    close(link->fd);
}

bool link_send_bytes(struct link *link, const void *bytes, size_t len)
{
    const char *at = bytes;
    do {
        assert_true(is_ready(link->fd, POLLOUT));
        ssize_t n = write(link->fd, at, len);
        if (n < 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
    } while (len != 0);
    return true;
}

void link_send(struct link *link, const void *packet, size_t len)
{
    static uint8_t frame[FRAME_MAX];
    if (!link->is_stream) {
        assert_true(link_send_bytes(link, packet, len));
        return;
    }
    size_t frame_len = frame_write(packet, len, frame, sizeof(frame));
    assert_true(frame_len > 0);
    assert_true(link_send_bytes(link, frame, frame_len));
}

static void add_text(struct link *link, const uint8_t *bytes, size_t len)
{
    assert_true(link->text_len + len < LINK_TEXT);
    memcpy(link->text + link->text_len, bytes, len);
    link->text_len += len;
    link->text[link->text_len] = '\0';
}

// Reads what is there, waiting for it. False when the other side closed.
static bool fill(struct link *link)
{
    size_t room = 0;
    uint8_t *space = frame_reader_space(&link->reader, &room);
    assert_true(is_ready(link->fd, POLLIN));
    ssize_t n = read(link->fd, space, room);
    if (n <= 0) {
        link->is_closed = true;
        return false;
    }
    frame_reader_commit(&link->reader, (size_t)n);
    return true;
}

// The next packet that is there already; 0: none.
static size_t take_packet(struct link *link, uint8_t *out)
{
    struct frame_view view;
    for (;;) {
        switch (frame_reader_next(&link->reader, &view)) {
        case FRAME_MORE:
            return 0;
        case FRAME_DROPPED:
            link->num_dropped++;
            break;
        case FRAME_TEXT:
            add_text(link, view.bytes, view.len);
            break;
        case FRAME_PACKET:
            memcpy(out, view.bytes, view.len);
            return view.len;
        }
    }
}

static size_t receive_datagram(struct link *link, uint8_t *out)
{
    for (;;) {
        assert_true(is_ready(link->fd, POLLIN));
        ssize_t n = recv(link->fd, out, PACKET_MAX + 1, 0);
        if (n <= 0) {
            link->is_closed = n < 0;
            return 0;
        }
        if (out[0] < 0x20 || out[0] > 0x7E) {
            return (size_t)n;
        }
        add_text(link, out, (size_t)n);
    }
}

size_t link_receive(struct link *link, uint8_t *out)
{
    if (!link->is_stream) {
        return receive_datagram(link, out);
    }
    size_t len = take_packet(link, out);
    while (len == 0 && fill(link)) {
        len = take_packet(link, out);
    }
    return len;
}

void link_await_text(struct link *link, const char *text)
{
    uint8_t packet[PACKET_MAX + 1];
    while (!strstr(link->text, text)) {
        if (link->is_stream) {
            assert_true(fill(link));
            assert_int_equal(take_packet(link, packet), 0);
        } else {
            assert_true(is_ready(link->fd, POLLIN));
            ssize_t n = recv(link->fd, packet, sizeof(packet), 0);
            assert_true(n > 0);
            add_text(link, packet, (size_t)n);
        }
    }
}

size_t link_collect_until(struct link *link, const char *text, uint8_t *out, size_t num_ids)
{
    static uint8_t packet[PACKET_MAX + 1];
    size_t num = 0;
    while (!strstr(link->text, text)) {
        size_t len = take_packet(link, packet);
        if (len == 0) {
            assert_true(strstr(link->text, text) || fill(link));
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

void link_receive_bytes(struct link *link, uint8_t *out, size_t len)
{
    while (len != 0) {
        assert_true(is_ready(link->fd, POLLIN));
        ssize_t n = read(link->fd, out, len);
        assert_true(n > 0);
        out += n;
        len -= (size_t)n;
    }
}

bool link_is_quiet(struct link *link)
{
    struct pollfd ready = {.fd = link->fd, .events = POLLIN};
    return link->reader.begin == link->reader.end && poll(&ready, 1, 0) == 0;
}

size_t link_ask(struct link *link, const void *packet, size_t len, uint8_t *out)
{
    link_send(link, packet, len);
    size_t out_len = link_receive(link, out);
    assert_true(out_len >= PACKET_HEADER_SIZE);
    assert_int_equal(packet_header_read(out).id, packet_header_read(packet).id);
    return out_len;
}

void link_ping(struct link *link, uint32_t id)
{
    uint8_t ping[PACKET_HEADER_SIZE];
    static uint8_t reply[PACKET_MAX + 1];
    static const uint8_t zeros[8];
    size_t len = request_simple(CLASS_REQUEST, 0, id, ping);
    assert_int_equal(link_ask(link, ping, len, reply), 16);
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
