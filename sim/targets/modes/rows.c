#include "modes/rows.h"

#include <string.h>

// The words that rows are written with.

enum { ALL = ROWS_ALL_CPUS };

enum { NONE = 0, PT = 1, PD = 2, PDPT = 3, PML4 = 4, PML5 = 5 };

#define KIB_4 UINT64_C(0x1000)
#define MIB_2 UINT64_C(0x200000)
#define MIB_4 UINT64_C(0x400000)
#define GIB_1 UINT64_C(0x40000000)

enum {
    R = 0,
    RU = RIGHT_USER,
    RW = RIGHT_WRITE,
    RWU = RIGHT_WRITE | RIGHT_USER,
    RXU = RIGHT_EXECUTE | RIGHT_USER,
    RWXU = RIGHT_WRITE | RIGHT_EXECUTE | RIGHT_USER,
};

#define ABSENT        MMU_FAULT_NOT_PRESENT
#define RESERVED      MMU_FAULT_RESERVED_BIT
#define UNREADABLE    MMU_FAULT_UNREADABLE
#define NON_CANONICAL MMU_FAULT_NON_CANONICAL
#define BEYOND_4GIB   MMU_FAULT_BEYOND_4GIB

#define BIT(n) (UINT64_C(1) << (n))

// Entries that a hole may hold: what makes them one is added to these.
enum {
    PS = 0x80,
    TABLE = 0x7,  // present, writable, user
    LARGE = 0x83, // present, writable, a large page
    // Software's bits in an entry that is not present: of no meaning to a CPU.
    SWAPPED_OUT = 0x5EED000,
};

#define ROWS_COUNT(array)   (sizeof(array) / sizeof((array)[0]) - 1)
#define ROWS_JOIN(id, part) id##_##part
#define ROWS_NAME(id, part) ROWS_JOIN(id, part)
#define ROWS_STRING_OF(id)  #id
#define ROWS_STRING(id)     ROWS_STRING_OF(id)

#define ID   real16
#define ROWS "real16/rows.def"
#include "modes/one_target.def"

#define ID   v86
#define ROWS "v86/rows.def"
#include "modes/one_target.def"

#define ID   prot16
#define ROWS "prot16/rows.def"
#include "modes/one_target.def"

#define ID   prot32
#define ROWS "prot32/rows.def"
#include "modes/one_target.def"

#define ID   pse32
#define ROWS "pse32/rows.def"
#include "modes/one_target.def"

#define ID   pae32
#define ROWS "pae32/rows.def"
#include "modes/one_target.def"

#define ID   compat32
#define ROWS "compat32/rows.def"
#include "modes/one_target.def"

#define ID   compat16
#define ROWS "compat16/rows.def"
#include "modes/one_target.def"

#define ID   long64_la57
#define ROWS "long64-la57/rows.def"
#include "modes/one_target.def"

static const struct mode_target *const targets[] = {
#define MODE_TARGET(id) &(id),
#include "modes/targets.def"
};

const struct mode_target *mode_target_at(size_t i)
{
    return i < sizeof(targets) / sizeof(targets[0]) ? targets[i] : NULL;
}

uint64_t mode_target_register(const struct mode_target *target, const char *name)
{
    uint64_t value = 0;
    for (size_t i = 0; i < target->num_registers; i++) {
        const struct register_row *row = &target->registers[i];
        if (row->cpu <= 0 && strcmp(row->name, name) == 0) {
            value = row->value;
        }
    }
    return value;
}

void mode_target_mmu(const struct mode_target *target, struct mmu_registers *out)
{
    enum { GENERIC_MAX_PHYS_BITS = 46 };
    const uint32_t efer = 0xC0000080;
    *out = (struct mmu_registers){
        .cr0 = mode_target_register(target, "cr0"),
        .cr3 = mode_target_register(target, "cr3"),
        .cr4 = mode_target_register(target, "cr4"),
        .rflags = mode_target_register(target, "rflags"),
        .max_phys_bits = GENERIC_MAX_PHYS_BITS,
    };
    for (size_t i = 0; i < target->num_msrs; i++) {
        if (target->msrs[i].index == efer) {
            out->efer = target->msrs[i].value;
        }
    }
}

bool mode_target_segment(const struct mode_target *target, const struct segment_register_row *row,
                         struct segment *out)
{
    *out = row->segment;
    if (!row->loaded) {
        return true;
    }
    for (size_t i = 0; i < target->num_segments; i++) {
        if (!target->segments[i].raw &&
            target->segments[i].segment.selector == row->segment.selector) {
            *out = target->segments[i].segment;
            return true;
        }
    }
    return false;
}
