#include "target_file.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mmu_model/paging.h"
#include "target_bytes.h"
#include "target_check.h"
#include "target_yaml.h"

// The target and all that it points to. Rows of the base come first in each part.
struct target_file {
    struct target target; // first: a target_file is found from it
    struct target_yaml *yaml;
    const struct target *base;    // an empty one when the file names none
    struct vmx_profile processor; // when the file changes one
    struct target_region *regions;
    struct target_load *loads;
    uint8_t **bytes; // what each load of the file holds
    size_t num_bytes;
    struct target_register *registers;
    size_t *register_items; // for each register that the file sets, the item of its list
    struct target_msr *msrs;
    size_t *msr_items; // as for registers
    struct target_override *overrides;
    size_t *override_items;
    size_t base_registers; // rows of the base that are kept
    size_t base_msrs;
    size_t base_overrides;
};

struct error_text {
    const char *path;
    char *out;
    size_t size;
};

static const struct target empty = {.num_cpus = 1};

// Always false, for the caller to return. place may be NULL: no line is to blame.
static bool fail(struct target_file *file, const struct error_text *error,
                 const struct yaml_place *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static bool fail(struct target_file *file, const struct error_text *error,
                 const struct yaml_place *place, const char *format, ...)
{
    char reason[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    size_t line = place != NULL ? target_yaml_line(file->yaml, place) : 0;
    if (line == 0) {
        (void)snprintf(error->out, error->size, "%s: %s", error->path, reason);
        return false;
    }
    (void)snprintf(error->out, error->size, "%s:%zu: %s", error->path, line, reason);
    return false;
}

// Room for the rows of the base and of the file. NULL only when memory is out.
static void *rows_new(size_t from_base, size_t from_file, size_t size)
{
    return calloc(from_base + from_file + 1, size);
}

// A CPU that the base has and this target has not: fewer CPUs may be asked for.
static bool is_left_out(const struct target_file *file, int cpu)
{
    return cpu != TARGET_ALL_CPUS && (unsigned)cpu >= file->target.num_cpus;
}

static bool add_regions(struct target_file *file)
{
    const struct yaml_target *yaml = target_yaml_root(file->yaml);
    struct target *target = &file->target;
    file->regions = rows_new(file->base->num_regions, yaml->regions_count, sizeof(*file->regions));
    if (file->regions == NULL) {
        return false;
    }
    target->regions = file->regions;
    for (size_t i = 0; i < file->base->num_regions; i++) {
        file->regions[target->num_regions++] = file->base->regions[i];
    }
    for (size_t i = 0; i < yaml->regions_count; i++) {
        const struct yaml_region *region = &yaml->regions[i];
        file->regions[target->num_regions++] = (struct target_region){
            .kind = (enum region_kind)region->kind, .base = region->base, .size = region->size};
    }
    return true;
}

static size_t count_values(const struct yaml_registers *item)
{
    size_t count = 0;
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        count += item->set.value[i] != NULL;
    }
    return count;
}

static void add_item_registers(struct target_file *file, size_t item)
{
    const struct yaml_registers *from = &target_yaml_root(file->yaml)->registers[item];
    struct target *target = &file->target;
    for (size_t i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        if (from->set.value[i] == NULL) {
            continue;
        }
        file->register_items[target->num_registers - file->base_registers] = item;
        file->registers[target->num_registers++] = (struct target_register){
            .cpu = from->cpu != NULL ? *from->cpu : TARGET_ALL_CPUS,
            .reg = (enum context_register)i,
            .value = *from->set.value[i],
        };
    }
}

static bool add_registers(struct target_file *file)
{
    const struct yaml_target *yaml = target_yaml_root(file->yaml);
    const struct target *base = file->base;
    struct target *target = &file->target;
    size_t count = 0;
    for (size_t i = 0; i < yaml->registers_count; i++) {
        count += count_values(&yaml->registers[i]);
    }
    file->registers = rows_new(base->num_registers, count, sizeof(*file->registers));
    file->register_items = rows_new(0, count, sizeof(*file->register_items));
    if (file->registers == NULL || file->register_items == NULL) {
        return false;
    }
    target->registers = file->registers;
    for (size_t i = 0; i < base->num_registers; i++) {
        if (!is_left_out(file, base->registers[i].cpu)) {
            file->registers[target->num_registers++] = base->registers[i];
        }
    }
    file->base_registers = target->num_registers;
    for (size_t i = 0; i < yaml->registers_count; i++) {
        add_item_registers(file, i);
    }
    return true;
}

static void add_base_msrs(struct target_file *file)
{
    const struct target *base = file->base;
    struct target *target = &file->target;
    for (size_t i = 0; i < base->num_msrs; i++) {
        if (!is_left_out(file, base->msrs[i].cpu)) {
            file->msrs[target->num_msrs++] = base->msrs[i];
        }
    }
    for (size_t i = 0; i < base->num_overrides; i++) {
        if (!is_left_out(file, base->overrides[i].cpu)) {
            file->overrides[target->num_overrides++] = base->overrides[i];
        }
    }
    file->base_msrs = target->num_msrs;
    file->base_overrides = target->num_overrides;
}

static void add_item_msrs(struct target_file *file, size_t item)
{
    const struct yaml_msr *msr = &target_yaml_root(file->yaml)->msrs[item];
    struct target *target = &file->target;
    int cpu = msr->cpu != NULL ? *msr->cpu : TARGET_ALL_CPUS;
    if (msr->value != NULL) {
        file->msr_items[target->num_msrs - file->base_msrs] = item;
        file->msrs[target->num_msrs++] =
            (struct target_msr){.cpu = cpu, .index = msr->index, .value = *msr->value};
    }
    if (msr->fixed != NULL || msr->faults != NULL) {
        struct msr_override override = {.index = msr->index};
        override.effects |= msr->fixed != NULL ? MSR_OVERRIDE_FIXED : 0u;
        override.effects |= msr->faults != NULL ? (uint32_t)*msr->faults : 0u;
        override.value = msr->fixed != NULL ? *msr->fixed : 0;
        file->override_items[target->num_overrides - file->base_overrides] = item;
        file->overrides[target->num_overrides++] = (struct target_override){cpu, override};
    }
}

static bool add_msrs(struct target_file *file)
{
    const struct yaml_target *yaml = target_yaml_root(file->yaml);
    const struct target *base = file->base;
    size_t count = yaml->msrs_count;
    file->msrs = rows_new(base->num_msrs, count, sizeof(*file->msrs));
    file->msr_items = rows_new(0, count, sizeof(*file->msr_items));
    file->overrides = rows_new(base->num_overrides, count, sizeof(*file->overrides));
    file->override_items = rows_new(0, count, sizeof(*file->override_items));
    if (file->msrs == NULL || file->msr_items == NULL || file->overrides == NULL ||
        file->override_items == NULL) {
        return false;
    }
    file->target.msrs = file->msrs;
    file->target.overrides = file->overrides;
    add_base_msrs(file);
    for (size_t i = 0; i < count; i++) {
        add_item_msrs(file, i);
    }
    return true;
}

// What an item of msrs asks for, before anything is made of it.
static bool check_msr_items(struct target_file *file, const struct error_text *error)
{
    const struct yaml_target *yaml = target_yaml_root(file->yaml);
    for (size_t i = 0; i < yaml->msrs_count; i++) {
        const struct yaml_msr *msr = &yaml->msrs[i];
        const struct yaml_place place = {.list = "msrs", .index = i};
        if (msr->value == NULL && msr->fixed == NULL && msr->faults == NULL) {
            return fail(file, error, &place, "MSR 0x%x has no value, is not fixed and never faults",
                        msr->index);
        }
        if (msr->value != NULL && msr->fixed != NULL) {
            return fail(file, error, &place, "MSR 0x%x is fixed: nothing ever reads its value",
                        msr->index);
        }
        if (msr->fixed != NULL && msr->faults != NULL &&
            (*msr->faults & MSR_OVERRIDE_READ_GP) != 0) {
            return fail(file, error, &place, "MSR 0x%x cannot be fixed and fault when it is read",
                        msr->index);
        }
    }
    return true;
}

static bool find_profile(struct target_file *file, const struct error_text *error)
{
    const struct yaml_target *yaml = target_yaml_root(file->yaml);
    file->target.profile = file->base->profile;
    if (yaml->profile == NULL) {
        return true;
    }
    file->target.profile = vmx_profile_find(yaml->profile);
    if (file->target.profile != NULL) {
        return true;
    }
    char names[128] = "";
    size_t len = 0;
    for (size_t i = 0; vmx_profile_at(i) != NULL && len < sizeof(names); i++) {
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i == 0 ? "" : ", ",
                                vmx_profile_at(i)->name);
    }
    const struct yaml_place place = {.list = "profile"};
    return fail(file, error, &place, "there is no processor profile %s, but %s", yaml->profile,
                names);
}

