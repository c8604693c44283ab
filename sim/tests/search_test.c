// Searches against a plain one that asks for every candidate's bytes (clauses D-SRCH).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "long64.h"
#include "rig.h"

#define NOT_FOUND           UINT64_C(0xC0000009)
#define INVALID_TRANSLATION UINT64_C(0xC0000021)
#define INVALID_PARAMETER   UINT64_C(0xC0000010)

struct query {
    uint64_t start;
    uint64_t end;
    uint32_t step;
    uint8_t ignore_gaps;
    uint32_t length;
    const uint8_t *pattern;
};

// A status, or 0 and an address.
struct answer {
    uint64_t status;
    uint64_t address;
};

static int setup(void **state)
{
    static struct rig rig;
    rig_open(&rig, PROTOCOL_V2, false);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    return 0;
}

static struct packet linear(const struct query *query)
{
    return (struct packet){.kind = PACKET_SEARCH_LINEAR,
                           .search_linear = {.root = LONG64_CR3,
                                             .start = query->start,
                                             .end = query->end,
                                             .step = query->step,
                                             .ignore_gaps = query->ignore_gaps,
                                             .length = query->length,
                                             .pattern = query->pattern}};
}

static struct answer answer_of(struct rig *rig, struct packet *request)
{
    rig_ask(rig, request);
    for (unsigned i = 0; !rig->has_reply && i < 100000; i++) {
        rig_continue(rig);
    }
    assert_true(rig->has_reply);
    if (rig->reply.kind == PACKET_STATUS) {
        return (struct answer){rig->reply.status.status, 0};
    }
    assert_int_equal(rig->reply.kind, PACKET_SEARCH_HIT);
    return (struct answer){0, rig->reply.search_hit.address};
}

// How many bytes can be read at address, up to length; they are in rig->reply.
static uint32_t readable(struct rig *rig, uint64_t address, uint32_t length)
{
    struct packet request = {
        .kind = PACKET_READ_LINEAR,
        .read_linear = {.root = LONG64_CR3, .address = address, .length = length}};
    rig_ask(rig, &request);
    return rig->reply.kind == PACKET_LINEAR_DATA ? rig->reply.linear_data.length : 0;
}

