// The debuggee over a fake target: one reply for each request, in the bytes the wire facts give.

#include "protocol/debuggee.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"
#include "conversation.h"
#include "layouts.h"

enum versions { V1, V2, COMPAT };
enum setup { STOPPED, RUNNING, LISTS, MANY, LEVELS_5, UNPAGED };

struct debuggee_case {
    enum versions versions;
    enum setup setup;
    const char *name;
    const char *request;
    const char *reply;
    const char *asked;
};

static struct debuggee_case cases[] = {
#define CASE(versions, setup, name, request, reply, asked)                                         \
    {versions, setup, name, request, reply, asked},
#include "debuggee_cases.def"
};

static void set_up(struct fake_target *target, enum setup setup)
{
    switch (setup) {
    case STOPPED:
        break;
    case RUNNING:
        target->state = (struct target_state){.running = true, .event = EVENT_NONE};
        break;
    case LISTS:
        target->num_breakpoints = 2;
        target->num_filters = 3;
        break;
    case MANY:
        target->num_breakpoints = 1024;
        target->num_filters = 1024;
        break;
    case LEVELS_5:
        target->walk_mode = 4;
        break;
    case UNPAGED:
        target->walk_mode = 0;
        break;
    }
}

static struct conversation *begin(enum versions versions, enum setup setup)
{
    struct conversation *talk =
        conversation_new(versions == V2 ? DEBUGGEE_V2 : DEBUGGEE_V1, versions == COMPAT);
    set_up(&talk->target, setup);
    talk->target.filter_flags =
        versions == V2 ? 0x13
                       : FILTER_PAGE_TABLE | FILTER_ADDRESS | FILTER_SELECTOR | FILTER_THREAD;
    return talk;
}

static void a_request_has_the_reply_of_the_facts(void **state)
{
    const struct debuggee_case *row = *state;
    struct conversation *talk = begin(row->versions, row->setup);
    say_and_expect(talk, 0, row->request, row->reply);
    expect_asked(talk, row->asked);
    conversation_free(talk);
}

// What a strict debuggee does, one that takes any version does too.
static void a_debuggee_of_both_versions_goes_by_byte_0(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_OF(cases); i++) {
        const struct debuggee_case *row = &cases[i];
        bool speaks_other = row->versions == V1 && strncmp(row->request, "02", 2) == 0;
        if (speaks_other) {
            continue;
        }
        struct conversation *talk = begin(row->versions, row->setup);
        talk->debuggee.versions = DEBUGGEE_ANY;
        say_and_expect(talk, 0, row->request, row->reply);
        expect_asked(talk, row->asked);
        conversation_free(talk);
    }
}

static bool is_mmio(const struct layout *layout)
{
    return layout->type >= 64 && layout->type <= 69;
}

static bool has_case(const struct layout *layout)
{
    for (size_t i = 0; i < NUM_OF(cases); i++) {
        static uint8_t bytes[PACKET_ROOM];
        static bool any[PACKET_ROOM];
        from_hex(cases[i].request, bytes, any);
        bool is_same_version = cases[i].versions == (layout->version == 2 ? V2 : V1);
        if (is_same_version && bytes[0] == layout->version && bytes[1] == layout->class &&
            bytes[2] == layout->type && bytes[3] == 0) {
            return true;
        }
    }
    return false;
}

static void every_request_of_both_versions_has_a_case(void **state)
{
    (void)state;
    size_t num_requests = 0;
    for (size_t i = 0; i < NUM_OF(layouts); i++) {
        bool is_request = layouts[i].class == 0 || layouts[i].class == 2;
        bool has_own_test = layouts[i].type == 70 || is_mmio(&layouts[i]);
        if (!is_request || has_own_test) {
            continue;
        }
        assert_true(has_case(&layouts[i]));
        num_requests++;
    }
    assert_int_equal(num_requests, 2 * (32 + 6));
}

