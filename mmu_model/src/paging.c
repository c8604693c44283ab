// The two questions, and what follows from their answers.
// The rules are those of SDM 3A, "Access Rights", "Page-Fault Exceptions", "Protection Keys" and
// "Accessed and Dirty Flags".
#include "mmu_model/paging.h"

#include "walk.h"

bool mmu_locate(const struct mmu_registers *registers, const struct mmu_memory *memory,
                uint64_t linear, struct mmu_walk *out)
{
    return walk_tables(registers, memory, linear, PDPTES_FROM_MEMORY, out);
}

// Two bits a key: access disable, write disable. Fetches are not subject to keys.
static bool key_refuses(const struct mmu_registers *registers, const struct mmu_walk *walk,
                        const struct mmu_access *want)
{
    uint64_t enable = walk->user ? MMU_CR4_PKE : MMU_CR4_PKS;
    if (walk->mode < MMU_MODE_4LEVEL || want->kind == MMU_ACCESS_FETCH ||
        (registers->cr4 & enable) == 0) {
        return false;
    }
    uint32_t rights = (walk->user ? registers->pkru : registers->pkrs) >> 2 * walk->protection_key;
    bool access_disable = (rights & 1) != 0;
    bool write_disable = (rights & 2) != 0;
    bool write_binds =
        want->kind == MMU_ACCESS_WRITE && (want->user || (registers->cr0 & MMU_CR0_WP) != 0);
    return access_disable || (write_disable && write_binds);
}

static enum mmu_fault fetch_fault(const struct mmu_registers *registers,
                                  const struct mmu_walk *walk, const struct mmu_access *want)
{
    if (!want->user && walk->user && (registers->cr4 & MMU_CR4_SMEP) != 0) {
        return MMU_FAULT_SMEP;
    }
    return walk->no_execute ? MMU_FAULT_NO_EXECUTE : MMU_FAULT_NONE;
}

// SMAP: RFLAGS.AC lifts it for explicit accesses only.
static bool smap_refuses(const struct mmu_registers *registers, const struct mmu_walk *walk,
                         const struct mmu_access *want)
{
    bool lifted = !want->implicit && (registers->rflags & MMU_RFLAGS_AC) != 0;
    return !want->user && walk->user && (registers->cr4 & MMU_CR4_SMAP) != 0 && !lifted;
}

static enum mmu_fault data_fault(const struct mmu_registers *registers, const struct mmu_walk *walk,
                                 const struct mmu_access *want)
{
    if (smap_refuses(registers, walk, want)) {
        return MMU_FAULT_SMAP;
    }
    bool read_only_binds = want->user || (registers->cr0 & MMU_CR0_WP) != 0;
    if (want->kind == MMU_ACCESS_WRITE && !walk->writable && read_only_binds) {
        return MMU_FAULT_READ_ONLY;
    }
    return key_refuses(registers, walk, want) ? MMU_FAULT_PROTECTION_KEY : MMU_FAULT_NONE;
}

static enum mmu_fault permission_fault(const struct mmu_registers *registers,
                                       const struct mmu_walk *walk, const struct mmu_access *want)
{
    if (want->user && !walk->user) {
        return MMU_FAULT_SUPERVISOR_PAGE;
    }
    return want->kind == MMU_ACCESS_FETCH ? fetch_fault(registers, walk, want)
                                          : data_fault(registers, walk, want);
}

// I/D is only reported where a fetch can be refused for its own sake: with NXE or SMEP.
static bool reports_fetches(const struct mmu_registers *registers)
{
    bool nx = (registers->cr4 & MMU_CR4_PAE) != 0 && (registers->efer & MMU_EFER_NXE) != 0;
    return nx || (registers->cr4 & MMU_CR4_SMEP) != 0;
}

// PK says that the key refuses the access, even when something else does too.
static uint32_t error_code_of(const struct mmu_registers *registers, const struct mmu_walk *walk,
                              const struct mmu_access *want)
{
    uint32_t code = 0;
    code |= walk->fault != MMU_FAULT_NOT_PRESENT ? MMU_PF_P : 0U;
    code |= want->kind == MMU_ACCESS_WRITE ? MMU_PF_WR : 0U;
    code |= want->user ? MMU_PF_US : 0U;
    code |= walk->fault == MMU_FAULT_RESERVED_BIT ? MMU_PF_RSVD : 0U;
    code |= want->kind == MMU_ACCESS_FETCH && reports_fetches(registers) ? MMU_PF_ID : 0U;
    code |= walk->valid && key_refuses(registers, walk, want) ? MMU_PF_PK : 0U;
    return code;
}

bool mmu_access(const struct mmu_registers *registers, const struct mmu_memory *memory,
                uint64_t linear, const struct mmu_access *want, struct mmu_walk *out)
{
    if (walk_tables(registers, memory, linear, PDPTES_AS_LOADED, out) &&
        out->mode != MMU_MODE_NONE) {
        out->fault = permission_fault(registers, out, want);
    }
    if (mmu_fault_is_page_fault(out->fault)) {
        out->error_code = error_code_of(registers, out, want);
    }
    return out->fault == MMU_FAULT_NONE;
}

// A in every entry used, D in the leaf of a write. A PDPTE of PAE paging has neither.
size_t mmu_updates(const struct mmu_walk *walk, const struct mmu_access *want,
                   struct mmu_update out[MMU_MAX_LEVELS])
{
    size_t num_updates = 0;
    for (size_t i = walk->mode == MMU_MODE_PAE ? 1 : 0; i < walk->num_entries; i++) {
        bool dirties = want->kind == MMU_ACCESS_WRITE && i + 1 == walk->num_entries;
        uint64_t flags = MMU_ENTRY_A | (dirties ? MMU_ENTRY_D : 0);
        uint64_t missing = flags & ~walk->entries[i];
        if (missing != 0) {
            out[num_updates] = (struct mmu_update){walk->entry_phys[i], missing};
            num_updates++;
        }
    }
    return num_updates;
}

void mmu_entry_letters(uint64_t entry, char out[MMU_LETTERS_SIZE])
{
    static const struct {
        uint64_t mask;
        char letter;
    } rows[] = {
#define PAGING_BIT(name, mask, letter, text) {mask, letter},
#include "mmu_model/paging_bits.def"
    };
    enum { NUM_LETTERS = sizeof(rows) / sizeof(rows[0]) };
    _Static_assert(NUM_LETTERS + 1 == MMU_LETTERS_SIZE, "one letter a row and the zero");

    for (size_t i = 0; i < NUM_LETTERS; i++) {
        out[NUM_LETTERS - 1 - i] = '-';
        if ((entry & rows[i].mask) != 0) {
            out[NUM_LETTERS - 1 - i] = rows[i].letter;
        }
    }
    out[NUM_LETTERS] = 0;
}

bool mmu_fault_is_page_fault(enum mmu_fault fault)
{
    static const bool page_faults[] = {
#define MMU_FAULT(name, page_fault, text) [MMU_FAULT_##name] = (page_fault),
#include "mmu_model/faults.def"
    };
    return page_faults[fault];
}

const char *mmu_fault_text(enum mmu_fault fault)
{
    switch (fault) {
#define MMU_FAULT(name, page_fault, text)                                                          \
    case MMU_FAULT_##name:                                                                         \
        return text;
#include "mmu_model/faults.def"
    }
    return "unknown fault";
}
