// Transfers end exactly where translation ends, and nothing else moves (clauses D-MEM).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "long64.h"
#include "rig.h"

enum { LENGTH = 64 };

static const uint8_t ink[LENGTH] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+";

// Two machines: the first is written through the protocol, the second behind its back with what is
// expected; then they must be equal in every byte and register.
struct pair {
    struct rig rig;
    struct rig twin;
};

static int setup(void **state)
{
    static struct pair pair;
    rig_open(&pair.rig, PROTOCOL_V2, false);
    rig_open(&pair.twin, PROTOCOL_V2, false);
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    rig_close(&pair->rig);
    rig_close(&pair->twin);
    return 0;
}

static struct packet write_virtual(uint64_t offset, uint32_t length)
{
    return (struct packet){
        .kind = PACKET_WRITE_VIRTUAL,
        .write_virtual = {.root = LONG64_CR3, .offset = offset, .length = length, .data = ink}};
}

static struct packet read_linear(uint64_t address, uint32_t length)
{
    return (struct packet){
        .kind = PACKET_READ_LINEAR,
        .read_linear = {.root = LONG64_CR3, .address = address, .length = length}};
}

struct boundary {
    const char *name;
    uint64_t end;       // the first linear address that cannot be reached
    uint64_t last_phys; // where the byte before it lies
};

static struct boundary boundaries[] = {
    {"a 4 KiB hole", LONG64_HOLE, LONG64_BEFORE_PHYS + 0xFFF},
    {"a 2 MiB hole", LONG64_2M_HOLE, LONG64_USER_STACK_PHYS + 0x1FFF},
    {"a reserved bit in a PDE", LONG64_RESERVED_PDE, LONG64_FREE + LONG64_FREE_SIZE - 1},
    {"the lower canonical edge", LONG64_NON_CANONICAL, LONG64_LOWER_EDGE_PHYS + 0xFFF},
    {"the end of the linear space", 0, LONG64_TOP_PAGE_PHYS + 0xFFF},
};

// Every start from 66 bytes before the boundary up to the last byte before it.
static void writes_move_exactly_the_bytes_before_the_boundary(void **state)
{
    const struct boundary *row = *state;
    struct pair *pair = NULL;
    setup((void **)&pair);
    for (uint64_t before = 66; before >= 1; before--) {
        uint64_t moved = before < LENGTH ? before : LENGTH;
        struct packet request = write_virtual(row->end - before, LENGTH);
        rig_expect_value(&pair->rig, &request, moved);
        assert_int_equal(pulsim_poke(pair->twin.pulsim, row->last_phys - (before - 1), ink, moved),
                         moved);
        if (before == 66 || before == 64 || before == 17 || before <= 16) {
            assert_true(pulsim_equal(pair->rig.pulsim, pair->twin.pulsim));
        }
    }
    teardown((void **)&pair);
}

static void reads_move_exactly_the_bytes_before_the_boundary(void **state)
{
    const struct boundary *row = *state;
    struct pair *pair = NULL;
    setup((void **)&pair);
    uint8_t expected[LENGTH];
    pulsim_poke(pair->rig.pulsim, row->last_phys - (LENGTH - 1), ink, LENGTH);
    for (uint64_t before = LENGTH; before >= 1; before--) {
        struct packet request = read_linear(row->end - before, LENGTH);
        rig_ask(&pair->rig, &request);
        assert_int_equal(pair->rig.reply.kind, PACKET_LINEAR_DATA);
        assert_int_equal(pair->rig.reply.linear_data.length, before);
        pulsim_peek(pair->rig.pulsim, row->last_phys - (before - 1), expected, before);
        assert_memory_equal(pair->rig.reply.linear_data.data, expected, before);
    }
    teardown((void **)&pair);
}

static void what_begins_beyond_the_boundary_moves_nothing(void **state)
{
    const struct boundary *row = *state;
    struct pair *pair = NULL;
    if (row->end == 0) {
        return; // address 0 is where the space begins again
    }
    setup((void **)&pair);
    struct packet write = write_virtual(row->end, LENGTH);
    struct packet read = read_linear(row->end, 1);
    rig_expect_status(&pair->rig, &write, 0xC0000021);
    rig_expect_status(&pair->rig, &read, 0xC0000021);
    assert_true(pulsim_equal(pair->rig.pulsim, pair->twin.pulsim));
    teardown((void **)&pair);
}

static void physically_scattered_pages_are_one_virtual_run(void **state)
{
    struct pair *pair = *state;
    uint8_t seen[8];
    struct packet request = write_virtual(LONG64_RUN + 0xFFC, 8);
    rig_expect_value(&pair->rig, &request, 8);
    pulsim_peek(pair->rig.pulsim, LONG64_RUN_PHYS + 0xFFC, seen, 4);
    rig_expect_value(&pair->twin, &request, 8);
    request = read_linear(LONG64_RUN + 0xFFC, 8);
    rig_ask(&pair->rig, &request);
    assert_memory_equal(pair->rig.reply.linear_data.data, ink, 8);
}

static void permissions_do_not_count_and_nothing_is_marked_accessed(void **state)
{
    struct pair *pair = *state;
    struct packet request = write_virtual(LONG64_READ_ONLY, LENGTH);
    rig_expect_value(&pair->rig, &request, LENGTH);
    pulsim_poke(pair->twin.pulsim, LONG64_READ_ONLY_PHYS, ink, LENGTH);
    assert_true(pulsim_equal(pair->rig.pulsim, pair->twin.pulsim));
}

