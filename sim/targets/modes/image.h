#ifndef MODES_IMAGE_H
#define MODES_IMAGE_H

// What guest-physical memory holds at the start of a target: a few pages of it.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modes/rows.h"

enum { IMAGE_PAGE_SIZE = 4096, IMAGE_MAX_PAGES = 128, IMAGE_MAX_TABLES = 32 };

struct image_page {
    uint64_t guest_phys;
    uint8_t bytes[IMAGE_PAGE_SIZE];
};

// A paging structure, and the linear addresses that it translates.
struct image_table {
    uint64_t guest_phys;
    unsigned level; // 1: page table ... 5: PML5
    uint64_t from;
    uint64_t to;
};

struct image {
    size_t num_pages;
    struct image_page pages[IMAGE_MAX_PAGES];
    size_t num_tables;
    struct image_table tables[IMAGE_MAX_TABLES];
    const char *error; // what does not fit; NULL: all is well
};

// Builds the image of a target from its rows: paging structures, descriptors, program and pages.
// False: out->error says why the rows make no target.
bool image_build(const struct mode_target *target, struct image *out);

#endif
