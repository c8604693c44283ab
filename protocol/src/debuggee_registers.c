// Registers, CPUID and MSRs.

#include "exchange.h"

void answer_get_context(struct exchange *x, const struct packet *packet)
{
    uint64_t mask = packet->get_context.mask;
    struct context context = {0};
    enum pulse_cpu_mode mode = PULSE_MODE_REAL;
    enum pulse_status status =
        x->debuggee->ops->get_context(x->debuggee->target, mask, &context, &mode);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    uint8_t *tail = exchange_tail(x, PACKET_CONTEXT);
    context_pack(mask, &context, tail);
    struct packet reply = {.kind = PACKET_CONTEXT};
    reply.context.cpu_mode = (uint8_t)mode;
    reply.context.mask = mask;
    reply.context.registers = tail;
    exchange_reply(x, &reply);
}

// What a success says of a set: in version 2 the mask that was applied.
static void answer_set(struct exchange *x, enum pulse_status status, uint64_t mask)
{
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    exchange_value(x, x->version == PROTOCOL_V2 ? mask : 0);
}

void answer_set_context(struct exchange *x, const struct packet *packet)
{
    const struct packet_set_context *request = &packet->set_context;
    struct context context = {0};
    context_unpack(request->mask, request->registers, &context);
    answer_set(x, x->debuggee->ops->set_context(x->debuggee->target, request->mask, &context),
               request->mask);
}

static bool get_extended(struct exchange *x, uint64_t *mask, uint8_t *tail)
{
    struct extended_context context = {0};
    enum pulse_status status =
        x->debuggee->ops->get_extended_context(x->debuggee->target, mask, &context);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return false;
    }
    extended_context_pack(*mask, &context, tail);
    return true;
}

void answer_get_extended_context(struct exchange *x, const struct packet *packet)
{
    if (packet->get_extended_context.set_index != 0) {
        exchange_status(x, STATUS_INVALID_PARAMETER);
        return;
    }
    uint64_t mask = packet->get_extended_context.mask & EXTENDED_FULL_MASK;
    uint8_t *tail = exchange_tail(x, PACKET_EXTENDED_CONTEXT);
    if (!get_extended(x, &mask, tail)) {
        return;
    }
    struct packet reply = {.kind = PACKET_EXTENDED_CONTEXT};
    reply.extended_context.mask = mask;
    reply.extended_context.registers = tail;
    exchange_reply(x, &reply);
}

void answer_get_extended_context_v1(struct exchange *x, const struct packet *packet)
{
    uint64_t mask = packet->get_extended_context_v1.mask & EXTENDED_FULL_MASK;
    uint8_t *tail = exchange_tail(x, PACKET_EXTENDED_CONTEXT_V1);
    if (!get_extended(x, &mask, tail)) {
        return;
    }
    struct packet reply = {.kind = PACKET_EXTENDED_CONTEXT_V1};
    reply.extended_context_v1.mask = mask;
    reply.extended_context_v1.registers = tail;
    exchange_reply(x, &reply);
}

static void set_extended(struct exchange *x, uint64_t mask, const uint8_t *registers)
{
    struct extended_context context = {0};
    extended_context_unpack(mask, registers, &context);
    answer_set(x,
               x->debuggee->ops->set_extended_context(x->debuggee->target, mask, &context,
                                                      exchange_is_compat(x)),
               mask);
}

void answer_set_extended_context(struct exchange *x, const struct packet *packet)
{
    const struct packet_set_extended_context *request = &packet->set_extended_context;
    if (request->set_index != 0 || (request->mask & ~EXTENDED_FULL_MASK) != 0) {
        exchange_status(x, STATUS_INVALID_PARAMETER);
        return;
    }
    set_extended(x, request->mask, request->registers);
}

void answer_set_extended_context_v1(struct exchange *x, const struct packet *packet)
{
    const struct packet_set_extended_context_v1 *request = &packet->set_extended_context_v1;
    set_extended(x, request->mask & EXTENDED_FULL_MASK, request->registers);
}

void answer_cpuid(struct exchange *x, const struct packet *packet)
{
    uint32_t data[4] = {0};
    enum pulse_status status = x->debuggee->ops->cpuid(x->debuggee->target, packet->cpuid.leaf,
                                                       packet->cpuid.subleaf, data);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    struct packet reply = {
        .kind = PACKET_CPUID_DATA,
        .cpuid_data = {.eax = data[0], .ebx = data[1], .ecx = data[2], .edx = data[3]},
    };
    exchange_reply(x, &reply);
}

void answer_read_msr(struct exchange *x, const struct packet *packet)
{
    struct packet reply = {.kind = PACKET_MSR_DATA, .msr_data = {.index = packet->read_msr.index}};
    enum pulse_status status = x->debuggee->ops->read_msr(
        x->debuggee->target, packet->read_msr.index, &reply.msr_data.value);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    exchange_reply(x, &reply);
}

void answer_write_msr(struct exchange *x, const struct packet *packet)
{
    const struct packet_write_msr *request = &packet->write_msr;
    exchange_outcome(
        x, x->debuggee->ops->write_msr(x->debuggee->target, request->index, request->value));
}