// Only a header, len - 8 zeros behind it: refused whatever the length is.
static void check_refused(const struct layout *layout, size_t len)
{
    char request[64];
    struct conversation *talk = begin(layout->version == 2 ? V2 : V1, STOPPED);
    int at = snprintf(request, sizeof(request), "%02x %02x %02x00 ID", layout->version,
                      layout->class, layout->type);
    if (len > 8) {
        (void)snprintf(request + at, sizeof(request) - (size_t)at, " 00*%zu", len - 8);
    }
    say_and_expect(talk, 0, request,
                   layout->version == 2 ? "02 01 0100 ID 31 00 00 C0 00*4"
                                        : "01 01 0100 ID 1D 00 00 C0 00*4");
    expect_asked(talk, "");
    conversation_free(talk);
}

static void a_request_of_another_length_is_an_invalid_packet(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_OF(layouts); i++) {
        bool is_request = layouts[i].class == 0 || layouts[i].class == 2;
        for (size_t len = 8; is_request && len < layouts[i].size; len++) {
            check_refused(&layouts[i], len);
        }
        for (size_t more = 1; is_request && more < 9; more += 7) {
            check_refused(&layouts[i], layouts[i].size + more);
        }
    }
}

static void a_count_that_does_not_fit_the_length_is_an_invalid_packet(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "02 00 0600 ID 00*18 02 00*3 AA",               // two bytes said, one sent
        "02 00 0600 ID 00*18 02 00*3 AA*3",             // and three sent
        "02 00 0A00 ID 00*8 FF*4 AA*3",                 // 4 GiB said
        "02 00 0200 ID 01 00*7 77*7",                   // rip lacks a byte
        "02 00 0200 ID FF*8 77*395",                    // all registers lack one
        "02 00 0400 ID 00 01 00*7 77*9",                // xcr0 has one too many
        "02 00 1800 ID 00*16 01 00*3 00 03 00*3 14 15", // a pattern lacks a byte
    };
    for (size_t i = 0; i < NUM_OF(requests); i++) {
        struct conversation *talk = begin(V2, STOPPED);
        say_and_expect(talk, 0, requests[i], "02 01 0100 ID 31 00 00 C0 00*4");
        expect_asked(talk, "");
        conversation_free(talk);
    }
}

static void the_target_info_says_what_is_served(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_ANY, false);
    // MAXPHYADDR 39, 48 linear bits, 4 CPUs; types 0 to 31 and 70 at least.
    say(talk, 0, "02 00 4600 ID");
    expect(talk, 0,
           "02 01 4600 ID 02 01 02 27 30 00 04 00 00 F0 00 00 00 04 00 04 00 10 00 00 10 00 00 00 "
           "FF*4 00*4 .. 00*7 88 77 66 55 44 33 22 11");
    expect_silence(talk);
    assert_true(talk->sent[0].bytes[40] & 1 << 6);
    talk->debuggee.versions = DEBUGGEE_V2;
    say(talk, 1, "02 00 4600 ID");
    expect(talk, 1, "02 01 4600 ID 02 02 02 ..*45");
    conversation_free(talk);
}

// A well-formed request, all zeros, is an invalid packet exactly when its type is said not to be
// served.
static void what_the_target_info_leaves_out_is_an_invalid_packet(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    say(talk, 0, "02 00 4600 ID");
    uint8_t served[16];
    memcpy(served, talk->sent[0].bytes + 32, sizeof(served));
    conversation_free(talk);
    for (size_t i = 0; i < NUM_OF(layouts); i++) {
        static uint8_t request[64];
        const struct layout *layout = &layouts[i];
        if (layout->version != 2 || layout->class != 0) {
            continue;
        }
        talk = begin(V2, LISTS);
        memcpy(request, (uint8_t[]){2, 0, (uint8_t)layout->type, 0, 1}, 5);
        debuggee_receive(&talk->debuggee, &talk->peers[0], request, layout->size);
        assert_int_equal(talk->num_sent, 1);
        const uint8_t *reply = talk->sent[0].bytes;
        bool is_invalid = reply[2] == 1 && memcmp(reply + 8, "\x31\0\0\xC0", 4) == 0;
        bool is_served = served[layout->type / 8] >> layout->type % 8 & 1;
        assert_int_equal(is_invalid, !is_served);
        conversation_free(talk);
    }
}

