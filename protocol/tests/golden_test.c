// Transcripts of the published client: every packet in them decodes and encodes back to the same
// bytes, frames included, or is rejected for the reason its file is there to show.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"
#include "golden_files.h"

struct rejected {
    const char *file;
    char direction;
    size_t nth;
    enum packet_error error;
    const char *why;
};

static const struct rejected rejected[] = {
#define REJECTED(file, direction, nth, error, why) {#file, direction, nth, error, why},
#include "golden_expected.def"
};

struct dropped {
    const char *file;
    size_t nth;
    enum pulse_status status;
};

static const struct dropped dropped[] = {
#define DROPPED(file, nth, status) {#file, nth, STATUS_##status},
#include "golden_expected.def"
};

struct long_k {
    const char *file;
    size_t count;
};

static const struct long_k long_ks[] = {
#define LONG_K(file, count) {#file, count},
#include "golden_expected.def"
};

static struct transcript transcripts[NUM_GOLDEN_FILES];
static uint8_t bytes[TRANSCRIPT_BYTES_MAX];
static uint8_t written[TRANSCRIPT_BYTES_MAX];

static const struct rejected *rejection_of(const char *file, char direction, size_t nth)
{
    for (size_t i = 0; i < NUM_OF(rejected); i++) {
        if (strcmp(rejected[i].file, file) == 0 && rejected[i].direction == direction &&
            rejected[i].nth == nth) {
            return &rejected[i];
        }
    }
    return NULL;
}

static size_t expected_long_ks(const char *file)
{
    for (size_t i = 0; i < NUM_OF(long_ks); i++) {
        if (strcmp(long_ks[i].file, file) == 0) {
            return long_ks[i].count;
        }
    }
    return 0;
}

static const struct dropped *drop_of(const char *file, size_t nth)
{
    for (size_t i = 0; i < NUM_OF(dropped); i++) {
        if (strcmp(dropped[i].file, file) == 0 && dropped[i].nth == nth) {
            return &dropped[i];
        }
    }
    return NULL;
}

// Decodes, encodes, and compares with what is visible of the packet.
static void check_round_trip(const struct item *item)
{
    struct packet packet;
    assert_int_equal(golden_read(item, bytes, &packet), PACKET_OK);
    assert_int_equal(packet_write(&packet, written, sizeof(written)), item->total);
    assert_memory_equal(written, item->bytes, item->len);
    assert_memory_equal(written + item->total - item->tail_len, item->tail, item->tail_len);
    if (item->has_checksum) {
        assert_int_equal(frame_checksum(written, item->total), item->checksum);
    }
}

static void check_packet(const struct transcript *transcript, const struct item *item, size_t nth)
{
    const struct rejected *row = rejection_of(transcript->name, item->direction, nth);
    if (row) {
        struct packet packet;
        assert_int_equal(golden_read(item, bytes, &packet), row->error);
        return;
    }
    check_round_trip(item);
}

static void a_transcript_decodes_and_encodes_to_the_same_bytes(void **state)
{
    const struct transcript *transcript = *state;
    size_t nth[2] = {0, 0};
    size_t num_dropped = 0;
    size_t num_long_ks = 0;
    for (size_t i = 0; i < transcript->num_items; i++) {
        const struct item *item = &transcript->items[i];
        size_t this_nth = nth[item->direction == 'D']++;
        if (golden_is_packet(item)) {
            check_packet(transcript, item, this_nth);
        }
        if (item->type == ITEM_DROPPED) {
            const struct dropped *row = drop_of(transcript->name, num_dropped++);
            assert_non_null(row);
            assert_int_equal(item->error, row->status);
        }
        num_long_ks += transcript->is_stream && item->type == ITEM_PACKET && !item->is_canonical;
    }
    assert_int_equal(num_long_ks, expected_long_ks(transcript->name));
}

// The raw-data events in the outcomes are what the published client took for log text.
static size_t told_text(const struct transcript *transcript, uint8_t *out)
{
    size_t len = 0;
    const char *at = transcript->outcomes;
    while ((at = strstr(at, "{\"event\": \"rawdata\"")) != NULL) {
        at = strstr(at, "\"data\": \"") + strlen("\"data\": \"");
        for (; *at != '"'; at += 2) {
            const char pair[3] = {at[0], at[1], '\0'};
            out[len++] = (uint8_t)strtoul(pair, NULL, 16);
        }
    }
    return len;
}

// Two programs ended before the last text came through.
static size_t text_the_client_did_not_live_to_tell(const char *file)
{
    if (strcmp(file, "raw_text_no_callback") == 0) {
        return 21;
    }
    return strcmp(file, "serial_raw_text_after_then_call") == 0 ? 2 : 0;
}

// All text of a transcript, put together in bytes.
static size_t gather_text(const struct transcript *transcript)
{
    size_t len = 0;
    for (size_t i = 0; i < transcript->num_items; i++) {
        const struct item *item = &transcript->items[i];
        if (item->type == ITEM_TEXT) {
            memcpy(bytes + len, item->bytes, item->len);
            len += item->len;
        }
    }
    return len;
}

static void the_text_is_what_the_published_client_took_for_text(void **state)
{
    (void)state;
    size_t num_files = 0;
    for (size_t file = 0; file < NUM_GOLDEN_FILES; file++) {
        size_t len = gather_text(&transcripts[file]);
        size_t told = told_text(&transcripts[file], written);
        assert_int_equal(len - told, text_the_client_did_not_live_to_tell(transcripts[file].name));
        assert_memory_equal(bytes, written, told);
        num_files += len != 0;
    }
    assert_int_equal(num_files, 19);
}

