// The walk of extended page tables: one loop over four levels.
//
//  63    48 47    39 38    30 29    21 20    12 11        0
// | zero   | PML4   | PDPT   | PD     | PT     | offset    |
//
// The rules are those of SDM 3C, "The Extended Page Table Mechanism (EPT)".
#include "mmu_model/ept.h"

#include <string.h>

#include "arithmetic.h"
#include "little_endian.h"

enum {
    LEVEL_PT = 1,
    LEVEL_PD = 2,
    LEVEL_PDPT = 3,
    PAGE_SHIFT = 12,
    INDEX_BITS = 9,
    WIDTH = PAGE_SHIFT + EPT_LEVELS * INDEX_BITS, // of a guest-physical address
    TYPE_SHIFT = 3,                               // of the memory type in a page's entry
    TYPE_UC = 0,
    TYPE_WB = 6,
};

static unsigned phys_bits_of(const struct ept_registers *registers)
{
    return phys_bits_from(registers->max_phys_bits);
}

static bool can(const struct ept_registers *registers, uint64_t capability)
{
    return (registers->capabilities & capability) != 0;
}

static bool sets_flags(const struct ept_registers *registers)
{
    return (registers->eptp & EPT_POINTER_AD) != 0;
}

// SDM 3C, "VM-Execution Control Fields": the EPTP field.
bool ept_pointer_is_valid(const struct ept_registers *registers)
{
    uint64_t type = registers->eptp & EPT_POINTER_TYPE;
    uint64_t length = (registers->eptp & EPT_POINTER_LENGTH) >> 3;
    uint64_t reserved = bit_range(63, phys_bits_of(registers)) | bit_range(11, 8);
    reserved |= can(registers, EPT_CAN_AD) ? 0 : EPT_POINTER_AD;
    reserved |= can(registers, EPT_CAN_SSS) ? 0 : EPT_POINTER_SSS;
    bool has_type = (type == TYPE_UC && can(registers, EPT_CAN_BE_UC)) ||
                    (type == TYPE_WB && can(registers, EPT_CAN_BE_WB));
    bool has_length = length == EPT_LEVELS - 1 && can(registers, EPT_CAN_WALK_4);
    return has_type && has_length && (registers->eptp & reserved) == 0;
}

static unsigned shift_of(unsigned level)
{
    return PAGE_SHIFT + INDEX_BITS * (level - 1);
}

// The bits that allow something; without any of them an entry is not present.
static uint64_t rights_mask(const struct ept_registers *registers)
{
    uint64_t mask = EPT_ENTRY_R | EPT_ENTRY_W | EPT_ENTRY_X;
    return registers->mode_based_execute ? mask | EPT_ENTRY_XU : mask;
}

static bool can_be_large(const struct ept_registers *registers, unsigned level)
{
    return (level == LEVEL_PD && can(registers, EPT_CAN_2_MIB)) ||
           (level == LEVEL_PDPT && can(registers, EPT_CAN_1_GIB));
}

static bool is_page(unsigned level, uint64_t entry)
{
    return level == LEVEL_PT || (entry & EPT_ENTRY_PS) != 0;
}

// A page ignores bit 7 only where nothing but a page is possible; PS that is not supported is one
// of the bits that a link may not have.
static uint64_t reserved_bits(const struct ept_registers *registers, unsigned level, uint64_t entry)
{
    uint64_t reserved = bit_range(51, phys_bits_of(registers));
    if (level == LEVEL_PT) {
        return reserved;
    }
    if ((entry & EPT_ENTRY_PS) != 0 && can_be_large(registers, level)) {
        return reserved | bit_range(shift_of(level) - 1, PAGE_SHIFT);
    }
    return reserved | bit_range(7, 3);
}

static bool is_memory_type(uint64_t type)
{
    return type != 2 && type != 3 && type != 7;
}

// SDM 3C, "EPT Misconfigurations", and what makes an entry present.
static enum ept_fault entry_fault(const struct ept_registers *registers, unsigned level,
                                  uint64_t entry)
{
    uint64_t rights = entry & rights_mask(registers);
    if (rights == 0) {
        return EPT_FAULT_NOT_PRESENT;
    }
    if ((rights & EPT_ENTRY_R) == 0 && (rights & EPT_ENTRY_W) != 0) {
        return EPT_FAULT_WRITE_WITHOUT_READ;
    }
    if ((rights & EPT_ENTRY_R) == 0 && !can(registers, EPT_CAN_EXECUTE_ONLY)) {
        return EPT_FAULT_EXECUTE_ONLY;
    }
    if ((entry & reserved_bits(registers, level, entry)) != 0) {
        return EPT_FAULT_RESERVED_BIT;
    }
    if (is_page(level, entry) && !is_memory_type(entry >> TYPE_SHIFT & 7)) {
        return EPT_FAULT_MEMORY_TYPE;
    }
    return EPT_FAULT_NONE;
}

