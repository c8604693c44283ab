// Formats of entries and descriptors: SDM 3A, "32-Bit Paging", "PAE Paging", "4-Level Paging and
// 5-Level Paging" and "Segment Descriptors".
#include "modes/image.h"

#include <string.h>

#include "modes/programs.h"

struct builder {
    struct image *image;
    const struct mode_target *target;
    enum mmu_mode mode;
    unsigned levels;
    bool nx;
};

static bool fail(struct builder *b, const char *error)
{
    b->image->error = b->image->error ? b->image->error : error;
    return false;
}

// --- bytes ------------------------------------------------------------------------------------

static uint8_t *page_at(struct builder *b, uint64_t guest_phys)
{
    struct image *image = b->image;
    uint64_t page_phys = guest_phys & ~(uint64_t)(IMAGE_PAGE_SIZE - 1);
    for (size_t i = 0; i < image->num_pages; i++) {
        if (image->pages[i].guest_phys == page_phys) {
            return image->pages[i].bytes;
        }
    }
    if (image->num_pages == IMAGE_MAX_PAGES) {
        fail(b, "too many pages");
        return image->pages[0].bytes;
    }
    struct image_page *page = &image->pages[image->num_pages++];
    *page = (struct image_page){.guest_phys = page_phys};
    return page->bytes;
}

