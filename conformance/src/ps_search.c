// Searches, walks, translations.

#include <string.h>

#include "engine.h"
#include "protocol/bytes.h"

// NOLINTBEGIN(readability-identifier-naming, readability-function-size): the documented prototypes

// A search by a packet that is filled in but for what is checked here. A pattern is 1 to 4,096
// bytes.
static PULSE_STATUS search(struct pulse_engine *engine, struct packet packet, const void *pattern,
                           uint32_t pattern_len, uint64_t *out)
{
    if (engine == NULL || pattern == NULL || pattern_len == 0 || pattern_len > PATTERN_MAX) {
        return engine_status(engine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(engine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    const struct reply *reply = NULL;
    status = engine_execute(engine, &packet, &reply);
    if (status == PULSE_STATUS_SUCCESS && out != NULL) {
        *out = reply->packet.search_hit.address;
    }
    return status;
}

PULSE_STATUS PsSearchVirtualMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint16_t Selector,
                                   uint64_t StartOffset, uint64_t EndOffset, void *pPattern,
                                   uint32_t PatternSize, uint32_t SearchStep, uint8_t IgnoreGaps,
                                   uint64_t *pResult)
{
    struct packet packet = {.kind = PACKET_SEARCH_VIRTUAL,
                            .search_virtual = {.root = PageTableAddress,
                                               .start = StartOffset,
                                               .end = EndOffset,
                                               .selector = Selector,
                                               .step = SearchStep,
                                               .ignore_gaps = IgnoreGaps != 0,
                                               .length = PatternSize,
                                               .pattern = pPattern}};
    return search(pEngine, packet, pPattern, PatternSize, pResult);
}

PULSE_STATUS PsSearchLinearMemory(PPS_ENGINE pEngine, uint64_t PageTableAddress,
                                  uint64_t StartAddress, uint64_t EndAddress, void *pPattern,
                                  uint32_t PatternSize, uint32_t SearchStep, uint8_t IgnoreGaps,
                                  uint64_t *pResult)
{
    struct packet packet = {.kind = PACKET_SEARCH_LINEAR,
                            .search_linear = {.root = PageTableAddress,
                                              .start = StartAddress,
                                              .end = EndAddress,
                                              .step = SearchStep,
                                              .ignore_gaps = IgnoreGaps != 0,
                                              .length = PatternSize,
                                              .pattern = pPattern}};
    return search(pEngine, packet, pPattern, PatternSize, pResult);
}

PULSE_STATUS PsSearchPhysicalMemory(PPS_ENGINE pEngine, uint64_t StartAddress, uint64_t EndAddress,
                                    void *pPattern, uint32_t PatternSize, uint32_t SearchStep,
                                    uint8_t IgnoreGaps, uint64_t *pResult)
{
    struct packet packet = {.kind = PACKET_SEARCH_PHYSICAL,
                            .search_physical = {.start = StartAddress,
                                                .end = EndAddress,
                                                .step = SearchStep,
                                                .ignore_gaps = IgnoreGaps != 0,
                                                .length = PatternSize,
                                                .pattern = pPattern}};
    return search(pEngine, packet, pPattern, PatternSize, pResult);
}

// How many entries a walk has at most, by PS_PAGE_WALK_MODE.
static uint16_t max_entries(uint8_t mode)
{
    static const uint8_t most[] = {0, 2, 3, 4, 5};
    return mode < sizeof(most) ? most[mode] : 0;
}

static void read_walk(const struct packet_walk *walk, PPS_PAGE_WALK_INFO out)
{
    *out = (PS_PAGE_WALK_INFO){
        .NumEntries = walk->count,
        .MaxEntries = max_entries(walk->mode),
        .PageWalkMode = walk->mode,
        .LastValidEntry = walk->last_valid,
        .ValidTranslation = walk->valid,
    };
    for (size_t i = 0; i < walk->count; i++) {
        out->Entry[i] = load_le(walk->entries + 8 * i, 8);
    }
}

static PULSE_STATUS walk(struct pulse_engine *engine, struct packet packet, PPS_PAGE_WALK_INFO out)
{
    if (engine == NULL || out == NULL) {
        return engine_status(engine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(engine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    const struct reply *reply = NULL;
    status = engine_execute(engine, &packet, &reply);
    if (status == PULSE_STATUS_SUCCESS) {
        read_walk(&reply->packet.walk, out);
    }
    return status;
}

PULSE_STATUS PsWalkPageVirtual(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint16_t Selector,
                               uint64_t Offset, PPS_PAGE_WALK_INFO pPageWalkInfo)
{
    struct packet packet = {
        .kind = PACKET_WALK_VIRTUAL,
        .walk_virtual = {.root = PageTableAddress, .selector = Selector, .offset = Offset}};
    return walk(pEngine, packet, pPageWalkInfo);
}

PULSE_STATUS PsWalkPageLinear(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                              PPS_PAGE_WALK_INFO pPageWalkInfo)
{
    struct packet packet = {.kind = PACKET_WALK_LINEAR,
                            .walk_linear = {.root = PageTableAddress, .address = Address}};
    return walk(pEngine, packet, pPageWalkInfo);
}

static PULSE_STATUS translate(struct pulse_engine *engine, struct packet packet, uint64_t *out)
{
    PULSE_STATUS status = engine_enter(engine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    const struct reply *reply = NULL;
    status = engine_execute(engine, &packet, &reply);
    if (status == PULSE_STATUS_SUCCESS && out != NULL) {
        *out = reply->packet.physical_address.address;
    }
    return status;
}

PULSE_STATUS PsVirtualToPhysical(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint16_t Selector,
                                 uint64_t Offset, uint64_t *pPhysicalAddress)
{
    struct packet packet = {
        .kind = PACKET_VIRTUAL_TO_PHYSICAL,
        .virtual_to_physical = {.root = PageTableAddress, .selector = Selector, .offset = Offset}};
    return translate(pEngine, packet, pPhysicalAddress);
}

PULSE_STATUS PsLinearToPhysical(PPS_ENGINE pEngine, uint64_t PageTableAddress, uint64_t Address,
                                uint64_t *pPhysicalAddress)
{
    struct packet packet = {.kind = PACKET_LINEAR_TO_PHYSICAL,
                            .linear_to_physical = {.root = PageTableAddress, .address = Address}};
    return translate(pEngine, packet, pPhysicalAddress);
}

// NOLINTEND(readability-identifier-naming, readability-function-size)
