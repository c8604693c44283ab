// Sticky cursors: numbers both ways, and what happens past the end.

#include "protocol/bytes.h"

#include "cmocka_rows.h"

static void numbers_are_little_endian(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    assert_int_equal(load_le(bytes, 1), 0x11);
    assert_int_equal(load_le(bytes, 2), 0x2211);
    assert_int_equal(load_le(bytes, 4), 0x44332211);
    assert_int_equal(load_le(bytes, 8), UINT64_C(0x8877665544332211));
    uint8_t stored[8] = {0};
    store_le(stored, 4, UINT64_C(0xAAAAAAAA44332211));
    assert_memory_equal(stored, bytes, 4);
    assert_int_equal(stored[4], 0);
}

static void a_reader_hands_out_every_byte_once(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    struct byte_reader reader = {bytes, bytes + sizeof(bytes), true};
    assert_int_equal(read_number(&reader, 1), 1);
    assert_int_equal(read_number(&reader, 2), 0x0302);
    assert_ptr_equal(read_bytes(&reader, 4), bytes + 3);
    assert_true(reader.ok);
    assert_ptr_equal(reader.at, reader.end);
    assert_non_null(read_bytes(&reader, 0));
    assert_true(reader.ok);
}

static void a_reader_stays_broken_past_the_end(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0xFF, 0xFF, 0xFF};
    struct byte_reader reader = {bytes, bytes + sizeof(bytes), true};
    assert_int_equal(read_number(&reader, 4), 0);
    assert_false(reader.ok);
    assert_int_equal(read_number(&reader, 1), 0);
    assert_null(read_bytes(&reader, 0));
    assert_ptr_equal(reader.at, bytes);
}

static void a_length_near_the_largest_size_does_not_wrap(void **state)
{
    (void)state;
    static const uint8_t bytes[4] = {0};
    struct byte_reader reader = {bytes, bytes + sizeof(bytes), true};
    assert_null(read_bytes(&reader, SIZE_MAX));
    assert_false(reader.ok);
    uint8_t room[4];
    struct byte_writer writer = {room, room + sizeof(room), true};
    write_bytes(&writer, bytes, SIZE_MAX);
    assert_false(writer.ok);
}

static void a_writer_writes_nothing_past_the_end(void **state)
{
    (void)state;
    uint8_t bytes[4] = {0xEE, 0xEE, 0xEE, 0xEE};
    struct byte_writer writer = {bytes, bytes + 3, true};
    write_number(&writer, 2, 0x0201);
    write_number(&writer, 2, 0x0403);
    assert_false(writer.ok);
    write_number(&writer, 1, 0x05);
    assert_memory_equal(bytes, ((uint8_t[]){0x01, 0x02, 0xEE, 0xEE}), 4);
    assert_ptr_equal(writer.at, bytes + 2);
}

static void bytes_in_place_stay_where_they_are(void **state)
{
    (void)state;
    uint8_t bytes[4] = {1, 2, 3, 4};
    struct byte_writer writer = {bytes, bytes + sizeof(bytes), true};
    write_bytes(&writer, bytes, 2);
    write_bytes(&writer, bytes + 1, 2);
    assert_true(writer.ok);
    assert_memory_equal(bytes, ((uint8_t[]){1, 2, 2, 3}), 4);
    write_bytes(&writer, NULL, 0);
    assert_true(writer.ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(a_reader_hands_out_every_byte_once),
        cmocka_unit_test(a_reader_stays_broken_past_the_end),
        cmocka_unit_test(a_length_near_the_largest_size_does_not_wrap),
        cmocka_unit_test(a_writer_writes_nothing_past_the_end),
        cmocka_unit_test(bytes_in_place_stay_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
