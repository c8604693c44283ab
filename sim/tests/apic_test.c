// The local APIC by itself.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apic.h"

enum {
    ID = 0x802,
    VERSION = 0x803,
    EOI = 0x80B,
    LDR = 0x80D,
    SVR = 0x80F,
    ISR2 = 0x812,
    TMR0 = 0x818,
    IRR2 = 0x822,
    ESR = 0x828,
    ICR = 0x830,
    LVT_TIMER = 0x832,
    LVT_THERMAL = 0x833,
    LVT_LINT0 = 0x835,
    LVT_ERROR = 0x837,
    INITIAL_COUNT = 0x838,
    CURRENT_COUNT = 0x839,
    DIVIDE = 0x83E,
    SELF_IPI = 0x83F,
    ENABLED = 0x1FF,
    DIVIDE_BY_1 = 0xB,
    MASKED = 0x10000,
    PERIODIC = 0x20000,
    TSC_DEADLINE = 0x40000,
};

static struct apic apic;

static int set_up(void **state)
{
    (void)state;
    apic_reset(&apic, 0x12);
    return 0;
}

static bool write_at(uint64_t tsc, uint32_t msr, uint64_t value)
{
    bool sent = false;
    return apic_write(&apic, msr, tsc, value, &sent);
}

static void write_ok(uint32_t msr, uint64_t value)
{
    assert_true(write_at(0, msr, value));
}

static uint64_t read_at(uint64_t tsc, uint32_t msr)
{
    uint64_t value = 0;
    assert_true(apic_read(&apic, msr, tsc, &value));
    return value;
}

// Registers: what they are after reset, and what WRMSR may put there.

struct register_case {
    const char *name;
    uint32_t msr;
    uint64_t reset;
    bool readable;
    bool writable;
    uint64_t good;
    uint64_t bad; // 0: none
};

static struct register_case register_cases[] = {
    {"the id is read-only", ID, 0x12, true, false, 0, 1},
    {"the version is not served here", VERSION, 0, false, false, 0, 1},
    {"EOI is write-only and takes 0", EOI, 0, false, true, 0, 1},
    {"LDR follows from the id", LDR, 0x10004, true, false, 0, 1},
    {"SVR", SVR, 0xFF, true, true, 0x1AB, 0x200},
    {"ISR is read-only", ISR2, 0, true, false, 0, 1},
    {"TMR is read-only", TMR0, 0, true, false, 0, 1},
    {"IRR is read-only", IRR2, 0, true, false, 0, 1},
    {"ESR takes 0", ESR, 0, true, true, 0, 1},
    {"ICR", ICR, 0, true, true, UINT64_C(0x00000003000C4041), 0x1000},
    {"LVT timer", LVT_TIMER, MASKED, true, true, 0x10020, 0x100},
    {"LVT timer refuses mode 3", LVT_TIMER, MASKED, true, true, 0x30020, 0x60020},
    {"LVT thermal", LVT_THERMAL, MASKED, true, true, 0x10433, 0x20000},
    {"LVT LINT0", LVT_LINT0, MASKED, true, true, 0x1A720, 0x800},
    {"LVT error", LVT_ERROR, MASKED, true, true, 0x100FE, 0x800},
    {"the initial count has 32 bits", INITIAL_COUNT, 0, true, true, 0xFFFFFFFF,
     UINT64_C(0x100000000)},
    {"the current count is read-only", CURRENT_COUNT, 0, true, false, 0, 1},
    {"the divide configuration has bits 0, 1 and 3", DIVIDE, 0, true, true, 0xB, 0x4},
    {"SELF IPI is write-only", SELF_IPI, 0, false, true, 0xFF, 0x100},
    {"nothing is at 0x800", 0x800, 0, false, false, 0, 1},
    {"nothing is at 0x831", 0x831, 0, false, false, 0, 1},
    {"nothing is at 0x8FF", 0x8FF, 0, false, false, 0, 1},
};

static void a_register_is_as_the_manual_says(void **state)
{
    const struct register_case *row = *state;
    uint64_t value = 0;
    apic_reset(&apic, 0x12);
    assert_int_equal(apic_read(&apic, row->msr, 0, &value), row->readable);
    assert_int_equal(value, row->readable ? row->reset : 0);
    assert_int_equal(write_at(0, row->msr, row->good), row->writable);
    if (row->readable && row->writable) {
        assert_int_equal(read_at(0, row->msr), row->good);
    }
    assert_false(write_at(0, row->msr, row->bad));
    if (row->readable && row->writable) {
        assert_int_equal(read_at(0, row->msr), row->good);
    }
}

// Divide values: 2, 4, 8, 16, 32, 64, 128, 1.

static void each_divide_value_has_its_period(void **state)
{
    (void)state;
    static const struct {
        uint64_t code;
        uint64_t divisor;
    } rows[] = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                {0x8, 32}, {0x9, 64}, {0xA, 128}, {0xB, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        apic_reset(&apic, 0);
        write_ok(DIVIDE, rows[i].code);
        assert_true(write_at(1000, INITIAL_COUNT, 10));
        assert_int_equal(apic.deadline, 1000 + 10 * rows[i].divisor);
        assert_int_equal(read_at(1000, CURRENT_COUNT), 10);
        assert_int_equal(read_at(1000 + 4 * rows[i].divisor, CURRENT_COUNT), 6);
        assert_int_equal(read_at(1000 + 10 * rows[i].divisor, CURRENT_COUNT), 0);
    }
}

