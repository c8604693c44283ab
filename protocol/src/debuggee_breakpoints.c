// Breakpoints, their filters, and the lists of both.

#include "exchange.h"
#include "protocol/bytes.h"

enum {
    CHUNK = 16, // entries fetched from the target at a time
    BREAKPOINT_ENTRY = 16,
    FILTER_ENTRY = 40,
    FILTER_ENTRY_V1 = 26,
};

void answer_set_breakpoint(struct exchange *x, const struct packet *packet)
{
    uint16_t id = 0;
    enum pulse_status status =
        x->debuggee->ops->set_breakpoint(x->debuggee->target, packet->set_breakpoint.address, &id);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    exchange_value(x, id);
}

void answer_remove_breakpoint(struct exchange *x, const struct packet *packet)
{
    exchange_outcome(x, x->debuggee->ops->remove_breakpoint(x->debuggee->target,
                                                            packet->remove_breakpoint.breakpoint));
}

void answer_remove_breakpoint_v1(struct exchange *x, const struct packet *packet)
{
    exchange_outcome(x, x->debuggee->ops->remove_breakpoint(
                            x->debuggee->target, packet->remove_breakpoint_v1.breakpoint));
}

void answer_clear_breakpoints(struct exchange *x, const struct packet *packet)
{
    (void)packet;
    exchange_outcome(x, x->debuggee->ops->clear_breakpoints(x->debuggee->target));
}

void answer_add_filter(struct exchange *x, const struct packet *packet)
{
    const struct packet_add_filter *request = &packet->add_filter;
    uint16_t flags = request->match_flags | request->skip_flags;
    if (flags == 0 || (flags & ~FILTER_FLAGS) != 0) {
        exchange_status(x, STATUS_INVALID_PARAMETER);
        return;
    }
    struct target_filter filter = {
        .selector = request->selector,
        .match_flags = request->match_flags,
        .skip_flags = request->skip_flags,
        .page_table = request->page_table,
        .address = request->address,
        .fs_base = request->fs_base,
        .gs_base = request->gs_base,
    };
    uint16_t id = 0;
    enum pulse_status status =
        x->debuggee->ops->add_filter(x->debuggee->target, request->breakpoint, &filter, &id);
    if (status != STATUS_SUCCESS) {
        exchange_status(x, status);
        return;
    }
    exchange_value(x, id);
}

void answer_remove_filter(struct exchange *x, const struct packet *packet)
{
    const struct packet_remove_filter *request = &packet->remove_filter;
    exchange_outcome(x, x->debuggee->ops->remove_filter(x->debuggee->target, request->breakpoint,
                                                        request->filter));
}

// The 2018 debuggee calls an unknown breakpoint an invalid packet, and answers what fails on an
// existing one with the status 0.
static void answer_filter_v1(struct exchange *x, enum pulse_status status)
{
    if (status == STATUS_SUCCESS) {
        exchange_value(x, 0);
    } else if (status == STATUS_BREAKPOINT_NOT_FOUND || status == STATUS_BREAKPOINT_TABLE_EMPTY) {
        exchange_status(x, STATUS_INVALID_PACKET);
    } else {
        exchange_status(x, STATUS_SUCCESS);
    }
}

// Version 1: all five values must match.
static struct target_filter filter_v1(uint64_t page_table, uint64_t address, uint64_t thread_base,
                                      uint16_t selector)
{
    return (struct target_filter){
        .selector = selector,
        .match_flags = FILTER_PAGE_TABLE | FILTER_ADDRESS | FILTER_SELECTOR | FILTER_THREAD,
        .page_table = page_table,
        .address = address,
        .fs_base = thread_base,
        .gs_base = thread_base,
    };
}

void answer_add_filter_v1(struct exchange *x, const struct packet *packet)
{
    const struct packet_add_filter_v1 *request = &packet->add_filter_v1;
    struct target_filter filter =
        filter_v1(request->page_table, request->address, request->thread_base, request->selector);
    uint16_t id = 0;
    answer_filter_v1(
        x, x->debuggee->ops->add_filter(x->debuggee->target, request->breakpoint, &filter, &id));
}

static bool is_same(const struct target_filter *a, const struct target_filter *b)
{
    return a->match_flags == b->match_flags && a->selector == b->selector &&
           a->page_table == b->page_table && a->address == b->address && a->fs_base == b->fs_base;
}

// The first of num filters that is the same; NULL when none is.
static const struct target_filter *find_same(const struct target_filter *filters, size_t num,
                                             const struct target_filter *wanted)
{
    for (size_t i = 0; i < num; i++) {
        if (is_same(&filters[i], wanted)) {
            return &filters[i];
        }
    }
    return NULL;
}

