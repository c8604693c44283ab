// The page walk: one loop for every mode.
//
// 5-level  | sign | PML5 56:48 | PML4 47:39 | PDPT 38:30 | PD 29:21 | PT 20:12 | offset 11:0 |
// 4-level  | sign extension    | PML4 47:39 | PDPT 38:30 | PD 29:21 | PT 20:12 | offset 11:0 |
// PAE                                       | PDPT 31:30 | PD 29:21 | PT 20:12 | offset 11:0 |
// 32-bit                                                 | PD 31:22 | PT 21:12 | offset 11:0 |
//
// The rules are those of SDM 3A, "32-Bit Paging", "PAE Paging" and "4-Level Paging and 5-Level
// Paging", with their tables "Use of CR3" and "Format of ... Entry".
#include "walk.h"

#include <string.h>

#include "arithmetic.h"
#include "little_endian.h"

enum {
    LEVEL_PD = 2,
    LEVEL_PDPT = 3,
    PDPT_SHIFT = 30,
    PSE36_PHYS_BITS = 40, // what a 4 MiB page can address at most
};

struct geometry {
    uint8_t levels;
    uint8_t index_bits;
    uint8_t entry_shift; // entries have 1 << entry_shift bytes
    uint8_t linear_bits;
    uint64_t root_mask;  // the bits of CR3 that locate the root
    uint64_t frame_mask; // the bits of an entry that hold an address, or are reserved
};

static const struct geometry geometries[] = {
    [MMU_MODE_NONE] = {.linear_bits = 32},
    [MMU_MODE_32BIT] = {2, 10, 2, 32, UINT64_C(0x00000000FFFFF000), UINT64_C(0x00000000FFFFF000)},
    [MMU_MODE_PAE] = {3, 9, 3, 32, UINT64_C(0x00000000FFFFFFE0), UINT64_C(0x7FFFFFFFFFFFF000)},
    [MMU_MODE_4LEVEL] = {4, 9, 3, 48, UINT64_C(0x000FFFFFFFFFF000), UINT64_C(0x000FFFFFFFFFF000)},
    [MMU_MODE_5LEVEL] = {5, 9, 3, 57, UINT64_C(0x000FFFFFFFFFF000), UINT64_C(0x000FFFFFFFFFF000)},
};

// SDM 3A, "Paging Modes and Control Bits".
bool mmu_mode_of(const struct mmu_registers *registers, enum mmu_mode *out_mode)
{
    bool paging = (registers->cr0 & MMU_CR0_PG) != 0;
    bool pae = (registers->cr4 & MMU_CR4_PAE) != 0;
    bool ia32e =
        (registers->efer & MMU_EFER_LMA) != 0 || (paging && (registers->efer & MMU_EFER_LME) != 0);

    *out_mode = MMU_MODE_NONE;
    if (ia32e && !pae) {
        return false;
    }
    if (!paging) {
        return true;
    }
    if (ia32e) {
        *out_mode = (registers->cr4 & MMU_CR4_LA57) != 0 ? MMU_MODE_5LEVEL : MMU_MODE_4LEVEL;
        return true;
    }
    *out_mode = pae ? MMU_MODE_PAE : MMU_MODE_32BIT;
    return true;
}

unsigned mmu_linear_bits(enum mmu_mode mode)
{
    return geometries[mode].linear_bits;
}

bool mmu_is_canonical(uint64_t linear, unsigned bits)
{
    uint64_t sign = linear >> (bits - 1);
    return sign == 0 || sign == UINT64_MAX >> (bits - 1);
}

static uint64_t pae_pdpte_reserved_bits(unsigned phys_bits)
{
    return bit_range(63, phys_bits) | bit_range(8, 5) | bit_range(2, 1);
}

// A 4 MiB page keeps physical bits 39:32 in bits 20:13 of its entry (PSE-36); those beyond
// MAXPHYADDR are reserved, and bit 21 always is.
static uint64_t pse_reserved_bits(unsigned phys_bits)
{
    unsigned first = (phys_bits < PSE36_PHYS_BITS ? phys_bits : PSE36_PHYS_BITS) - 32 + 13;
    return bit_range(21, first);
}

