// Every register of both contexts, both ways, in both versions; and the shapes that the 2018 client
// needs.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "long64.h"
#include "rig.h"

static struct rig rig;

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

// Register i holds the byte i + 1 over and over, as the published client's own tests fill them.
static void fill_pattern(uint8_t *out, const struct register_info *registers, size_t num_registers)
{
    for (size_t i = 0; i < num_registers; i++) {
        memset(out, (int)(i + 1), registers[i].size);
        out += registers[i].size;
    }
}

static void all_context_registers_go_both_ways(void **state)
{
    enum protocol_version version = *(enum protocol_version *)*state;
    uint8_t pattern[CONTEXT_FULL_SIZE];
    rig_open(&rig, version, false);
    fill_pattern(pattern, context_registers, NUM_CONTEXT_REGISTERS);
    struct packet request = {.kind = PACKET_SET_CONTEXT,
                             .set_context = {.mask = CONTEXT_FULL_MASK, .registers = pattern}};
    rig_expect_value(&rig, &request, version == PROTOCOL_V2 ? CONTEXT_FULL_MASK : 0);
    request =
        (struct packet){.kind = PACKET_GET_CONTEXT, .get_context = {.mask = CONTEXT_FULL_MASK}};
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply.kind, PACKET_CONTEXT);
    assert_int_equal(rig.reply_len, 413);
    assert_memory_equal(rig.reply.context.registers, pattern, sizeof(pattern));
}

static void one_context_register_leaves_the_others(void **state)
{
    enum protocol_version version = *(enum protocol_version *)*state;
    struct context before;
    struct context after;
    rig_open(&rig, version, false);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = UINT64_C(1) << bit;
        uint8_t value[16];
        memset(value, 0x5A, sizeof(value));
        struct packet get = {.kind = PACKET_GET_CONTEXT,
                             .get_context = {.mask = CONTEXT_FULL_MASK}};
        struct packet set = {.kind = PACKET_SET_CONTEXT,
                             .set_context = {.mask = mask, .registers = value}};
        rig_ask(&rig, &get);
        context_unpack(CONTEXT_FULL_MASK, rig.reply.context.registers, &before);
        rig_ask(&rig, &set);
        assert_int_equal(rig.reply.kind, PACKET_SUCCESS);
        context_unpack(mask, value, &before);
        rig_ask(&rig, &get);
        context_unpack(CONTEXT_FULL_MASK, rig.reply.context.registers, &after);
        assert_memory_equal(&before, &after, sizeof(before));
    }
}

// MM over ST and YMM over XMM: what is set later in mask order shows in the one below it.
static void apply_aliases(uint8_t *bytes)
{
    for (int i = 0; i < 8; i++) {
        memcpy(bytes + extended_registers[EXTENDED_st0 + i].offset,
               bytes + extended_registers[EXTENDED_mm0 + i].offset, 8);
    }
    for (int i = 0; i < 16; i++) {
        memcpy(bytes + extended_registers[EXTENDED_xmm0 + i].offset,
               bytes + extended_registers[EXTENDED_ymm0 + i].offset, 16);
    }
}

static void all_extended_registers_go_both_ways(void **state)
{
    enum protocol_version version = *(enum protocol_version *)*state;
    uint8_t pattern[EXTENDED_FULL_SIZE];
    rig_open(&rig, version, false);
    fill_pattern(pattern, extended_registers, NUM_EXTENDED_REGISTERS);
    memset(pattern, 0, 8);
    pattern[0] = 7; // XCR0: x87, SSE, AVX
    struct packet set = {.kind = PACKET_SET_EXTENDED_CONTEXT};
    struct packet get = {.kind = PACKET_GET_EXTENDED_CONTEXT};
    set.set_extended_context.mask = get.get_extended_context.mask = EXTENDED_FULL_MASK;
    set.set_extended_context.registers = pattern;
    if (version == PROTOCOL_V1) {
        set = (struct packet){.kind = PACKET_SET_EXTENDED_CONTEXT_V1};
        get = (struct packet){.kind = PACKET_GET_EXTENDED_CONTEXT_V1};
        set.set_extended_context_v1.mask = CONTEXT_FULL_MASK; // bits 57 to 63 carry nothing
        get.get_extended_context_v1.mask = CONTEXT_FULL_MASK;
        set.set_extended_context_v1.registers = pattern;
    }
    rig_expect_value(&rig, &set, version == PROTOCOL_V2 ? EXTENDED_FULL_MASK : 0);
    rig_ask(&rig, &get);
    apply_aliases(pattern);
    const uint8_t *seen = version == PROTOCOL_V2 ? rig.reply.extended_context.registers
                                                 : rig.reply.extended_context_v1.registers;
    assert_memory_equal(seen, pattern, sizeof(pattern));
}

static void an_xcr0_that_xsetbv_refuses_changes_nothing(void **state)
{
    (void)state;
    uint8_t registers[8 + 4];
    rig_open(&rig, PROTOCOL_V2, false);
    memset(registers, 0x01, sizeof(registers));
    struct packet set = {
        .kind = PACKET_SET_EXTENDED_CONTEXT,
        .set_extended_context = {.mask = 1 | UINT64_C(1) << 23, .registers = registers}};
    rig_expect_status(&rig, &set, 0xC0000010);
    struct packet get = {.kind = PACKET_GET_EXTENDED_CONTEXT,
                         .get_extended_context = {.mask = UINT64_C(1) << 23}};
    rig_ask(&rig, &get);
    assert_memory_equal(rig.reply.extended_context.registers, "\x80\x1F\0\0", 4);
}

