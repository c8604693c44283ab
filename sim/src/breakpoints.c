#include "breakpoints.h"

#include <string.h>

enum { HIT_COUNT_MAX = 0xFFFF };

static uint16_t *bucket_of(struct breakpoints *breakpoints, uint64_t guest_phys)
{
    return &breakpoints->pages[guest_phys >> 12 & (BREAKPOINT_PAGE_BUCKETS - 1)];
}

// Does a breakpoint have this id?
static bool is_set(const struct breakpoints *breakpoints, uint32_t id)
{
    return id != 0 && id <= BREAKPOINTS_MAX && breakpoints->slots[id - 1].set;
}

void breakpoints_clear(struct breakpoints *breakpoints)
{
    if (breakpoints->num_breakpoints != 0) { // else all of it is zero, and it is long
        memset(breakpoints, 0, sizeof(*breakpoints));
    }
}

enum pulse_status breakpoints_set(struct breakpoints *breakpoints, uint64_t guest_phys,
                                  uint16_t *out_id)
{
    size_t free_slot = BREAKPOINTS_MAX;
    for (size_t i = BREAKPOINTS_MAX; i-- > 0;) {
        const struct breakpoint *slot = &breakpoints->slots[i];
        if (slot->set && slot->guest_phys == guest_phys) {
            *out_id = (uint16_t)(i + 1);
            return STATUS_SUCCESS;
        }
        free_slot = slot->set ? free_slot : i;
    }
    if (free_slot == BREAKPOINTS_MAX) {
        return STATUS_BREAKPOINT_TABLE_FULL;
    }
    breakpoints->slots[free_slot] = (struct breakpoint){.set = true, .guest_phys = guest_phys};
    breakpoints->num_breakpoints++;
    ++*bucket_of(breakpoints, guest_phys);
    *out_id = (uint16_t)(free_slot + 1);
    return STATUS_SUCCESS;
}

static void filter_free(struct breakpoints *breakpoints, struct filter *filter)
{
    *filter = (struct filter){0};
    breakpoints->num_filters--;
}

enum pulse_status breakpoints_remove(struct breakpoints *breakpoints, uint32_t id)
{
    if (breakpoints->num_breakpoints == 0) {
        return STATUS_BREAKPOINT_TABLE_EMPTY;
    }
    if (!is_set(breakpoints, id)) {
        return STATUS_BREAKPOINT_NOT_FOUND;
    }
    struct breakpoint *slot = &breakpoints->slots[id - 1];
    for (size_t i = 0; slot->filter_count != 0 && i < FILTERS_MAX; i++) {
        if (breakpoints->filters[i].breakpoint == id) {
            filter_free(breakpoints, &breakpoints->filters[i]);
            slot->filter_count--;
        }
    }
    --*bucket_of(breakpoints, slot->guest_phys);
    *slot = (struct breakpoint){0};
    breakpoints->num_breakpoints--;
    return STATUS_SUCCESS;
}

enum pulse_status breakpoints_add_filter(struct breakpoints *breakpoints, uint32_t id,
                                         const struct target_filter *filter, uint16_t *out_id)
{
    if (!is_set(breakpoints, id)) {
        return STATUS_BREAKPOINT_NOT_FOUND;
    }
    struct breakpoint *slot = &breakpoints->slots[id - 1];
    for (size_t i = 0; i < FILTERS_MAX; i++) {
        if (breakpoints->filters[i].breakpoint == 0) {
            breakpoints->filters[i] = (struct filter){(uint16_t)id, *filter};
            breakpoints->filters[i].params.id = (uint16_t)(i + 1);
            breakpoints->num_filters++;
            slot->filter_count++;
            *out_id = (uint16_t)(i + 1);
            return STATUS_SUCCESS;
        }
    }
    return STATUS_FILTER_TABLE_FULL;
}

