#include "fake_target.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void note(struct fake_target *fake, const char *format,
                                                       ...)
{
    va_list args;
    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a false alarm of this version
    int len = vsnprintf(fake->log + fake->log_len, sizeof(fake->log) - fake->log_len, format, args);
    va_end(args);
    fake->log_len += len > 0 ? (size_t)len : 0;
    if (fake->log_len >= sizeof(fake->log)) {
        fake->log_len = sizeof(fake->log) - 1;
    }
}

static enum pulse_status outcome(struct fake_target *fake)
{
    enum pulse_status status = fake->fail;
    fake->fail = STATUS_SUCCESS;
    return status;
}

static void get_state(void *target, struct target_state *out)
{
    const struct fake_target *fake = target;
    *out = fake->state;
    if (fake->is_stepping) {
        *out = (struct target_state){.running = true, .event = EVENT_NONE};
    }
}

static void get_cpus(void *target, struct target_cpus *out)
{
    const struct fake_target *fake = target;
    *out = fake->cpus;
}

static void describe(void *target, struct target_description *out)
{
    (void)target;
    *out = (struct target_description){39, 48, UINT64_C(0x1122334455667788)};
}

static enum pulse_status get_context(void *target, uint64_t mask, struct context *out,
                                     enum pulse_cpu_mode *out_mode)
{
    struct fake_target *fake = target;
    note(fake, "get_context %" PRIx64 ";", mask);
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        out->value[i] = (i + 1) * UINT64_C(0x0101010101010101);
    }
    *out_mode = PULSE_MODE_LONG64;
    return outcome(fake);
}

static enum pulse_status set_context(void *target, uint64_t mask, const struct context *context)
{
    struct fake_target *fake = target;
    note(fake, "set_context %" PRIx64 " %" PRIx64 " %" PRIx64 ";", mask,
         context->value[CONTEXT_rip], context->value[CONTEXT_dr7]);
    return outcome(fake);
}

static enum pulse_status get_extended_context(void *target, uint64_t *mask,
                                              struct extended_context *out)
{
    enum { FIRST_YMM = 41 };
    struct fake_target *fake = target;
    note(fake, "get_extended_context %" PRIx64 ";", *mask);
    for (size_t i = 0; i < NUM_EXTENDED_REGISTERS; i++) {
        memset(out->bytes + extended_registers[i].offset, (int)i + 1, extended_registers[i].size);
    }
    *mask &= fake->has_ymm ? UINT64_MAX : (UINT64_C(1) << FIRST_YMM) - 1;
    return outcome(fake);
}

static enum pulse_status set_extended_context(void *target, uint64_t mask,
                                              const struct extended_context *context, bool any_xcr0)
{
    struct fake_target *fake = target;
    note(fake, "set_extended_context %" PRIx64 " %02x %d;", mask, context->bytes[0], any_xcr0);
    return outcome(fake);
}

static size_t reachable(uint64_t address, size_t len)
{
    if (address >= FAKE_MEMORY_SIZE) {
        return 0;
    }
    return len < FAKE_MEMORY_SIZE - address ? len : FAKE_MEMORY_SIZE - (size_t)address;
}

static void note_transfer(struct fake_target *fake, const char *what,
                          const struct target_address *at, size_t len)
{
    note(fake, "%s %c %" PRIx64 " %x %" PRIx64 " %zu;", what, "VLP"[at->space], at -> root,
         at -> selector, at -> address, len);
}

static enum pulse_status read_memory(void *target, const struct target_address *from, void *buffer,
                                     size_t len, size_t *out_moved)
{
    struct fake_target *fake = target;
    note_transfer(fake, "read", from, len);
    *out_moved = reachable(from->address, len);
    if (*out_moved == 0) {
        return STATUS_INVALID_TRANSLATION;
    }
    memcpy(buffer, fake->memory + from->address, *out_moved);
    return outcome(fake);
}

static enum pulse_status write_memory(void *target, const struct target_address *to,
                                      const void *buffer, size_t len, size_t *out_moved)
{
    struct fake_target *fake = target;
    note_transfer(fake, "write", to, len);
    *out_moved = reachable(to->address, len);
    if (*out_moved == 0) {
        return STATUS_INVALID_TRANSLATION;
    }
    memcpy(fake->memory + to->address, buffer, *out_moved);
    return outcome(fake);
}

