#ifndef CONFORMANCE_RULE_H
#define CONFORMANCE_RULE_H

// One rule of when a call ends: what is called, how the debuggee answers, what the call returns.

#include "client_fixture.h"

struct rule {
    const char *name;
    PS_TRANSPORT_TYPE type;
    PULSE_STATUS (*call)(PPS_ENGINE engine);
    fake_packet_fn *answer;
    uint32_t status;
    bool is_late; // the answer comes in the last quarter of the time
};

// Statuses of version 2.
enum {
    OK = 0,
    PARTIAL_READ = 1,
    PARTIAL_WRITE = 2,
};

#define INVALID UINT32_C(0xC0000031)
#define TIMEOUT UINT32_C(0xC0000007)
#define LOST    UINT32_C(0xC0000308)

// An answer need not look at what it answers.
#define ANSWER(name)                                                                               \
    static void answer_##name(struct fake *fake, __attribute__((unused)) const uint8_t *request,   \
                              __attribute__((unused)) size_t len)

// A cmocka test; its state is a struct rule. Every rule is of version 2.
void test_rule(void **state);

#endif
