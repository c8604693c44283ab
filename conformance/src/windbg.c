#include "conformance/windbg.h"

#include <stdbool.h>
#include <stddef.h>

#include "engine.h"

struct window {
    uint64_t at;
    void *buffer;
    uint32_t len;
    bool is_write;
};

// Moves what can be moved in the current address space. *out_moved is set in any case.
static PULSE_STATUS move_window(struct pulse_engine *engine, const struct window *window,
                                uint32_t *out_moved)
{
    PS_CTX context;
    *out_moved = 0;
    PULSE_STATUS status = PsGetContext(engine, &context, DBG_CTX_PART_FLAG(cr3), NULL);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    uint64_t moved = 0;
    if (window->is_write) {
        status = PsWriteLinearMemory(engine, context.cr3, window->at, window->buffer, window->len,
                                     &moved);
    } else {
        status = PsReadLinearMemory(engine, context.cr3, window->at, window->buffer, window->len,
                                    &moved);
    }
    *out_moved = (uint32_t)moved;
    return status;
}

// A success says that a byte was moved at least, so a failure after some bytes is one too.
static uint32_t dbgeng_move(struct pulse_engine *engine, const struct window *window,
                            uint32_t *out_moved)
{
    if (engine == NULL || window->buffer == NULL) {
        return WINDBG_E_INVALIDARG;
    }
    uint32_t moved = 0;
    PULSE_STATUS status = move_window(engine, window, &moved);
    if (out_moved != NULL) {
        *out_moved = moved;
    }
    if (moved > 0 || PULSE_SUCCESS(status)) {
        return WINDBG_S_OK;
    }
    bool is_memory = status == engine_status(engine, STATUS_INSUFFICIENT_RESOURCES);
    return is_memory ? WINDBG_E_OUTOFMEMORY : WINDBG_E_FAIL;
}

static uint32_t wdbgexts_move(struct pulse_engine *engine, const struct window *window,
                              uint32_t *out_moved)
{
    uint32_t moved = 0;
    PULSE_STATUS status = PULSE_STATUS_INVALID_PARAMETER;
    if (engine != NULL && window->buffer != NULL) {
        status = move_window(engine, window, &moved);
    }
    if (out_moved != NULL) {
        *out_moved = moved;
    }
    return status == PULSE_STATUS_SUCCESS ? WINDBG_TRUE : WINDBG_FALSE;
}

// NOLINTBEGIN(readability-identifier-naming): the names of the header

uint32_t DbgEngReadVirtual(PPS_ENGINE pEngine, uint64_t Offset, void *Buffer, uint32_t BufferSize,
                           uint32_t *BytesRead)
{
    struct window window = {Offset, Buffer, BufferSize, false};
    return dbgeng_move(pEngine, &window, BytesRead);
}

uint32_t DbgEngWriteVirtual(PPS_ENGINE pEngine, uint64_t Offset, void *Buffer, uint32_t BufferSize,
                            uint32_t *BytesWritten)
{
    struct window window = {Offset, Buffer, BufferSize, true};
    return dbgeng_move(pEngine, &window, BytesWritten);
}

uint32_t WdbgExtsReadMemory(PPS_ENGINE pEngine, uint64_t offset, void *lpbuffer, uint32_t cb,
                            uint32_t *lpcbBytesRead)
{
    struct window window = {offset, lpbuffer, cb, false};
    return wdbgexts_move(pEngine, &window, lpcbBytesRead);
}

uint32_t WdbgExtsWriteMemory(PPS_ENGINE pEngine, uint64_t offset, void *lpbuffer, uint32_t cb,
                             uint32_t *lpcbBytesWritten)
{
    struct window window = {offset, lpbuffer, cb, true};
    return wdbgexts_move(pEngine, &window, lpcbBytesWritten);
}

// NOLINTEND(readability-identifier-naming)
