#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boundary_rows.h"

#define VIRTUAL   (1U << SPACE_VIRTUAL)
#define LINEAR    (1U << SPACE_LINEAR)
#define BOTH      (VIRTUAL | LINEAR)
#define NONE      BOUNDARY_NONE
#define JOINED    BOUNDARY_JOINED
#define BIT(bit)  (UINT64_C(1) << (bit))
#define MODE_LONG 5

// Entries that lead nowhere, although without what is wrong with them they would lead to memory.
#define ABSENT        (WORLD_ECHO | 6)
#define ALL_BUT_P     UINT64_C(0xFFFFFFFFFFFFFFFE)
#define ALL_BUT_P32   UINT64_C(0xFFFFFFFE)
#define RESERVED(bit) (WORLD_ECHO | 1 | BIT(bit))
#define LARGE(bit)    (UINT64_C(0x81) | BIT(bit))
#define ECHO_LARGE    (WORLD_ECHO | 0x81)
#define PROTECTED     (WORLD_PROTECTED | 1)

#define PAGE(row_name, row_mode, pages, row_edge, row_resume, at_level, row_entry, num_before,     \
             num_entries, last_valid, is_valid)                                                    \
    {.name = (row_name),                                                                           \
     .kind = KIND_PAGE,                                                                            \
     .mode = WORLD_##row_mode,                                                                     \
     .spaces = BOTH,                                                                               \
     .edge = (row_edge),                                                                           \
     .resume = (row_resume),                                                                       \
     .page = PAGE_##pages,                                                                         \
     .level = (at_level),                                                                          \
     .entry = (row_entry),                                                                         \
     .before = (num_before),                                                                       \
     .count = (num_entries),                                                                       \
     .last = (last_valid),                                                                         \
     .valid = (is_valid)},
#define EDGE(row_name, row_mode, row_spaces, row_edge, row_resume)                                 \
    {.name = (row_name),                                                                           \
     .kind = KIND_EDGE,                                                                            \
     .mode = WORLD_##row_mode,                                                                     \
     .spaces = (row_spaces),                                                                       \
     .edge = (row_edge),                                                                           \
     .resume = (row_resume)},
#define SEGMENT(row_name, row_mode, row_via, row_selector, row_access, row_base, row_limit,        \
                row_edge, first, last)                                                             \
    {.name = (row_name),                                                                           \
     .kind = KIND_SEGMENT,                                                                         \
     .mode = WORLD_##row_mode,                                                                     \
     .spaces = VIRTUAL,                                                                            \
     .edge = (row_edge),                                                                           \
     .resume = NONE,                                                                               \
     .via = VIA_##row_via,                                                                         \
     .selector = (row_selector),                                                                   \
     .segment = {(row_access), (row_base), (row_limit)},                                           \
     .first_offset = (first),                                                                      \
     .last_offset = (last)},
#define BEYOND      true
#define TRANSLATION false
#define PHYSICAL(row_name, row_edge, row_resume, status)                                           \
    {.name = (row_name),                                                                           \
     .kind = KIND_PHYSICAL,                                                                        \
     .mode = WORLD_long64,                                                                         \
     .spaces = 1U << SPACE_PHYSICAL,                                                               \
     .edge = (row_edge),                                                                           \
     .resume = (row_resume),                                                                       \
     .beyond = (status)},

// Not const: cmocka's initial_state is a void pointer.
struct boundary boundaries[] = {
#include "boundary_cases.def"
};

const size_t num_boundaries = sizeof(boundaries) / sizeof(boundaries[0]);

enum {
    RESUMED = 0x2000,       // bytes mapped where memory goes on
    SEGMENT_BASE = 0x20000, // below the edge begins the segment that virtual requests use
    FLAT = 0xC093,
    FLAT16 = 0x8093,
};

static bool is_64bit(const struct boundary *row)
{
    return world_modes[row->mode].cpu_mode == MODE_LONG;
}

static bool is_compat_segment(const struct boundary *row)
{
    return world_modes[row->mode].levels >= 4 && row->spaces == VIRTUAL;
}

static void map_resumed(struct world *world, uint64_t linear)
{
    if (world_modes[world->mode].levels != 0) {
        world_map_next(world, linear);
        world_map_next(world, linear + RESUMED / 2);
    }
}

