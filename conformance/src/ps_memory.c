// Transfers of any length: as many requests as it takes.

#include <string.h>

#include "engine.h"

struct transfer;
typedef void fill_fn(const struct transfer *transfer, uint32_t len, struct packet *out);

// One call. `at` is where the next chunk goes; ports do not rise.
struct transfer {
    enum packet_kind kind;
    fill_fn *fill;
    uint64_t root;
    uint64_t at;
    uint16_t selector;
    uint16_t access_size;
    bool rises;
    bool is_write;
    uint8_t wanted_cache; // MMIO
    PS_CACHE_TYPE *cache; // MMIO: the one used
    uint8_t *buffer;
    uint64_t len;
    uint64_t moved;
};

// How each kind of packet asks for the next len bytes.
// NOLINTBEGIN(bugprone-macro-parentheses): names and initialisers take none
#define FILL(name, ...)                                                                            \
    static void fill_##name(const struct transfer *transfer, uint32_t len, struct packet *out)     \
    {                                                                                              \
        out->name = (struct packet_##name){.length = len, __VA_ARGS__};                            \
    }
#define VIRTUAL  .root = transfer->root, .offset = transfer->at, .selector = transfer->selector
#define LINEAR   .root = transfer->root, .address = transfer->at
#define PHYSICAL .address = transfer->at
#define PORT     .port = (uint16_t)transfer->at, .access_size = transfer->access_size
#define MMIO     .access_size = (uint8_t)transfer->access_size, .cache_type = transfer->wanted_cache
#define DATA     .data = transfer->buffer + transfer->moved

FILL(read_virtual, VIRTUAL)
FILL(read_linear, LINEAR)
FILL(read_physical, PHYSICAL)
FILL(read_io, PORT)
FILL(read_mmio_virtual, VIRTUAL, MMIO)
FILL(read_mmio_linear, LINEAR, MMIO)
FILL(read_mmio_physical, PHYSICAL, MMIO)
FILL(write_virtual, VIRTUAL, DATA)
FILL(write_linear, LINEAR, DATA)
FILL(write_physical, PHYSICAL, DATA)
FILL(write_io, PORT, DATA)
FILL(write_mmio_virtual, VIRTUAL, MMIO, DATA)
FILL(write_mmio_linear, LINEAR, MMIO, DATA)
FILL(write_mmio_physical, PHYSICAL, MMIO, DATA)

// NOLINTEND(bugprone-macro-parentheses)

// The most bytes of one request, rounded down to whole accesses. An access size that is none is
// left to the debuggee to refuse.
static uint64_t chunk_max(const struct pulse_engine *engine, const struct transfer *transfer)
{
    enum protocol_version version = engine->version == PROTOCOL_V1 ? PROTOCOL_V1 : PROTOCOL_V2;
    uint64_t max = packet_max(version) - packet_size(transfer->kind);
    bool has_accesses =
        transfer->access_size == 2 || transfer->access_size == 4 || transfer->access_size == 8;
    return has_accesses ? max - max % transfer->access_size : max;
}

static void take_cache_type(const struct packet *reply, PS_CACHE_TYPE *out)
{
    if (reply->kind == PACKET_MMIO_WRITTEN) {
        *out = (PS_CACHE_TYPE)reply->mmio_written.cache_type;
    } else if (reply->kind == PACKET_MMIO_VIRTUAL_DATA) {
        *out = (PS_CACHE_TYPE)reply->mmio_virtual_data.cache_type;
    } else if (reply->kind == PACKET_MMIO_LINEAR_DATA) {
        *out = (PS_CACHE_TYPE)reply->mmio_linear_data.cache_type;
    } else if (reply->kind == PACKET_MMIO_PHYSICAL_DATA) {
        *out = (PS_CACHE_TYPE)reply->mmio_physical_data.cache_type;
    }
}

// Takes what a valid reply brought; returns how many bytes it moved.
static uint64_t take_chunk(const struct transfer *transfer, const struct reply *reply)
{
    if (!transfer->is_write) {
        struct packet_view data = reply_data(reply);
        memcpy(transfer->buffer + transfer->moved, data.bytes, data.len);
        return data.len;
    }
    bool is_mmio = reply->packet.kind == PACKET_MMIO_WRITTEN;
    return is_mmio ? reply->packet.mmio_written.bytes : reply->packet.success.value;
}

static PULSE_STATUS move_chunk(struct pulse_engine *engine, const struct transfer *transfer,
                               uint64_t len, const struct reply **out_reply)
{
    struct packet packet = {.kind = transfer->kind};
    transfer->fill(transfer, (uint32_t)len, &packet);
    return engine_execute(engine, &packet, out_reply);
}

// The end of a call after something has moved: an answer of the debuggee is a partial transfer, a
// failure on the way is itself.
static PULSE_STATUS partial(const struct pulse_engine *engine, const struct transfer *transfer)
{
    return engine_status(engine, transfer->is_write ? STATUS_PARTIAL_WRITE : STATUS_PARTIAL_READ);
}

// Takes a valid reply to a request for len bytes; false when the call ends with it. The addresses
// of one call do not wrap around.
static bool advance(struct transfer *transfer, const struct reply *reply, uint64_t len)
{
    if (transfer->cache != NULL) {
        take_cache_type(&reply->packet, transfer->cache);
    }
    uint64_t moved = take_chunk(transfer, reply);
    transfer->moved += moved;
    transfer->at += transfer->rises ? moved : 0;
    bool wrapped = transfer->rises && transfer->at < moved && transfer->moved < transfer->len;
    return moved == len && !wrapped;
}

// Every request but the last is full.
static PULSE_STATUS move_all(struct pulse_engine *engine, struct transfer *transfer)
{
    uint64_t max = chunk_max(engine, transfer);
    do {
        uint64_t left = transfer->len - transfer->moved;
        uint64_t len = left < max ? left : max;
        const struct reply *reply = NULL;
        PULSE_STATUS status = move_chunk(engine, transfer, len, &reply);
        if (status != PULSE_STATUS_SUCCESS) {
            bool is_answer = reply->packet.kind == PACKET_STATUS;
            return is_answer && transfer->moved > 0 ? partial(engine, transfer) : status;
        }
        if (!advance(transfer, reply, len)) {
            return partial(engine, transfer);
        }
    } while (transfer->moved < transfer->len);
    return PULSE_STATUS_SUCCESS;
}

// What the debuggee would refuse as a whole must not be moved in part.
static enum pulse_status check_accesses(const struct pulse_engine *engine,
                                        const struct transfer *transfer)
{
    bool is_port = !transfer->rises;
    uint16_t size = transfer->access_size;
    if (size == 0 || transfer->len <= chunk_max(engine, transfer)) {
        return STATUS_SUCCESS;
    }
    if (is_port && size != 1 && size != 2 && size != 4) {
        return STATUS_INVALID_ACCESS_SIZE;
    }
    if (transfer->len % size != 0) {
        return is_port ? STATUS_NOT_ALIGNED : STATUS_INVALID_PARAMETER;
    }
    return STATUS_SUCCESS;
}

static PULSE_STATUS transfer_refuse(const struct pulse_engine *engine, uint64_t *out_moved)
{
    if (out_moved != NULL) {
        *out_moved = 0;
    }
    return engine_status(engine, STATUS_INVALID_PARAMETER);
}

static PULSE_STATUS transfer_run(struct pulse_engine *engine, struct transfer *transfer,
                                 uint64_t *out_moved)
{
    if (engine == NULL || transfer->buffer == NULL) {
        return transfer_refuse(engine, out_moved);
    }
    uint64_t ignored = 0;
    uint64_t *moved = out_moved != NULL ? out_moved : &ignored;
    *moved = 0;
    PULSE_STATUS status = engine_enter(engine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    enum pulse_status refused = check_accesses(engine, transfer);
    if (refused != STATUS_SUCCESS) {
        return engine_status(engine, refused);
    }
    if (transfer->len == 0 && engine->version == PROTOCOL_V1) {
        return PULSE_STATUS_SUCCESS;
    }
    status = move_all(engine, transfer);
    *moved = transfer->moved;
    return status;
}

// A transfer without its place.
static struct transfer transfer_of(enum packet_kind kind, fill_fn *fill, void *buffer, uint64_t len)
{
    return (struct transfer){
        .kind = kind, .fill = fill, .rises = true, .buffer = buffer, .len = len};
}

#define READ(KIND, name)  transfer_of(PACKET_##KIND, fill_##name, pBuffer, cbToRead)
#define WRITE(KIND, name) transfer_of(PACKET_##KIND, fill_##name, pBuffer, cbToWrite)

// NOLINTBEGIN(readability-identifier-naming, readability-function-size): the documented prototypes

PULSE_STATUS PsReadVirtualMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                                 uint16_t SelectorValue, uint64_t Offset, void *pBuffer,
                                 uint64_t cbToRead, uint64_t *pcbRead)
{
    struct transfer transfer = READ(READ_VIRTUAL, read_virtual);
    transfer.root = PageTableAddress;
    transfer.selector = SelectorValue;
    transfer.at = Offset;
    return transfer_run(pEngine, &transfer, pcbRead);
}

PULSE_STATUS PsWriteVirtualMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                                  uint16_t SelectorValue, uint64_t Offset, void *pBuffer,
                                  uint64_t cbToWrite, uint64_t *pcbWritten)
{
    struct transfer transfer = WRITE(WRITE_VIRTUAL, write_virtual);
    transfer.is_write = true;
    transfer.root = PageTableAddress;
    transfer.selector = SelectorValue;
    transfer.at = Offset;
    return transfer_run(pEngine, &transfer, pcbWritten);
}