// A processor that differs from its profile in the width of physical addresses.
static bool set_width(struct target_file *file, const struct error_text *error)
{
    const unsigned *bits = target_yaml_root(file->yaml)->max_phys_bits;
    if (bits == NULL) {
        return true;
    }
    if (*bits < MMU_MIN_PHYS_BITS || *bits > MMU_MAX_PHYS_BITS) {
        const struct yaml_place place = {.list = "max_phys_bits"};
        return fail(file, error, &place, "max_phys_bits is %d to %d", MMU_MIN_PHYS_BITS,
                    MMU_MAX_PHYS_BITS);
    }
    file->processor = *target_profile(&file->target);
    file->processor.max_phys_bits = (uint8_t)*bits;
    file->target.profile = &file->processor;
    return true;
}

static bool add_file_load(struct target_file *file, size_t item, const struct error_text *error)
{
    const struct yaml_load *load = &target_yaml_root(file->yaml)->load[item];
    struct target_bytes bytes = {.len = 0};
    struct yaml_place place = {.list = "load", .index = item};
    const char *reason = target_bytes_make(load, error->path, &bytes, &place.key);
    if (reason != NULL) {
        bool names_file = place.key != NULL && load->file != NULL;
        return fail(file, error, &place, "%s%s%s", names_file ? load->file : "",
                    names_file ? ": " : "", reason);
    }
    file->bytes[file->num_bytes++] = bytes.bytes;
    file->loads[file->target.num_loads++] =
        (struct target_load){.guest_phys = load->address, .bytes = bytes.bytes, .len = bytes.len};
    return true;
}

