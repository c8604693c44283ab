#include "search.h"

#include <string.h>

#include "access.h"

enum {
    SPAN_MAX = 1 << 16,      // bytes looked at in one go
    COMPARED_AT_ONCE = 32,   // bytes of a pattern
    LONG_PATTERN = 256,      // what memmem looks for by another method is longer
    BYTES_AT_ONCE_MOST = 64, // a candidate further from the last one than this is in another line
};

// What lies at an address of the searched space: bytes, or a gap.
struct span {
    const uint8_t *host; // NULL: a gap
    uint64_t len;        // from the address on, never 0
    uint64_t before;     // before the address: bytes, or gap, as well
};

struct cursor {
    struct access access;
    struct target_search *search;
    int64_t work; // that is left
};

// Physical memory: RAM and ROM are bytes; everything else, empty space too, is a gap.
static struct span physical_span(struct memory *memory, uint64_t guest_phys)
{
    uint64_t begin = 0;
    uint64_t end = 0; // 2^64
    for (size_t i = 0; i < memory->num_regions; i++) {
        const struct region *region = &memory->regions[i];
        uint64_t offset = guest_phys - region->base;
        if (offset < region->size && region->host) {
            return (struct span){region->host + offset, region->size - offset, offset};
        }
        if (offset < region->size) {
            return (struct span){NULL, region->size - offset, offset};
        }
        if (region->base > guest_phys) {
            end = region->base;
            break;
        }
        begin = region->base + region->size;
    }
    uint64_t len = end - guest_phys;
    return (struct span){NULL, len != 0 ? len : UINT64_MAX, guest_phys - begin};
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// A gap found by a walk: all that the entry which stopped it covers, the hole between the canonical
// halves, what lies above 4 GiB, or where no table is read at all, everything.
static struct span walk_gap(const struct mmu_walk *walk, uint64_t linear)
{
    struct span gap = {NULL, walk->contiguous != 0 ? walk->contiguous : 1, linear};
    if (walk->page_size != 0) {
        gap.before = linear & (walk->page_size - 1);
    } else if (walk->fault == MMU_FAULT_NON_CANONICAL || walk->fault == MMU_FAULT_BEYOND_4GIB) {
        unsigned bits = mmu_linear_bits(walk->mode);
        gap.before = linear - (UINT64_C(1) << (bits == 32 ? bits : bits - 1));
    }
    return gap;
}

static struct span linear_span(struct cursor *cursor, uint64_t linear)
{
    struct mmu_walk walk;
    if (!mmu_locate(&cursor->access.registers, &cursor->access.memory, linear, &walk)) {
        return walk_gap(&walk, linear);
    }
    struct span span = physical_span(&cursor->access.machine->memory, walk.guest_phys);
    uint64_t in_page = walk.page_size != 0 ? linear & (walk.page_size - 1) : span.before;
    span.len = least(span.len, walk.contiguous);
    span.before = least(span.before, in_page);
    return span;
}

static struct span span_at(struct cursor *cursor, uint64_t address)
{
    struct target_address where = cursor->search->where;
    cursor->work -= where.space == TARGET_VIRTUAL ? SEARCH_SEGMENT_WORK : SEARCH_WALK_WORK;
    if (where.space == TARGET_PHYSICAL) {
        return physical_span(&cursor->access.machine->memory, address);
    }
    where.address = address;
    struct segment_linear linear;
    if (access_linear(&cursor->access, &where, &linear) != STATUS_SUCCESS) {
        return (struct span){NULL, linear.length, linear.before};
    }
    struct span span = linear_span(cursor, linear.linear);
    span.len = least(span.len, linear.length);
    span.before = least(span.before, linear.before);
    return span;
}

// memmem finds long patterns in time that is linear in both lengths.
static bool is_linear(const struct target_search *search)
{
    return search->start <= search->end && search->step == 1 && search->pattern_len > LONG_PATTERN;
}

// What it costs to look at a candidate: its line of memory, and all of the pattern, because nearly
// all of it may be there.
static int64_t candidate_work(const struct target_search *search)
{
    uint32_t apart = search->step < BYTES_AT_ONCE_MOST ? search->step : BYTES_AT_ONCE_MOST;
    return 1 + apart + (is_linear(search) ? 0 : search->pattern_len / COMPARED_AT_ONCE);
}

// How many bytes from address on one transfer could reach if all were there: it ends at the
// segment's limit and does not wrap.
static uint64_t transfer_length(struct cursor *cursor, uint64_t address)
{
    struct target_address where = cursor->search->where;
    struct segment_linear linear = {.length = UINT64_MAX};
    where.address = address;
    if (where.space != TARGET_PHYSICAL) {
        cursor->work -= where.space == TARGET_VIRTUAL ? SEARCH_SEGMENT_WORK : 0;
        (void)access_linear(&cursor->access, &where, &linear);
    }
    return linear.length;
}

// Does the pattern stand at address, without a gap in it?
static bool matches(struct cursor *cursor, uint64_t address)
{
    const struct target_search *search = cursor->search;
    uint32_t done = 0;
    cursor->work -= candidate_work(search) + search->pattern_len;
    if (transfer_length(cursor, address) < search->pattern_len) {
        return false;
    }
    while (done < search->pattern_len) {
        struct span span = span_at(cursor, address + done);
        uint32_t part = (uint32_t)least(span.len, search->pattern_len - done);
        if (!span.host || memcmp(span.host, search->pattern + done, part) != 0) {
            return false;
        }
        done += part;
    }
    return true;
}

// Moves on to the first candidate at least `distance` (not 0) further. False past the end.
static bool advance(struct target_search *search, uint64_t distance)
{
    if (search->step == 0) {
        return false;
    }
    uint64_t steps = (distance - 1) / search->step + 1;
    uint64_t left =
        search->start <= search->end ? search->end - search->next : search->next - search->end;
    if (steps > left / search->step) {
        return false;
    }
    uint64_t move = steps * search->step;
    search->next += search->start <= search->end ? move : -move;
    return true;
}

// Upwards through bytes that lie together: every candidate that lies in them as a whole. Returns
// the match's offset, or *out_len, the length of what can hold no match at a candidate.
static uint64_t scan(const struct target_search *search, const uint8_t *bytes, uint64_t len,
                     uint64_t *out_len)
{
    uint64_t candidates = len - search->pattern_len + 1;
    *out_len = candidates;
    if (search->step == 1) {
        const uint8_t *hit = memmem(bytes, len, search->pattern, search->pattern_len);
        return hit ? (uint64_t)(hit - bytes) : UINT64_MAX;
    }
    uint64_t step = search->step != 0 ? search->step : candidates;
    for (uint64_t at = 0; at < candidates; at += step) {
        if (memcmp(bytes + at, search->pattern, search->pattern_len) == 0) {
            return at;
        }
    }
    return UINT64_MAX;
}

// Downwards: candidates at bytes, bytes - step, ... to `before` bytes below; the pattern lies in
// the span at each of them. Returns how far below the match is, UINT64_MAX when there is none.
static uint64_t scan_down(const struct target_search *search, const uint8_t *bytes, uint64_t before)
{
    uint64_t step = search->step != 0 ? search->step : before + 1;
    for (uint64_t below = 0; below <= before; below += step) {
        const uint8_t *at = bytes - below;
        if (*at == search->pattern[0] && memcmp(at, search->pattern, search->pattern_len) == 0) {
            return below;
        }
    }
    return UINT64_MAX;
}

// How far the candidates reach that there is work for: at least the next one.
static uint64_t reach(const struct cursor *cursor)
{
    const struct target_search *search = cursor->search;
    int64_t candidates = cursor->work / candidate_work(search);
    return least(candidates > 1 ? (uint64_t)(candidates - 1) * search->step : 0, SPAN_MAX);
}

// Those candidates within distance of the next one have been looked at.
static void spend(struct cursor *cursor, uint64_t distance)
{
    const struct target_search *search = cursor->search;
    uint64_t steps = search->step != 0 ? distance / search->step : 0;
    cursor->work -= (int64_t)(steps + 1) * candidate_work(search) + search->pattern_len;
}

// Looks at those of the next candidates that lie in the span as a whole. True with the match; else
// in *out_done how far no candidate matches.
static bool scan_span(struct cursor *cursor, const struct span *span, uint64_t *out_address,
                      uint64_t *out_done)
{
    const struct target_search *search = cursor->search;
    bool upwards = search->start <= search->end;
    uint64_t in_span = upwards ? span->len - search->pattern_len : span->before;
    uint64_t wanted = upwards ? search->end - search->next : search->next - search->end;
    uint64_t distance = least(least(in_span, wanted), reach(cursor));
    spend(cursor, distance);
    if (upwards) {
        uint64_t hit = scan(search, span->host, distance + search->pattern_len, out_done);
        *out_address = search->next + hit;
        return hit != UINT64_MAX;
    }
    uint64_t hit = scan_down(search, span->host, distance);
    *out_done = distance + 1;
    *out_address = search->next - hit;
    return hit != UINT64_MAX;
}

// Looks at the next candidates. STATUS_PENDING: none of them matches, and there are more.
static enum pulse_status search_on(struct cursor *cursor, uint64_t *out_address)
{
    struct target_search *search = cursor->search;
    struct span span = span_at(cursor, search->next);
    uint64_t done = 1;
    if (!span.host) {
        if (!search->ignore_gaps) {
            return STATUS_INVALID_TRANSLATION;
        }
        done = search->start <= search->end ? span.len : span.before + 1;
    } else if (span.len >= search->pattern_len) {
        if (scan_span(cursor, &span, out_address, &done)) {
            return STATUS_SUCCESS;
        }
    } else if (matches(cursor, search->next)) {
        *out_address = search->next;
        return STATUS_SUCCESS;
    }
    return advance(search, done) ? STATUS_PENDING : STATUS_NOT_FOUND;
}

static enum pulse_status begin(const struct machine *machine, struct target_search *search)
{
    const uint64_t in_page = MEMORY_PAGE_SIZE - 1;
    if (search->where.space == TARGET_PHYSICAL &&
        search->start >> machine->memory.max_phys_bits != 0) {
        return STATUS_INVALID_ADDRESS;
    }
    search->started = true;
    search->next = search->start;
    if (search->page_wise_end && search->start != search->end) {
        search->end = search->start < search->end ? search->end | in_page : search->end & ~in_page;
    }
    return STATUS_SUCCESS;
}

enum pulse_status search_run(struct machine *machine, struct target_search *search, int64_t *work,
                             uint64_t *out_address)
{
    if (!search->started) {
        enum pulse_status status = begin(machine, search);
        if (status != STATUS_SUCCESS) {
            return status;
        }
    }
    struct cursor cursor = {.search = search, .work = *work};
    access_begin(&cursor.access, machine, search->where.root);
    bool translates = search->where.space != TARGET_PHYSICAL;
    if (translates && access_mode(&cursor.access) != STATUS_SUCCESS) {
        return STATUS_INVALID_CPU_MODE;
    }
    enum pulse_status status = STATUS_PENDING;
    while (status == STATUS_PENDING && cursor.work > 0) {
        status = search_on(&cursor, out_address);
    }
    *work = cursor.work;
    return status;
}

enum pulse_status search_slice(struct machine *machine, struct target_search *search,
                               uint64_t *out_address)
{
    int64_t work = SEARCH_SLICE_WORK;
    return search_run(machine, search, &work, out_address);
}
