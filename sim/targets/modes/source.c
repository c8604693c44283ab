#include "modes/source.h"

#include <inttypes.h>
#include <string.h>

enum {
    QUAD = 8,
    QUADS = IMAGE_PAGE_SIZE / QUAD,
    GAP = 4, // quads of zeros that are cheaper loaded than left out
};

static bool is_zero(const uint8_t *bytes)
{
    static const uint8_t zeros[QUAD];
    return memcmp(bytes, zeros, QUAD) == 0;
}

// The next run of quads from `from` on that are worth loading. False: there is none.
static bool next_run(const struct image_page *page, size_t from, size_t *out_first, size_t *out_end)
{
    while (from < QUADS && is_zero(page->bytes + from * QUAD)) {
        from++;
    }
    *out_first = *out_end = from;
    for (size_t i = from; i < QUADS && i < *out_end + GAP; i++) {
        *out_end = is_zero(page->bytes + i * QUAD) ? *out_end : i + 1;
    }
    return from < QUADS;
}

static void print_bytes(FILE *out, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        (void)fprintf(out, "%s%u,", i % 32 == 0 ? "\n    " : "", bytes[i]);
    }
}

// All bytes that are loaded, one run behind the other, and then where each run goes.
static void print_loads(FILE *out, const char *id, const struct image *image)
{
    size_t first = 0;
    size_t end = 0;
    (void)fprintf(out, "static const uint8_t %s_bytes[] = {", id);
    for (size_t i = 0; i < image->num_pages; i++) {
        const struct image_page *page = &image->pages[i];
        for (end = 0; next_run(page, end, &first, &end);) {
            print_bytes(out, page->bytes + first * QUAD, (end - first) * QUAD);
        }
    }
    (void)fprintf(out, "\n};\n\nstatic const struct target_load %s_loads[] = {\n", id);
    size_t at = 0;
    for (size_t i = 0; i < image->num_pages; i++) {
        const struct image_page *page = &image->pages[i];
        for (end = 0; next_run(page, end, &first, &end);) {
            size_t len = (end - first) * QUAD;
            (void)fprintf(out,
                          "    {.guest_phys = UINT64_C(0x%" PRIx64 "), .bytes = %s_bytes + %zu, "
                          ".len = %zu},\n",
                          page->guest_phys + first * QUAD, id, at, len);
            at += len;
        }
    }
    (void)fputs("};\n\n", out);
}

static void print_regions(FILE *out, const struct mode_target *target)
{
    (void)fprintf(out, "static const struct target_region %s_regions[] = {\n", target->id);
    for (size_t i = 0; i < target->num_regions; i++) {
        const struct region_row *row = &target->regions[i];
        (void)fprintf(out,
                      "    {.kind = (enum region_kind)%d, .base = UINT64_C(0x%" PRIx64 "), "
                      ".size = UINT64_C(0x%" PRIx64 ")},\n",
                      (int)row->kind, row->base, row->size);
    }
    (void)fputs("};\n\n", out);
}

static void print_register(FILE *out, int cpu, const char *name, uint64_t value)
{
    (void)fprintf(out, "    {.cpu = %d, .reg = CONTEXT_%s, .value = UINT64_C(0x%" PRIx64 ")},\n",
                  cpu, name, value);
}

// RDX is 0 rather than what RESET leaves there.
static void print_registers(FILE *out, const struct mode_target *target)
{
    (void)fprintf(out, "static const struct target_register %s_registers[] = {\n", target->id);
    print_register(out, ROWS_ALL_CPUS, "rdx", 0);
    for (size_t i = 0; i < target->num_segment_registers; i++) {
        const struct segment_register_row *row = &target->segment_registers[i];
        struct segment segment;
        char name[16];
        mode_target_segment(target, row, &segment);
        print_register(out, ROWS_ALL_CPUS, row->name, segment.selector);
        (void)snprintf(name, sizeof(name), "%s_access", row->name);
        print_register(out, ROWS_ALL_CPUS, name, segment.access);
        (void)snprintf(name, sizeof(name), "%s_base", row->name);
        print_register(out, ROWS_ALL_CPUS, name, segment.base);
        (void)snprintf(name, sizeof(name), "%s_limit", row->name);
        print_register(out, ROWS_ALL_CPUS, name, segment.limit);
    }
    for (size_t i = 0; i < target->num_registers; i++) {
        const struct register_row *row = &target->registers[i];
        print_register(out, row->cpu, row->name, row->value);
    }
    (void)fputs("};\n\n", out);
}

static void print_msrs(FILE *out, const struct mode_target *target)
{
    if (target->num_msrs == 0) {
        return;
    }
    (void)fprintf(out, "static const struct target_msr %s_msrs[] = {\n", target->id);
    for (size_t i = 0; i < target->num_msrs; i++) {
        (void)fprintf(out, "    {.cpu = %d, .index = 0x%x, .value = UINT64_C(0x%" PRIx64 ")},\n",
                      ROWS_ALL_CPUS, target->msrs[i].index, target->msrs[i].value);
    }
    (void)fputs("};\n\n", out);
}

static void print_array(FILE *out, const char *id, const char *part)
{
    (void)fprintf(out,
                  "    .num_%s = sizeof(%s_%s) / sizeof(%s_%s[0]),\n"
                  "    .%s = %s_%s,\n",
                  part, id, part, id, part, part, id, part);
}

void source_print(FILE *out, const struct mode_target *target, const struct image *image)
{
    print_regions(out, target);
    print_loads(out, target->id, image);
    print_registers(out, target);
    print_msrs(out, target);
    (void)fprintf(out,
                  "const struct target target_%s = {\n"
                  "    .name = \"%s\",\n"
                  "    .summary = \"%s\",\n"
                  "    .num_cpus = %u,\n",
                  target->id, target->name, target->summary, target->num_cpus);
    print_array(out, target->id, "regions");
    print_array(out, target->id, "loads");
    print_array(out, target->id, "registers");
    if (target->num_msrs != 0) {
        print_array(out, target->id, "msrs");
    }
    (void)fputs("};\n\n", out);
}