// Of an entry with PS set above the page table, outside 32-bit paging.
static uint64_t large_page_reserved_bits(const struct walker *w, unsigned level)
{
    if (level == LEVEL_PD) {
        return bit_range(20, 13);
    }
    if (level == LEVEL_PDPT && !w->registers->no_1gib_pages) {
        return bit_range(29, 13);
    }
    return MMU_ENTRY_PS;
}

static bool is_large(const struct walker *w, unsigned level, uint64_t entry)
{
    return level != LEVEL_PT && (entry & w->large) != 0;
}

static bool is_pae_pdpte(const struct walker *w, unsigned level)
{
    return w->mode == MMU_MODE_PAE && level == LEVEL_PDPT;
}

static uint64_t reserved_bits(const struct walker *w, unsigned level, uint64_t entry)
{
    if (is_pae_pdpte(w, level)) {
        return pae_pdpte_reserved_bits(w->phys_bits);
    }
    if (!is_large(w, level, entry)) {
        return w->reserved;
    }
    if (w->mode == MMU_MODE_32BIT) {
        return pse_reserved_bits(w->phys_bits);
    }
    return w->reserved | large_page_reserved_bits(w, level);
}

static unsigned shift_of(const struct walker *w, unsigned level)
{
    return PAGE_SHIFT + w->index_bits * (level - 1);
}

// Inline, because this is most of what a walk costs.
static inline bool read_entry(const struct walker *w, uint64_t entry_phys, uint64_t *out_entry)
{
    const struct mmu_memory *memory = w->memory;
    uint8_t *bytes = (uint8_t *)out_entry;
    if (!memory->read(memory->context, entry_phys, bytes, w->entry_size)) {
        return false;
    }
    *out_entry = w->entry_size == 4 ? load_le32(bytes) : load_le64(bytes);
    return true;
}

static uint64_t page_frame(const struct walker *w, uint64_t entry, uint64_t page_size)
{
    uint64_t frame = entry & w->address_mask & ~(page_size - 1);
    if (w->mode == MMU_MODE_32BIT && page_size > UINT64_C(1) << PAGE_SHIFT) {
        frame |= (entry & bit_range(20, 13)) << (32 - 13);
    }
    return frame;
}

static enum mmu_fault entry_fault(const struct walker *w, unsigned level, uint64_t entry)
{
    if ((entry & MMU_ENTRY_P) == 0) {
        return MMU_FAULT_NOT_PRESENT;
    }
    return (entry & reserved_bits(w, level, entry)) != 0 ? MMU_FAULT_RESERVED_BIT : MMU_FAULT_NONE;
}

static inline bool fetch_entry(const struct walker *w, uint64_t table_phys, unsigned shift,
                               uint64_t *out_entry, uint64_t *out_phys)
{
    uint64_t index = w->linear >> shift & w->index_mask;
    *out_phys = table_phys + index * w->entry_size;
    if (w->pdptes != NULL && shift == PDPT_SHIFT) {
        *out_entry = w->pdptes[index];
        return true;
    }
    return read_entry(w, *out_phys, out_entry);
}

// A page, or why the walk cannot go on at this entry.
static bool ends_walk(const struct walker *w, unsigned level, uint64_t entry,
                      enum mmu_fault *out_fault)
{
    enum mmu_fault fault = entry_fault(w, level, entry);
    bool ends = fault != MMU_FAULT_NONE || level == LEVEL_PT || is_large(w, level, entry);
    if (ends) {
        *out_fault = fault;
    }
    return ends;
}

// From the root down to a page or to what stops the walk. Returns the number of entries before
// that.
static unsigned descend(const struct walker *w, struct mmu_walk *out)
{
    uint64_t table_phys = w->registers->cr3 & w->geometry->root_mask;
    unsigned shift = shift_of(w, w->levels);
    unsigned depth = 0;
    out->fault = MMU_FAULT_UNREADABLE;
    while (fetch_entry(w, table_phys, shift, &out->entries[depth], &out->entry_phys[depth])) {
        uint64_t entry = out->entries[depth];
        bool is_plain_link = (entry & w->special) == MMU_ENTRY_P && shift != PAGE_SHIFT;
        if (!is_plain_link && ends_walk(w, w->levels - depth, entry, &out->fault)) {
            break;
        }
        table_phys = entry & w->address_mask;
        shift -= w->index_bits;
        depth++;
    }
    return depth;
}

