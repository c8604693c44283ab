// What lies between a transport and the debuggee: packets that wait, run modes, log text, the
// trace.

#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "program.h"
#include "protocol/bytes.h"

#define UNUSED_RAM UINT64_C(0x200000)
#define COM1       0x3F8

static enum transport transports[] = {UDP, TCP, UNIX, PTY};

static uint8_t packet[PACKET_MAX];
static uint8_t reply[PACKET_MAX + 1];

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void send_simple(struct link *link, uint8_t class, uint16_t type, uint32_t id)
{
    size_t len = request_simple(class, type, id, packet);
    link_send(link, packet, len);
}

// A search through all RAM for zeros that a one follows, which is nowhere: every candidate in
// zeroed memory has to be compared to its end.
static void send_search(struct link *link, uint32_t id, uint32_t pattern_len)
{
    memset(packet, 0, 33 + pattern_len);
    request_simple(CLASS_REQUEST, 24, id, packet);
    store_le(packet + 8, 8, UNUSED_RAM);
    store_le(packet + 16, 8, UINT64_C(0xFFFFFF));
    store_le(packet + 24, 4, 1);
    store_le(packet + 29, 4, pattern_len);
    memset(packet + 33 + pattern_len - 8, 0xC3, 8);
    link_send(link, packet, 33 + pattern_len);
}

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

static void expect_reply(struct link *link, uint32_t id)
{
    assert_true(link_receive(link, reply) >= PACKET_HEADER_SIZE);
    assert_int_equal(packet_header_read(reply).id, id);
}

static void what_waits_behind_a_search_keeps_its_order(void **state)
{
    enum { BEHIND = 15 };
    struct program program;
    struct link link;
    program_start_at(&program, *(enum transport *)*state, NULL);
    link_open(&link, &program, 0);
    send_search(&link, 1, 64);
    for (uint32_t id = 2; id < 2 + BEHIND; id++) {
        send_simple(&link, CLASS_REQUEST, 0, id);
    }
    for (uint32_t id = 1; id < 2 + BEHIND; id++) {
        expect_reply(&link, id);
    }
    link_close(&link);
    program_finish(&program);
}

// More than may be outstanding: the rest stays where it is until there is room.
static void a_stream_takes_any_number_behind_a_search(void **state)
{
    enum { BEHIND = 200 };
    struct program program;
    struct link link;
    program_start_at(&program, *(enum transport *)*state, NULL);
    link_open(&link, &program, 0);
    send_search(&link, 1, 64);
    for (uint32_t id = 2; id < 2 + BEHIND; id++) {
        send_simple(&link, CLASS_REQUEST, 0, id);
    }
    for (uint32_t id = 1; id < 2 + BEHIND; id++) {
        expect_reply(&link, id);
    }
    link_close(&link);
    program_finish(&program);
}

static void break_in_overtakes_what_waits(void **state)
{
    struct program program;
    struct link link;
    program_start_at(&program, *(enum transport *)*state, NULL);
    link_open(&link, &program, 0);
    send_search(&link, 1, 4096);
    send_simple(&link, CLASS_REQUEST, 0, 2);
    send_simple(&link, CLASS_CONTROL, 0, 3);
    expect_reply(&link, 1);
    expect_reply(&link, 3);
    expect_reply(&link, 2);
    link_close(&link);
    program_finish(&program);
}

// Repeats and resends of a request under way would only bring its reply twice.
static void repeats_of_what_is_under_way_are_dropped(void **state)
{
    struct program program;
    struct link link;
    program_start_at(&program, *(enum transport *)*state, NULL);
    link_open(&link, &program, 0);
    for (int i = 0; i < 3; i++) {
        send_search(&link, 1, 64);
        send_simple(&link, CLASS_RESEND, 0, 1);
    }
    send_simple(&link, CLASS_REQUEST, 0, 2);
    send_simple(&link, CLASS_REQUEST, 0, 2);
    send_simple(&link, CLASS_REQUEST, 0, 3);
    expect_reply(&link, 1);
    expect_reply(&link, 2);
    expect_reply(&link, 3);
    link_ping(&link, 4);
    link_close(&link);
    program_finish(&program);
}

