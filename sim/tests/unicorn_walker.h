#ifndef SIM_TESTS_UNICORN_WALKER_H
#define SIM_TESTS_UNICORN_WALKER_H

// Unicorn's own page walk, asked about one access at a time. Unicorn walks the tables, judges the
// access, sets accessed and dirty flags, raises #PF and #GP; then it forgets where the page is and
// uses the linear address as the guest-physical one. So every page that is asked about has to be
// mapped at its linear address, and the tables where their entries say they are.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <unicorn/unicorn.h>

#include "mmu_model/paging.h"

enum {
    WALKER_MAX_PHYS_BITS = 40, // MAXPHYADDR of Unicorn's processor
    WALKER_PAGE = 0x1000,
    WALKER_INT3 = 0xCC,     // what pages that are asked about must be full of
    WALKER_ALLOWED = 3,     // the vector of the INT3 behind the access
    WALKER_NUM_CONTEXTS = 4 // CPL 0 and 3, without and with SMAP
};

// What the walker keeps for itself, in the space that linear and guest-physical addresses share.
#define WALKER_CODE UINT64_C(0x10000)
#define WALKER_DATA UINT64_C(0x11000)

// Where a saved context keeps what the API does not give.
struct walker_places {
    size_t efer, pkru, error_code;
};

struct unicorn_walker {
    uc_engine *uc;
    bool is_64bit;
    uc_context *contexts[WALKER_NUM_CONTEXTS];
    uc_context *scratch;
    struct walker_places places;
    uint8_t *code;
    uint8_t *data;
    bool has_vector;
    uint32_t vector; // the first of the run under way
};

struct unicorn_question {
    struct mmu_registers registers; // EFER.LMA and LME as the walker's mode has them
    struct mmu_access want;         // implicit: a descriptor is read
    unsigned cpl;                   // 0 or 3
    uint64_t linear;                // a byte, or eight in one page for an implicit access
};

struct unicorn_answer {
    uint32_t vector; // WALKER_ALLOWED, or that of the exception
    uint32_t error_code;
    uint64_t cr2;
};

// Fails the test when Unicorn is not as it is expected to be.
void unicorn_walker_init(struct unicorn_walker *walker, bool is_64bit);
void unicorn_walker_cleanup(struct unicorn_walker *walker);

// Maps whole pages of the caller's. They must outlive the walker.
void unicorn_walker_map(struct unicorn_walker *walker, uint64_t address, void *host, size_t len);

void unicorn_walker_ask(struct unicorn_walker *walker, const struct unicorn_question *question,
                        struct unicorn_answer *out);

#endif
