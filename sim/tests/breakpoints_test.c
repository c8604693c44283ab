#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "breakpoints.h"

static struct breakpoints table;

static const struct breakpoint_view view = {
    .cr3 = 0x1000, .rip = 0xFFFF800000102000, .fs_base = 0xF5, .gs_base = 0x65, .cs = 0x10};

static int setup(void **state)
{
    (void)state;
    breakpoints_clear(&table);
    return 0;
}

static uint16_t set(uint64_t guest_phys)
{
    uint16_t id = 0;
    assert_int_equal(breakpoints_set(&table, guest_phys, &id), STATUS_SUCCESS);
    return id;
}

static uint16_t add(uint16_t id, struct target_filter filter)
{
    uint16_t filter_id = 0;
    assert_int_equal(breakpoints_add_filter(&table, id, &filter, &filter_id), STATUS_SUCCESS);
    return filter_id;
}

static void ids_are_the_smallest_free_numbers(void **state)
{
    (void)state;
    assert_int_equal(set(0x1000), 1);
    assert_int_equal(set(0x2000), 2);
    assert_int_equal(set(0x3000), 3);
    assert_int_equal(breakpoints_remove(&table, 2), STATUS_SUCCESS);
    assert_int_equal(set(0x4000), 2);
    assert_int_equal(set(0x5000), 4);
}

static void the_same_address_gives_the_same_id(void **state)
{
    (void)state;
    assert_int_equal(set(0x1000), 1);
    assert_int_equal(set(0x2000), 2);
    assert_int_equal(set(0x1000), 1);
    assert_int_equal(table.num_breakpoints, 2);
}

static void the_table_holds_1024(void **state)
{
    (void)state;
    uint16_t id = 0;
    for (unsigned i = 1; i <= 1024; i++) {
        assert_int_equal(set(UINT64_C(16) * i), i);
    }
    assert_int_equal(breakpoints_set(&table, 0, &id), STATUS_BREAKPOINT_TABLE_FULL);
    assert_int_equal(breakpoints_set(&table, 16, &id), STATUS_SUCCESS);
}

static void removal_says_empty_before_not_found(void **state)
{
    (void)state;
    assert_int_equal(breakpoints_remove(&table, 1), STATUS_BREAKPOINT_TABLE_EMPTY);
    set(0x1000);
    assert_int_equal(breakpoints_remove(&table, 0), STATUS_BREAKPOINT_NOT_FOUND);
    assert_int_equal(breakpoints_remove(&table, 2), STATUS_BREAKPOINT_NOT_FOUND);
    assert_int_equal(breakpoints_remove(&table, 0x10001), STATUS_BREAKPOINT_NOT_FOUND);
    assert_int_equal(breakpoints_remove(&table, 1), STATUS_SUCCESS);
}

static void only_the_exact_address_hits(void **state)
{
    (void)state;
    set(0x1234);
    assert_true(breakpoints_in_page(&table, 0x1FFF));
    assert_false(breakpoints_in_page(&table, 0x2000));
    assert_false(breakpoints_hit(&table, 0x1235, &view));
    assert_true(breakpoints_hit(&table, 0x1234, &view));
    assert_int_equal(breakpoints_remove(&table, 1), STATUS_SUCCESS);
    assert_false(breakpoints_in_page(&table, 0x1234));
}

static void the_hit_count_stays_at_its_largest_value(void **state)
{
    (void)state;
    set(0x1000);
    for (unsigned i = 0; i < 0x10005; i++) {
        assert_true(breakpoints_hit(&table, 0x1000, &view));
    }
    assert_int_equal(table.slots[0].hit_count, 0xFFFF);
}

struct filter_case {
    const char *name;
    struct target_filter filters[3]; // the first without flags ends the list
    bool stops;
};

static struct filter_case filter_cases[] = {
    {"without filters it stops", {{0}}, true},
    {"a match side that holds", {{.match_flags = FILTER_PAGE_TABLE, .page_table = 0x1000}}, true},
    {"a match side that does not", {{.match_flags = FILTER_PAGE_TABLE, .page_table = 1}}, false},
    {"RIP", {{.match_flags = FILTER_ADDRESS, .address = 0xFFFF800000102000}}, true},
    {"FS base", {{.match_flags = FILTER_FS_BASE, .fs_base = 0xF5}}, true},
    {"FS base differs", {{.match_flags = FILTER_FS_BASE, .fs_base = 0x65}}, false},
    {"GS base", {{.match_flags = FILTER_GS_BASE, .gs_base = 0x65}}, true},
    {"CS", {{.match_flags = FILTER_SELECTOR, .selector = 0x10}}, true},
    {"CS differs", {{.match_flags = FILTER_SELECTOR, .selector = 0x11}}, false},
    {"one of two comparisons fails",
     {{.match_flags = FILTER_SELECTOR | FILTER_GS_BASE, .selector = 0x10, .gs_base = 1}},
     false},
    {"the second filter matches",
     {{.match_flags = FILTER_SELECTOR, .selector = 0x11},
      {.match_flags = FILTER_SELECTOR, .selector = 0x10}},
     true},
    {"a skip side that holds", {{.skip_flags = FILTER_SELECTOR, .selector = 0x10}}, false},
    {"a skip side that does not", {{.skip_flags = FILTER_SELECTOR, .selector = 0x11}}, true},
    {"skipping wins over matching",
     {{.match_flags = FILTER_SELECTOR, .selector = 0x10},
      {.skip_flags = FILTER_GS_BASE, .gs_base = 0x65}},
     false},
    {"a skip that does not hold leaves the match to decide",
     {{.match_flags = FILTER_SELECTOR, .selector = 0x11},
      {.skip_flags = FILTER_GS_BASE, .gs_base = 1}},
     false},
    {"version 1 thread is the FS base", {{.match_flags = FILTER_THREAD, .fs_base = 0xF5}}, true},
    {"version 1 thread is the GS base", {{.match_flags = FILTER_THREAD, .fs_base = 0x65}}, true},
    {"version 1 thread is neither", {{.match_flags = FILTER_THREAD, .fs_base = 0x66}}, false},
};