static void finish(const struct ept_registers *registers, struct ept_walk *out)
{
    uint64_t leaf = out->entries[out->num_entries - 1];
    uint64_t frame = leaf & bit_range(phys_bits_of(registers) - 1, PAGE_SHIFT);
    out->valid = true;
    out->host_phys = (frame & ~(out->page_size - 1)) | (out->guest_phys & (out->page_size - 1));
    out->memory_type = (uint8_t)(leaf >> TYPE_SHIFT & 7);
    out->ignore_pat = (leaf & EPT_ENTRY_IP) != 0;
}

static void note_rights(const struct ept_registers *registers, struct ept_walk *out)
{
    uint64_t all = ~UINT64_C(0);
    for (unsigned i = 0; i < out->num_entries; i++) {
        all &= out->entries[i];
    }
    uint64_t user_bit = registers->mode_based_execute ? EPT_ENTRY_XU : EPT_ENTRY_X;
    out->readable = (all & EPT_ENTRY_R) != 0;
    out->writable = (all & EPT_ENTRY_W) != 0;
    out->executable = (all & EPT_ENTRY_X) != 0;
    out->user_executable = (all & user_bit) != 0;
}

static enum ept_fault descend(const struct ept_registers *registers, const struct mmu_memory *host,
                              struct ept_walk *out)
{
    uint64_t address_mask = bit_range(phys_bits_of(registers) - 1, PAGE_SHIFT);
    uint64_t table_phys = registers->eptp & address_mask;
    for (unsigned level = EPT_LEVELS;; level--) {
        uint64_t index = out->guest_phys >> shift_of(level) & ((1U << INDEX_BITS) - 1);
        uint64_t entry_phys = table_phys + index * 8;
        uint8_t bytes[8];
        out->level = (uint8_t)level;
        out->page_size = UINT64_C(1) << shift_of(level);
        if (!host->read(host->context, entry_phys, bytes, sizeof(bytes))) {
            return EPT_FAULT_UNREADABLE;
        }
        uint64_t entry = load_le64(bytes);
        out->entries[out->num_entries] = entry;
        out->entry_phys[out->num_entries] = entry_phys;
        out->num_entries++;
        enum ept_fault fault = entry_fault(registers, level, entry);
        if (fault != EPT_FAULT_NONE || is_page(level, entry)) {
            return fault;
        }
        table_phys = entry & address_mask;
    }
}

bool ept_locate(const struct ept_registers *registers, const struct mmu_memory *host,
                uint64_t guest_phys, struct ept_walk *out)
{
    memset(out, 0, sizeof(*out));
    out->guest_phys = guest_phys;
    if (guest_phys >> WIDTH != 0) {
        out->fault = EPT_FAULT_WIDTH;
        out->contiguous = -guest_phys;
        return false;
    }
    out->fault = descend(registers, host, out);
    out->contiguous = out->page_size - (guest_phys & (out->page_size - 1));
    if (out->fault == EPT_FAULT_NONE) {
        finish(registers, out);
        note_rights(registers, out);
    }
    return out->valid;
}

// With accessed and dirty flags a walk of guest tables is a write. Loading PDPTEs is not a walk.
static bool is_write(const struct ept_registers *registers, const struct ept_access *want)
{
    return want->kind == MMU_ACCESS_WRITE ||
           (want->purpose == EPT_OF_TABLE && sets_flags(registers));
}

static enum ept_fault rights_fault(const struct ept_registers *registers,
                                   const struct ept_walk *walk, const struct ept_access *want)
{
    if (want->kind == MMU_ACCESS_FETCH) {
        bool allowed = want->user_linear ? walk->user_executable : walk->executable;
        return allowed ? EPT_FAULT_NONE : EPT_FAULT_FETCH;
    }
    if (!walk->readable && want->kind == MMU_ACCESS_READ) {
        return EPT_FAULT_READ;
    }
    return is_write(registers, want) && !walk->writable ? EPT_FAULT_WRITE : EPT_FAULT_NONE;
}

