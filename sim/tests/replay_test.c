// Everything that the published 2018 client was seen to send, sent to the machine: each request
// gets exactly one reply, of the type and length that this client takes.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "golden_files.h"
#include "pulsim/pulsim.h"

// The reply with which this client's call succeeds, by request.
static enum packet_kind success_of(enum packet_kind request)
{
    static const enum packet_kind replies[NUM_PACKET_KINDS] = {
        [PACKET_GET_CONTEXT] = PACKET_CONTEXT,
        [PACKET_GET_EXTENDED_CONTEXT_V1] = PACKET_EXTENDED_CONTEXT_V1,
        [PACKET_READ_VIRTUAL] = PACKET_VIRTUAL_DATA,
        [PACKET_READ_LINEAR] = PACKET_LINEAR_DATA,
        [PACKET_READ_PHYSICAL] = PACKET_PHYSICAL_DATA,
        [PACKET_READ_IO] = PACKET_IO_DATA,
        [PACKET_GET_STATE] = PACKET_STATE,
        [PACKET_GET_CPU_INFO] = PACKET_CPU_INFO,
        [PACKET_CPUID] = PACKET_CPUID_DATA,
        [PACKET_READ_MSR] = PACKET_MSR_DATA,
        [PACKET_SEARCH_VIRTUAL] = PACKET_SEARCH_HIT,
        [PACKET_SEARCH_LINEAR] = PACKET_SEARCH_HIT,
        [PACKET_SEARCH_PHYSICAL] = PACKET_SEARCH_HIT,
        [PACKET_WALK_VIRTUAL] = PACKET_WALK,
        [PACKET_WALK_LINEAR] = PACKET_WALK,
        [PACKET_VIRTUAL_TO_PHYSICAL] = PACKET_PHYSICAL_ADDRESS,
        [PACKET_LINEAR_TO_PHYSICAL] = PACKET_PHYSICAL_ADDRESS,
    };
    return replies[request] != 0 ? replies[request] : PACKET_SUCCESS;
}

static bool is_write(enum packet_kind kind)
{
    return kind == PACKET_WRITE_VIRTUAL || kind == PACKET_WRITE_LINEAR ||
           kind == PACKET_WRITE_PHYSICAL || kind == PACKET_WRITE_IO;
}

struct replay {
    struct pulsim *pulsim;
    struct pulsim_peer *peer;
    unsigned answered; // with the reply of success
    unsigned refused;  // with a status
    unsigned resent;
};

static void check_reply(struct replay *replay, const struct packet *request,
                        enum packet_error error, const void *bytes, size_t len)
{
    struct packet reply;
    assert_int_equal(packet_read(PROTOCOL_V1, bytes, len, &reply), PACKET_OK);
    assert_int_equal(reply.header.version, 1);
    assert_int_equal(reply.header.class, CLASS_REPLY);
    assert_int_equal(reply.header.id, request->header.id);
    if (reply.kind == PACKET_STATUS) {
        replay->refused++;
        if (error != PACKET_OK) {
            assert_int_equal(reply.status.status, 0xC000001D);
        } else if (is_write(request->kind)) {
            assert_true(reply.status.status == 6 || reply.status.status == 0xC0000017);
        }
        return;
    }
    assert_int_equal(error, PACKET_OK);
    assert_int_equal(reply.kind, success_of(request->kind));
    assert_true(reply.kind != PACKET_WALK || len == 20);
    replay->answered++;
}

static void send_item(struct replay *replay, const struct item *item)
{
    static uint8_t completed[TRANSCRIPT_BYTES_MAX];
    struct packet request = {0};
    const void *reply = NULL;
    size_t reply_len = 0;
    enum packet_error error = golden_read(item, completed, &request);
    const uint8_t *bytes = item->type == ITEM_SHORTENED ? completed : item->bytes;
    pulsim_request(replay->peer, bytes, item->total, &reply, &reply_len);
    for (unsigned i = 0; reply_len == 0 && i < 1000; i++) {
        if (!pulsim_continue(replay->peer, &reply, &reply_len)) {
            break;
        }
    }
    if (request.header.class == CLASS_RESEND) {
        replay->resent++;
        return;
    }
    if (reply_len == 0) {
        fail_msg("no reply to class %u type %u", request.header.class, request.header.type);
    }
    check_reply(replay, &request, error, reply, reply_len);
}

static void play(struct replay *replay, const struct transcript *transcript)
{
    pulsim_reset(replay->pulsim);
    replay->peer = pulsim_peer_new(replay->pulsim);
    for (size_t i = 0; i < transcript->num_items; i++) {
        const struct item *item = &transcript->items[i];
        if (item->direction == 'C' && item->type != ITEM_TEXT && item->type != ITEM_DROPPED) {
            send_item(replay, item);
        }
    }
    pulsim_peer_free(replay->peer);
}

static void every_request_of_the_2018_client_is_answered_in_its_shape(void **state)
{
    (void)state;
    static struct transcript transcripts[NUM_GOLDEN_FILES];
    struct pulsim_options options = {.protocol = 1, .compat_2018_client = true};
    struct replay replay = {.pulsim = pulsim_new(&options, NULL, 0)};
    assert_non_null(replay.pulsim);
    golden_load(transcripts);
    for (size_t i = 0; i < NUM_GOLDEN_FILES; i++) {
        play(&replay, &transcripts[i]);
    }
    golden_cleanup(transcripts);
    pulsim_free(replay.pulsim);
    print_message("%u answered, %u refused, %u resent\n", replay.answered, replay.refused,
                  replay.resent);
    assert_true(replay.answered > 300);
    assert_true(replay.resent > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_of_the_2018_client_is_answered_in_its_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
