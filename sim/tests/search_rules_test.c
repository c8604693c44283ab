// Which candidates a search looks at, and how it ends (clauses D-SRCH, D-V1-9).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "long64.h"
#include "rig.h"

// The searches are in guest-physical RAM that nothing uses.
#define BASE LONG64_FREE

enum {
    FOUND_NOWHERE = -1,
    PATTERN_SIZE = 4,
};

struct rule_row {
    const char *name;
    int64_t start, end; // from BASE on
    uint32_t step;
    int64_t place;  // of the pattern
    int64_t hit_v1; // or FOUND_NOWHERE
    int64_t hit_v2;
};

static struct rule_row rule_rows[] = {
    {"the first candidate", 0x100, 0x200, 1, 0x100, 0x100, 0x100},
    {"the last candidate", 0x100, 0x200, 1, 0x200, 0x200, 0x200},
    {"before the first", 0x100, 0x200, 1, 0xFF, FOUND_NOWHERE, FOUND_NOWHERE},
    {"behind the last, in its page", 0x100, 0x200, 1, 0x201, 0x201, FOUND_NOWHERE},
    {"at the end of the last's page", 0x100, 0x200, 1, 0xFFF, 0xFFF, FOUND_NOWHERE},
    {"behind the last's page", 0x100, 0x200, 1, 0x1000, FOUND_NOWHERE, FOUND_NOWHERE},
    {"the end in another page", 0x100, 0x2200, 1, 0x2FFF, 0x2FFF, FOUND_NOWHERE},
    {"downwards, the first candidate", 0x200, 0x100, 1, 0x200, 0x200, 0x200},
    {"downwards, the last candidate", 0x200, 0x100, 1, 0x100, 0x100, 0x100},
    {"downwards, above the first", 0x200, 0x100, 1, 0x201, FOUND_NOWHERE, FOUND_NOWHERE},
    {"downwards, behind the last, in its page", 0x1200, 0x1100, 1, 0x1000, 0x1000, FOUND_NOWHERE},
    {"downwards, behind the last's page", 0x1200, 0x1100, 1, 0xFFF, FOUND_NOWHERE, FOUND_NOWHERE},
    {"one candidate, there", 0x100, 0x100, 1, 0x100, 0x100, 0x100},
    {"one candidate, not there", 0x100, 0x100, 1, 0x101, FOUND_NOWHERE, FOUND_NOWHERE},
    {"one candidate, step 0", 0x100, 0x100, 0, 0x100, 0x100, 0x100},
    {"one candidate, step 0, not there", 0x100, 0x100, 0, 0x101, FOUND_NOWHERE, FOUND_NOWHERE},
    {"step 8, a candidate", 0x101, 0x201, 8, 0x181, 0x181, 0x181},
    {"step 8, between candidates", 0x101, 0x1F9, 8, 0x180, FOUND_NOWHERE, FOUND_NOWHERE},
    {"step 8 down, a candidate", 0x201, 0x101, 8, 0x181, 0x181, 0x181},
    {"step 8 down, between candidates", 0x201, 0x101, 8, 0x182, FOUND_NOWHERE, FOUND_NOWHERE},
    {"step 0x1800 across pages", 0x10, 0x6010, 0x1800, 0x4810, 0x4810, 0x4810},
    {"step 0x1800 down across pages", 0x6010, 0x10, 0x1800, 0x3010, 0x3010, 0x3010},
    {"a step past the end", 0x100, 0x200, 0x101, 0x201, 0x201, FOUND_NOWHERE},
    {"the largest step", 0x100, 0x200, UINT32_MAX, 0x101, FOUND_NOWHERE, FOUND_NOWHERE},
    {"across a page's end", 0xF00, 0x1100, 3, 0xFFF - 0xFF % 3, 0xFFF - 0xFF % 3, 0xFFF - 0xFF % 3},
};

static struct packet request_of(const struct rule_row *row)
{
    return (struct packet){.kind = PACKET_SEARCH_PHYSICAL,
                           .search_physical = {.start = BASE + (uint64_t)row->start,
                                               .end = BASE + (uint64_t)row->end,
                                               .step = row->step,
                                               .length = PATTERN_SIZE,
                                               .pattern = (const uint8_t *)"\xA7pat"}};
}

static void expect_hit(struct rig *rig, enum protocol_version version, const struct rule_row *row)
{
    struct packet request = request_of(row);
    int64_t hit = version == PROTOCOL_V1 ? row->hit_v1 : row->hit_v2;
    rig->version = version;
    if (hit == FOUND_NOWHERE) {
        rig_expect_status(rig, &request, version == PROTOCOL_V1 ? 0xC0000060 : 0xC0000009);
        return;
    }
    rig_ask(rig, &request);
    assert_true(rig->has_reply);
    assert_int_equal(rig->reply.kind, PACKET_SEARCH_HIT);
    assert_int_equal(rig->reply.search_hit.address, BASE + (uint64_t)hit);
}

