// `pulsim serve` over every transport: what it prints, what it answers, what it leaves behind.

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"

#define UNUSED_RAM UINT64_C(0x200000) // of the target long64, to its end at 0x400000

static uint8_t packet[PACKET_MAX];
static uint8_t reply[PACKET_MAX + 1];

static void answers_both_versions(void **state)
{
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    client_ping(&client, 0x1001);
    static const uint8_t v1[] = {1, 0, 0, 0, 0x43, 0xA4, 0xF6, 0x0D};
    static const uint8_t v1_reply[16] = {1, 1, 0, 0, 0x43, 0xA4, 0xF6, 0x0D};
    assert_int_equal(client_ask(&client, v1, sizeof(v1), reply), sizeof(v1_reply));
    assert_memory_equal(reply, v1_reply, sizeof(v1_reply));
    client_finish(&client, &program);
}

static void passes_the_longest_packets(void **state)
{
    static uint8_t bytes[PACKET_MAX - 20];
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7 ^ i >> 8);
    }
    size_t len = request_write(1, UNUSED_RAM, bytes, sizeof(bytes), packet);
    assert_int_equal(client_ask(&client, packet, len, reply), 16);
    assert_int_equal(reply_number(reply, 8, 8), sizeof(bytes));
    len = request_read(2, UNUSED_RAM, sizeof(bytes), packet);
    assert_int_equal(client_ask(&client, packet, len, reply), PACKET_MAX);
    assert_memory_equal(reply + 20, bytes, sizeof(bytes));
    client_finish(&client, &program);
}

static void answers_a_burst_in_order(void **state)
{
    enum { BURST = 16 };
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    for (uint32_t id = 1; id <= BURST; id++) {
        size_t len = request_simple(CLASS_REQUEST, 13, id, packet);
        client_send(&client, packet, len);
    }
    for (uint32_t id = 1; id <= BURST; id++) {
        assert_int_equal(client_receive(&client, reply), 10);
        assert_int_equal(packet_header_read(reply).id, id);
    }
    client_finish(&client, &program);
}

// More than any socket buffer holds: the server has to keep the rest and read no further meanwhile.
static void survives_a_peer_that_reads_late(void **state)
{
    enum { REQUESTS = 300, LENGTH = 61420 };
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    for (uint32_t id = 1; id <= REQUESTS; id++) {
        size_t len = request_read(id, UNUSED_RAM, LENGTH, packet);
        client_send(&client, packet, len);
    }
    for (uint32_t id = 1; id <= REQUESTS; id++) {
        assert_int_equal(client_receive(&client, reply), 20 + LENGTH);
        assert_int_equal(packet_header_read(reply).id, id);
    }
    client_finish(&client, &program);
}

static void announces_every_endpoint(void **state)
{
    (void)state;
    char socket_path[128];
    char line_path[128];
    (void)snprintf(socket_path, sizeof(socket_path), "%s", scratch_path("announced"));
    (void)snprintf(line_path, sizeof(line_path), "%s", scratch_path("announced-line"));
    const char *const args[] = {
        "--udp=127.0.0.1:0", "--tcp=localhost:0", "--unix", socket_path, "--pty", line_path, NULL};
    struct program program;
    program_start(&program, args);
    char expected[160];
    unsigned port = 0;
    char rest = 0;
    assert_int_equal(program.num_listening, 4);
    // NOLINTNEXTLINE(cert-err34-c): what is compared is the form
    assert_int_equal(sscanf(program.listening[0], "udp 127.0.0.1:%u%c", &port, &rest), 1);
    assert_int_not_equal(port, 0);
    // NOLINTNEXTLINE(cert-err34-c)
    assert_int_equal(sscanf(program.listening[1], "tcp 127.0.0.1:%u%c", &port, &rest), 1);
    assert_int_not_equal(port, 0);
    (void)snprintf(expected, sizeof(expected), "unix %s", socket_path);
    assert_string_equal(program.listening[2], expected);
    (void)snprintf(expected, sizeof(expected), "pty %s", line_path);
    assert_string_equal(program.listening[3], expected);
    program_finish(&program);
    assert_int_equal(access(socket_path, F_OK), -1);
    struct stat info;
    assert_int_equal(lstat(line_path, &info), -1);
}

static void ends_well_on_a_signal(void **state)
{
    struct program program;
    struct program_end end;
    program_start_at(&program, UDP, NULL);
    program_stop(&program, *(int *)*state, &end);
    assert_int_equal(end.code, 0);
    assert_string_equal(end.err, "");
    assert_string_equal(end.out, "");
}

