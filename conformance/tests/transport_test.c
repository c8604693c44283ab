// Transports and engines: names, refusals, text, and memory that is out.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_fixture.h"
#include "protocol/status.h"
#include "transport.h"

// --- memory that is out ---------------------------------------------------------------------

// The linker hands the library's allocations to us; this one fails, counted from 1; 0: none does.
static int failing_allocation;

void *__real_calloc(size_t count, size_t size); // NOLINT: the linker's names
void *__wrap_calloc(size_t count, size_t size); // NOLINT

// NOLINTNEXTLINE
void *__wrap_calloc(size_t count, size_t size)
{
    if (failing_allocation > 0 && --failing_allocation == 0) {
        return NULL;
    }
    return __real_calloc(count, size);
}

static void test_no_memory_for_a_transport(void **state)
{
    (void)state;
    for (int i = 1; i <= 2; i++) {
        PPS_TRANSPORT transport = NULL;
        failing_allocation = i;
        assert_int_equal(TransportCreate(&transport, pttNet), PULSE_STATUS_INSUFFICIENT_RESOURCES);
        assert_null(transport);
    }
}

static void test_no_memory_for_an_engine(void **state)
{
    (void)state;
    PPS_ENGINE engine = NULL;
    failing_allocation = 1;
    assert_int_equal(EngCreateEngine(&engine), PULSE_STATUS_INSUFFICIENT_RESOURCES);
    assert_null(engine);
}

static void test_no_memory_for_a_request(void **state)
{
    (void)state;
    struct client client;
    client_open_plain(&client, pttPipe, answer_success);
    failing_allocation = 1;
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_INSUFFICIENT_RESOURCES);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_SUCCESS);
    client_close(&client);
}

// --- names ----------------------------------------------------------------------------------

struct name_row {
    const char *name;
    PS_TRANSPORT_TYPE type;
    const char *interface;
    uint32_t status;
};

#define BAD  0xC0000010
#define LOST 0xC0000308

static struct name_row name_rows[] = {
    {"UDP takes an address and a port", pttNet, "127.0.0.1:50100", 0},
    {"UDP has a default port", pttNet, "127.0.0.1", 0},
    {"UDP takes a host's name", pttNet, "localhost:50100", 0},
    {"UDP takes IPv6 in brackets", pttNet, "[::1]:50100", 0},
    {"UDP refuses an empty name", pttNet, "", BAD},
    {"UDP refuses an empty port", pttNet, "127.0.0.1:", BAD},
    {"UDP refuses a port beyond 65535", pttNet, "127.0.0.1:65536", BAD},
    {"UDP refuses a port that is no number", pttNet, "127.0.0.1:5x", BAD},
    {"UDP refuses an open bracket", pttNet, "[::1:50100", BAD},
    {"TCP refuses a port that is no number", pttTcp, "127.0.0.1:tcp", BAD},
    {"a host that has no address is a lost connection", pttTcp, "256.256.256.256:1", LOST},
    {"a Unix socket that is not there is a lost connection", pttPipe, "/nonexistent/socket", LOST},
    {"a Unix socket has a path", pttPipe, "", BAD},
    {"a terminal that is not there is a lost connection", pttSerial, "/nonexistent/tty", LOST},
    {"a terminal has a path", pttSerial, "", BAD},
    {"a file is no terminal", pttSerial, "/dev/null", LOST},
};

// A machine without /etc/hosts and name servers knows no names.
static bool knows_names(void)
{
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) {
        return false;
    }
    freeaddrinfo(found);
    return true;
}

static void test_name(void **state)
{
    const struct name_row *row = *state;
    if (strncmp(row->interface, "localhost", 9) == 0 && !knows_names()) {
        skip();
    }
    PPS_TRANSPORT transport = NULL;
    char name[64] = "";
    uint32_t size = sizeof(name);
    assert_int_equal(TransportCreate(&transport, row->type), PULSE_STATUS_SUCCESS);
    assert_int_equal(TransportSetInterfaceName(transport, row->interface), row->status);
    assert_int_equal(TransportGetInterfaceName(transport, 0, name, &size), PULSE_STATUS_SUCCESS);
    assert_string_equal(name, row->interface);
    TransportDestroy(transport);
}

