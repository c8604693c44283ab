// Requests that take a while: a step that waits, a search, and what ends them.

#include <stdlib.h>

#include "cmocka_rows.h"
#include "conversation.h"

static struct conversation *with_waiting_step(enum debuggee_versions versions, bool compat)
{
    struct conversation *talk = conversation_new(versions, compat);
    talk->target.step_waits = true;
    return talk;
}

// A search that takes num_slices slices after the first.
static struct conversation *with_slow_search(enum debuggee_versions versions, unsigned num_slices)
{
    struct conversation *talk = conversation_new(versions, false);
    talk->target.search_slices = num_slices;
    return talk;
}

#define SEARCH "02 00 1800 ID 00 01 00*6 00 20 00*6 01 00*3 00 02 00*3 14 15"

static void a_step_is_answered_when_it_is_done(void **state)
{
    (void)state;
    struct conversation *talk = with_waiting_step(DEBUGGEE_V2, false);
    say(talk, 0, "02 02 0200 ID");
    expect_silence(talk);
    expect_asked(talk, "step 0;");
    conversation_free(talk);
}

static void a_break_in_ends_a_step_which_is_answered_first(void **state)
{
    (void)state;
    struct conversation *talk = with_waiting_step(DEBUGGEE_V2, false);
    say(talk, 0, "02 02 0400 ID");
    say(talk, 1, "02 02 0000 12 22 33 44");
    expect(talk, 0, "02 01 0000 ID 02 00*7");
    expect(talk, 1, "02 01 0000 12 22 33 44 02 00*7");
    expect_silence(talk);
    expect_asked(talk, "step 1;break_in;");
    // The step's reply is its peer's last one now.
    say_and_expect(talk, 0, "02 05 0000 ID", "02 01 0000 ID 02 00*7");
    say_and_expect(talk, 0, "02 02 0400 ID", "02 01 0000 ID 02 00*7");
    expect_asked(talk, "");
    conversation_free(talk);
}

static void the_stepping_peer_can_break_in_itself(void **state)
{
    (void)state;
    struct conversation *talk = with_waiting_step(DEBUGGEE_V2, false);
    say(talk, 0, "02 02 0400 ID");
    say(talk, 0, "02 02 0000 12 22 33 44");
    expect(talk, 0, "02 01 0000 ID 02 00*7");
    expect(talk, 0, "02 01 0000 12 22 33 44 02 00*7");
    expect_silence(talk);
    say_and_expect(talk, 0, "02 05 0000 12 22 33 44", "02 01 0000 12 22 33 44 02 00*7");
    conversation_free(talk);
}

static void a_waiting_step_is_not_begun_again_by_a_repeat(void **state)
{
    (void)state;
    struct conversation *talk = with_waiting_step(DEBUGGEE_V2, false);
    say(talk, 0, "02 02 0200 ID");
    say(talk, 0, "02 02 0200 ID");
    say(talk, 0, "02 05 0000 ID");
    expect_silence(talk);
    expect_asked(talk, "step 0;");
    conversation_free(talk);
}

// From any peer, its own one too: break in, state and ping, nothing else.
static void while_a_step_waits_only_three_requests_are_served(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "02 00 0100 ID 00*8",
        "02 00 0900 ID 00*8 01 00*3",
        "02 00 0E00 ID",
        "02 00 1400 ID 74 01 00 00",
        "02 00 0F00 ID 00*8",
        "02 00 1000 ID 00*8",
        SEARCH,
        "02 02 0100 ID",
        "02 02 0200 ID",
        "02 02 0300 ID 01 00*7",
        "02 02 0500 ID",
        "02 00 4600 ID",
    };
    for (size_t peer = 0; peer < 2; peer++) {
        for (size_t i = 0; i < NUM_OF(refused); i++) {
            struct conversation *talk = with_waiting_step(DEBUGGEE_V2, false);
            say(talk, 0, "02 02 0200 01 00 00 00");
            say_and_expect(talk, peer, refused[i], "02 01 0100 ID 45 00 00 C0 00*4");
            expect_asked(talk, "step 0;");
            say_and_expect(talk, peer, "02 00 0D00 02 00 00 00", "02 01 0800 02 00 00 00 01 01");
            say_and_expect(talk, peer, "02 00 0000 03 00 00 00", "02 01 0000 03 00 00 00 00*8");
            say(talk, 2, "02 02 0000 04 00 00 00");
            expect(talk, 0, "02 01 0000 01 00 00 00 02 00*7");
            expect(talk, 2, "02 01 0000 04 00 00 00 02 00*7");
            expect_silence(talk);
            conversation_free(talk);
        }
    }
}

