// Sending, repeating, negotiating: what goes out, how often, and with which bytes.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "client_fixture.h"
#include "protocol/bytes.h"
#include "protocol/status.h"

static const uint8_t resend[] = {1, CLASS_RESEND, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};

static struct client_options silent(PS_TRANSPORT_TYPE type, uint32_t version)
{
    return (struct client_options){.type = type,
                                   .version = version,
                                   .timeout_ms = SHORT_TIMEOUT_MS,
                                   .on_packet = answer_nothing};
}

static uint32_t id_of(const struct fake_log *log)
{
    return packet_header_read(log->bytes).id;
}

// --- repeats --------------------------------------------------------------------------------

static void test_v2_repeats_the_identical_packet(void **state)
{
    const PS_TRANSPORT_TYPE *type = *state;
    struct client client;
    struct client_options options = silent(*type, PROTOCOL_V2);
    client_open(&client, &options);
    assert_int_equal(PsWriteMsr(client.engine, 0x174, 8), PULSE_STATUS_TIMEOUT);
    client_close(&client);
    assert_int_equal(client.fake.num_packets, 4);
    for (size_t i = 1; i < 4; i++) {
        assert_memory_equal(&client.fake.log[i], &client.fake.log[0], sizeof(struct fake_log));
    }
}

static void test_v2_does_not_repeat_on_a_stream(void **state)
{
    const PS_TRANSPORT_TYPE *type = *state;
    struct client client;
    struct client_options options = silent(*type, PROTOCOL_V2);
    client_open(&client, &options);
    assert_int_equal(PsWriteMsr(client.engine, 0x174, 8), PULSE_STATUS_TIMEOUT);
    client_close(&client);
    assert_int_equal(client.fake.num_packets, 1);
}

static void test_v1_asks_for_a_resend(void **state)
{
    const PS_TRANSPORT_TYPE *type = *state;
    struct client client;
    struct client_options options = silent(*type, PROTOCOL_V1);
    client_open(&client, &options);
    assert_int_equal(PsWriteMsr(client.engine, 0x174, 8), 0xC0000018);
    client_close(&client);
    assert_int_equal(client.fake.num_packets, 4);
    assert_int_equal(client.fake.log[0].bytes[1], CLASS_REQUEST);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(client.fake.log[i].len, sizeof(resend));
        assert_memory_equal(client.fake.log[i].bytes, resend, sizeof(resend));
    }
}

static void test_no_time_at_all_still_sends_everything(void **state)
{
    (void)state;
    struct client client;
    struct client_options options = silent(pttNet, PROTOCOL_V2);
    options.timeout_ms = 0;
    client_open(&client, &options);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_TIMEOUT);
    client_close(&client);
}

// Answers the first packet when the second request has come.
static void answer_the_one_before(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)len;
    if (packet_header_read(request).id != id_of(&fake->log[0])) {
        answer_success(fake, fake->log[0].bytes, 0);
        answer_success(fake, request, 0);
    }
}

static void test_a_late_reply_is_not_the_next_ones(void **state)
{
    (void)state;
    struct client client;
    struct client_options options = silent(pttTcp, PROTOCOL_V2);
    options.on_packet = answer_the_one_before;
    client_open(&client, &options);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_TIMEOUT);
    EngSetRequestTimeout(client.engine, LONG_TIMEOUT_MS);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_SUCCESS);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_SUCCESS);
    client_close(&client);
}

static void test_ids_rise_and_are_never_the_one_that_means_none(void **state)
{
    (void)state;
    struct client client;
    struct client_options options = silent(pttTcp, PROTOCOL_V2);
    options.on_packet = answer_success;
    options.timeout_ms = LONG_TIMEOUT_MS;
    client_open(&client, &options);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(PsPing(client.engine), PULSE_STATUS_SUCCESS);
    }
    client_close(&client);
    for (size_t i = 1; i < 10; i++) {
        uint32_t step = id_of(&client.fake.log[i]) - id_of(&client.fake.log[i - 1]);
        assert_true(step == 1 || step == 2);
        assert_int_not_equal(id_of(&client.fake.log[i]), PACKET_NO_ID);
    }
}

// --- negotiation ----------------------------------------------------------------------------

// A 2018 debuggee: it answers with byte 0 = 1 and does not know request 70.
static void answer_as_2018(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)len;
    uint8_t reply[16] = {1, CLASS_REPLY, 1, 0};
    memcpy(reply + 4, request + 4, 4);
    store_le(reply + 8, 8, 0xC000001D);
    if (packet_header_read(request).type != 70) {
        reply[2] = 0;
        store_le(reply + 8, 8, 0);
    }
    fake_send(fake, reply, sizeof(reply));
}

