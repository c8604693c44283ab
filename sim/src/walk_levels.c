#include "walk_view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FIELD_BITS = 65,
    MAX_FIELDS = MMU_MAX_LEVELS + 2,
    LEAST_FIELD = 5, // columns: two bit numbers and a space
    PAGE_BITS = 12,
    NAMES_COLUMN = 50,
    LETTERS_SIZE = MMU_LETTERS_SIZE + 1, // with PAT
    WORD_SIZE = 40,
    LONG_NUMBER = 10000, // not for people: written in hexadecimal instead
};

// How each mode splits an address; mmu_linear_bits says where it begins.
static const struct {
    unsigned levels;
    unsigned index_bits;
    unsigned entry_digits;
} shapes[] = {
    [MMU_MODE_NONE] = {0, 0, 0},    [MMU_MODE_32BIT] = {2, 10, 8},  [MMU_MODE_PAE] = {3, 9, 16},
    [MMU_MODE_4LEVEL] = {4, 9, 16}, [MMU_MODE_5LEVEL] = {5, 9, 16},
};

const char *walk_level_name(unsigned level)
{
    static const char *const names[] = {"", "PT", "PD", "PDPT", "PML4", "PML5"};
    assert(level < sizeof(names) / sizeof(names[0]));
    return names[level];
}

const char *walk_size_text(uint64_t size, char out[WALK_SIZE_TEXT])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t number = size;
    size_t unit = 0;
    while (number != 0 && number % 1024 == 0) {
        number /= 1024;
        unit++;
    }
    if (size == 1) {
        (void)snprintf(out, WALK_SIZE_TEXT, "1 byte");
    } else if (number >= LONG_NUMBER) {
        (void)snprintf(out, WALK_SIZE_TEXT, "0x%" PRIx64 " bytes", size);
    } else {
        (void)snprintf(out, WALK_SIZE_TEXT, "%" PRIu64 " %s", number, units[unit]);
    }
    return out;
}

void walk_print_word(struct walk_words *words, const char *word)
{
    int len = (int)strlen(word);
    if (words->begun && words->column + 2 + len >= WALK_COLUMNS) {
        printf(",\n%*s", words->indent, "");
        words->column = words->indent;
    } else if (words->begun) {
        printf(", ");
        words->column += 2;
    }
    printf("%s", word);
    words->column += len;
    words->begun = true;
}

// A run of bits of the linear address.
struct field {
    const char *name;
    unsigned high, low;
};

static unsigned field_bits(const struct field *field)
{
    return field->high - field->low + 1;
}

static int field_width(const struct field *field)
{
    unsigned name = (unsigned)strlen(field->name) + 2;
    unsigned width = field_bits(field) > name ? field_bits(field) : name;
    return (int)(width > LEAST_FIELD ? width : LEAST_FIELD);
}

static uint64_t field_value(const struct field *field, uint64_t linear)
{
    assert(field->low <= field->high && field->high < 64);
    return linear >> field->low & UINT64_MAX >> (64 - field_bits(field));
}

static size_t split(const struct walk_view *view, struct field out[MAX_FIELDS])
{
    enum mmu_mode mode = view->walk.mode;
    unsigned bits = mmu_linear_bits(mode);
    unsigned last = view->walk.valid ? view->walk.level : 1;
    size_t num = 0;
    if (bits > 32 || view->linear >> 32 != 0) {
        out[num++] = (struct field){bits > 32 ? "sign" : "beyond 4 GiB", 63, bits};
    }
    unsigned high = bits - 1;
    for (unsigned level = shapes[mode].levels; level >= last && level > 0; level--) {
        unsigned low = PAGE_BITS + shapes[mode].index_bits * (level - 1);
        out[num++] = (struct field){walk_level_name(level), high, low};
        high = low - 1;
    }
    out[num++] = (struct field){"offset", high, 0};
    return num;
}

static void print_centred(const char *text, int width)
{
    int len = (int)strlen(text);
    int before = (width - len) / 2;
    printf("%*s%s%*s|", before, "", text, width - len - before, "");
}

