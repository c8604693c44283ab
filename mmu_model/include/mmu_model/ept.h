// Extended page tables: where a guest-physical address is in host-physical memory. The same two
// questions as those of paging.h:
//   ept_locate  where is it?             presence and form of the entries only
//   ept_access  may this access happen?  the rights, too
// Nothing here writes memory, allocates, or keeps state.
#ifndef MMU_MODEL_EPT_H
#define MMU_MODEL_EPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mmu_model/paging.h"

enum {
    EPT_LEVELS = 4,
    EPT_LETTERS_SIZE = 10, // of ept_entry_letters, its zero included
};

// EPT_ENTRY_R, EPT_ENTRY_W, ...: masks within an entry.
#define EPT_BIT(name, mask, letter, text) static const uint64_t EPT_ENTRY_##name = mask;
#include "mmu_model/ept_bits.def"

//  63     N N-1        12 11  8   7   6   5    3 2    0
// | rsvd   | PML4 table  | rsvd |SSS|AD | length-1| type |     EPTP; N is MAXPHYADDR
#define EPT_POINTER_TYPE   UINT64_C(0x07)
#define EPT_POINTER_LENGTH UINT64_C(0x38)
#define EPT_POINTER_AD     UINT64_C(0x40) // accessed and dirty flags
#define EPT_POINTER_SSS    UINT64_C(0x80) // access rights of supervisor shadow-stack pages

// Bits of IA32_VMX_EPT_VPID_CAP: what a processor can do. SDM 3D, "VPID and EPT Capabilities".
#define EPT_CAN_EXECUTE_ONLY UINT64_C(0x000001)
#define EPT_CAN_WALK_4       UINT64_C(0x000040)
#define EPT_CAN_BE_UC        UINT64_C(0x000100)
#define EPT_CAN_BE_WB        UINT64_C(0x004000)
#define EPT_CAN_2_MIB        UINT64_C(0x010000)
#define EPT_CAN_1_GIB        UINT64_C(0x020000)
#define EPT_CAN_AD           UINT64_C(0x200000)
#define EPT_CAN_TELL_MORE    UINT64_C(0x400000) // bits 11:9 of the exit qualification
#define EPT_CAN_SSS          UINT64_C(0x800000)

// EPT_FAULT_NONE, EPT_FAULT_NOT_PRESENT, ...
enum ept_fault {
#define EPT_FAULT(name, exit, text) EPT_FAULT_##name,
#include "mmu_model/ept_faults.def"
};

enum ept_exit {
    EPT_EXIT_NONE,
    EPT_EXIT_VIOLATION,
    EPT_EXIT_MISCONFIGURATION,
};

// What translation depends on.
struct ept_registers {
    uint64_t eptp;
    uint64_t capabilities;   // IA32_VMX_EPT_VPID_CAP
    uint8_t max_phys_bits;   // MAXPHYADDR, 36 to 52
    bool mode_based_execute; // the VM-execution control of that name
};

// What a guest-physical address is the address of.
enum ept_purpose {
    EPT_OF_PHYSICAL, // no linear address leads there: a load of PDPTEs
    EPT_OF_TABLE,    // an entry of a guest paging structure, in a walk or to set its A or D
    EPT_OF_LINEAR,   // the memory that a linear address means
};

struct ept_access {
    enum mmu_access_kind kind;
    enum ept_purpose purpose;
    // Of the guest's translation, with EPT_OF_LINEAR: U/S, R/W and XD of all its entries together.
    // Without paging all addresses are user-mode addresses of writable, executable pages.
    bool user_linear, writable_linear, no_execute_linear;
};

// Bits of the exit qualification of an EPT violation. SDM 3C, "Basic VM-Exit Information".
enum ept_qualification {
    EPT_Q_READ = 0x001, // what the access was
    EPT_Q_WRITE = 0x002,
    EPT_Q_FETCH = 0x004,
    EPT_Q_READABLE = 0x008, // what all entries together allow
    EPT_Q_WRITABLE = 0x010,
    EPT_Q_EXECUTABLE = 0x020,
    EPT_Q_USER_EXECUTABLE = 0x040, // with mode-based execute control
    EPT_Q_LINEAR_VALID = 0x080,
    EPT_Q_OF_LINEAR = 0x100, // not of a guest paging-structure entry
    EPT_Q_USER_LINEAR = 0x200,
    EPT_Q_WRITABLE_LINEAR = 0x400,
    EPT_Q_NO_EXECUTE_LINEAR = 0x800,
};

struct ept_walk {
    uint64_t guest_phys; // what was asked
    enum ept_fault fault;
    bool valid;             // a translation exists, whether or not the access is allowed
    uint8_t num_entries;    // entries read, the one that stopped the walk included
    uint8_t level;          // where it ended: 1 page table ... 4 PML4; 0 before any table
    uint32_t qualification; // of the VM exit, when fault is a violation (ept_access only)
    uint64_t page_size;     // of the page, or of what the stopping entry covers; 0 without
    uint64_t contiguous;    // bytes from here on that translate, or fail, in the same way

    // When valid:
    uint64_t host_phys;
    uint8_t memory_type; // of the leaf: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB
    bool ignore_pat;
    bool readable, writable;          // ANDed over all entries
    bool executable, user_executable; // the same one without mode-based execute control

    // From the root; the first num_entries are filled.
    uint64_t entries[EPT_LEVELS];
    uint64_t entry_phys[EPT_LEVELS];
};

// The form that VM entry demands of an EPT pointer.
bool ept_pointer_is_valid(const struct ept_registers *registers);

// Where is guest_phys? True, and out->valid, when a translation exists. *out is always filled.
bool ept_locate(const struct ept_registers *registers, const struct mmu_memory *host,
                uint64_t guest_phys, struct ept_walk *out);

// May this access happen at guest_phys? True when it may; then ept_updates says which flags it
// sets. False: out->fault, and ept_fault_exit of it is the VM exit.
bool ept_access(const struct ept_registers *registers, const struct mmu_memory *host,
                uint64_t guest_phys, const struct ept_access *want, struct ept_walk *out);

// The accessed and dirty flags that an access just allowed by ept_access sets, root first; their
// number, 0 when the EPT pointer does not enable them.
size_t ept_updates(const struct ept_registers *registers, const struct ept_walk *walk,
                   const struct ept_access *want, struct mmu_update out[EPT_LEVELS]);

enum ept_exit ept_fault_exit(enum ept_fault fault);

// Draws the bits of ept_bits.def from the highest down, a letter or '-': "-UDASIXWR".
void ept_entry_letters(uint64_t entry, char out[EPT_LETTERS_SIZE]);

// A sentence fragment for people; never NULL.
const char *ept_fault_text(enum ept_fault fault);

#endif