PULSE_STATUS PsReadLinearMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                                void *pBuffer, uint64_t cbToRead, uint64_t *pcbRead)
{
    struct transfer transfer = READ(READ_LINEAR, read_linear);
    transfer.root = PageTableAddress;
    transfer.at = Address;
    return transfer_run(pEngine, &transfer, pcbRead);
}

PULSE_STATUS PsWriteLinearMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                                 void *pBuffer, uint64_t cbToWrite, uint64_t *pcbWritten)
{
    struct transfer transfer = WRITE(WRITE_LINEAR, write_linear);
    transfer.is_write = true;
    transfer.root = PageTableAddress;
    transfer.at = Address;
    return transfer_run(pEngine, &transfer, pcbWritten);
}

PULSE_STATUS PsReadPhysicalMemory(PPS_ENGINE pEngine, uint64_t Address, void *pBuffer,
                                  uint64_t cbToRead, uint64_t *pcbRead)
{
    struct transfer transfer = READ(READ_PHYSICAL, read_physical);
    transfer.at = Address;
    return transfer_run(pEngine, &transfer, pcbRead);
}

PULSE_STATUS PsWritePhysicalMemory(PPS_ENGINE pEngine, uint64_t Address, void *pBuffer,
                                   uint64_t cbToWrite, uint64_t *pcbWritten)
{
    struct transfer transfer = WRITE(WRITE_PHYSICAL, write_physical);
    transfer.is_write = true;
    transfer.at = Address;
    return transfer_run(pEngine, &transfer, pcbWritten);
}