static void start_timer(uint32_t lvt, uint32_t count)
{
    write_ok(SVR, ENABLED);
    write_ok(DIVIDE, DIVIDE_BY_1);
    write_ok(LVT_TIMER, lvt);
    write_ok(INITIAL_COUNT, count);
}

static void a_one_shot_timer_fires_once(void **state)
{
    (void)state;
    start_timer(0x40, 100);
    apic_tick(&apic, 99);
    assert_int_equal(apic_pending(&apic, 0), -1);
    apic_tick(&apic, 100);
    assert_int_equal(apic_pending(&apic, 0), 0x40);
    assert_int_equal(apic.deadline, UINT64_MAX);
    assert_int_equal(read_at(150, CURRENT_COUNT), 0);
}

static void a_periodic_timer_goes_on(void **state)
{
    (void)state;
    start_timer(PERIODIC | 0x40, 100);
    apic_tick(&apic, 100);
    assert_int_equal(apic.deadline, 200);
    apic_tick(&apic, 555); // four periods late: one interrupt
    assert_int_equal(apic.deadline, 600);
    assert_int_equal(read_at(560, CURRENT_COUNT), 40);
}

static void a_masked_timer_counts_and_requests_nothing(void **state)
{
    (void)state;
    start_timer(MASKED | 0x40, 100);
    assert_int_equal(read_at(60, CURRENT_COUNT), 40);
    apic_tick(&apic, 100);
    assert_int_equal(apic_pending(&apic, 0), -1);
}

static void a_count_of_zero_stops_the_timer(void **state)
{
    (void)state;
    start_timer(0x40, 100);
    write_ok(INITIAL_COUNT, 0);
    assert_int_equal(apic.deadline, UINT64_MAX);
}

static void another_divide_value_keeps_the_count(void **state)
{
    (void)state;
    start_timer(0x40, 100);
    assert_true(write_at(40, DIVIDE, 0x3));
    assert_int_equal(read_at(40, CURRENT_COUNT), 60);
    assert_int_equal(apic.deadline, 40 + 60 * 16);
}

static void the_deadline_mode_fires_at_a_time(void **state)
{
    (void)state;
    write_ok(SVR, ENABLED);
    write_ok(APIC_MSR_TSC_DEADLINE, 500); // ignored in another mode
    assert_int_equal(read_at(0, APIC_MSR_TSC_DEADLINE), 0);
    write_ok(LVT_TIMER, TSC_DEADLINE | 0x41);
    write_ok(INITIAL_COUNT, 7); // ignored in this mode
    assert_int_equal(apic.deadline, UINT64_MAX);
    write_ok(APIC_MSR_TSC_DEADLINE, 500);
    assert_int_equal(read_at(0, APIC_MSR_TSC_DEADLINE), 500);
    assert_int_equal(read_at(0, CURRENT_COUNT), 0);
    apic_tick(&apic, 500);
    assert_int_equal(apic_pending(&apic, 0), 0x41);
    assert_int_equal(read_at(500, APIC_MSR_TSC_DEADLINE), 0);
}

static void a_change_of_the_tsc_moves_a_count_but_no_deadline(void **state)
{
    (void)state;
    start_timer(0x40, 100);
    apic_shift(&apic, 1000);
    assert_int_equal(apic.deadline, 1100);
    apic_shift(&apic, (uint64_t)-1000);
    assert_int_equal(apic.deadline, 100);
    write_ok(LVT_TIMER, TSC_DEADLINE | 0x41);
    write_ok(APIC_MSR_TSC_DEADLINE, 500);
    apic_shift(&apic, 1000);
    assert_int_equal(apic.deadline, 500);
}

// Priorities.

static void the_highest_request_comes_first(void **state)
{
    (void)state;
    write_ok(SVR, ENABLED);
    apic_request(&apic, 0x31);
    apic_request(&apic, 0xF0);
    apic_request(&apic, 0x90);
    assert_int_equal(apic_pending(&apic, 0), 0xF0);
    assert_int_equal(read_at(0, 0x827), 0x10000);
}

static void what_is_in_service_holds_its_class_back(void **state)
{
    (void)state;
    write_ok(SVR, ENABLED);
    apic_request(&apic, 0x45);
    apic_accept(&apic, 0x45);
    assert_int_equal(read_at(0, ISR2), 0x20);
    assert_int_equal(read_at(0, IRR2), 0);
    apic_request(&apic, 0x4F);
    assert_int_equal(apic_pending(&apic, 0), -1);
    apic_request(&apic, 0x50);
    assert_int_equal(apic_pending(&apic, 0), 0x50);
    assert_int_equal(apic_priority(&apic, 0), 0x40);
    apic_accept(&apic, 0x50);
    write_ok(EOI, 0); // ends the higher one
    assert_int_equal(apic_priority(&apic, 0), 0x40);
    write_ok(EOI, 0);
    assert_int_equal(apic_priority(&apic, 0), 0);
    assert_int_equal(apic_pending(&apic, 0), 0x4F);
    write_ok(EOI, 0); // of nothing
}