static void version_1_steps_are_ended_by_a_break_in_too(void **state)
{
    (void)state;
    struct conversation *talk = with_waiting_step(DEBUGGEE_V1, false);
    say(talk, 0, "01 02 0200 ID");
    say(talk, 1, "01 02 0000 12 22 33 44");
    expect(talk, 0, "01 03 0100 ID");
    expect(talk, 1, "01 03 0100 12 22 33 44");
    expect_silence(talk);
    conversation_free(talk);
    talk = with_waiting_step(DEBUGGEE_V1, true);
    say(talk, 0, "01 02 0200 ID");
    say(talk, 0, "01 02 0000 12 22 33 44");
    expect(talk, 0, "01 01 0000 ID 00*8");
    expect(talk, 0, "01 01 0000 12 22 33 44 00*8");
    expect_silence(talk);
    conversation_free(talk);
}

static void while_a_step_waits_version_1_is_refused_other_control_only(void **state)
{
    (void)state;
    struct conversation *talk = with_waiting_step(DEBUGGEE_V1, false);
    say(talk, 0, "01 02 0200 ID");
    say_and_expect(talk, 1, "01 02 0100 01 00 00 00", "01 01 0100 01 00 00 00 00 00 00 C0 00*4");
    say_and_expect(talk, 1, "01 02 0200 02 00 00 00", "01 01 0100 02 00 00 00 00 00 00 C0 00*4");
    say_and_expect(talk, 1, "01 02 0500 03 00 00 00", "01 01 0100 03 00 00 00 00 00 00 C0 00*4");
    say_and_expect(talk, 1, "01 00 0E00 04 00 00 00", "01 01 0900 04 00 00 00 00 04");
    say_and_expect(talk, 1, "01 00 0D00 05 00 00 00", "01 01 0800 05 00 00 00 01 00");
    expect_asked(talk, "step 0;");
    conversation_free(talk);
}

// Whatever a version 1 peer asks for while its own step waits, the step keeps its id.
static void a_waiting_version_1_step_keeps_its_id(void **state)
{
    (void)state;
    struct conversation *talk = with_waiting_step(DEBUGGEE_V1, false);
    say(talk, 0, "01 02 0200 ID");
    say(talk, 0, "01 00 1800 02 00 00 00 00 01 00*6 00 20 00*6 01 00*3 00 02 00*3 14 15");
    assert_int_equal(talk->num_sent, 1);
    talk->num_seen = 1;
    say(talk, 1, "01 02 0000 12 22 33 44");
    expect(talk, 0, "01 03 0100 ID");
    expect(talk, 1, "01 03 0100 12 22 33 44");
    conversation_free(talk);
}

static void a_peer_that_leaves_cancels_its_step(void **state)
{
    (void)state;
    struct conversation *talk = with_waiting_step(DEBUGGEE_V2, false);
    say(talk, 0, "02 02 0200 ID");
    debuggee_forget(&talk->debuggee, &talk->peers[1]);
    expect_asked(talk, "step 0;");
    debuggee_forget(&talk->debuggee, &talk->peers[0]);
    expect_asked(talk, "cancel_step;");
    say_and_expect(talk, 1, "02 00 0E00 ID", "02 01 0900 ID 00 04");
    say_and_expect(talk, 1, "02 02 0000 12 22 33 44", "02 01 0000 12 22 33 44 00*8");
    conversation_free(talk);
}

