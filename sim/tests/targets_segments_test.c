// The segments of every target that is made of rows, asked for through the protocol selector by
// selector: where their ends lead, and how far virtual transfers over these ends go.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "targets_oracle.h"

enum { MAX_SELECTORS = 48, MAX_EDGES = 160 };

static enum cpu_mode cpu_mode;

static int open_target(void **state)
{
    (void)state;
    oracle_open(&group_oracle, group_oracle.target);
    cpu_mode = oracle_cpu_mode(group_oracle.target);
    return 0;
}

// --- what a selector means, by the rows -------------------------------------------------------

// The offsets that a selector has, both included, and where they lead.
struct window {
    bool exists;
    uint64_t base;
    uint64_t first;
    uint64_t last;
};

static const struct window nothing = {.exists = false};

static struct window window_of(const struct segment *segment)
{
    bool expands_down = (segment->access & 0x1C) == 0x14;
    bool big = (segment->access & SEGMENT_ACCESS_DB) != 0;
    struct window window = {true, segment->base, 0, segment->limit};
    if ((segment->access & SEGMENT_ACCESS_UNUSABLE) != 0) {
        return nothing;
    }
    if (expands_down) {
        window.first = (uint64_t)segment->limit + 1;
        window.last = big ? UINT32_MAX : UINT16_MAX;
    }
    window.exists = window.first <= window.last;
    return window;
}

static bool find_register(uint16_t selector, struct segment *out)
{
    static const char *const order[] = {"cs", "ss", "ds", "es", "fs", "gs"};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (oracle_segment(group_oracle.target, order[i], out) && out->selector == selector) {
            return true;
        }
    }
    return false;
}

// Selectors of the tables differ from those of the rows in their RPL at most.
static bool find_descriptor(uint16_t selector, struct segment *out)
{
    for (size_t i = 0; i < group_oracle.target->num_segments; i++) {
        const struct segment_row *row = &group_oracle.target->segments[i];
        if ((row->segment.selector ^ selector) <= 3) {
            *out = row->segment;
            return !row->raw && (out->access & SEGMENT_ACCESS_S) != 0 &&
                   (out->access & SEGMENT_ACCESS_P) != 0;
        }
    }
    return false;
}

// 64-bit mode: FS and GS have a base, nothing has a limit.
static struct window window_in_long64(uint16_t selector)
{
    struct segment segment = {.base = 0};
    struct window window = {true, 0, 0, UINT64_MAX};
    bool is_cached = find_register(selector, &segment);
    bool has_base = is_cached && (segment.selector == oracle_selector(group_oracle.target, "fs") ||
                                  segment.selector == oracle_selector(group_oracle.target, "gs"));
    window.base = has_base ? segment.base : 0;
    window.exists = is_cached || (selector & 0xFFFC) == 0 || find_descriptor(selector, &segment);
    return window;
}

static struct window window_at(uint16_t selector)
{
    struct segment segment;
    if (cpu_mode == CPU_MODE_LONG64) {
        return window_in_long64(selector);
    }
    if (find_register(selector, &segment)) {
        return window_of(&segment);
    }
    if (cpu_mode == CPU_MODE_REAL || cpu_mode == CPU_MODE_V86) {
        return (struct window){true, (uint64_t)selector * 16, 0, 0xFFFF};
    }
    if ((selector & 0xFFFC) == 0 || !find_descriptor(selector, &segment)) {
        return nothing;
    }
    return window_of(&segment);
}

static uint64_t linear_of(const struct window *window, uint64_t offset)
{
    uint64_t linear = window->base + offset;
    return cpu_mode == CPU_MODE_LONG64 ? linear : linear & UINT32_MAX;
}

// How many bytes a transfer reaches from this offset on.
static size_t reach(const struct window *window, uint64_t offset)
{
    if (!window->exists || offset < window->first || offset > window->last) {
        return 0;
    }
    uint64_t linear = linear_of(window, offset);
    uint64_t last = UINT64_MAX; // in 64-bit mode offsets may wrap, linear addresses do not
    if (cpu_mode != CPU_MODE_LONG64) {
        uint64_t left = window->last - offset;
        last = left < UINT32_MAX - linear ? linear + left : UINT32_MAX;
    }
    return oracle_reach(group_oracle.target, linear, last, ORACLE_LENGTH);
}

// --- asking -----------------------------------------------------------------------------------

static void expect_translation(uint16_t selector, const struct window *window, uint64_t offset)
{
    struct packet request = {
        .kind = PACKET_VIRTUAL_TO_PHYSICAL,
        .virtual_to_physical = {.root = group_oracle.root, .selector = selector, .offset = offset}};
    uint64_t guest_phys = 0;
    if (!window->exists || offset < window->first || offset > window->last ||
        !oracle_translate(group_oracle.target, linear_of(window, offset), &guest_phys)) {
        rig_expect_status(&group_oracle.rig, &request, oracle_no_translation(&group_oracle));
        return;
    }
    rig_ask(&group_oracle.rig, &request);
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_PHYSICAL_ADDRESS);
    assert_int_equal(group_oracle.rig.reply.physical_address.address, guest_phys);
}