static void test_a_long_name_is_refused(void **state)
{
    (void)state;
    static char name[1000];
    memset(name, 'x', sizeof(name) - 1);
    PPS_TRANSPORT transport = NULL;
    TransportCreate(&transport, pttPipe);
    assert_int_equal(TransportSetInterfaceName(transport, name), PULSE_STATUS_INVALID_PARAMETER);
    name[200] = '\0';
    assert_int_equal(TransportSetInterfaceName(transport, name), PULSE_STATUS_INVALID_PARAMETER);
    uint32_t size = 10;
    assert_int_equal(TransportGetInterfaceName(transport, 0, name, &size),
                     PULSE_STATUS_INVALID_PARAMETER);
    TransportDestroy(transport);
}

static void test_interfaces_are_named_not_counted(void **state)
{
    (void)state;
    PPS_TRANSPORT transport = NULL;
    uint32_t count = 1;
    TransportCreate(&transport, pttNet);
    assert_int_equal(TransportGetInterfaceCount(transport, &count), PULSE_STATUS_SUCCESS);
    assert_int_equal(count, 0);
    assert_int_equal(TransportSetInterfaceIndex(transport, 0), PULSE_STATUS_INVALID_PARAMETER);
    TransportDestroy(transport);
}

// --- refusals -------------------------------------------------------------------------------

// A port that was just given back refuses.
static void test_a_refusing_udp_port_is_a_failed_read(void **state)
{
    (void)state;
    struct client client;
    client_open_plain(&client, pttNet, answer_nothing);
    fake_stop(&client.fake);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_READ_FAILED);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_READ_FAILED);
    client_close(&client);
}

// The system tells of a refusal with the next send; it must not be taken for that one's.
static void test_an_old_refusal_is_not_the_next_sends(void **state)
{
    (void)state;
    struct client client;
    client_open_plain(&client, pttNet, answer_nothing);
    fake_stop(&client.fake);
    assert_int_equal(send(client.connection.transport->fd, "", 1, 0), 1);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_READ_FAILED);
    client_close(&client);
}

static void test_a_refused_send_is_a_failed_write(void **state)
{
    (void)state;
    struct client client;
    uint8_t byte = 0;
    uint64_t moved = 1;
    client_open_plain(&client, pttNet, answer_nothing);
    shutdown(client.connection.transport->fd, SHUT_WR);
    assert_int_equal(PsWritePhysicalMemory(client.engine, 0, &byte, 1, &moved),
                     PULSE_STATUS_WRITE_FAILED);
    assert_int_equal(moved, 0);
    client_close(&client);
}

// Nobody reads, so the socket fills up; half a frame has left by then.
static void test_a_send_that_does_not_end_is_a_timeout_and_then_a_lost_connection(void **state)
{
    (void)state;
    static uint8_t bytes[60000];
    struct client client;
    client_open_plain(&client, pttTcp, answer_nothing);
    int fd = client.connection.transport->fd;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int));
    close(client.fake.wake[1]);
    pthread_join(client.fake.thread, NULL);
    client.fake.has_thread = false;
    EngSetRequestTimeout(client.engine, SHORT_TIMEOUT_MS);
    PULSE_STATUS status = PULSE_STATUS_TIMEOUT;
    for (int i = 0; i < 1000 && !client.connection.transport->lost; i++) {
        EngSetRequestTimeout(client.engine, 1);
        status = PsWritePhysicalMemory(client.engine, 0, bytes, sizeof(bytes), NULL);
        assert_int_equal(status, PULSE_STATUS_TIMEOUT);
    }
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_DEVICE_CONNECTION_LOST);
    connection_close(&client.connection);
    close(client.fake.wake[0]);
    close(client.fake.listener);
    if (client.fake.peer >= 0) {
        close(client.fake.peer);
    }
}

static void answer_hang_up(struct fake *fake, const uint8_t *request, size_t len)
{
    (void)request;
    (void)len;
    fake_hang_up(fake);
}

