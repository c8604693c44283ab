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

#include "little_endian.h"

enum {
    LEVEL_PT = 1,
    LEVEL_PD = 2,
    LEVEL_PDPT = 3,
    PAGE_SHIFT = 12,
    MIN_PHYS_BITS = 36,
    MAX_PHYS_BITS = 52,
    PSE36_PHYS_BITS = 40, // what a 4 MiB page can address at most
};

struct geometry {
    uint8_t levels;
    uint8_t index_bits;
    uint8_t entry_shift; // entries have 1 << entry_shift bytes
    uint8_t linear_bits;
    uint64_t root_mask; // the bits of CR3 that locate the root
};

static const struct geometry geometries[] = {
    [MMU_MODE_NONE] = {.linear_bits = 32},
    [MMU_MODE_32BIT] = {2, 10, 2, 32, UINT64_C(0x00000000FFFFF000)},
    [MMU_MODE_PAE] = {3, 9, 3, 32, UINT64_C(0x00000000FFFFFFE0)},
    [MMU_MODE_4LEVEL] = {4, 9, 3, 48, UINT64_C(0x000FFFFFFFFFF000)},
    [MMU_MODE_5LEVEL] = {5, 9, 3, 57, UINT64_C(0x000FFFFFFFFFF000)},
};

// What stays the same from level to level.
struct walker {
    const struct mmu_registers *registers;
    const struct mmu_memory *memory;
    const struct geometry *geometry;
    const uint64_t *pdptes; // as loaded, or NULL
    uint64_t linear;
    uint64_t reserved;     // in every entry of this mode
    uint64_t address_mask; // the bits of an entry that locate the next table
    uint64_t large;        // PS where it means a large page
    enum mmu_mode mode;
    unsigned phys_bits;
};

// Bits high down to low; none when low is above high.
static uint64_t bit_range(unsigned high, unsigned low)
{
    return (~UINT64_C(0) >> (63 - high)) & (~UINT64_C(0) << low);
}

static unsigned phys_bits_of(const struct mmu_registers *registers)
{
    unsigned phys_bits = registers->max_phys_bits;
    if (phys_bits < MIN_PHYS_BITS) {
        return MIN_PHYS_BITS;
    }
    return phys_bits > MAX_PHYS_BITS ? MAX_PHYS_BITS : phys_bits;
}

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

// The bits that no entry of this mode may have set.
static uint64_t common_reserved_bits(const struct walker *w)
{
    uint64_t nx = (w->registers->efer & MMU_EFER_NXE) != 0 ? 0 : MMU_ENTRY_NX;
    switch (w->mode) {
    case MMU_MODE_NONE:
    case MMU_MODE_32BIT:
        return 0;
    case MMU_MODE_PAE:
        return bit_range(62, w->phys_bits) | nx;
    case MMU_MODE_4LEVEL:
    case MMU_MODE_5LEVEL:
        break;
    }
    return bit_range(51, w->phys_bits) | nx;
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
    return PAGE_SHIFT + w->geometry->index_bits * (level - 1);
}

static bool read_entry(const struct walker *w, uint64_t entry_phys, uint64_t *out_entry)
{
    uint8_t bytes[8];
    const struct mmu_memory *memory = w->memory;
    if (w->mode == MMU_MODE_32BIT) {
        bool is_read = memory->read(memory->context, entry_phys, bytes, 4);
        *out_entry = is_read ? load_le32(bytes) : 0;
        return is_read;
    }
    bool is_read = memory->read(memory->context, entry_phys, bytes, 8);
    *out_entry = is_read ? load_le64(bytes) : 0;
    return is_read;
}

// Reads the entry that translates w->linear in the table at table_phys, and notes it in *out.
static bool fetch_entry(const struct walker *w, unsigned level, uint64_t table_phys,
                        struct mmu_walk *out, uint64_t *out_entry)
{
    unsigned shift = shift_of(w, level);
    uint64_t index = (w->linear >> shift) & ((UINT64_C(1) << w->geometry->index_bits) - 1);
    uint64_t entry_phys = table_phys + (index << w->geometry->entry_shift);

