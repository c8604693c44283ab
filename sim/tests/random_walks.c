#include "random_walks.h"

#include <string.h>

#define NUM_OF(array) (sizeof(array) / sizeof((array)[0]))

const uint64_t random_bases[RANDOM_NUM_BASES] = {
    UINT64_C(0x0000100000), UINT64_C(0x00FFE00000), UINT64_C(0x00AAAA8000), // below 4 GiB
    UINT64_C(0x5555550000), UINT64_C(0xAAAAAA8000), UINT64_C(0xFFFFFF0000),
};

enum { NUM_LOW_BASES = 3 };

// Pages that are asked about: first and last of what entries of each level cover.
static const uint64_t pages_32bit[] = {
    0x00000000, 0x003FF000, 0x00400000, 0x12345000, 0x3FE00000, 0x3FFFF000, 0x40000000, 0x7FFFF000,
    0x80000000, 0x9ABCD000, 0xBFFFF000, 0xC0000000, 0xC0200000, 0xFFBFF000, 0xFFC00000, 0xFFFFF000,
};

static const uint64_t pages_64bit[] = {
    UINT64_C(0x0000000000000000), UINT64_C(0x00000000001FF000), UINT64_C(0x0000000000200000),
    UINT64_C(0x000000003FFFF000), UINT64_C(0x0000000040000000), UINT64_C(0x0000007FFFFFF000),
    UINT64_C(0x0000008000000000), UINT64_C(0x0000123456789000), UINT64_C(0x00007FFFFFFFF000),
    UINT64_C(0x0000800000000000), UINT64_C(0x0001000000000000), UINT64_C(0x00456789ABCDE000),
    UINT64_C(0x00FFFFFFFFFFF000), UINT64_C(0x0100000000000000), UINT64_C(0x8000000000000000),
    UINT64_C(0xFEFFFFFFFFFFF000), UINT64_C(0xFF00000000000000), UINT64_C(0xFFBA987654321000),
    UINT64_C(0xFFFF7FFFFFFFF000), UINT64_C(0xFFFF800000000000), UINT64_C(0xFFFF9ABCDEF01000),
    UINT64_C(0xFFFFFF7FFFFFF000), UINT64_C(0xFFFFFF8000000000), UINT64_C(0xFFFFFFFFFFFFF000),
};

bool random_is_ia32e(const struct random_mode *mode)
{
    return mode->mode >= MMU_MODE_4LEVEL;
}

bool random_page(const struct random_mode *mode, size_t i, uint64_t *out_page)
{
    bool is_64bit = random_is_ia32e(mode);
    size_t num = is_64bit ? NUM_OF(pages_64bit) : NUM_OF(pages_32bit);
    if (i >= num) {
        return false;
    }
    *out_page = is_64bit ? pages_64bit[i] : pages_32bit[i];
    return true;
}

bool random_offset(uint64_t guest_phys, size_t *out_offset)
{
    for (size_t i = 0; i < RANDOM_NUM_BASES; i++) {
        if (guest_phys - random_bases[i] < RANDOM_TABLES_SIZE) {
            *out_offset = guest_phys - random_bases[i];
            return true;
        }
    }
    return false;
}

