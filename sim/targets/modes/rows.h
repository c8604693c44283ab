#ifndef MODES_ROWS_H
#define MODES_ROWS_H

// The rows of begin.def as values: what a target of one CPU mode is made of. The program that
// builds these targets reads them, and so do the tests that hold the built targets against them.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_memory.h"
#include "mmu_model/paging.h"
#include "mmu_model/segment.h"

enum {
    ROWS_ALL_CPUS = -1,
    ROWS_PROGRAM_PHYS = 0x2000, // where every program lies,
    ROWS_PROGRAM_SIZE = 0x1000, // alone in its page
    ROWS_LDT_PHYS = 0x1400,     // the GDT lies where gdt_base says
    ROWS_TABLES = 0x20000,      // paging structures, the root first,
    ROWS_TABLES_END = 0x40000,  // up to here
};

// What a leaf allows beside reading. Outside PAE paging and IA-32e mode, and without EFER.NXE,
// everything may be executed.
enum row_rights {
    RIGHT_WRITE = 1,
    RIGHT_EXECUTE = 2,
    RIGHT_USER = 4,
};

// Linear addresses from..to, both included. Mapped: pages of page_size (0: paging is off) with
// rights lead to guest_phys on. Not mapped: entries of level hold entry, and a walk ends there, or
// in the table below, with fault; level 0: no entry is asked.
struct map_row {
    uint64_t from;
    uint64_t to;
    bool mapped;
    uint64_t page_size;
    unsigned rights;
    uint64_t guest_phys;
    unsigned level;
    bool below; // the table that the entry leads to is at fault
    enum mmu_fault fault;
    uint64_t entry;
    const char *text;
};

struct region_row {
    enum region_kind kind;
    uint64_t base;
    uint64_t size;
    const char *text;
};

struct page_row {
    uint64_t guest_phys;
    const char *text;
};

struct program {
    const char *name;
    const char *text;
};

struct segment_row {
    struct segment segment;
    bool raw; // no segment: the descriptor's bytes are given
    uint64_t descriptor;
    const char *text;
};

// A segment register that holds a descriptor of the tables, or else what is cached here.
struct segment_register_row {
    const char *name;
    bool loaded;
    struct segment segment; // loaded: only the selector counts
    const char *text;
};

struct register_row {
    int cpu;
    const char *name;
    uint64_t value;
    const char *text;
};

struct msr_row {
    uint32_t index;
    uint64_t value;
    const char *text;
};

struct mode_target {
    const char *id; // the name as an identifier
    const char *name;
    unsigned num_cpus;
    const char *summary;
    struct program program;
    size_t num_regions, num_pages, num_map, num_segments, num_segment_registers, num_registers;
    size_t num_msrs;
    const struct region_row *regions;
    const struct page_row *pages;
    const struct map_row *map;
    const struct segment_row *segments;
    const struct segment_register_row *segment_registers;
    const struct register_row *registers;
    const struct msr_row *msrs;
};

// The i-th target, NULL past the last.
const struct mode_target *mode_target_at(size_t i);

// The value that all CPUs, or CPU 0, have in a register; 0 when no row sets it.
uint64_t mode_target_register(const struct mode_target *target, const char *name);

// What decides translation: control registers, EFER and MAXPHYADDR of the generic profile.
void mode_target_mmu(const struct mode_target *target, struct mmu_registers *out);

// What a segment register holds: its row, resolved. False when no descriptor has its selector.
bool mode_target_segment(const struct mode_target *target, const struct segment_register_row *row,
                         struct segment *out);

#endif
