#ifndef SIM_TESTS_BOUNDARY_ROWS_H
#define SIM_TESTS_BOUNDARY_ROWS_H

// The rows of boundary_cases.def, and requests around a row's edge.

#include "boundary_world.h"

enum boundary_kind { KIND_PAGE, KIND_EDGE, KIND_SEGMENT, KIND_PHYSICAL };

enum space { SPACE_VIRTUAL, SPACE_LINEAR, SPACE_PHYSICAL, NUM_SPACES };

enum segment_via { VIA_CACHED, VIA_TABLE, VIA_PARAGRAPH };

#define BOUNDARY_NONE   (UINT64_MAX - 1) // no bytes follow
#define BOUNDARY_JOINED (UINT64_MAX - 2) // they follow at once: there is no edge

struct boundary {
    const char *name;
    enum boundary_kind kind;
    enum world_mode mode;
    unsigned spaces; // bit per enum space: the requests that meet this edge
    uint64_t edge;
    uint64_t resume;
    enum world_page page;
    unsigned level;
    uint64_t entry;
    uint8_t before, count, last, valid;
    enum segment_via via;
    uint16_t selector;
    struct world_segment segment;
    uint64_t first_offset, last_offset;
    bool beyond; // the status at the edge: a physical address that does not exist
};

extern struct boundary boundaries[];
extern const size_t num_boundaries;

// Is it the address where bytes can be reached again?
bool boundary_is_address(uint64_t resume);

// Addresses of a space that can be reached, both ends included.
struct run {
    uint64_t first;
    uint64_t last;
};

// A row built in a world, as one space's requests see it. Addresses are linear ones not taken
// modulo 2^32, but offsets for rows of segments and physical ones for physical rows.
struct probe {
    struct world *world;
    const struct boundary *row;
    enum space space;
    uint64_t origin; // an address less this is an offset, within offset_mask
    uint64_t offset_mask;
    uint64_t shift; // an address plus this is a linear one, within linear_mask
    uint64_t linear_mask;
    size_t num_runs;
    struct run runs[2];
};

// Tables and registers of the row, in both machines.
void probe_build(struct probe *probe, struct world *world, const struct boundary *row);

// Looks at the row through another space.
void probe_use(struct probe *probe, enum space space);

// How many bytes from address on can be reached, up to len.
uint64_t probe_reach(const struct probe *probe, uint64_t address, uint64_t len);

// What the twin's memory holds there; into it, bytes behind the back of the protocol.
void probe_peek(const struct probe *probe, uint64_t address, uint8_t *bytes, uint64_t len);
void probe_poke_twin(const struct probe *probe, uint64_t address, const uint8_t *bytes,
                     uint64_t len);
void probe_poke(const struct probe *probe, uint64_t address, const uint8_t *bytes, uint64_t len);

uint64_t probe_offset(const struct probe *probe, uint64_t address);
uint16_t probe_selector(const struct probe *probe);

// The most bytes a request of this space moves.
uint32_t probe_max(const struct probe *probe, enum protocol_version version);

struct packet probe_read_request(const struct probe *probe, uint64_t address, uint32_t len);
struct packet probe_write_request(const struct probe *probe, uint64_t address, const uint8_t *data,
                                  uint32_t len);

// The number of a status that means the address leads nowhere.
uint64_t probe_status(const struct probe *probe, enum protocol_version version, uint64_t address);

// Sends the request in this version.
void probe_ask(const struct probe *probe, enum protocol_version version, struct packet *request);

#endif