PULSE_STATUS PsReadIo(PPS_ENGINE pEngine, uint16_t Port, uint16_t AccessSize, void *pBuffer,
                      uint64_t cbToRead, uint64_t *pcbRead)
{
    struct transfer transfer = READ(READ_IO, read_io);
    transfer.rises = false;
    transfer.at = Port;
    transfer.access_size = AccessSize;
    return transfer_run(pEngine, &transfer, pcbRead);
}

PULSE_STATUS PsWriteIo(PPS_ENGINE pEngine, uint16_t Port, uint16_t AccessSize, void *pBuffer,
                       uint64_t cbToWrite, uint64_t *pcbWritten)
{
    struct transfer transfer = WRITE(WRITE_IO, write_io);
    transfer.is_write = true;
    transfer.rises = false;
    transfer.at = Port;
    transfer.access_size = AccessSize;
    return transfer_run(pEngine, &transfer, pcbWritten);
}

static PULSE_STATUS mmio_run(struct pulse_engine *engine, struct transfer *transfer,
                             uint8_t access_size, PS_CACHE_TYPE *cache, uint64_t *out_moved)
{
    transfer->access_size = access_size;
    transfer->cache = cache;
    if (cache == NULL) {
        return transfer_refuse(engine, out_moved);
    }
    transfer->wanted_cache = (uint8_t)*cache;
    return transfer_run(engine, transfer, out_moved);
}

