// Breakpoints and their filters. The two versions' packets differ in all but their meaning.

#include "engine.h"
#include "protocol/bytes.h"

_Static_assert(PS_MAX_BREAK_POINTS == BREAKPOINTS_MAX, "a list has room for all");
_Static_assert(PS_MAX_BREAK_POINT_FILTERS == FILTERS_MAX, "a list has room for all");

// The most entries of a version 1 list: what fits its largest packet.
enum {
    BREAKPOINT_SIZE = 16,
    FILTER_SIZE_V1 = 26,
    FILTER_SIZE = 40,
    MOST_BREAKPOINTS_V1 = (PACKET_MAX_V1 - 20) / BREAKPOINT_SIZE,
    MOST_FILTERS_V1 = (PACKET_MAX_V1 - 20) / FILTER_SIZE_V1,
};

static bool is_v1(const struct pulse_engine *engine)
{
    return engine->version == PROTOCOL_V1;
}

static PULSE_STATUS execute(struct pulse_engine *engine, struct packet packet)
{
    const struct reply *reply = NULL;
    return engine_execute(engine, &packet, &reply);
}

static PULSE_STATUS execute_for_id(struct pulse_engine *engine, struct packet packet, uint16_t *out)
{
    const struct reply *reply = NULL;
    PULSE_STATUS status = engine_execute(engine, &packet, &reply);
    if (status == PULSE_STATUS_SUCCESS && out != NULL) {
        *out = (uint16_t)reply->packet.success.value;
    }
    return status;
}

// NOLINTBEGIN(readability-identifier-naming, readability-function-size): the documented prototypes

PULSE_STATUS PsSetBreakPoint(PPS_ENGINE pEngine, uint64_t PhysicalAddress, uint16_t *pBreakPointId)
{
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    struct packet packet = {.kind = PACKET_SET_BREAKPOINT,
                            .set_breakpoint = {.address = PhysicalAddress}};
    return execute_for_id(pEngine, packet, pBreakPointId);
}

PULSE_STATUS PsRemoveBreakPoint(PPS_ENGINE pEngine, uint16_t BreakPointId)
{
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    if (is_v1(pEngine)) {
        return execute(pEngine,
                       (struct packet){.kind = PACKET_REMOVE_BREAKPOINT_V1,
                                       .remove_breakpoint_v1 = {.breakpoint = BreakPointId}});
    }
    return execute(pEngine, (struct packet){.kind = PACKET_REMOVE_BREAKPOINT,
                                            .remove_breakpoint = {.breakpoint = BreakPointId}});
}

PULSE_STATUS PsClearBreakPoints(PPS_ENGINE pEngine)
{
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    return execute(pEngine, (struct packet){.kind = PACKET_CLEAR_BREAKPOINTS});
}