static void nothing_asked_is_nothing_translated(void **state)
{
    struct pair *pair = *state;
    struct packet request = write_virtual(LONG64_HOLE, 0);
    rig_expect_value(&pair->rig, &request, 0);
    request = read_linear(LONG64_HOLE, 0);
    rig_ask(&pair->rig, &request);
    assert_int_equal(pair->rig.reply.linear_data.length, 0);
}

static void a_physical_transfer_ends_at_maxphyaddr(void **state)
{
    struct pair *pair = *state;
    uint64_t edge = UINT64_C(1) << 46;
    struct packet request = {.kind = PACKET_READ_PHYSICAL,
                             .read_physical = {.address = edge - 3, .length = LENGTH}};
    rig_ask(&pair->rig, &request);
    assert_int_equal(pair->rig.reply.physical_data.length, 3);
    assert_memory_equal(pair->rig.reply.physical_data.data, "\xFF\xFF\xFF", 3);
    request.read_physical.address = edge;
    rig_expect_status(&pair->rig, &request, 0xC0000010);
}

static void a_root_with_a_bit_beyond_maxphyaddr_translates_nothing(void **state)
{
    struct pair *pair = *state;
    struct packet request = read_linear(LONG64_RUN, 4);
    request.read_linear.root |= UINT64_C(1) << 46;
    rig_expect_status(&pair->rig, &request, 0xC0000021);
    request.read_linear.root = LONG64_CR3 | 0xFFF | UINT64_C(7) << 61;
    rig_ask(&pair->rig, &request);
    assert_int_equal(pair->rig.reply.kind, PACKET_LINEAR_DATA);
}

static void the_largest_transfer_fits_and_one_more_does_not(void **state)
{
    struct pair *pair = *state;
    struct packet request = {.kind = PACKET_READ_VIRTUAL,
                             .read_virtual = {.root = LONG64_CR3,
                                              .offset = LONG64_KERNEL + LONG64_FREE,
                                              .length = 61410}};
    rig_ask(&pair->rig, &request);
    assert_int_equal(pair->rig.reply.virtual_data.length, 61410);
    assert_int_equal(pair->rig.reply_len, 61440);
    request.read_virtual.length++;
    rig_expect_status(&pair->rig, &request, 0xC0000031);
}

static void a_write_to_sysenter_cs_acts_on_the_guest(void **state)
{
    struct pair *pair = *state;
    uint64_t before = 0;
    uint64_t value = 0;
    assert_true(pulsim_vmcs_read(pair->rig.pulsim, 0, 0x4C00, &before));
    struct packet request = {.kind = PACKET_WRITE_MSR, .write_msr = {.index = 0x174, .value = 8}};
    rig_expect_value(&pair->rig, &request, 0);
    request = (struct packet){.kind = PACKET_READ_MSR, .read_msr = {.index = 0x174}};
    rig_ask(&pair->rig, &request);
    assert_int_equal(pair->rig.reply.msr_data.value, 8);
    assert_true(pulsim_vmcs_read(pair->rig.pulsim, 0, 0x482A, &value));
    assert_int_equal(value, 8);
    assert_true(pulsim_vmcs_read(pair->rig.pulsim, 0, 0x4C00, &value));
    assert_int_equal(value, before);
}

static void an_msr_that_does_not_exist_raises_gp_and_changes_nothing(void **state)
{
    struct pair *pair = *state;
    struct packet request = {.kind = PACKET_WRITE_MSR, .write_msr = {.index = 0x999, .value = 1}};
    rig_expect_status(&pair->rig, &request, 0xC001000D);
    request = (struct packet){.kind = PACKET_READ_MSR, .read_msr = {.index = 0x999}};
    rig_expect_status(&pair->rig, &request, 0xC001000D);
    assert_true(pulsim_equal(pair->rig.pulsim, pair->twin.pulsim));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define ROW(test, row)                                                                             \
    {                                                                                              \
        .name = (row)->name, .test_func = (test), .initial_state = (row)                           \
    }

int main(void)
{
    enum { NUM_BOUNDARIES = sizeof(boundaries) / sizeof(boundaries[0]) };
    const struct CMUnitTest tests[] = {
        CASE(physically_scattered_pages_are_one_virtual_run),
        CASE(permissions_do_not_count_and_nothing_is_marked_accessed),
        CASE(nothing_asked_is_nothing_translated),
        CASE(a_physical_transfer_ends_at_maxphyaddr),
        CASE(a_root_with_a_bit_beyond_maxphyaddr_translates_nothing),
        CASE(the_largest_transfer_fits_and_one_more_does_not),
        CASE(a_write_to_sysenter_cs_acts_on_the_guest),
        CASE(an_msr_that_does_not_exist_raises_gp_and_changes_nothing),
    };
    struct CMUnitTest writes[NUM_BOUNDARIES];
    struct CMUnitTest reads[NUM_BOUNDARIES];
    struct CMUnitTest starts[NUM_BOUNDARIES];
    for (size_t i = 0; i < NUM_BOUNDARIES; i++) {
        struct boundary *row = &boundaries[i];
        writes[i] = (struct CMUnitTest)ROW(writes_move_exactly_the_bytes_before_the_boundary, row);
        reads[i] = (struct CMUnitTest)ROW(reads_move_exactly_the_bytes_before_the_boundary, row);
        starts[i] = (struct CMUnitTest)ROW(what_begins_beyond_the_boundary_moves_nothing, row);
    }
    int failed = cmocka_run_group_tests_name("writes up to", writes, NULL, NULL);
    failed += cmocka_run_group_tests_name("reads up to", reads, NULL, NULL);
    failed += cmocka_run_group_tests_name("starts beyond", starts, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
