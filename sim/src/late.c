#include "session.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "server.h"

// A reply on its way to a peer that is to wait for it.
struct late_reply {
    uv_timer_t timer;
    struct session *session;
    LIST_ENTRY(late_reply) in_session;
    struct frame_faults faults;
    size_t len;
    uint8_t packet[];
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void late_free(struct late_reply *late)
{
    LIST_REMOVE(late, in_session);
    uv_close((uv_handle_t *)&late->timer, on_closed);
}

static void on_due(uv_timer_t *timer)
{
    struct late_reply *late = timer->data;
    struct delivery delivery = {.packet = late->packet, .len = late->len, .faults = late->faults};
    session_deliver(late->session, &delivery);
    late_free(late);
}

void session_reply_later(struct session *session, const struct delivery *delivery)
{
    struct late_reply *late = calloc(1, sizeof(*late) + delivery->len);
    if (!late) {
        return; // a late reply that is lost is still misbehaviour
    }
    late->session = session;
    late->faults = delivery->faults;
    late->len = delivery->len;
    memcpy(late->packet, delivery->packet, delivery->len);
    uv_timer_init(&session->instance->server->loop, &late->timer);
    late->timer.data = late;
    uv_timer_start(&late->timer, on_due, delivery->delay_ms, 0);
    LIST_INSERT_HEAD(&session->late, late, in_session);
}

void session_drop_late(struct session *session)
{
    while (!LIST_EMPTY(&session->late)) {
        late_free(LIST_FIRST(&session->late));
    }
}