PULSE_STATUS PsReadMmioVirtual(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                               uint16_t SelectorValue, uint64_t Offset, uint8_t AccessSize,
                               PS_CACHE_TYPE *pCacheType, void *pBuffer, uint64_t cbToRead,
                               uint64_t *pcbRead)
{
    struct transfer transfer = READ(READ_MMIO_VIRTUAL, read_mmio_virtual);
    transfer.root = PageTableAddress;
    transfer.selector = SelectorValue;
    transfer.at = Offset;
    return mmio_run(pEngine, &transfer, AccessSize, pCacheType, pcbRead);
}

PULSE_STATUS PsWriteMmioVirtual(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                                uint16_t SelectorValue, uint64_t Offset, uint8_t AccessSize,
                                PS_CACHE_TYPE *pCacheType, void *pBuffer, uint64_t cbToWrite,
                                uint64_t *pcbWritten)
{
    struct transfer transfer = WRITE(WRITE_MMIO_VIRTUAL, write_mmio_virtual);
    transfer.is_write = true;
    transfer.root = PageTableAddress;
    transfer.selector = SelectorValue;
    transfer.at = Offset;
    return mmio_run(pEngine, &transfer, AccessSize, pCacheType, pcbWritten);
}

PULSE_STATUS PsReadMmioLinear(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                              uint8_t AccessSize, PS_CACHE_TYPE *pCacheType, void *pBuffer,
                              uint64_t cbToRead, uint64_t *pcbRead)
{
    struct transfer transfer = READ(READ_MMIO_LINEAR, read_mmio_linear);
    transfer.root = PageTableAddress;
    transfer.at = Address;
    return mmio_run(pEngine, &transfer, AccessSize, pCacheType, pcbRead);
}

PULSE_STATUS PsWriteMmioLinear(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                               uint8_t AccessSize, PS_CACHE_TYPE *pCacheType, void *pBuffer,
                               uint64_t cbToWrite, uint64_t *pcbWritten)
{
    struct transfer transfer = WRITE(WRITE_MMIO_LINEAR, write_mmio_linear);
    transfer.is_write = true;
    transfer.root = PageTableAddress;
    transfer.at = Address;
    return mmio_run(pEngine, &transfer, AccessSize, pCacheType, pcbWritten);
}

PULSE_STATUS PsReadMmioPhysical(PPS_ENGINE pEngine, uint64_t Address, uint8_t AccessSize,
                                PS_CACHE_TYPE *pCacheType, void *pBuffer, uint64_t cbToRead,
                                uint64_t *pcbRead)
{
    struct transfer transfer = READ(READ_MMIO_PHYSICAL, read_mmio_physical);
    transfer.at = Address;
    return mmio_run(pEngine, &transfer, AccessSize, pCacheType, pcbRead);
}

PULSE_STATUS PsWriteMmioPhysical(PPS_ENGINE pEngine, uint64_t Address, uint8_t AccessSize,
                                 PS_CACHE_TYPE *pCacheType, void *pBuffer, uint64_t cbToWrite,
                                 uint64_t *pcbWritten)
{
    struct transfer transfer = WRITE(WRITE_MMIO_PHYSICAL, write_mmio_physical);
    transfer.is_write = true;
    transfer.at = Address;
    return mmio_run(pEngine, &transfer, AccessSize, pCacheType, pcbWritten);
}

// NOLINTEND(readability-identifier-naming, readability-function-size)