    out->level = (uint8_t)level;
    out->page_size = UINT64_C(1) << shift;
    if (w->pdptes != NULL && level == LEVEL_PDPT) {
        *out_entry = w->pdptes[index];
    } else if (!read_entry(w, entry_phys, out_entry)) {
        return false;
    }
    unsigned depth = w->geometry->levels - level;
    out->entries[depth] = *out_entry;
    out->entry_phys[depth] = entry_phys;
    out->num_entries = (uint8_t)(depth + 1);
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

// all and any: the entries of the walk ANDed and ORed together.
static void finish(const struct walker *w, uint64_t all, uint64_t any, struct mmu_walk *out)
{
    uint64_t leaf = out->entries[out->num_entries - 1];
    out->valid = true;
    out->writable = (all & MMU_ENTRY_RW) != 0;
    out->user = (all & MMU_ENTRY_US) != 0;
    out->no_execute = (any & MMU_ENTRY_NX) != 0;
    out->guest_phys = page_frame(w, leaf, out->page_size) | (w->linear & (out->page_size - 1));
    out->global = (leaf & MMU_ENTRY_G) != 0 && (w->registers->cr4 & MMU_CR4_PGE) != 0;
    if (w->mode >= MMU_MODE_4LEVEL) {
        out->protection_key = (uint8_t)(leaf >> 59 & 0xF);
    }
}

static enum mmu_fault entry_fault(const struct walker *w, unsigned level, uint64_t entry)
{
    if ((entry & MMU_ENTRY_P) == 0) {
        return MMU_FAULT_NOT_PRESENT;
    }
    return (entry & reserved_bits(w, level, entry)) != 0 ? MMU_FAULT_RESERVED_BIT : MMU_FAULT_NONE;
}

static enum mmu_fault descend(const struct walker *w, struct mmu_walk *out)
{
    uint64_t table_phys = w->registers->cr3 & w->geometry->root_mask;
    uint64_t all = ~UINT64_C(0);
    uint64_t any = 0;
    for (unsigned level = w->geometry->levels; level >= LEVEL_PT; level--) {
        uint64_t entry = 0;
        if (!fetch_entry(w, level, table_phys, out, &entry)) {
            return MMU_FAULT_UNREADABLE;
        }
        enum mmu_fault fault = entry_fault(w, level, entry);
        if (fault != MMU_FAULT_NONE) {
            return fault;
        }
        out->last_valid_entry = (uint8_t)(w->geometry->levels - level);
        // A PDPTE of PAE paging has no rights of its own.
        all &= is_pae_pdpte(w, level) ? all : entry;
        any |= entry;
        if (level == LEVEL_PT || is_large(w, level, entry)) {
            finish(w, all, any, out);
            break;
        }
        table_phys = entry & w->address_mask;
    }
    return MMU_FAULT_NONE;
}

// What is wrong before a single entry is read.
static enum mmu_fault address_fault(const struct walker *w)
{
    if (w->geometry->linear_bits == 32) {
        if (w->linear >> 32 != 0) {
            return MMU_FAULT_BEYOND_4GIB;
        }
    } else if (!mmu_is_canonical(w->linear, w->geometry->linear_bits)) {
        return MMU_FAULT_NON_CANONICAL;
    }
    bool has_root = w->mode != MMU_MODE_NONE && w->pdptes == NULL;
    if (has_root && (w->registers->cr3 & bit_range(60, w->phys_bits)) != 0) {
        return MMU_FAULT_ROOT;
    }
    return MMU_FAULT_NONE;
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

// Without paging, or when the address or the root is at fault: no entry is read.
static bool answer_without_tables(const struct walker *w, struct mmu_walk *out)
{
    out->contiguous = same_until_edge(w->geometry->linear_bits, w->linear);
    out->valid = out->fault == MMU_FAULT_NONE;
    out->writable = out->valid;
    out->user = out->valid;
    out->guest_phys = out->valid ? w->linear : 0;
    return out->valid;
}

static void prepare(const struct mmu_registers *registers, enum pdpte_source source,
                    struct walker *w)
{
    bool pse = w->mode != MMU_MODE_32BIT || (registers->cr4 & MMU_CR4_PSE) != 0;
    bool loaded = source == PDPTES_AS_LOADED && registers->pdptes_loaded;
    w->geometry = &geometries[w->mode];
    w->phys_bits = phys_bits_of(registers);
    w->reserved = common_reserved_bits(w);
    w->address_mask = bit_range(w->phys_bits - 1, PAGE_SHIFT);
    w->large = pse ? MMU_ENTRY_PS : 0;
    w->pdptes = w->mode == MMU_MODE_PAE && loaded ? registers->pdpte : NULL;
}

bool walk_tables(const struct mmu_registers *registers, const struct mmu_memory *memory,
                 uint64_t linear, enum pdpte_source source, struct mmu_walk *out)
{
    struct walker w = {.registers = registers, .memory = memory, .linear = linear};

    // The arrays stay as they are: clearing them costs as much as a walk.
    memset(out, 0, offsetof(struct mmu_walk, entries));
    out->last_valid_entry = MMU_NO_ENTRY;
    if (!mmu_mode_of(registers, &w.mode)) {
        out->fault = MMU_FAULT_MODE;
        out->contiguous = linear == 0 ? UINT64_MAX : -linear;
        return false;
    }
    out->mode = w.mode;
    prepare(registers, source, &w);
    out->fault = address_fault(&w);
    if (out->fault != MMU_FAULT_NONE || w.mode == MMU_MODE_NONE) {
        return answer_without_tables(&w, out);
    }
    out->fault = descend(&w, out);
    out->contiguous = out->page_size - (linear & (out->page_size - 1));
    return out->valid;
}

// SDM 3A, "PDPTE Registers": the load is #GP(0) when a present PDPTE has a reserved bit set.
bool mmu_load_pdptes(const struct mmu_registers *registers, const struct mmu_memory *memory,
                     uint64_t out[4])
{
    uint64_t reserved = pae_pdpte_reserved_bits(phys_bits_of(registers));
    uint64_t table_phys = registers->cr3 & geometries[MMU_MODE_PAE].root_mask;
    uint8_t bytes[4 * 8];
    uint64_t loaded[4];

    if (!memory->read(memory->context, table_phys, bytes, sizeof(bytes))) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        loaded[i] = load_le64(bytes + 8 * i);
        if ((loaded[i] & MMU_ENTRY_P) != 0 && (loaded[i] & reserved) != 0) {
            return false;
        }
    }
    for (size_t i = 0; i < 4; i++) {
        out[i] = loaded[i];
    }
    return true;
}
