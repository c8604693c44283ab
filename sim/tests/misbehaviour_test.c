// Each bug of `pulsim serve --bug` as a client sees it.

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "protocol/bytes.h"

// What --bug is given, and what then comes in place of the good reply to a ping.
struct bug_case {
    const char *sentence;
    const char *bug;
    enum transport transport;
    size_t len;       // of the reply
    size_t offset;    // of one byte of it
    uint8_t byte;     // what it is
    unsigned copies;  // how often it comes
    const char *text; // that comes before it
};

enum { PING_ID = 0x44332210, PING_REPLY = 16 };

static uint8_t reply[PACKET_MAX + 1];

static void send_ping(struct client *client)
{
    uint8_t ping[PACKET_HEADER_SIZE];
    size_t len = request_simple(CLASS_REQUEST, 0, PING_ID, ping);
    client_send(client, ping, len);
}

static void start_with(struct program *program, struct client *client, enum transport transport,
                       const char *bug)
{
    const char *const args[] = {"--text", "--bug", bug, NULL};
    client_start(client, program, transport, args);
}

static void changes_a_reply(void **state)
{
    const struct bug_case *row = *state;
    struct program program;
    struct client client;
    start_with(&program, &client, row->transport, row->bug);
    send_ping(&client);
    for (unsigned i = 0; i < row->copies; i++) {
        assert_int_equal(client_receive(&client, reply), row->len);
        assert_int_equal(reply[row->offset], row->byte);
    }
    assert_string_equal(client.text, row->text ? row->text : "");
    assert_true(client_is_quiet(&client));
    client_finish(&client, &program);
}

static struct bug_case reply_cases[] = {
    {"wrong-version", "wrong-version", UDP, 16, 0, 0x7F, 1, NULL},
    {"wrong-class", "wrong-class", UDP, 16, 1, 4, 1, NULL},
    {"wrong-type", "wrong-type", UDP, 16, 2, 99, 1, NULL},
    {"wrong-id", "wrong-id", UDP, 16, 4, 0x11, 1, NULL},
    {"short-reply", "short-reply", UDP, 15, 4, 0x10, 1, NULL},
    {"long-reply", "long-reply", UDP, 17, 16, 0, 1, NULL},
    {"truncate", "truncate=9", UDP, 9, 4, 0x10, 1, NULL},
    {"truncate in a frame", "truncate=9", TCP, 9, 4, 0x10, 1, NULL},
    {"duplicate", "duplicate", UDP, 16, 4, 0x10, 2, NULL},
    {"duplicate in frames", "duplicate", UNIX, 16, 4, 0x10, 2, NULL},
    {"text-before", "text-before", UDP, 16, 4, 0x10, 1, "text before a reply\r\n"},
    {"text-before a frame", "text-before", TCP, 16, 4, 0x10, 1, "text before a reply\r\n"},
    {"text-before on a pty", "text-before", PTY, 16, 4, 0x10, 1, "text before a reply\r\n"},
    {"dribble", "dribble", TCP, 16, 4, 0x10, 1, NULL},
    {"dribble on a pty", "dribble", PTY, 16, 4, 0x10, 1, NULL},
    {"a bug of frames leaves a datagram alone", "bad-end", UDP, 16, 4, 0x10, 1, NULL},
};

// Lets a line of log text follow, which no bug stops: what came before it was the reply, if any.
static void send_log_line(struct client *client)
{
    uint8_t request[32];
    size_t len = request_simple(CLASS_REQUEST, 12, 0x99, request);
    store_le(request + len, 2, 0x3F8);
    store_le(request + len + 2, 4, 4);
    store_le(request + len + 6, 2, 1);
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes on the wire
    memcpy(request + len + 8, "end\n", 4);
    client_send(client, request, len + 12);
}

static void says_nothing(void **state)
{
    const struct bug_case *row = *state;
    struct program program;
    struct client client;
    start_with(&program, &client, row->transport, row->bug);
    for (unsigned i = 0; i < row->copies; i++) {
        client_ping(&client, i);
    }
    send_ping(&client);
    send_log_line(&client);
    client_await_text(&client, "end\r\n");
    assert_true(client_is_quiet(&client));
    client_finish(&client, &program);
}

static struct bug_case silent_cases[] = {
    {"silence", "silence", UDP, 0, 0, 0, 0, NULL},
    {"silence on a stream", "silence", TCP, 0, 0, 0, 0, NULL},
    {"silence-after", "silence-after=3", UDP, 0, 0, 0, 3, NULL},
    {"lose", "lose=100", UDP, 0, 0, 0, 0, NULL},
};

// A frame that is spoilt in one byte, or where it ends.
static void spoils_a_frame(void **state)
{
    const struct bug_case *row = *state;
    static const uint8_t packet[PING_REPLY] = {2, 1, 0, 0, 0x10, 0x22, 0x33, 0x44};
    uint8_t want[64];
    uint8_t have[64];
    struct program program;
    struct client client;
    start_with(&program, &client, row->transport, row->bug);
    size_t frame_len = frame_write(packet, sizeof(packet), want, sizeof(want));
    want[row->offset] = (uint8_t)(want[row->offset] ^ row->byte);
    send_ping(&client);
    send_ping(&client); // a repeat is answered in the same way
    size_t len = row->len ? row->len : frame_len;
    for (int i = 0; i < 2; i++) {
        client_receive_bytes(&client, have, len);
        assert_memory_equal(have, want, len);
    }
    client_finish(&client, &program);
}

