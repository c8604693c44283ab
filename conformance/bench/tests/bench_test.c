// The parts of the benchmark that can be wrong without anything else showing it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "measure.h"
#include "operations.h"
#include "rsp.h"

static void median_is_the_middle_of_the_runs_and_not_of_their_order(void **state)
{
    (void)state;
    const struct samples samples = {{9, 1, 7, 3, 100}};
    struct spread spread = samples_spread(&samples);
    assert_true(spread.median == 7);
    assert_true(spread.least == 1);
    assert_true(spread.most == 100);
    assert_true(samples.value[0] == 9);
}

static void a_rate_becomes_the_time_of_one(void **state)
{
    (void)state;
    struct samples samples = {{1e9, 1e6, 1e3, 2e9, 5e8}};
    samples_to_nanoseconds(&samples);
    assert_true(samples.value[0] == 1);
    assert_true(samples.value[1] == 1000);
    assert_true(samples.value[3] == 0.5);
}

static char turns[1024];
static size_t num_turns;

static void note_turn(void *context, uint64_t times)
{
    for (; times != 0 && num_turns + 1 < sizeof(turns); times--) {
        turns[num_turns++] = *(const char *)context;
    }
}

static void contenders_take_turns_after_a_warm_up(void **state)
{
    (void)state;
    char a = 'A';
    char b = 'B';
    const struct contender contenders[] = {{note_turn, &a}, {note_turn, &b}};
    struct samples samples[2];
    num_turns = 0;
    measure_rates(contenders, 2, 0, samples);
    turns[num_turns] = '\0';
    assert_memory_equal(turns, "AABB", 4);
    assert_true(num_turns > 4 + 2 * RUNS);
    for (size_t i = 4; i < num_turns; i++) {
        assert_int_equal(turns[i], i % 2 == 0 ? 'A' : 'B');
    }
    assert_true(samples[0].value[0] > 0 && samples[1].value[RUNS - 1] > 0);
}

static struct prepared prepared;

static void a_reply_of_another_request_is_wrong(void **state)
{
    (void)state;
    operation_prepare(OPERATION_MSR_READ, &prepared);
    uint8_t reply[20] = {2, 1, 11, 0, 5};
    assert_true(reply_is_right(&prepared, 5, reply, sizeof(reply)));
    assert_false(reply_is_right(&prepared, 6, reply, sizeof(reply)));
    assert_false(reply_is_right(&prepared, 5, reply, sizeof(reply) - 1));
    reply[2] = 1; // a status
    assert_false(reply_is_right(&prepared, 5, reply, sizeof(reply)));
}

static void every_request_is_well_formed(void **state)
{
    (void)state;
    for (int id = 0; id < NUM_OPERATIONS; id++) {
        struct packet packet;
        operation_prepare((enum operation_id)id, &prepared);
        assert_int_equal(packet_read(PROTOCOL_V2, prepared.request, prepared.request_len, &packet),
                         PACKET_OK);
        assert_int_equal(packet.header.version, PROTOCOL_V2);
        assert_true(prepared.reply_len <= PACKET_MAX_V2);
    }
    assert_int_equal(prepared.request_len, PACKET_MAX_V2);
}

static struct rsp rsp;

static void set_reply(const char *text)
{
    rsp.len = strlen(text);
    memcpy(rsp.reply, text, rsp.len + 1);
}

static void runs_of_a_reply_are_expanded(void **state)
{
    (void)state;
    set_reply("0* 1*!2");
    assert_true(rsp_expand(&rsp));
    assert_string_equal(rsp.reply, "0000111112");
    assert_int_equal(rsp.len, 10);
    set_reply("00ff");
    assert_true(rsp_expand(&rsp));
    assert_string_equal(rsp.reply, "00ff");
}

static void a_request_is_framed_with_its_checksum(void **state)
{
    (void)state;
    char frame[16];
    rsp.acknowledges = false;
    rsp_frame(&rsp, "g", frame, sizeof(frame));
    assert_string_equal(frame, "$g#67");
    rsp.acknowledges = true;
    rsp_frame(&rsp, "m0,8", frame, sizeof(frame));
    assert_string_equal(frame, "+$m0,8#01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(median_is_the_middle_of_the_runs_and_not_of_their_order),
        cmocka_unit_test(a_rate_becomes_the_time_of_one),
        cmocka_unit_test(contenders_take_turns_after_a_warm_up),
        cmocka_unit_test(a_reply_of_another_request_is_wrong),
        cmocka_unit_test(every_request_is_well_formed),
        cmocka_unit_test(runs_of_a_reply_are_expanded),
        cmocka_unit_test(a_request_is_framed_with_its_checksum),
    };
    return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