// Finds the filter with these five values, as version 1 names filters.
static enum pulse_status find_filter(const struct exchange *x, uint32_t breakpoint,
                                     const struct target_filter *wanted, uint16_t *out_id)
{
    const struct debuggee *debuggee = x->debuggee;
    struct target_filter chunk[CHUNK];
    struct target_list list = {.skip = 0, .most = CHUNK};
    do {
        enum pulse_status status =
            debuggee->ops->list_filters(debuggee->target, breakpoint, chunk, &list);
        if (status != STATUS_SUCCESS) {
            return status;
        }
        const struct target_filter *same = find_same(chunk, list.count, wanted);
        if (same) {
            *out_id = same->id;
            return STATUS_SUCCESS;
        }
        list.skip += list.count;
    } while (list.count == CHUNK);
    return STATUS_FILTER_NOT_FOUND;
}

void answer_remove_filter_v1(struct exchange *x, const struct packet *packet)
{
    const struct packet_remove_filter_v1 *request = &packet->remove_filter_v1;
    struct target_filter wanted =
        filter_v1(request->page_table, request->address, request->thread_base, request->selector);
    uint16_t id = 0;
    enum pulse_status status = find_filter(x, request->breakpoint, &wanted, &id);
    if (status == STATUS_SUCCESS) {
        status = x->debuggee->ops->remove_filter(x->debuggee->target, request->breakpoint, id);
    }
    answer_filter_v1(x, status);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Writes up to most entries, of both versions the same, to out; the total in *out_total.
static size_t list_breakpoints(const struct debuggee *debuggee, uint32_t first, size_t most,
                               uint8_t *out, size_t *out_total)
{
    struct target_breakpoint chunk[CHUNK];
    struct target_list list = {.most = 0};
    struct byte_writer writer = {out, out + most * BREAKPOINT_ENTRY, true};
    size_t count = 0;
    do {
        list.most = least(CHUNK, most - count);
        debuggee->ops->list_breakpoints(debuggee->target, first, chunk, &list);
        for (size_t i = 0; i < list.count; i++) {
            write_number(&writer, 2, chunk[i].id);
            write_number(&writer, 1, chunk[i].original_byte);
            write_number(&writer, 1, 0);
            write_number(&writer, 2, chunk[i].hit_count);
            write_number(&writer, 2, chunk[i].filter_count);
            write_number(&writer, 8, chunk[i].guest_phys);
            first = chunk[i].id + 1U;
        }
        count += list.count;
    } while (list.count == CHUNK && count < most);
    *out_total = list.total;
    return count;
}

void answer_list_breakpoints(struct exchange *x, const struct packet *packet)
{
    const struct packet_list_breakpoints *request = &packet->list_breakpoints;
    uint8_t *tail = exchange_tail(x, PACKET_BREAKPOINTS);
    size_t most = least(request->most, exchange_tail_max(x, PACKET_BREAKPOINTS) / BREAKPOINT_ENTRY);
    size_t total = 0;
    size_t count = list_breakpoints(x->debuggee, request->first, most, tail, &total);
    struct packet reply = {.kind = PACKET_BREAKPOINTS};
    reply.breakpoints.first = request->first;
    reply.breakpoints.count = (uint16_t)count;
    reply.breakpoints.total = (uint16_t)total;
    reply.breakpoints.entries = tail;
    exchange_reply(x, &reply);
}

// Version 1 entries: u32 id, u8 original byte, u8 0, u16 hit count, u64 address. The version 2
// entry differs in its first eight bytes only.
static void bend_entries(uint8_t *entries, size_t count)
{
    for (uint8_t *entry = entries; count != 0; entry += BREAKPOINT_ENTRY, count--) {
        uint64_t id = load_le(entry, 2);
        uint8_t original_byte = entry[2];
        uint64_t hit_count = load_le(entry + 4, 2);
        store_le(entry, 4, id);
        store_le(entry + 4, 2, original_byte);
        store_le(entry + 6, 2, hit_count);
    }
}

void answer_list_breakpoints_v1(struct exchange *x, const struct packet *packet)
{
    const struct packet_list_breakpoints_v1 *request = &packet->list_breakpoints_v1;
    uint8_t *tail = exchange_tail(x, PACKET_BREAKPOINTS_V1);
    size_t room = exchange_tail_max(x, PACKET_BREAKPOINTS_V1) / BREAKPOINT_ENTRY;
    struct target_breakpoint first = {0};
    struct target_list list = {.most = 1};
    x->debuggee->ops->list_breakpoints(x->debuggee->target, request->first, &first, &list);
    if (list.count == 0 || first.id != request->first) {
        exchange_status(x, STATUS_BREAKPOINT_NOT_FOUND);
        return;
    }
    size_t total = 0;
    size_t count =
        list_breakpoints(x->debuggee, request->first, least(request->most, room), tail, &total);
    bend_entries(tail, count);
    struct packet reply = {.kind = PACKET_BREAKPOINTS_V1};
    reply.breakpoints_v1.first = request->first;
    reply.breakpoints_v1.count = (uint32_t)count;
    reply.breakpoints_v1.total = (uint32_t)total;
    reply.breakpoints_v1.entries = tail;
    exchange_reply(x, &reply);
}

static void write_filter(struct byte_writer *writer, const struct target_filter *filter)
{
    write_number(writer, 2, filter->id);
    write_number(writer, 2, filter->selector);
    write_number(writer, 2, filter->match_flags & FILTER_FLAGS);
    write_number(writer, 2, filter->skip_flags & FILTER_FLAGS);
    write_number(writer, 8, filter->page_table);
    write_number(writer, 8, filter->address);
    write_number(writer, 8, filter->fs_base);
    write_number(writer, 8, filter->gs_base);
}

static void write_filter_v1(struct byte_writer *writer, const struct target_filter *filter)
{
    write_number(writer, 8, filter->page_table);
    write_number(writer, 8, filter->address);
    write_number(writer, 8, filter->fs_base);
    write_number(writer, 2, filter->selector);
}

struct filter_query {
    uint32_t breakpoint;
    size_t skip;
    size_t most;
    void (*write)(struct byte_writer *writer, const struct target_filter *filter);
};

// Writes the entries asked for through writer; false when that has been answered with a status.
static bool list_filters(struct exchange *x, const struct filter_query *query,
                         struct byte_writer *writer, struct target_list *out)
{
    struct target_filter chunk[CHUNK];
    struct target_list list = {.skip = query->skip};
    size_t count = 0;
    do {
        list.most = least(CHUNK, query->most - count);
        enum pulse_status status =
            x->debuggee->ops->list_filters(x->debuggee->target, query->breakpoint, chunk, &list);
        if (status != STATUS_SUCCESS) {
            exchange_status(x, status);
            return false;
        }
        for (size_t i = 0; i < list.count; i++) {
            query->write(writer, &chunk[i]);
        }
        count += list.count;
        list.skip += list.count;
    } while (list.count == CHUNK && count < query->most);
    *out = (struct target_list){.count = count, .total = list.total};
    return true;
}

void answer_list_filters(struct exchange *x, const struct packet *packet)
{
    const struct packet_list_filters *request = &packet->list_filters;
    uint8_t *tail = exchange_tail(x, PACKET_FILTERS);
    size_t room = exchange_tail_max(x, PACKET_FILTERS);
    struct filter_query query = {request->breakpoint, request->skip,
                                 least(request->most, room / FILTER_ENTRY), write_filter};
    struct byte_writer writer = {tail, tail + room, true};
    struct target_list list;
    if (!list_filters(x, &query, &writer, &list)) {
        return;
    }
    struct packet reply = {.kind = PACKET_FILTERS};
    reply.filters.breakpoint = request->breakpoint;
    reply.filters.skipped = request->skip;
    reply.filters.count = (uint16_t)list.count;
    reply.filters.total = (uint16_t)list.total;
    reply.filters.entries = tail;
    exchange_reply(x, &reply);
}

void answer_list_filters_v1(struct exchange *x, const struct packet *packet)
{
    const struct packet_list_filters_v1 *request = &packet->list_filters_v1;
    uint8_t *tail = exchange_tail(x, PACKET_FILTERS_V1);
    size_t room = exchange_tail_max(x, PACKET_FILTERS_V1);
    struct filter_query query = {request->breakpoint, request->skip,
                                 least(request->most, room / FILTER_ENTRY_V1), write_filter_v1};
    struct byte_writer writer = {tail, tail + room, true};
    struct target_list list;
    if (!list_filters(x, &query, &writer, &list)) {
        return;
    }
    struct packet reply = {.kind = PACKET_FILTERS_V1};
    reply.filters_v1.breakpoint = request->breakpoint;
    reply.filters_v1.count = (uint32_t)list.count;
    reply.filters_v1.entries = tail;
    exchange_reply(x, &reply);
}