// Little-endian numbers within one page.
static void put(struct builder *b, uint64_t guest_phys, unsigned size, uint64_t value)
{
    uint8_t *bytes = page_at(b, guest_phys) + guest_phys % IMAGE_PAGE_SIZE;
    for (unsigned i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t get(struct builder *b, uint64_t guest_phys, unsigned size)
{
    const uint8_t *bytes = page_at(b, guest_phys) + guest_phys % IMAGE_PAGE_SIZE;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << 8 * i;
    }
    return value;
}

// --- paging structures ------------------------------------------------------------------------

static unsigned levels_of(enum mmu_mode mode)
{
    static const unsigned levels[] = {
        [MMU_MODE_NONE] = 0,   [MMU_MODE_32BIT] = 2,  [MMU_MODE_PAE] = 3,
        [MMU_MODE_4LEVEL] = 4, [MMU_MODE_5LEVEL] = 5,
    };
    return levels[mode];
}

static unsigned entry_size(const struct builder *b)
{
    return b->mode == MMU_MODE_32BIT ? 4 : 8;
}

// The lowest bit of a linear address that selects an entry of this level.
static unsigned shift_of(const struct builder *b, unsigned level)
{
    return 12 + (b->mode == MMU_MODE_32BIT ? 10 : 9) * (level - 1);
}

static unsigned index_of(const struct builder *b, unsigned level, uint64_t linear)
{
    unsigned mask = b->mode == MMU_MODE_32BIT ? 0x3FF : 0x1FF;
    return (unsigned)(linear >> shift_of(b, level)) & mask;
}

static uint64_t add_table(struct builder *b, unsigned level, uint64_t linear)
{
    struct image *image = b->image;
    uint64_t guest_phys = ROWS_TABLES + image->num_tables * IMAGE_PAGE_SIZE;
    if (image->num_tables == IMAGE_MAX_TABLES || guest_phys >= ROWS_TABLES_END) {
        fail(b, "too many paging structures");
        return ROWS_TABLES;
    }
    // The root translates the whole space.
    bool is_root = level == b->levels;
    uint64_t covered = is_root ? UINT64_MAX : (UINT64_C(1) << shift_of(b, level + 1)) - 1;
    if (is_root && b->mode <= MMU_MODE_PAE) {
        covered = UINT32_MAX;
    }
    image->tables[image->num_tables++] = (struct image_table){
        .guest_phys = guest_phys,
        .level = level,
        .from = linear & ~covered,
        .to = linear | covered,
    };
    return guest_phys;
}

// Where the entry of this level lies; tables above it come into being.
static uint64_t entry_phys(struct builder *b, unsigned level, uint64_t linear)
{
    const uint64_t address = UINT64_C(0x000FFFFFFFFFF000);
    uint64_t table = ROWS_TABLES;
    for (unsigned at = b->levels;; at--) {
        uint64_t guest_phys = table + (uint64_t)index_of(b, at, linear) * entry_size(b);
        if (at == level) {
            return guest_phys;
        }
        uint64_t entry = get(b, guest_phys, entry_size(b));
        if ((entry & MMU_ENTRY_P) == 0) {
            bool pdpte = b->mode == MMU_MODE_PAE && at == 3;
            entry = add_table(b, at - 1, linear) | MMU_ENTRY_P;
            entry |= pdpte ? 0 : MMU_ENTRY_RW | MMU_ENTRY_US;
            put(b, guest_phys, entry_size(b), entry);
        } else if ((entry & MMU_ENTRY_PS) != 0) {
            fail(b, "a page lies where a table has to be");
        }
        table = entry & address;
    }
}

static unsigned level_of_page(const struct builder *b, uint64_t page_size)
{
    for (unsigned level = 1; level <= b->levels; level++) {
        if (UINT64_C(1) << shift_of(b, level) == page_size) {
            return level;
        }
    }
    return 0;
}

// A 4 MiB page keeps bits 39:32 of its address in bits 20:13 of the entry (PSE-36).
static uint64_t leaf_of(const struct builder *b, const struct map_row *row, uint64_t guest_phys)
{
    uint64_t entry = guest_phys | MMU_ENTRY_P;
    if (b->mode == MMU_MODE_32BIT && row->page_size != IMAGE_PAGE_SIZE) {
        entry = (entry & UINT32_MAX) | (guest_phys >> 32) << 13;
    }
    entry |= (row->rights & RIGHT_WRITE) != 0 ? MMU_ENTRY_RW : 0;
    entry |= (row->rights & RIGHT_USER) != 0 ? MMU_ENTRY_US : 0;
    entry |= (row->rights & RIGHT_EXECUTE) == 0 && b->nx ? MMU_ENTRY_NX : 0;
    entry |= row->page_size != IMAGE_PAGE_SIZE ? MMU_ENTRY_PS : 0;
    return entry;
}

static bool set_entries(struct builder *b, const struct map_row *row)
{
    unsigned level = row->mapped ? level_of_page(b, row->page_size) : row->level;
    if (level == 0) {
        return fail(b, "a row has a page size that its mode has not");
    }
    uint64_t size = UINT64_C(1) << shift_of(b, level);
    if (row->from % size != 0 || row->to % size != size - 1) {
        return fail(b, "a row is not of whole pages");
    }
    for (uint64_t i = 0; i <= (row->to - row->from) / size; i++) {
        uint64_t linear = row->from + i * size;
        uint64_t guest_phys = entry_phys(b, level, linear);
        uint64_t entry = row->mapped ? leaf_of(b, row, row->guest_phys + i * size) : row->entry;
        put(b, guest_phys, entry_size(b), entry);
        if (entry == 0 || b->image->error) {
            break; // the rest of the tables is zeros, too
        }
    }
    return b->image->error == NULL;
}

static bool build_tables(struct builder *b)
{
    if (b->levels == 0) {
        return true;
    }
    add_table(b, b->levels, 0);
    for (size_t i = 0; i < b->target->num_map; i++) {
        const struct map_row *row = &b->target->map[i];
        if ((row->mapped || row->level != 0) && !set_entries(b, row)) {
            return false;
        }
    }
    return true;
}

// --- what else lies in memory -----------------------------------------------------------------

static void build_descriptors(struct builder *b)
{
    uint64_t gdt = mode_target_register(b->target, "gdt_base");
    for (size_t i = 0; i < b->target->num_segments; i++) {
        const struct segment_row *row = &b->target->segments[i];
        uint16_t selector = row->segment.selector;
        uint64_t table = (selector & 4) != 0 ? ROWS_LDT_PHYS : gdt;
        put(b, table + (selector & 0xFFF8), 8,
            row->raw ? row->descriptor : segment_to_descriptor(&row->segment));
    }
}

static bool build_program(struct builder *b)
{
    size_t len = 0;
    const uint8_t *bytes = program_find(b->target->program.name, &len);
    if (!bytes || len > ROWS_PROGRAM_SIZE) {
        return fail(b, "there is no such program");
    }
    memcpy(page_at(b, ROWS_PROGRAM_PHYS), bytes, len);
    return true;
}

static void put_text(struct builder *b, uint64_t guest_phys, const char *text)
{
    for (size_t i = 0; text[i]; i++) {
        put(b, guest_phys + i, 1, (uint8_t)text[i]);
    }
}

static void build_page(struct builder *b, const struct page_row *row)
{
    static const char end[] = "end of this page";
    put_text(b, row->guest_phys, row->text);
    put_text(b, row->guest_phys + IMAGE_PAGE_SIZE - strlen(end), end);
}

bool image_build(const struct mode_target *target, struct image *out)
{
    struct mmu_registers registers;
    struct builder b = {.image = out, .target = target};
    out->num_pages = out->num_tables = 0;
    out->error = NULL;
    mode_target_mmu(target, &registers);
    if (!mmu_mode_of(&registers, &b.mode)) {
        return fail(&b, "the registers name no paging mode");
    }
    b.levels = levels_of(b.mode);
    b.nx = b.mode >= MMU_MODE_PAE && (registers.efer & MMU_EFER_NXE) != 0;
    build_descriptors(&b);
    for (size_t i = 0; i < target->num_pages; i++) {
        build_page(&b, &target->pages[i]);
    }
    return build_program(&b) && build_tables(&b);
}
