#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "boundary_world.h"

enum {
    P = 0x1,
    RW = 0x2,
    PS = 0x80,
    FRAME_SIZE = 0x1000,
    NUM_FRAMES = 37, // prime: every step through them visits all
    FRAME_STEP = 11,
    UNUSABLE = 0x10000,
    LDT_SEGMENT = 0x82,
    TABLE_LIMIT = 0x7F,
    VMCS_GUEST_EFER = 0x2806,
};

const struct world_mode_info world_modes[NUM_WORLD_MODES] = {
#define WORLD_MODE(name, cpu, walk, cr0, cr4, efer, rflags, cs_access, levels)                     \
    [WORLD_##name] = {#name, cpu, walk, cr0, cr4, efer, rflags, cs_access, levels},
#include "boundary_modes.def"
};

struct world group_world;

void world_open(struct world *world, bool compat)
{
    struct pulsim_options options = {.target = BOUNDARY_TARGET, .compat_2018_client = compat};
    rig_open_with(&world->rig, PROTOCOL_V2, &options);
    rig_open_with(&world->twin, PROTOCOL_V2, &options);
}

void world_close(struct world *world)
{
    rig_close(&world->rig);
    rig_close(&world->twin);
}

int group_world_open(void **state)
{
    (void)state;
    world_open(&group_world, false);
    return 0;
}

int group_world_close(void **state)
{
    (void)state;
    world_close(&group_world);
    return 0;
}

void world_poke(struct world *world, uint64_t phys, const void *bytes, size_t len)
{
    assert_int_equal(pulsim_poke(world->rig.pulsim, phys, bytes, len), len);
    assert_int_equal(pulsim_poke(world->twin.pulsim, phys, bytes, len), len);
}

void world_set(struct world *world, const char *name, uint64_t value)
{
    assert_true(pulsim_register_write(world->rig.pulsim, 0, name, value));
    assert_true(pulsim_register_write(world->twin.pulsim, 0, name, value));
}

void world_set_vmcs(struct world *world, uint32_t encoding, uint64_t value)
{
    assert_true(pulsim_vmcs_write(world->rig.pulsim, 0, encoding, value));
    assert_true(pulsim_vmcs_write(world->twin.pulsim, 0, encoding, value));
}

void world_expect_equal(struct world *world)
{
    assert_true(pulsim_equal(world->rig.pulsim, world->twin.pulsim));
}

// Page tables.

static bool has_small_entries(const struct world *world)
{
    return world_modes[world->mode].levels == 2;
}

static size_t entry_size(const struct world *world)
{
    return has_small_entries(world) ? 4 : 8;
}

static unsigned level_shift(const struct world *world, unsigned level)
{
    return 12 + (has_small_entries(world) ? 10 : 9) * (level - 1);
}

static uint64_t peek_entry(struct world *world, uint64_t place)
{
    uint8_t bytes[8] = {0};
    uint64_t entry = 0;
    assert_int_equal(pulsim_peek(world->twin.pulsim, place, bytes, entry_size(world)),
                     entry_size(world));
    for (unsigned i = 0; i < 8; i++) {
        entry |= (uint64_t)bytes[i] << 8 * i;
    }
    return entry;
}

static void poke_entry(struct world *world, uint64_t place, uint64_t entry)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(entry >> 8 * i);
    }
    world_poke(world, place, bytes, entry_size(world));
}

static uint64_t new_table(struct world *world)
{
    uint64_t table = world->next_table;
    world->next_table += FRAME_SIZE;
    assert_true(world->next_table <= WORLD_ECHO);
    return table;
}

// The page-directory-pointer table of PAE paging has 32 bytes, here the last of a page.
uint64_t world_new_root(struct world *world)
{
    bool is_pae = world_modes[world->mode].levels == 3;
    world->root = new_table(world) + (is_pae ? FRAME_SIZE - 32 : 0);
    return world->root;
}

// Where the entry stands; tables above it are made.
static uint64_t entry_place(struct world *world, uint64_t linear, unsigned level)
{
    uint64_t table = world->root;
    uint64_t mask = has_small_entries(world) ? 0x3FF : 0x1FF;
    for (unsigned at = world_modes[world->mode].levels;; at--) {
        uint64_t index = linear >> level_shift(world, at) & mask;
        index &= at == 3 && world_modes[world->mode].levels == 3 ? 3 : mask;
        uint64_t place = table + index * entry_size(world);
        if (at == level) {
            return place;
        }
        uint64_t entry = peek_entry(world, place);
        if (entry == 0) {
            entry = new_table(world) | P;
            poke_entry(world, place, entry);
        }
        table = entry & ~UINT64_C(0xFFF);
    }
}

void world_set_entry(struct world *world, uint64_t linear, unsigned level, uint64_t entry)
{
    poke_entry(world, entry_place(world, linear, level), entry);
}

uint64_t world_entry(struct world *world, uint64_t linear, unsigned level)
{
    return peek_entry(world, entry_place(world, linear, level));
}

static void note_piece(struct world *world, uint64_t linear, uint64_t phys, uint64_t len)
{
    assert_true(world->num_pieces < sizeof(world->pieces) / sizeof(world->pieces[0]));
    world->pieces[world->num_pieces++] = (struct piece){linear, phys, len};
}

uint64_t world_phys(const struct world *world, uint64_t linear)
{
    if (world_modes[world->mode].levels == 0) {
        return linear;
    }
    for (size_t i = 0; i < world->num_pieces; i++) {
        const struct piece *piece = &world->pieces[i];
        if (linear - piece->linear < piece->len) {
            return piece->phys + (linear - piece->linear);
        }
    }
    fail_msg("the test has not mapped 0x%llx", (unsigned long long)linear);
    return 0;
}

