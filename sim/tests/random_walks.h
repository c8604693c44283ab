#ifndef SIM_TESTS_RANDOM_WALKS_H
#define SIM_TESTS_RANDOM_WALKS_H

// Random questions to a page walk: tables, control registers, addresses, accesses. Most of what is
// drawn is good, so that walks reach their end and every outcome is frequent.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unicorn_walker.h"

enum {
    RANDOM_NUM_TABLES = 8,
    RANDOM_TABLES_SIZE = RANDOM_NUM_TABLES * WALKER_PAGE,
    RANDOM_NUM_BASES = 6,
};

struct random_mode {
    const char *name;
    enum mmu_mode mode;
    unsigned levels, index_bits, entry_size;
    unsigned large; // bit n: a large page is possible at level n
    uint64_t cr4;   // what makes it this mode
};

struct random_walks {
    const struct random_mode *mode;
    uint64_t state;  // of the generator
    uint8_t *tables; // RANDOM_TABLES_SIZE, page aligned
};

// Where the tables are. All of these show the same pages, so that each bit of an entry's address
// counts.
extern const uint64_t random_bases[RANDOM_NUM_BASES];

bool random_is_ia32e(const struct random_mode *mode);

// The i-th page that is asked about, out_page; false past the last.
bool random_page(const struct random_mode *mode, size_t i, uint64_t *out_page);

// The offset of a table entry in the tables; false when it lies elsewhere.
bool random_offset(uint64_t guest_phys, size_t *out_offset);

// Draws a question and writes the tables' entries for it. What former ones have left stays there.
void random_question(struct random_walks *walks, struct unicorn_question *out);

#endif
