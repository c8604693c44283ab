// Every bit of every kind of entry and of the root, by itself, at every MAXPHYADDR from 36 to 52,
// against pictures of the entries.
//
// The pictures are those of SDM 3A, "Use of CR3" and "Format of ... Entry", from bit 63 down:
//   A  an address; from MAXPHYADDR on reserved, or for a root a fault
//   a  an address below MAXPHYADDR is ignored (the upper half of a root of 32 bits)
//   E  a 4 MiB page's address bits from 32 on (PSE-36), up to 39 and MAXPHYADDR, else reserved
//   X  execute-disable with NXE, else reserved
//   R  reserved
//   .  of no consequence for where the walk leads
//   P  present, which the tests leave alone
//   S  page size, the same
#include "rows.h"

#include <string.h>

#include "tables.h"

enum { MIN_WIDTH = 36, MAX_WIDTH = 52, LETTERS = 64 };

#define LINK    "X...........AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA....S......P"
#define TOP     "X...........AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA....R......P"
#define PTE     "X...........AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA...........P"
#define PAGE_2M "X...........AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAARRRRRRRR.....S......P"
#define PAGE_1G "X...........AAAAAAAAAAAAAAAAAAAAAARRRRRRRRRRRRRRRRR.....S......P"
#define ROOT    "...AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA............"

#define PAE_PDPTE   "RRRRRRRRRRRRAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA...RRRR..RRP"
#define PAE_LINK    "XRRRRRRRRRRRAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA....S......P"
#define PAE_PTE     "XRRRRRRRRRRRAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA...........P"
#define PAE_PAGE_2M "XRRRRRRRRRRRAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAARRRRRRRR.....S......P"
#define PAE_ROOT    "...aaaaaaaaaaaaaaaaaaaaaaaaaaaaaAAAAAAAAAAAAAAAAAAAAAAAAAAA....."

#define LINK_32 "AAAAAAAAAAAAAAAAAAAA....S......P"
#define PTE_32  "AAAAAAAAAAAAAAAAAAAA...........P"
#define PAGE_4M "AAAAAAAAAAREEEEEEEE.....S......P"
#define ROOT_32 "...aaaaaaaaaaaaaaaaaaaaaaaaaaaaaAAAAAAAAAAAAAAAAAAAA............"

struct entry_case {
    const char *name;
    enum mmu_mode mode;
    unsigned level; // of the entry; 0: the root
    bool is_large;
    const char *picture;
};

// clang-format off
static struct entry_case cases[] = {
    {"4-level: the root", MMU_MODE_4LEVEL, 0, false, ROOT},
    {"4-level: PML4E", MMU_MODE_4LEVEL, 4, false, TOP},
    {"4-level: PDPTE", MMU_MODE_4LEVEL, 3, false, LINK},
    {"4-level: PDE", MMU_MODE_4LEVEL, 2, false, LINK},
    {"4-level: PTE", MMU_MODE_4LEVEL, 1, false, PTE},
    {"4-level: 2 MiB page", MMU_MODE_4LEVEL, 2, true, PAGE_2M},
    {"4-level: 1 GiB page", MMU_MODE_4LEVEL, 3, true, PAGE_1G},
    {"5-level: the root", MMU_MODE_5LEVEL, 0, false, ROOT},
    {"5-level: PML5E", MMU_MODE_5LEVEL, 5, false, TOP},
    {"5-level: PML4E", MMU_MODE_5LEVEL, 4, false, TOP},
    {"5-level: PDPTE", MMU_MODE_5LEVEL, 3, false, LINK},
    {"5-level: PDE", MMU_MODE_5LEVEL, 2, false, LINK},
    {"5-level: PTE", MMU_MODE_5LEVEL, 1, false, PTE},
    {"5-level: 2 MiB page", MMU_MODE_5LEVEL, 2, true, PAGE_2M},
    {"5-level: 1 GiB page", MMU_MODE_5LEVEL, 3, true, PAGE_1G},
    {"PAE: the root", MMU_MODE_PAE, 0, false, PAE_ROOT},
    {"PAE: PDPTE", MMU_MODE_PAE, 3, false, PAE_PDPTE},
    {"PAE: PDE", MMU_MODE_PAE, 2, false, PAE_LINK},
    {"PAE: PTE", MMU_MODE_PAE, 1, false, PAE_PTE},
    {"PAE: 2 MiB page", MMU_MODE_PAE, 2, true, PAE_PAGE_2M},
    {"32-bit: the root", MMU_MODE_32BIT, 0, false, ROOT_32},
    {"32-bit: PDE", MMU_MODE_32BIT, 2, false, LINK_32},
    {"32-bit: PTE", MMU_MODE_32BIT, 1, false, PTE_32},
    {"32-bit: 4 MiB page", MMU_MODE_32BIT, 2, true, PAGE_4M},
};
// clang-format on

