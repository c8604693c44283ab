#include "client_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine.h"
#include "transport.h"

void client_open(struct client *client, const struct client_options *options)
{
    fake_start(&client->fake, options->type, options->on_packet, options->user);
    struct connection_options connection = {.endpoint = client->fake.endpoint,
                                            .protocol = options->version,
                                            .timeout_ms = options->timeout_ms};
    PULSE_STATUS status = connection_open(&connection, &client->connection);
    assert_int_equal(status, PULSE_STATUS_SUCCESS);
    client->engine = client->connection.engine;
    // A random id may hold a frame's start byte, which spoils what a test does to frames.
    client->engine->next_id = 1;
}

void client_open_plain(struct client *client, PS_TRANSPORT_TYPE type, fake_packet_fn *on_packet)
{
    client_open(client, &(struct client_options){.type = type,
                                                 .version = PROTOCOL_V2,
                                                 .timeout_ms = LONG_TIMEOUT_MS,
                                                 .on_packet = on_packet});
}

void client_close(struct client *client)
{
    connection_close(&client->connection);
    fake_stop(&client->fake);
}

int64_t now_ms(void)
{
    return clock_now() / 1000000;
}

void answer_success(struct fake *fake, const uint8_t *packet, size_t len)
{
    (void)len;
    struct packet reply = {.kind = PACKET_SUCCESS};
    fake_reply(fake, packet, &reply);
}

void answer_nothing(struct fake *fake, const uint8_t *packet, size_t len)
{
    (void)fake;
    (void)packet;
    (void)len;
}