static bool add_loads(struct target_file *file, const struct error_text *error)
{
    const struct yaml_target *yaml = target_yaml_root(file->yaml);
    const struct target *base = file->base;
    file->loads = rows_new(base->num_loads, yaml->load_count, sizeof(*file->loads));
    file->bytes = rows_new(0, yaml->load_count, sizeof(*file->bytes));
    if (file->loads == NULL || file->bytes == NULL) {
        return fail(file, error, NULL, "out of memory");
    }
    file->target.loads = file->loads;
    for (size_t i = 0; i < base->num_loads; i++) {
        file->loads[file->target.num_loads++] = base->loads[i];
    }
    for (size_t i = 0; i < yaml->load_count; i++) {
        if (!add_file_load(file, i, error)) {
            return false;
        }
    }
    return true;
}

static bool begin(struct target_file *file, const struct error_text *error)
{
    const struct yaml_target *yaml = target_yaml_root(file->yaml);
    file->base = &empty;
    if (yaml->base != NULL) {
        file->base = target_find(yaml->base);
    }
    if (file->base == NULL) {
        const struct yaml_place place = {.list = "base"};
        return fail(file, error, &place, "there is no built-in target %s", yaml->base);
    }
    if (!find_profile(file, error) || !set_width(file, error)) {
        return false;
    }
    file->target.name = yaml->name;
    file->target.summary = yaml->summary != NULL ? yaml->summary : "";
    file->target.num_cpus = yaml->cpus != NULL ? *yaml->cpus : file->base->num_cpus;
    return true;
}