bool boundary_is_address(uint64_t resume)
{
    return resume != NONE && resume != JOINED;
}

// The segment of DS begins SEGMENT_BASE below the edge; in 64-bit mode that counts for nothing.
static void build_linear(struct world *world, const struct boundary *row)
{
    struct world_segment segment = {FLAT, (row->edge - SEGMENT_BASE) & UINT32_MAX, UINT32_MAX};
    world_set_segment(world, "ds", WORLD_DS, segment);
    world_map_below(world, row->page, row->edge);
    if (row->kind == KIND_PAGE) {
        world_set_entry(world, row->edge, row->level, row->entry);
    }
    if (boundary_is_address(row->resume)) {
        bool wraps = row->spaces == VIRTUAL && !is_64bit(row);
        map_resumed(world, wraps ? row->resume & UINT32_MAX : row->resume);
    }
    // Compatibility mode has tables for more than a segment can reach.
    if (row->resume == JOINED || (row->resume == row->edge && is_compat_segment(row))) {
        map_resumed(world, row->edge);
    }
}

static void build_segment(struct world *world, const struct boundary *row)
{
    uint64_t mask = is_64bit(row) ? UINT64_MAX : UINT32_MAX;
    uint64_t page = (row->segment.base + row->edge) & mask & ~UINT64_C(0xFFF);
    struct world_segment segment = row->segment;
    if (is_64bit(row) && row->selector != WORLD_FS) {
        segment.base = 0x5A5A000; // counts for nothing
    }
    world_map_below(world, PAGE_4K, page);
    if (page != BIT(47)) {
        map_resumed(world, page);
    }
    if (row->via == VIA_TABLE) {
        world_describe(world, row->selector, segment);
    } else if (row->via == VIA_CACHED) {
        world_set_segment(world, row->selector == WORLD_FS ? "fs" : "ds", row->selector, segment);
    }
}

static void add_run(struct probe *probe, uint64_t first, uint64_t last)
{
    if (first <= last) {
        probe->runs[probe->num_runs++] = (struct run){first, last};
    }
}

static void find_runs(struct probe *probe)
{
    const struct boundary *row = probe->row;
    probe->num_runs = 0;
    if (row->kind == KIND_SEGMENT) {
        add_run(probe, row->first_offset, row->last_offset);
        return;
    }
    uint64_t after = row->resume == JOINED ? RESUMED : 0;
    add_run(probe, row->edge - WORLD_SPAN, row->edge - 1 + after);
    if (boundary_is_address(row->resume)) {
        add_run(probe, row->resume, row->resume + RESUMED - 1);
    }
}

void probe_use(struct probe *probe, enum space space)
{
    const struct boundary *row = probe->row;
    bool in_segment = row->kind == KIND_SEGMENT;
    probe->space = space;
    probe->linear_mask = is_64bit(row) || space != SPACE_VIRTUAL ? UINT64_MAX : UINT32_MAX;
    probe->shift = in_segment ? row->segment.base : 0;
    probe->origin = in_segment || is_64bit(row) ? 0 : row->edge - SEGMENT_BASE;
    probe->offset_mask = in_segment || is_64bit(row) ? UINT64_MAX : UINT32_MAX;
    find_runs(probe);
}

void probe_build(struct probe *probe, struct world *world, const struct boundary *row)
{
    *probe = (struct probe){.world = world, .row = row};
    world_enter(world, row->mode);
    if (row->kind == KIND_SEGMENT) {
        build_segment(world, row);
    } else if (row->kind != KIND_PHYSICAL) {
        build_linear(world, row);
    }
}

uint64_t probe_reach(const struct probe *probe, uint64_t address, uint64_t len)
{
    for (size_t i = 0; i < probe->num_runs; i++) {
        const struct run *run = &probe->runs[i];
        if (address >= run->first && address <= run->last) {
            uint64_t left = run->last - address;
            return len != 0 && len - 1 <= left ? len : len == 0 ? 0 : left + 1;
        }
    }
    return 0;
}

// Where the byte lies, and in *out_len how many of len follow it in its page.
static uint64_t place_of(const struct probe *probe, uint64_t address, uint64_t len,
                         uint64_t *out_len)
{
    uint64_t linear = (address + probe->shift) & probe->linear_mask;
    bool is_phys = probe->space == SPACE_PHYSICAL;
    uint64_t phys = is_phys ? address : world_phys(probe->world, linear);
    uint64_t in_page = 0x1000 - (phys & 0xFFF);
    *out_len = len < in_page ? len : in_page;
    return phys;
}

