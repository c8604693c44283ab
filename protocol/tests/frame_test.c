// Frames: golden bytes, every split, every truncation, every wrong byte.

#include "protocol/frame.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"
#include "frame_log.h"
#include "random.h"

static const enum frame_recovery recoveries[] = {FRAME_SKIP, FRAME_RESCAN};

static const uint8_t ping[] = {0x01, 0x00, 0x00, 0x00, 0x43, 0xA4, 0xF6, 0x0D};
static const uint8_t ping_frame[] = {0xAB, 0x03, 0x08, 0xEB, 0x01, 0x00, 0x00, 0x01,
                                     0x00, 0x00, 0x00, 0x43, 0xA4, 0xF6, 0x0D, 0xAA};
static const uint8_t reply[] = {0x01, 0x01, 0x00, 0x00, 0x43, 0xA4, 0xF6, 0x0D,
                                0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
static const uint8_t reply_frame[] = {0xAB, 0x04, 0x10, 0xEC, 0x01, 0x00, 0x00, 0x01,
                                      0x01, 0x00, 0x00, 0x43, 0xA4, 0xF6, 0x0D, 0x00,
                                      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xAA};

static void frames_of_the_published_client_are_written(void **state)
{
    (void)state;
    uint8_t out[64];
    assert_int_equal(frame_write(ping, sizeof(ping), out, sizeof(out)), sizeof(ping_frame));
    assert_memory_equal(out, ping_frame, sizeof(ping_frame));
    assert_int_equal(frame_write(reply, sizeof(reply), out, sizeof(out)), sizeof(reply_frame));
    assert_memory_equal(out, reply_frame, sizeof(reply_frame));
}

static void frames_of_the_published_client_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_OF(recoveries); i++) {
        struct log *log = receive(ping_frame, sizeof(ping_frame), SIZE_MAX, recoveries[i]);
        assert_int_equal(log->num_packets, 1);
        assert_int_equal(log->last_len, sizeof(ping));
        assert_memory_equal(log->last_packet, ping, sizeof(ping));
        assert_int_equal(log->num_dropped + log->num_text, 0);
        free(log);
    }
}

static void k_is_the_highest_bit_of_the_length(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint8_t k;
        size_t head;
    } lengths[] = {
        {2, 1, 7},      {3, 1, 7},      {4, 2, 7},      {8, 3, 7},      {16, 4, 7},  {31, 4, 7},
        {64, 6, 7},     {127, 6, 7},    {255, 7, 7},    {256, 8, 8},    {320, 8, 8}, {7292, 12, 8},
        {16383, 13, 8}, {16384, 14, 8}, {61440, 15, 8}, {65535, 15, 8},
    };
    static uint8_t packet[65535];
    for (size_t i = 0; i < NUM_OF(lengths); i++) {
        uint8_t head[FRAME_OVERHEAD_MAX];
        assert_int_equal(frame_head(packet, lengths[i].len, head), lengths[i].head);
        assert_int_equal(head[0], 0xAB);
        assert_int_equal(head[1], lengths[i].k);
        assert_int_equal(head[2], lengths[i].len & 0xFF);
        if (lengths[i].head == 8) {
            assert_int_equal(head[3], lengths[i].len >> 8);
        }
    }
}

static void a_length_that_no_frame_carries_is_refused(void **state)
{
    (void)state;
    static uint8_t packet[65536];
    static uint8_t out[65536 + FRAME_OVERHEAD_MAX];
    assert_int_equal(frame_write(packet, 0, out, sizeof(out)), 0);
    assert_int_equal(frame_write(packet, 1, out, sizeof(out)), 0); // its k would be 0
    assert_int_equal(frame_write(packet, 65536, out, sizeof(out)), 0);
    assert_int_equal(frame_head(packet, 65536, out), 0);
}

static void a_frame_is_not_written_where_it_does_not_fit(void **state)
{
    (void)state;
    uint8_t out[sizeof(ping_frame) + 1];
    memset(out, 0xEE, sizeof(out));
    assert_int_equal(frame_write(ping, sizeof(ping), out, sizeof(ping_frame) - 1), 0);
    assert_int_equal(frame_write(ping, sizeof(ping), out, sizeof(ping_frame)), sizeof(ping_frame));
    assert_int_equal(out[sizeof(ping_frame)], 0xEE);
}