static void a_search_does_not_hold_up_other_peers(void **state)
{
    struct program program;
    struct link searcher;
    struct link other;
    program_start_at(&program, *(enum transport *)*state, NULL);
    link_open(&searcher, &program, 0);
    link_open(&other, &program, 0);
    send_search(&searcher, 1, 4096);
    for (uint32_t id = 1; id <= 3; id++) {
        link_ping(&other, id);
    }
    assert_true(link_is_quiet(&searcher));
    send_simple(&searcher, CLASS_CONTROL, 0, 2);
    expect_reply(&searcher, 1);
    expect_reply(&searcher, 2);
    link_close(&searcher);
    link_close(&other);
    program_finish(&program);
}

// Ticks are the multiples of the interval, so three answers in a row lie more than one interval
// apart.
static void answers_come_at_ticks_while_the_target_runs(void **state)
{
    static const char *const args[] = {"--poll-interval=30000", NULL};
    struct program program;
    struct link link;
    program_start_at(&program, *(enum transport *)*state, args);
    link_open(&link, &program, 0);
    send_simple(&link, CLASS_CONTROL, 1, 1);
    expect_reply(&link, 1);
    double before = seconds();
    for (uint32_t id = 2; id < 5; id++) {
        send_simple(&link, CLASS_REQUEST, 13, id);
        expect_reply(&link, id);
        assert_int_equal(reply[8], 1);
    }
    assert_true(seconds() - before > 0.059);
    // The tick that answers the break-in stops the target, so the rest need not wait for another.
    send_simple(&link, CLASS_CONTROL, 0, 5);
    send_simple(&link, CLASS_REQUEST, 13, 6);
    expect_reply(&link, 5);
    expect_reply(&link, 6);
    assert_int_equal(reply[8], 0);
    link_close(&link);
    program_finish(&program);
}

enum { STEPS = 12, CONTEXT = 17 + 396 };

// Go, then contexts while it runs: each is what so many packets make it.
static void record_run(const char *const *args, uint8_t out[STEPS][CONTEXT])
{
    struct program program;
    struct link link;
    program_start_at(&program, UDP, args);
    link_open(&link, &program, 0);
    send_simple(&link, CLASS_CONTROL, 1, 1);
    expect_reply(&link, 1);
    for (uint32_t i = 0; i < STEPS; i++) {
        size_t len = request_number(1, 2 + i, UINT64_MAX, 8, packet);
        assert_int_equal(link_ask(&link, packet, len, reply), CONTEXT);
        memcpy(out[i], reply, CONTEXT);
    }
    link_close(&link);
    program_finish(&program);
}

static void lockstep_runs_are_equal(void **state)
{
    (void)state;
    static const char *const args[] = {"--run=lockstep", NULL};
    static uint8_t first[STEPS][CONTEXT];
    static uint8_t second[STEPS][CONTEXT];
    record_run(args, first);
    record_run(args, second);
    assert_memory_equal(first, second, sizeof(first));
    assert_memory_not_equal(first[0] + 17, first[STEPS - 1] + 17, CONTEXT - 17);
}

static void a_lockstep_poll_interval_is_virtual(void **state)
{
    (void)state;
    static const char *const args[] = {"--run=lockstep", NULL};
    static const char *const slow_args[] = {"--run=lockstep", "--poll-interval=20", NULL};
    static uint8_t fast[STEPS][CONTEXT];
    static uint8_t slow[STEPS][CONTEXT];
    record_run(args, fast);
    record_run(slow_args, slow);
    // 30,000 instructions for each packet instead of 10,000.
    for (size_t i = 0; i < STEPS / 3; i++) {
        assert_memory_equal(slow[i] + 17, fast[3 * i + 2] + 17, CONTEXT - 17);
    }
}

static void a_free_target_runs_by_itself(void **state)
{
    (void)state;
    struct program program;
    struct link link;
    static uint8_t first[PACKET_MAX + 1];
    program_start_at(&program, UDP, NULL);
    link_open(&link, &program, 0);
    send_simple(&link, CLASS_CONTROL, 1, 1);
    expect_reply(&link, 1);
    size_t len = request_number(1, 2, UINT64_MAX, 8, packet);
    assert_int_equal(link_ask(&link, packet, len, first), CONTEXT);
    uint32_t id = 2;
    do {
        len = request_number(1, ++id, UINT64_MAX, 8, packet);
        assert_int_equal(link_ask(&link, packet, len, reply), CONTEXT);
        assert_true(id < 10000);
    } while (memcmp(first + 17, reply + 17, CONTEXT - 17) == 0);
    link_close(&link);
    program_finish(&program);
}

