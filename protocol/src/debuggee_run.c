// Execution control, state, and what the debuggee says of itself.

#include "exchange.h"

void answer_ping(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    exchange_value(x, 0);
}

// Version 1 knows one event: a break-in that stopped a running target.
static uint8_t event_v1(const struct target_state *state)
{
    enum { BROKE_IN = 3 };
    return !state->running && state->broke_in ? BROKE_IN : 0;
}

void answer_get_state(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    struct target_state state;
    x->debuggee->ops->get_state(x->debuggee->target, &state);
    struct packet reply = {.kind = PACKET_STATE, .state = {.running = state.running}};
    reply.state.event = x->version == PROTOCOL_V2 ? (uint8_t)state.event : event_v1(&state);
    exchange_reply(x, &reply);
}

void answer_get_cpu_info(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    struct target_cpus cpus;
    x->debuggee->ops->get_cpus(x->debuggee->target, &cpus);
    struct packet reply = {.kind = PACKET_CPU_INFO};
    reply.cpu_info.current = (uint8_t)cpus.current;
    reply.cpu_info.count = (uint8_t)cpus.count;
    exchange_reply(x, &reply);
}

static uint64_t types_served(uint16_t first)
{
    uint64_t types = 0;
    for (uint16_t i = 0; i < 64; i++) {
        enum packet_kind kind = packet_kind_of(PROTOCOL_V2, CLASS_REQUEST, (uint16_t)(first + i));
        types |= exchange_handler_of(kind) ? UINT64_C(1) << i : 0;
    }
    return types;
}

void answer_get_target_info(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    enum { BOTH_LOWEST = 1, BOTH_HIGHEST = 2 };
    const struct debuggee *debuggee = x->debuggee;
    struct target_cpus cpus;
    struct target_description description;
    debuggee->ops->get_cpus(debuggee->target, &cpus);
    debuggee->ops->describe(debuggee->target, &description);
    struct packet reply = {.kind = PACKET_TARGET_INFO};
    reply.target_info = (struct packet_target_info){
        .version = PROTOCOL_V2,
        .lowest_version = debuggee->versions == DEBUGGEE_V2 ? BOTH_HIGHEST : BOTH_LOWEST,
        .highest_version = BOTH_HIGHEST,
        .max_phys_bits = description.max_phys_bits,
        .linear_bits = description.linear_bits,
        .cpus = (uint16_t)cpus.count,
        .largest_packet = PACKET_MAX_V2,
        .breakpoints = BREAKPOINTS_MAX,
        .filters = FILTERS_MAX,
        .longest_pattern = PATTERN_MAX,
        .outstanding = DEBUGGEE_OUTSTANDING,
        .types_0_63 = types_served(0),
        .types_64_127 = types_served(64),
        .instance = description.instance,
    };
    exchange_reply(x, &reply);
}

// How a control request is answered: version 2 and the 2018 client's needs take a success, the
// 2018 debuggee a notification.
static struct packet control_reply(bool is_success, enum packet_kind notification, uint64_t event)
{
    struct packet reply = {.kind = notification};
    if (is_success) {
        reply.kind = PACKET_SUCCESS;
        reply.success.value = event;
    }
    return reply;
}

static void answer_control(struct exchange *x, enum packet_kind notification, uint64_t event)
{
    bool is_v2 = x->version == PROTOCOL_V2;
    struct packet reply =
        control_reply(is_v2 || exchange_is_compat(x), notification, is_v2 ? event : 0);
    exchange_reply(x, &reply);
}

static enum event_code current_event(const struct debuggee *debuggee)
{
    struct target_state state;
    debuggee->ops->get_state(debuggee->target, &state);
    return state.running ? EVENT_RUNNING : state.event;
}

// The answer of a step that a break-in has ended.
static void answer_stepper(struct debuggee *debuggee)
{
    struct exchange x = {debuggee, debuggee->stepper, debuggee->step.version, debuggee->step.id};
    debuggee->stepper = NULL;
    bool is_v2 = x.version == PROTOCOL_V2;
    struct packet reply = control_reply(is_v2 || debuggee->compat_2018_client,
                                        PACKET_NOTIFY_STOPPED, is_v2 ? EVENT_BREAK_IN : 0);
    exchange_reply_aside(&x, &reply);
}

void answer_break_in(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    struct debuggee *debuggee = x->debuggee;
    search_cancel_all(debuggee);
    enum pulse_status status = debuggee->ops->break_in(debuggee->target);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    if (debuggee->stepper) {
        answer_stepper(debuggee);
    }
    answer_control(x, PACKET_NOTIFY_STOPPED, current_event(debuggee));
}

void answer_go(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    enum pulse_status status = x->debuggee->ops->go(x->debuggee->target);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    answer_control(x, PACKET_NOTIFY_RUNNING, current_event(x->debuggee));
}

static void step(struct exchange *x, bool suppress_interrupts)
{
    struct debuggee *debuggee = x->debuggee;
    enum pulse_status status = debuggee->ops->step(debuggee->target, suppress_interrupts);
    if (status == STATUS_PENDING) {
        debuggee->stepper = x->peer;
        debuggee->step = (struct debuggee_ticket){x->version, x->id};
        return;
    }
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    answer_control(x, PACKET_NOTIFY_STOPPED, current_event(debuggee));
}

void answer_step(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    step(x, false);
}

void answer_step_suppressed(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    step(x, true);
}

void answer_switch_cpu(struct exchange *x, const struct packet *packet)
{
    enum pulse_status status =
        x->debuggee->ops->switch_cpu(x->debuggee->target, packet->switch_cpu.cpu);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    answer_control(x, PACKET_NOTIFY_STOPPED, current_event(x->debuggee));
}

// Answered before it happens, and with a success in both versions.
void answer_reboot(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    search_cancel_all(x->debuggee);
    exchange_value(x, EVENT_INITIAL);
    x->debuggee->ops->reboot(x->debuggee->target);
}
