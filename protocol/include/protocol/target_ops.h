#ifndef PROTOCOL_TARGET_OPS_H
#define PROTOCOL_TARGET_OPS_H

// What a debuggee can be asked: the contract between a protocol and whoever models the target.
// It knows nothing of packets, versions and lengths on a wire.
//
// Every call gets the target as its first argument. A call answers STATUS_SUCCESS, or the one
// status that says why not; then nothing has changed and out parameters mean nothing. A transfer
// that moved at least one byte is STATUS_SUCCESS, and its count says how many.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/registers.h"
#include "protocol/status.h"

enum pulse_cpu_mode {
    PULSE_MODE_REAL = 0,
    PULSE_MODE_SMM = 1,
    PULSE_MODE_V86 = 2,
    PULSE_MODE_PROT32 = 3,
    PULSE_MODE_PROT16 = 4,
    PULSE_MODE_LONG64 = 5,
    PULSE_MODE_LONG32 = 6,
    PULSE_MODE_LONG16 = 7,
};

enum event_code {
    EVENT_INITIAL = 0,    // stopped since the start
    EVENT_NONE = 1,       // running
    EVENT_BREAK_IN = 2,   // stopped by a break-in
    EVENT_STEP = 3,       // stopped after one instruction
    EVENT_BREAKPOINT = 4, // stopped on a breakpoint
    EVENT_CPU_SWITCH = 5, // stopped, and the current CPU was changed since
    EVENT_RUNNING = 6,    // execution resumed: an event, never a state
};

struct target_state {
    bool running;
    enum event_code event;
    bool broke_in; // the last stop was a break-in of a running target
};

struct target_cpus {
    unsigned current;
    unsigned count;
};

// What a machine can tell about itself.
struct target_description {
    uint8_t max_phys_bits;
    uint8_t linear_bits;
    uint64_t instance; // another number with each start and reboot
};

enum target_space { TARGET_VIRTUAL, TARGET_LINEAR, TARGET_PHYSICAL };

// A place in one of the three address spaces. root as a value of CR3, for virtual and linear;
// selector for virtual, where address is the offset.
struct target_address {
    enum target_space space;
    uint16_t selector;
    uint64_t root;
    uint64_t address;
};

struct target_walk {
    uint8_t mode; // 0 none, 1 32-bit, 2 PAE, 3 4-level, 4 5-level; also of a refused walk
    bool valid;   // the address is mapped, at guest_phys
    uint8_t num_entries;
    uint8_t last_valid; // index of the last valid entry, 0xFF when there is none
    uint64_t entries[5];
    uint64_t guest_phys;
};

// A search. Candidates are start, start + step, ... up to and including end, downwards when start
// is above end. The target keeps its place in `next` between slices.
struct target_search {
    struct target_address where; // its address is not used
    uint64_t start;
    uint64_t end;
    uint32_t step;
    bool ignore_gaps;
    bool page_wise_end; // version 1: go on to the end of the page that end lies in
    uint32_t pattern_len;
    uint64_t next;
    bool started;
    uint8_t pattern[4096];
};

enum {
    FILTER_PAGE_TABLE = 0x0001, // CR3
    FILTER_ADDRESS = 0x0002,    // RIP
    FILTER_FS_BASE = 0x0004,
    FILTER_GS_BASE = 0x0008,
    FILTER_SELECTOR = 0x0010, // CS
    FILTER_FLAGS = 0x001F,    // all that a version 2 request may set
    FILTER_THREAD = 0x8000,   // version 1: fs_base equals the base of FS or of GS
};

struct target_filter {
    uint16_t id;
    uint16_t selector;
    uint16_t match_flags;
    uint16_t skip_flags;
    uint64_t page_table;
    uint64_t address;
    uint64_t fs_base;
    uint64_t gs_base;
};

struct target_breakpoint {
    uint16_t id;
    uint8_t original_byte;
    uint16_t hit_count;
    uint16_t filter_count;
    uint64_t guest_phys;
};

