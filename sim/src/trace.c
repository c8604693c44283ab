#include "trace.h"

#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "protocol/bytes.h"

enum {
    SNAPLEN = 65535,
    LINKTYPE_IPV4 = 228,
    FILE_HEADER = 24,
    RECORD_HEADER = 16,
    IP_HEADER = 20,
    UDP_HEADER = 8,
    PROTOCOL_UDP = 17,
};

struct trace {
    int fd; // -1: stopped
    uint16_t num_packets;
};

struct address {
    uint32_t ipv4;
    uint16_t port;
};

static void store_be16(uint8_t *out, size_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static void store_be32(uint8_t *out, uint32_t value)
{
    store_be16(out, value >> 16);
    store_be16(out + 2, value & 0xFFFF);
}

// The ones' complement sum of RFC 1071, not yet folded; an odd last byte counts as the high one.
static uint64_t sum_be16(uint64_t sum, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2) {
        sum += (uint64_t)bytes[i] << 8 | bytes[i + 1];
    }
    return len % 2 ? sum + ((uint64_t)bytes[len - 1] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static bool write_all(struct trace *trace, struct iovec *parts, int num_parts)
{
    size_t total = 0;
    for (int i = 0; i < num_parts; i++) {
        total += parts[i].iov_len;
    }
    return writev(trace->fd, parts, num_parts) == (ssize_t)total;
}

static bool write_file_header(struct trace *trace)
{
    uint8_t header[FILE_HEADER] = {0};
    store_le(header, 4, 0xA1B2C3D4); // microseconds
    store_le(header + 4, 2, 2);      // version 2.4
    store_le(header + 6, 2, 4);
    store_le(header + 16, 4, SNAPLEN);
    store_le(header + 20, 4, LINKTYPE_IPV4);
    struct iovec part = {header, sizeof(header)};
    return write_all(trace, &part, 1);
}

struct trace *trace_open(const char *path)
{
    struct trace *trace = calloc(1, sizeof(*trace));
    if (!trace) {
        return NULL;
    }
    trace->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (trace->fd < 0 || !write_file_header(trace)) {
        trace_close(trace);
        return NULL;
    }
    return trace;
}

void trace_close(struct trace *trace)
{
    if (trace && trace->fd >= 0) {
        close(trace->fd);
    }
    free(trace);
}

static void make_record_header(size_t len, uint8_t out[RECORD_HEADER])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    store_le(out, 4, (uint64_t)now.tv_sec & 0xFFFFFFFF);
    store_le(out + 4, 4, (uint64_t)now.tv_nsec / 1000);
    store_le(out + 8, 4, len);
    store_le(out + 12, 4, len);
}

//  0      2     4      6        8    9      10         12       16
// | 45 00 | len | id   | DF     | ttl | UDP  | checksum | source | destination |
static void make_ip_header(uint16_t id, size_t len, const struct address ends[2],
                           uint8_t out[IP_HEADER])
{
    out[0] = 0x45;
    store_be16(out + 2, len);
    store_be16(out + 4, id);
    out[6] = 0x40;
    out[8] = 64;
    out[9] = PROTOCOL_UDP;
    store_be32(out + 12, ends[0].ipv4);
    store_be32(out + 16, ends[1].ipv4);
    store_be16(out + 10, fold(sum_be16(0, out, IP_HEADER)));
}

// The checksum covers a pseudo header of both addresses, the protocol and the length, and the
// header and data; 0 means that there is none, so a sum of 0 is sent as its complement.
static void make_udp_header(const struct address ends[2], const uint8_t *packet, size_t len,
                            uint8_t out[UDP_HEADER])
{
    store_be16(out, ends[0].port);
    store_be16(out + 2, ends[1].port);
    store_be16(out + 4, UDP_HEADER + len);
    uint64_t sum = (uint64_t)ends[0].ipv4 + ends[1].ipv4 + PROTOCOL_UDP + UDP_HEADER + len;
    sum = sum_be16(sum, out, UDP_HEADER);
    uint16_t checksum = fold(sum_be16(sum, packet, len));
    store_be16(out + 6, checksum ? checksum : 0xFFFF);
}

void trace_packet(struct trace *trace, enum trace_direction direction,
                  const struct trace_peer *peer, const uint8_t *packet, size_t len)
{
    if (trace->fd < 0) {
        return;
    }
    struct address debuggee = {TRACE_LOOPBACK, TRACE_DEBUGGEE_PORT};
    struct address client = {peer->ipv4, peer->port};
    struct address ends[2] = {direction == TRACE_REQUEST ? client : debuggee,
                              direction == TRACE_REQUEST ? debuggee : client};
    uint8_t head[RECORD_HEADER + IP_HEADER + UDP_HEADER] = {0};
    make_record_header(IP_HEADER + UDP_HEADER + len, head);
    make_ip_header(trace->num_packets++, IP_HEADER + UDP_HEADER + len, ends, head + RECORD_HEADER);
    make_udp_header(ends, packet, len, head + RECORD_HEADER + IP_HEADER);
    struct iovec parts[] = {{head, sizeof(head)}, {(void *)(uintptr_t)packet, len}};
    if (!write_all(trace, parts, 2)) {
        warn("the trace ends here");
        close(trace->fd);
        trace->fd = -1;
    }
}