static bool walk_from_root(const struct walker *w, struct mmu_walk *out)
{
    unsigned depth = descend(w, out);
    out->level = (uint8_t)(w->levels - depth);
    out->num_entries = (uint8_t)(depth + (out->fault == MMU_FAULT_UNREADABLE ? 0 : 1));
    out->page_size = UINT64_C(1) << shift_of(w, out->level);
    uint64_t offset = w->linear & (out->page_size - 1);
    out->contiguous = out->page_size - offset;
    if (out->fault == MMU_FAULT_NONE) {
        out->valid = true;
        out->guest_phys = page_frame(w, out->entries[depth], out->page_size) | offset;
    }
    // Every entry before the one that ended the walk is valid.
    unsigned num_valid = depth + (out->valid ? 1 : 0);
    out->last_valid_entry = num_valid != 0 ? (uint8_t)(num_valid - 1) : MMU_NO_ENTRY;
    return out->valid;
}

// What the entries of a walk that found a page say about it.
static void note_rights(const struct walker *w, struct mmu_walk *out)
{
    uint64_t leaf = out->entries[out->num_entries - 1];
    uint64_t all = leaf;
    uint64_t any = leaf;
    // A PDPTE of PAE paging has no rights of its own.
    for (unsigned i = w->mode == MMU_MODE_PAE ? 1 : 0; i + 1U < out->num_entries; i++) {
        all &= out->entries[i];
        any |= out->entries[i];
    }
    out->writable = (all & MMU_ENTRY_RW) != 0;
    out->user = (all & MMU_ENTRY_US) != 0;
    out->no_execute = (any & MMU_ENTRY_NX) != 0;
    out->global = (leaf & MMU_ENTRY_G) != 0 && (w->registers->cr4 & MMU_CR4_PGE) != 0;
    if (w->mode >= MMU_MODE_4LEVEL) {
        out->protection_key = (uint8_t)(leaf >> MMU_KEY_SHIFT & MMU_KEY_MASK);
    }
}

// What is wrong before a single entry is read.
static enum mmu_fault address_fault(const struct walker *w)
{
    bool has_root = w->mode != MMU_MODE_NONE && w->pdptes == NULL;
    if (has_root && (w->registers->cr3 & bit_range(60, w->phys_bits)) != 0) {
        return MMU_FAULT_ROOT;
    }
    if (w->geometry->linear_bits == 32) {
        return w->linear >> 32 != 0 ? MMU_FAULT_BEYOND_4GIB : MMU_FAULT_NONE;
    }
    bool canonical = mmu_is_canonical(w->linear, w->geometry->linear_bits);
    return canonical ? MMU_FAULT_NONE : MMU_FAULT_NON_CANONICAL;
}

// How far the answer of address_fault reaches: to the edge of the canonical half or of the hole
// between the halves, to 2^32, or to 2^64.
static uint64_t same_until_edge(unsigned linear_bits, uint64_t linear)
{
    uint64_t half = UINT64_C(1) << (linear_bits == 32 ? 32 : linear_bits - 1);
    if (linear < half) {
        return half - linear;
    }
    bool in_hole = linear_bits != 32 && linear < -half;
    return in_hole ? -half - linear : -linear;
}

// All bytes to 2^64: from 0 on a number that does not exist, and one less is as good.
static uint64_t same_for_ever(uint64_t linear)
{
    return linear == 0 ? UINT64_MAX : -linear;
}

// Without paging, or when the address or the root is at fault: no entry is read.
static bool answer_without_tables(const struct walker *w, struct mmu_walk *out)
{
    out->contiguous = out->fault == MMU_FAULT_ROOT
                          ? same_for_ever(w->linear)
                          : same_until_edge(w->geometry->linear_bits, w->linear);
    out->valid = out->fault == MMU_FAULT_NONE;
    out->writable = out->valid;
    out->user = out->valid;
    out->guest_phys = out->valid ? w->linear : 0;
    return out->valid;
}