static void endpoints_share_one_machine(void **state)
{
    (void)state;
    static const char *const args[] = {"--udp=127.0.0.1:0", "--tcp=127.0.0.1:0", NULL};
    struct program program;
    struct client writer;
    struct client reader;
    program_start(&program, args);
    client_open(&writer, &program, 0);
    client_open(&reader, &program, 1);
    size_t len = request_write(1, UNUSED_RAM, "shared", 6, packet);
    client_ask(&writer, packet, len, reply);
    len = request_read(1, UNUSED_RAM, 6, packet);
    assert_int_equal(client_ask(&reader, packet, len, reply), 26);
    assert_memory_equal(reply + 20, "shared", 6);
    client_close(&writer);
    client_close(&reader);
    program_finish(&program);
}

static void isolate_gives_each_peer_a_machine(void **state)
{
    static const char *const args[] = {"--isolate", NULL};
    struct program program;
    struct client writer;
    struct client reader;
    program_start_at(&program, *(enum transport *)*state, args);
    client_open(&writer, &program, 0);
    client_open(&reader, &program, 0);
    size_t len = request_write(1, UNUSED_RAM, "mine", 4, packet);
    client_ask(&writer, packet, len, reply);
    len = request_read(2, UNUSED_RAM, 4, packet);
    client_ask(&reader, packet, len, reply);
    assert_memory_equal(reply + 20, "\0\0\0\0", 4);
    client_ask(&writer, packet, len, reply);
    assert_memory_equal(reply + 20, "mine", 4);
    client_close(&writer);
    client_close(&reader);
    program_finish(&program);
}

// A peer that is remembered gets its last reply again, one that was forgotten a new one: removing a
// breakpoint succeeds once.
static void the_longest_silent_peer_is_forgotten(void **state)
{
    (void)state;
    enum { PEERS = 3 };
    static const char *const args[] = {"--max-peers=2", NULL};
    struct program program;
    struct client clients[PEERS];
    program_start_at(&program, UDP, args);
    for (size_t i = 0; i < PEERS; i++) {
        client_open(&clients[i], &program, 0);
    }
    size_t len = request_number(16, 1, UNUSED_RAM, 8, packet);
    client_ask(&clients[0], packet, len, reply);
    assert_int_equal(packet_header_read(reply).type, 0);
    len = request_number(17, 2, 1, 2, packet);
    client_ask(&clients[0], packet, len, reply);
    assert_int_equal(packet_header_read(reply).type, 0);
    client_ping(&clients[1], 1);
    client_ask(&clients[0], packet, len, reply);
    client_ping(&clients[2], 1); // forgets 1
    client_ask(&clients[0], packet, len, reply);
    assert_int_equal(packet_header_read(reply).type, 0);
    client_ping(&clients[1], 2); // forgets 2
    client_ping(&clients[2], 2); // forgets 0
    client_ask(&clients[0], packet, len, reply);
    assert_int_equal(packet_header_read(reply).type, 1);
    for (size_t i = 0; i < PEERS; i++) {
        client_close(&clients[i]);
    }
    program_finish(&program);
}

static void expect_refusal(const char *const *args, const char *reason)
{
    struct program_end end;
    program_run(args, &end);
    assert_int_equal(end.code, 1);
    assert_string_equal(end.out, "");
    assert_non_null(strstr(end.err, reason));
    assert_ptr_equal(strchr(end.err, '\n'), end.err + strlen(end.err) - 1);
}

static void a_port_in_use_is_refused(void **state)
{
    struct program program;
    program_start_at(&program, *(enum transport *)*state, NULL);
    char option[200];
    const char *address = strchr(program.listening[0], ' ');
    (void)snprintf(option, sizeof(option), "--%.*s=%s", (int)(address - program.listening[0]),
                   program.listening[0], address + 1);
    const char *const args[] = {"serve", option, NULL};
    expect_refusal(args, "Address already in use");
    program_finish(&program);
}

static void expect_service(const char *const *args)
{
    struct program program;
    struct client client;
    program_start(&program, args);
    client_open(&client, &program, 0);
    client_ping(&client, 1);
    client_finish(&client, &program);
}

// A socket file whose server died without removing it.
static void a_stale_socket_is_replaced(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", scratch_path("stale"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    const char *const args[] = {"--unix", address.sun_path, NULL};
    expect_service(args);
}

