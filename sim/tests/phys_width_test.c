// The width of physical addresses, from the narrowest to the widest, asked through the protocol:
// where the space ends, which bits of an entry and of a root are reserved, and a search over all.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "long64.h"
#include "rig.h"
#include "target_text.h"

#define PAGE UINT64_C(0x1000)

#define INVALID_PARAMETER   UINT64_C(0xC0000010)
#define INVALID_TRANSLATION UINT64_C(0xC0000021)

enum {
    PRESENT = 1,
    PATTERN = 8, // bytes, and how far before the end of the space they begin
};

static const uint8_t pattern[PATTERN] = "at last";

struct width_row {
    const char *name;
    unsigned bits;
};

static struct width_row width_rows[] = {
    {"36 bits", 36}, {"37 bits", 37}, {"40 bits", 40},
    {"46 bits", 46}, {"51 bits", 51}, {"52 bits", 52},
};

static struct rig rig;
static uint64_t end; // of the space

// long64 with a page of RAM that ends where the space does.
static int open_rig(void **state)
{
    const struct width_row *row = *state;
    char text[256];
    end = UINT64_C(1) << row->bits;
    (void)snprintf(text, sizeof(text),
                   HEAD "max_phys_bits: %u\nregions:\n- {kind: ram, base: 0x%llx, size: 0x1000}\n",
                   row->bits, (unsigned long long)(end - PAGE));
    target_file_free(target_text_load_good(text));
    struct pulsim_options options = {.target = target_text_path};
    rig_open_with(&rig, PROTOCOL_V2, &options);
    assert_int_equal(pulsim_poke(rig.pulsim, end - PATTERN, pattern, PATTERN), PATTERN);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void ask(struct packet request)
{
    rig_ask(&rig, &request);
    for (unsigned i = 0; !rig.has_reply && i < 100000; i++) {
        rig_continue(&rig);
    }
    assert_true(rig.has_reply);
}

static void expect_status(struct packet request, uint64_t status)
{
    rig_expect_status(&rig, &request, status);
}

static struct packet read_physical(uint64_t address, uint32_t length)
{
    return (struct packet){.kind = PACKET_READ_PHYSICAL,
                           .read_physical = {.address = address, .length = length}};
}

static void a_transfer_ends_where_the_space_does(void **state)
{
    (void)state;
    ask(read_physical(end - PATTERN, 2 * PATTERN));
    assert_int_equal(rig.reply.kind, PACKET_PHYSICAL_DATA);
    assert_int_equal(rig.reply.physical_data.length, PATTERN);
    assert_memory_equal(rig.reply.physical_data.data, pattern, PATTERN);
    expect_status(read_physical(end, 1), INVALID_PARAMETER);
    expect_status(read_physical(end + 1, 1), INVALID_PARAMETER);
}

static void the_processor_says_so(void **state)
{
    const struct width_row *row = *state;
    ask((struct packet){.kind = PACKET_CPUID, .cpuid = {.leaf = 0x80000008}});
    assert_int_equal(rig.reply.kind, PACKET_CPUID_DATA);
    assert_int_equal(rig.reply.cpuid_data.eax & 0xFF, row->bits);
}

static struct packet walk(uint64_t root)
{
    return (struct packet){.kind = PACKET_WALK_LINEAR,
                           .walk_linear = {.root = root, .address = LONG64_RUN}};
}

static void map_run(uint64_t entry)
{
    assert_int_equal(pulsim_poke(rig.pulsim, LONG64_PT_RUN, &entry, sizeof(entry)), sizeof(entry));
}

static void the_last_page_can_be_mapped(void **state)
{
    (void)state;
    map_run((end - PAGE) | PRESENT);
    ask((struct packet){.kind = PACKET_READ_LINEAR,
                        .read_linear = {.root = LONG64_CR3,
                                        .address = LONG64_RUN + PAGE - PATTERN,
                                        .length = PATTERN}});
    assert_int_equal(rig.reply.kind, PACKET_LINEAR_DATA);
    assert_memory_equal(rig.reply.linear_data.data, pattern, PATTERN);
}

static void what_lies_beyond_is_reserved(void **state)
{
    const struct width_row *row = *state;
    for (unsigned bit = 30; bit < 52; bit++) {
        map_run(UINT64_C(1) << bit | PRESENT);
        ask(walk(LONG64_CR3));
        assert_int_equal(rig.reply.kind, PACKET_WALK);
        assert_int_equal(rig.reply.walk.count, 4);
        assert_int_equal(rig.reply.walk.valid, bit < row->bits);
    }
    for (unsigned bit = row->bits; bit < 61; bit++) {
        expect_status(walk(LONG64_CR3 | UINT64_C(1) << bit), INVALID_TRANSLATION);
    }
}

static void expect_found(uint64_t start, uint64_t last, uint32_t step)
{
    ask((struct packet){.kind = PACKET_SEARCH_PHYSICAL,
                        .search_physical = {.start = start,
                                            .end = last,
                                            .step = step,
                                            .ignore_gaps = 1,
                                            .length = PATTERN,
                                            .pattern = pattern}});
    assert_int_equal(rig.reply.kind, PACKET_SEARCH_HIT);
    assert_int_equal(rig.reply.search_hit.address, end - PATTERN);
}

static void all_of_it_is_searched(void **state)
{
    (void)state;
    expect_found(0, end - 1, 1);
    expect_found(0, UINT64_MAX, 8);
    expect_found(end - 1, 0, 1);
}

static void the_guest_steps(void **state)
{
    (void)state;
    struct packet step = rig_plain(PACKET_STEP);
    rig_ask(&rig, &step);
    assert_true(rig.has_reply);
    assert_int_equal(rig.reply.kind, PACKET_SUCCESS);
}

static int run_row(struct width_row *row)
{
    static const CMUnitTestFunction functions[] = {
        a_transfer_ends_where_the_space_does, the_processor_says_so, the_last_page_can_be_mapped,
        what_lies_beyond_is_reserved,         all_of_it_is_searched, the_guest_steps,
    };
    static const char *const names[] = {
        "a transfer ends where the space does",
        "the processor says so",
        "the last page can be mapped",
        "what lies beyond is reserved",
        "all of it is searched",
        "the guest steps",
    };
    enum { NUM_TESTS = sizeof(functions) / sizeof(functions[0]) };
    struct CMUnitTest tests[NUM_TESTS];
    for (size_t i = 0; i < NUM_TESTS; i++) {
        tests[i] = (struct CMUnitTest){names[i], functions[i], open_rig, close_rig, row};
    }
    return cmocka_run_group_tests_name(row->name, tests, target_text_open, target_text_close);
}

int main(void)
{
    int failures = 0;
    for (size_t i = 0; i < ARRAY_LEN(width_rows); i++) {
        failures += run_row(&width_rows[i]);
    }
    return failures;
}
