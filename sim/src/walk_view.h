#ifndef SIM_WALK_VIEW_H
#define SIM_WALK_VIEW_H

// What `pulsim walk` prints, part by part, to standard output, in at most WALK_COLUMNS columns.

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"

enum {
    WALK_COLUMNS = 100,
    WALK_LABEL = 16, // the width of what stands before an answer
    WALK_SIZE_TEXT = 32,
};

struct walk_view {
    struct machine *machine;
    unsigned cpu;
    struct segment_registers segments;
    struct mmu_registers registers; // cr3 is the root
    struct mmu_memory memory;
    uint64_t linear;
    struct mmu_walk walk; // where is it
};

// walk_segment.c: whose address it is, and how a selector and an offset become view->linear. False:
// they do not, or there is no paging mode, whatever the address.
bool walk_print_target(const struct walk_view *view, bool is_own_root);
bool walk_print_segment(struct walk_view *view, struct far_pointer at);

// walk_levels.c: the address in its parts, and the entries that it leads through.
void walk_print_split(const struct walk_view *view);
void walk_print_levels(const struct walk_view *view);
const char *walk_level_name(unsigned level);

// walk_answer.c: where the address is, or why it is nowhere, and how far that holds.
void walk_print_answer(const struct walk_view *view);

// Whether the CPU may make this access, or who refuses it.
void walk_print_access(const struct walk_view *view, const struct mmu_access *want);

// "4 KiB", "16 bytes", "0x3fedcbaa bytes".
const char *walk_size_text(uint64_t size, char out[WALK_SIZE_TEXT]);

// Words separated by commas, from the present column, indent, on; line by line when there are many.
struct walk_words {
    int indent;
    int column; // of what comes next
    bool begun;
};
void walk_print_word(struct walk_words *words, const char *word);

#endif