static void the_checksum_is_the_plain_sum(void **state)
{
    (void)state;
    static uint8_t bytes[61440 + 16];
    uint64_t seed = 3;
    memset(bytes, 0xFF, sizeof(bytes));
    assert_int_equal(frame_checksum(bytes, 61440), 61440 * 255);
    random_fill(&seed, bytes, sizeof(bytes));
    for (unsigned i = 0; i < 3000; i++) {
        size_t start = random_below(&seed, 16);
        size_t len = random_below(&seed, i < 2000 ? 300 : 61441);
        uint32_t sum = 0;
        for (size_t at = 0; at < len; at++) {
            sum += bytes[start + at];
        }
        assert_int_equal(frame_checksum(bytes + start, len), sum);
    }
}

static size_t add_string(uint8_t *out, const char *text)
{
    size_t len = 0;
    for (; text[len] != '\0'; len++) {
        out[len] = (uint8_t)text[len];
    }
    return len;
}

// Three frames of different sizes, one with a two-byte length, with text around them.
static size_t sample_stream(uint8_t *out)
{
    uint8_t packet[300];
    size_t len = 0;
    len += add_string(out, "boot\r\n");
    len += frame_write(ping, sizeof(ping), out + len, 64);
    for (size_t i = 0; i < sizeof(packet); i++) {
        packet[i] = (uint8_t)(i * 7);
    }
    len += frame_write(packet, sizeof(packet), out + len, 400);
    len += add_string(out + len, "log line\r\n");
    len += frame_write(reply, sizeof(reply), out + len, 64);
    return len + add_string(out + len, "end");
}

static void every_split_in_two_gives_the_same(void **state)
{
    (void)state;
    uint8_t stream[600];
    size_t len = sample_stream(stream);
    for (size_t i = 0; i < NUM_OF(recoveries); i++) {
        struct log *whole = receive(stream, len, SIZE_MAX, recoveries[i]);
        assert_int_equal(whole->num_packets, 3);
        assert_int_equal(whole->num_text, 19);
        assert_int_equal(whole->num_dropped, 0);
        for (size_t split = 1; split < len; split++) {
            static uint8_t buffer[2000];
            struct frame_reader reader;
            struct log *log = new_log();
            frame_reader_init(&reader, buffer, sizeof(buffer), MOST_PACKET, recoveries[i]);
            feed(&reader, stream, split, SIZE_MAX, log);
            feed(&reader, stream + split, len - split, SIZE_MAX, log);
            assert_same_log(whole, log);
            free(log);
        }
        free(whole);
    }
}

static void pieces_of_every_size_give_the_same(void **state)
{
    (void)state;
    uint8_t stream[600];
    size_t len = sample_stream(stream);
    for (size_t i = 0; i < NUM_OF(recoveries); i++) {
        struct log *whole = receive(stream, len, SIZE_MAX, recoveries[i]);
        for (size_t piece = 1; piece < 100; piece++) {
            struct log *log = receive(stream, len, piece, recoveries[i]);
            assert_same_log(whole, log);
            free(log);
        }
        free(whole);
    }
}

// A packet of 24 bytes without start and end bytes inside, and its frame.
static size_t plain_frame(uint8_t first, uint8_t *out)
{
    uint8_t packet[24];
    for (size_t i = 0; i < sizeof(packet); i++) {
        packet[i] = (uint8_t)(first + i);
    }
    return frame_write(packet, sizeof(packet), out, 64);
}