enum pulse_status breakpoints_remove_filter(struct breakpoints *breakpoints, uint32_t id,
                                            uint16_t filter)
{
    if (breakpoints->num_breakpoints == 0) {
        return STATUS_BREAKPOINT_TABLE_EMPTY;
    }
    if (!is_set(breakpoints, id)) {
        return STATUS_BREAKPOINT_NOT_FOUND;
    }
    struct breakpoint *slot = &breakpoints->slots[id - 1];
    if (breakpoints->num_filters == 0) {
        return STATUS_FILTER_TABLE_EMPTY;
    }
    if (filter == 0 || filter > FILTERS_MAX || breakpoints->filters[filter - 1].breakpoint != id) {
        return STATUS_FILTER_NOT_FOUND;
    }
    filter_free(breakpoints, &breakpoints->filters[filter - 1]);
    slot->filter_count--;
    return STATUS_SUCCESS;
}

// True when every comparison that flags name holds.
static bool side_holds(uint16_t flags, const struct target_filter *filter,
                       const struct breakpoint_view *view)
{
    bool differs = ((flags & FILTER_PAGE_TABLE) && filter->page_table != view->cr3) ||
                   ((flags & FILTER_ADDRESS) && filter->address != view->rip) ||
                   ((flags & FILTER_FS_BASE) && filter->fs_base != view->fs_base) ||
                   ((flags & FILTER_GS_BASE) && filter->gs_base != view->gs_base) ||
                   ((flags & FILTER_SELECTOR) && filter->selector != view->cs) ||
                   ((flags & FILTER_THREAD) && filter->fs_base != view->fs_base &&
                    filter->fs_base != view->gs_base);
    return !differs;
}

// Clause D-BP: stop unless some skip side holds and, where filters match, only if one of them does.
static bool filters_let_stop(const struct breakpoints *breakpoints, uint16_t id,
                             const struct breakpoint_view *view)
{
    bool any_match_side = false;
    bool match_holds = false;
    size_t left = breakpoints->slots[id - 1].filter_count;
    for (size_t i = 0; left != 0 && i < FILTERS_MAX; i++) {
        if (breakpoints->filters[i].breakpoint != id) {
            continue;
        }
        left--;
        const struct target_filter *filter = &breakpoints->filters[i].params;
        if (filter->skip_flags != 0 && side_holds(filter->skip_flags, filter, view)) {
            return false;
        }
        if (filter->match_flags != 0) {
            any_match_side = true;
            match_holds = match_holds || side_holds(filter->match_flags, filter, view);
        }
    }
    return match_holds || !any_match_side;
}

bool breakpoints_hit(struct breakpoints *breakpoints, uint64_t guest_phys,
                     const struct breakpoint_view *view)
{
    size_t left = breakpoints->num_breakpoints;
    for (size_t i = 0; left != 0 && i < BREAKPOINTS_MAX; i++) {
        struct breakpoint *slot = &breakpoints->slots[i];
        left -= slot->set;
        if (!slot->set || slot->guest_phys != guest_phys) {
            continue;
        }
        if (!filters_let_stop(breakpoints, (uint16_t)(i + 1), view)) {
            return false;
        }
        if (slot->hit_count < HIT_COUNT_MAX) {
            slot->hit_count++;
        }
        return true;
    }
    return false;
}

void breakpoints_list(const struct breakpoints *breakpoints, uint32_t first,
                      struct target_breakpoint *out, struct target_list *list)
{
    list->count = 0;
    list->total = breakpoints->num_breakpoints;
    for (size_t i = first == 0 ? 0 : first - 1; i < BREAKPOINTS_MAX && list->count < list->most;
         i++) {
        const struct breakpoint *slot = &breakpoints->slots[i];
        if (slot->set) {
            out[list->count++] = (struct target_breakpoint){
                .id = (uint16_t)(i + 1),
                .hit_count = slot->hit_count,
                .filter_count = slot->filter_count,
                .guest_phys = slot->guest_phys,
            };
        }
    }
}

enum pulse_status breakpoints_list_filters(const struct breakpoints *breakpoints, uint32_t id,
                                           struct target_filter *out, struct target_list *list)
{
    if (!is_set(breakpoints, id)) {
        return STATUS_BREAKPOINT_NOT_FOUND;
    }
    size_t seen = 0;
    list->count = 0;
    list->total = breakpoints->slots[id - 1].filter_count;
    for (size_t i = 0; i < FILTERS_MAX && list->count < list->most; i++) {
        const struct filter *filter = &breakpoints->filters[i];
        if (filter->breakpoint == id && seen++ >= list->skip) {
            out[list->count++] = filter->params;
        }
    }
    return STATUS_SUCCESS;
}
