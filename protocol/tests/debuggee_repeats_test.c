// Repeats and resends: what a debuggee remembers of each peer, and what it does not do twice.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"
#include "conversation.h"

static void version_2_sends_the_last_reply_again_for_the_same_packet(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    say_and_expect(talk, 0, "02 00 1500 ID 74 01 00 00 08 00*7", "02 01 0000 ID 00*8");
    expect_asked(talk, "write_msr 174 8;");
    for (unsigned i = 0; i < 3; i++) {
        say_and_expect(talk, 0, "02 00 1500 ID 74 01 00 00 08 00*7", "02 01 0000 ID 00*8");
    }
    expect_asked(talk, "");
    conversation_free(talk);
}

static void version_2_serves_other_bytes_with_the_last_id(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    say_and_expect(talk, 0, "02 00 1500 ID 74 01 00 00 08 00*7", "02 01 0000 ID 00*8");
    say_and_expect(talk, 0, "02 00 1500 ID 74 01 00 00 09 00*7", "02 01 0000 ID 00*8");
    expect_asked(talk, "write_msr 174 8;write_msr 174 9;");
    conversation_free(talk);
}

static void version_1_goes_by_the_id_alone(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V1, false);
    say_and_expect(talk, 0, "01 00 1500 ID 74 01 00 00 08 00*7", "01 01 0000 ID 00*8");
    say_and_expect(talk, 0, "01 00 1400 ID 74 01 00 00", "01 01 0000 ID 00*8");
    expect_asked(talk, "write_msr 174 8;");
    say_and_expect(talk, 0, "01 00 1400 12 22 33 44 74 01 00 00",
                   "01 01 0B00 12 22 33 44 74 01 00 00 08 00*7");
    conversation_free(talk);
}

// The last request and the 16 before it: 17 ids.
static void version_2_drops_the_16_ids_before_the_last(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    char request[64];
    char reply[64];
    for (unsigned id = 1; id <= 18; id++) {
        (void)snprintf(request, sizeof(request), "02 00 0E00 %02x 00 00 00", id);
        (void)snprintf(reply, sizeof(reply), "02 01 0900 %02x 00 00 00 00 04", id);
        say_and_expect(talk, 0, request, reply);
    }
    for (unsigned id = 2; id <= 17; id++) {
        (void)snprintf(request, sizeof(request), "02 00 0E00 %02x 00 00 00", id);
        say(talk, 0, request);
        expect_silence(talk);
        // Not even with another request: it could be one that lost its way for long.
        (void)snprintf(request, sizeof(request), "02 00 0000 %02x 00 00 00", id);
        say(talk, 0, request);
        expect_silence(talk);
    }
    // None of these became the last request.
    say_and_expect(talk, 0, "02 00 0E00 12 00 00 00", "02 01 0900 12 00 00 00 00 04");
    say_and_expect(talk, 0, "02 00 0E00 01 00 00 00", "02 01 0900 01 00 00 00 00 04");
    conversation_free(talk);
}

static void version_1_serves_an_older_id_again(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V1, false);
    say_and_expect(talk, 0, "01 00 1500 01 00 00 00 74 01 00 00 08 00*7",
                   "01 01 0000 01 00 00 00 00*8");
    say_and_expect(talk, 0, "01 00 0000 02 00 00 00", "01 01 0000 02 00 00 00 00*8");
    say_and_expect(talk, 0, "01 00 1500 01 00 00 00 74 01 00 00 09 00*7",
                   "01 01 0000 01 00 00 00 00*8");
    expect_asked(talk, "write_msr 174 8;write_msr 174 9;");
    conversation_free(talk);
}