// The facts: a truncated frame takes what it lacks from the next one, and the one after that is
// read. A receiver that rescans loses nothing but the truncated frame.
static void a_truncated_frame_costs_one_more_or_nothing_more(void **state)
{
    (void)state;
    uint8_t good[64];
    size_t good_len = plain_frame(0x10, good);
    for (size_t cut = 1; cut < good_len; cut++) {
        uint8_t stream[256];
        size_t len = 0;
        memcpy(stream, good, cut);
        len += cut;
        for (unsigned i = 0; i < 3; i++) {
            len += plain_frame((uint8_t)(0x20 + 0x20 * i), stream + len);
        }
        for (size_t i = 0; i < NUM_OF(recoveries); i++) {
            struct log *log = receive(stream, len, 1, recoveries[i]);
            size_t lost = recoveries[i] == FRAME_SKIP ? 1 : 0;
            assert_int_equal(log->num_packets, 3 - lost);
            assert_int_equal(log->last_packet[0], 0x60);
            assert_true(log->num_dropped >= 1);
            free(log);
        }
    }
}

static size_t count_packets_after(const uint8_t *bad, size_t bad_len, size_t num_good,
                                  enum frame_recovery recovery)
{
    static uint8_t stream[STREAM_SIZE];
    size_t len = bad_len;
    memcpy(stream, bad, bad_len);
    for (size_t i = 0; i < num_good; i++) {
        len += plain_frame(0x40, stream + len);
    }
    struct log *log = receive(stream, len, SIZE_MAX, recovery);
    assert_int_equal(log->last_packet[0], 0x40); // it ends well
    size_t num = log->num_packets;
    free(log);
    return num;
}

// Any single byte of a frame replaced by any other. A longer k is the one change that is accepted.
static void a_frame_with_a_wrong_byte_is_never_delivered(void **state)
{
    (void)state;
    uint8_t good[64];
    size_t good_len = plain_frame(0x10, good);
    enum { NUM_GOOD = 25 }; // more bytes than the longest packet this reader waits for
    for (size_t at = 0; at < good_len; at++) {
        for (unsigned change = 1; change < 256; change++) {
            uint8_t bad[64];
            memcpy(bad, good, good_len);
            bad[at] ^= (uint8_t)change;
            bool longer_k = at == 1 && bad[1] > 4 && bad[1] < 8;
            size_t rescanned = count_packets_after(bad, good_len, NUM_GOOD, FRAME_RESCAN);
            assert_int_equal(rescanned, NUM_GOOD + (longer_k ? 1U : 0U));
            size_t skipped = count_packets_after(bad, good_len, NUM_GOOD, FRAME_SKIP);
            assert_true(skipped <= rescanned);
            assert_true(at == 1 || at == 2 || skipped == NUM_GOOD);
        }
    }
}

struct bad_case {
    const char *name;
    uint8_t bytes[10];
    size_t len;
    enum pulse_status error;
    size_t swallowed; // by a receiver that skips; the rest is text
};

static struct bad_case bad_cases[] = {
    {"a frame is dropped: k 0", {0xAB, 0, 8, 'a', 'b'}, 5, STATUS_INVALID_LENGTH_FIELD, 2},
    {"a frame is dropped: k 16", {0xAB, 16, 8, 'a', 'b'}, 5, STATUS_INVALID_LENGTH_FIELD, 2},
    {"a frame is dropped: k 255", {0xAB, 255, 8, 'a', 'b'}, 5, STATUS_INVALID_LENGTH_FIELD, 2},
    {"a frame is dropped: k too small for a one-byte length",
     {0xAB, 3, 24, 'a', 'b'},
     5,
     STATUS_INVALID_LENGTH_FIELD,
     3},
    {"a frame is dropped: k too small for a two-byte length",
     {0xAB, 8, 0, 2, 'a'},
     5,
     STATUS_INVALID_LENGTH_FIELD,
     4},
    {"a frame is dropped: length 0 in one byte",
     {0xAB, 4, 0, 'a', 'b'},
     5,
     STATUS_INVALID_LENGTH_FIELD,
     3},
    {"a frame is dropped: length 0 in two bytes",
     {0xAB, 14, 0, 0, 'a'},
     5,
     STATUS_INVALID_LENGTH_FIELD,
     4},
    {"a frame is dropped: one byte over the largest packet",
     {0xAB, 9, 0xBD, 2, 'a'},
     5,
     STATUS_BUFFER_OVERFLOW,
     4},
    {"a frame is dropped: length 65535", {0xAB, 15, 0xFF, 0xFF, 'a'}, 5, STATUS_BUFFER_OVERFLOW, 4},
};

