#include "ports.h"

#include <stdbool.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
    struct machine machine;
    unsigned num_lines;
    char line[256]; // the last one
};

static void keep_line(void *user, const char *line)
{
    struct fixture *fixture = user;
    fixture->num_lines++;
    strncpy(fixture->line, line, sizeof(fixture->line) - 1);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof(fixture));
    fixture.machine.log = keep_line;
    fixture.machine.log_user = &fixture;
    ports_reset(&fixture.machine.ports);
    *state = &fixture;
    return 0;
}

static void send(struct fixture *fixture, const char *text)
{
    for (; *text != '\0'; text++) {
        ports_write(&fixture->machine, 0x3F8, 1, (uint8_t)*text);
    }
}

struct access {
    const char *name;
    uint16_t port;
    unsigned size;
    uint32_t write; // what is written first
    uint32_t want;  // what is read then
};

static struct access accesses[] = {
    {"a port without a device reads ones", 0x60, 1, 0x12, 0xFF},
    {"two ports without a device read ones", 0x61, 2, 0x1234, 0xFFFF},
    {"four ports without a device read ones", 0x1000, 4, 0x12345678, 0xFFFFFFFF},
    {"the CMOS index reads back", 0x70, 1, 0x8F, 0x8F},
    {"a CMOS byte reads back", 0x71, 1, 0x5A, 0x5A},
    {"CMOS index and byte in one access", 0x70, 2, 0x3412, 0x3412},
    {"the POST code reads back", 0x80, 1, 0xA5, 0xA5},
    {"a wide access reaches the POST code and nothing behind it", 0x80, 4, 0x11223344, 0xFFFFFF44},
    {"the UART's scratch register reads back", 0x3FF, 1, 0x77, 0x77},
    {"the UART is always ready to transmit", 0x3FD, 1, 0, 0x60},
    {"nothing comes from the UART", 0x3F8, 1, 0x20, 0},
    {"the UART has no interrupt to report", 0x3FA, 1, 0xC7, 0x01},
    {"the UART's line is connected", 0x3FE, 1, 0, 0xB0},
    {"the PCI configuration address reads back", 0xCF8, 4, 0x80001234, 0x80001234},
    {"a byte of the PCI configuration address is another port", 0xCF8, 1, 0x12, 0xFF},
    {"two bytes of it also", 0xCF9, 2, 0x1234, 0xFFFF},
    {"no PCI device answers", 0xCFC, 4, 0x12345678, 0xFFFFFFFF},
    {"the last port", 0xFFFF, 1, 0x12, 0xFF},
    {"an access past the last port", 0xFFFE, 4, 0x12345678, 0xFFFFFFFF},
};

static void reads_what_it_should(void **state)
{
    const struct access *access = *state;
    void *created = NULL;
    set_up(&created);
    struct fixture *fixture = created;

    ports_write(&fixture->machine, access->port, access->size, access->write);
    uint32_t got = ports_read(&fixture->machine, access->port, access->size);

    assert_int_equal(access->want, got);
}

static void the_cmos_has_128_bytes_and_ignores_bit_7_of_the_index(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 128; i++) {
        ports_write(&fixture->machine, 0x70, 1, i);
        ports_write(&fixture->machine, 0x71, 1, i ^ 0x55);
    }
    for (unsigned i = 0; i < 128; i++) {
        ports_write(&fixture->machine, 0x70, 1, i | 0x80);
        assert_int_equal(i ^ 0x55, ports_read(&fixture->machine, 0x71, 1));
    }
}

static void the_divisor_hides_the_registers_and_transmits_nothing(void **state)
{
    struct fixture *fixture = *state;
    ports_write(&fixture->machine, 0x3F9, 1, 0x05);
    ports_write(&fixture->machine, 0x3FB, 1, 0x83);
    ports_write(&fixture->machine, 0x3F8, 2, '\n' << 8 | 0x41);

    assert_int_equal(0x0A41, ports_read(&fixture->machine, 0x3F8, 2));

    ports_write(&fixture->machine, 0x3FB, 1, 0x03);
    assert_int_equal(0x0500, ports_read(&fixture->machine, 0x3F8, 2));
    assert_int_equal(0, fixture->num_lines);
}

static void a_line_is_logged_when_it_ends(void **state)
{
    struct fixture *fixture = *state;
    send(fixture, "one\r");
    assert_int_equal(0, fixture->num_lines);
    send(fixture, "\ntwo");
    assert_int_equal(1, fixture->num_lines);
    assert_string_equal("COM1: one", fixture->line);
    send(fixture, "\n");
    assert_string_equal("COM1: two", fixture->line);
}

static void what_cannot_be_shown_becomes_a_question_mark(void **state)
{
    struct fixture *fixture = *state;
    send(fixture, "a\x01"
                  "b\x7F"
                  "c\xFF"
                  "d\t\n");
    assert_string_equal("COM1: a?b?c?d\t", fixture->line);
}

static void an_endless_line_is_logged_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 3 * (PORTS_LINE - 1); i++) {
        send(fixture, "x");
    }
    assert_int_equal(3, fixture->num_lines);
    assert_int_equal(strlen("COM1: ") + PORTS_LINE - 1, strlen(fixture->line));
}

static void reset_forgets_everything(void **state)
{
    struct fixture *fixture = *state;
    struct ports fresh;
    ports_reset(&fresh);
    for (unsigned port = 0; port < 0x1000; port++) {
        ports_write(&fixture->machine, (uint16_t)port, 1, 0x42);
    }
    ports_write(&fixture->machine, 0xCF8, 4, 0x80000000);
    assert_memory_not_equal(&fresh, &fixture->machine.ports, sizeof(fresh));

    ports_reset(&fixture->machine.ports);

    assert_memory_equal(&fresh, &fixture->machine.ports, sizeof(fresh));
}

int main(void)
{
    struct CMUnitTest rows[ARRAY_LEN(accesses)];
    for (size_t i = 0; i < ARRAY_LEN(accesses); i++) {
        rows[i] =
            (struct CMUnitTest){accesses[i].name, reads_what_it_should, NULL, NULL, &accesses[i]};
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_cmos_has_128_bytes_and_ignores_bit_7_of_the_index, set_up),
        cmocka_unit_test_setup(the_divisor_hides_the_registers_and_transmits_nothing, set_up),
        cmocka_unit_test_setup(a_line_is_logged_when_it_ends, set_up),
        cmocka_unit_test_setup(what_cannot_be_shown_becomes_a_question_mark, set_up),
        cmocka_unit_test_setup(an_endless_line_is_logged_in_pieces, set_up),
        cmocka_unit_test_setup(reset_forgets_everything, set_up),
    };
    int failures = cmocka_run_group_tests_name("one access", rows, NULL, NULL);
    failures += cmocka_run_group_tests_name("ports", tests, NULL, NULL);
    return failures == 0 ? 0 : 1;
}
