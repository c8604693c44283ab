// Packets: each row of each version against the layouts typed from the wire facts.

#include "protocol/packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"
#include "layouts.h"
#include "packet_member.h"
#include "random.h"

enum { SAMPLE_SIZE = 32768 };

struct field {
    size_t offset;
    size_t size;
    bool reserved;
};

struct layout_case {
    char name[64];
    const struct layout *layout;
};

static struct layout_case cases[NUM_OF(layouts)];

// The next field of a layout's list, which *at points into.
static bool next_field(const char **at, struct field *out)
{
    char *end = NULL;
    if (**at == '\0') {
        return false;
    }
    out->offset = strtoul(*at, &end, 10);
    out->size = strtoul(end + 1, &end, 10);
    out->reserved = *end == 'z';
    *at = end + (out->reserved ? 1 : 0);
    *at += **at == ' ' ? 1 : 0;
    return true;
}

static uint64_t number_at(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, bytes, size); // the tests run on little-endian machines
    return value;
}

static size_t mask_size(const struct register_info *registers, size_t num, uint64_t mask)
{
    size_t size = 0;
    for (size_t i = 0; i < num; i++) {
        size += mask >> registers[i].bit & 1 ? registers[i].size : 0U;
    }
    return size;
}

static size_t tail_size(const struct layout *layout, const uint8_t *bytes)
{
    uint64_t counter = number_at(bytes + layout->counter, layout->counter_size);
    switch (layout->tail) {
    case LAYOUT_FIXED:
        break;
    case LAYOUT_COUNTED:
        return layout->unit * (size_t)counter;
    case LAYOUT_CONTEXT:
        return mask_size(context_registers, NUM_CONTEXT_REGISTERS, counter);
    case LAYOUT_EXTENDED:
        return mask_size(extended_registers, NUM_EXTENDED_REGISTERS, counter);
    }
    return 0;
}

// A packet of the layout with random fields and a tail that fits into out. Returns its length.
static size_t make_packet(const struct layout *layout, uint64_t *seed, uint8_t *out)
{
    random_fill(seed, out, SAMPLE_SIZE);
    out[0] = (uint8_t)layout->version;
    out[1] = (uint8_t)layout->class;
    out[2] = (uint8_t)layout->type;
    out[3] = 0;
    struct field field;
    for (const char *at = layout->fields; next_field(&at, &field);) {
        memset(out + field.offset, 0, field.reserved ? field.size : 0);
    }
    if (layout->tail == LAYOUT_COUNTED) {
        size_t most = 4096 / layout->unit;
        uint64_t count = random_below(seed, layout->counter_size == 1 ? 256 : most);
        memcpy(out + layout->counter, &count, layout->counter_size);
    }
    return layout->size + tail_size(layout, out);
}

static enum protocol_version version_of(const struct layout *layout)
{
    return (enum protocol_version)layout->version;
}

// The number in the struct member of a field, found by its name.
static uint64_t member_value(const struct packet *packet, const char *name)
{
    bool found = false;
    uint64_t value = packet_member(packet, name, &found);
    assert_true(found);
    return value;
}

static void check_row(const struct layout *layout, const struct packet_info *info)
{
    assert_int_equal(info->class, layout->class);
    assert_int_equal(info->type, layout->type);
    assert_int_equal(info->size, layout->size);
    struct field field;
    size_t i = 0;
    size_t running = PACKET_HEADER_SIZE;
    for (const char *at = layout->fields; next_field(&at, &field); i++) {
        assert_true(i < info->num_fields);
        assert_int_equal(info->fields[i].type, field.reserved ? FIELD_RESERVED : FIELD_NUMBER);
        assert_int_equal(info->fields[i].offset, field.offset);
        assert_int_equal(info->fields[i].offset, running);
        assert_int_equal(info->fields[i].size, field.size);
        running += field.size;
    }
    assert_int_equal(running, layout->size);
    if (layout->tail != LAYOUT_FIXED) {
        assert_int_equal(info->fields[i].type, FIELD_TAIL);
        assert_int_equal(info->fields[i].offset, running);
        i++;
    }
    assert_int_equal(i, info->num_fields);
}

static void check_members(const struct layout *layout, const struct packet_info *info,
                          const struct packet *packet, const uint8_t *bytes)
{
    struct field field;
    size_t i = 0;
    for (const char *at = layout->fields; next_field(&at, &field); i++) {
        if (!field.reserved) {
            assert_int_equal(member_value(packet, info->fields[i].name),
                             number_at(bytes + field.offset, field.size));
        }
    }
    if (layout->tail != LAYOUT_FIXED) {
        assert_ptr_equal(packet_tail(packet), bytes + layout->size);
    }
}

