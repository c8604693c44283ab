#ifndef PROTOCOL_EXCHANGE_H
#define PROTOCOL_EXCHANGE_H

// One request being answered: what every handler of debuggee_*.c gets.

#include <stdbool.h>

#include "protocol/debuggee.h"

struct exchange {
    struct debuggee *debuggee;
    struct debuggee_peer *peer;
    enum protocol_version version;
    uint32_t id;
};

// Answers the request that packet holds, and sets up a later answer where it takes time.
typedef void exchange_handler(struct exchange *x, const struct packet *packet);

// Handlers by packet kind; NULL: not served.
exchange_handler *exchange_handler_of(enum packet_kind kind);

// Sends reply, whose kind and body are filled in, and keeps it for repeats.
void exchange_reply(struct exchange *x, struct packet *reply);

// The two replies that every request can have.
void exchange_value(struct exchange *x, uint64_t value);
void exchange_status(struct exchange *x, enum pulse_status status);

// Success without a value, or the status.
void exchange_outcome(struct exchange *x, enum pulse_status status);

// Where a reply of this kind has its tail; what a handler puts there is not copied again.
uint8_t *exchange_tail(struct exchange *x, enum packet_kind kind);

// How many bytes that tail may have.
size_t exchange_tail_max(const struct exchange *x, enum packet_kind kind);

// Sends a reply that is late: it is kept for repeats only if it answers the peer's last request.
void exchange_reply_aside(struct exchange *x, struct packet *reply);

// True when this peer is answered in the shapes that the 2018 client needs.
bool exchange_is_compat(const struct exchange *x);

// debuggee_registers.c
exchange_handler answer_get_context;
exchange_handler answer_set_context;
exchange_handler answer_get_extended_context;
exchange_handler answer_get_extended_context_v1;
exchange_handler answer_set_extended_context;
exchange_handler answer_set_extended_context_v1;
exchange_handler answer_cpuid;
exchange_handler answer_read_msr;
exchange_handler answer_write_msr;

// debuggee_memory.c
exchange_handler answer_read_virtual;
exchange_handler answer_write_virtual;
exchange_handler answer_read_linear;
exchange_handler answer_write_linear;
exchange_handler answer_read_physical;
exchange_handler answer_write_physical;
exchange_handler answer_read_io;
exchange_handler answer_write_io;
exchange_handler answer_walk_virtual;
exchange_handler answer_walk_linear;
exchange_handler answer_virtual_to_physical;
exchange_handler answer_linear_to_physical;

// debuggee_search.c
exchange_handler answer_search_virtual;
exchange_handler answer_search_linear;
exchange_handler answer_search_physical;
void search_cancel(struct debuggee *debuggee, struct debuggee_peer *peer);
void search_cancel_all(struct debuggee *debuggee);

// debuggee_breakpoints.c
exchange_handler answer_set_breakpoint;
exchange_handler answer_remove_breakpoint;
exchange_handler answer_remove_breakpoint_v1;
exchange_handler answer_clear_breakpoints;
exchange_handler answer_add_filter;
exchange_handler answer_add_filter_v1;
exchange_handler answer_remove_filter;
exchange_handler answer_remove_filter_v1;
exchange_handler answer_list_breakpoints;
exchange_handler answer_list_breakpoints_v1;
exchange_handler answer_list_filters;
exchange_handler answer_list_filters_v1;

// debuggee_run.c
exchange_handler answer_ping;
exchange_handler answer_get_state;
exchange_handler answer_get_cpu_info;
exchange_handler answer_get_target_info;
exchange_handler answer_break_in;
exchange_handler answer_go;
exchange_handler answer_step;
exchange_handler answer_step_suppressed;
exchange_handler answer_switch_cpu;
exchange_handler answer_reboot;

#endif
