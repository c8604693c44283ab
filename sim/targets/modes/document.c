#include "modes/document.h"

#include <inttypes.h>
#include <string.h>

static const char begin_mark[] = "<!-- begin: ";
static const char end_mark[] = "<!-- end: ";
static const char mark_close[] = " -->";

struct subject {
    const struct mode_target *target;
    const struct image *image;
    enum mmu_mode mode;
    bool nx; // pages can refuse to be executed
};

static void print_memory(FILE *out, const struct subject *subject)
{
    static const char *const names[] = {
        [REGION_EMPTY] = "empty",
        [REGION_RAM] = "RAM",
        [REGION_ROM] = "ROM",
        [REGION_DEVICE] = "device",
        [REGION_PROTECTED] = "protected",
    };
    (void)fputs("| from | to | kind | what |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < subject->target->num_regions; i++) {
        const struct region_row *row = &subject->target->regions[i];
        (void)fprintf(out, "| `0x%" PRIX64 "` | `0x%" PRIX64 "` | %s | %s |\n", row->base,
                      row->base + row->size - 1, names[row->kind], row->text);
    }
}

// The page with text that lies lowest at or above guest_phys; NULL: none.
static const struct page_row *next_page(const struct mode_target *target, uint64_t guest_phys)
{
    const struct page_row *next = NULL;
    for (size_t i = 0; i < target->num_pages; i++) {
        const struct page_row *row = &target->pages[i];
        if (row->guest_phys >= guest_phys && (!next || row->guest_phys < next->guest_phys)) {
            next = row;
        }
    }
    return next;
}

static void print_pages(FILE *out, const struct subject *subject)
{
    const struct mode_target *target = subject->target;
    (void)fputs("| page | what it holds |\n|---|---|\n", out);
    if (target->num_segments != 0) {
        (void)fprintf(out, "| `0x%" PRIX64 "` | GDT; LDT, if any, at `0x%X` |\n",
                      mode_target_register(target, "gdt_base"), (unsigned)ROWS_LDT_PHYS);
    }
    (void)fprintf(out, "| `0x%X` | the program: %s |\n", (unsigned)ROWS_PROGRAM_PHYS,
                  target->program.text);
    const struct page_row *row = next_page(target, 0);
    for (; row; row = next_page(target, row->guest_phys + 1)) {
        (void)fprintf(out, "| `0x%" PRIX64 "` | the text `%s` |\n", row->guest_phys, row->text);
    }
}

static const char *level_name(enum mmu_mode mode, unsigned level)
{
    static const char *const names[] = {"", "page table", "PD", "PDPT", "PML4", "PML5"};
    static const char *const legacy[] = {"", "page table", "page directory"};
    return mode == MMU_MODE_32BIT ? legacy[level] : names[level];
}

static void print_structures(FILE *out, const struct subject *subject)
{
    (void)fputs("| guest-physical | what | from | to |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < subject->image->num_tables; i++) {
        const struct image_table *table = &subject->image->tables[i];
        (void)fprintf(out, "| `0x%" PRIX64 "` | %s | `0x%" PRIX64 "` | `0x%" PRIX64 "` |\n",
                      table->guest_phys, level_name(subject->mode, table->level), table->from,
                      table->to);
    }
}

static const char *size_name(uint64_t size)
{
    switch (size) {
    case 0x1000:
        return "4 KiB";
    case 0x200000:
        return "2 MiB";
    case 0x400000:
        return "4 MiB";
    case 0x40000000:
        return "1 GiB";
    default:
        return "";
    }
}

static void print_mapping(FILE *out, const struct subject *subject, const struct map_row *row)
{
    bool executable = !subject->nx || (row->rights & RIGHT_EXECUTE) != 0;
    (void)fprintf(out, "| %s | R%s%s%s | `0x%" PRIX64 "` | %s |\n", size_name(row->page_size),
                  (row->rights & RIGHT_WRITE) != 0 ? "W" : "", executable ? "X" : "",
                  (row->rights & RIGHT_USER) != 0 ? "U" : "", row->guest_phys, row->text);
}

static void print_linear(FILE *out, const struct subject *subject)
{
    (void)fputs("| from | to | page size | rights | guest-physical | what |\n|---|---|---|---|---|"
                "---|\n",
                out);
    for (size_t i = 0; i < subject->target->num_map; i++) {
        const struct map_row *row = &subject->target->map[i];
        (void)fprintf(out, "| `0x%" PRIX64 "` | `0x%" PRIX64 "` ", row->from, row->to);
        if (row->mapped) {
            print_mapping(out, subject, row);
        } else {
            (void)fprintf(out, "| | | | hole: %s |\n", row->text);
        }
    }
}

static void print_segment(FILE *out, const struct segment *segment)
{
    (void)fprintf(out, "`0x%" PRIX64 "` | `0x%" PRIX32 "` | `0x%" PRIX32 "`", segment->base,
                  segment->limit, segment->access);
}

static void print_descriptors(FILE *out, const struct subject *subject)
{
    (void)fputs("| selector | base | limit | rights | what |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < subject->target->num_segments; i++) {
        const struct segment_row *row = &subject->target->segments[i];
        (void)fprintf(out, "| `0x%02X` | ", row->segment.selector);
        if (row->raw) {
            (void)fprintf(out, "| | `0x%016" PRIX64 "`", row->descriptor);
        } else {
            print_segment(out, &row->segment);
        }
        (void)fprintf(out, " | %s |\n", row->text);
    }
}