PULSE_STATUS PsAddBreakPointFilter(PPS_ENGINE pEngine, uint16_t BreakPointId,
                                   PPS_BREAK_POINT_FILTER_PARAMS pBreakPointFilterParams,
                                   uint16_t *pBreakPointFilterId)
{
    if (pEngine == NULL || pBreakPointFilterParams == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    struct packet packet = {.kind = PACKET_ADD_FILTER,
                            .add_filter = {
                                .breakpoint = BreakPointId,
                                .match_flags = pBreakPointFilterParams->MatchFlags,
                                .skip_flags = pBreakPointFilterParams->SkipFlags,
                                .selector = pBreakPointFilterParams->Selector,
                                .page_table = pBreakPointFilterParams->PageTableAddress,
                                .address = pBreakPointFilterParams->Address,
                                .fs_base = pBreakPointFilterParams->FsBase,
                                .gs_base = pBreakPointFilterParams->GsBase,
                            }};
    return execute_for_id(pEngine, packet, pBreakPointFilterId);
}

PULSE_STATUS PsRemoveBreakPointFilter(PPS_ENGINE pEngine, uint16_t BreakPointId,
                                      uint16_t BreakPointFilterId)
{
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    struct packet packet = {
        .kind = PACKET_REMOVE_FILTER,
        .remove_filter = {.breakpoint = BreakPointId, .filter = BreakPointFilterId}};
    return execute(pEngine, packet);
}

PULSE_STATUS PsAddBreakPointFilter2018(PPS_ENGINE pEngine, uint32_t BreakPointId,
                                       uint64_t PageTable, uint64_t Address, uint64_t ThreadBase,
                                       uint16_t Selector)
{
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    struct packet packet = {.kind = PACKET_ADD_FILTER_V1,
                            .add_filter_v1 = {.breakpoint = BreakPointId,
                                              .page_table = PageTable,
                                              .address = Address,
                                              .thread_base = ThreadBase,
                                              .selector = Selector}};
    return execute(pEngine, packet);
}

PULSE_STATUS PsRemoveBreakPointFilter2018(PPS_ENGINE pEngine, uint32_t BreakPointId,
                                          uint64_t PageTable, uint64_t Address, uint64_t ThreadBase,
                                          uint16_t Selector)
{
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    struct packet packet = {.kind = PACKET_REMOVE_FILTER_V1,
                            .remove_filter_v1 = {.breakpoint = BreakPointId,
                                                 .page_table = PageTable,
                                                 .address = Address,
                                                 .thread_base = ThreadBase,
                                                 .selector = Selector}};
    return execute(pEngine, packet);
}

// --- lists ----------------------------------------------------------------------------------

// A list reply of either version.
struct list {
    const uint8_t *entries;
    uint32_t count;
    uint32_t total;
};

static void read_breakpoint(const uint8_t *entry, PS_BREAK_POINT_INFO *out)
{
    *out = (PS_BREAK_POINT_INFO){
        .Id = (uint16_t)load_le(entry, 2),
        .OriginalByte = entry[2],
        .Flags = entry[3],
        .HitCount = (uint16_t)load_le(entry + 4, 2),
        .FilterCount = (uint16_t)load_le(entry + 6, 2),
        .PhysAddress = load_le(entry + 8, 8),
    };
}

// Version 1 does not say how many filters there are.
static void read_breakpoint_v1(const uint8_t *entry, PS_BREAK_POINT_INFO *out)
{
    *out = (PS_BREAK_POINT_INFO){
        .Id = (uint16_t)load_le(entry, 4),
        .OriginalByte = entry[4],
        .Flags = entry[5],
        .HitCount = (uint16_t)load_le(entry + 6, 2),
        .PhysAddress = load_le(entry + 8, 8),
    };
}

static void read_filter(const uint8_t *entry, PS_BREAK_POINT_FILTER_INFO *out)
{
    *out = (PS_BREAK_POINT_FILTER_INFO){
        .Id = (uint16_t)load_le(entry, 2),
        .SegmentSelector = (uint16_t)load_le(entry + 2, 2),
        .MatchFlags = (uint16_t)load_le(entry + 4, 2),
        .SkipFlags = (uint16_t)load_le(entry + 6, 2),
        .PageTableAddress = load_le(entry + 8, 8),
        .Address = load_le(entry + 16, 8),
        .FsBaseAddress = load_le(entry + 24, 8),
        .GsBaseAddress = load_le(entry + 32, 8),
    };
}

// Version 1 filters have no id and no flags; the thread's base may be that of FS or of GS.
static void read_filter_v1(const uint8_t *entry, PS_BREAK_POINT_FILTER_INFO *out)
{
    *out = (PS_BREAK_POINT_FILTER_INFO){
        .PageTableAddress = load_le(entry, 8),
        .Address = load_le(entry + 8, 8),
        .FsBaseAddress = load_le(entry + 16, 8),
        .GsBaseAddress = load_le(entry + 16, 8),
        .SegmentSelector = (uint16_t)load_le(entry + 24, 2),
    };
}

static struct packet ask_breakpoints(const struct pulse_engine *engine, uint16_t first,
                                     bool entries)
{
    if (is_v1(engine)) {
        uint32_t most = entries ? MOST_BREAKPOINTS_V1 : 0;
        return (struct packet){.kind = PACKET_LIST_BREAKPOINTS_V1,
                               .list_breakpoints_v1 = {.first = first, .most = most}};
    }
    uint16_t most = entries ? BREAKPOINTS_MAX : 0;
    return (struct packet){.kind = PACKET_LIST_BREAKPOINTS,
                           .list_breakpoints = {.first = first, .most = most}};
}

static struct list list_of_breakpoints(const struct packet *reply)
{
    if (reply->kind == PACKET_BREAKPOINTS_V1) {
        const struct packet_breakpoints_v1 *list = &reply->breakpoints_v1;
        return (struct list){list->entries, list->count, list->total};
    }
    const struct packet_breakpoints *list = &reply->breakpoints;
    return (struct list){list->entries, list->count, list->total};
}

PULSE_STATUS PsGetBreakPointInfo(PPS_ENGINE pEngine, PPS_BREAK_POINT_INFO pBreakPointInfoArray,
                                 uint16_t StartBreakPointId, uint16_t *pCount,
                                 uint16_t *pTotalCount)
{
    bool wants_entries = pBreakPointInfoArray != NULL;
    if (pEngine == NULL || (wants_entries ? pCount == NULL : pTotalCount == NULL)) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    const struct reply *reply = NULL;
    struct packet packet = ask_breakpoints(pEngine, StartBreakPointId, wants_entries);
    status = engine_execute(pEngine, &packet, &reply);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    struct list list = list_of_breakpoints(&reply->packet);
    for (size_t i = 0; i < list.count && wants_entries; i++) {
        const uint8_t *entry = list.entries + BREAKPOINT_SIZE * i;
        is_v1(pEngine) ? read_breakpoint_v1(entry, &pBreakPointInfoArray[i])
                       : read_breakpoint(entry, &pBreakPointInfoArray[i]);
    }
    if (pCount != NULL) {
        *pCount = wants_entries ? (uint16_t)list.count : 0;
    }
    if (pTotalCount != NULL) {
        *pTotalCount = (uint16_t)list.total;
    }
    return status;
}

static struct packet ask_filters(const struct pulse_engine *engine, uint16_t breakpoint,
                                 uint16_t skip)
{
    if (is_v1(engine)) {
        return (struct packet){
            .kind = PACKET_LIST_FILTERS_V1,
            .list_filters_v1 = {.breakpoint = breakpoint, .skip = skip, .most = MOST_FILTERS_V1}};
    }
    return (struct packet){
        .kind = PACKET_LIST_FILTERS,
        .list_filters = {.breakpoint = breakpoint, .skip = skip, .most = FILTERS_MAX}};
}

PULSE_STATUS PsGetBreakPointFilterInfo(PPS_ENGINE pEngine,
                                       PPS_BREAK_POINT_FILTER_INFO pBreakPointFilterInfoArray,
                                       uint16_t BreakPointId, uint16_t FiltersSkipCount,
                                       uint16_t *pCount)
{
    if (pEngine == NULL || pBreakPointFilterInfoArray == NULL || pCount == NULL) {
        return engine_status(pEngine, STATUS_INVALID_PARAMETER);
    }
    PULSE_STATUS status = engine_enter(pEngine);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    const struct reply *reply = NULL;
    struct packet packet = ask_filters(pEngine, BreakPointId, FiltersSkipCount);
    status = engine_execute(pEngine, &packet, &reply);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    if (is_v1(pEngine)) {
        *pCount = (uint16_t)reply->packet.filters_v1.count;
    } else {
        *pCount = reply->packet.filters.count;
    }
    for (size_t i = 0; i < *pCount; i++) {
        if (is_v1(pEngine)) {
            read_filter_v1(reply->packet.filters_v1.entries + FILTER_SIZE_V1 * i,
                           &pBreakPointFilterInfoArray[i]);
        } else {
            read_filter(reply->packet.filters.entries + FILTER_SIZE * i,
                        &pBreakPointFilterInfoArray[i]);
        }
    }
    return status;
}

// NOLINTEND(readability-identifier-naming, readability-function-size)