static void a_row_reads_and_writes_as_the_facts_say(void **state)
{
    const struct layout *layout = ((struct layout_case *)*state)->layout;
    static uint8_t bytes[SAMPLE_SIZE];
    static uint8_t written[SAMPLE_SIZE];
    uint64_t seed = 1000 * layout->version + 100 * layout->class + layout->type + 1;
    enum packet_kind kind =
        packet_kind_of(version_of(layout), (uint8_t)layout->class, (uint16_t)layout->type);
    assert_int_not_equal(kind, NUM_PACKET_KINDS);
    const struct packet_info *info = packet_info(kind);
    check_row(layout, info);
    assert_int_equal(packet_size(kind), layout->size);
    for (unsigned i = 0; i < 100; i++) {
        size_t len = make_packet(layout, &seed, bytes);
        struct packet packet;
        assert_int_equal(packet_read(version_of(layout), bytes, len, &packet), PACKET_OK);
        assert_int_equal(packet.kind, kind);
        assert_int_equal(packet.header.id, number_at(bytes + 4, 4));
        check_members(layout, info, &packet, bytes);
        assert_int_equal(packet_write(&packet, written, sizeof(written)), len);
        assert_memory_equal(bytes, written, len);
    }
}

static void a_row_of_any_other_length_is_malformed(void **state)
{
    const struct layout *layout = ((struct layout_case *)*state)->layout;
    static uint8_t bytes[SAMPLE_SIZE];
    uint64_t seed = 77 + layout->type;
    struct packet packet;
    size_t len = make_packet(layout, &seed, bytes);
    for (size_t cut = 0; cut < len; cut++) {
        // An exact allocation, so that a sanitizer sees a read past the end.
        uint8_t *copy = malloc(cut ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        enum packet_error error = packet_read(version_of(layout), copy, cut, &packet);
        if (error == PACKET_OK && packet.kind == PACKET_WALK_2018) {
            free(copy);
            continue;
        }
        assert_int_equal(error, cut < 8 ? PACKET_TOO_SHORT : PACKET_MALFORMED);
        free(copy);
    }
    assert_int_equal(packet_read(version_of(layout), bytes, len + 1, &packet), PACKET_MALFORMED);
    size_t most = packet_max(version_of(layout));
    uint8_t *large = calloc(1, most + 1);
    assert_non_null(large);
    memcpy(large, bytes, len);
    assert_int_equal(packet_read(version_of(layout), large, most, &packet), PACKET_MALFORMED);
    assert_int_equal(packet_read(version_of(layout), large, most + 1, &packet), PACKET_TOO_LONG);
    free(large);
}

static void a_row_is_not_written_where_it_does_not_fit(void **state)
{
    const struct layout *layout = ((struct layout_case *)*state)->layout;
    static uint8_t bytes[SAMPLE_SIZE];
    static uint8_t room[SAMPLE_SIZE];
    uint64_t seed = 99 + layout->type;
    struct packet packet;
    size_t len = make_packet(layout, &seed, bytes);
    assert_int_equal(packet_read(version_of(layout), bytes, len, &packet), PACKET_OK);
    for (size_t size = 0; size < len; size += size < 64 ? 1 : 61) {
        memset(room, 0xEE, len);
        assert_int_equal(packet_write(&packet, room, size), 0);
        assert_int_equal(room[size], 0xEE);
    }
    assert_int_equal(packet_write(&packet, room, len), len);
}

static void a_tail_in_place_is_written_around(void **state)
{
    const struct layout *layout = ((struct layout_case *)*state)->layout;
    static uint8_t bytes[SAMPLE_SIZE];
    static uint8_t place[SAMPLE_SIZE];
    uint64_t seed = 11 + layout->type;
    struct packet packet;
    size_t len = make_packet(layout, &seed, bytes);
    memset(place, 0, layout->size);
    memcpy(place + layout->size, bytes + layout->size, len - layout->size);
    assert_int_equal(packet_read(version_of(layout), bytes, len, &packet), PACKET_OK);
    switch (packet.kind) {
#define PACKET(kind, name, class, type, versions, call)                                            \
    case PACKET_##kind: {                                                                          \
        struct packet_##name *body = &packet.name;                                                 \
        (void)body;
#define TAIL(offset, field, size) body->field = place + (offset);
#define END(kind, size)                                                                            \
    }                                                                                              \
    break;
#include "protocol/packets.def"
    case NUM_PACKET_KINDS:
        break;
    }
    assert_int_equal(packet_write(&packet, place, sizeof(place)), len);
    assert_memory_equal(bytes, place, len);
}