static void version_2_resends_by_the_id(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    say(talk, 0, "02 05 0000 ID"); // there is nothing yet
    expect_silence(talk);
    say_and_expect(talk, 0, "02 00 0E00 ID", "02 01 0900 ID 00 04");
    say_and_expect(talk, 0, "02 05 0000 ID", "02 01 0900 ID 00 04");
    say_and_expect(talk, 0, "02 05 0000 ID", "02 01 0900 ID 00 04");
    say(talk, 0, "02 05 0000 12 22 33 44");
    say(talk, 0, "02 05 0000 FF*4");
    expect_silence(talk);
    // A resend is no request: the last one is still the last.
    say_and_expect(talk, 0, "02 00 0E00 ID", "02 01 0900 ID 00 04");
    say_and_expect(talk, 0, "02 00 0000 12 22 33 44", "02 01 0000 12 22 33 44 00*8");
    say(talk, 0, "02 05 0000 ID");
    expect_silence(talk);
    say_and_expect(talk, 0, "02 05 0000 12 22 33 44", "02 01 0000 12 22 33 44 00*8");
    conversation_free(talk);
}

static void version_1_resends_without_an_id(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V1, false);
    say(talk, 0, "01 05 0000 FF*4");
    expect_silence(talk);
    say_and_expect(talk, 0, "01 00 0E00 ID", "01 01 0900 ID 00 04");
    for (unsigned i = 0; i < 3; i++) {
        say_and_expect(talk, 0, "01 05 0000 FF*4", "01 01 0900 ID 00 04");
    }
    conversation_free(talk);
}

static void a_malformed_resend_does_not_cost_the_last_reply(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    say_and_expect(talk, 0, "02 00 0E00 ID", "02 01 0900 ID 00 04");
    say_and_expect(talk, 0, "02 05 0100 12 22 33 44", "02 01 0100 12 22 33 44 31 00 00 C0 00*4");
    say_and_expect(talk, 0, "02 05 0000 13 22 33 44 00", "02 01 0100 13 22 33 44 31 00 00 C0 00*4");
    say_and_expect(talk, 0, "02 05 0100 ID", "02 01 0100 ID 31 00 00 C0 00*4");
    say_and_expect(talk, 0, "02 05 0000 ID", "02 01 0900 ID 00 04");
    say_and_expect(talk, 0, "02 00 0E00 ID", "02 01 0900 ID 00 04");
    conversation_free(talk);
}

static void each_peer_has_its_own_last_request(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_ANY, false);
    say_and_expect(talk, 0, "02 00 1500 ID 74 01 00 00 08 00*7", "02 01 0000 ID 00*8");
    say_and_expect(talk, 1, "02 00 1500 ID 74 01 00 00 08 00*7", "02 01 0000 ID 00*8");
    say_and_expect(talk, 2, "01 00 1500 ID 74 01 00 00 08 00*7", "01 01 0000 ID 00*8");
    expect_asked(talk, "write_msr 174 8;write_msr 174 8;write_msr 174 8;");
    say_and_expect(talk, 1, "02 00 0E00 02 00 00 00", "02 01 0900 02 00 00 00 00 04");
    say_and_expect(talk, 0, "02 05 0000 ID", "02 01 0000 ID 00*8");
    say(talk, 1, "02 05 0000 ID");
    expect_silence(talk);
    conversation_free(talk);
}

static void a_peer_that_comes_again_has_no_history(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    say_and_expect(talk, 0, "02 00 1500 ID 74 01 00 00 08 00*7", "02 01 0000 ID 00*8");
    debuggee_forget(&talk->debuggee, &talk->peers[0]);
    talk->peers[0] = (struct debuggee_peer){.memory = talk->memory[0]};
    say_and_expect(talk, 0, "02 00 1500 ID 74 01 00 00 08 00*7", "02 01 0000 ID 00*8");
    expect_asked(talk, "write_msr 174 8;write_msr 174 8;");
    conversation_free(talk);
}

