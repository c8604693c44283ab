#ifndef SIM_TESTS_BOUNDARY_REQUESTS_H
#define SIM_TESTS_BOUNDARY_REQUESTS_H

// Every kind of request that needs a translation, of one page.

#include "boundary_world.h"

#define INVALID_TRANSLATION_V1 UINT64_C(0xC0000017)
#define INVALID_TRANSLATION    UINT64_C(0xC0000021)
#define INVALID_CPU_MODE_V1    UINT64_C(0xC000001F)
#define INVALID_CPU_MODE       UINT64_C(0xC0000022)

#define LINEAR_PAGE UINT64_C(0x30000) // in every mode

// About four bytes at LINEAR_PAGE, or at that offset. kind says which, as a linear or as a virtual
// request; what it writes and searches is "text".
struct packet linear_request(enum packet_kind kind, uint64_t root);
struct packet virtual_request(enum packet_kind kind, uint64_t root, uint16_t selector);

// world_enter, and a DS with all of the linear space.
void world_enter_flat(struct world *world, enum world_mode mode);

void world_ask(struct world *world, enum protocol_version version, struct packet *request);
void expect_status(const struct packet *reply, uint64_t number);

// The status, of version 1 and of version 2, that a request in the world's mode gets. A walk of
// version 1 with 5-level paging is refused for that, whatever else is wrong.
uint64_t refusal_of(const struct world *world, enum protocol_version version, enum packet_kind kind,
                    const uint64_t status[2]);

// Every request, linear and by selector, gets a status, and nothing changes.
void expect_refusals(struct world *world, uint64_t root, uint16_t selector,
                     const uint64_t status[2]);

#endif