static void what_the_target_refuses_is_a_status(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "02 00 0100 ID 00*8",
        "02 00 0200 ID 00*8",
        "02 00 0300 ID 00*9",
        "02 00 0400 ID 00*9",
        "02 00 0500 ID 00*18 01 00*3",
        "02 00 0600 ID 00*18 01 00*3 55",
        "02 00 0700 ID 00*16 01 00*3",
        "02 00 0800 ID 00*16 01 00*3 55",
        "02 00 0900 ID 00*8 01 00*3",
        "02 00 0A00 ID 00*8 01 00*3 55",
        "02 00 0B00 ID 60 00 01 00*3 01 00",
        "02 00 0C00 ID 60 00 01 00*3 01 00 55",
        "02 00 0F00 ID 00*8",
        "02 00 1000 ID 00*8",
        "02 00 1400 ID 74 01 00 00",
        "02 00 1500 ID 74 01 00 00 00*8",
        "02 00 1900 ID 00*18",
        "02 00 1A00 ID 00*16",
        "02 00 1B00 ID 00*18",
        "02 00 1C00 ID 00*16",
        "02 00 1F00 ID",
        "02 02 0000 ID",
        "02 02 0100 ID",
        "02 02 0200 ID",
        "02 02 0300 ID 01 00*7",
        "02 02 0400 ID",
    };
    for (size_t i = 0; i < NUM_OF(requests); i++) {
        struct conversation *talk = begin(V2, STOPPED);
        talk->target.fail = STATUS_INSUFFICIENT_RESOURCES;
        say_and_expect(talk, 0, requests[i], "02 01 0100 ID 02 00 00 C0 00*4");
        conversation_free(talk);
    }
    struct conversation *talk = begin(V1, STOPPED);
    talk->target.fail = STATUS_INSUFFICIENT_RESOURCES;
    say_and_expect(talk, 0, "01 00 0300 ID 00*8", "01 01 0100 ID 08 00 00 C0 00*4");
    conversation_free(talk);
}

// What a client of both versions sees when it asks a debuggee of each for the target info.
static void negotiation_shows_in_byte_0_of_the_reply(void **state)
{
    (void)state;
    struct conversation *old = conversation_new(DEBUGGEE_V1, false);
    say_and_expect(old, 0, "02 00 4600 ID", "01 01 0100 ID 1D 00 00 C0 00*4");
    conversation_free(old);
    struct conversation *both = conversation_new(DEBUGGEE_ANY, false);
    say_and_expect(both, 0, "01 00 4600 ID", "01 01 0100 ID 1D 00 00 C0 00*4");
    say(both, 1, "02 00 4600 ID");
    expect(both, 1, "02 01 4600 ID ..*48");
    conversation_free(both);
}

static void packets_of_other_classes_and_short_ones_are_dropped(void **state)
{
    (void)state;
    static const char *const dropped[] = {
        "",
        "02",
        "02 00 0000 11 22 33",
        "02 01 0000 ID",
        "02 01 0000 ID 00*8",
        "02 03 0100 ID",
        "02 04 0000 ID",
        "02 06 0000 ID",
        "02 FF 0000 ID",
    };
    enum versions all[] = {V1, V2, COMPAT};
    for (size_t i = 0; i < NUM_OF(dropped); i++) {
        for (size_t v = 0; v < NUM_OF(all); v++) {
            struct conversation *talk = begin(all[v], STOPPED);
            say(talk, 0, dropped[i]);
            expect_silence(talk);
            expect_asked(talk, "");
            // They are no request: the next one with that id is.
            say(talk, 0, "02 00 0000 ID");
            assert_int_equal(talk->num_sent, 1);
            conversation_free(talk);
        }
    }
}

static void packets_over_the_largest_are_dropped(void **state)
{
    (void)state;
    struct conversation *talk = begin(V2, STOPPED);
    say(talk, 0, "02 00 0000 ID 00*61433");
    expect_silence(talk);
    say_and_expect(talk, 0, "02 00 0000 ID 00*61432", "02 01 0100 ID 31 00 00 C0 00*4");
    conversation_free(talk);
    talk = begin(V1, STOPPED);
    say(talk, 0, "01 00 0000 ID 00*16377");
    expect_silence(talk);
    say_and_expect(talk, 0, "01 00 0000 ID 00*16376", "01 01 0100 ID 1D 00 00 C0 00*4");
    conversation_free(talk);
}