static uint32_t set_if(bool condition, enum ept_qualification bit)
{
    return condition ? (uint32_t)bit : 0;
}

// SDM 3C, "Basic VM-Exit Information", table "Exit Qualification for EPT Violations". A walk that
// found no page has seen an entry without any right.
static uint32_t qualification_of(const struct ept_registers *registers, const struct ept_walk *walk,
                                 const struct ept_access *want)
{
    bool has_user = registers->mode_based_execute && walk->user_executable;
    uint32_t q = set_if(want->kind == MMU_ACCESS_READ, EPT_Q_READ) |
                 set_if(is_write(registers, want), EPT_Q_WRITE) |
                 set_if(want->kind == MMU_ACCESS_FETCH, EPT_Q_FETCH) |
                 set_if(walk->readable, EPT_Q_READABLE) | set_if(walk->writable, EPT_Q_WRITABLE) |
                 set_if(walk->executable, EPT_Q_EXECUTABLE) |
                 set_if(has_user, EPT_Q_USER_EXECUTABLE) |
                 set_if(want->purpose != EPT_OF_PHYSICAL, EPT_Q_LINEAR_VALID) |
                 set_if(want->purpose == EPT_OF_LINEAR, EPT_Q_OF_LINEAR);
    if (want->purpose == EPT_OF_LINEAR && can(registers, EPT_CAN_TELL_MORE)) {
        q |= set_if(want->user_linear, EPT_Q_USER_LINEAR) |
             set_if(want->writable_linear, EPT_Q_WRITABLE_LINEAR) |
             set_if(want->no_execute_linear, EPT_Q_NO_EXECUTE_LINEAR);
    }
    return q;
}

bool ept_access(const struct ept_registers *registers, const struct mmu_memory *host,
                uint64_t guest_phys, const struct ept_access *want, struct ept_walk *out)
{
    if (ept_locate(registers, host, guest_phys, out)) {
        out->fault = rights_fault(registers, out, want);
    }
    if (ept_fault_exit(out->fault) == EPT_EXIT_VIOLATION) {
        out->qualification = qualification_of(registers, out, want);
    }
    return out->fault == EPT_FAULT_NONE;
}

// SDM 3C, "Accessed and Dirty Flags for EPT".
size_t ept_updates(const struct ept_registers *registers, const struct ept_walk *walk,
                   const struct ept_access *want, struct mmu_update out[EPT_LEVELS])
{
    size_t num_updates = 0;
    if (!sets_flags(registers)) {
        return 0;
    }
    for (size_t i = 0; i < walk->num_entries; i++) {
        bool dirties = is_write(registers, want) && i + 1U == walk->num_entries;
        uint64_t missing = (EPT_ENTRY_A | (dirties ? EPT_ENTRY_D : 0)) & ~walk->entries[i];
        if (missing != 0) {
            out[num_updates++] = (struct mmu_update){walk->entry_phys[i], missing};
        }
    }
    return num_updates;
}

enum ept_exit ept_fault_exit(enum ept_fault fault)
{
    static const enum ept_exit exits[] = {
#define EPT_FAULT(name, exit, text) [EPT_FAULT_##name] = EPT_EXIT_##exit,
#include "mmu_model/ept_faults.def"
    };
    return exits[fault];
}

void ept_entry_letters(uint64_t entry, char out[EPT_LETTERS_SIZE])
{
    static const struct {
        uint64_t mask;
        char letter;
    } rows[] = {
#define EPT_BIT(name, mask, letter, text) {mask, letter},
#include "mmu_model/ept_bits.def"
    };
    enum { NUM_LETTERS = sizeof(rows) / sizeof(rows[0]) };
    _Static_assert(NUM_LETTERS + 1 == EPT_LETTERS_SIZE, "one letter a row and the zero");

    for (size_t i = 0; i < NUM_LETTERS; i++) {
        bool is_set = (entry & rows[i].mask) != 0;
        out[NUM_LETTERS - 1 - i] = (char)(is_set ? rows[i].letter : '-');
    }
    out[NUM_LETTERS] = 0;
}

const char *ept_fault_text(enum ept_fault fault)
{
    switch (fault) {
#define EPT_FAULT(name, exit, text)                                                                \
    case EPT_FAULT_##name:                                                                         \
        return text;
#include "mmu_model/ept_faults.def"
    }
    return "unknown fault";
}
