// The documented calls on engines.

#include "engine.h"

#include <stdlib.h>
#include <sys/random.h>

enum { DEFAULT_TIMEOUT_MS = 5000 };

PULSE_STATUS engine_status(const struct pulse_engine *engine, enum pulse_status status)
{
    bool is_v1 = engine != NULL && engine->version == PROTOCOL_V1;
    return status_number(status, is_v1 ? PROTOCOL_V1 : PROTOCOL_V2);
}

// Before the version is known nothing may go out but the question for it: a version 1 debuggee
// would execute a write.
static PULSE_STATUS ask_version(struct pulse_engine *engine)
{
    const struct reply *reply = NULL;
    struct packet packet = {.kind = PACKET_GET_TARGET_INFO};
    return engine_execute(engine, &packet, &reply);
}

PULSE_STATUS engine_enter(struct pulse_engine *engine)
{
    if (engine == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    if (!engine->started) {
        return engine_status(engine, STATUS_ENGINE_INIT_FAILED);
    }
    if (engine->request.bytes == NULL) {
        engine->request.bytes = calloc(1, PACKET_MAX);
    }
    if (engine->request.bytes == NULL) {
        return engine_status(engine, STATUS_INSUFFICIENT_RESOURCES);
    }
    if (engine->transport->lost || engine->transport->fd < 0) {
        return engine_status(engine, STATUS_DEVICE_CONNECTION_LOST);
    }
    return engine->version == 0 ? ask_version(engine) : PULSE_STATUS_SUCCESS;
}

// A debuggee takes a packet with the id and bytes of the last one for its repeat, and it may
// remember a client that had this address before; so ids begin anywhere.
static uint32_t first_id(void)
{
    uint32_t id = 0;
    if (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
        id = (uint32_t)clock_now();
    }
    return id == PACKET_NO_ID ? 0 : id;
}

// NOLINTBEGIN(readability-identifier-naming): the documented names

PULSE_STATUS EngCreateEngine(PPS_ENGINE *ppEngine)
{
    if (ppEngine == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    *ppEngine = NULL;
    struct pulse_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return PULSE_STATUS_INSUFFICIENT_RESOURCES;
    }
    engine->version = PROTOCOL_V2;
    engine->timeout_ms = DEFAULT_TIMEOUT_MS;
    engine->next_id = first_id();
    *ppEngine = engine;
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS EngAssignTransport(PPS_ENGINE pEngine, PPS_TRANSPORT pTransport)
{
    if (pEngine == NULL || pTransport == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    pEngine->transport = pTransport;
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS EngSetRequestTimeout(PPS_ENGINE pEngine, uint32_t Timeout)
{
    if (pEngine == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    pEngine->timeout_ms = Timeout;
    return PULSE_STATUS_SUCCESS;
}

static void tell_transport(const struct pulse_engine *engine)
{
    bool is_v1 = engine->version == PROTOCOL_V1;
    transport_set_version(engine->transport, is_v1 ? PROTOCOL_V1 : PROTOCOL_V2);
}

PULSE_STATUS EngStart(PPS_ENGINE pEngine)
{
    if (pEngine == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    if (pEngine->transport == NULL || pEngine->transport->fd < 0) {
        return engine_status(pEngine, STATUS_ENGINE_INIT_FAILED);
    }
    tell_transport(pEngine);
    pEngine->started = true;
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS EngStop(PPS_ENGINE pEngine)
{
    if (pEngine == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    pEngine->started = false;
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS EngDestroyEngine(PPS_ENGINE pEngine)
{
    if (pEngine == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    free(pEngine->request.bytes);
    free(pEngine);
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS EngSetProtocolVersion(PPS_ENGINE pEngine, uint32_t Version)
{
    if (pEngine == NULL || Version > PROTOCOL_V2) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    pEngine->version = Version;
    if (pEngine->transport != NULL) {
        tell_transport(pEngine);
    }
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS EngGetProtocolVersion(PPS_ENGINE pEngine, uint32_t *pVersion)
{
    if (pEngine == NULL || pVersion == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    *pVersion = pEngine->version;
    return PULSE_STATUS_SUCCESS;
}

// NOLINTEND(readability-identifier-naming)