// SplitMix64.
static uint64_t draw(struct random_walks *walks)
{
    uint64_t z = walks->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static bool chance(struct random_walks *walks, unsigned percent)
{
    return draw(walks) % 100 < percent;
}

static uint64_t maybe(struct random_walks *walks, unsigned percent, uint64_t bits)
{
    return chance(walks, percent) ? bits : 0;
}

// One of the bits high to low.
static uint64_t one_bit(struct random_walks *walks, unsigned high, unsigned low)
{
    return UINT64_C(1) << (low + draw(walks) % (high - low + 1));
}

// Any of the bits high to low.
static uint64_t any_bits(struct random_walks *walks, unsigned high, unsigned low)
{
    return draw(walks) & UINT64_MAX >> (63 - high) & UINT64_MAX << low;
}

// The compiler may not choose the order of draws: each is a statement.

// An entry of the PDPT of PAE paging: it has no rights, no flags and no size.
static uint64_t random_pdpte(struct random_walks *walks)
{
    uint64_t entry = any_bits(walks, 4, 3);
    entry |= any_bits(walks, 11, 9);
    entry |= maybe(walks, 97, MMU_ENTRY_P);
    entry |= maybe(walks, 2, one_bit(walks, 2, 1));
    entry |= maybe(walks, 2, one_bit(walks, 8, 5));
    entry |= maybe(walks, 4, one_bit(walks, 63, WALKER_MAX_PHYS_BITS));
    return entry;
}

// The address of a large page, its PAT bit, and now and then a reserved bit between them.
static uint64_t random_large_frame(struct random_walks *walks, unsigned shift)
{
    uint64_t frame = any_bits(walks, 12, 12);
    if (walks->mode->mode == MMU_MODE_32BIT) {
        frame |= any_bits(walks, 31, shift);
        frame |= any_bits(walks, 20, 13);
        frame |= maybe(walks, 4, one_bit(walks, 21, 21));
        return frame;
    }
    frame |= any_bits(walks, WALKER_MAX_PHYS_BITS - 1, shift);
    frame |= maybe(walks, 4, one_bit(walks, shift - 1, 13));
    return frame;
}

static uint64_t random_frame(struct random_walks *walks, unsigned level)
{
    const struct random_mode *mode = walks->mode;
    if (level > 1) {
        return random_large_frame(walks, 12 + mode->index_bits * (level - 1));
    }
    return any_bits(walks, mode->mode == MMU_MODE_32BIT ? 31 : WALKER_MAX_PHYS_BITS - 1, 12);
}

// All of an entry but its address.
static uint64_t random_bits(struct random_walks *walks, unsigned level, bool is_leaf)
{
    const struct random_mode *mode = walks->mode;
    if (mode->mode == MMU_MODE_PAE && level == 3) {
        return random_pdpte(walks);
    }
    uint64_t bits = any_bits(walks, 6, 3);
    bits |= any_bits(walks, 11, 8);
    bits |= maybe(walks, 97, MMU_ENTRY_P);
    bits |= maybe(walks, 85, MMU_ENTRY_RW);
    bits |= maybe(walks, 80, MMU_ENTRY_US);
    bits |= maybe(walks, level == 1 ? 50 : is_leaf ? 100 : 2, MMU_ENTRY_PS); // level 1: PAT
    if (mode->mode == MMU_MODE_32BIT) {
        return bits;
    }
    bits |= maybe(walks, 6, MMU_ENTRY_NX);
    bits |= maybe(walks, 2, one_bit(walks, mode->levels > 3 ? 51 : 62, WALKER_MAX_PHYS_BITS));
    return bits | (mode->levels > 3 ? any_bits(walks, 62, 52) : 0);
}

static uint64_t random_base(struct random_walks *walks, bool is_low)
{
    return random_bases[draw(walks) % (is_low ? NUM_LOW_BASES : RANDOM_NUM_BASES)];
}

// A path of entries for one linear address; what other paths have left in the tables stays there.
// Returns CR3.
static uint64_t random_path(struct random_walks *walks, const struct unicorn_question *question)
{
    const struct random_mode *mode = walks->mode;
    bool is_legacy = mode->mode == MMU_MODE_32BIT;
    bool is_pae = mode->mode == MMU_MODE_PAE;
    uint64_t table = draw(walks) % RANDOM_NUM_TABLES;
    // The root of PAE paging has 32 bytes, anywhere within a page.
    uint64_t root = table * WALKER_PAGE | (is_pae ? any_bits(walks, 11, 5) : 0);
    uint64_t at = root;
    bool has_large = !is_legacy || (question->registers.cr4 & MMU_CR4_PSE) != 0;
    unsigned large = has_large ? mode->large : 0;
    bool is_leaf = false;
    for (unsigned level = mode->levels; !is_leaf; level--) {
        unsigned shift = 12 + mode->index_bits * (level - 1);
        uint64_t index = question->linear >> shift & ((UINT64_C(1) << mode->index_bits) - 1);
        bool is_large = (large >> level & 1) != 0 && chance(walks, 25);
        is_leaf = level == 1 || is_large;
        table = (table + 1) % RANDOM_NUM_TABLES;
        uint64_t next = random_base(walks, is_legacy) + table * WALKER_PAGE;
        uint64_t entry = is_leaf ? random_frame(walks, level) : next;
        entry |= random_bits(walks, level, is_leaf);
        memcpy(walks->tables + at + index * mode->entry_size, &entry, mode->entry_size);
        at = table * WALKER_PAGE;
    }
    uint64_t cr3 = random_base(walks, !random_is_ia32e(mode)) + root;
    return cr3 | any_bits(walks, is_pae ? 4 : 11, 0); // ignored
}

static void random_access(struct random_walks *walks, struct unicorn_question *out)
{
    static const enum mmu_access_kind kinds[] = {
        MMU_ACCESS_READ,  MMU_ACCESS_WRITE, MMU_ACCESS_READ,
        MMU_ACCESS_WRITE, MMU_ACCESS_FETCH, MMU_ACCESS_FETCH,
    };
    uint64_t kind = draw(walks) % (NUM_OF(kinds) + 1);
    out->cpl = chance(walks, 50) ? 3 : 0;
    out->want.implicit = kind == NUM_OF(kinds);
    out->want.kind = out->want.implicit ? MMU_ACCESS_READ : kinds[kind];
    out->want.user = out->cpl == 3 && !out->want.implicit;
}

static uint64_t random_page_of_all(struct random_walks *walks)
{
    bool is_64bit = random_is_ia32e(walks->mode);
    uint64_t i = draw(walks) % (is_64bit ? NUM_OF(pages_64bit) : NUM_OF(pages_32bit));
    return is_64bit ? pages_64bit[i] : pages_32bit[i];
}

// Few offsets for fetches: Unicorn translates each anew.
static uint64_t random_linear(struct random_walks *walks, const struct mmu_access *want)
{
    unsigned bits = mmu_linear_bits(walks->mode->mode);
    uint64_t page = random_page_of_all(walks);
    while (bits > 32 && !mmu_is_canonical(page, bits) && chance(walks, 90)) {
        page = random_page_of_all(walks);
    }
    uint64_t offset = any_bits(walks, 11, 0);
    if (want->implicit) {
        offset = 8 + offset % (WALKER_PAGE - 16);
    } else if (want->kind == MMU_ACCESS_FETCH) {
        offset = offset % 8 * 585; // 0 to 0xFFF
    }
    return page + offset;
}

void random_question(struct random_walks *walks, struct unicorn_question *out)
{
    const struct random_mode *mode = walks->mode;
    *out = (struct unicorn_question){0};
    random_access(walks, out);
    out->linear = random_linear(walks, &out->want);
    struct mmu_registers *registers = &out->registers;
    registers->max_phys_bits = WALKER_MAX_PHYS_BITS;
    registers->cr0 = 0x11 | MMU_CR0_PG | maybe(walks, 60, MMU_CR0_WP);
    registers->cr4 = mode->cr4 | maybe(walks, 50, MMU_CR4_PSE);
    registers->cr4 |= maybe(walks, 50, MMU_CR4_PGE);
    registers->cr4 |= maybe(walks, 40, MMU_CR4_SMEP);
    registers->cr4 |= maybe(walks, 40, MMU_CR4_SMAP);
    registers->cr4 |= maybe(walks, 60, MMU_CR4_PKE);
    registers->cr4 |= maybe(walks, random_is_ia32e(mode) ? 0 : 20, MMU_CR4_LA57);
    registers->efer = random_is_ia32e(mode) ? MMU_EFER_LMA | MMU_EFER_LME : 0;
    registers->efer |= maybe(walks, 75, MMU_EFER_NXE);
    registers->rflags = 0x2 | maybe(walks, 40, MMU_RFLAGS_AC);
    registers->pkru = (uint32_t)draw(walks);
    registers->pkru &= (uint32_t)draw(walks);
    registers->cr3 = random_path(walks, out);
}