static void a_bad_head_is_dropped_for_its_reason(void **state)
{
    const struct bad_case *row = *state;
    for (size_t i = 0; i < NUM_OF(recoveries); i++) {
        uint8_t stream[64];
        memcpy(stream, row->bytes, row->len);
        memcpy(stream + row->len, ping_frame, sizeof(ping_frame));
        struct log *log = receive(stream, row->len + sizeof(ping_frame), 1, recoveries[i]);
        assert_int_equal(log->num_dropped, 1);
        assert_int_equal(log->last_error, row->error);
        assert_int_equal(log->num_text, row->len - row->swallowed);
        assert_int_equal(log->num_packets, 1);
        free(log);
    }
}

static void a_k_larger_than_necessary_is_accepted(void **state)
{
    (void)state;
    for (uint8_t k = 4; k < 16; k++) {
        uint8_t frame[64] = {0xAB, k, 24};
        uint8_t plain[64];
        size_t plain_len = plain_frame(0x10, plain);
        size_t length_size = k < 8 ? 1 : 2;
        memcpy(frame + 2 + length_size, plain + 3, plain_len - 3);
        struct log *log = receive(frame, plain_len - 1 + length_size, 1, FRAME_SKIP);
        assert_int_equal(log->num_packets, 1);
        assert_int_equal(log->last_len, 24);
        assert_int_equal(log->num_dropped, 0);
        free(log);
    }
}

static void a_wrong_checksum_drops_the_frame_in_silence(void **state)
{
    (void)state;
    uint8_t stream[64];
    memcpy(stream, ping_frame, sizeof(ping_frame));
    stream[3] ^= 1;
    memcpy(stream + 16, reply_frame, sizeof(reply_frame));
    for (size_t i = 0; i < NUM_OF(recoveries); i++) {
        struct log *log = receive(stream, 16 + sizeof(reply_frame), 1, recoveries[i]);
        assert_int_equal(log->num_dropped, 1);
        assert_int_equal(log->last_error, STATUS_INVALID_CHECKSUM);
        assert_int_equal(log->num_text, 0);
        assert_int_equal(log->num_packets, 1);
        free(log);
    }
}

static void a_wrong_end_byte_drops_the_frame_in_silence(void **state)
{
    (void)state;
    uint8_t stream[64];
    memcpy(stream, ping_frame, sizeof(ping_frame));
    stream[15] = 0xA9;
    memcpy(stream + 16, reply_frame, sizeof(reply_frame));
    for (size_t i = 0; i < NUM_OF(recoveries); i++) {
        struct log *log = receive(stream, 16 + sizeof(reply_frame), 1, recoveries[i]);
        assert_int_equal(log->num_dropped, 1);
        assert_int_equal(log->last_error, STATUS_INVALID_END_OF_PACKET);
        assert_int_equal(log->num_text, 0);
        assert_int_equal(log->num_packets, 1);
        free(log);
    }
}

static void start_and_end_bytes_inside_a_packet_are_data(void **state)
{
    (void)state;
    uint8_t packet[64];
    for (size_t i = 0; i < sizeof(packet); i++) {
        packet[i] = i % 2 ? 0xAA : 0xAB;
    }
    uint8_t frame[80];
    size_t len = frame_write(packet, sizeof(packet), frame, sizeof(frame));
    for (size_t i = 0; i < NUM_OF(recoveries); i++) {
        struct log *log = receive(frame, len, 1, recoveries[i]);
        assert_int_equal(log->num_packets, 1);
        assert_memory_equal(log->last_packet, packet, sizeof(packet));
        assert_int_equal(log->num_text + log->num_dropped, 0);
        free(log);
    }
}