static enum pulse_status walk(void *target, const struct target_address *address,
                              struct target_walk *out)
{
    struct fake_target *fake = target;
    bool valid = address->address < FAKE_MEMORY_SIZE;
    note_transfer(fake, "walk", address, 0);
    *out = (struct target_walk){
        .mode = fake->walk_mode,
        .valid = valid,
        .num_entries = valid ? 4 : 2,
        .last_valid = valid ? 3 : 0,
        .entries = {0x1003, 0x2003, 0x3003, 0x4003, 0x5003},
        .guest_phys = address->address | 0x70000,
    };
    if (fake->walk_mode == 4 && valid) {
        out->num_entries = 5;
        out->last_valid = 4;
    }
    if (fake->walk_mode == 0) {
        out->num_entries = 0;
        out->last_valid = 0xFF;
    }
    return outcome(fake);
}

static enum pulse_status search(void *target, struct target_search *wanted, uint64_t *out_address)
{
    struct fake_target *fake = target;
    if (!wanted->started) {
        note(fake,
             "search %c %" PRIx64 " %x %" PRIx64 " %" PRIx64
             " step %x gaps %d page %d len %u %02x;",
             "VLP"[wanted->where.space], wanted -> where.root, wanted->where.selector,
             wanted->start, wanted->end, wanted->step, wanted->ignore_gaps, wanted->page_wise_end,
             wanted->pattern_len, wanted->pattern[0]);
    }
    wanted->started = true;
    if (fake->search_slices > 0) {
        fake->search_slices--;
        return STATUS_PENDING;
    }
    *out_address = wanted->start + 0x10;
    return fake->search_status;
}

static enum pulse_status read_io(void *target, struct target_io io, void *buffer, size_t len)
{
    struct fake_target *fake = target;
    uint8_t *bytes = buffer;
    note(fake, "read_io %x %u %zu;", io.port, io.access_size, len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(io.port + i);
    }
    return outcome(fake);
}

static enum pulse_status write_io(void *target, struct target_io io, const void *buffer, size_t len)
{
    struct fake_target *fake = target;
    const uint8_t *bytes = buffer;
    note(fake, "write_io %x %u %zu %02x;", io.port, io.access_size, len, bytes[0]);
    return outcome(fake);
}

static enum pulse_status cpuid(void *target, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    struct fake_target *fake = target;
    out[0] = leaf + 1;
    out[1] = subleaf + 2;
    out[2] = 0xC0C0C0C0;
    out[3] = 0xD0D0D0D0;
    return outcome(fake);
}

static enum pulse_status read_msr(void *target, uint32_t index, uint64_t *out)
{
    struct fake_target *fake = target;
    note(fake, "read_msr %x;", index);
    *out = fake->msr_174;
    return index == 0x174 ? outcome(fake) : STATUS_GENERAL_PROTECTION;
}

static enum pulse_status write_msr(void *target, uint32_t index, uint64_t value)
{
    struct fake_target *fake = target;
    note(fake, "write_msr %x %" PRIx64 ";", index, value);
    if (index != 0x174) {
        return STATUS_GENERAL_PROTECTION;
    }
    fake->msr_174 = value;
    return outcome(fake);
}

static enum pulse_status set_breakpoint(void *target, uint64_t guest_phys, uint16_t *out_id)
{
    struct fake_target *fake = target;
    note(fake, "set_breakpoint %" PRIx64 ";", guest_phys);
    *out_id = (uint16_t)(fake->num_breakpoints + 1);
    return outcome(fake);
}

static enum pulse_status known_breakpoint(struct fake_target *fake, uint32_t id)
{
    if (fake->num_breakpoints == 0) {
        return STATUS_BREAKPOINT_TABLE_EMPTY;
    }
    return id >= 1 && id <= fake->num_breakpoints ? outcome(fake) : STATUS_BREAKPOINT_NOT_FOUND;
}

static enum pulse_status remove_breakpoint(void *target, uint32_t id)
{
    struct fake_target *fake = target;
    note(fake, "remove_breakpoint %x;", id);
    return known_breakpoint(fake, id);
}

static enum pulse_status clear_breakpoints(void *target)
{
    struct fake_target *fake = target;
    note(fake, "clear_breakpoints;");
    return outcome(fake);
}

static enum pulse_status add_filter(void *target, uint32_t breakpoint,
                                    const struct target_filter *filter, uint16_t *out_id)
{
    struct fake_target *fake = target;
    note(fake, "add_filter %x %x/%x %x %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 ";",
         breakpoint, filter->match_flags, filter->skip_flags, filter->selector, filter->page_table,
         filter->address, filter->fs_base, filter->gs_base);
    *out_id = (uint16_t)(fake->num_filters + 1);
    enum pulse_status status = known_breakpoint(fake, breakpoint);
    return status == STATUS_BREAKPOINT_TABLE_EMPTY ? STATUS_BREAKPOINT_NOT_FOUND : status;
}

