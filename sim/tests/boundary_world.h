#ifndef SIM_TESTS_BOUNDARY_WORLD_H
#define SIM_TESTS_BOUNDARY_WORLD_H

// A small machine in any mode for the boundary matrix: page tables and segments built here, without
// a word of the models'. Beside it stands a twin that gets no packets: what a write should do is
// poked into it, and then both are equal in every byte and register.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rig.h"

enum world_mode {
#define WORLD_MODE(name, cpu, walk, cr0, cr4, efer, rflags, cs_access, levels) WORLD_##name,
#include "boundary_modes.def"
    NUM_WORLD_MODES,
};

struct world_mode_info {
    const char *name;
    uint8_t cpu_mode;  // as GetContext names it
    uint8_t walk_mode; // as a page walk names it
    uint64_t cr0, cr4, efer, rflags;
    uint32_t cs_access;
    unsigned levels; // of tables; 0: no paging
};

extern const struct world_mode_info world_modes[NUM_WORLD_MODES];

// Pages of a size; TOP: in the last frames below 2^MAXPHYADDR, PSE36: in a frame above 4 GiB.
enum world_page { PAGE_4K, PAGE_4K_TOP, PAGE_2M, PAGE_4M, PAGE_4M_PSE36, PAGE_1G };

#define WORLD_TABLES    UINT64_C(0x40000)
#define WORLD_ECHO      UINT64_C(0x5E000) // a table whose first entry leads to itself, as a page too
#define WORLD_NO_TABLE  UINT64_C(0x5F000) // zeros: a root that maps nothing
#define WORLD_FRAMES    UINT64_C(0x80000)
#define WORLD_PROTECTED UINT64_C(0xB0000)
#define WORLD_PHYS_END  UINT64_C(0x400000000000) // 2^MAXPHYADDR
#define WORLD_GDT       UINT64_C(0x2000)         // linear
#define WORLD_LDT       UINT64_C(0x2800)

#define WORLD_SPAN UINT64_C(0x10000) // mapped below an edge: more than the largest transfer

enum {
    WORLD_CS = 0x08,
    WORLD_DS = 0x18, // the others stand in between, ES at 0x20
    WORLD_FS = 0x28,
};

// Where a mapped piece of the linear space lies.
struct piece {
    uint64_t linear;
    uint64_t phys;
    uint64_t len;
};

struct world {
    struct rig rig;
    struct rig twin;
    enum world_mode mode;
    uint64_t root; // of the tables; CR3 itself holds one that maps nothing
    uint64_t next_table;
    unsigned next_frame;
    size_t num_pieces;
    struct piece pieces[64];
};

struct world_segment {
    uint32_t access; // VMX format
    uint64_t base;
    uint32_t limit;
};

// The two machines, compat for the 2018 client; a group of tests opens them once.
void world_open(struct world *world, bool compat);
void world_close(struct world *world);

// The world of the group that runs, and cmocka's fixture of a group.
extern struct world group_world;
int group_world_open(void **state);
int group_world_close(void **state);

// Both machines from their start into this mode, with empty tables and a mapped GDT.
void world_enter(struct world *world, enum world_mode mode);

// The following act on both machines alike.
void world_poke(struct world *world, uint64_t phys, const void *bytes, size_t len);
void world_set(struct world *world, const char *name, uint64_t value);
void world_set_vmcs(struct world *world, uint32_t encoding, uint64_t value);

// Loads a segment register by its name ("ds"), without a descriptor.
void world_set_segment(struct world *world, const char *name, uint16_t selector,
                       struct world_segment segment);

// Writes a segment's descriptor into the GDT or, of a selector with TI, the LDT.
void world_describe(struct world *world, uint16_t selector, struct world_segment segment);

// Begins other tables and returns their root; world->root is the one that is built on.
uint64_t world_new_root(struct world *world);

// Maps one page that begins at linear: at phys, or in a frame of its own.
void world_map(struct world *world, uint64_t linear, uint64_t phys);
void world_map_next(struct world *world, uint64_t linear);

// Maps what lies below an edge: pages of 4 KiB in scattered frames, or one large page.
void world_map_below(struct world *world, enum world_page page, uint64_t edge);

// The entry at a level (1 page table, 2 page directory, ...) on the way to linear.
void world_set_entry(struct world *world, uint64_t linear, unsigned level, uint64_t entry);
uint64_t world_entry(struct world *world, uint64_t linear, unsigned level);

// Where the byte lies, by what was mapped. Fails the test when nothing was.
uint64_t world_phys(const struct world *world, uint64_t linear);

// Every byte and every register of the two machines is equal.
void world_expect_equal(struct world *world);

#endif