// "x", a start byte, "y\n": y is no k, and only the first and the last byte are text.
static void a_start_byte_in_text_begins_a_frame(void **state)
{
    (void)state;
    uint8_t stream[64] = {'x', 0xAB, 'y', '\n'};
    memcpy(stream + 4, reply_frame, sizeof(reply_frame));
    for (size_t i = 0; i < NUM_OF(recoveries); i++) {
        struct log *log = receive(stream, 4 + sizeof(reply_frame), 1, recoveries[i]);
        assert_memory_equal(log->bytes, "Tx", 2);
        assert_int_equal(log->bytes[2], 'D');
        assert_memory_equal(log->bytes + 4, "T\n", 2);
        assert_int_equal(log->num_packets, 1);
        free(log);
    }
}

static void two_start_bytes_in_a_row_are_told_apart_by_a_rescan(void **state)
{
    (void)state;
    uint8_t stream[64] = {0xAB};
    memcpy(stream + 1, ping_frame, sizeof(ping_frame));
    struct log *skipped = receive(stream, 1 + sizeof(ping_frame), 1, FRAME_SKIP);
    assert_int_equal(skipped->num_packets, 0);
    assert_int_equal(skipped->num_text, sizeof(ping_frame) - 1);
    struct log *rescanned = receive(stream, 1 + sizeof(ping_frame), 1, FRAME_RESCAN);
    assert_int_equal(rescanned->num_packets, 1);
    assert_int_equal(rescanned->num_text, 0);
    free(skipped);
    free(rescanned);
}

static void the_largest_packet_passes_a_buffer_of_the_least_size(void **state)
{
    (void)state;
    static uint8_t packet[MOST_PACKET];
    uint8_t stream[2 * FRAME_OVERHEAD_MAX + 2 * MOST_PACKET];
    uint64_t seed = 12;
    random_fill(&seed, packet, sizeof(packet));
    size_t len = frame_write(packet, sizeof(packet), stream, sizeof(stream));
    len += frame_write(packet, sizeof(packet), stream + len, sizeof(stream) - len);
    for (size_t piece = 1; piece < 1500; piece += 37) {
        struct log *log = receive(stream, len, piece, FRAME_RESCAN);
        assert_int_equal(log->num_packets, 2);
        assert_memory_equal(log->last_packet, packet, sizeof(packet));
        free(log);
    }
}

static size_t add_bad_heads(struct CMUnitTest *tests)
{
    for (size_t i = 0; i < NUM_OF(bad_cases); i++) {
        tests[i] = (struct CMUnitTest){.name = bad_cases[i].name,
                                       .test_func = a_bad_head_is_dropped_for_its_reason,
                                       .initial_state = &bad_cases[i]};
    }
    return NUM_OF(bad_cases);
}

int main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(frames_of_the_published_client_are_written),
        cmocka_unit_test(frames_of_the_published_client_are_read),
        cmocka_unit_test(k_is_the_highest_bit_of_the_length),
        cmocka_unit_test(a_length_that_no_frame_carries_is_refused),
        cmocka_unit_test(a_frame_is_not_written_where_it_does_not_fit),
        cmocka_unit_test(the_checksum_is_the_plain_sum),
        cmocka_unit_test(every_split_in_two_gives_the_same),
        cmocka_unit_test(pieces_of_every_size_give_the_same),
        cmocka_unit_test(a_truncated_frame_costs_one_more_or_nothing_more),
        cmocka_unit_test(a_frame_with_a_wrong_byte_is_never_delivered),
        cmocka_unit_test(a_k_larger_than_necessary_is_accepted),
        cmocka_unit_test(a_wrong_checksum_drops_the_frame_in_silence),
        cmocka_unit_test(a_wrong_end_byte_drops_the_frame_in_silence),
        cmocka_unit_test(start_and_end_bytes_inside_a_packet_are_data),
        cmocka_unit_test(a_start_byte_in_text_begins_a_frame),
        cmocka_unit_test(two_start_bytes_in_a_row_are_told_apart_by_a_rescan),
        cmocka_unit_test(the_largest_packet_passes_a_buffer_of_the_least_size),
    };
    static struct CMUnitTest tests[NUM_OF(bad_cases) + NUM_OF(single)];
    size_t num = add_bad_heads(tests);
    memcpy(tests + num, single, sizeof(single));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
