// Whatever a peer sends, the program goes on and answers the next good request, over every
// transport. The program is checked at its end: it leaks nothing and no sanitizer has complained.

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "protocol/bytes.h"

enum { LONGEST = 20000 };

static uint8_t bytes[LONGEST];
static uint8_t reply[PACKET_MAX + 1];

// Good bytes that end whatever a receiver believes it is inside of, then a ping. What comes before
// its reply answers the garbage.
static void expect_answer(struct client *client, uint32_t id)
{
    uint8_t ping[PACKET_HEADER_SIZE];
    size_t len = request_simple(CLASS_REQUEST, 0, id, ping);
    client_send(client, ping, len);
    do {
        assert_true(client_receive(client, reply) > 0);
    } while (packet_header_read(reply).id != id);
}

// Whoever was there before, a new client is answered; by an id that nobody had.
static void finish_answering(struct program *program)
{
    struct client client;
    client_open(&client, program, 0);
    expect_answer(&client, 0x30000);
    client_finish(&client, program);
}

static void odd_lengths(void **state)
{
    static const size_t lengths[] = {0, 1, 7, LONGEST};
    static const uint8_t fillings[] = {0x00, 0x01, 0x02, 0xAA, 0xAB, 0xFF};
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    for (size_t i = 0; i < NUM_OF(lengths) * NUM_OF(fillings); i++) {
        memset(bytes, fillings[i / NUM_OF(lengths)], LONGEST);
        size_t len = lengths[i % NUM_OF(lengths)];
        if (client.is_stream && len > 1) {
            client_send(&client, bytes, len);
        } else if (!client.is_stream) {
            assert_true(client_send_bytes(&client, bytes, len));
        }
        expect_answer(&client, (uint32_t)(0x5000 + i));
    }
    client_finish(&client, &program);
}

static void every_class_and_type(void **state)
{
    enum { TYPES = 80 };
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    for (uint32_t i = 0; i < 2 * 8 * TYPES; i++) {
        size_t len = request_simple((uint8_t)(i / 2 % 8), (uint16_t)(i / 16), 0x10000 + i, bytes);
        bytes[0] = (uint8_t)(1 + i % 2);
        bool starts_the_machine = bytes[1] == CLASS_CONTROL;
        if (!starts_the_machine) {
            client_send(&client, bytes, len);
        }
        if (i % 16 == 15) {
            expect_answer(&client, 0x20000 + i);
        }
    }
    client_finish(&client, &program);
}

// Every request with a length field, with that field saying what is not so.
static void lying_lengths(void **state)
{
    static const struct {
        uint16_t type;
        size_t offset;
        size_t size; // of the packet
    } rows[] = {{5, 26, 30},  {6, 26, 30},  {7, 24, 28},  {8, 24, 28},  {9, 16, 20},
                {10, 16, 20}, {11, 10, 16}, {12, 10, 16}, {22, 39, 43}, {23, 37, 41},
                {24, 29, 33}, {64, 28, 32}, {65, 28, 32}, {69, 18, 22}};
    static const uint32_t lies[] = {0, 1, 4096, 16384, 61410, 61440, 0x7FFFFFFF, 0xFFFFFFFF};
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    for (uint32_t i = 0; i < 2 * NUM_OF(rows) * NUM_OF(lies); i++) {
        size_t row = i / 2 % NUM_OF(rows);
        memset(bytes, 0, rows[row].size);
        request_simple(CLASS_REQUEST, rows[row].type, 0x10000 + i, bytes);
        bytes[0] = (uint8_t)(1 + i % 2);
        store_le(bytes + rows[row].offset, 4, lies[i / 2 / NUM_OF(rows)]);
        client_send(&client, bytes, rows[row].size);
        expect_answer(&client, 0x20000 + i);
    }
    client_finish(&client, &program);
}

// Damaged frames of a ping. What follows them completes at most one and is then answered.
static void bad_frames(void **state)
{
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    uint8_t ping[PACKET_HEADER_SIZE];
    uint8_t frame[32];
    size_t len = request_simple(CLASS_REQUEST, 0, 0x77, ping);
    size_t frame_len = frame_write(ping, len, frame, sizeof(frame));
    for (size_t i = 0; i < frame_len; i++) {
        uint8_t spoilt[sizeof(frame)];
        memcpy(spoilt, frame, frame_len);
        spoilt[i] ^= 0x55;
        assert_true(client_send_bytes(&client, spoilt, frame_len));
        // A length that is now longer waits for more bytes: enough of them come.
        memset(bytes, 0, sizeof(bytes));
        assert_true(client_send_bytes(&client, bytes, 512));
        expect_answer(&client, (uint32_t)(0x1000 + i));
    }
    client_finish(&client, &program);
}

static void half_frames(void **state)
{
    struct program program;
    struct client client;
    program_start_at(&program, *(enum transport *)*state, NULL);
    uint8_t frame[64];
    uint8_t request[32];
    size_t len = request_read(1, 0x200000, 16, request);
    size_t frame_len = frame_write(request, len, frame, sizeof(frame));
    for (size_t cut = 0; cut < frame_len; cut++) {
        client_open(&client, &program, 0);
        assert_true(client_send_bytes(&client, frame, cut ? cut : 1));
        client_close(&client);
    }
    finish_answering(&program);
}