static void a_file_in_the_way_stays(void **state)
{
    const char *option = *(enum transport *)*state == PTY ? "--pty" : "--unix";
    const char *path = scratch_path("in-the-way");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    const char *const args[] = {"serve", option, path, NULL};
    expect_refusal(args, *(enum transport *)*state == PTY ? "File exists" : "in use");
    assert_int_equal(unlink(path), 0);
}

static void a_dangling_link_is_replaced(void **state)
{
    (void)state;
    const char *path = scratch_path("dangling");
    assert_int_equal(symlink("/dev/pts/no-such-terminal", path), 0);
    const char *const args[] = {"--pty", path, NULL};
    expect_service(args);
}

static void a_link_to_a_file_stays(void **state)
{
    (void)state;
    const char *path = scratch_path("link-to-file");
    assert_int_equal(symlink("/dev/null", path), 0);
    const char *const args[] = {"serve", "--pty", path, NULL};
    expect_refusal(args, "File exists");
    assert_int_equal(unlink(path), 0);
}

static void a_pty_outlives_its_clients(void **state)
{
    (void)state;
    struct program program;
    struct client client;
    program_start_at(&program, PTY, NULL);
    for (uint32_t id = 1; id <= 3; id++) {
        client_open(&client, &program, 0);
        client_ping(&client, id);
        client_close(&client);
    }
    program_finish(&program);
}

static void a_trace_that_cannot_be_written_is_refused(void **state)
{
    (void)state;
    const char *const args[] = {"serve", "--trace=/no/such/directory/x.pcap", "--udp=127.0.0.1:0",
                                NULL};
    expect_refusal(args, "/no/such/directory/x.pcap");
}

static int end_signals[] = {SIGINT, SIGTERM};

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER("both versions are answered over UDP", answers_both_versions, UDP),
        OVER("both versions are answered over TCP", answers_both_versions, TCP),
        OVER("both versions are answered over a Unix socket", answers_both_versions, UNIX),
        OVER("both versions are answered over a pty", answers_both_versions, PTY),
        OVER("the longest packets pass over UDP", passes_the_longest_packets, UDP),
        OVER("the longest packets pass over TCP", passes_the_longest_packets, TCP),
        OVER("the longest packets pass over a Unix socket", passes_the_longest_packets, UNIX),
        OVER("the longest packets pass over a pty", passes_the_longest_packets, PTY),
        OVER("a burst is answered in order over UDP", answers_a_burst_in_order, UDP),
        OVER("a burst is answered in order over TCP", answers_a_burst_in_order, TCP),
        OVER("a burst is answered in order over a Unix socket", answers_a_burst_in_order, UNIX),
        OVER("a burst is answered in order over a pty", answers_a_burst_in_order, PTY),
        OVER("a TCP peer may read late", survives_a_peer_that_reads_late, TCP),
        OVER("a peer of a Unix socket may read late", survives_a_peer_that_reads_late, UNIX),
        cmocka_unit_test(announces_every_endpoint),
        {"SIGINT ends it well", ends_well_on_a_signal, NULL, NULL, &end_signals[0]},
        {"SIGTERM ends it well", ends_well_on_a_signal, NULL, NULL, &end_signals[1]},
        cmocka_unit_test(endpoints_share_one_machine),
        OVER("isolate gives each UDP peer a machine", isolate_gives_each_peer_a_machine, UDP),
        OVER("isolate gives each connection a machine", isolate_gives_each_peer_a_machine, TCP),
        cmocka_unit_test(the_longest_silent_peer_is_forgotten),
        OVER("a UDP port in use is refused", a_port_in_use_is_refused, UDP),
        OVER("a TCP port in use is refused", a_port_in_use_is_refused, TCP),
        OVER("a Unix socket in use is refused", a_port_in_use_is_refused, UNIX),
        cmocka_unit_test(a_stale_socket_is_replaced),
        OVER("a file in a Unix socket's place stays", a_file_in_the_way_stays, UNIX),
        OVER("a file in a pty link's place stays", a_file_in_the_way_stays, PTY),
        cmocka_unit_test(a_dangling_link_is_replaced),
        cmocka_unit_test(a_link_to_a_file_stays),
        cmocka_unit_test(a_pty_outlives_its_clients),
        cmocka_unit_test(a_trace_that_cannot_be_written_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