static void print_segments(FILE *out, const struct subject *subject)
{
    (void)fputs(
        "| register | selector | base | limit | rights | what |\n|---|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < subject->target->num_segment_registers; i++) {
        const struct segment_register_row *row = &subject->target->segment_registers[i];
        struct segment segment;
        mode_target_segment(subject->target, row, &segment);
        (void)fprintf(out, "| %s | `0x%02X` | ", row->name, segment.selector);
        print_segment(out, &segment);
        (void)fprintf(out, " | %s |\n", row->loaded ? "as its descriptor says" : row->text);
    }
}

static void print_registers(FILE *out, const struct subject *subject)
{
    (void)fputs("| register | value | |\n|---|---|---|\n", out);
    for (size_t i = 0; i < subject->target->num_registers; i++) {
        const struct register_row *row = &subject->target->registers[i];
        (void)fprintf(out, "| %s", row->name);
        if (row->cpu != ROWS_ALL_CPUS) {
            (void)fprintf(out, " of CPU %d", row->cpu);
        }
        (void)fprintf(out, " | `0x%" PRIX64 "` | %s |\n", row->value, row->text);
    }
    for (size_t i = 0; i < subject->target->num_msrs; i++) {
        const struct msr_row *row = &subject->target->msrs[i];
        (void)fprintf(out, "| MSR `0x%" PRIX32 "` | `0x%" PRIX64 "` | %s |\n", row->index,
                      row->value, row->text);
    }
}

static void print_targets(FILE *out, const struct subject *subject)
{
    (void)subject;
    (void)fputs("| built-in | CPUs | what it is |\n|---|---|---|\n", out);
    const struct mode_target *target = mode_target_at(0);
    for (size_t i = 0; target; target = mode_target_at(++i)) {
        (void)fprintf(out, "| [`%s`](%s/README.md) | %u | %s |\n", target->name, target->name,
                      target->num_cpus, target->summary);
    }
}

static const struct {
    const char *name;
    void (*print)(FILE *out, const struct subject *subject);
} tables[] = {
    {"memory", print_memory},           {"pages", print_pages},
    {"linear", print_linear},           {"structures", print_structures},
    {"descriptors", print_descriptors}, {"segments", print_segments},
    {"registers", print_registers},     {"targets", print_targets},
};

enum { NUM_TABLES = sizeof(tables) / sizeof(tables[0]) };

// A target without descriptors or paging structures has no such table; the list of targets stands
// in the document of none of them.
static bool is_wanted(const struct subject *subject, size_t table)
{
    bool is_list = tables[table].print == print_targets;
    if (!subject->target || is_list) {
        return is_list && !subject->target;
    }
    if (tables[table].print == print_descriptors) {
        return subject->target->num_segments != 0;
    }
    return tables[table].print != print_structures || subject->image->num_tables != 0;
}

static bool complain(const char *what, const char *which, int which_len)
{
    (void)fprintf(stderr, "%s%.*s\n", what, which_len, which);
    return false;
}

// The table whose name stands here; NUM_TABLES when there is none.
static size_t find_table(const char *name, size_t name_len)
{
    size_t i = 0;
    while (i < NUM_TABLES &&
           (strlen(tables[i].name) != name_len || memcmp(tables[i].name, name, name_len) != 0)) {
        i++;
    }
    return i;
}

// Prints the table of the mark that a line begins with. Returns where the old table ends.
static const char *make_table(const struct subject *subject, const char *line,
                              bool seen[NUM_TABLES], FILE *out)
{
    const char *name = line + strlen(begin_mark);
    const char *close = strstr(name, mark_close);
    const char *end = strstr(line, end_mark);
    size_t table = close ? find_table(name, (size_t)(close - name)) : NUM_TABLES;
    if (!end || table == NUM_TABLES || !is_wanted(subject, table)) {
        complain("no such table, or it does not end: ", line, (int)strcspn(line, "\n"));
        return NULL;
    }
    seen[table] = true;
    tables[table].print(out, subject);
    return end;
}

bool document_make(const char *text, const struct mode_target *target, const struct image *image,
                   FILE *out)
{
    struct mmu_registers registers;
    struct subject subject = {.target = target, .image = image};
    bool seen[NUM_TABLES] = {false};
    if (target) {
        mode_target_mmu(target, &registers);
        mmu_mode_of(&registers, &subject.mode);
        subject.nx = subject.mode >= MMU_MODE_PAE && (registers.efer & MMU_EFER_NXE) != 0;
    }
    while (text && *text) {
        size_t len = strcspn(text, "\n");
        len += text[len] == '\n';
        (void)fwrite(text, 1, len, out);
        bool is_mark = strncmp(text, begin_mark, strlen(begin_mark)) == 0;
        text = is_mark ? make_table(&subject, text, seen, out) : text + len;
    }
    for (size_t i = 0; i < NUM_TABLES; i++) {
        if (!seen[i] && is_wanted(&subject, i)) {
            return complain("the document has no table ", tables[i].name, 99);
        }
    }
    return text != NULL;
}