static void a_search_runs_in_slices(void **state)
{
    (void)state;
    struct conversation *talk = with_slow_search(DEBUGGEE_V2, 3);
    say(talk, 0, SEARCH);
    expect_silence(talk);
    assert_true(debuggee_is_busy(&talk->peers[0]));
    assert_true(debuggee_continue(&talk->debuggee));
    // Others are served meanwhile.
    say_and_expect(talk, 1, "02 00 0E00 ID", "02 01 0900 ID 00 04");
    assert_true(debuggee_continue(&talk->debuggee));
    expect_silence(talk);
    assert_false(debuggee_continue(&talk->debuggee));
    expect(talk, 0, "02 01 0C00 ID 10 01 00*6");
    expect_silence(talk);
    assert_false(debuggee_is_busy(&talk->peers[0]));
    assert_false(debuggee_continue(&talk->debuggee));
    say_and_expect(talk, 0, "02 05 0000 ID", "02 01 0C00 ID 10 01 00*6");
    conversation_free(talk);
}

static void a_search_that_ends_without_a_hit_has_a_status(void **state)
{
    (void)state;
    struct conversation *talk = with_slow_search(DEBUGGEE_ANY, 2);
    talk->target.search_status = STATUS_NOT_FOUND;
    say(talk, 0, SEARCH);
    say(talk, 1, "01 00 1800 ID 00 01 00*6 00 20 00*6 01 00*3 00 02 00*3 14 15");
    while (debuggee_continue(&talk->debuggee)) {
    }
    assert_int_equal(talk->num_sent, 2);
    size_t first = talk->sent[0].peer;
    expect(talk, first,
           first == 0 ? "02 01 0100 ID 09 00 00 C0 00*4" : "01 01 0100 ID 60 00 00 C0 00*4");
    expect(talk, 1 - first,
           first == 1 ? "02 01 0100 ID 09 00 00 C0 00*4" : "01 01 0100 ID 60 00 00 C0 00*4");
    conversation_free(talk);
}

static void a_search_is_not_begun_again_by_a_repeat(void **state)
{
    (void)state;
    struct conversation *talk = with_slow_search(DEBUGGEE_V2, 1);
    say(talk, 0, SEARCH);
    say(talk, 0, SEARCH);
    say(talk, 0, "02 05 0000 ID");
    expect_silence(talk);
    assert_false(debuggee_continue(&talk->debuggee));
    expect(talk, 0, "02 01 0C00 ID 10 01 00*6");
    expect_silence(talk);
    say_and_expect(talk, 0, SEARCH, "02 01 0C00 ID 10 01 00*6");
    expect_asked(talk, "search P 0 0 100 2000 step 1 gaps 0 page 0 len 2 14;");
    conversation_free(talk);
}

static void a_break_in_ends_every_search_before_it_is_answered(void **state)
{
    (void)state;
    struct conversation *talk = with_slow_search(DEBUGGEE_V2, 1000);
    say(talk, 0, SEARCH);
    say(talk, 1, SEARCH);
    say(talk, 0, "02 02 0000 12 22 33 44");
    assert_int_equal(talk->num_sent, 3);
    assert_int_equal(talk->sent[2].peer, 0);
    for (size_t i = 0; i < 2; i++) {
        expect(talk, talk->sent[i].peer, "02 01 0100 ID .. .. .. C0 00*4");
    }
    assert_int_not_equal(talk->sent[0].peer, talk->sent[1].peer);
    expect(talk, 0, "02 01 0000 12 22 33 44 00*8");
    assert_false(debuggee_continue(&talk->debuggee));
    assert_false(debuggee_is_busy(&talk->peers[0]));
    expect_silence(talk);
    conversation_free(talk);
}

static void a_peer_that_leaves_ends_its_search(void **state)
{
    (void)state;
    struct conversation *talk = with_slow_search(DEBUGGEE_V2, 1000);
    say(talk, 0, SEARCH);
    say(talk, 1, SEARCH);
    say(talk, 2, SEARCH);
    debuggee_forget(&talk->debuggee, &talk->peers[1]);
    assert_false(debuggee_is_busy(&talk->peers[1]));
    talk->target.search_slices = 0;
    assert_true(debuggee_continue(&talk->debuggee));
    assert_false(debuggee_continue(&talk->debuggee));
    assert_int_equal(talk->num_sent, 2);
    assert_int_equal(talk->sent[0].peer + talk->sent[1].peer, 2);
    conversation_free(talk);
}

