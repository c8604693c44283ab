// Bugs without a transport: names, arguments, and what each makes of a reply.

#include "bugs.h"

#include <string.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define NUM_OF(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t original[16] = {2, 1, 3, 0, 0x10, 0x20, 0x30, 0x40, 1, 2, 3, 4, 5, 6, 7, 8};

static bool enable(struct bugs *bugs, const char *text)
{
    char error[256] = "";
    bool good = bugs_enable(bugs, text, error, sizeof(error));
    assert_int_equal(good, *error == '\0');
    return good;
}

static void apply(struct bugs *bugs, struct delivery *delivery)
{
    static uint8_t scratch[DELIVERY_SCRATCH];
    uint8_t kept[sizeof(original)];
    memcpy(kept, original, sizeof(original));
    *delivery = (struct delivery){.packet = kept, .len = sizeof(kept), .scratch = scratch};
    bugs_apply(bugs, delivery);
    // What a resend will repeat is never changed.
    assert_memory_equal(kept, original, sizeof(original));
    if (delivery->packet == kept) {
        memcpy(scratch, kept, sizeof(kept));
        delivery->packet = scratch;
    }
}

static void without_bugs_a_reply_leaves_as_it_is(void **state)
{
    (void)state;
    static const struct frame_faults none = {0};
    struct bugs bugs = {0};
    struct delivery delivery;
    apply(&bugs, &delivery);
    assert_int_equal(delivery.copies, 1);
    assert_int_equal(delivery.delay_ms, 0);
    assert_int_equal(delivery.len, sizeof(original));
    assert_memory_equal(delivery.packet, original, sizeof(original));
    assert_memory_equal(&delivery.faults, &none, sizeof(none));
}

struct text_case {
    const char *text;
    bool good;
};

static struct text_case text_cases[] = {
    {"silence", true},
    {"silence=", false},
    {"silence=1", false},
    {"silence-after=0", true},
    {"silence-after", false},
    {"silence-after=", false},
    {"silence-after=1x", false},
    {"silence-after=-1", false},
    {"silence-after= 1", false},
    {"lose=100", true},
    {"lose=101", false},
    {"lose=0x10", true},
    {"late=60000", true},
    {"late=60001", false},
    {"truncate=61440", true},
    {"truncate=61441", false},
    {"", false},
    {"=", false},
    {"Silence", false},
    {"silenc", false},
    {"silence-", false},
    {"late=99999999999999999999", false},
};

static void a_text_is_good_or_not(void **state)
{
    const struct text_case *row = *state;
    struct bugs bugs = {0};
    assert_int_equal(enable(&bugs, row->text), row->good);
    assert_int_equal(bugs.any, row->good);
}

static void silence_after_counts_the_replies_before(void **state)
{
    (void)state;
    struct bugs bugs = {0};
    assert_true(enable(&bugs, "silence-after=2"));
    for (uint64_t i = 0; i < 4; i++) {
        struct delivery delivery = {.packet = original, .len = 16, .num_replies = i};
        bugs_apply(&bugs, &delivery);
        assert_int_equal(delivery.copies, i < 2);
    }
}

static void lose_loses_its_share(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned lowest;
        unsigned highest;
    } rows[] = {{"lose=0", 0, 0}, {"lose=30", 250, 350}, {"lose=100", 1000, 1000}};
    for (size_t i = 0; i < NUM_OF(rows); i++) {
        struct bugs bugs = {.random = i};
        unsigned lost = 0;
        assert_true(enable(&bugs, rows[i].text));
        for (int n = 0; n < 1000; n++) {
            struct delivery delivery = {.packet = original, .len = 16};
            bugs_apply(&bugs, &delivery);
            lost += delivery.copies == 0;
        }
        assert_in_range(lost, rows[i].lowest, rows[i].highest);
    }
}

struct change_case {
    const char *text;
    size_t len;
    size_t offset;
    uint8_t byte;
};