static void binary_of(const struct field *field, uint64_t value, char out[FIELD_BITS])
{
    unsigned bits = field_bits(field);
    for (unsigned i = 0; i < bits; i++) {
        out[i] = (value >> (bits - 1 - i) & 1) != 0 ? '1' : '0';
    }
    out[bits] = '\0';
}

void walk_print_split(const struct walk_view *view)
{
    struct field fields[MAX_FIELDS];
    char text[FIELD_BITS];
    size_t num = split(view, fields);
    for (size_t i = 0; i < num; i++) {
        int high_digits = printf(" %u", fields[i].high) - 1;
        printf("%*u", field_width(&fields[i]) - high_digits, fields[i].low);
    }
    printf("\n|");
    for (size_t i = 0; i < num; i++) {
        print_centred(fields[i].name, field_width(&fields[i]));
    }
    printf("\n|");
    for (size_t i = 0; i < num; i++) {
        binary_of(&fields[i], field_value(&fields[i], view->linear), text);
        print_centred(text, field_width(&fields[i]));
    }
    printf("\n|");
    for (size_t i = 0; i < num; i++) {
        (void)snprintf(text, sizeof(text), "0x%0*" PRIx64, (int)(field_bits(&fields[i]) + 3) / 4,
                       field_value(&fields[i], view->linear));
        print_centred(text, field_width(&fields[i]));
    }
    printf("\n\n");
}

static unsigned level_of(const struct walk_view *view, size_t i)
{
    return shapes[view->walk.mode].levels - (unsigned)i;
}

// Whether PS of the i-th entry, if it is set, means a large page.
static bool has_size(const struct walk_view *view, size_t i)
{
    enum mmu_mode mode = view->walk.mode;
    unsigned level = level_of(view, i);
    if (mode == MMU_MODE_32BIT) {
        return level == 2 && (view->registers.cr4 & MMU_CR4_PSE) != 0;
    }
    bool has_1gib = mode >= MMU_MODE_4LEVEL && !view->registers.no_1gib_pages;
    return level == 2 || (level == 3 && has_1gib);
}

// Where the i-th entry keeps PAT; 0 when it maps no page.
static uint64_t pat_of(const struct walk_view *view, size_t i)
{
    bool is_large = has_size(view, i) && (view->walk.entries[i] & MMU_ENTRY_PS) != 0;
    return is_large ? MMU_ENTRY_LARGE_PAT : level_of(view, i) == 1 ? MMU_ENTRY_PAT : 0;
}

// The bits of the i-th entry that say something: the others are ignored there, or reserved.
static uint64_t telling_bits(const struct walk_view *view, size_t i)
{
    uint64_t pat = pat_of(view, i);
    if (view->walk.mode == MMU_MODE_PAE && level_of(view, i) == 3) {
        return MMU_ENTRY_P | MMU_ENTRY_PWT | MMU_ENTRY_PCD;
    }
    uint64_t bits = MMU_ENTRY_P | MMU_ENTRY_RW | MMU_ENTRY_US | MMU_ENTRY_PWT | MMU_ENTRY_PCD |
                    MMU_ENTRY_A | MMU_ENTRY_NX;
    if (pat != 0) {
        bits |= MMU_ENTRY_D | (has_size(view, i) ? MMU_ENTRY_PS : 0);
        bits |= (view->registers.cr4 & MMU_CR4_PGE) != 0 ? MMU_ENTRY_G : 0;
    }
    return bits;
}

// What the entry says in IA-32e mode alone: the key of a page, PS where no page is that large.
static void print_long_names(const struct walk_view *view, size_t i, struct walk_words *words)
{
    uint64_t entry = view->walk.entries[i];
    unsigned key = (unsigned)(entry >> MMU_KEY_SHIFT & MMU_KEY_MASK);
    bool has_keys = (view->registers.cr4 & (MMU_CR4_PKE | MMU_CR4_PKS)) != 0;
    bool is_page = pat_of(view, i) != 0;
    char text[WORD_SIZE];
    if (view->walk.mode < MMU_MODE_4LEVEL) {
        return;
    }
    if (is_page && (has_keys || key != 0)) {
        (void)snprintf(text, sizeof(text), "protection key %u%s", key,
                       has_keys ? "" : " (off in CR4)");
        walk_print_word(words, text);
    }
    if (!is_page && !has_size(view, i) && (entry & MMU_ENTRY_PS) != 0) {
        walk_print_word(words, "PS is reserved here");
    }
}

