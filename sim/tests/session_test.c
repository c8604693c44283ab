// What lies between a transport and the debuggee: packets that wait, run modes, log text, the
// trace.

#include <string.h>
#include <time.h>

#include "client.h"
#include "protocol/bytes.h"

#define UNUSED_RAM UINT64_C(0x200000)

static uint8_t packet[PACKET_MAX];
static uint8_t reply[PACKET_MAX + 1];

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void send_simple(struct client *client, uint8_t class, uint16_t type, uint32_t id)
{
    size_t len = request_simple(class, type, id, packet);
    client_send(client, packet, len);
}

enum { ENDLESS = 4096 };

// A search through all RAM for zeros that something else follows, which is nowhere: every candidate
// in zeroed memory has to be compared to its end. That for a pattern of ENDLESS bytes goes down,
// which cannot be done in linear time, and takes a second and more.
static void send_search(struct client *client, uint32_t id, uint32_t pattern_len)
{
    const uint64_t last = UINT64_C(0x1000000) - pattern_len;
    bool is_endless = pattern_len == ENDLESS;
    memset(packet, 0, 33 + pattern_len);
    request_simple(CLASS_REQUEST, 24, id, packet);
    store_le(packet + 8, 8, is_endless ? last : UNUSED_RAM);
    store_le(packet + 16, 8, is_endless ? UNUSED_RAM : last);
    store_le(packet + 24, 4, 1);
    store_le(packet + 29, 4, pattern_len);
    memset(packet + 33 + pattern_len - 8, 0xC3, 8);
    client_send(client, packet, 33 + pattern_len);
}

static void expect_reply(struct client *client, uint32_t id)
{
    assert_true(client_receive(client, reply) >= PACKET_HEADER_SIZE);
    assert_int_equal(packet_header_read(reply).id, id);
}

static void expect_order_behind_a_search(enum transport transport, uint32_t behind)
{
    struct program program;
    struct client client;
    client_start(&client, &program, transport, NULL);
    send_search(&client, 1, 64);
    for (uint32_t id = 2; id < 2 + behind; id++) {
        send_simple(&client, CLASS_REQUEST, 0, id);
    }
    for (uint32_t id = 1; id < 2 + behind; id++) {
        expect_reply(&client, id);
    }
    client_finish(&client, &program);
}

static void what_waits_behind_a_search_keeps_its_order(void **state)
{
    expect_order_behind_a_search(*(enum transport *)*state, 15);
}

// More than may be outstanding: the rest stays where it is until there is room.
static void a_stream_takes_any_number_behind_a_search(void **state)
{
    expect_order_behind_a_search(*(enum transport *)*state, 200);
}

static void break_in_overtakes_what_waits(void **state)
{
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    send_search(&client, 1, ENDLESS);
    send_simple(&client, CLASS_REQUEST, 0, 2);
    send_simple(&client, CLASS_CONTROL, 0, 3);
    expect_reply(&client, 1);
    expect_reply(&client, 3);
    expect_reply(&client, 2);
    client_finish(&client, &program);
}

// Repeats and resends of a request under way would only bring its reply twice.
static void repeats_of_what_is_under_way_are_dropped(void **state)
{
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    for (int i = 0; i < 3; i++) {
        send_search(&client, 1, 64);
        send_simple(&client, CLASS_RESEND, 0, 1);
    }
    send_simple(&client, CLASS_REQUEST, 0, 2);
    send_simple(&client, CLASS_REQUEST, 0, 2);
    send_simple(&client, CLASS_REQUEST, 0, 3);
    expect_reply(&client, 1);
    expect_reply(&client, 2);
    expect_reply(&client, 3);
    client_ping(&client, 4);
    client_finish(&client, &program);
}

static void a_search_does_not_hold_up_other_peers(void **state)
{
    struct program program;
    struct client searcher;
    struct client other;
    program_start_at(&program, *(enum transport *)*state, NULL);
    client_open(&searcher, &program, 0);
    client_open(&other, &program, 0);
    send_search(&searcher, 1, ENDLESS);
    for (uint32_t id = 1; id <= 3; id++) {
        client_ping(&other, id);
    }
    assert_true(client_is_quiet(&searcher));
    send_simple(&searcher, CLASS_CONTROL, 0, 2);
    expect_reply(&searcher, 1);
    expect_reply(&searcher, 2);
    client_close(&searcher);
    client_close(&other);
    program_finish(&program);
}

// Ticks are the multiples of the interval, so three answers in a row lie more than one interval
// apart.
static void answers_come_at_ticks_while_the_target_runs(void **state)
{
    static const char *const args[] = {"--poll-interval=30000", NULL};
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, args);
    send_simple(&client, CLASS_CONTROL, 1, 1);
    expect_reply(&client, 1);
    double before = seconds();
    for (uint32_t id = 2; id < 5; id++) {
        send_simple(&client, CLASS_REQUEST, 13, id);
        expect_reply(&client, id);
        assert_int_equal(reply[8], 1);
    }
    assert_true(seconds() - before > 0.059);
    // The tick that answers the break-in stops the target, so the rest need not wait for another.
    send_simple(&client, CLASS_CONTROL, 0, 5);
    send_simple(&client, CLASS_REQUEST, 13, 6);
    expect_reply(&client, 5);
    expect_reply(&client, 6);
    assert_int_equal(reply[8], 0);
    client_finish(&client, &program);
}

enum { STEPS = 12, CONTEXT = 17 + 396 };

// Go, then contexts while it runs: each is what so many packets make it.
static void record_run(const char *const *args, uint8_t out[STEPS][CONTEXT])
{
    struct program program;
    struct client client;
    client_start(&client, &program, UDP, args);
    send_simple(&client, CLASS_CONTROL, 1, 1);
    expect_reply(&client, 1);
    for (uint32_t i = 0; i < STEPS; i++) {
        size_t len = request_number(1, 2 + i, UINT64_MAX, 8, packet);
        assert_int_equal(client_ask(&client, packet, len, reply), CONTEXT);
        memcpy(out[i], reply, CONTEXT);
    }
    client_finish(&client, &program);
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
    struct client client;
    static uint8_t first[PACKET_MAX + 1];
    client_start(&client, &program, UDP, NULL);
    send_simple(&client, CLASS_CONTROL, 1, 1);
    expect_reply(&client, 1);
    size_t len = request_number(1, 2, UINT64_MAX, 8, packet);
    assert_int_equal(client_ask(&client, packet, len, first), CONTEXT);
    uint32_t id = 2;
    do {
        len = request_number(1, ++id, UINT64_MAX, 8, packet);
        assert_int_equal(client_ask(&client, packet, len, reply), CONTEXT);
        assert_true(id < 10000);
    } while (memcmp(first + 17, reply + 17, CONTEXT - 17) == 0);
    client_finish(&client, &program);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
