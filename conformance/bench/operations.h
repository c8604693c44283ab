#ifndef BENCH_OPERATIONS_H
#define BENCH_OPERATIONS_H

// The measured requests as packets of version 2, and what their replies must look like.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/packets.h"

enum operation_id {
#define OPERATION(id, name, text, payload, least_ratio, least_rate) OPERATION_##id,
#include "operations.def"
    NUM_OPERATIONS,
};

struct operation {
    const char *name;
    const char *text;
    size_t payload;
    double least_ratio;
    double least_rate;
};

extern const struct operation operations[NUM_OPERATIONS];

// A request, ready but for its id, and the header and length of the reply that it must get.
struct prepared {
    size_t request_len;
    size_t reply_len;
    uint16_t reply_type;
    uint8_t request[PACKET_MAX_V2];
};

// out is large: give it a place that is not the stack.
void operation_prepare(enum operation_id id, struct prepared *out);

// Any other packet with its reply.
void packet_prepare(const struct packet *request, enum packet_kind reply, struct prepared *out);

// Whether these bytes are the reply that the request with this id must get.
bool reply_is_right(const struct prepared *prepared, uint32_t id, const uint8_t *reply, size_t len);

#endif