static void a_strict_version_2_debuggee_refuses_another_byte_0(void **state)
{
    (void)state;
    struct conversation *talk = begin(V2, STOPPED);
    say_and_expect(talk, 0, "01 00 0A00 ID 00*8 01 00*3 55", "02 01 0100 ID 31 00 00 C0 00*4");
    say_and_expect(talk, 0, "01 02 0100 12 22 33 44", "02 01 0100 12 22 33 44 31 00 00 C0 00*4");
    say_and_expect(talk, 0, "FF 00 0000 13 22 33 44", "02 01 0100 13 22 33 44 31 00 00 C0 00*4");
    expect_asked(talk, "");
    conversation_free(talk);
}

static void the_id_without_a_request_is_an_invalid_packet_in_version_2(void **state)
{
    (void)state;
    struct conversation *talk = begin(V2, STOPPED);
    say_and_expect(talk, 0, "02 02 0100 FF*4", "02 01 0100 FF*4 31 00 00 C0 00*4");
    expect_asked(talk, "");
    conversation_free(talk);
}

// Statuses that only a target can know come through in the numbers of each version.
static void statuses_of_the_target_have_the_number_of_the_version(void **state)
{
    (void)state;
    static const struct {
        enum pulse_status status;
        const char *v1;
        const char *v2;
    } rows[] = {
        {STATUS_BREAKPOINT_TABLE_FULL, "52 00 00 C0", "02 01 00 C0"},
        {STATUS_INVALID_PARAMETER, "0E 00 00 C0", "10 00 00 C0"},
        {STATUS_INVALID_TRANSLATION, "17 00 00 C0", "21 00 00 C0"},
    };
    for (size_t i = 0; i < NUM_OF(rows); i++) {
        char reply[64];
        struct conversation *talk = conversation_new(DEBUGGEE_ANY, false);
        talk->target.fail = rows[i].status;
        (void)snprintf(reply, sizeof(reply), "01 01 0100 ID %s 00*4", rows[i].v1);
        say_and_expect(talk, 0, "01 00 1000 ID 00*8", reply);
        talk->target.fail = rows[i].status;
        (void)snprintf(reply, sizeof(reply), "02 01 0100 ID %s 00*4", rows[i].v2);
        say_and_expect(talk, 0, "02 00 1000 ID 00*8", reply);
        conversation_free(talk);
    }
}

static void filters_run_out_and_the_cpu_may_be_asleep(void **state)
{
    (void)state;
    struct conversation *talk = begin(V2, LISTS);
    talk->target.fail = STATUS_FILTER_TABLE_FULL;
    say_and_expect(talk, 0, "02 00 1200 01 00 00 00 01 00 01 00 00*36",
                   "02 01 0100 01 00 00 00 00 02 00 C0 00*4");
    talk->target.fail = STATUS_BARRIER_OWNER_INACTIVE;
    say_and_expect(talk, 0, "02 02 0300 02 00 00 00 03 00*7",
                   "02 01 0100 02 00 00 00 43 00 00 C0 00*4");
    conversation_free(talk);
    talk = begin(V1, LISTS);
    talk->target.fail = STATUS_BARRIER_OWNER_INACTIVE;
    say_and_expect(talk, 0, "01 02 0300 02 00 00 00 03 00*7",
                   "01 01 0100 02 00 00 00 34 00 00 C0 00*4");
    // A failing filter of a breakpoint that exists: type 1 with status 0.
    talk->target.fail = STATUS_FILTER_TABLE_FULL;
    say_and_expect(talk, 0, "01 00 1200 03 00 00 00 01 00 00 00 00*26",
                   "01 01 0100 03 00 00 00 00*8");
    conversation_free(talk);
}