// Sets each byte of a reserved field in turn. Returns how many there are.
static unsigned check_reserved(const struct layout *layout, const struct field *field)
{
    static uint8_t bytes[SAMPLE_SIZE];
    uint64_t seed = 5;
    for (size_t i = 0; i < field->size; i++) {
        struct packet packet;
        size_t len = make_packet(layout, &seed, bytes);
        bytes[field->offset + i] = 0x80;
        assert_int_equal(packet_read(version_of(layout), bytes, len, &packet), PACKET_MALFORMED);
    }
    return (unsigned)field->size;
}

static void a_reserved_field_must_be_zero(void **state)
{
    (void)state;
    unsigned num_reserved = 0;
    for (size_t i = 0; i < NUM_OF(layouts); i++) {
        struct field field;
        for (const char *at = layouts[i].fields; next_field(&at, &field);) {
            num_reserved += field.reserved ? check_reserved(&layouts[i], &field) : 0;
        }
    }
    assert_int_equal(num_reserved, 5);
}

static bool has_layout(unsigned version, unsigned class, unsigned type)
{
    for (size_t i = 0; i < NUM_OF(layouts); i++) {
        if (layouts[i].version == version && layouts[i].class == class && layouts[i].type == type) {
            return true;
        }
    }
    return false;
}

static void check_header_alone(unsigned version, unsigned class, unsigned type)
{
    uint8_t bytes[8] = {(uint8_t)version, (uint8_t) class, (uint8_t)type, (uint8_t)(type >> 8)};
    struct packet packet;
    bool unknown = packet_read((enum protocol_version)version, bytes, sizeof(bytes), &packet) ==
                   PACKET_UNKNOWN;
    assert_int_equal(unknown, !has_layout(version, class, type));
    assert_int_equal(packet.header.class, class);
    assert_int_equal(packet.header.type, type);
}

static void a_class_and_type_without_a_row_is_unknown(void **state)
{
    (void)state;
    for (unsigned class = 0; class < 256; class ++) {
        for (unsigned type = 0; type < 300; type++) {
            check_header_alone(1, class, type);
            check_header_alone(2, class, type);
        }
    }
}

// Every row has a layout, so nothing above was checked by halves.
static void every_row_is_in_the_facts(void **state)
{
    (void)state;
    size_t num_rows = 0;
    for (int kind = 0; kind < NUM_PACKET_KINDS; kind++) {
        const struct packet_info *info = packet_info((enum packet_kind)kind);
        if (kind == PACKET_WALK_2018) {
            continue; // a second form of a walk, with a test of its own
        }
        assert_true(info->in_v1 || info->in_v2);
        assert_int_equal(has_layout(1, info->class, info->type) && info->in_v1, info->in_v1);
        assert_int_equal(has_layout(2, info->class, info->type) && info->in_v2, info->in_v2);
        num_rows += (info->in_v1 ? 1U : 0U) + (info->in_v2 ? 1U : 0U);
    }
    assert_int_equal(num_rows, NUM_OF(layouts));
}

// The published client takes nothing else.
static void a_version_1_walk_of_20_bytes_has_one_entry_whatever_it_counts(void **state)
{
    (void)state;
    for (unsigned count = 0; count < 256; count++) {
        uint8_t bytes[20] = {1, 1, 13, 0, 9, 9, 9, 9, 3, 1, (uint8_t)count, 3, 0x03, 0x10};
        uint8_t written[20];
        struct packet packet;
        assert_int_equal(packet_read(PROTOCOL_V1, bytes, sizeof(bytes), &packet), PACKET_OK);
        assert_int_equal(packet.kind, count == 1 ? PACKET_WALK : PACKET_WALK_2018);
        if (count != 1) {
            assert_int_equal(packet.walk_2018.mode, 3);
            assert_int_equal(packet.walk_2018.valid, 1);
            assert_int_equal(packet.walk_2018.count, count);
            assert_int_equal(packet.walk_2018.last_valid, 3);
            assert_int_equal(packet.walk_2018.root_entry, 0x1003);
            assert_int_equal(packet_read(PROTOCOL_V2, bytes, sizeof(bytes), &packet),
                             PACKET_MALFORMED);
        }
        assert_int_equal(packet_read(PROTOCOL_V1, bytes, sizeof(bytes), &packet), PACKET_OK);
        assert_int_equal(packet_write(&packet, written, sizeof(written)), sizeof(bytes));
        assert_memory_equal(bytes, written, sizeof(bytes));
    }
}

