// Contexts: between the documented structures and the packing on the wire.

#include <string.h>

#include "engine.h"
#include "protocol/bytes.h"
#include "protocol/registers.h"

static void context_from_ps(const PS_CTX *ctx, struct context *out)
{
#define CONTEXT_REGISTER(bit, name, size) out->value[CONTEXT_##name] = ctx->name;
#include "protocol/registers.def"
}

static void context_to_ps(const struct context *context, uint64_t mask, PS_CTX *out)
{
#define CONTEXT_REGISTER(bit, name, size)                                                          \
    if (mask >> (bit)&1) {                                                                         \
        out->name = (uint##size##_field)context->value[CONTEXT_##name];                            \
    }
    typedef uint16_t uint2_field;
    typedef uint32_t uint4_field;
    typedef uint64_t uint8_field;
#include "protocol/registers.def"
}

// A register of the extended context is a number up to 8 bytes and plain bytes above.
#define FIELD_FROM_2(at, field)  store_le(at, 2, field);
#define FIELD_FROM_4(at, field)  store_le(at, 4, field);
#define FIELD_FROM_8(at, field)  store_le(at, 8, field);
#define FIELD_FROM_10(at, field) memcpy(at, field, 10);
#define FIELD_FROM_16(at, field) memcpy(at, field, 16);
#define FIELD_FROM_32(at, field) memcpy(at, field, 32);
#define FIELD_TO_2(at, field)    field = (uint16_t)load_le(at, 2);
#define FIELD_TO_4(at, field)    field = (uint32_t)load_le(at, 4);
#define FIELD_TO_8(at, field)    field = load_le(at, 8);
#define FIELD_TO_10(at, field)   memcpy(field, at, 10);
#define FIELD_TO_16(at, field)   memcpy(field, at, 16);
#define FIELD_TO_32(at, field)   memcpy(field, at, 32);

static void extended_from_ps(const PS_CTX_EXT *ctx, struct extended_context *out)
{
#define EXTENDED_REGISTER(bit, name, size)                                                         \
    FIELD_FROM_##size(extended_register(out, EXTENDED_##name), ctx->name)
#include "protocol/registers.def"
}

static void extended_to_ps(struct extended_context *context, uint64_t mask, PS_CTX_EXT *out)
{
#define EXTENDED_REGISTER(bit, name, size)                                                         \
    if (mask >> (bit)&1) {                                                                         \
        FIELD_TO_##size(extended_register(context, EXTENDED_##name), out->name)                    \
    }
#include "protocol/registers.def"
}

// NOLINTBEGIN(readability-identifier-naming): the documented names

PULSE_STATUS PsGetContext(PPS_ENGINE pEngine, PPS_CTX pContext, uint64_t RegMask,
                          PS_CPU_MODE *pCpuMode)
{
    if (pEngine == NULL || pContext == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    const struct reply *reply = NULL;
    struct packet packet = {.kind = PACKET_GET_CONTEXT, .get_context = {.mask = RegMask}};
    status = engine_execute(pEngine, &packet, &reply);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    const struct packet_context *answer = &reply->packet.context;
    struct context context = {0};
    context_unpack(answer->mask, answer->registers, &context);
    context_to_ps(&context, answer->mask, pContext);
    if (pCpuMode != NULL) {
        *pCpuMode = (PS_CPU_MODE)answer->cpu_mode;
    }
    return status;
}

PULSE_STATUS PsSetContext(PPS_ENGINE pEngine, PPS_CTX pContext, uint64_t RegMask)
{
    if (pEngine == NULL || pContext == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    struct context context;
    uint8_t registers[CONTEXT_FULL_SIZE];
    context_from_ps(pContext, &context);
    context_pack(RegMask, &context, registers);
    const struct reply *reply = NULL;
    struct packet packet = {.kind = PACKET_SET_CONTEXT,
                            .set_context = {.mask = RegMask, .registers = registers}};
    return engine_execute(pEngine, &packet, &reply);
}

// The two versions' layouts of the extended context, the set index apart.

static struct packet ask_extended(const struct pulse_engine *engine, uint8_t set_index,
                                  uint64_t mask)
{
    if (engine->version == PROTOCOL_V1) {
        return (struct packet){.kind = PACKET_GET_EXTENDED_CONTEXT_V1,
                               .get_extended_context_v1 = {.mask = mask}};
    }
    return (struct packet){.kind = PACKET_GET_EXTENDED_CONTEXT,
                           .get_extended_context = {.set_index = set_index, .mask = mask}};
}

static uint64_t answer_extended(const struct packet *reply, struct extended_context *out)
{
    bool is_v1 = reply->kind == PACKET_EXTENDED_CONTEXT_V1;
    uint64_t mask = is_v1 ? reply->extended_context_v1.mask : reply->extended_context.mask;
    extended_context_unpack(
        mask, is_v1 ? reply->extended_context_v1.registers : reply->extended_context.registers,
        out);
    return mask;
}

PULSE_STATUS PsGetExtendedContext(PPS_ENGINE pEngine, PPS_CTX_EXT pContextExt,
                                  uint8_t ExtRegSetIndex, uint64_t *pExtRegMask)
{
    if (pEngine == NULL || pContextExt == NULL || pExtRegMask == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    if (pEngine->version == PROTOCOL_V1 && ExtRegSetIndex != 0) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    const struct reply *reply = NULL;
    struct packet packet = ask_extended(pEngine, ExtRegSetIndex, *pExtRegMask);
    status = engine_execute(pEngine, &packet, &reply);
    if (status == PULSE_STATUS_SUCCESS) {
        struct extended_context context = {0};
        *pExtRegMask = answer_extended(&reply->packet, &context);
        extended_to_ps(&context, *pExtRegMask, pContextExt);
    }
    return status;
}

PULSE_STATUS PsSetExtendedContext(PPS_ENGINE pEngine, PPS_CTX_EXT pContextExt, uint64_t ExtRegMask)
{
    if (pEngine == NULL || pContextExt == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    struct extended_context context;
    uint8_t registers[EXTENDED_FULL_SIZE];
    extended_from_ps(pContextExt, &context);
    extended_context_pack(ExtRegMask, &context, registers);
    struct packet packet = {.kind = PACKET_SET_EXTENDED_CONTEXT,
                            .set_extended_context = {.mask = ExtRegMask, .registers = registers}};
    if (pEngine->version == PROTOCOL_V1) {
        packet = (struct packet){
            .kind = PACKET_SET_EXTENDED_CONTEXT_V1,
            .set_extended_context_v1 = {.mask = ExtRegMask, .registers = registers}};
    }
    const struct reply *reply = NULL;
    return engine_execute(pEngine, &packet, &reply);
}

// NOLINTEND(readability-identifier-naming)