// Memory in which every table of a level is the same wherever it is: entry[i] is what the i-th
// read of a walk yields.
struct anywhere {
    uint64_t entry[MMU_MAX_LEVELS];
    uint64_t read_at[MMU_MAX_LEVELS];
    size_t num_reads;
};

static bool read_anywhere(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    struct anywhere *anywhere = context;
    uint8_t *bytes = buffer;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(anywhere->entry[anywhere->num_reads] >> (8 * i));
    }
    anywhere->read_at[anywhere->num_reads++] = guest_phys;
    return true;
}

// A case at one width, with or without NXE: what a walk through plain entries answers, and where
// the entry of the case leads in it: to the next read, or as the last one to the address.
struct setting {
    const struct entry_case *c;
    struct mmu_registers registers;
    uint64_t entry[MMU_MAX_LEVELS];
    size_t depth; // of the case's entry
    size_t num_entries;
};

static struct setting setting_of(const struct entry_case *c, unsigned width, bool nxe)
{
    struct path path = {.mode = c->mode};
    struct setting s = {.c = c, .registers = path_registers(&path)};
    unsigned leaf = c->is_large ? c->level : 1;
    s.num_entries = levels_of(c->mode) + 1 - leaf;
    s.depth = levels_of(c->mode) - c->level;
    for (size_t i = 0; i < s.num_entries; i++) {
        s.entry[i] = P | (c->is_large && i + 1 == s.num_entries ? PS : 0);
    }
    s.registers.cr3 = 0;
    s.registers.max_phys_bits = (uint8_t)width;
    s.registers.efer &= nxe ? ~UINT64_C(0) : ~MMU_EFER_NXE;
    return s;
}

static struct mmu_walk walk_setting(const struct setting *s, uint64_t bit, struct anywhere *out)
{
    struct mmu_registers registers = s->registers;
    struct mmu_memory memory = {.read = read_anywhere, .context = out};
    struct path path = {.mode = s->c->mode};
    struct mmu_walk walk;
    memset(out, 0, sizeof(*out));
    memcpy(out->entry, s->entry, sizeof(out->entry));
    if (s->c->level == 0) {
        registers.cr3 ^= bit;
    } else {
        out->entry[s->depth] ^= bit;
    }
    mmu_locate(&registers, &memory, path_linear(&path), &walk);
    return walk;
}

// What the picture says that this bit does: the fault, or which bit of the address it is; 0 when it
// is of no consequence.
static enum mmu_fault expected(const struct setting *s, unsigned bit, uint64_t *out_address)
{
    const struct entry_case *c = s->c;
    unsigned width = s->registers.max_phys_bits;
    bool nxe = (s->registers.efer & MMU_EFER_NXE) != 0;
    enum mmu_fault beyond = c->level == 0 ? MMU_FAULT_ROOT : MMU_FAULT_RESERVED_BIT;
    *out_address = 0;
    switch (c->picture[strlen(c->picture) - 1 - bit]) {
    case 'A':
        *out_address = bit < width ? BIT(bit) : 0;
        return bit < width ? MMU_FAULT_NONE : beyond;
    case 'a':
        return bit < width ? MMU_FAULT_NONE : beyond;
    case 'E':
        *out_address = bit + 19 < width ? BIT(bit + 19) : 0;
        return bit + 19 < width ? MMU_FAULT_NONE : MMU_FAULT_RESERVED_BIT;
    case 'X':
        return nxe ? MMU_FAULT_NONE : MMU_FAULT_RESERVED_BIT;
    case 'R':
        return MMU_FAULT_RESERVED_BIT;
    default:
        return MMU_FAULT_NONE;
    }
}

static void check_bit(const struct setting *s, unsigned bit)
{
    struct anywhere plain_reads;
    struct anywhere reads;
    uint64_t address = 0;
    enum mmu_fault fault = expected(s, bit, &address);
    struct mmu_walk plain = walk_setting(s, 0, &plain_reads);
    struct mmu_walk walk = walk_setting(s, BIT(bit), &reads);

    assert_true(plain.valid);
    assert_int_equal(walk.fault, fault);
    if (fault != MMU_FAULT_NONE) {
        assert_int_equal(reads.num_reads, s->c->level == 0 ? 0 : s->depth + 1);
        return;
    }
    bool is_root = s->c->level == 0;
    bool is_leaf = !is_root && s->depth + 1 == s->num_entries;
    assert_int_equal(reads.num_reads, s->num_entries);
    for (size_t i = 0; i < s->num_entries; i++) {
        bool moves = is_root ? i == 0 : i == s->depth + 1;
        assert_int_equal(reads.read_at[i], plain_reads.read_at[i] ^ (moves ? address : 0));
    }
    assert_int_equal(walk.guest_phys, plain.guest_phys ^ (is_leaf ? address : 0));
}