static void text_reaches_every_peer(void **state)
{
    static const char *const args[] = {"--text", NULL};
    struct program program;
    struct program_end end;
    struct link speaker;
    struct link listener;
    program_start_at(&program, *(enum transport *)*state, args);
    link_open(&speaker, &program, 0);
    link_open(&listener, &program, 0);
    link_ping(&listener, 1);
    size_t len = log_line_request(1, "hello\n", packet);
    link_ask(&speaker, packet, len, reply);
    link_await_text(&listener, "hello\r\n");
    assert_string_equal(speaker.text, listener.text);
    link_close(&speaker);
    link_close(&listener);
    program_stop(&program, SIGTERM, &end);
    assert_int_equal(end.code, 0);
    assert_non_null(strstr(end.err, "hello\n"));
}

static void text_stays_here_unless_asked_for(void **state)
{
    struct program program;
    struct program_end end;
    struct link link;
    program_start_at(&program, *(enum transport *)*state, NULL);
    link_open(&link, &program, 0);
    size_t len = log_line_request(1, "hello\n", packet);
    link_ask(&link, packet, len, reply);
    link_ping(&link, 2);
    assert_string_equal(link.text, "");
    link_close(&link);
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
    struct link link;
    static const char *const args[] = {"--protocol=1", NULL};
    program_start_at(&program, *(enum transport *)*state, args);
    link_open(&link, &program, 0);
    for (size_t i = 0; i < NUM_OF(rows); i++) {
        size_t len = request_simple(CLASS_REQUEST, 0, 1, packet);
        size_t frame_len = frame_write(packet, len, frame, sizeof(frame));
        frame[rows[i].offset] ^= 0xF0;
        assert_true(link_send_bytes(&link, frame, frame_len));
        packet[0] = 1;
        store_le(packet + 4, 4, 2 + i);
        link_ask(&link, packet, len, reply);
    }
    link_close(&link);
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
    struct link link;
    program_start_at(&program, UDP, NULL);
    link_open(&link, &program, 0);
    for (uint32_t id = 1; id <= LINES; id++) {
        size_t len = log_line_request(id, "a line that is long enough to fill a pipe\n", packet);
        link_ask(&link, packet, len, reply);
    }
    link_close(&link);
    program_finish(&program);
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
    struct link link;
    uint8_t ping[PACKET_HEADER_SIZE];
    uint8_t answer[16] = {2, 1, 0, 0, 7};
    size_t len = request_simple(CLASS_REQUEST, 0, 7, ping);
    program_start_at(&program, *(enum transport *)*state, args);
    link_open(&link, &program, 0);
    link_ask(&link, ping, len, reply);
    link_ask(&link, ping, len, reply);
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
    link_close(&link);
    program_finish(&program);
}

#define OVER(sentence, test, row)                                                                  \
    {                                                                                              \
        sentence, test, NULL, NULL, &transports[row]                                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER("what waits behind a search keeps its order, UDP",
             what_waits_behind_a_search_keeps_its_order, UDP),
        OVER("what waits behind a search keeps its order, TCP",
             what_waits_behind_a_search_keeps_its_order, TCP),
        OVER("what waits behind a search keeps its order, pty",
             what_waits_behind_a_search_keeps_its_order, PTY),
        OVER("TCP takes any number behind a search", a_stream_takes_any_number_behind_a_search,
             TCP),
        OVER("a Unix socket takes any number behind a search",
             a_stream_takes_any_number_behind_a_search, UNIX),
        OVER("BreakIn overtakes what waits, UDP", break_in_overtakes_what_waits, UDP),
        OVER("BreakIn overtakes what waits, TCP", break_in_overtakes_what_waits, TCP),
        OVER("repeats of what is under way are dropped, UDP",
             repeats_of_what_is_under_way_are_dropped, UDP),
        OVER("repeats of what is under way are dropped, TCP",
             repeats_of_what_is_under_way_are_dropped, TCP),
        OVER("a search does not hold up other UDP peers", a_search_does_not_hold_up_other_peers,
             UDP),
        OVER("a search does not hold up other TCP peers", a_search_does_not_hold_up_other_peers,
             TCP),
        OVER("answers come at ticks, UDP", answers_come_at_ticks_while_the_target_runs, UDP),
        OVER("answers come at ticks, TCP", answers_come_at_ticks_while_the_target_runs, TCP),
        cmocka_unit_test(lockstep_runs_are_equal),
        cmocka_unit_test(a_lockstep_poll_interval_is_virtual),
        cmocka_unit_test(a_free_target_runs_by_itself),
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
