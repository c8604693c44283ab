// What a server tells besides its answers: log text, to standard error and to peers, and the trace.

#include <pcap/pcap.h>
#include <signal.h>
#include <string.h>

#include "client.h"
#include "protocol/bytes.h"

#define COM1 0x3F8

static uint8_t packet[PACKET_MAX];
static uint8_t reply[PACKET_MAX + 1];

static size_t log_line_request(uint32_t id, const char *line, uint8_t *out)
{
    size_t line_len = strlen(line);
    size_t len = request_simple(CLASS_REQUEST, 12, id, out);
    store_le(out + len, 2, COM1);
    store_le(out + len + 2, 4, line_len);
    store_le(out + len + 6, 2, 1);
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes on the wire
    memcpy(out + len + 8, line, line_len);
    return len + 8 + line_len;
}

static void text_reaches_every_peer(void **state)
{
    static const char *const args[] = {"--text", NULL};
    struct program program;
    struct program_end end;
    struct client speaker;
    struct client listener;
    program_start_at(&program, *(enum transport *)*state, args);
    client_open(&speaker, &program, 0);
    client_open(&listener, &program, 0);
    client_ping(&listener, 1);
    size_t len = log_line_request(1, "hello\n", packet);
    client_ask(&speaker, packet, len, reply);
    client_await_text(&listener, "hello\r\n");
    assert_string_equal(speaker.text, listener.text);
    client_close(&speaker);
    client_close(&listener);
    program_stop(&program, SIGTERM, &end);
    assert_int_equal(end.code, 0);
    assert_non_null(strstr(end.err, "hello\n"));
}

static void text_stays_here_unless_asked_for(void **state)
{
    struct program program;
    struct program_end end;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    size_t len = log_line_request(1, "hello\n", packet);
    client_ask(&client, packet, len, reply);
    client_ping(&client, 2);
    assert_string_equal(client.text, "");
    client_close(&client);
    program_stop(&program, SIGTERM, &end);
    assert_int_equal(end.code, 0);
    assert_non_null(strstr(end.err, "hello\n"));
}

static void bad_frames_are_logged(void **state)
{
    static const struct {
        size_t offset; // of the byte that is wrong
        const char *line;
    } rows[] = {
        {0, "Can't read packet: 00000000C0000046\n"},
        {1, "Can't read packet: 00000000C0000019\n"},
        {3, "Can't read packet: 00000000C000001B\n"},
        {15, "Can't read packet: 00000000C000001C\n"},
    };
    uint8_t frame[32];
    struct program program;
    struct program_end end;
    struct client client;
    static const char *const args[] = {"--protocol=1", NULL};
    client_start(&client, &program, *(enum transport *)*state, args);
    for (size_t i = 0; i < NUM_OF(rows); i++) {
        size_t len = request_simple(CLASS_REQUEST, 0, 1, packet);
        size_t frame_len = frame_write(packet, len, frame, sizeof(frame));
        frame[rows[i].offset] ^= 0xF0;
        assert_true(client_send_bytes(&client, frame, frame_len));
        packet[0] = 1;
        store_le(packet + 4, 4, 2 + i);
        client_ask(&client, packet, len, reply);
    }
    client_close(&client);
    program_stop(&program, SIGTERM, &end);
    assert_int_equal(end.code, 0);
    for (size_t i = 0; i < NUM_OF(rows); i++) {
        assert_non_null(strstr(end.err, rows[i].line));
    }
}

// Nobody reads standard error, and there is more of it than a pipe holds.
static void a_log_that_nobody_reads_holds_nothing_up(void **state)
{
    (void)state;
    enum { LINES = 3000 };
    struct program program;
    struct client client;
    client_start(&client, &program, UDP, NULL);
    for (uint32_t id = 1; id <= LINES; id++) {
        size_t len = log_line_request(id, "a line that is long enough to fill a pipe\n", packet);
        client_ask(&client, packet, len, reply);
    }
    client_finish(&client, &program);
}

struct traced {
    pcap_t *file;
    const uint8_t *ip;
    size_t len;
};

static bool next_traced(struct traced *traced)
{
    struct pcap_pkthdr *header = NULL;
    if (pcap_next_ex(traced->file, &header, &traced->ip) != 1) {
        return false;
    }
    assert_int_equal(header->caplen, header->len);
    traced->len = header->len;
    return true;
}

static void expect_traced(struct traced *traced, bool is_request, const uint8_t *bytes, size_t len)
{
    assert_true(next_traced(traced));
    assert_int_equal(traced->len, 28 + len);
    assert_int_equal(traced->ip[0], 0x45);
    size_t port = is_request ? 22 : 20;
    assert_int_equal(traced->ip[port] << 8 | traced->ip[port + 1], 50100);
    assert_memory_equal(traced->ip + 28, bytes, len);
}

static void the_trace_has_every_packet(void **state)
{
    const char *path = scratch_path("trace.pcap");
    const char *const args[] = {"--trace", path, NULL};
    struct program program;
    struct client client;
    uint8_t ping[PACKET_HEADER_SIZE];
    uint8_t answer[16] = {2, 1, 0, 0, 7};
    size_t len = request_simple(CLASS_REQUEST, 0, 7, ping);
    client_start(&client, &program, *(enum transport *)*state, args);
    client_ask(&client, ping, len, reply);
    client_ask(&client, ping, len, reply);
    // It can be read while the program still writes it.
    char error[PCAP_ERRBUF_SIZE];
    struct traced traced = {.file = pcap_open_offline(path, error)};
    assert_non_null(traced.file);
    assert_int_equal(pcap_datalink(traced.file), DLT_IPV4);
    for (int i = 0; i < 2; i++) {
        expect_traced(&traced, true, ping, sizeof(ping));
        expect_traced(&traced, false, answer, sizeof(answer));
    }
    assert_false(next_traced(&traced));
    pcap_close(traced.file);
    client_finish(&client, &program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER("text reaches every UDP peer", text_reaches_every_peer, UDP),
        OVER("text reaches every TCP peer", text_reaches_every_peer, TCP),
        OVER("text stays here unless asked for, UDP", text_stays_here_unless_asked_for, UDP),
        OVER("text stays here unless asked for, TCP", text_stays_here_unless_asked_for, TCP),
        OVER("bad frames are logged, TCP", bad_frames_are_logged, TCP),
        OVER("bad frames are logged, Unix socket", bad_frames_are_logged, UNIX),
        OVER("bad frames are logged, pty", bad_frames_are_logged, PTY),
        cmocka_unit_test(a_log_that_nobody_reads_holds_nothing_up),
        OVER("the trace has every packet, UDP", the_trace_has_every_packet, UDP),
        OVER("the trace has every packet, TCP", the_trace_has_every_packet, TCP),
        OVER("the trace has every packet, pty", the_trace_has_every_packet, PTY),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
