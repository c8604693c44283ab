#ifndef FUZZ_SPARSE_MEMORY_H
#define FUZZ_SPARSE_MEMORY_H

// Memory in which every address has content that follows from a few words of the input: the
// aligned eight bytes at any address are one of the words, chosen by a hash of the address. Two
// bits of a word, which the code under test ignores, may say more:
//
//   sequence    the word's place in its page is added to bits 20:12: neighbours are in order
//   unreadable  the eight bytes cannot be read
//
// A few aligned words may be set; they then stand where they were put, with neither meaning.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum {
    SPARSE_MAX_WORDS = 16,
    SPARSE_MAX_SET = 16,
};

struct sparse_memory {
    uint64_t word[SPARSE_MAX_WORDS];
    size_t num_words;
    uint64_t sequence, unreadable; // masks; 0: no word is
    uint64_t set_at[SPARSE_MAX_SET];
    uint64_t set_to[SPARSE_MAX_SET];
    size_t num_set;
    uint64_t num_refused; // reads
};

// Takes what is left of the input, at most SPARSE_MAX_WORDS words.
void sparse_memory_init(struct sparse_memory *memory, struct byte_reader *input);

// The size bytes (1 to 8, not across an aligned word) at address. False: unreadable.
bool sparse_memory_get(const struct sparse_memory *memory, uint64_t address, size_t size,
                       uint64_t *out);

// ORs bits into the same. False: no room left.
bool sparse_memory_or(struct sparse_memory *memory, uint64_t address, uint64_t bits);

// Has the shape of the models' callbacks; context is a struct sparse_memory.
bool sparse_memory_read(void *context, uint64_t address, void *buffer, size_t len);

#endif
