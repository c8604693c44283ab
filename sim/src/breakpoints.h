#ifndef SIM_BREAKPOINTS_H
#define SIM_BREAKPOINTS_H

// Breakpoints on guest-physical addresses and their filters (clauses D-BP). Nothing is written into
// memory: the run loop asks before each instruction.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/packets.h"
#include "protocol/target_ops.h"

struct filter {
    uint16_t breakpoint; // 0: the slot is free
    struct target_filter params;
};

struct breakpoint {
    bool set;
    uint16_t hit_count;
    uint16_t filter_count;
    uint64_t guest_phys;
};

enum { BREAKPOINT_PAGE_BUCKETS = 256 };

// All zero: no breakpoint.
struct breakpoints {
    size_t num_breakpoints;
    size_t num_filters;
    // Slot i has the id i + 1.
    struct breakpoint slots[BREAKPOINTS_MAX];
    struct filter filters[FILTERS_MAX];
    uint16_t pages[BREAKPOINT_PAGE_BUCKETS]; // breakpoints per bucket of page numbers
};

// What a filter is compared with.
struct breakpoint_view {
    uint64_t cr3;
    uint64_t rip;
    uint64_t fs_base;
    uint64_t gs_base;
    uint16_t cs;
};

// False when no breakpoint lies in the page of guest_phys; true when one may. Cheap.
static inline bool breakpoints_in_page(const struct breakpoints *breakpoints, uint64_t guest_phys)
{
    return breakpoints->pages[guest_phys >> 12 & (BREAKPOINT_PAGE_BUCKETS - 1)] != 0;
}

// True when execution about to fetch from guest_phys stops there; counts the hit.
bool breakpoints_hit(struct breakpoints *breakpoints, uint64_t guest_phys,
                     const struct breakpoint_view *view);

void breakpoints_clear(struct breakpoints *breakpoints);
enum pulse_status breakpoints_set(struct breakpoints *breakpoints, uint64_t guest_phys,
                                  uint16_t *out_id);
enum pulse_status breakpoints_remove(struct breakpoints *breakpoints, uint32_t id);
enum pulse_status breakpoints_add_filter(struct breakpoints *breakpoints, uint32_t id,
                                         const struct target_filter *filter, uint16_t *out_id);
enum pulse_status breakpoints_remove_filter(struct breakpoints *breakpoints, uint32_t id,
                                            uint16_t filter);

// The entries as PsGetBreakPointInfo lists them, without their original bytes.
void breakpoints_list(const struct breakpoints *breakpoints, uint32_t first,
                      struct target_breakpoint *out, struct target_list *list);
enum pulse_status breakpoints_list_filters(const struct breakpoints *breakpoints, uint32_t id,
                                           struct target_filter *out, struct target_list *list);

#endif
