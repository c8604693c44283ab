// Page walks in every paging mode. Two questions, one walk:
//   mmu_locate  where is it?              presence and reserved bits only; a debugger asks this
//   mmu_access     may this access happen?   everything; the CPU asks this
// Nothing here writes guest memory, allocates, or keeps state.
#ifndef MMU_MODEL_PAGING_H
#define MMU_MODEL_PAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mmu_model/control_bits.h"

enum {
    MMU_MAX_LEVELS = 5,
    MMU_NO_ENTRY = 0xFF,   // last_valid_entry of a walk that saw no valid entry
    MMU_LETTERS_SIZE = 11, // of mmu_entry_letters, its zero included
    MMU_MAX_RUNS = 16,
    MMU_MIN_PHYS_BITS = 36, // of MAXPHYADDR
    MMU_MAX_PHYS_BITS = 52,
};

// MMU_ENTRY_P, MMU_ENTRY_RW, ...: masks within a paging-structure entry.
#define PAGING_BIT(name, mask, letter, text) static const uint64_t MMU_ENTRY_##name = mask;
#define PAT_BIT(name, mask)                  static const uint64_t MMU_ENTRY_##name = mask;
#include "mmu_model/paging_bits.def"

// The protection key in the entry of a page.
enum {
    MMU_KEY_SHIFT = 59,
    MMU_KEY_MASK = 0xF,
};

// The numbers are those of the mode byte of a page-walk reply.
enum mmu_mode {
    MMU_MODE_NONE = 0,
    MMU_MODE_32BIT = 1,
    MMU_MODE_PAE = 2,
    MMU_MODE_4LEVEL = 3,
    MMU_MODE_5LEVEL = 4,
};

// MMU_FAULT_NONE, MMU_FAULT_NOT_PRESENT, ...
enum mmu_fault {
#define MMU_FAULT(name, page_fault, text) MMU_FAULT_##name,
#include "mmu_model/faults.def"
};

// Guest memory as a walk sees it: reads without side effects. False: nothing can be read there
// (a device, the hypervisor's own memory), and the walk stops with MMU_FAULT_UNREADABLE. Where
// empty space reads as ones, the callback fills in the ones and returns true.
struct mmu_memory {
    bool (*read)(void *context, uint64_t guest_phys, void *buffer, size_t len);
    void *context;
    struct mmu_pde_cache *pde_cache; // for mmu_locate_runs; or NULL
};

// What translation depends on. cr3 is the root of the walk, the CPU's own or any other.
struct mmu_registers {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint32_t pkru, pkrs;
    uint8_t max_phys_bits; // MAXPHYADDR, 36 to 52
    bool no_1gib_pages;    // a processor without them: PS of a PDPT entry is reserved
    bool pdptes_loaded;    // PAE: mmu_access uses pdpte[]; mmu_locate always reads memory
    uint64_t pdpte[4];
};

enum mmu_access_kind {
    MMU_ACCESS_READ,
    MMU_ACCESS_WRITE, // a read-modify-write is a write
    MMU_ACCESS_FETCH,
};

// SDM 3A, "Access Rights": an access is user-mode when it is explicit and CPL is 3. An access to
// a system structure (GDT, IDT, TSS) is implicit: supervisor at any CPL, and AC does not help it.
struct mmu_access {
    enum mmu_access_kind kind;
    bool user;
    bool implicit; // implies supervisor; leave user false
};

struct mmu_walk {
    enum mmu_mode mode;
    enum mmu_fault fault;
    bool valid;               // a translation exists, whether or not the access is allowed
    uint8_t num_entries;      // entries read, the one that stopped the walk included
    uint8_t last_valid_entry; // index of the last valid one, or MMU_NO_ENTRY
    uint8_t level;            // where it ended: 1 page table ... 5 PML5; 0 before any table
    uint32_t error_code;      // of the #PF, when fault is one (mmu_access only)
    uint64_t page_size;       // of the page, or of what the stopping entry covers; 0 without
    uint64_t contiguous;      // bytes from here on that translate, or fail, in the same way

    // When valid:
    uint64_t guest_phys;
    uint8_t protection_key; // bits 62:59 of the leaf; 0 outside IA-32e mode
    bool writable, user;    // ANDed over all entries that have the bit
    bool no_execute;        // ORed over all entries
    bool global;            // of the leaf, with CR4.PGE

    // From the root. The first num_entries are filled, and entry_phys of one that cannot be read;
    // the others mean nothing.
    uint64_t entries[MMU_MAX_LEVELS];    // 32-bit paging: zero-extended
    uint64_t entry_phys[MMU_MAX_LEVELS]; // where each was read, or would be
};

// Bytes that lie together in the linear and in the guest-physical space.
struct mmu_run {
    uint64_t guest_phys;
    uint64_t len;
};