// Which part of a list is wanted, and what came.
struct target_list {
    size_t skip;  // in: entries to leave out, for filters
    size_t most;  // in: room for so many
    size_t count; // out: entries written
    size_t total; // out: entries there are
};

struct target_io {
    uint16_t port;
    uint8_t access_size; // 1, 2 or 4; lengths are multiples of it
};

struct target_ops {
    // A target is running, too, while a step is under way.
    void (*get_state)(void *target, struct target_state *out);
    void (*get_cpus)(void *target, struct target_cpus *out);
    void (*describe)(void *target, struct target_description *out);

    // Registers of the current CPU. get_extended_context clears mask bits of registers that this
    // CPU has not; set_extended_context refuses an XCR0 that XSETBV would refuse, unless any_xcr0.
    enum pulse_status (*get_context)(void *target, uint64_t mask, struct context *out,
                                     enum pulse_cpu_mode *out_mode);
    enum pulse_status (*set_context)(void *target, uint64_t mask, const struct context *context);
    enum pulse_status (*get_extended_context)(void *target, uint64_t *mask,
                                              struct extended_context *out);
    enum pulse_status (*set_extended_context)(void *target, uint64_t mask,
                                              const struct extended_context *context,
                                              bool any_xcr0);

    // Memory. Exactly the bytes before the first one that cannot be reached are moved.
    enum pulse_status (*read)(void *target, const struct target_address *from, void *buffer,
                              size_t len, size_t *out_moved);
    enum pulse_status (*write)(void *target, const struct target_address *to, const void *buffer,
                               size_t len, size_t *out_moved);
    enum pulse_status (*walk)(void *target, const struct target_address *address,
                              struct target_walk *out);
    // One slice of at most a millisecond; STATUS_PENDING asks for another.
    enum pulse_status (*search)(void *target, struct target_search *search, uint64_t *out_address);

    enum pulse_status (*read_io)(void *target, struct target_io io, void *buffer, size_t len);
    enum pulse_status (*write_io)(void *target, struct target_io io, const void *buffer,
                                  size_t len);
    enum pulse_status (*cpuid)(void *target, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
    enum pulse_status (*read_msr)(void *target, uint32_t index, uint64_t *out);
    enum pulse_status (*write_msr)(void *target, uint32_t index, uint64_t value);

    // Breakpoints and filters. Ids are the smallest free numbers from 1.
    enum pulse_status (*set_breakpoint)(void *target, uint64_t guest_phys, uint16_t *out_id);
    enum pulse_status (*remove_breakpoint)(void *target, uint32_t id);
    enum pulse_status (*clear_breakpoints)(void *target);
    enum pulse_status (*add_filter)(void *target, uint32_t breakpoint,
                                    const struct target_filter *filter, uint16_t *out_id);
    enum pulse_status (*remove_filter)(void *target, uint32_t breakpoint, uint16_t filter);
    // In ascending order of their ids; breakpoints from id first on, filters behind those to skip.
    // The total is set even where none is wanted. A table that is empty is no reason to fail, only
    // an unknown breakpoint is.
    void (*list_breakpoints)(void *target, uint32_t first, struct target_breakpoint *out,
                             struct target_list *list);
    enum pulse_status (*list_filters)(void *target, uint32_t breakpoint, struct target_filter *out,
                                      struct target_list *list);

    // Execution. step answers STATUS_PENDING when the instruction waits for an interrupt that does
    // not come; the step is then under way until break_in or cancel_step.
    enum pulse_status (*go)(void *target);
    enum pulse_status (*break_in)(void *target);
    enum pulse_status (*step)(void *target, bool suppress_interrupts);
    void (*cancel_step)(void *target);
    enum pulse_status (*switch_cpu)(void *target, uint64_t cpu);
    void (*reboot)(void *target);
};

#endif