static void cr8_holds_classes_back(void **state)
{
    (void)state;
    write_ok(SVR, ENABLED);
    apic_request(&apic, 0x45);
    assert_int_equal(apic_pending(&apic, 4), -1);
    assert_int_equal(apic_pending(&apic, 3), 0x45);
    assert_int_equal(apic_priority(&apic, 5), 0x50);
}

static void a_disabled_apic_takes_no_requests_and_masks_its_lvts(void **state)
{
    (void)state;
    write_ok(SVR, ENABLED);
    write_ok(LVT_TIMER, 0x40);
    write_ok(LVT_LINT0, 0x700);
    write_ok(SVR, 0xFF);
    apic_request(&apic, 0x45);
    assert_int_equal(apic_pending(&apic, 0), -1);
    assert_int_equal(read_at(0, LVT_TIMER), MASKED | 0x40);
    assert_int_equal(read_at(0, LVT_LINT0), MASKED | 0x700);
    write_ok(LVT_TIMER, 0x41);
    assert_int_equal(read_at(0, LVT_TIMER), MASKED | 0x41);
}

static void vectors_below_16_are_never_requested(void **state)
{
    (void)state;
    write_ok(SVR, ENABLED);
    write_ok(SELF_IPI, 0xF);
    assert_int_equal(apic_pending(&apic, 0), -1);
    write_ok(SELF_IPI, 0x10);
    assert_int_equal(apic_pending(&apic, 0), 0x10);
}

// Interprocessor interrupts.

struct address_case {
    const char *name;
    uint64_t icr;
    bool self, other; // ids 0 and 0x12
};

static struct address_case address_cases[] = {
    {"physical, to the other", UINT64_C(0x0000001200000041), false, true},
    {"physical, to itself", UINT64_C(0x0000000000000041), true, false},
    {"physical, to nobody", UINT64_C(0x0000000300000041), false, false},
    {"broadcast", UINT64_C(0xFFFFFFFF00000041), true, true},
    {"logical, by cluster and bit", UINT64_C(0x0001000400000841), false, true},
    {"logical, another bit", UINT64_C(0x0001000800000841), false, false},
    {"logical, cluster 0", UINT64_C(0x0000FFFF00000841), true, false},
    {"self", UINT64_C(0x0000001200040041), true, false},
    {"all", UINT64_C(0x0000000000080041), true, true},
    {"all but self", UINT64_C(0x00000000000C0041), false, true},
};

static void an_address_means_its_cpus(void **state)
{
    const struct address_case *row = *state;
    struct apic sender;
    struct apic other;
    bool sent = false;
    apic_reset(&sender, 0);
    apic_reset(&other, 0x12);
    assert_true(apic_write(&sender, ICR, 0, row->icr, &sent));
    assert_true(sent);
    assert_int_equal(apic_is_addressed(&sender, &sender), row->self);
    assert_int_equal(apic_is_addressed(&other, &sender), row->other);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)
#define ROWS(rows)     (sizeof(rows) / sizeof((rows)[0]))

static const struct CMUnitTest tests[] = {
    TEST(each_divide_value_has_its_period),
    TEST(a_one_shot_timer_fires_once),
    TEST(a_periodic_timer_goes_on),
    TEST(a_masked_timer_counts_and_requests_nothing),
    TEST(a_count_of_zero_stops_the_timer),
    TEST(another_divide_value_keeps_the_count),
    TEST(the_deadline_mode_fires_at_a_time),
    TEST(a_change_of_the_tsc_moves_a_count_but_no_deadline),
    TEST(the_highest_request_comes_first),
    TEST(what_is_in_service_holds_its_class_back),
    TEST(cr8_holds_classes_back),
    TEST(a_disabled_apic_takes_no_requests_and_masks_its_lvts),
    TEST(vectors_below_16_are_never_requested),
};

enum { NUM_ALL = ROWS(tests) + ROWS(register_cases) + ROWS(address_cases) };

int main(void)
{
    struct CMUnitTest all[NUM_ALL];
    size_t count = 0;
    while (count < ROWS(tests)) {
        all[count] = tests[count];
        count++;
    }
    for (size_t i = 0; i < ROWS(register_cases); i++) {
        all[count++] = (struct CMUnitTest){.name = register_cases[i].name,
                                           .test_func = a_register_is_as_the_manual_says,
                                           .initial_state = &register_cases[i]};
    }
    for (size_t i = 0; i < ROWS(address_cases); i++) {
        all[count++] = (struct CMUnitTest){.name = address_cases[i].name,
                                           .test_func = an_address_means_its_cpus,
                                           .initial_state = &address_cases[i]};
    }
    return _cmocka_run_group_tests("apic", all, NUM_ALL, NULL, NULL);
}