struct mmu_runs {
    size_t num_runs;
    uint64_t len; // of all of them together
    struct mmu_run run[MMU_MAX_RUNS];
};

// A page table and the way to it, as an entry of a processor's PDE cache holds them (SDM 3A,
// "Caches for Paging Structures"). Like a processor's it is not coherent: its owner empties it,
// .size = 0, when anything but what mmu_pde_cache_reads denies may have been written. Changed
// registers, the root among them, are noticed.
struct mmu_pde_cache {
    uint64_t cr0, cr3, cr4, efer; // under which it was found
    uint8_t max_phys_bits;
    uint8_t entry_size;
    uint8_t num_tables;
    uint64_t first, size;            // the linear addresses that the page table translates
    uint64_t address_mask, reserved; // of its entries
    uint64_t table[MMU_MAX_LEVELS];  // the pages that hold the tables, from the root
};

// One paging-structure entry whose accessed or dirty flag an access must set.
struct mmu_update {
    uint64_t guest_phys;
    uint64_t set; // bits to OR into the entry; all in its low byte
};

// Bits of the page-fault error code. SDM 3A, "Page-Fault Exceptions".
enum mmu_error_code {
    MMU_PF_P = 0x01,
    MMU_PF_WR = 0x02,
    MMU_PF_US = 0x04,
    MMU_PF_RSVD = 0x08,
    MMU_PF_ID = 0x10,
    MMU_PF_PK = 0x20,
};

// False when the control registers name no paging mode (IA-32e mode without CR4.PAE).
bool mmu_mode_of(const struct mmu_registers *registers, enum mmu_mode *out_mode);

// Significant bits of a linear address: 32, 48 or 57.
unsigned mmu_linear_bits(enum mmu_mode mode);

// Bits 63 down to bits - 1 are equal.
bool mmu_is_canonical(uint64_t linear, unsigned bits);

// Where is linear? True, and out->valid, when a translation exists. *out is always filled.
bool mmu_locate(const struct mmu_registers *registers, const struct mmu_memory *memory,
                uint64_t linear, struct mmu_walk *out);

// Where are len bytes from linear on? What mmu_locate answers page after page, at the cost of one
// entry for each further page of a page table. Ends short of len when the room in *out does
// (MMU_FAULT_NONE), at 2^64 (the same), or at the first address that has no translation: its fault.
// A page table in the memory's PDE cache spares the walk to it; the last one met is left there.
enum mmu_fault mmu_locate_runs(const struct mmu_registers *registers,
                               const struct mmu_memory *memory, uint64_t linear, uint64_t len,
                               struct mmu_runs *out);

// Does the page table in *cache translate linear?
bool mmu_pde_cache_covers(const struct mmu_pde_cache *cache, uint64_t linear);

// Do any of the len bytes at guest_phys lie in a page with one of the tables of *cache, the page
// table itself included? It knows nothing of tables that it did not meet last.
bool mmu_pde_cache_reads(const struct mmu_pde_cache *cache, uint64_t guest_phys, uint64_t len);

// May this access happen at linear? True when it may; then mmu_updates says which flags it sets.
// False: out->fault; when mmu_fault_is_page_fault(out->fault), CR2 is linear and out->error_code
// is the error code, else the CPU raises #GP(0), or #SS(0) for a stack access.
bool mmu_access(const struct mmu_registers *registers, const struct mmu_memory *memory,
                uint64_t linear, const struct mmu_access *want, struct mmu_walk *out);

// The flags that an access just allowed by mmu_access sets, root first; returns their number.
size_t mmu_updates(const struct mmu_walk *walk, const struct mmu_access *want,
                   struct mmu_update out[MMU_MAX_LEVELS]);

// Does a PDPTE register of PAE paging take this: not present, or without a reserved bit?
bool mmu_is_pdpte(uint64_t pdpte, unsigned max_phys_bits);

// Loads the PDPTEs at CR3 as MOV CR3 does with PAE paging. False: one of them has a reserved bit
// set or cannot be read, the load is #GP(0), and out is untouched.
bool mmu_load_pdptes(const struct mmu_registers *registers, const struct mmu_memory *memory,
                     uint64_t out[4]);

// Reads bytes at a linear address through the tables, page by page, as a debugger does; returns
// how many bytes could be read.
size_t mmu_read_linear(const struct mmu_registers *registers, const struct mmu_memory *memory,
                       uint64_t linear, void *buffer, size_t len);

bool mmu_fault_is_page_fault(enum mmu_fault fault);

// Draws the bits of paging_bits.def from the highest down, a letter or '-': "X-SDA--UWP".
void mmu_entry_letters(uint64_t entry, char out[MMU_LETTERS_SIZE]);

// A sentence fragment for people; never NULL.
const char *mmu_fault_text(enum mmu_fault fault);

#endif
