#include "sparse_memory.h"

#include "harness.h"

enum {
    WORD = 8,
};

void sparse_memory_init(struct sparse_memory *memory, struct byte_reader *input)
{
    while (input->ok && input->at != input->end && memory->num_words < SPARSE_MAX_WORDS) {
        size_t left = (size_t)(input->end - input->at);
        memory->word[memory->num_words++] = read_number(input, left < WORD ? left : WORD);
    }
}

// splitmix64's finish: neighbours share nothing.
static size_t choose(uint64_t word_address, size_t num)
{
    uint64_t z = word_address / WORD;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (size_t)((z ^ (z >> 31)) % num);
}

// False: unreadable.
static bool word_at(const struct sparse_memory *memory, uint64_t word_address, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < memory->num_set; i++) {
        if (memory->set_at[i] == word_address) {
            *out = memory->set_to[i];
            return true;
        }
    }
    if (memory->num_words == 0) {
        return true;
    }
    uint64_t word = memory->word[choose(word_address, memory->num_words)];
    if ((word & memory->sequence) != 0) {
        word += (word_address & 0xFF8) << 9;
    }
    *out = word;
    return (word & memory->unreadable) == 0;
}

bool sparse_memory_get(const struct sparse_memory *memory, uint64_t address, size_t size,
                       uint64_t *out)
{
    size_t offset = address % WORD;
    FUZZ_REQUIRE(size != 0 && offset + size <= WORD);
    if (!word_at(memory, address - offset, out)) {
        return false;
    }
    *out = *out >> 8 * offset & UINT64_MAX >> 8 * (WORD - size);
    return true;
}

bool sparse_memory_or(struct sparse_memory *memory, uint64_t address, uint64_t bits)
{
    size_t offset = address % WORD;
    uint64_t word_address = address - offset;
    uint64_t word = 0;
    if (!word_at(memory, word_address, &word)) {
        return false;
    }
    word |= bits << 8 * offset;
    for (size_t i = 0; i < memory->num_set; i++) {
        if (memory->set_at[i] == word_address) {
            memory->set_to[i] = word;
            return true;
        }
    }
    if (memory->num_set == SPARSE_MAX_SET) {
        return false;
    }
    memory->set_at[memory->num_set] = word_address;
    memory->set_to[memory->num_set++] = word;
    return true;
}

bool sparse_memory_read(void *context, uint64_t address, void *buffer, size_t len)
{
    struct sparse_memory *memory = context;
    uint8_t *bytes = buffer;
    while (len != 0) {
        size_t room = WORD - address % WORD;
        size_t size = len < room ? len : room;
        uint64_t value = 0;
        if (!sparse_memory_get(memory, address, size, &value)) {
            memory->num_refused++;
            return false;
        }
        store_le(bytes, size, value);
        address += size;
        bytes += size;
        len -= size;
    }
    return true;
}