static enum pulse_status remove_filter(void *target, uint32_t breakpoint, uint16_t filter)
{
    struct fake_target *fake = target;
    note(fake, "remove_filter %x %x;", breakpoint, filter);
    enum pulse_status status = known_breakpoint(fake, breakpoint);
    if (status != STATUS_SUCCESS) {
        return status;
    }
    return filter >= 1 && filter <= fake->num_filters ? STATUS_SUCCESS : STATUS_FILTER_NOT_FOUND;
}

static void list_breakpoints(void *target, uint32_t first, struct target_breakpoint *out,
                             struct target_list *list)
{
    struct fake_target *fake = target;
    list->total = fake->num_breakpoints;
    list->count = 0;
    for (size_t id = first ? first : 1; id <= list->total && list->count < list->most; id++) {
        out[list->count++] = (struct target_breakpoint){
            .id = (uint16_t)id,
            .original_byte = 0x90,
            .hit_count = 7,
            .filter_count = (uint16_t)(id == 1 ? fake->num_filters : 0),
            .guest_phys = 0x100 * id,
        };
    }
}

static enum pulse_status list_filters(void *target, uint32_t breakpoint, struct target_filter *out,
                                      struct target_list *list)
{
    struct fake_target *fake = target;
    if (breakpoint < 1 || breakpoint > fake->num_breakpoints) {
        return STATUS_BREAKPOINT_NOT_FOUND;
    }
    list->total = breakpoint == 1 ? fake->num_filters : 0;
    list->count = 0;
    for (size_t id = list->skip + 1; id <= list->total && list->count < list->most; id++) {
        out[list->count++] = (struct target_filter){
            .id = (uint16_t)id,
            .selector = 0x10,
            .match_flags = fake->filter_flags,
            .page_table = 0x1000 * id,
            .address = 0x2000 * id,
            .fs_base = 0x3000 * id,
            .gs_base = 0x3000 * id,
        };
    }
    return STATUS_SUCCESS;
}

static enum pulse_status go(void *target)
{
    struct fake_target *fake = target;
    note(fake, "go;");
    fake->state = (struct target_state){.running = true, .event = EVENT_NONE};
    return outcome(fake);
}

static enum pulse_status break_in(void *target)
{
    struct fake_target *fake = target;
    note(fake, "break_in;");
    if (fake->state.running || fake->is_stepping) {
        fake->state = (struct target_state){.event = EVENT_BREAK_IN, .broke_in = true};
    }
    fake->is_stepping = false;
    return outcome(fake);
}

static enum pulse_status step(void *target, bool suppress_interrupts)
{
    struct fake_target *fake = target;
    note(fake, "step %d;", suppress_interrupts);
    if (fake->step_waits) {
        fake->is_stepping = true;
        return STATUS_PENDING;
    }
    fake->state = (struct target_state){.event = EVENT_STEP};
    return outcome(fake);
}

static void cancel_step(void *target)
{
    struct fake_target *fake = target;
    note(fake, "cancel_step;");
    fake->is_stepping = false;
}

static enum pulse_status switch_cpu(void *target, uint64_t cpu)
{
    struct fake_target *fake = target;
    note(fake, "switch_cpu %" PRIx64 ";", cpu);
    if (cpu >= fake->cpus.count) {
        return STATUS_BARRIER_NO_CPU;
    }
    if (cpu == fake->cpus.current) {
        return STATUS_BARRIER_ALREADY_OWNED;
    }
    fake->cpus.current = (unsigned)cpu;
    fake->state.event = EVENT_CPU_SWITCH;
    return outcome(fake);
}

static void reboot(void *target)
{
    struct fake_target *fake = target;
    note(fake, "reboot;");
    fake->state = (struct target_state){.event = EVENT_INITIAL};
}

const struct target_ops fake_ops = {
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

void fake_target_init(struct fake_target *fake)
{
    memset(fake, 0, sizeof(*fake));
    fake->cpus.count = 4;
    fake->walk_mode = 3;
    for (size_t i = 0; i < FAKE_MEMORY_SIZE; i++) {
        fake->memory[i] = (uint8_t)i;
    }
}

void fake_target_clear_log(struct fake_target *fake)
{
    fake->log_len = 0;
    fake->log[0] = '\0';
}
