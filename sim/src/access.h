#ifndef SIM_ACCESS_H
#define SIM_ACCESS_H

// How a debugger reaches the machine's memory: by virtual, linear and physical address, with the
// transfers' exact ends (clauses D-MEM). Permissions do not count and A and D are never set.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

// What a walk needs for addresses under one root.
struct access {
    struct machine *machine;
    struct mmu_registers registers; // cr3 is the root
    struct mmu_memory memory;
    enum pulse_cpu_mode mode;
};

// For questions between which nothing writes memory.
void access_begin(struct access *access, struct machine *machine, uint64_t root);

// STATUS_INVALID_CPU_MODE when the control registers name no paging mode, and in SMM, whose tables
// and segments nothing here shows: then no address translates.
enum pulse_status access_mode(const struct access *access);

// The linear address and the bytes from there on that the segment, or the end of the linear
// space, allows; filled in also when the status is STATUS_INVALID_TRANSLATION.
enum pulse_status access_linear(const struct access *access, const struct target_address *address,
                                struct segment_linear *out);

enum pulse_status access_walk(const struct access *access, const struct target_address *address,
                              struct target_walk *out);

enum pulse_status access_read(struct machine *machine, const struct target_address *from,
                              void *buffer, size_t len, size_t *out_moved);
enum pulse_status access_write(struct machine *machine, const struct target_address *to,
                               const void *buffer, size_t len, size_t *out_moved);

#endif