// The bits of an entry that hold an address below MAXPHYADDR locate a table or a page, and those
// above are reserved in every entry of the mode; so is bit 63 without NXE, where entries have it.
static void prepare(const struct mmu_registers *registers, enum pdpte_source source,
                    struct walker *w)
{
    const struct geometry *geometry = &geometries[w->mode];
    bool has_nx = geometry->entry_shift == 3;
    bool nxe = (registers->efer & MMU_EFER_NXE) != 0;
    bool pse = has_nx || (registers->cr4 & MMU_CR4_PSE) != 0;
    bool loaded = source == PDPTES_AS_LOADED && registers->pdptes_loaded;
    w->phys_bits = phys_bits_from(registers->max_phys_bits);
    uint64_t phys_mask = (UINT64_C(1) << w->phys_bits) - 1;
    w->geometry = geometry;
    w->levels = geometry->levels;
    w->index_bits = geometry->index_bits;
    w->index_mask = (UINT64_C(1) << geometry->index_bits) - 1;
    w->entry_size = 1U << geometry->entry_shift;
    w->address_mask = geometry->frame_mask & phys_mask;
    w->reserved = (geometry->frame_mask & ~phys_mask) | (has_nx && !nxe ? MMU_ENTRY_NX : 0);
    w->large = pse ? MMU_ENTRY_PS : 0;
    // The PDPTEs of PAE paging have rules of their own.
    w->special = w->mode == MMU_MODE_PAE ? ~UINT64_C(0) : MMU_ENTRY_P | MMU_ENTRY_PS | w->reserved;
    w->pdptes = w->mode == MMU_MODE_PAE && loaded ? registers->pdpte : NULL;
}

bool walker_begin(const struct mmu_registers *registers, const struct mmu_memory *memory,
                  enum pdpte_source source, struct walker *out)
{
    out->registers = registers;
    out->memory = memory;
    if (!mmu_mode_of(registers, &out->mode)) {
        return false;
    }
    prepare(registers, source, out);
    return true;
}

bool walker_walk(struct walker *w, uint64_t linear, struct mmu_walk *out)
{
    // The arrays stay as they are: clearing them costs as much as a walk.
    memset(out, 0, offsetof(struct mmu_walk, entries));
    out->last_valid_entry = MMU_NO_ENTRY;
    out->mode = w->mode;
    w->linear = linear;
    out->fault = address_fault(w);
    if (out->fault != MMU_FAULT_NONE || w->mode == MMU_MODE_NONE) {
        return answer_without_tables(w, out);
    }
    return walk_from_root(w, out);
}

static void answer_without_mode(uint64_t linear, struct mmu_walk *out)
{
    memset(out, 0, offsetof(struct mmu_walk, entries));
    out->last_valid_entry = MMU_NO_ENTRY;
    out->fault = MMU_FAULT_MODE;
    out->contiguous = same_for_ever(linear);
}

bool walk_tables(const struct mmu_registers *registers, const struct mmu_memory *memory,
                 uint64_t linear, enum pdpte_source source, struct mmu_walk *out)
{
    struct walker w;
    if (!walker_begin(registers, memory, source, &w)) {
        answer_without_mode(linear, out);
        return false;
    }
    if (walker_walk(&w, linear, out) && out->num_entries != 0) {
        note_rights(&w, out);
    }
    return out->valid;
}

bool mmu_is_pdpte(uint64_t pdpte, unsigned max_phys_bits)
{
    return (pdpte & MMU_ENTRY_P) == 0 ||
           (pdpte & pae_pdpte_reserved_bits(phys_bits_from(max_phys_bits))) == 0;
}

// SDM 3A, "PDPTE Registers": the load is #GP(0) when a present PDPTE has a reserved bit set.
bool mmu_load_pdptes(const struct mmu_registers *registers, const struct mmu_memory *memory,
                     uint64_t out[4])
{
    uint64_t table_phys = registers->cr3 & geometries[MMU_MODE_PAE].root_mask;
    uint8_t bytes[4 * 8];
    uint64_t loaded[4];

    if (!memory->read(memory->context, table_phys, bytes, sizeof(bytes))) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        loaded[i] = load_le64(bytes + 8 * i);
        if (!mmu_is_pdpte(loaded[i], registers->max_phys_bits)) {
            return false;
        }
    }
    for (size_t i = 0; i < 4; i++) {
        out[i] = loaded[i];
    }
    return true;
}
