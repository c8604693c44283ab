#include "target_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "machine.h"
#include "vmx_model/msr.h"

// Always false, for the caller to return.
static bool problem(struct target_problem *out, enum target_part part, size_t index,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool problem(struct target_problem *out, enum target_part part, size_t index,
                    const char *format, ...)
{
    out->part = part;
    out->index = index;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out->reason, sizeof(out->reason), format, args);
    va_end(args);
    return false;
}

static bool overlap(const struct target_region *a, const struct target_region *b)
{
    return a->base < b->base ? b->base - a->base < a->size : a->base - b->base < b->size;
}

static bool check_region(const struct target *target, size_t index, struct target_problem *out)
{
    const struct target_region *region = &target->regions[index];
    unsigned bits = target_profile(target)->max_phys_bits;
    uint64_t space = UINT64_C(1) << bits;

    if (region->size == 0 || ((region->base | region->size) & (MEMORY_PAGE_SIZE - 1)) != 0) {
        return problem(out, TARGET_PART_REGIONS, index,
                       "base and size of a region are whole pages of 0x%x bytes",
                       (unsigned)MEMORY_PAGE_SIZE);
    }
    if (region->base >= space || region->size > space - region->base) {
        return problem(out, TARGET_PART_REGIONS, index,
                       "the region at 0x%" PRIx64 " passes the %u bits of a physical address",
                       region->base, bits);
    }
    for (size_t i = 0; i < index; i++) {
        if (overlap(region, &target->regions[i])) {
            return problem(out, TARGET_PART_REGIONS, index,
                           "the region overlaps the one at 0x%" PRIx64, target->regions[i].base);
        }
    }
    return true;
}

static bool check_regions(const struct target *target, struct target_problem *out)
{
    if (target->num_regions == 0) {
        return problem(out, TARGET_PART_REGIONS, 0, "the target has no memory");
    }
    if (target->num_regions > MEMORY_MAX_REGIONS) {
        return problem(out, TARGET_PART_REGIONS, MEMORY_MAX_REGIONS, "more than %u regions",
                       (unsigned)MEMORY_MAX_REGIONS);
    }
    for (size_t i = 0; i < target->num_regions; i++) {
        if (!check_region(target, i, out)) {
            return false;
        }
    }
    return true;
}

static bool holds_bytes(const struct target_region *region, const struct target_load *load)
{
    bool has_bytes = region->kind == REGION_RAM || region->kind == REGION_ROM;
    uint64_t offset = load->guest_phys - region->base;
    return has_bytes && offset < region->size && load->len <= region->size - offset;
}

static bool check_load(const struct target *target, size_t index, struct target_problem *out)
{
    const struct target_load *load = &target->loads[index];
    if (load->len == 0) {
        return problem(out, TARGET_PART_LOADS, index, "there are no bytes to load");
    }
    for (size_t i = 0; i < target->num_regions; i++) {
        if (holds_bytes(&target->regions[i], load)) {
            return true;
        }
    }
    return problem(out, TARGET_PART_LOADS, index,
                   "0x%zx bytes at 0x%" PRIx64 " do not lie in one region of RAM or ROM", load->len,
                   load->guest_phys);
}

static bool is_cpu(const struct target *target, int cpu)
{
    return cpu == TARGET_ALL_CPUS || (cpu >= 0 && (unsigned)cpu < target->num_cpus);
}

static bool check_register(const struct target *target, size_t index, struct target_problem *out)
{
    const struct target_register *row = &target->registers[index];
    const struct register_info *info = &context_registers[row->reg];
    unsigned bits = 8U * info->size;

    if (!is_cpu(target, row->cpu)) {
        return problem(out, TARGET_PART_REGISTERS, index, "there is no CPU %d", row->cpu);
    }
    if (bits < 64 && row->value >> bits != 0) {
        return problem(out, TARGET_PART_REGISTERS, index, "0x%" PRIx64 " does not fit %s: %u bits",
                       row->value, info->name, bits);
    }
    return true;
}

static bool applies(int row_cpu, unsigned cpu)
{
    return row_cpu == TARGET_ALL_CPUS || (unsigned)row_cpu == cpu;
}

// What a CPU makes of its rows, one after the other, as it does when the machine is built.
static bool check_msrs_of(const struct target *target, unsigned cpu, struct target_problem *out)
{
    struct vmx_cpu state;
    vmx_cpu_reset(&state, target_profile(target));
    vmx_cpu_place(&state, cpu, target->num_cpus);
    for (size_t i = 0; i < target->num_msrs; i++) {
        const struct target_msr *row = &target->msrs[i];
        if (!applies(row->cpu, cpu) ||
            msr_write(&state, MSR_GUEST, row->index, row->value) == MSR_OK) {
            continue;
        }
        uint64_t value = 0;
        bool exists = msr_read(&state, MSR_GUEST, row->index, &value) == MSR_OK;
        return problem(out, TARGET_PART_MSRS, i,
                       exists ? "MSR 0x%x of CPU %u does not take 0x%" PRIx64
                              : "MSR 0x%x of CPU %u does not exist (value 0x%" PRIx64 ")",
                       row->index, cpu, row->value);
    }
    return true;
}

static bool check_msrs(const struct target *target, struct target_problem *out)
{
    for (size_t i = 0; i < target->num_msrs; i++) {
        if (!is_cpu(target, target->msrs[i].cpu)) {
            return problem(out, TARGET_PART_MSRS, i, "there is no CPU %d", target->msrs[i].cpu);
        }
    }
    for (unsigned cpu = 0; cpu < target->num_cpus; cpu++) {
        if (!check_msrs_of(target, cpu, out)) {
            return false;
        }
    }
    return true;
}

// Whether some CPU has both.
static bool meet(const struct target_override *a, const struct target_override *b)
{
    bool on_one = a->cpu == b->cpu || a->cpu == TARGET_ALL_CPUS || b->cpu == TARGET_ALL_CPUS;
    return on_one && a->override.index == b->override.index;
}

static bool check_override(const struct target *target, size_t index, struct target_problem *out)
{
    const struct target_override *row = &target->overrides[index];
    if (!is_cpu(target, row->cpu)) {
        return problem(out, TARGET_PART_OVERRIDES, index, "there is no CPU %d", row->cpu);
    }
    for (size_t i = 0; i < index; i++) {
        if (meet(&target->overrides[i], row)) {
            return problem(out, TARGET_PART_OVERRIDES, index,
                           "MSR 0x%x is fixed or faults by another item already",
                           row->override.index);
        }
    }
    return true;
}

bool target_check(const struct target *target, struct target_problem *out)
{
    if (target->num_cpus == 0 || target->num_cpus > MACHINE_MAX_CPUS) {
        return problem(out, TARGET_PART_CPUS, 0, "a target has 1 to %u CPUs",
                       (unsigned)MACHINE_MAX_CPUS);
    }
    if (!check_regions(target, out)) {
        return false;
    }
    for (size_t i = 0; i < target->num_loads; i++) {
        if (!check_load(target, i, out)) {
            return false;
        }
    }
    for (size_t i = 0; i < target->num_registers; i++) {
        if (!check_register(target, i, out)) {
            return false;
        }
    }
    for (size_t i = 0; i < target->num_overrides; i++) {
        if (!check_override(target, i, out)) {
            return false;
        }
    }
    return check_msrs(target, out);
}