static struct change_case change_cases[] = {
    {"wrong-version", 16, 0, 0x7F}, {"wrong-class", 16, 1, 4},     {"wrong-type", 16, 2, 99},
    {"wrong-id", 16, 4, 0x11},      {"short-reply", 15, 14, 7},    {"long-reply", 17, 16, 0},
    {"truncate=1", 1, 0, 2},        {"truncate=61440", 16, 15, 8},
};

static void a_reply_is_changed_in_one_place(void **state)
{
    const struct change_case *row = *state;
    struct bugs bugs = {0};
    struct delivery delivery;
    assert_true(enable(&bugs, row->text));
    apply(&bugs, &delivery);
    assert_int_equal(delivery.copies, 1);
    assert_int_equal(delivery.len, row->len);
    assert_int_equal(delivery.packet[row->offset], row->byte);
    size_t rest = row->len < sizeof(original) ? row->len : sizeof(original);
    for (size_t i = 0; i < rest; i++) {
        assert_true(i == row->offset || delivery.packet[i] == original[i]);
    }
}

static void truncate_may_leave_nothing_to_change(void **state)
{
    (void)state;
    struct bugs bugs = {0};
    struct delivery delivery = {.packet = original, .len = 0};
    assert_true(enable(&bugs, "wrong-id"));
    assert_true(enable(&bugs, "short-reply"));
    bugs_apply(&bugs, &delivery);
    assert_int_equal(delivery.len, 0);
    assert_ptr_equal(delivery.packet, original);
}

static void faults_of_frames_are_passed_on(void **state)
{
    (void)state;
    static const char *const texts[] = {"bad-length", "bad-checksum", "bad-end", "half-frame",
                                        "dribble"};
    for (size_t i = 0; i < NUM_OF(texts); i++) {
        struct bugs bugs = {0};
        struct delivery delivery;
        assert_true(enable(&bugs, texts[i]));
        apply(&bugs, &delivery);
        const bool faults[] = {delivery.faults.bad_length, delivery.faults.bad_checksum,
                               delivery.faults.bad_end, delivery.faults.half,
                               delivery.faults.dribble};
        for (size_t fault = 0; fault < NUM_OF(faults); fault++) {
            assert_int_equal(faults[fault], fault == i);
        }
        assert_int_equal(delivery.len, sizeof(original));
    }
}

static void every_bug_has_its_own_name(void **state)
{
    (void)state;
    static const char *const options[] = {
#define BUG(NAME, name, option, argument, lowest, highest, text) option,
#include "bugs.def"
    };
    for (size_t i = 0; i < NUM_OF(options); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(options[i], options[j]);
        }
    }
}

enum { NUM_TEXTS = NUM_OF(text_cases), NUM_CHANGES = NUM_OF(change_cases) };

int main(void)
{
    struct CMUnitTest tests[NUM_TEXTS + NUM_CHANGES + 6];
    size_t num = 0;
    for (size_t i = 0; i < NUM_TEXTS; i++) {
        tests[num++] = (struct CMUnitTest){text_cases[i].text, a_text_is_good_or_not, NULL, NULL,
                                           &text_cases[i]};
    }
    for (size_t i = 0; i < NUM_CHANGES; i++) {
        tests[num++] = (struct CMUnitTest){change_cases[i].text, a_reply_is_changed_in_one_place,
                                           NULL, NULL, &change_cases[i]};
    }
    const struct CMUnitTest others[] = {
        cmocka_unit_test(without_bugs_a_reply_leaves_as_it_is),
        cmocka_unit_test(silence_after_counts_the_replies_before),
        cmocka_unit_test(lose_loses_its_share),
        cmocka_unit_test(truncate_may_leave_nothing_to_change),
        cmocka_unit_test(faults_of_frames_are_passed_on),
        cmocka_unit_test(every_bug_has_its_own_name),
    };
    memcpy(tests + num, others, sizeof(others));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