static void searches_take_turns(void **state)
{
    (void)state;
    struct conversation *talk = with_slow_search(DEBUGGEE_V2, 1000);
    say(talk, 0, SEARCH);
    say(talk, 1, SEARCH);
    say(talk, 2, SEARCH);
    for (unsigned left = talk->target.search_slices; left > 990; left--) {
        assert_int_equal(talk->target.search_slices, left);
        assert_true(debuggee_continue(&talk->debuggee));
    }
    // One answer a turn, to each of them.
    talk->target.search_slices = 0;
    for (size_t i = 1; i <= NUM_PEERS; i++) {
        assert_int_equal(debuggee_continue(&talk->debuggee), i < NUM_PEERS);
        assert_int_equal(talk->num_sent, i);
    }
    assert_int_equal(talk->sent[0].peer + talk->sent[1].peer + talk->sent[2].peer, 3);
    assert_int_not_equal(talk->sent[0].peer, talk->sent[1].peer);
    conversation_free(talk);
}

static void only_a_break_in_is_urgent(void **state)
{
    (void)state;
    static const uint8_t break_in[] = {2, 2, 0, 0, 1, 2, 3, 4};
    static const uint8_t go[] = {2, 2, 1, 0, 1, 2, 3, 4};
    static const uint8_t ping[] = {2, 0, 0, 0, 1, 2, 3, 4};
    static const uint8_t type_256[] = {2, 2, 0, 1, 1, 2, 3, 4};
    assert_true(debuggee_is_urgent(break_in, sizeof(break_in)));
    assert_false(debuggee_is_urgent(break_in, 7));
    assert_false(debuggee_is_urgent(break_in, 0));
    assert_false(debuggee_is_urgent(go, sizeof(go)));
    assert_false(debuggee_is_urgent(ping, sizeof(ping)));
    assert_false(debuggee_is_urgent(type_256, sizeof(type_256)));
}

static void a_reboot_is_answered_before_it_happens(void **state)
{
    (void)state;
    struct conversation *talk = with_slow_search(DEBUGGEE_V2, 1000);
    say(talk, 1, SEARCH);
    say(talk, 0, "02 02 0500 ID");
    expect(talk, 1, "02 01 0100 ID .. .. .. C0 00*4");
    expect(talk, 0, "02 01 0000 ID 00*8");
    expect_silence(talk);
    assert_false(debuggee_continue(&talk->debuggee));
    conversation_free(talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_answered_when_it_is_done),
        cmocka_unit_test(a_break_in_ends_a_step_which_is_answered_first),
        cmocka_unit_test(the_stepping_peer_can_break_in_itself),
        cmocka_unit_test(a_waiting_step_is_not_begun_again_by_a_repeat),
        cmocka_unit_test(while_a_step_waits_only_three_requests_are_served),
        cmocka_unit_test(version_1_steps_are_ended_by_a_break_in_too),
        cmocka_unit_test(while_a_step_waits_version_1_is_refused_other_control_only),
        cmocka_unit_test(a_waiting_version_1_step_keeps_its_id),
        cmocka_unit_test(a_peer_that_leaves_cancels_its_step),
        cmocka_unit_test(a_search_runs_in_slices),
        cmocka_unit_test(a_search_that_ends_without_a_hit_has_a_status),
        cmocka_unit_test(a_search_is_not_begun_again_by_a_repeat),
        cmocka_unit_test(a_break_in_ends_every_search_before_it_is_answered),
        cmocka_unit_test(a_peer_that_leaves_ends_its_search),
        cmocka_unit_test(searches_take_turns),
        cmocka_unit_test(only_a_break_in_is_urgent),
        cmocka_unit_test(a_reboot_is_answered_before_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