// A walk of a virtual address is that of the linear address it means.
static void expect_walk(uint16_t selector, const struct window *window, uint64_t offset)
{
    struct packet walk_virtual = {
        .kind = PACKET_WALK_VIRTUAL,
        .walk_virtual = {.root = group_oracle.root, .selector = selector, .offset = offset}};
    struct packet walk_linear = {
        .kind = PACKET_WALK_LINEAR,
        .walk_linear = {.root = group_oracle.root, .address = linear_of(window, offset)}};
    const struct map_row *row = oracle_row(group_oracle.target, linear_of(window, offset));
    if (!window->exists || offset < window->first || offset > window->last ||
        row->fault == MMU_FAULT_NON_CANONICAL) {
        rig_expect_status(&group_oracle.rig, &walk_virtual, oracle_no_translation(&group_oracle));
        return;
    }
    uint8_t entries[8 * MMU_MAX_LEVELS];
    rig_ask(&group_oracle.rig, &walk_virtual);
    assert_int_equal(group_oracle.rig.reply.kind, PACKET_WALK);
    const struct packet_walk first = group_oracle.rig.reply.walk;
    memcpy(entries, first.entries, 8 * (size_t)first.count);
    rig_ask(&group_oracle.rig, &walk_linear);
    const struct packet_walk *second = &group_oracle.rig.reply.walk;
    assert_int_equal(first.mode, second->mode);
    assert_int_equal(first.valid, second->valid);
    assert_int_equal(first.count, second->count);
    assert_int_equal(first.last_valid, second->last_valid);
    assert_memory_equal(entries, second->entries, 8 * (size_t)first.count);
}

static void expect_read(uint16_t selector, const struct window *window, uint64_t offset)
{
    struct packet request = {.kind = PACKET_READ_VIRTUAL,
                             .read_virtual = {.root = group_oracle.root,
                                              .selector = selector,
                                              .offset = offset,
                                              .length = ORACLE_LENGTH}};
    oracle_expect_read(&group_oracle, &request, linear_of(window, offset), reach(window, offset));
}

// What is written may be the descriptor itself, so everything is undone.
static void expect_write(uint16_t selector, const struct window *window, uint64_t offset)
{
    struct packet request = {.kind = PACKET_WRITE_VIRTUAL,
                             .write_virtual = {.root = group_oracle.root,
                                               .selector = selector,
                                               .offset = offset,
                                               .length = ORACLE_LENGTH,
                                               .data = oracle_ink}};
    oracle_expect_write(&group_oracle, &request, linear_of(window, offset), reach(window, offset));
    oracle_expect_equal(&group_oracle);
    oracle_reset(&group_oracle);
}

static void expect_transfers_over(uint16_t selector, const struct window *window, uint64_t offset)
{
    static const unsigned distances[] = {ORACLE_LENGTH + 1, ORACLE_LENGTH, 17, 2, 1, 0};
    static const unsigned write_distances[] = {ORACLE_LENGTH, 17, 1, 0};
    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
        expect_read(selector, window, offset - distances[i]);
        expect_translation(selector, window, offset - distances[i]);
        expect_walk(selector, window, offset - distances[i]);
    }
    for (size_t i = 0; i < sizeof(write_distances) / sizeof(write_distances[0]); i++) {
        expect_write(selector, window, offset - write_distances[i]);
    }
}

struct edges {
    size_t num;
    uint64_t linear[MAX_EDGES];
};

static void add_edge(struct edges *edges, uint64_t linear)
{
    assert_true(edges->num < MAX_EDGES);
    edges->linear[edges->num++] = linear;
}

// Where a row ends, and where regions begin within it.
static void add_edges_of_row(struct edges *edges, const struct map_row *row)
{
    add_edge(edges, row->to + 1);
    for (size_t i = 0; i < group_oracle.target->num_regions && row->mapped; i++) {
        uint64_t offset = group_oracle.target->regions[i].base - row->guest_phys;
        if (offset != 0 && offset <= row->to - row->from) {
            add_edge(edges, row->from + offset);
        }
    }
}