static void every_kind_occurs_as_often_as_expected(void **state)
{
    (void)state;
    size_t complete[NUM_PACKET_KINDS] = {0};
    size_t shortened[NUM_PACKET_KINDS] = {0};
    for (struct golden_cursor at = {0}; golden_next(transcripts, &at);) {
        struct packet packet;
        if (golden_is_packet(at.item) && golden_read(at.item, bytes, &packet) == PACKET_OK) {
            (at.item->type == ITEM_PACKET ? complete : shortened)[packet.kind]++;
        }
    }
#define COUNT(kind, num_complete, num_shortened)                                                   \
    assert_int_equal(complete[PACKET_##kind], num_complete);                                       \
    assert_int_equal(shortened[PACKET_##kind], num_shortened);                                     \
    complete[PACKET_##kind] = shortened[PACKET_##kind] = 0;
#include "golden_expected.def"
    for (size_t kind = 0; kind < NUM_PACKET_KINDS; kind++) {
        assert_int_equal(complete[kind] + shortened[kind], 0);
    }
}

static void nothing_in_the_transcripts_is_skipped(void **state)
{
    (void)state;
    size_t lines = 0;
    size_t items[4] = {0};
    size_t errors[PACKET_MALFORMED + 1] = {0};
    for (size_t file = 0; file < NUM_GOLDEN_FILES; file++) {
        lines += transcripts[file].num_lines;
    }
    for (struct golden_cursor at = {0}; golden_next(transcripts, &at);) {
        struct packet packet;
        items[at.item->type]++;
        if (golden_is_packet(at.item)) {
            errors[golden_read(at.item, bytes, &packet)]++;
        }
    }
    assert_int_equal(lines, 1168);
    assert_int_equal(items[ITEM_PACKET], 995);
    assert_int_equal(items[ITEM_SHORTENED], 81);
    assert_int_equal(items[ITEM_DROPPED], NUM_OF(dropped));
    assert_int_equal(errors[PACKET_OK], 1056);
    assert_int_equal(errors[PACKET_TOO_SHORT], 3);
    assert_int_equal(errors[PACKET_TOO_LONG], 2);
    assert_int_equal(errors[PACKET_UNKNOWN], 10);
    assert_int_equal(errors[PACKET_MALFORMED], 5);
    assert_int_equal(NUM_OF(rejected), 3 + 2 + 10 + 5);
}

struct search_row {
    const char *file;
    bool is_linear;
    uint32_t pattern_len;
};

static void check_search(const struct transcript *transcript, const struct search_row *row)
{
    struct packet packet;
    assert_int_equal(golden_read(&transcript->items[0], bytes, &packet), PACKET_OK);
    assert_int_equal(packet.kind, PACKET_SEARCH_VIRTUAL);
    // The same bytes under the type they were meant to have, cut to the length they say.
    bytes[2] = row->is_linear ? 23 : 24;
    size_t len = (row->is_linear ? 41 : 33) + row->pattern_len;
    assert_int_equal(packet_read(PROTOCOL_V1, bytes, len, &packet), PACKET_OK);
    if (row->is_linear) {
        assert_int_equal(packet.search_linear.start, 0x100);
        assert_int_equal(packet.search_linear.end, 0x2000);
        assert_int_equal(packet.search_linear.step, 1);
    } else {
        assert_int_equal(packet.search_physical.start, 0x100);
        assert_int_equal(packet.search_physical.end, 0x2000);
        assert_int_equal(packet.search_physical.step, 1);
    }
}

// Types 23 and 24 leave the published client as type 22, with a length from the wrong field: what
// arrives is a well-formed virtual search, whose numbers are those of another layout.
static void linear_and_physical_searches_arrive_as_virtual_ones(void **state)
{
    (void)state;
    static const struct search_row searches[] = {
        {"searchlin_2nulls", true, 2},        {"searchlin_2nulls_8", true, 8},
        {"searchphys_4bytes", false, 4},      {"searchphys_8bytes", false, 8},
        {"searchphys_10bytes_05", false, 10},
    };
    for (size_t i = 0; i < NUM_OF(searches); i++) {
        size_t file = 0;
        while (strcmp(transcripts[file].name, searches[i].file) != 0) {
            file++;
            assert_true(file < NUM_GOLDEN_FILES);
        }
        check_search(&transcripts[file], &searches[i]);
    }
}

int main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(the_text_is_what_the_published_client_took_for_text),
        cmocka_unit_test(every_kind_occurs_as_often_as_expected),
        cmocka_unit_test(nothing_in_the_transcripts_is_skipped),
        cmocka_unit_test(linear_and_physical_searches_arrive_as_virtual_ones),
    };
    static struct CMUnitTest tests[NUM_GOLDEN_FILES + NUM_OF(single)];
    golden_load(transcripts);
    for (size_t i = 0; i < NUM_GOLDEN_FILES; i++) {
        tests[i] =
            (struct CMUnitTest){.name = transcripts[i].name,
                                .test_func = a_transcript_decodes_and_encodes_to_the_same_bytes,
                                .initial_state = &transcripts[i]};
    }
    memcpy(tests + NUM_GOLDEN_FILES, single, sizeof(single));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    golden_cleanup(transcripts);
    return failed;
}