// Rights differ from page to page: they never count. A and D are clear.
void world_map(struct world *world, uint64_t linear, uint64_t phys)
{
    world_set_entry(world, linear, 1, phys | P | (linear >> 12 & 1 ? RW : 0));
    note_piece(world, linear, phys, FRAME_SIZE);
}

// Neighbours in the linear space are FRAME_STEP frames apart.
void world_map_next(struct world *world, uint64_t linear)
{
    assert_true(world->next_frame < NUM_FRAMES);
    uint64_t frame = world->next_frame++ * FRAME_STEP % NUM_FRAMES;
    world_map(world, linear, WORLD_FRAMES + frame * FRAME_SIZE);
}

// A large page's entry, at a level of the tables, and where the page ends. A 4 MiB page has
// physical bits 39:32 in bits 20:13.
struct large_page {
    unsigned level;
    uint64_t entry;
    uint64_t size;
    uint64_t phys;
};

static const struct large_page large_pages[] = {
    [PAGE_2M] = {2, UINT64_C(0x400000) | P | PS, UINT64_C(1) << 21, UINT64_C(0x400000)},
    [PAGE_4M] = {2, UINT64_C(0xC00000) | P | PS, UINT64_C(1) << 22, UINT64_C(0xC00000)},
    [PAGE_4M_PSE36] = {2, UINT64_C(0xC00000) | UINT64_C(0xAB) << 13 | P | PS, UINT64_C(1) << 22,
                       UINT64_C(0xAB00C00000)},
    [PAGE_1G] = {3, UINT64_C(0x40000000) | P | PS, UINT64_C(1) << 30, UINT64_C(0x40000000)},
};

void world_map_below(struct world *world, enum world_page page, uint64_t edge)
{
    if (world_modes[world->mode].levels == 0) {
        return;
    }
    for (uint64_t below = WORLD_SPAN; page == PAGE_4K && below != 0; below -= FRAME_SIZE) {
        world_map_next(world, edge - below);
    }
    for (uint64_t below = WORLD_SPAN; page == PAGE_4K_TOP && below != 0; below -= FRAME_SIZE) {
        world_map(world, edge - below, WORLD_PHYS_END - below);
    }
    if (page == PAGE_4K || page == PAGE_4K_TOP) {
        return;
    }
    const struct large_page *large = &large_pages[page];
    world_set_entry(world, edge - large->size, large->level, large->entry);
    note_piece(world, edge - WORLD_SPAN, large->phys + large->size - WORLD_SPAN, WORLD_SPAN);
}

// Registers.

void world_set_segment(struct world *world, const char *name, uint16_t selector,
                       struct world_segment segment)
{
    char part[16];
    world_set(world, name, selector);
    (void)snprintf(part, sizeof(part), "%s_access", name);
    world_set(world, part, segment.access);
    (void)snprintf(part, sizeof(part), "%s_base", name);
    world_set(world, part, segment.base);
    (void)snprintf(part, sizeof(part), "%s_limit", name);
    world_set(world, part, segment.limit);
}

//  63      56 55  52 51   48 47    40 39           16 15          0
// | base 31:24 | GDLA | limit | P DPL S type | base 23:0 | limit 15:0 |
void world_describe(struct world *world, uint16_t selector, struct world_segment segment)
{
    enum { TI = 4, G = 0x8000 };
    uint64_t limit = segment.access & G ? segment.limit >> 12 : segment.limit;
    uint64_t descriptor = (limit & 0xFFFF) | (segment.base & 0xFFFFFF) << 16 |
                          (uint64_t)(segment.access & 0xF0FF) << 40 | (limit & 0xF0000) << 32 |
                          (segment.base & 0xFF000000) << 32;
    uint64_t table = selector & TI ? WORLD_LDT : WORLD_GDT;
    uint64_t phys = world_phys(world, table) + (selector & 0xFFF8);
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(descriptor >> 8 * i);
    }
    world_poke(world, phys, bytes, sizeof(bytes));
}

static void enter_segments(struct world *world)
{
    static const char *const names[] = {"cs", "ss", "ds", "es", "fs", "gs"};
    for (uint16_t i = 0; i < 6; i++) {
        struct world_segment unusable = {.access = UNUSABLE};
        world_set_segment(world, names[i], (uint16_t)(WORLD_CS + 8 * i), unusable);
    }
    world_set(world, "cs_access", world_modes[world->mode].cs_access);
    world_set(world, "cs_limit", UINT32_MAX);
    world_set_segment(world, "ldt", 0x38,
                      (struct world_segment){LDT_SEGMENT, WORLD_LDT, TABLE_LIMIT});
    world_set(world, "gdt_base", WORLD_GDT);
    world_set(world, "gdt_limit", TABLE_LIMIT);
}

void world_enter(struct world *world, enum world_mode mode)
{
    const struct world_mode_info *info = &world_modes[mode];
    pulsim_reset(world->rig.pulsim);
    pulsim_reset(world->twin.pulsim);
    world->mode = mode;
    world->next_table = WORLD_TABLES;
    world->next_frame = 0;
    world->num_pieces = 0;
    world_set(world, "cr0", info->cr0);
    world_set(world, "cr3", WORLD_NO_TABLE);
    world_set(world, "cr4", info->cr4);
    world_set(world, "rflags", info->rflags);
    world_set_vmcs(world, VMCS_GUEST_EFER, info->efer);
    enter_segments(world);
    if (info->levels == 0) {
        world->root = UINT64_MAX; // not looked at
        return;
    }
    world_new_root(world);
    world_map_next(world, WORLD_GDT);
    poke_entry(world, WORLD_ECHO, WORLD_ECHO | P);
}
