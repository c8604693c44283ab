#include "rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocol/status.h"

void test_rule(void **state)
{
    const struct rule *rule = *state;
    uint32_t late = rule->is_late ? LATE_TIMEOUT_MS : LONG_TIMEOUT_MS;
    struct client client;
    client_open(&client, &(struct client_options){
                             .type = rule->type,
                             .version = PROTOCOL_V2,
                             .timeout_ms = rule->status == TIMEOUT ? SHORT_TIMEOUT_MS : late,
                             .on_packet = rule->answer,
                         });
    int64_t started = now_ms();
    PULSE_STATUS status = rule->call(client.engine);
    int64_t took = now_ms() - started;
    PULSE_STATUS later = rule->status == LOST ? rule->call(client.engine) : LOST;
    client_close(&client);

    assert_int_equal(status, rule->status);
    assert_int_equal(later, LOST);
    assert_true(took < LONG_TIMEOUT_MS / 2);
    if (rule->status == TIMEOUT) {
        assert_true(took >= SHORT_TIMEOUT_MS);
    }
}