// Where in the file the row stands that a check complains about.
static struct yaml_place place_of(const struct target_file *file,
                                  const struct target_problem *problem)
{
    bool has_width = target_yaml_root(file->yaml)->max_phys_bits != NULL;
    size_t index = problem->index;
    const struct target *base = file->base;
    switch (problem->part) {
    case TARGET_PART_CPUS:
        return (struct yaml_place){.list = "cpus"};
    case TARGET_PART_REGIONS:
        if (index < base->num_regions) { // beyond this processor's addresses
            return (struct yaml_place){.list = has_width ? "max_phys_bits" : "profile"};
        }
        return (struct yaml_place){.list = "regions", .index = index - base->num_regions};
    case TARGET_PART_LOADS:
        return (struct yaml_place){.list = "load", .index = index - base->num_loads};
    case TARGET_PART_REGISTERS:
        if (index < file->base_registers) {
            break;
        }
        return (struct yaml_place){
            .list = "registers",
            .index = file->register_items[index - file->base_registers],
            .key = "set",
            .inner = context_registers[file->registers[index].reg].name,
        };
    case TARGET_PART_MSRS:
        if (index < file->base_msrs) { // of the base, which this processor does not take
            return (struct yaml_place){.list = has_width ? "max_phys_bits" : "profile"};
        }
        return (struct yaml_place){.list = "msrs",
                                   .index = file->msr_items[index - file->base_msrs]};
    case TARGET_PART_OVERRIDES:
        if (index < file->base_overrides) {
            break;
        }
        return (struct yaml_place){.list = "msrs",
                                   .index = file->override_items[index - file->base_overrides]};
    }
    return (struct yaml_place){.list = NULL};
}

static bool check(struct target_file *file, const struct error_text *error)
{
    struct target_problem problem;
    if (target_check(&file->target, &problem)) {
        return true;
    }
    const struct yaml_place place = place_of(file, &problem);
    return fail(file, error, &place, "%s", problem.reason);
}

static bool build(struct target_file *file, const struct error_text *error)
{
    if (!begin(file, error) || !check_msr_items(file, error)) {
        return false;
    }
    if (!add_regions(file) || !add_registers(file) || !add_msrs(file)) {
        return fail(file, error, NULL, "out of memory");
    }
    return add_loads(file, error) && check(file, error);
}

struct target *target_file_load(const char *path, char *error, size_t error_size)
{
    struct target_yaml *yaml = target_yaml_load(path, error, error_size);
    if (yaml == NULL) {
        return NULL;
    }
    struct target_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        (void)snprintf(error, error_size, "%s: out of memory", path);
        target_yaml_free(yaml);
        return NULL;
    }
    file->yaml = yaml;
    const struct error_text text = {.path = path, .out = error, .size = error_size};
    if (!build(file, &text)) {
        target_file_free(&file->target);
        return NULL;
    }
    return &file->target;
}

void target_file_free(struct target *target)
{
    if (target == NULL) {
        return;
    }
    struct target_file *file = (struct target_file *)target;
    for (size_t i = 0; i < file->num_bytes; i++) {
        free(file->bytes[i]);
    }
    free(file->bytes);
    free(file->loads);
    free(file->regions);
    free(file->registers);
    free(file->register_items);
    free(file->msrs);
    free(file->msr_items);
    free(file->overrides);
    free(file->override_items);
    target_yaml_free(file->yaml);
    free(file);
}
