#include "toy_target.h"

#include <string.h>

#include "protocol/packets.h"

enum {
    GP_MSR = 0x999, // every access faults
    NUM_SLICES = 3, // of every search
};

// --- state ------------------------------------------------------------------------------------

static void get_state(void *target, struct target_state *out)
{
    const struct toy_target *toy = target;
    *out = (struct target_state){toy->running, toy->event, toy->broke_in};
}

static void get_cpus(void *target, struct target_cpus *out)
{
    const struct toy_target *toy = target;
    *out = (struct target_cpus){.current = toy->cpu, .count = TOY_CPUS};
}

static void describe(void *target, struct target_description *out)
{
    (void)target;
    *out = (struct target_description){.max_phys_bits = 46, .linear_bits = 48, .instance = 1};
}

// --- registers --------------------------------------------------------------------------------

static enum pulse_status get_context(void *target, uint64_t mask, struct context *out,
                                     enum pulse_cpu_mode *out_mode)
{
    (void)mask;
    const struct toy_target *toy = target;
    *out = toy->context;
    *out_mode = PULSE_MODE_LONG64;
    return STATUS_SUCCESS;
}

static enum pulse_status set_context(void *target, uint64_t mask, const struct context *context)
{
    (void)mask;
    struct toy_target *toy = target;
    toy->num_changes++;
    toy->context = *context;
    return STATUS_SUCCESS;
}

static enum pulse_status get_extended_context(void *target, uint64_t *mask,
                                              struct extended_context *out)
{
    const struct toy_target *toy = target;
    *mask &= EXTENDED_FULL_MASK & ~UINT64_C(2);
    *out = toy->extended;
    return STATUS_SUCCESS;
}

static enum pulse_status set_extended_context(void *target, uint64_t mask,
                                              const struct extended_context *context, bool any_xcr0)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    if (mask == 1 && !any_xcr0) {
        return STATUS_INVALID_PARAMETER;
    }
    toy->extended = *context;
    return STATUS_SUCCESS;
}

// --- memory -----------------------------------------------------------------------------------

static size_t reachable(uint64_t address, size_t len)
{
    if (address >= TOY_MEMORY) {
        return 0;
    }
    size_t left = TOY_MEMORY - (size_t)address;
    return len < left ? len : left;
}

static enum pulse_status read_memory(void *target, const struct target_address *from, void *buffer,
                                     size_t len, size_t *out_moved)
{
    const struct toy_target *toy = target;
    *out_moved = reachable(from->address, len);
    if (*out_moved == 0) {
        return STATUS_INVALID_TRANSLATION;
    }
    memcpy(buffer, toy->memory + from->address, *out_moved);
    return STATUS_SUCCESS;
}

static enum pulse_status write_memory(void *target, const struct target_address *to,
                                      const void *buffer, size_t len, size_t *out_moved)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    *out_moved = reachable(to->address, len);
    if (*out_moved == 0) {
        return STATUS_INVALID_TRANSLATION;
    }
    memcpy(toy->memory + to->address, buffer, *out_moved);
    return STATUS_SUCCESS;
}

static enum pulse_status walk(void *target, const struct target_address *address,
                              struct target_walk *out)
{
    (void)target;
    if (address->root == UINT64_MAX) {
        return STATUS_INVALID_CPU_MODE;
    }
    *out = (struct target_walk){.mode = 4, .num_entries = 5, .last_valid = 0xFF};
    out->valid = address->address < TOY_MEMORY;
    out->guest_phys = address->address;
    return STATUS_SUCCESS;
}

static enum pulse_status search(void *target, struct target_search *search, uint64_t *out_address)
{
    struct toy_target *toy = target;
    if (toy->slices++ % NUM_SLICES != 0) {
        search->started = true;
        return STATUS_PENDING;
    }
    *out_address = search->end;
    return search->pattern[0] == 0 ? STATUS_NOT_FOUND : STATUS_SUCCESS;
}

// --- ports, CPUID, MSRs -----------------------------------------------------------------------

static enum pulse_status read_io(void *target, struct target_io io, void *buffer, size_t len)
{
    (void)target;
    memset(buffer, io.port & 0xFF, len);
    return STATUS_SUCCESS;
}

static enum pulse_status write_io(void *target, struct target_io io, const void *buffer, size_t len)
{
    (void)buffer;
    (void)len;
    struct toy_target *toy = target;
    toy->num_changes++;
    return io.port == 0 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}

static enum pulse_status cpuid(void *target, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    (void)target;
    out[0] = leaf;
    out[1] = subleaf;
    out[2] = out[3] = 0;
    return STATUS_SUCCESS;
}

static enum pulse_status read_msr(void *target, uint32_t index, uint64_t *out)
{
    const struct toy_target *toy = target;
    *out = toy->msr;
    return index == GP_MSR ? STATUS_GENERAL_PROTECTION : STATUS_SUCCESS;
}

static enum pulse_status write_msr(void *target, uint32_t index, uint64_t value)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    if (index == GP_MSR) {
        return STATUS_GENERAL_PROTECTION;
    }
    toy->msr = value;
    return STATUS_SUCCESS;
}

// --- breakpoints: the numbers 1 to num_breakpoints, all with the same filters ------------------

static enum pulse_status set_breakpoint(void *target, uint64_t guest_phys, uint16_t *out_id)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    if (toy->num_breakpoints == BREAKPOINTS_MAX) {
        return STATUS_BREAKPOINT_TABLE_FULL;
    }
    // An odd address fills the table, so that a few bytes of input lead to the longest lists.
    toy->num_breakpoints = guest_phys & 1 ? BREAKPOINTS_MAX : toy->num_breakpoints + 1;
    *out_id = (uint16_t)toy->num_breakpoints;
    return STATUS_SUCCESS;
}

