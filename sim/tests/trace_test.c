// The trace as libpcap reads it back.

#include "trace.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

enum { LONGEST = 61441, IP = 20, UDP = 8 };

static char path[] = "/tmp/pulsim-trace-XXXXXX";
static uint8_t packet[LONGEST];

static uint16_t be16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

// What a receiver does: the sum over everything, checksum included, is all ones.
static uint32_t sum(uint32_t start, const uint8_t *bytes, size_t len)
{
    uint32_t total = start;
    for (size_t i = 0; i < len; i++) {
        total += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
        total = (total & 0xFFFF) + (total >> 16);
    }
    return total;
}

static void check_datagram(const uint8_t *ip, size_t len)
{
    assert_int_equal(be16(ip + 2), IP + UDP + len);
    assert_int_equal(sum(0, ip, IP), 0xFFFF);
    const uint8_t *udp = ip + IP;
    assert_int_equal(be16(udp + 4), UDP + len);
    assert_int_not_equal(be16(udp + 6), 0);
    uint32_t pseudo = sum(17 + UDP + (uint32_t)len, ip + 12, 8);
    assert_int_equal(sum(pseudo, udp, UDP + len), 0xFFFF);
    assert_memory_equal(udp + UDP, packet, len);
}

static void every_length_is_read_back(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 7, 8, 9, 20000, LONGEST - 1, LONGEST};
    enum { NUM = sizeof(lengths) / sizeof(lengths[0]) };
    const struct trace_peer peer = {UINT32_C(0xC0A80117), 49999};
    struct trace *trace = trace_open(path);
    assert_non_null(trace);
    for (size_t i = 0; i < NUM; i++) {
        trace_packet(trace, i % 2 ? TRACE_REPLY : TRACE_REQUEST, &peer, packet, lengths[i]);
    }
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *file = pcap_open_offline(path, error);
    assert_non_null(file);
    assert_int_equal(pcap_datalink(file), DLT_IPV4);
    for (size_t i = 0; i < NUM; i++) {
        struct pcap_pkthdr *header = NULL;
        const uint8_t *ip = NULL;
        assert_int_equal(pcap_next_ex(file, &header, &ip), 1);
        assert_int_equal(header->caplen, IP + UDP + lengths[i]);
        assert_int_equal(header->len, header->caplen);
        check_datagram(ip, lengths[i]);
        const uint8_t *client = ip + (i % 2 ? 16 : 12);
        assert_memory_equal(client, "\xC0\xA8\x01\x17", 4);
        assert_int_equal(be16(ip + IP + (i % 2 ? 2 : 0)), 49999);
        assert_int_equal(be16(ip + IP + (i % 2 ? 0 : 2)), 50100);
    }
    pcap_close(file);
    trace_close(trace);
}

// A sum whose complement is zero must not be sent as "no checksum".
static void a_checksum_of_zero_is_sent_as_ones(void **state)
{
    (void)state;
    const struct trace_peer peer = {0, 0};
    uint32_t rest =
        sum(17 + UDP + 2 + UDP + 2 + TRACE_DEBUGGEE_PORT, (const uint8_t *)"\x7F\0\0\1", 4);
    uint8_t balance[2] = {(uint8_t)((0xFFFF - rest) >> 8), (uint8_t)(0xFFFF - rest)};
    struct trace *trace = trace_open(path);
    trace_packet(trace, TRACE_REQUEST, &peer, balance, sizeof(balance));
    trace_close(trace);
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *file = pcap_open_offline(path, error);
    struct pcap_pkthdr *header = NULL;
    const uint8_t *ip = NULL;
    assert_int_equal(pcap_next_ex(file, &header, &ip), 1);
    assert_int_equal(be16(ip + IP + 6), 0xFFFF);
    pcap_close(file);
}

static void a_file_that_cannot_be_made_is_no_trace(void **state)
{
    (void)state;
    assert_null(trace_open("/no/such/directory/trace"));
    trace_close(NULL);
}

// The end of the disk ends the trace, not the program: /dev/full refuses even the file's header.
static void a_full_disk_is_no_trace(void **state)
{
    (void)state;
    assert_null(trace_open("/dev/full"));
}

int main(void)
{
    int fd = mkstemp(path);
    for (size_t i = 0; i < LONGEST; i++) {
        packet[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_is_read_back),
        cmocka_unit_test(a_checksum_of_zero_is_sent_as_ones),
        cmocka_unit_test(a_file_that_cannot_be_made_is_no_trace),
        cmocka_unit_test(a_full_disk_is_no_trace),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close(fd);
    unlink(path);
    return failed;
}
