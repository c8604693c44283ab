// Statuses: numbers of both versions against tables typed from the two documentations, not from
// status.def.

#include "protocol/status.h"

#include <stdbool.h>

#include "cmocka_rows.h"

struct number_case {
    const char *name;
    enum pulse_status status;
    uint32_t number;
};

// The 2018 header.
static const struct number_case v1_numbers[] = {
    {"SUCCESS", STATUS_SUCCESS, 0x00000000},
    {"PARTIAL_READ", STATUS_PARTIAL_READ, 0x00000005},
    {"PARTIAL_WRITE", STATUS_PARTIAL_WRITE, 0x00000006},
    {"UNSUCCESSFUL", STATUS_UNSUCCESSFUL, 0xC0000000},
    {"TIMEOUT", STATUS_TIMEOUT, 0xC0000002},
    {"ENGINE_INIT_FAILED", STATUS_ENGINE_INIT_FAILED, 0xC0000003},
    {"INSUFFICIENT_RESOURCES", STATUS_INSUFFICIENT_RESOURCES, 0xC0000008},
    {"NOT_SUPPORTED", STATUS_NOT_SUPPORTED, 0xC000000D},
    {"INVALID_PARAMETER", STATUS_INVALID_PARAMETER, 0xC000000E},
    {"INVALID_TRANSLATION", STATUS_INVALID_TRANSLATION, 0xC0000017},
    {"NO_PACKET", STATUS_NO_PACKET, 0xC0000018},
    {"INVALID_LENGTH_FIELD", STATUS_INVALID_LENGTH_FIELD, 0xC0000019},
    {"BUFFER_OVERFLOW", STATUS_BUFFER_OVERFLOW, 0xC000001A},
    {"INVALID_CHECKSUM", STATUS_INVALID_CHECKSUM, 0xC000001B},
    {"INVALID_END_OF_PACKET", STATUS_INVALID_END_OF_PACKET, 0xC000001C},
    {"INVALID_PACKET", STATUS_INVALID_PACKET, 0xC000001D},
    {"INVALID_CPU_MODE", STATUS_INVALID_CPU_MODE, 0xC000001F},
    {"PACKET_TOO_LARGE", STATUS_PACKET_TOO_LARGE, 0xC0000020},
    {"READ_FAILED", STATUS_READ_FAILED, 0xC000002B},
    {"WRITE_FAILED", STATUS_WRITE_FAILED, 0xC000002C},
    {"BARRIER_ALREADY_OWNED", STATUS_BARRIER_ALREADY_OWNED, 0xC0000033},
    {"BARRIER_OWNER_INACTIVE", STATUS_BARRIER_OWNER_INACTIVE, 0xC0000034},
    {"BARRIER_NO_CPU", STATUS_BARRIER_NO_CPU, 0xC0000035},
    {"GENERAL_PROTECTION", STATUS_GENERAL_PROTECTION, 0xC0000045},
    {"INVALID_START_OF_PACKET", STATUS_INVALID_START_OF_PACKET, 0xC0000046},
    {"BREAKPOINT_TABLE_EMPTY", STATUS_BREAKPOINT_TABLE_EMPTY, 0xC0000050},
    {"BREAKPOINT_NOT_FOUND", STATUS_BREAKPOINT_NOT_FOUND, 0xC0000051},
    {"BREAKPOINT_TABLE_FULL", STATUS_BREAKPOINT_TABLE_FULL, 0xC0000052},
    {"FILTER_TABLE_FULL", STATUS_FILTER_TABLE_FULL, 0xC0000054},
    {"FILTER_TABLE_EMPTY", STATUS_FILTER_TABLE_EMPTY, 0xC0000055},
    {"FILTER_NOT_FOUND", STATUS_FILTER_NOT_FOUND, 0xC0000056},
    {"NOT_FOUND", STATUS_NOT_FOUND, 0xC0000060},
    {"NOT_ALIGNED", STATUS_NOT_ALIGNED, 0xC0000061},
    {"INVALID_ACCESS_SIZE", STATUS_INVALID_ACCESS_SIZE, 0xC0000062},
};