static void print_names(const struct walk_view *view, size_t i)
{
    static const struct {
        uint64_t mask;
        const char *text;
    } rows[] = {
#define PAGING_BIT(name, mask, letter, text) {mask, text},
#include "mmu_model/paging_bits.def"
    };
    uint64_t entry = view->walk.entries[i];
    uint64_t told = entry & telling_bits(view, i);
    struct walk_words words = {.indent = NAMES_COLUMN, .column = NAMES_COLUMN};
    printf("%*s", NAMES_COLUMN, "");
    if ((entry & MMU_ENTRY_P) == 0) {
        printf("not present: the other bits are for software\n");
        return;
    }
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        if ((told & rows[row].mask) != 0) {
            walk_print_word(&words, rows[row].text);
        }
    }
    if ((entry & pat_of(view, i)) != 0) {
        walk_print_word(&words, "PAT");
    }
    print_long_names(view, i, &words);
    printf("\n");
}

// The letters of mmu_model and, as the second, M for the PAT of a page.
static void draw_entry(uint64_t entry, uint64_t pat, char out[LETTERS_SIZE])
{
    char letters[MMU_LETTERS_SIZE];
    mmu_entry_letters(entry & ~pat, letters);
    (void)snprintf(out, LETTERS_SIZE, "%c%c%s", letters[0], (entry & pat) != 0 ? 'M' : '-',
                   letters + 1);
}

// Where the i-th entry leads.
static void print_next(const struct walk_view *view, size_t i)
{
    const struct mmu_walk *walk = &view->walk;
    unsigned level = level_of(view, i);
    bool is_last = i + 1 == walk->num_entries;
    char size[WALK_SIZE_TEXT];
    if (!is_last) {
        struct field index = {"", PAGE_BITS + shapes[walk->mode].index_bits * (level - 1) - 1,
                              PAGE_BITS + shapes[walk->mode].index_bits * (level - 2)};
        uint64_t offset = field_value(&index, view->linear) * shapes[walk->mode].entry_digits / 2;
        printf("%s at 0x%012" PRIx64 "\n", walk_level_name(level - 1),
               walk->entry_phys[i + 1] - offset);
    } else if (walk->valid) {
        printf("%s page at 0x%012" PRIx64 "\n", walk_size_text(walk->page_size, size),
               walk->guest_phys & ~(walk->page_size - 1));
    } else if (walk->fault == MMU_FAULT_UNREADABLE) {
        printf("%s that cannot be read\n", walk_level_name(level - 1));
    } else {
        printf("nowhere\n");
    }
}

void walk_print_levels(const struct walk_view *view)
{
    const struct mmu_walk *walk = &view->walk;
    unsigned high = mmu_linear_bits(walk->mode) - 1;
    if (walk->num_entries == 0) {
        return;
    }
    char letters[LETTERS_SIZE];
    draw_entry(UINT64_MAX, MMU_ENTRY_LARGE_PAT, letters);
    printf("level  index  entry at        entry               %s  leads to\n", letters);
    for (size_t i = 0; i < walk->num_entries; i++) {
        unsigned level = level_of(view, i);
        unsigned low = PAGE_BITS + shapes[walk->mode].index_bits * (level - 1);
        struct field index = {"", high, low};
        draw_entry(walk->entries[i], pat_of(view, i), letters);
        printf("%-5s  0x%03" PRIx64 "  0x%012" PRIx64 "  0x%0*" PRIx64 "%*s  %s  ",
               walk_level_name(level), field_value(&index, view->linear), walk->entry_phys[i],
               (int)shapes[walk->mode].entry_digits, walk->entries[i],
               16 - (int)shapes[walk->mode].entry_digits, "", letters);
        print_next(view, i);
        print_names(view, i);
        high = low - 1;
    }
    printf("\n");
}