// The bits of P and PS stay as they are.
static void check_at_width(const struct entry_case *c, unsigned width)
{
    unsigned num_bits = (unsigned)strlen(c->picture);
    struct setting with = setting_of(c, width, true);
    struct setting without = setting_of(c, width, false);
    for (unsigned bit = 0; bit < num_bits; bit++) {
        if (strchr("PS", c->picture[num_bits - 1 - bit]) == NULL) {
            check_bit(&with, bit);
            check_bit(&without, bit);
        }
    }
}

static void check_entry(void **state)
{
    const struct entry_case *c = *state;
    size_t num_bits = strlen(c->picture);
    assert_true(num_bits == LETTERS || (c->mode == MMU_MODE_32BIT && num_bits == 32));
    for (unsigned width = MIN_WIDTH; width <= MAX_WIDTH; width++) {
        check_at_width(c, width);
    }
}

// All bits of an address together: those of the entry in *out_set, and the address they make.
static uint64_t whole_address(const struct setting *s, uint64_t *out_set)
{
    uint64_t whole = 0;
    *out_set = 0;
    for (unsigned bit = 0; bit < strlen(s->c->picture); bit++) {
        uint64_t one = 0;
        if (expected(s, bit, &one) == MMU_FAULT_NONE && one != 0) {
            *out_set |= BIT(bit);
            whole |= one;
        }
    }
    return whole;
}

static void all_address_bits_together_are_the_address(void **state)
{
    const struct entry_case *c = *state;
    for (unsigned width = MIN_WIDTH; width <= MAX_WIDTH; width++) {
        struct setting s = setting_of(c, width, true);
        struct anywhere reads;
        struct anywhere plain_reads;
        uint64_t set = 0;
        uint64_t address = whole_address(&s, &set);
        struct mmu_walk plain = walk_setting(&s, 0, &plain_reads);
        struct mmu_walk walk = walk_setting(&s, set, &reads);
        assert_true(walk.valid && address != 0);
        bool is_leaf = c->level != 0 && s.depth + 1 == s.num_entries;
        size_t next = c->level == 0 ? 0 : s.depth + 1;
        assert_int_equal(is_leaf ? walk.guest_phys : reads.read_at[next],
                         (is_leaf ? plain.guest_phys : plain_reads.read_at[next]) | address);
    }
}

// --- canonical addresses ----------------------------------------------------------------------

struct width_case {
    const char *name;
    enum mmu_mode mode;
    unsigned bits;
};

static struct width_case width_cases[] = {
    {"48 bits", MMU_MODE_4LEVEL, 48},
    {"57 bits", MMU_MODE_5LEVEL, 57},
};

// Extending the sign of the significant bits gives the same address.
static bool is_sign_extended(uint64_t linear, unsigned bits)
{
    uint64_t sign = linear >> (bits - 1) & 1;
    uint64_t below = linear & (BIT(bits) - 1);
    return linear == (sign != 0 ? below + (UINT64_MAX - (BIT(bits) - 1)) : below);
}

static void check_linear(const struct width_case *c, uint64_t linear)
{
    struct path path = {.mode = c->mode};
    struct mmu_registers registers = path_registers(&path);
    struct anywhere reads = {.entry = {P, P, P, P, P}};
    struct mmu_memory memory = {.read = read_anywhere, .context = &reads};
    struct mmu_walk walk;
    bool canonical = is_sign_extended(linear, c->bits);

    mmu_locate(&registers, &memory, linear, &walk);

    assert_int_equal(mmu_is_canonical(linear, c->bits), canonical);
    assert_int_equal(walk.fault, canonical ? MMU_FAULT_NONE : MMU_FAULT_NON_CANONICAL);
    assert_int_equal(walk.num_entries, canonical ? levels_of(c->mode) : 0);
}

// Around every power of two, and with every pair of bits flipped in 0 and in 2^64 - 1.
static void check_width(void **state)
{
    const struct width_case *c = *state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t near = 0; near < 5; near++) {
            check_linear(c, BIT(bit) + near - 2);
            check_linear(c, -BIT(bit) + near - 2);
        }
        for (unsigned other = 0; other < 64; other++) {
            check_linear(c, BIT(bit) | BIT(other));
            check_linear(c, ~(BIT(bit) | BIT(other)));
        }
    }
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "bits of entries", cases, check_entry);
    RUN_ROWS(failures, "addresses", cases, all_address_bits_together_are_the_address);
    RUN_ROWS(failures, "canonical", width_cases, check_width);
    return failures;
}