static void a_refused_request_is_repeated_like_any_other(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    talk->target.state.running = true;
    say_and_expect(talk, 0, "02 00 1000 ID 00*8", "02 01 0100 ID 45 00 00 C0 00*4");
    talk->target.state.running = false;
    say_and_expect(talk, 0, "02 00 1000 ID 00*8", "02 01 0100 ID 45 00 00 C0 00*4");
    expect_asked(talk, "");
    conversation_free(talk);
}

// The last byte of the longest write counts, too.
static void large_requests_are_compared_to_their_last_byte(void **state)
{
    (void)state;
    struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
    say_and_expect(talk, 0, "02 00 0A00 ID 00*8 EC EF 00 00 55*61420", "02 01 0000 ID EC EF 00*6");
    say_and_expect(talk, 0, "02 00 0A00 ID 00*8 EC EF 00 00 55*61420", "02 01 0000 ID EC EF 00*6");
    expect_asked(talk, "write P 0 0 0 61420;");
    say_and_expect(talk, 0, "02 00 0A00 ID 00*8 EC EF 00 00 55*61419 56",
                   "02 01 0000 ID EC EF 00*6");
    expect_asked(talk, "write P 0 0 0 61420;");
    conversation_free(talk);
}

// Every single bit of a request makes it another one.
static void a_request_that_differs_in_one_bit_is_no_repeat(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * (size_t)20; bit++) {
        struct conversation *talk = conversation_new(DEBUGGEE_V2, false);
        uint8_t request[20] = {2, 0, 21, 0, 0x11, 0x22, 0x33, 0x44, 0x74, 1, 0, 0, 8};
        bool is_id_or_header = bit < 64;
        debuggee_receive(&talk->debuggee, &talk->peers[0], request, sizeof(request));
        request[bit / 8] ^= (uint8_t)(1U << bit % 8);
        fake_target_clear_log(&talk->target);
        debuggee_receive(&talk->debuggee, &talk->peers[0], request, sizeof(request));
        assert_true(is_id_or_header || talk->target.log_len > 0);
        conversation_free(talk);
    }
}

static void random_packets_get_at_most_one_reply_each(void **state)
{
    (void)state;
    static const uint8_t classes[] = {0, 0, 0, 2, 2, 5, 1, 9};
    uint64_t seed = 88;
    struct conversation *talk = conversation_new(DEBUGGEE_ANY, false);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t packet[64];
        for (size_t at = 0; at < sizeof(packet); at++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            packet[at] = (uint8_t)(seed >> 56);
        }
        packet[0] &= 3;
        packet[1] = classes[packet[1] % sizeof(classes)];
        packet[2] %= 40;
        packet[3] = 0;
        size_t len = seed % (sizeof(packet) + 1);
        debuggee_receive(&talk->debuggee, &talk->peers[i % NUM_PEERS], packet, len);
        assert_true(talk->num_sent <= 1);
        for (; talk->num_sent > 0; talk->num_sent--) {
            free(talk->sent[0].bytes);
        }
        fake_target_clear_log(&talk->target);
    }
    conversation_free(talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2_sends_the_last_reply_again_for_the_same_packet),
        cmocka_unit_test(version_2_serves_other_bytes_with_the_last_id),
        cmocka_unit_test(version_1_goes_by_the_id_alone),
        cmocka_unit_test(version_2_drops_the_16_ids_before_the_last),
        cmocka_unit_test(version_1_serves_an_older_id_again),
        cmocka_unit_test(version_2_resends_by_the_id),
        cmocka_unit_test(version_1_resends_without_an_id),
        cmocka_unit_test(a_malformed_resend_does_not_cost_the_last_reply),
        cmocka_unit_test(each_peer_has_its_own_last_request),
        cmocka_unit_test(a_peer_that_comes_again_has_no_history),
        cmocka_unit_test(a_refused_request_is_repeated_like_any_other),
        cmocka_unit_test(large_requests_are_compared_to_their_last_byte),
        cmocka_unit_test(a_request_that_differs_in_one_bit_is_no_repeat),
        cmocka_unit_test(random_packets_get_at_most_one_reply_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