// The current documentation.
static const struct number_case v2_numbers[] = {
    {"SUCCESS", STATUS_SUCCESS, 0x00000000},
    {"PARTIAL_READ", STATUS_PARTIAL_READ, 0x00000001},
    {"PARTIAL_WRITE", STATUS_PARTIAL_WRITE, 0x00000002},
    {"BARRIER_ALREADY_OWNED", STATUS_BARRIER_ALREADY_OWNED, 0x00000021},
    {"INSUFFICIENT_RESOURCES", STATUS_INSUFFICIENT_RESOURCES, 0xC0000002},
    {"READ_FAILED", STATUS_READ_FAILED, 0xC0000003},
    {"WRITE_FAILED", STATUS_WRITE_FAILED, 0xC0000004},
    {"NOT_ALIGNED", STATUS_NOT_ALIGNED, 0xC0000006},
    {"TIMEOUT", STATUS_TIMEOUT, 0xC0000007},
    {"NOT_FOUND", STATUS_NOT_FOUND, 0xC0000009},
    {"INVALID_ACCESS_SIZE", STATUS_INVALID_ACCESS_SIZE, 0xC000000A},
    {"INVALID_PARAMETER", STATUS_INVALID_PARAMETER, 0xC0000010},
    {"INVALID_TRANSLATION", STATUS_INVALID_TRANSLATION, 0xC0000021},
    {"INVALID_CPU_MODE", STATUS_INVALID_CPU_MODE, 0xC0000022},
    {"NO_PACKET", STATUS_NO_PACKET, 0xC0000030},
    {"INVALID_PACKET", STATUS_INVALID_PACKET, 0xC0000031},
    {"BARRIER_OWNER_INACTIVE", STATUS_BARRIER_OWNER_INACTIVE, 0xC0000043},
    {"BARRIER_NO_CPU", STATUS_BARRIER_NO_CPU, 0xC0000044},
    {"TARGET_NOT_STOPPED", STATUS_TARGET_NOT_STOPPED, 0xC0000045},
    {"BREAKPOINT_TABLE_EMPTY", STATUS_BREAKPOINT_TABLE_EMPTY, 0xC0000100},
    {"BREAKPOINT_NOT_FOUND", STATUS_BREAKPOINT_NOT_FOUND, 0xC0000101},
    {"BREAKPOINT_TABLE_FULL", STATUS_BREAKPOINT_TABLE_FULL, 0xC0000102},
    {"FILTER_TABLE_FULL", STATUS_FILTER_TABLE_FULL, 0xC0000200},
    {"FILTER_TABLE_EMPTY", STATUS_FILTER_TABLE_EMPTY, 0xC0000201},
    {"FILTER_NOT_FOUND", STATUS_FILTER_NOT_FOUND, 0xC0000202},
    {"DEVICE_CONNECTION_LOST", STATUS_DEVICE_CONNECTION_LOST, 0xC0000308},
    {"ENGINE_INIT_FAILED", STATUS_ENGINE_INIT_FAILED, 0xC0000400},
    {"REQUEST_NOT_INITIALIZED", STATUS_REQUEST_NOT_INITIALIZED, 0xC0000402},
    {"REQUEST_BUSY", STATUS_REQUEST_BUSY, 0xC0000403},
    {"REQUEST_ALREADY_POSTED", STATUS_REQUEST_ALREADY_POSTED, 0xC0000404},
    {"GENERAL_PROTECTION", STATUS_GENERAL_PROTECTION, 0xC001000D},
};

static void check_numbers(const struct number_case *cases, size_t num_cases,
                          enum protocol_version version)
{
    for (size_t i = 0; i < num_cases; i++) {
        assert_int_equal(status_number(cases[i].status, version), cases[i].number);
        assert_string_equal(status_name(cases[i].status), cases[i].name);
        assert_int_equal(status_from_number(cases[i].number, version), cases[i].status);
    }
}

static void version_1_has_the_numbers_of_the_2018_header(void **state)
{
    (void)state;
    check_numbers(v1_numbers, NUM_OF(v1_numbers), PROTOCOL_V1);
}

static void version_2_has_the_numbers_of_the_current_documentation(void **state)
{
    (void)state;
    check_numbers(v2_numbers, NUM_OF(v2_numbers), PROTOCOL_V2);
}