static void filters_decide(void **state)
{
    const struct filter_case *row = *state;
    breakpoints_clear(&table);
    uint16_t id = set(0x1000);
    for (size_t i = 0; (row->filters[i].match_flags | row->filters[i].skip_flags) != 0; i++) {
        add(id, row->filters[i]);
    }
    assert_int_equal(breakpoints_hit(&table, 0x1000, &view), row->stops);
    assert_int_equal(table.slots[0].hit_count, row->stops);
}

static void filters_go_with_their_breakpoint(void **state)
{
    (void)state;
    struct target_filter filter = {.match_flags = FILTER_SELECTOR};
    uint16_t first = set(0x1000);
    uint16_t second = set(0x2000);
    assert_int_equal(add(first, filter), 1);
    assert_int_equal(add(second, filter), 2);
    assert_int_equal(breakpoints_remove(&table, first), STATUS_SUCCESS);
    assert_int_equal(table.num_filters, 1);
    assert_int_equal(add(second, filter), 1);
}

static void filter_removal_says_what_is_missing(void **state)
{
    (void)state;
    struct target_filter filter = {.match_flags = FILTER_SELECTOR};
    assert_int_equal(breakpoints_remove_filter(&table, 1, 1), STATUS_BREAKPOINT_TABLE_EMPTY);
    uint16_t id = set(0x1000);
    assert_int_equal(breakpoints_remove_filter(&table, 9, 1), STATUS_BREAKPOINT_NOT_FOUND);
    assert_int_equal(breakpoints_remove_filter(&table, id, 1), STATUS_FILTER_TABLE_EMPTY);
    add(id, filter);
    assert_int_equal(breakpoints_remove_filter(&table, id, 2), STATUS_FILTER_NOT_FOUND);
    assert_int_equal(breakpoints_remove_filter(&table, id, 0), STATUS_FILTER_NOT_FOUND);
    assert_int_equal(breakpoints_remove_filter(&table, id, 1), STATUS_SUCCESS);
}

static void the_machine_holds_1024_filters(void **state)
{
    (void)state;
    struct target_filter filter = {.match_flags = FILTER_SELECTOR};
    uint16_t first = set(0x1000);
    uint16_t second = set(0x2000);
    for (unsigned i = 0; i < 1024; i++) {
        add(i % 2 ? first : second, filter);
    }
    uint16_t id = 0;
    assert_int_equal(breakpoints_add_filter(&table, first, &filter, &id), STATUS_FILTER_TABLE_FULL);
    assert_int_equal(breakpoints_add_filter(&table, 7, &filter, &id), STATUS_BREAKPOINT_NOT_FOUND);
}

static void lists_come_in_pieces(void **state)
{
    (void)state;
    struct target_breakpoint entries[2];
    struct target_list list = {.most = 2};
    set(0x1000);
    set(0x2000);
    set(0x3000);
    breakpoints_remove(&table, 1);
    breakpoints_list(&table, 0, entries, &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.total, 2);
    assert_int_equal(entries[0].id, 2);
    assert_int_equal(entries[1].guest_phys, 0x3000);
    breakpoints_list(&table, 3, entries, &list);
    assert_int_equal(list.count, 1);
    breakpoints_list(&table, 4, entries, &list);
    assert_int_equal(list.count, 0);
}

static void filter_lists_skip(void **state)
{
    (void)state;
    struct target_filter entries[2];
    struct target_list list = {.skip = 1, .most = 2};
    uint16_t id = set(0x1000);
    for (uint16_t i = 0; i < 3; i++) {
        add(id, (struct target_filter){.match_flags = FILTER_SELECTOR, .selector = i});
    }
    assert_int_equal(breakpoints_list_filters(&table, id, entries, &list), STATUS_SUCCESS);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.total, 3);
    assert_int_equal(entries[0].selector, 1);
    assert_int_equal(entries[0].id, 2);
    assert_int_equal(breakpoints_list_filters(&table, 2, entries, &list),
                     STATUS_BREAKPOINT_NOT_FOUND);
}

#define CASE(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
    enum { NUM_FILTER_CASES = sizeof(filter_cases) / sizeof(filter_cases[0]) };
    const struct CMUnitTest tests[] = {
        CASE(ids_are_the_smallest_free_numbers),
        CASE(the_same_address_gives_the_same_id),
        CASE(the_table_holds_1024),
        CASE(removal_says_empty_before_not_found),
        CASE(only_the_exact_address_hits),
        CASE(the_hit_count_stays_at_its_largest_value),
        CASE(filters_go_with_their_breakpoint),
        CASE(filter_removal_says_what_is_missing),
        CASE(the_machine_holds_1024_filters),
        CASE(lists_come_in_pieces),
        CASE(filter_lists_skip),
    };
    struct CMUnitTest rows[NUM_FILTER_CASES];
    for (size_t i = 0; i < NUM_FILTER_CASES; i++) {
        rows[i] = (struct CMUnitTest){.name = filter_cases[i].name,
                                      .test_func = filters_decide,
                                      .initial_state = &filter_cases[i]};
    }
    int failed = cmocka_run_group_tests_name("breakpoints", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("filters", rows, NULL, NULL);
}
