#ifndef PROTOCOL_TESTS_PACKET_MEMBER_H
#define PROTOCOL_TESTS_PACKET_MEMBER_H

// Members of a packet's struct by the names of their fields.

#include "protocol/packets.h"

// The number in the member called name; *out_found says whether there is one.
uint64_t packet_member(const struct packet *packet, const char *name, bool *out_found);

// Where the packet's tail points; NULL when it has none.
const uint8_t *packet_tail(const struct packet *packet);

#endif