static void the_set_index_is_0_and_the_mask_has_57_bits(void **state)
{
    (void)state;
    rig_open(&rig, PROTOCOL_V2, false);
    struct packet get = {.kind = PACKET_GET_EXTENDED_CONTEXT,
                         .get_extended_context = {.set_index = 1, .mask = 1}};
    rig_expect_status(&rig, &get, 0xC0000010);
    struct packet set = {.kind = PACKET_SET_EXTENDED_CONTEXT,
                         .set_extended_context = {.mask = UINT64_C(1) << 57}};
    rig_expect_status(&rig, &set, 0xC0000010);
}

static void the_2018_client_may_set_any_xcr0(void **state)
{
    (void)state;
    uint8_t pattern[EXTENDED_FULL_SIZE];
    rig_open(&rig, PROTOCOL_V1, true);
    fill_pattern(pattern, extended_registers, NUM_EXTENDED_REGISTERS);
    struct packet set = {
        .kind = PACKET_SET_EXTENDED_CONTEXT_V1,
        .set_extended_context_v1 = {.mask = CONTEXT_FULL_MASK, .registers = pattern}};
    rig_expect_value(&rig, &set, 0);
    struct packet get = {.kind = PACKET_GET_EXTENDED_CONTEXT_V1,
                         .get_extended_context_v1 = {.mask = EXTENDED_FULL_MASK}};
    rig_ask(&rig, &get);
    apply_aliases(pattern);
    assert_int_equal(rig.reply_len, 968);
    assert_memory_equal(rig.reply.extended_context_v1.registers, pattern, sizeof(pattern));
}

static void forty_writes_of_the_2018_client_end(void **state)
{
    (void)state;
    rig_open(&rig, PROTOCOL_V1, true);
    for (uint8_t i = 0; i < 40; i++) {
        uint8_t byte = i;
        uint8_t seen = 0xEE;
        struct packet request = {
            .kind = PACKET_WRITE_PHYSICAL,
            .write_physical = {.address = LONG64_FREE + i, .length = 1, .data = &byte}};
        rig_expect_status(&rig, &request, 6);
        assert_int_equal(pulsim_peek(rig.pulsim, LONG64_FREE + i, &seen, 1), 1);
        assert_int_equal(seen, i);
    }
}

static void page_walks_of_the_2018_client_have_20_bytes(void **state)
{
    (void)state;
    uint64_t root_entry = 0;
    rig_open(&rig, PROTOCOL_V1, true);
    struct packet request = {.kind = PACKET_WALK_LINEAR,
                             .walk_linear = {.root = LONG64_CR3, .address = LONG64_RUN}};
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply_len, 20);
    assert_int_equal(rig.reply.walk.mode, 3);
    assert_int_equal(rig.reply.walk.valid, 1);
    assert_int_equal(rig.reply.walk.count, 1);
    assert_int_equal(rig.reply.walk.last_valid, 0);
    pulsim_peek(rig.pulsim, LONG64_CR3, &root_entry, 8);
    assert_memory_equal(rig.reply.walk.entries, &root_entry, 8);
    request.walk_linear.address = LONG64_HOLE;
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply_len, 20);
    assert_int_equal(rig.reply.walk.valid, 0);
}

static void a_page_walk_shows_every_level(void **state)
{
    enum protocol_version version = *(enum protocol_version *)*state;
    rig_open(&rig, version, false);
    struct packet request = {.kind = PACKET_WALK_LINEAR,
                             .walk_linear = {.root = LONG64_CR3, .address = LONG64_HOLE + 5}};
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply_len, 12 + 4 * 8);
    assert_int_equal(rig.reply.walk.count, 4);
    assert_int_equal(rig.reply.walk.valid, 0);
    assert_int_equal(rig.reply.walk.last_valid, 2);
    request.walk_linear.address = LONG64_1G_PAGE;
    rig_ask(&rig, &request);
    assert_int_equal(rig.reply.walk.count, 2);
    assert_int_equal(rig.reply.walk.valid, 1);
    assert_int_equal(rig.reply.walk.last_valid, 1);
}

static enum protocol_version v1 = PROTOCOL_V1;
static enum protocol_version v2 = PROTOCOL_V2;

#define CASE(test) cmocka_unit_test_setup_teardown(test, NULL, teardown)
#define IN(version, test)                                                                          \
    {                                                                                              \
#test " (" #version ")", test, NULL, teardown, &(version)                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN(v1, all_context_registers_go_both_ways),
        IN(v2, all_context_registers_go_both_ways),
        IN(v1, one_context_register_leaves_the_others),
        IN(v2, one_context_register_leaves_the_others),
        IN(v1, all_extended_registers_go_both_ways),
        IN(v2, all_extended_registers_go_both_ways),
        IN(v1, a_page_walk_shows_every_level),
        IN(v2, a_page_walk_shows_every_level),
        CASE(an_xcr0_that_xsetbv_refuses_changes_nothing),
        CASE(the_set_index_is_0_and_the_mask_has_57_bits),
        CASE(the_2018_client_may_set_any_xcr0),
        CASE(forty_writes_of_the_2018_client_end),
        CASE(page_walks_of_the_2018_client_have_20_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
