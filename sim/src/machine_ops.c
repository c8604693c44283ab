// The machine as a debuggee sees it: struct target_ops.

#include <string.h>

#include "access.h"
#include "context.h"
#include "cpu_msr.h"
#include "machine.h"
#include "search.h"
#include "vmx_model/cpuid.h"

static struct cpu *current_cpu(struct machine *machine)
{
    return &machine->cpus[machine->current];
}

static void get_state(void *target, struct target_state *out)
{
    const struct machine *machine = target;
    bool running = machine->running || machine->step_pending;
    *out = (struct target_state){running, running ? EVENT_NONE : machine->event, machine->broke_in};
}

static void get_cpus(void *target, struct target_cpus *out)
{
    const struct machine *machine = target;
    *out = (struct target_cpus){machine->current, machine->num_cpus};
}

static void describe(void *target, struct target_description *out)
{
    const struct machine *machine = target;
    *out = (struct target_description){
        .max_phys_bits = (uint8_t)machine->memory.max_phys_bits,
        .linear_bits = current_cpu(target)->vmx.profile->linear_bits,
        .instance = machine->instance,
    };
}

static enum pulse_status get_context(void *target, uint64_t mask, struct context *out,
                                     enum pulse_cpu_mode *out_mode)
{
    const struct cpu *cpu = current_cpu(target);
    cpu_context_read(cpu, mask, out);
    *out_mode = cpu_pulse_mode(cpu);
    return STATUS_SUCCESS;
}

static enum pulse_status set_context(void *target, uint64_t mask, const struct context *context)
{
    cpu_context_write(current_cpu(target), mask, context);
    current_cpu(target)->changed = true;
    return STATUS_SUCCESS;
}

static enum pulse_status get_extended_context(void *target, uint64_t *mask,
                                              struct extended_context *out)
{
    cpu_extended_read(current_cpu(target), out);
    *mask &= cpu_extended_mask(current_cpu(target));
    return STATUS_SUCCESS;
}

static enum pulse_status set_extended_context(void *target, uint64_t mask,
                                              const struct extended_context *context, bool any_xcr0)
{
    struct cpu *cpu = current_cpu(target);
    bool sets_xcr0 = mask >> EXTENDED_xcr0 & 1;
    if (sets_xcr0 && !any_xcr0 &&
        !vmx_profile_allows_xcr0(cpu->vmx.profile, extended_xcr0(context))) {
        return STATUS_INVALID_PARAMETER;
    }
    cpu_extended_write(cpu, mask & cpu_extended_mask(cpu), context);
    return STATUS_SUCCESS;
}

static enum pulse_status read(void *target, const struct target_address *from, void *buffer,
                              size_t len, size_t *out_moved)
{
    return access_read(target, from, buffer, len, out_moved);
}

static enum pulse_status write(void *target, const struct target_address *to, const void *buffer,
                               size_t len, size_t *out_moved)
{
    return access_write(target, to, buffer, len, out_moved);
}

static enum pulse_status walk(void *target, const struct target_address *address,
                              struct target_walk *out)
{
    struct access access;
    access_begin(&access, target, address->root);
    return access_walk(&access, address, out);
}

static enum pulse_status search(void *target, struct target_search *search, uint64_t *out_address)
{
    return search_slice(target, search, out_address);
}

static enum pulse_status read_io(void *target, struct target_io io, void *buffer, size_t len)
{
    uint8_t *bytes = buffer;
    for (size_t at = 0; at < len; at += io.access_size) {
        uint32_t value = ports_read(target, io.port, io.access_size);
        memcpy(bytes + at, &value, io.access_size);
    }
    return STATUS_SUCCESS;
}

static enum pulse_status write_io(void *target, struct target_io io, const void *buffer, size_t len)
{
    const uint8_t *bytes = buffer;
    for (size_t at = 0; at < len; at += io.access_size) {
        uint32_t value = 0;
        memcpy(&value, bytes + at, io.access_size);
        ports_write(target, io.port, io.access_size, value);
    }
    return STATUS_SUCCESS;
}

static enum pulse_status cpuid(void *target, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu *cpu = current_cpu(target);
    vmx_cpuid(cpu->vmx.profile, &cpu->vmx, leaf, subleaf, out);
    return STATUS_SUCCESS;
}

static enum pulse_status status_of_msr(enum msr_result result)
{
    return result == MSR_OK ? STATUS_SUCCESS : STATUS_GENERAL_PROTECTION;
}

static enum pulse_status read_msr(void *target, uint32_t index, uint64_t *out)
{
    return status_of_msr(cpu_msr_read(current_cpu(target), MSR_DEBUGGER, index, out));
}

static enum pulse_status write_msr(void *target, uint32_t index, uint64_t value)
{
    return status_of_msr(cpu_msr_write(target, current_cpu(target), MSR_DEBUGGER, index, value));
}

static enum pulse_status set_breakpoint(void *target, uint64_t guest_phys, uint16_t *out_id)
{
    struct machine *machine = target;
    if (guest_phys >> machine->memory.max_phys_bits != 0) {
        return STATUS_INVALID_ADDRESS;
    }
    return breakpoints_set(&machine->breakpoints, guest_phys, out_id);
}

static enum pulse_status remove_breakpoint(void *target, uint32_t id)
{
    struct machine *machine = target;
    return breakpoints_remove(&machine->breakpoints, id);
}

static enum pulse_status clear_breakpoints(void *target)
{
    struct machine *machine = target;
    breakpoints_clear(&machine->breakpoints);
    return STATUS_SUCCESS;
}

static enum pulse_status add_filter(void *target, uint32_t breakpoint,
                                    const struct target_filter *filter, uint16_t *out_id)
{
    struct machine *machine = target;
    return breakpoints_add_filter(&machine->breakpoints, breakpoint, filter, out_id);
}

static enum pulse_status remove_filter(void *target, uint32_t breakpoint, uint16_t filter)
{
    struct machine *machine = target;
    return breakpoints_remove_filter(&machine->breakpoints, breakpoint, filter);
}

static void list_breakpoints(void *target, uint32_t first, struct target_breakpoint *out,
                             struct target_list *list)
{
    struct machine *machine = target;
    breakpoints_list(&machine->breakpoints, first, out, list);
    for (size_t i = 0; i < list->count; i++) {
        out[i].original_byte = 0xFF;
        memory_peek(&machine->memory, out[i].guest_phys, &out[i].original_byte, 1);
    }
}

static enum pulse_status list_filters(void *target, uint32_t breakpoint, struct target_filter *out,
                                      struct target_list *list)
{
    struct machine *machine = target;
    return breakpoints_list_filters(&machine->breakpoints, breakpoint, out, list);
}

static enum pulse_status go(void *target)
{
    return machine_go(target);
}

static enum pulse_status break_in(void *target)
{
    return machine_break_in(target);
}

static enum pulse_status step(void *target, bool suppress_interrupts)
{
    return machine_step(target, suppress_interrupts);
}

static void cancel_step(void *target)
{
    struct machine *machine = target;
    machine->step_pending = false;
}

static enum pulse_status switch_cpu(void *target, uint64_t cpu)
{
    return machine_switch_cpu(target, cpu);
}

static void reboot(void *target)
{
    struct machine *machine = target;
    machine_reset(machine);
    machine->instance++;
    machine_log(machine, "rebooted");
}

const struct target_ops machine_ops = {
    .get_state = get_state,
    .get_cpus = get_cpus,
    .describe = describe,
    .get_context = get_context,
    .set_context = set_context,
    .get_extended_context = get_extended_context,
    .set_extended_context = set_extended_context,
    .read = read,
    .write = write,
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