static void test_a_reset_connection_works_again(void **state)
{
    (void)state;
    struct client client;
    client_open_plain(&client, pttPipe, answer_hang_up);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_DEVICE_CONNECTION_LOST);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_DEVICE_CONNECTION_LOST);
    assert_int_equal(TransportResetConnection(client.connection.transport), PULSE_STATUS_SUCCESS);
    EngSetRequestTimeout(client.engine, 1);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_TIMEOUT);
    fake_stop(&client.fake);
    assert_int_equal(TransportResetConnection(client.connection.transport),
                     PULSE_STATUS_DEVICE_CONNECTION_LOST);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_DEVICE_CONNECTION_LOST);
    client_close(&client);
}

static void test_an_engine_needs_a_transport_and_a_start(void **state)
{
    (void)state;
    PPS_ENGINE engine = NULL;
    PPS_TRANSPORT transport = NULL;
    EngCreateEngine(&engine);
    TransportCreate(&transport, pttNet);
    assert_int_equal(EngStart(engine), PULSE_STATUS_ENGINE_INIT_FAILED);
    assert_int_equal(PsPing(engine), PULSE_STATUS_ENGINE_INIT_FAILED);
    EngAssignTransport(engine, transport);
    assert_int_equal(EngStart(engine), PULSE_STATUS_ENGINE_INIT_FAILED);
    TransportSetInterfaceName(transport, "127.0.0.1:1");
    assert_int_equal(EngStart(engine), PULSE_STATUS_SUCCESS);
    assert_int_equal(EngStop(engine), PULSE_STATUS_SUCCESS);
    assert_int_equal(PsPing(engine), PULSE_STATUS_ENGINE_INIT_FAILED);
    EngDestroyEngine(engine);
    TransportDestroy(transport);
}

// --- text -----------------------------------------------------------------------------------

struct text {
    char bytes[64];
    size_t len;
};

static void take_text(uintptr_t context, void *bytes, uint32_t len)
{
    struct text *text = (struct text *)context;
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
}

static void answer_with_text(struct fake *fake, const uint8_t *request, size_t len)
{
    fake_send_raw(fake, (const uint8_t *)"hello\r\n", 7);
    answer_success(fake, request, len);
    fake_send_raw(fake, (const uint8_t *)"there\r\n", 7);
}

static void test_text_goes_to_the_callback(void **state)
{
    const PS_TRANSPORT_TYPE *type = *state;
    struct text text = {0};
    struct client client;
    client_open_plain(&client, *type, answer_with_text);
    TransportSetRawDataCallback(client.connection.transport, take_text, (uintptr_t)&text);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_SUCCESS);
    assert_int_equal(PsPing(client.engine), PULSE_STATUS_SUCCESS);
    client_close(&client);
    assert_memory_equal(text.bytes, "hello\r\nthere\r\nhello\r\n", 21);
}

#define LENGTH(rows) (sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
    static PS_TRANSPORT_TYPE udp = pttNet;
    static PS_TRANSPORT_TYPE tcp = pttTcp;
    const struct CMUnitTest others[] = {
        cmocka_unit_test(test_no_memory_for_a_transport),
        cmocka_unit_test(test_no_memory_for_an_engine),
        cmocka_unit_test(test_no_memory_for_a_request),
        cmocka_unit_test(test_a_long_name_is_refused),
        cmocka_unit_test(test_interfaces_are_named_not_counted),
        cmocka_unit_test(test_a_refusing_udp_port_is_a_failed_read),
        cmocka_unit_test(test_an_old_refusal_is_not_the_next_sends),
        cmocka_unit_test(test_a_refused_send_is_a_failed_write),
        cmocka_unit_test(test_a_send_that_does_not_end_is_a_timeout_and_then_a_lost_connection),
        cmocka_unit_test(test_a_reset_connection_works_again),
        cmocka_unit_test(test_an_engine_needs_a_transport_and_a_start),
        {"text over UDP goes to the callback", test_text_goes_to_the_callback, NULL, NULL, &udp},
        {"text over TCP goes to the callback", test_text_goes_to_the_callback, NULL, NULL, &tcp},
    };
    struct CMUnitTest tests[LENGTH(others) + LENGTH(name_rows)];
    memcpy(tests, others, sizeof(others));
    for (size_t i = 0; i < LENGTH(name_rows); i++) {
        tests[LENGTH(others) + i] =
            (struct CMUnitTest){name_rows[i].name, test_name, NULL, NULL, &name_rows[i]};
    }
    return cmocka_run_group_tests_name("transports and engines", tests, NULL, NULL);
}