static void candidates(void **state)
{
    const struct rule_row *row = *state;
    static const uint8_t zeros[0x8000];
    struct rig rig;
    rig_open(&rig, PROTOCOL_V2, false);
    pulsim_poke(rig.pulsim, BASE, zeros, sizeof(zeros));
    pulsim_poke(rig.pulsim, BASE + (uint64_t)row->place, "\xA7pat", PATTERN_SIZE);
    expect_hit(&rig, PROTOCOL_V1, row);
    expect_hit(&rig, PROTOCOL_V2, row);
    rig_close(&rig);
}

static void the_nearest_of_several_matches_is_found(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, PROTOCOL_V2, false);
    for (uint64_t at = 0x100; at <= 0x300; at += 0x100) {
        pulsim_poke(rig.pulsim, BASE + at, "\xA7pat", PATTERN_SIZE);
    }
    struct rule_row up = {"", 0x101, 0x400, 1, 0, 0x200, 0x200};
    struct rule_row down = {"", 0x2FF, 0, 1, 0, 0x200, 0x200};
    expect_hit(&rig, PROTOCOL_V2, &up);
    expect_hit(&rig, PROTOCOL_V2, &down);
    rig_close(&rig);
}

static void the_longest_pattern_is_found_across_pages(void **state)
{
    (void)state;
    static uint8_t pattern[PATTERN_MAX];
    struct rig rig;
    rig_open(&rig, PROTOCOL_V2, false);
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i * 13 + (i >> 8));
    }
    pulsim_poke(rig.pulsim, BASE + 0x1234, pattern, sizeof(pattern));
    struct packet request = {.kind = PACKET_SEARCH_PHYSICAL,
                             .search_physical = {.start = BASE,
                                                 .end = BASE + 0x3000,
                                                 .step = 1,
                                                 .length = PATTERN_MAX,
                                                 .pattern = pattern}};
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply.kind, PACKET_SEARCH_HIT);
    assert_int_equal(rig.reply.search_hit.address, BASE + 0x1234);
    pattern[PATTERN_MAX - 1] ^= 1;
    rig_expect_status(&rig, &request, 0xC0000009);
    rig_close(&rig);
}

// Through all of RAM, for what is not there: it takes more than one slice.
static void begin_long_search(struct rig *rig)
{
    struct packet request = {.kind = PACKET_SEARCH_LINEAR,
                             .search_linear = {.root = LONG64_CR3,
                                               .start = LONG64_KERNEL,
                                               .end = LONG64_KERNEL + LONG64_RAM_SIZE - 1,
                                               .step = 3,
                                               .ignore_gaps = 1,
                                               .length = 12,
                                               .pattern = (const uint8_t *)"\xA7not there\xA7"}};
    rig_ask(rig, &request);
    assert_false(rig->has_reply);
}

static void a_search_goes_with_its_peer(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, PROTOCOL_V2, false);
    begin_long_search(&rig);
    struct pulsim_peer *gone = rig.peer;
    rig.peer = pulsim_peer_new(rig.pulsim);
    pulsim_peer_free(gone);
    const void *reply = NULL;
    size_t len = 0;
    assert_false(pulsim_continue(rig.peer, &reply, &len)); // nothing is left to do
    assert_int_equal(len, 0);
    struct packet ping = rig_plain(PACKET_PING);
    rig_expect_value(&rig, &ping, 0);
    rig_close(&rig);
}

static void others_are_served_while_a_search_goes_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, PROTOCOL_V2, false);
    begin_long_search(&rig);
    struct pulsim_peer *searching = rig.peer;
    rig.peer = pulsim_peer_new(rig.pulsim);
    struct packet ping = rig_plain(PACKET_PING);
    rig_expect_value(&rig, &ping, 0);
    rig.peer = searching;
    for (unsigned i = 0; !rig.has_reply || rig.reply.kind != PACKET_STATUS; i++) {
        assert_true(i < 100000);
        rig_continue(&rig);
    }
    assert_int_equal(rig.reply.status.status, 0xC0000009);
    rig_close(&rig);
}

int main(void)
{
    enum { NUM_RULES = sizeof(rule_rows) / sizeof(rule_rows[0]) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_of_several_matches_is_found),
        cmocka_unit_test(the_longest_pattern_is_found_across_pages),
        cmocka_unit_test(a_search_goes_with_its_peer),
        cmocka_unit_test(others_are_served_while_a_search_goes_on),
    };
    struct CMUnitTest rows[NUM_RULES];
    for (size_t i = 0; i < NUM_RULES; i++) {
        rows[i] = (struct CMUnitTest){
            .name = rule_rows[i].name, .test_func = candidates, .initial_state = &rule_rows[i]};
    }
    int failed = cmocka_run_group_tests_name("candidates", rows, NULL, NULL);
    return failed + cmocka_run_group_tests_name("searches", tests, NULL, NULL);
}