void probe_peek(const struct probe *probe, uint64_t address, uint8_t *bytes, uint64_t len)
{
    uint64_t part = 0;
    for (uint64_t done = 0; done < len; done += part) {
        uint64_t phys = place_of(probe, address + done, len - done, &part);
        assert_int_equal(pulsim_peek(probe->world->twin.pulsim, phys, bytes + done, part), part);
    }
}

static void poke_into(const struct probe *probe, struct pulsim *pulsim, uint64_t address,
                      const uint8_t *bytes, uint64_t len)
{
    uint64_t part = 0;
    for (uint64_t done = 0; done < len; done += part) {
        uint64_t phys = place_of(probe, address + done, len - done, &part);
        assert_int_equal(pulsim_poke(pulsim, phys, bytes + done, part), part);
    }
}

void probe_poke_twin(const struct probe *probe, uint64_t address, const uint8_t *bytes,
                     uint64_t len)
{
    poke_into(probe, probe->world->twin.pulsim, address, bytes, len);
}

void probe_poke(const struct probe *probe, uint64_t address, const uint8_t *bytes, uint64_t len)
{
    probe_poke_twin(probe, address, bytes, len);
    poke_into(probe, probe->world->rig.pulsim, address, bytes, len);
}

uint64_t probe_offset(const struct probe *probe, uint64_t address)
{
    return (address - probe->origin) & probe->offset_mask;
}

uint16_t probe_selector(const struct probe *probe)
{
    return probe->row->kind == KIND_SEGMENT ? probe->row->selector : WORLD_DS;
}

uint32_t probe_max(const struct probe *probe, enum protocol_version version)
{
    static const uint32_t most[NUM_SPACES][2] = {
        [SPACE_VIRTUAL] = {16354, 61410},
        [SPACE_LINEAR] = {16356, 61412},
        [SPACE_PHYSICAL] = {16364, 61420},
    };
    return most[probe->space][version == PROTOCOL_V2];
}

struct packet probe_read_request(const struct probe *probe, uint64_t address, uint32_t len)
{
    uint64_t root = probe->world->root;
    struct packet request = {.kind = PACKET_READ_PHYSICAL,
                             .read_physical = {.address = address, .length = len}};
    if (probe->space == SPACE_LINEAR) {
        request = (struct packet){.kind = PACKET_READ_LINEAR,
                                  .read_linear = {.root = root, .address = address, .length = len}};
    } else if (probe->space == SPACE_VIRTUAL) {
        request = (struct packet){.kind = PACKET_READ_VIRTUAL,
                                  .read_virtual = {.root = root,
                                                   .selector = probe_selector(probe),
                                                   .offset = probe_offset(probe, address),
                                                   .length = len}};
    }
    return request;
}

struct packet probe_write_request(const struct probe *probe, uint64_t address, const uint8_t *data,
                                  uint32_t len)
{
    uint64_t root = probe->world->root;
    struct packet request = {.kind = PACKET_WRITE_PHYSICAL,
                             .write_physical = {.address = address, .length = len, .data = data}};
    if (probe->space == SPACE_LINEAR) {
        request = (struct packet){
            .kind = PACKET_WRITE_LINEAR,
            .write_linear = {.root = root, .address = address, .length = len, .data = data}};
    } else if (probe->space == SPACE_VIRTUAL) {
        request = (struct packet){.kind = PACKET_WRITE_VIRTUAL,
                                  .write_virtual = {.root = root,
                                                    .selector = probe_selector(probe),
                                                    .offset = probe_offset(probe, address),
                                                    .length = len,
                                                    .data = data}};
    }
    return request;
}

uint64_t probe_status(const struct probe *probe, enum protocol_version version, uint64_t address)
{
    bool beyond = probe->row->beyond && address >= probe->row->edge;
    if (version == PROTOCOL_V1) {
        return 0xC0000017;
    }
    return beyond ? 0xC0000010 : 0xC0000021;
}

void probe_ask(const struct probe *probe, enum protocol_version version, struct packet *request)
{
    probe->world->rig.version = version;
    rig_ask(&probe->world->rig, request);
    assert_true(probe->world->rig.has_reply);
}