// A frame that comes in two parts, wherever it is cut.
static void split_frames(void **state)
{
    struct program program;
    struct client client;
    client_start(&client, &program, *(enum transport *)*state, NULL);
    uint8_t frame[64];
    uint8_t request[32];
    for (uint32_t cut = 1; cut < 20; cut++) {
        size_t len = request_read(cut, 0x200000, 16, request);
        size_t frame_len = frame_write(request, len, frame, sizeof(frame));
        assert_true(client_send_bytes(&client, frame, cut));
        assert_true(client_send_bytes(&client, frame + cut, frame_len - cut));
        assert_int_equal(client_receive(&client, reply), 36);
        assert_int_equal(packet_header_read(reply).id, cut);
    }
    client_finish(&client, &program);
}

// Requests whose answers nobody waits for: the peer is gone before they are written.
static void peers_that_leave_with_answers_under_way(void **state)
{
    enum { PEERS = 20, REQUESTS = 40, LENGTH = 61420 };
    struct program program;
    struct client client;
    program_start_at(&program, *(enum transport *)*state, NULL);
    for (uint32_t i = 0; i < PEERS; i++) {
        client_open(&client, &program, 0);
        for (uint32_t id = 1; id <= REQUESTS; id++) {
            size_t len = request_read(id, 0x200000, LENGTH, bytes);
            client_send(&client, bytes, len);
        }
        client_close(&client);
    }
    finish_answering(&program);
}

// A search and a pending queue die with their peer.
static void peers_that_leave_during_a_search(void **state)
{
    enum { PEERS = 10 };
    struct program program;
    struct client client;
    program_start_at(&program, *(enum transport *)*state, NULL);
    for (uint32_t i = 0; i < PEERS; i++) {
        client_open(&client, &program, 0);
        memset(bytes, 0, 64);
        request_simple(CLASS_REQUEST, 24, 1, bytes);
        store_le(bytes + 16, 8, UINT64_C(0xFFFFFF)); // up to here
        store_le(bytes + 24, 4, 1);                  // step
        store_le(bytes + 29, 4, 8);                  // bytes of pattern
        memset(bytes + 33, 0xC3, 8);
        client_send(&client, bytes, 41);
        size_t len = request_simple(CLASS_REQUEST, 0, 2, bytes);
        client_send(&client, bytes, len);
        client_close(&client);
    }
    finish_answering(&program);
}

static void a_thousand_connections(void **state)
{
    enum { CONNECTIONS = 1000 };
    struct program program;
    struct client client;
    program_start_at(&program, *(enum transport *)*state, NULL);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        client_open(&client, &program, 0);
        if (i % 3 == 1) {
            assert_true(client_send_bytes(&client, "\xAB\x03\x08", 3));
        }
        if (i % 3 == 2) {
            size_t len = request_simple(CLASS_REQUEST, 0, i, bytes);
            client_send(&client, bytes, len);
        }
        client_close(&client);
    }
    finish_answering(&program);
}

static void an_oversized_datagram(void **state)
{
    (void)state;
    static uint8_t datagram[65507];
    struct program program;
    struct client client;
    client_start(&client, &program, UDP, NULL);
    static const size_t lengths[] = {PACKET_MAX, PACKET_MAX + 1, sizeof(datagram)};
    for (size_t i = 0; i < NUM_OF(lengths); i++) {
        request_simple(CLASS_REQUEST, 0, 1, datagram);
        assert_true(client_send_bytes(&client, datagram, lengths[i]));
    }
    // The longest packet that may be is answered, what is longer was dropped.
    assert_int_equal(client_receive(&client, reply), 16);
    assert_int_equal(packet_header_read(reply).id, 1);
    client_ping(&client, 2);
    client_finish(&client, &program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER("odd lengths over UDP", odd_lengths, UDP),
        OVER("odd lengths over TCP", odd_lengths, TCP),
        OVER("odd lengths over a Unix socket", odd_lengths, UNIX),
        OVER("odd lengths over a pty", odd_lengths, PTY),
        OVER("every class and type over UDP", every_class_and_type, UDP),
        OVER("every class and type over TCP", every_class_and_type, TCP),
        OVER("every class and type over a Unix socket", every_class_and_type, UNIX),
        OVER("every class and type over a pty", every_class_and_type, PTY),
        OVER("lying lengths over UDP", lying_lengths, UDP),
        OVER("lying lengths over TCP", lying_lengths, TCP),
        OVER("lying lengths over a Unix socket", lying_lengths, UNIX),
        OVER("lying lengths over a pty", lying_lengths, PTY),
        OVER("bad frames over TCP", bad_frames, TCP),
        OVER("bad frames over a Unix socket", bad_frames, UNIX),
        OVER("bad frames over a pty", bad_frames, PTY),
        OVER("half frames over TCP", half_frames, TCP),
        OVER("half frames over a Unix socket", half_frames, UNIX),
        OVER("half frames over a pty", half_frames, PTY),
        OVER("split frames over TCP", split_frames, TCP),
        OVER("split frames over a Unix socket", split_frames, UNIX),
        OVER("split frames over a pty", split_frames, PTY),
        OVER("TCP peers that leave with answers under way", peers_that_leave_with_answers_under_way,
             TCP),
        OVER("peers of a Unix socket that leave with answers under way",
             peers_that_leave_with_answers_under_way, UNIX),
        OVER("UDP peers that leave during a search", peers_that_leave_during_a_search, UDP),
        OVER("TCP peers that leave during a search", peers_that_leave_during_a_search, TCP),
        OVER("a thousand TCP connections", a_thousand_connections, TCP),
        OVER("a thousand connections to a Unix socket", a_thousand_connections, UNIX),
        OVER("a thousand UDP peers", a_thousand_connections, UDP),
        cmocka_unit_test(an_oversized_datagram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