static struct answer plain_search(struct rig *rig, const struct query *query)
{
    uint64_t count =
        query->start <= query->end ? query->end - query->start : query->start - query->end;
    for (uint64_t at = 0; at <= count; at += query->step) {
        uint64_t address = query->start <= query->end ? query->start + at : query->start - at;
        uint32_t length = readable(rig, address, query->length);
        if (length == 0 && !query->ignore_gaps) {
            return (struct answer){INVALID_TRANSLATION, 0};
        }
        if (length == query->length &&
            memcmp(rig->reply.linear_data.data, query->pattern, length) == 0) {
            return (struct answer){0, address};
        }
        if (query->step == 0) {
            break;
        }
    }
    return (struct answer){NOT_FOUND, 0};
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

// Two letters only, so that many candidates nearly match.
static void write_letters(struct rig *rig, uint32_t *seed)
{
    uint8_t page[4096];
    for (uint64_t phys = LONG64_RUN_PHYS; phys < LONG64_RUN_PHYS + 0x6000; phys += sizeof(page)) {
        for (size_t i = 0; i < sizeof(page); i++) {
            page[i] = next_random(seed) & 1 ? 'a' : 'b';
        }
        assert_int_equal(pulsim_poke(rig->pulsim, phys, page, sizeof(page)), sizeof(page));
    }
}

static void random_searches_agree_with_a_plain_one(void **state)
{
    static const uint8_t letters[] = "abbabaabbaababbabaababbaabbabaab";
    struct rig *rig = *state;
    uint32_t seed = 7;
    unsigned hits = 0;
    unsigned gaps = 0;
    write_letters(rig, &seed);
    for (unsigned i = 0; i < 300; i++) {
        uint32_t length = 1 + next_random(&seed) % 14;
        uint64_t from = LONG64_RUN + 0x1F80 + next_random(&seed) % 0x2200;
        uint64_t distance = next_random(&seed) % 0x180;
        struct query query = {
            .start = from,
            .end = next_random(&seed) & 1 ? from + distance : from - distance,
            .step = 1 + next_random(&seed) % 5,
            .ignore_gaps = next_random(&seed) & 1,
            .length = length,
            .pattern = letters + next_random(&seed) % (sizeof(letters) - 1 - length),
        };
        struct packet request = linear(&query);
        struct answer seen = answer_of(rig, &request);
        struct answer expected = plain_search(rig, &query);
        assert_int_equal(seen.status, expected.status);
        assert_int_equal(seen.address, expected.address);
        hits += expected.status == 0;
        gaps += expected.status == INVALID_TRANSLATION;
    }
    assert_true(hits > 50 && gaps > 20);
}

static struct answer find(struct rig *rig, const char *text, uint64_t start, uint64_t end,
                          uint32_t step)
{
    struct query query = {start, end, step, 1, (uint32_t)strlen(text), (const uint8_t *)text};
    struct packet request = linear(&query);
    return answer_of(rig, &request);
}

static void a_match_may_cross_physically_scattered_pages(void **state)
{
    struct rig *rig = *state;
    struct packet write = {.kind = PACKET_WRITE_LINEAR,
                           .write_linear = {.root = LONG64_CR3,
                                            .address = LONG64_RUN + 0xFFD,
                                            .length = 6,
                                            .data = (const uint8_t *)"needle"}};
    rig_expect_value(rig, &write, 6);
    struct answer answer = find(rig, "needle", LONG64_RUN, LONG64_RUN + 0x2000, 1);
    assert_int_equal(answer.status, 0);
    assert_int_equal(answer.address, LONG64_RUN + 0xFFD);
    answer = find(rig, "needle", LONG64_RUN + 0x2000, LONG64_RUN, 1);
    assert_int_equal(answer.address, LONG64_RUN + 0xFFD);
}

static void a_match_at_the_end_may_run_past_it(void **state)
{
    struct rig *rig = *state;
    pulsim_poke(rig->pulsim, LONG64_FREE + 0x100, "needle", 6);
    uint64_t at = LONG64_2M_PAGE + 0x100;
    assert_int_equal(find(rig, "needle", at - 0x100, at, 1).address, at);
    assert_int_equal(find(rig, "needle", at - 0x100, at - 1, 1).status, NOT_FOUND);
    assert_int_equal(find(rig, "needle", at - 0x100, at + 1, 3).status, NOT_FOUND);
    assert_int_equal(find(rig, "needle", at, at, 0).address, at);
}

static void a_match_never_spans_a_gap(void **state)
{
    struct rig *rig = *state;
    pulsim_poke(rig->pulsim, LONG64_BEFORE_PHYS + 0xFFD, "nee", 3);
    pulsim_poke(rig->pulsim, LONG64_AFTER_PHYS, "dle", 3);
    struct answer answer = find(rig, "needle", LONG64_BEFORE_HOLE, LONG64_AFTER_HOLE + 0x800, 1);
    assert_int_equal(answer.status, NOT_FOUND);
}

static void the_whole_linear_space_is_searched_in_slices(void **state)
{
    struct rig *rig = *state;
    pulsim_poke(rig->pulsim, LONG64_TOP_PAGE_PHYS + 0x123, "needle at the very top", 22);
    struct answer answer = find(rig, "needle at the very top", 1, UINT64_MAX, 1);
    assert_int_equal(answer.status, 0);
    assert_int_equal(answer.address & 0xFFF, 0x123);
}

struct endless_row {
    const char *name;
    enum packet_kind kind;
    uint64_t start;
    uint64_t end;
    uint16_t selector;
};

static struct endless_row endless_rows[] = {
    {"virtual, upwards", PACKET_SEARCH_VIRTUAL, 0, UINT64_MAX, 0},
    {"virtual, downwards", PACKET_SEARCH_VIRTUAL, UINT64_MAX, 0, 0},
    {"virtual, by a segment with a base", PACKET_SEARCH_VIRTUAL, 0, UINT64_MAX, LONG64_GS},
    {"virtual, within the non-canonical hole", PACKET_SEARCH_VIRTUAL, LONG64_NON_CANONICAL,
     UINT64_C(0xA00000000000), 0},
    {"virtual, by a selector beyond the GDT", PACKET_SEARCH_VIRTUAL, 0, UINT64_MAX, 0xFFF8},
    {"linear, upwards", PACKET_SEARCH_LINEAR, 0, UINT64_MAX, 0},
    {"linear, downwards", PACKET_SEARCH_LINEAR, UINT64_MAX, 0, 0},
    {"physical, upwards", PACKET_SEARCH_PHYSICAL, 0, UINT64_MAX, 0},
    {"physical, downwards", PACKET_SEARCH_PHYSICAL, (UINT64_C(1) << 46) - 1, 0, 0},
};

static struct packet endless_request(const struct endless_row *row)
{
    static const uint8_t pattern[] = "\xA7 it is nowhere \xA7";
    struct query query = {row->start, row->end, 1, 1, sizeof(pattern), pattern};
    struct packet request = linear(&query);
    if (row->kind == PACKET_SEARCH_PHYSICAL) {
        request = (struct packet){.kind = PACKET_SEARCH_PHYSICAL,
                                  .search_physical = {.start = row->start,
                                                      .end = row->end,
                                                      .step = 1,
                                                      .ignore_gaps = 1,
                                                      .length = sizeof(pattern),
                                                      .pattern = pattern}};
    } else if (row->kind == PACKET_SEARCH_VIRTUAL) {
        request = (struct packet){.kind = PACKET_SEARCH_VIRTUAL,
                                  .search_virtual = {.root = LONG64_CR3,
                                                     .selector = row->selector,
                                                     .start = row->start,
                                                     .end = row->end,
                                                     .step = 1,
                                                     .ignore_gaps = 1,
                                                     .length = sizeof(pattern),
                                                     .pattern = pattern}};
    }
    return request;
}

// In a bounded number of slices, of which answer_of asks for no more.
static void every_search_of_a_whole_space_ends(void **state)
{
    static struct rig rig;
    struct packet request = endless_request(*state);
    rig_open(&rig, PROTOCOL_V2, false);
    assert_int_equal(answer_of(&rig, &request).status, NOT_FOUND);
    rig_close(&rig);
}

static void impossible_searches_are_refused(void **state)
{
    struct rig *rig = *state;
    static const uint8_t pattern[5000] = {1};
    struct query query = {LONG64_RUN, LONG64_RUN + 16, 0, 0, 4, pattern};
    struct packet request = linear(&query);
    assert_int_equal(answer_of(rig, &request).status, INVALID_PARAMETER);
    query = (struct query){LONG64_RUN, LONG64_RUN + 16, 1, 0, 0, pattern};
    request = linear(&query);
    assert_int_equal(answer_of(rig, &request).status, INVALID_PARAMETER);
    query = (struct query){LONG64_RUN, LONG64_RUN + 16, 1, 0, 4097, pattern};
    request = linear(&query);
    assert_int_equal(answer_of(rig, &request).status, INVALID_PARAMETER);
    query = (struct query){LONG64_RUN, LONG64_RUN + 16, 1, 2, 4, pattern};
    request = linear(&query);
    assert_int_equal(answer_of(rig, &request).status, INVALID_PARAMETER);
}

static void a_physical_search_skips_empty_space_only_when_told(void **state)
{
    struct rig *rig = *state;
    struct packet request = {.kind = PACKET_SEARCH_PHYSICAL,
                             .search_physical = {.start = LONG64_RAM_SIZE - 0x1000,
                                                 .end = UINT64_C(1) << 45,
                                                 .step = 1,
                                                 .length = 4,
                                                 .pattern = (const uint8_t *)"none"}};
    assert_int_equal(answer_of(rig, &request).status, INVALID_TRANSLATION);
    request.search_physical.ignore_gaps = 1;
    assert_int_equal(answer_of(rig, &request).status, NOT_FOUND);
    request.search_physical.start = UINT64_C(1) << 46;
    assert_int_equal(answer_of(rig, &request).status, INVALID_PARAMETER);
}

static void a_break_in_ends_a_search(void **state)
{
    struct rig *rig = *state;
    struct query query = {LONG64_KERNEL,
                          LONG64_KERNEL + LONG64_RAM_SIZE - 1,
                          3,
                          1,
                          12,
                          (const uint8_t *)"\xA7not there\xA7"};
    struct packet request = linear(&query);
    rig_ask(rig, &request);
    assert_false(rig->has_reply);
    uint32_t search_id = rig->last_id;
    struct packet break_in = rig_plain(PACKET_BREAK_IN);
    break_in.header.version = PROTOCOL_V2;
    const void *reply = NULL;
    size_t len = 0;
    break_in.header.id = ++rig->last_id;
    len = packet_write(&break_in, rig->bytes, sizeof(rig->bytes));
    pulsim_request(rig->peer, rig->bytes, len, &reply, &len);
    assert_int_equal(packet_read(PROTOCOL_V2, reply, len, &rig->reply), PACKET_OK);
    assert_int_equal(rig->reply.header.id, search_id);
    assert_int_equal(rig->reply.status.status, 0xC0000007);
    rig_continue(rig);
    assert_int_equal(rig->reply.header.id, rig->last_id);
    assert_int_equal(rig->reply.kind, PACKET_SUCCESS);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(random_searches_agree_with_a_plain_one),
        CASE(a_match_may_cross_physically_scattered_pages),
        CASE(a_match_at_the_end_may_run_past_it),
        CASE(a_match_never_spans_a_gap),
        CASE(the_whole_linear_space_is_searched_in_slices),
        CASE(impossible_searches_are_refused),
        CASE(a_physical_search_skips_empty_space_only_when_told),
        CASE(a_break_in_ends_a_search),
    };
    enum { NUM_ENDLESS = sizeof(endless_rows) / sizeof(endless_rows[0]) };
    struct CMUnitTest rows[NUM_ENDLESS];
    for (size_t i = 0; i < NUM_ENDLESS; i++) {
        rows[i] = (struct CMUnitTest){.name = endless_rows[i].name,
                                      .test_func = every_search_of_a_whole_space_ends,
                                      .initial_state = &endless_rows[i]};
    }
    int failed = cmocka_run_group_tests_name("whole spaces", rows, NULL, NULL);
    return failed + cmocka_run_group_tests_name("searches", tests, NULL, NULL);
}
