#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

void rig_open(struct rig *rig, enum protocol_version version, bool compat)
{
    rig_open_with(rig, version, &(struct pulsim_options){.compat_2018_client = compat});
}

void rig_open_with(struct rig *rig, enum protocol_version version,
                   const struct pulsim_options *options)
{
    char error[200] = "";
    *rig = (struct rig){.version = version, .last_id = 1000};
    rig->pulsim = pulsim_new(options, error, sizeof(error));
    assert_string_equal(error, "");
    assert_non_null(rig->pulsim);
    rig->peer = pulsim_peer_new(rig->pulsim);
    assert_non_null(rig->peer);
}

void rig_close(struct rig *rig)
{
    pulsim_free(rig->pulsim);
}

static void take(struct rig *rig, const void *bytes, size_t len)
{
    rig->has_reply = len != 0;
    rig->reply_len = len;
    if (len == 0) {
        return;
    }
    assert_int_equal(packet_read(rig->version, bytes, len, &rig->reply), PACKET_OK);
    assert_int_equal(rig->reply.header.version, rig->version);
}

void rig_ask(struct rig *rig, struct packet *request)
{
    const void *reply = NULL;
    size_t reply_len = 0;
    request->header.version = (uint8_t)rig->version;
    request->header.id = ++rig->last_id;
    size_t len = packet_write(request, rig->bytes, sizeof(rig->bytes));
    assert_true(len >= PACKET_HEADER_SIZE);
    pulsim_request(rig->peer, rig->bytes, len, &reply, &reply_len);
    take(rig, reply, reply_len);
    if (rig->has_reply) {
        assert_int_equal(rig->reply.header.id, rig->last_id);
    }
}

void rig_continue(struct rig *rig)
{
    const void *reply = NULL;
    size_t reply_len = 0;
    pulsim_continue(rig->peer, &reply, &reply_len);
    take(rig, reply, reply_len);
}

void rig_expect_status(struct rig *rig, struct packet *request, uint64_t number)
{
    rig_ask(rig, request);
    assert_true(rig->has_reply);
    assert_int_equal(rig->reply.kind, PACKET_STATUS);
    assert_int_equal(rig->reply.status.status, number);
}

void rig_expect_value(struct rig *rig, struct packet *request, uint64_t value)
{
    rig_ask(rig, request);
    assert_true(rig->has_reply);
    assert_int_equal(rig->reply.kind, PACKET_SUCCESS);
    assert_int_equal(rig->reply.success.value, value);
}

struct packet rig_plain(enum packet_kind kind)
{
    return (struct packet){.kind = kind};
}