// A version 2 debuggee that does not offer request 70.
static void answer_without_70(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)len;
    bool is_70 = packet_header_read(request).type == 70;
    struct packet refusal = {.kind = PACKET_STATUS, .status = {.status = 0xC0000031}};
    struct packet success = {.kind = PACKET_SUCCESS};
    fake_reply(fake, request, is_70 ? &refusal : &success);
}

static void check_negotiation(fake_packet_fn *on_packet, uint32_t expected)
{
    struct client client;
    struct client_options options = silent(pttTcp, 0);
    options.on_packet = on_packet;
    options.timeout_ms = LONG_TIMEOUT_MS;
    client_open(&client, &options);
    uint32_t version = 99;
    assert_int_equal(EngGetProtocolVersion(client.engine, &version), PULSE_STATUS_SUCCESS);
    assert_int_equal(version, 0);
    assert_int_equal(PsWriteMsr(client.engine, 0x174, 8), PULSE_STATUS_SUCCESS);
    assert_int_equal(EngGetProtocolVersion(client.engine, &version), PULSE_STATUS_SUCCESS);
    client_close(&client);
    assert_int_equal(version, expected);
    assert_int_equal(client.fake.num_packets, 2);
    assert_int_equal(packet_header_read(client.fake.log[0].bytes).type, 70);
    assert_int_equal(client.fake.log[0].bytes[0], PROTOCOL_V2);
    assert_int_equal(packet_header_read(client.fake.log[1].bytes).type, 21);
    assert_int_equal(client.fake.log[1].bytes[0], expected);
}

static void test_a_2018_debuggee_is_found_out(void **state)
{
    (void)state;
    check_negotiation(answer_as_2018, PROTOCOL_V1);
}

static void test_a_version_2_debuggee_need_not_know_request_70(void **state)
{
    (void)state;
    check_negotiation(answer_without_70, PROTOCOL_V2);
}

static void test_nothing_is_written_before_the_version_is_known(void **state)
{
    (void)state;
    struct client client;
    struct client_options options = silent(pttNet, 0);
    client_open(&client, &options);
    uint8_t byte = 0;
    assert_int_equal(PsWriteMsr(client.engine, 0x174, 8), PULSE_STATUS_TIMEOUT);
    assert_int_equal(PsWritePhysicalMemory(client.engine, 0, &byte, 1, NULL), PULSE_STATUS_TIMEOUT);
    client_close(&client);
    for (size_t i = 0; i < client.fake.num_packets; i++) {
        assert_int_equal(packet_header_read(client.fake.log[i].bytes).type, 70);
    }
}

int main(void)
{
    static PS_TRANSPORT_TYPE udp = pttNet;
    static PS_TRANSPORT_TYPE tcp = pttTcp;
    static PS_TRANSPORT_TYPE local = pttPipe;
    static PS_TRANSPORT_TYPE pty = pttSerial;
    const struct CMUnitTest tests[] = {
        {"UDP, version 2: the identical packet goes out four times",
         test_v2_repeats_the_identical_packet, NULL, NULL, &udp},
        {"pty, version 2: the identical packet goes out four times",
         test_v2_repeats_the_identical_packet, NULL, NULL, &pty},
        {"TCP, version 2: nothing is repeated", test_v2_does_not_repeat_on_a_stream, NULL, NULL,
         &tcp},
        {"Unix socket, version 2: nothing is repeated", test_v2_does_not_repeat_on_a_stream, NULL,
         NULL, &local},
        {"UDP, version 1: three resend requests", test_v1_asks_for_a_resend, NULL, NULL, &udp},
        {"TCP, version 1: three resend requests", test_v1_asks_for_a_resend, NULL, NULL, &tcp},
        {"pty, version 1: three resend requests", test_v1_asks_for_a_resend, NULL, NULL, &pty},
        cmocka_unit_test(test_no_time_at_all_still_sends_everything),
        cmocka_unit_test(test_a_late_reply_is_not_the_next_ones),
        cmocka_unit_test(test_ids_rise_and_are_never_the_one_that_means_none),
        cmocka_unit_test(test_a_2018_debuggee_is_found_out),
        cmocka_unit_test(test_a_version_2_debuggee_need_not_know_request_70),
        cmocka_unit_test(test_nothing_is_written_before_the_version_is_known),
    };
    return cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}