static struct bug_case frame_cases[] = {
    {"bad-length", "bad-length", TCP, 0, 1, 0x04, 0, NULL},
    {"bad-checksum", "bad-checksum", TCP, 0, 3, 0x55, 0, NULL},
    {"bad-end", "bad-end", UNIX, 0, 23, 0x55, 0, NULL},
    {"half-frame", "half-frame", TCP, 15, 0, 0, 0, NULL},
    {"half-frame on a pty", "half-frame", PTY, 15, 0, 0, 0, NULL},
};

static void hello_comes_first(void **state)
{
    static const uint8_t hello[] = {1, 3, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    struct program program;
    struct client client;
    start_with(&program, &client, *(enum transport *)*state, "hello");
    send_ping(&client);
    assert_int_equal(client_receive(&client, reply), sizeof(hello));
    assert_memory_equal(reply, hello, sizeof(hello));
    assert_int_equal(client_receive(&client, reply), PING_REPLY);
    client_ping(&client, 1);
    client_finish(&client, &program);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void late_replies_come_late(void **state)
{
    struct program program;
    struct client client;
    start_with(&program, &client, *(enum transport *)*state, "late=40");
    double before = seconds();
    client_ping(&client, 1);
    assert_true(seconds() - before >= 0.039);
    // One that is still under way when its peer or the program goes is lost without harm.
    send_ping(&client);
    client_close(&client);
    client_open(&client, &program, 0);
    client_ping(&client, 2);
    send_ping(&client);
    send_log_line(&client);
    client_await_text(&client, "end\r\n");
    program_finish(&program);
    client_close(&client);
}

static void bugs_act_together(void **state)
{
    (void)state;
    static const char *const args[] = {"--bug=long-reply", "--bug=wrong-id", "--bug=duplicate",
                                       NULL};
    struct program program;
    struct client client;
    client_start(&client, &program, UDP, args);
    send_ping(&client);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(client_receive(&client, reply), 17);
        assert_int_equal(reply[4], 0x11);
    }
    client_finish(&client, &program);
}

// Of a hundred replies about half are lost, and the same ones for the same seed.
static void chance_follows_the_seed(void **state)
{
    (void)state;
    enum { PINGS = 100, RUNS = 2 };
    static const char *const args[] = {"--bug=lose=50", "--seed=7", "--text", NULL};
    uint8_t answered[RUNS][PINGS] = {{0}};
    for (size_t run = 0; run < RUNS; run++) {
        struct program program;
        struct client client;
        client_start(&client, &program, TCP, args);
        for (uint32_t id = 0; id < PINGS; id++) {
            uint8_t ping[PACKET_HEADER_SIZE];
            size_t len = request_simple(CLASS_REQUEST, 0, id, ping);
            client_send(&client, ping, len);
        }
        send_log_line(&client);
        size_t num = client_collect_until(&client, "end\r\n", answered[run], PINGS);
        assert_in_range(num, 20, 80);
        client_finish(&client, &program);
    }
    assert_memory_equal(answered[0], answered[1], PINGS);
}

enum {
    NUM_REPLY_CASES = NUM_OF(reply_cases),
    NUM_SILENT_CASES = NUM_OF(silent_cases),
    NUM_FRAME_CASES = NUM_OF(frame_cases),
    NUM_ROWS = NUM_REPLY_CASES + NUM_SILENT_CASES + NUM_FRAME_CASES,
};

static size_t add_rows(struct CMUnitTest *tests, CMUnitTestFunction test, struct bug_case *rows,
                       size_t num)
{
    for (size_t i = 0; i < num; i++) {
        tests[i] = (struct CMUnitTest){rows[i].sentence, test, NULL, NULL, &rows[i]};
    }
    return num;
}

int main(void)
{
    struct CMUnitTest tests[NUM_ROWS + 7];
    size_t num = add_rows(tests, changes_a_reply, reply_cases, NUM_REPLY_CASES);
    num += add_rows(tests + num, says_nothing, silent_cases, NUM_SILENT_CASES);
    num += add_rows(tests + num, spoils_a_frame, frame_cases, NUM_FRAME_CASES);
    const struct CMUnitTest others[] = {
        OVER("hello over UDP", hello_comes_first, UDP),
        OVER("hello over TCP", hello_comes_first, TCP),
        OVER("hello over a pty", hello_comes_first, PTY),
        OVER("late over UDP", late_replies_come_late, UDP),
        OVER("late over TCP", late_replies_come_late, TCP),
        cmocka_unit_test(bugs_act_together),
        cmocka_unit_test(chance_follows_the_seed),
    };
    memcpy(tests + num, others, sizeof(others));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