// The outcomes that have another number, or no number of their own, in version 2.
static void one_outcome_becomes_another_number_in_version_2(void **state)
{
    (void)state;
    static const struct {
        enum pulse_status status;
        uint32_t v1;
        uint32_t v2;
    } pairs[] = {
        {STATUS_PARTIAL_READ, 5, 1},
        {STATUS_PARTIAL_WRITE, 6, 2},
        {STATUS_INVALID_TRANSLATION, 0xC0000017, 0xC0000021},
        {STATUS_INVALID_CPU_MODE, 0xC000001F, 0xC0000022},
        {STATUS_INVALID_PACKET, 0xC000001D, 0xC0000031},
        {STATUS_PACKET_TOO_LARGE, 0xC0000020, 0xC0000031},
        {STATUS_NOT_SUPPORTED, 0xC000000D, 0xC0000031},
        {STATUS_INVALID_PARAMETER, 0xC000000E, 0xC0000010},
        {STATUS_GENERAL_PROTECTION, 0xC0000045, 0xC001000D},
        {STATUS_BARRIER_ALREADY_OWNED, 0xC0000033, 0x21},
        {STATUS_BARRIER_OWNER_INACTIVE, 0xC0000034, 0xC0000043},
        {STATUS_BARRIER_NO_CPU, 0xC0000035, 0xC0000044},
    };
    for (size_t i = 0; i < NUM_OF(pairs); i++) {
        assert_int_equal(status_number(pairs[i].status, PROTOCOL_V1), pairs[i].v1);
        assert_int_equal(status_number(pairs[i].status, PROTOCOL_V2), pairs[i].v2);
    }
}

static void a_number_that_no_status_has_is_none(void **state)
{
    (void)state;
    assert_int_equal(status_from_number(0xC0000045, PROTOCOL_V1), STATUS_GENERAL_PROTECTION);
    assert_int_equal(status_from_number(0xC0000045, PROTOCOL_V2), STATUS_TARGET_NOT_STOPPED);
    assert_int_equal(status_from_number(0xC0000099, PROTOCOL_V1), NUM_STATUSES);
    assert_int_equal(status_from_number(0xC0000017, PROTOCOL_V2), NUM_STATUSES);
    assert_int_equal(status_from_number(UINT64_C(0x1C0000017), PROTOCOL_V1), NUM_STATUSES);
}

static void what_is_no_status_has_a_harmless_name_and_number(void **state)
{
    (void)state;
    assert_string_equal(status_name(NUM_STATUSES), "UNKNOWN");
    assert_non_null(status_text(NUM_STATUSES));
    assert_int_equal(status_number(STATUS_PENDING, PROTOCOL_V1), 0xC0000000);
    assert_int_equal(status_number(STATUS_PENDING, PROTOCOL_V2), 0xC0000000);
}

// What a client takes for success depends on the top bits alone.
static void every_status_is_clearly_success_or_failure(void **state)
{
    (void)state;
    for (int i = 0; i < NUM_STATUSES; i++) {
        enum pulse_status status = (enum pulse_status)i;
        uint32_t v1_class = status_number(status, PROTOCOL_V1) >> 30;
        uint32_t v2_class = status_number(status, PROTOCOL_V2) >> 30;
        bool v2_success = status == STATUS_SUCCESS || status == STATUS_PARTIAL_READ ||
                          status == STATUS_PARTIAL_WRITE || status == STATUS_BARRIER_ALREADY_OWNED;
        bool v1_success = v2_success && status != STATUS_BARRIER_ALREADY_OWNED;
        assert_int_equal(v1_class, v1_success ? 0 : 3);
        assert_int_equal(v2_class, v2_success ? 0 : 3);
        assert_true(status_text(status)[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_has_the_numbers_of_the_2018_header),
        cmocka_unit_test(version_2_has_the_numbers_of_the_current_documentation),
        cmocka_unit_test(one_outcome_becomes_another_number_in_version_2),
        cmocka_unit_test(a_number_that_no_status_has_is_none),
        cmocka_unit_test(what_is_no_status_has_a_harmless_name_and_number),
        cmocka_unit_test(every_status_is_clearly_success_or_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
