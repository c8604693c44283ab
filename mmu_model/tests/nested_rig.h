// A guest whose tables lie behind extended page tables, as tests of both stages write it down.
#ifndef MMU_MODEL_TESTS_NESTED_RIG_H
#define MMU_MODEL_TESTS_NESTED_RIG_H

#include "ept_tables.h"
#include "mmu_model/nested.h"
#include "tables.h"

// Where a guest-physical page of the rows lies in the host's memory.
#define HOST(guest_phys) ((guest_phys) + UINT64_C(0x400000))

#define PAGE_PHYS UINT64_C(0x9000) // the guest's page that the rows' address leads to

// The guest's tables in host memory, and extended page tables that lead to them and to its page.
struct guest {
    struct cells cells; // of the host
    struct ept_registers ept;
    struct nested nested;
    struct mmu_registers registers;
    uint64_t linear;
};

// rights: of the page of the guest's table of that level, or of its page (level 0); 0: all.
void guest_build(struct guest *guest, const struct path *path,
                 const uint64_t rights[MMU_MAX_LEVELS + 1]);

#endif
