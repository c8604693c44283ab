#ifndef SIM_TRACE_H
#define SIM_TRACE_H

// A trace of all packets as a libpcap savefile of link type IPV4, each packet a UDP datagram to or
// from port 50100 whatever carried it, so that any packet analyser opens it.

#include <stddef.h>
#include <stdint.h>

enum { TRACE_DEBUGGEE_PORT = 50100 };

#define TRACE_LOOPBACK UINT32_C(0x7F000001)

enum trace_direction { TRACE_REQUEST, TRACE_REPLY };

// Who a peer is in a trace.
struct trace_peer {
    uint32_t ipv4; // host order
    uint16_t port;
};

struct trace;

// Creates the file, replacing what was there. NULL when that fails; errno says why.
struct trace *trace_open(const char *path);
void trace_close(struct trace *trace);

// Writes one packet through to the file. Stops the trace, with a line on standard error, when the
// file cannot be written.
void trace_packet(struct trace *trace, enum trace_direction direction,
                  const struct trace_peer *peer, const uint8_t *packet, size_t len);

#endif