// Over both ends of a segment, and within it over the first edges.
static void transfers_over_the_ends_of_a_segment_stop_where_they_must(void **state)
{
    enum { WITHIN = 8 };
    const uint16_t *selector = *state;
    const struct window window = window_at(*selector);
    struct edges edges = {.num = 0};
    for (size_t i = 0; i < group_oracle.target->num_map; i++) {
        add_edges_of_row(&edges, &group_oracle.target->map[i]);
    }
    expect_transfers_over(*selector, &window, window.first);
    expect_transfers_over(*selector, &window, window.last + 1);
    unsigned num_within = 0;
    for (size_t i = 0; i < edges.num && num_within < WITHIN; i++) {
        uint64_t offset = edges.linear[i] - window.base;
        offset = cpu_mode == CPU_MODE_LONG64 ? offset : offset & UINT32_MAX;
        if (window.exists && offset >= window.first && offset <= window.last) {
            expect_transfers_over(*selector, &window, offset);
            num_within++;
        }
    }
}

// --- registers --------------------------------------------------------------------------------

static uint64_t register_of(const char *name, const char *part)
{
    char full[32];
    uint64_t value = 0;
    (void)snprintf(full, sizeof(full), "%s%s", name, part);
    assert_true(pulsim_register_read(group_oracle.rig.pulsim, 0, full, &value));
    return value;
}

static void segment_registers_hold_what_their_rows_say(void **state)
{
    (void)state;
    const struct mode_target *target = group_oracle.target;
    assert_int_equal(target->num_segment_registers, 8);
    for (size_t i = 0; i < target->num_segment_registers; i++) {
        const char *name = target->segment_registers[i].name;
        struct segment want;
        assert_true(oracle_segment(target, name, &want));
        assert_int_equal(register_of(name, ""), want.selector);
        assert_int_equal(register_of(name, "_access"), want.access);
        assert_int_equal(register_of(name, "_limit"), want.limit);
        assert_int_equal(register_of(name, "_base"), want.base);
    }
}

// A descriptor beyond the GDT's limit is none, and neither is one of the LDT beyond its limit.
static void selectors_beyond_their_table_lead_nowhere(void **state)
{
    (void)state;
    if (group_oracle.target->num_segments == 0) {
        return; // real mode has no tables
    }
    for (unsigned table = 0; table <= 4; table += 4) {
        uint16_t selector = (uint16_t)(0x400 + table);
        struct packet request = {
            .kind = PACKET_READ_VIRTUAL,
            .read_virtual = {
                .root = group_oracle.root, .selector = selector, .offset = 0x3000, .length = 1}};
        if (cpu_mode != CPU_MODE_V86) {
            rig_expect_status(&group_oracle.rig, &request, oracle_no_translation(&group_oracle));
        }
    }
}

// ----------------------------------------------------------------------------------------------

static bool has_selector(const uint16_t *selectors, size_t num, uint16_t selector)
{
    for (size_t i = 0; i < num; i++) {
        if (selectors[i] == selector) {
            return true;
        }
    }
    return false;
}

// All that the rows name, null with each RPL, and in real and virtual-8086 mode some that name no
// register.
static size_t collect(const struct mode_target *target, uint16_t selectors[MAX_SELECTORS])
{
    static const uint16_t others[] = {0, 1, 2, 3, 0x9FF0, 0xF800, 0xFFF0};
    size_t num = 0;
    for (size_t i = 0; i < target->num_segments; i++) {
        selectors[num++] = target->segments[i].segment.selector;
        selectors[num++] = target->segments[i].segment.selector ^ 2; // another RPL
    }
    for (size_t i = 0; i < target->num_segment_registers; i++) {
        uint16_t selector = target->segment_registers[i].segment.selector;
        if (!has_selector(selectors, num, selector)) {
            selectors[num++] = selector;
        }
    }
    for (size_t i = 0; i < (target->num_segments == 0 ? 7 : 4); i++) {
        if (!has_selector(selectors, num, others[i])) {
            selectors[num++] = others[i];
        }
    }
    return num;
}

static int run_target(const struct mode_target *target)
{
    static uint16_t selectors[MAX_SELECTORS];
    static char names[MAX_SELECTORS][ORACLE_NAME_SIZE];
    struct CMUnitTest tests[MAX_SELECTORS + 2] = {
        cmocka_unit_test(segment_registers_hold_what_their_rows_say),
        cmocka_unit_test(selectors_beyond_their_table_lead_nowhere),
    };
    size_t num_selectors = collect(target, selectors);
    for (size_t i = 0; i < num_selectors; i++) {
        (void)snprintf(names[i], ORACLE_NAME_SIZE, "%s: selector 0x%02x", target->name,
                       selectors[i]);
        tests[i + 2] =
            (struct CMUnitTest){names[i], transfers_over_the_ends_of_a_segment_stop_where_they_must,
                                NULL, NULL, &selectors[i]};
    }
    return _cmocka_run_group_tests(target->name, tests, num_selectors + 2, open_target,
                                   group_oracle_close);
}

int main(void)
{
    return oracle_run_groups(run_target) == 0 ? 0 : 1;
}
