#include "model.h"

#include <string.h>

#include "protocol/bytes.h"
#include "protocol/registers.h"
#include "protocol/status.h"

static struct packet refuse(enum pulse_status outcome, enum protocol_version version)
{
    struct packet reply = {.kind = PACKET_STATUS};
    reply.status.status = status_number(outcome, version);
    return reply;
}

// How many of len bytes from address on exist.
static uint32_t reach(uint64_t address, uint32_t len)
{
    if (address < MODEL_BASE || address >= MODEL_BASE + MODEL_SIZE) {
        return 0;
    }
    uint64_t left = MODEL_BASE + MODEL_SIZE - address;
    return left < len ? (uint32_t)left : len;
}

static struct packet read_linear(const struct model *model, const struct packet_read_linear *asked,
                                 enum protocol_version version)
{
    uint32_t len = reach(asked->address, asked->length);
    if (len == 0) {
        return refuse(STATUS_INVALID_TRANSLATION, version);
    }
    return (struct packet){.kind = PACKET_LINEAR_DATA,
                           .linear_data = {.root = asked->root,
                                           .address = asked->address,
                                           .length = len,
                                           .data = model->memory + (asked->address - MODEL_BASE)}};
}

static struct packet write_linear(struct model *model, const struct packet_write_linear *asked,
                                  enum protocol_version version)
{
    uint32_t len = reach(asked->address, asked->length);
    if (len == 0 || asked->root != MODEL_CR3) {
        return refuse(STATUS_INVALID_TRANSLATION, version);
    }
    memcpy(model->memory + (asked->address - MODEL_BASE), asked->data, len);
    return (struct packet){.kind = PACKET_SUCCESS, .success = {.value = len}};
}

static struct packet get_context(const struct model *model, uint64_t mask)
{
    static _Thread_local uint8_t registers[CONTEXT_FULL_SIZE];
    struct context context = {.value = {[CONTEXT_cr3] = MODEL_CR3}};
    context.value[CONTEXT_dr6] = model->dr6;
    context.value[CONTEXT_dr7] = model->dr7;
    context_pack(mask, &context, registers);
    return (struct packet){.kind = PACKET_CONTEXT,
                           .context = {.cpu_mode = 5, .mask = mask, .registers = registers}};
}

static struct packet set_context(struct model *model, const struct packet_set_context *asked)
{
    struct context context = {.value = {[CONTEXT_dr6] = model->dr6, [CONTEXT_dr7] = model->dr7}};
    context_unpack(asked->mask, asked->registers, &context);
    model->dr6 = context.value[CONTEXT_dr6];
    model->dr7 = context.value[CONTEXT_dr7];
    return (struct packet){.kind = PACKET_SUCCESS, .success = {.value = asked->mask}};
}

static struct packet reply_to(struct model *model, const struct packet *asked,
                              enum protocol_version version)
{
    if (asked->kind == PACKET_READ_LINEAR) {
        return read_linear(model, &asked->read_linear, version);
    }
    if (asked->kind == PACKET_WRITE_LINEAR) {
        return write_linear(model, &asked->write_linear, version);
    }
    if (asked->kind == PACKET_GET_CONTEXT) {
        return get_context(model, asked->get_context.mask);
    }
    if (asked->kind == PACKET_SET_CONTEXT) {
        return set_context(model, &asked->set_context);
    }
    if (asked->kind == PACKET_READ_MSR) {
        uint32_t index = asked->read_msr.index;
        struct packet value = {.kind = PACKET_MSR_DATA,
                               .msr_data = {.index = index, .value = model->msrs[index % 16]}};
        return index == MODEL_NO_MSR ? refuse(STATUS_GENERAL_PROTECTION, version) : value;
    }
    if (asked->kind == PACKET_WRITE_MSR) {
        model->msrs[asked->write_msr.index % 16] = asked->write_msr.value;
    }
    return (struct packet){.kind = PACKET_SUCCESS};
}

void model_answer(struct fake *fake, const uint8_t *request, size_t len)
{
    struct model *model = fake->user;
    enum protocol_version version = request[0] == PROTOCOL_V2 ? PROTOCOL_V2 : PROTOCOL_V1;
    struct packet asked;
    struct packet reply = refuse(STATUS_INVALID_PACKET, version);
    if (packet_read(version, request, len, &asked) == PACKET_OK &&
        asked.kind != PACKET_GET_TARGET_INFO) {
        reply = reply_to(model, &asked, version);
    }
    if (model->talks) {
        fake_send_raw(fake, (const uint8_t *)"hello\r\n", 7);
    }
    fake_reply(fake, request, &reply);
}
