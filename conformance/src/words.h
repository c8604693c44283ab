#ifndef CONFORMANCE_WORDS_H
#define CONFORMANCE_WORDS_H

// The words of a call on the command line, taken one after the other. Sticky: after the first
// mistake, which `error` names, every taker yields zeros.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/pulse_types.h"
#include "values.h"

struct words {
    char **at;
    size_t left;
    char error[200]; // empty: all is well
};

// A number up to max; `name` is what the usage calls it.
uint64_t words_number(struct words *words, const char *name, uint64_t max);

// The same, or otherwise when no word is left.
uint64_t words_optional(struct words *words, const char *name, uint64_t max, uint64_t otherwise);

// The value of key=VALUE among the words that are left; 0 when it is not there.
uint64_t words_keyed(struct words *words, const char *key, uint64_t max);

// A page-table root; *out_is_current says that the word was cr3.
uint64_t words_root(struct words *words, bool *out_is_current);

// Data: pairs of digits, BYTE*COUNT, or @FILE.
void words_data(struct words *words, const char *name, struct buffer *out);

// A length and that much room.
uint64_t words_room(struct words *words, uint64_t max, struct buffer *out);

// REG=VALUE for all words left; returns the mask. *out_debug says which of DR6 (bit 0) and DR7
// (bit 1), which share a mask bit, were named.
uint64_t words_context(struct words *words, PS_CTX *out, unsigned *out_debug);

// REG=HEX for all words left: a hexadecimal number for registers of up to 8 bytes, data above.
uint64_t words_extended(struct words *words, PS_CTX_EXT *out);

// [match-|skip-](cr3|address|fs|gs|selector)=VALUE for all words left.
void words_filter(struct words *words, PS_BREAK_POINT_FILTER_PARAMS *out);

// No word may be left.
void words_end(struct words *words);

#endif