static void byte_0_is_kept_and_never_checked(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t bytes[8] = {(uint8_t)byte, 0, 0, 0, 0x78, 0x56, 0x34, 0x12};
        struct packet packet;
        uint8_t written[8];
        assert_int_equal(packet_read(PROTOCOL_V1, bytes, sizeof(bytes), &packet), PACKET_OK);
        assert_int_equal(packet.header.version, byte);
        assert_int_equal(packet.header.id, 0x12345678);
        assert_int_equal(packet_write(&packet, written, sizeof(written)), 8);
        assert_memory_equal(bytes, written, 8);
    }
}

static void a_length_field_of_4_gib_is_malformed(void **state)
{
    (void)state;
    uint8_t bytes[40] = {1, 0, 10, 0, 1, 0, 0, 0};
    struct packet packet;
    memset(bytes + 16, 0xFF, 4);
    assert_int_equal(packet_read(PROTOCOL_V1, bytes, 20, &packet), PACKET_MALFORMED);
    assert_int_equal(packet_read(PROTOCOL_V2, bytes, 40, &packet), PACKET_MALFORMED);
    bytes[1] = 1;
    bytes[2] = 15;
    memset(bytes + 8, 0xFF, 12);
    assert_int_equal(packet_read(PROTOCOL_V1, bytes, 36, &packet), PACKET_MALFORMED);
}

static void the_largest_packets_are_16384_and_61440_bytes(void **state)
{
    (void)state;
    static const struct {
        enum protocol_version version;
        uint16_t type;
        uint32_t data;
    } largest[] = {
        {PROTOCOL_V1, 6, 16354},  {PROTOCOL_V1, 8, 16356},  {PROTOCOL_V1, 10, 16364},
        {PROTOCOL_V1, 12, 16368}, {PROTOCOL_V2, 6, 61410},  {PROTOCOL_V2, 8, 61412},
        {PROTOCOL_V2, 10, 61420}, {PROTOCOL_V2, 12, 61424}, {PROTOCOL_V2, 65, 61408},
        {PROTOCOL_V2, 67, 61410}, {PROTOCOL_V2, 69, 61418},
    };
    assert_int_equal(packet_max(PROTOCOL_V1), 16384);
    assert_int_equal(packet_max(PROTOCOL_V2), 61440);
    for (size_t i = 0; i < NUM_OF(largest); i++) {
        enum packet_kind kind = packet_kind_of(largest[i].version, CLASS_REQUEST, largest[i].type);
        assert_int_equal(packet_size(kind) + largest[i].data, packet_max(largest[i].version));
    }
}

static void no_kind_is_written_as_nothing(void **state)
{
    (void)state;
    uint8_t room[64];
    struct packet packet = {.kind = NUM_PACKET_KINDS};
    assert_int_equal(packet_write(&packet, room, sizeof(room)), 0);
}

// The one long name table of the rows: each layout becomes four named tests.
static size_t add_rows(struct CMUnitTest *tests)
{
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } claims[] = {
        {"a row reads and writes as the facts say", a_row_reads_and_writes_as_the_facts_say},
        {"a row of any other length is malformed", a_row_of_any_other_length_is_malformed},
        {"a row is not written where it does not fit", a_row_is_not_written_where_it_does_not_fit},
        {"a tail in place is written around", a_tail_in_place_is_written_around},
    };
    static char names[NUM_OF(claims) * NUM_OF(layouts)][96];
    size_t num = 0;
    for (size_t claim = 0; claim < NUM_OF(claims); claim++) {
        for (size_t i = 0; i < NUM_OF(layouts); i++, num++) {
            (void)snprintf(names[num], sizeof(names[num]), "%s: version %u class %u type %u",
                           claims[claim].name, layouts[i].version, layouts[i].class,
                           layouts[i].type);
            cases[i].layout = &layouts[i];
            tests[num] = (struct CMUnitTest){.name = names[num],
                                             .test_func = claims[claim].function,
                                             .initial_state = &cases[i]};
        }
    }
    return num;
}

int main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(a_reserved_field_must_be_zero),
        cmocka_unit_test(a_class_and_type_without_a_row_is_unknown),
        cmocka_unit_test(every_row_is_in_the_facts),
        cmocka_unit_test(a_version_1_walk_of_20_bytes_has_one_entry_whatever_it_counts),
        cmocka_unit_test(byte_0_is_kept_and_never_checked),
        cmocka_unit_test(a_length_field_of_4_gib_is_malformed),
        cmocka_unit_test(the_largest_packets_are_16384_and_61440_bytes),
        cmocka_unit_test(no_kind_is_written_as_nothing),
    };
    static struct CMUnitTest tests[4 * NUM_OF(layouts) + NUM_OF(single)];
    size_t num = add_rows(tests);
    memcpy(tests + num, single, sizeof(single));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