static void the_events_of_version_2_follow_the_target(void **state)
{
    (void)state;
    struct conversation *talk = begin(V2, STOPPED);
    say_and_expect(talk, 0, "02 00 0D00 01 00 00 00", "02 01 0800 01 00 00 00 00 00");
    say_and_expect(talk, 0, "02 02 0100 02 00 00 00", "02 01 0000 02 00 00 00 06 00*7");
    say_and_expect(talk, 0, "02 00 0D00 03 00 00 00", "02 01 0800 03 00 00 00 01 01");
    say_and_expect(talk, 0, "02 02 0000 04 00 00 00", "02 01 0000 04 00 00 00 02 00*7");
    say_and_expect(talk, 0, "02 00 0D00 05 00 00 00", "02 01 0800 05 00 00 00 00 02");
    say_and_expect(talk, 0, "02 02 0200 06 00 00 00", "02 01 0000 06 00 00 00 03 00*7");
    say_and_expect(talk, 0, "02 00 0D00 07 00 00 00", "02 01 0800 07 00 00 00 00 03");
    say_and_expect(talk, 0, "02 02 0300 08 00 00 00 01 00*7", "02 01 0000 08 00 00 00 05 00*7");
    say_and_expect(talk, 0, "02 00 0D00 09 00 00 00", "02 01 0800 09 00 00 00 00 05");
    talk->target.state.event = EVENT_BREAKPOINT;
    say_and_expect(talk, 0, "02 00 0D00 0A 00 00 00", "02 01 0800 0A 00 00 00 00 04");
    conversation_free(talk);
}

// Version 1 knows one event, 3, for a break-in that stopped a running target.
static void the_event_of_version_1_is_a_break_in_or_nothing(void **state)
{
    (void)state;
    struct conversation *talk = begin(V1, STOPPED);
    say_and_expect(talk, 0, "01 02 0000 01 00 00 00", "01 03 0100 01 00 00 00");
    say_and_expect(talk, 0, "01 00 0D00 02 00 00 00", "01 01 0800 02 00 00 00 00 00");
    say_and_expect(talk, 0, "01 02 0100 03 00 00 00", "01 03 0200 03 00 00 00");
    say_and_expect(talk, 0, "01 00 0D00 04 00 00 00", "01 01 0800 04 00 00 00 01 00");
    say_and_expect(talk, 0, "01 02 0000 05 00 00 00", "01 03 0100 05 00 00 00");
    say_and_expect(talk, 0, "01 00 0D00 06 00 00 00", "01 01 0800 06 00 00 00 00 03");
    say_and_expect(talk, 0, "01 02 0200 07 00 00 00", "01 03 0100 07 00 00 00");
    say_and_expect(talk, 0, "01 00 0D00 08 00 00 00", "01 01 0800 08 00 00 00 00 00");
    talk->target.state = (struct target_state){.event = EVENT_BREAKPOINT};
    say_and_expect(talk, 0, "01 00 0D00 09 00 00 00", "01 01 0800 09 00 00 00 00 00");
    conversation_free(talk);
}

int main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(a_debuggee_of_both_versions_goes_by_byte_0),
        cmocka_unit_test(every_request_of_both_versions_has_a_case),
        cmocka_unit_test(a_request_of_another_length_is_an_invalid_packet),
        cmocka_unit_test(a_count_that_does_not_fit_the_length_is_an_invalid_packet),
        cmocka_unit_test(the_target_info_says_what_is_served),
        cmocka_unit_test(what_the_target_info_leaves_out_is_an_invalid_packet),
        cmocka_unit_test(what_the_target_refuses_is_a_status),
        cmocka_unit_test(negotiation_shows_in_byte_0_of_the_reply),
        cmocka_unit_test(packets_of_other_classes_and_short_ones_are_dropped),
        cmocka_unit_test(packets_over_the_largest_are_dropped),
        cmocka_unit_test(a_strict_version_2_debuggee_refuses_another_byte_0),
        cmocka_unit_test(the_id_without_a_request_is_an_invalid_packet_in_version_2),
        cmocka_unit_test(statuses_of_the_target_have_the_number_of_the_version),
        cmocka_unit_test(filters_run_out_and_the_cpu_may_be_asleep),
        cmocka_unit_test(the_events_of_version_2_follow_the_target),
        cmocka_unit_test(the_event_of_version_1_is_a_break_in_or_nothing),
    };
    static const char *const prefixes[] = {"version 1: ", "version 2: ", "2018 client: "};
    static char names[NUM_OF(cases)][128];
    static struct CMUnitTest tests[NUM_OF(cases) + NUM_OF(single)];
    for (size_t i = 0; i < NUM_OF(cases); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%s%s", prefixes[cases[i].versions],
                       cases[i].name);
        tests[i] = (struct CMUnitTest){.name = names[i],
                                       .test_func = a_request_has_the_reply_of_the_facts,
                                       .initial_state = &cases[i]};
    }
    memcpy(tests + NUM_OF(cases), single, sizeof(single));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