static enum pulse_status find_breakpoint(const struct toy_target *toy, uint32_t id)
{
    if (toy->num_breakpoints == 0) {
        return STATUS_BREAKPOINT_TABLE_EMPTY;
    }
    return id == 0 || id > toy->num_breakpoints ? STATUS_BREAKPOINT_NOT_FOUND : STATUS_SUCCESS;
}

static enum pulse_status remove_breakpoint(void *target, uint32_t id)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    enum pulse_status status = find_breakpoint(toy, id);
    toy->num_breakpoints -= status == STATUS_SUCCESS;
    return status;
}

static enum pulse_status clear_breakpoints(void *target)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    toy->num_breakpoints = 0;
    toy->num_filters = 0;
    return STATUS_SUCCESS;
}

static enum pulse_status add_filter(void *target, uint32_t breakpoint,
                                    const struct target_filter *filter, uint16_t *out_id)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    enum pulse_status status = find_breakpoint(toy, breakpoint);
    if (status != STATUS_SUCCESS) {
        return status == STATUS_BREAKPOINT_TABLE_EMPTY ? STATUS_BREAKPOINT_NOT_FOUND : status;
    }
    if (toy->num_filters == FILTERS_MAX) {
        return STATUS_FILTER_TABLE_FULL;
    }
    toy->num_filters = filter->address & 1 ? FILTERS_MAX : toy->num_filters + 1;
    *out_id = (uint16_t)toy->num_filters;
    return STATUS_SUCCESS;
}

static enum pulse_status remove_filter(void *target, uint32_t breakpoint, uint16_t filter)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    enum pulse_status status = find_breakpoint(toy, breakpoint);
    if (status != STATUS_SUCCESS) {
        return status;
    }
    if (toy->num_filters == 0) {
        return STATUS_FILTER_TABLE_EMPTY;
    }
    if (filter == 0 || filter > toy->num_filters) {
        return STATUS_FILTER_NOT_FOUND;
    }
    toy->num_filters--;
    return STATUS_SUCCESS;
}

static void list_breakpoints(void *target, uint32_t first, struct target_breakpoint *out,
                             struct target_list *list)
{
    const struct toy_target *toy = target;
    list->total = toy->num_breakpoints;
    list->count = 0;
    uint32_t id = first == 0 ? 1 : first;
    for (; id <= toy->num_breakpoints && list->count < list->most; id++) {
        out[list->count++] = (struct target_breakpoint){
            .id = (uint16_t)id, .filter_count = (uint16_t)toy->num_filters, .guest_phys = id};
    }
}

static enum pulse_status list_filters(void *target, uint32_t breakpoint, struct target_filter *out,
                                      struct target_list *list)
{
    const struct toy_target *toy = target;
    if (find_breakpoint(toy, breakpoint) != STATUS_SUCCESS) {
        return STATUS_BREAKPOINT_NOT_FOUND;
    }
    list->total = toy->num_filters;
    list->count = 0;
    size_t index = list->skip;
    for (; index < toy->num_filters && list->count < list->most; index++) {
        out[list->count++] =
            (struct target_filter){.id = (uint16_t)(index + 1), .match_flags = FILTER_ADDRESS};
    }
    return STATUS_SUCCESS;
}

// --- execution --------------------------------------------------------------------------------

static enum pulse_status go(void *target)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    toy->running = true;
    toy->event = EVENT_NONE;
    return STATUS_SUCCESS;
}

static enum pulse_status break_in(void *target)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    if (toy->running || toy->step_pending) {
        toy->event = EVENT_BREAK_IN;
        toy->broke_in = true;
    }
    toy->running = toy->step_pending = false;
    return STATUS_SUCCESS;
}

// A step with interrupts suppressed waits for ever.
static enum pulse_status step(void *target, bool suppress_interrupts)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    toy->step_pending = suppress_interrupts;
    toy->event = EVENT_STEP;
    return suppress_interrupts ? STATUS_PENDING : STATUS_SUCCESS;
}

static void cancel_step(void *target)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    toy->step_pending = false;
}

static enum pulse_status switch_cpu(void *target, uint64_t cpu)
{
    struct toy_target *toy = target;
    toy->num_changes++;
    if (cpu >= TOY_CPUS) {
        return STATUS_BARRIER_NO_CPU;
    }
    if (cpu == toy->cpu) {
        return STATUS_BARRIER_ALREADY_OWNED;
    }
    toy->cpu = (unsigned)cpu;
    toy->event = EVENT_CPU_SWITCH;
    return STATUS_SUCCESS;
}

static void reboot(void *target)
{
    struct toy_target *toy = target;
    uint64_t num_changes = toy->num_changes;
    memset(toy, 0, sizeof(*toy));
    toy->num_changes = num_changes + 1;
}

const struct target_ops toy_ops = {
    .get_state = get_state,
    .get_cpus = get_cpus,
    .describe = describe,
    .get_context = get_context,
    .set_context = set_context,
    .get_extended_context = get_extended_context,
    .set_extended_context = set_extended_context,
    .read = read_memory,
    .write = write_memory,
    .walk = walk,
    .search = search,
    .read_io = read_io,
    .write_io = write_io,
    .cpuid = cpuid,
    .read_msr = read_msr,
    .write_msr = write_msr,
    .set_breakpoint = set_breakpoint,
    .remove_breakpoint = remove_breakpoint,
    .clear_breakpoints = clear_breakpoints,
    .add_filter = add_filter,
    .remove_filter = remove_filter,
    .list_breakpoints = list_breakpoints,
    .list_filters = list_filters,
    .go = go,
    .break_in = break_in,
    .step = step,
    .cancel_step = cancel_step,
    .switch_cpu = switch_cpu,
    .reboot = reboot,
};
