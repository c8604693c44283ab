// One path of extended page tables, from the root down to one page, in host-physical memory.
#ifndef MMU_MODEL_TESTS_EPT_TABLES_H
#define MMU_MODEL_TESTS_EPT_TABLES_H

#include "cells.h"
#include "mmu_model/ept.h"

// The table of level n.
#define EPT_TABLE(level) (UINT64_C(0x100000) + UINT64_C(0x1000) * (level))

// Bits of entries, as rows write them. WB is a page's memory type.
#define ER       UINT64_C(0x001)
#define EW       UINT64_C(0x002)
#define EX       UINT64_C(0x004)
#define ERWX     UINT64_C(0x007)
#define EWB      UINT64_C(0x030)
#define ETYPE(n) ((uint64_t)(n) << 3)
#define EPS      UINT64_C(0x080)
#define EA       UINT64_C(0x100)
#define ED       UINT64_C(0x200)
#define EXU      UINT64_C(0x400)
#define EABSENT  UINT64_C(0x100) // any entry without rights; not zero, which means "not mentioned"

// Pages without rights, one of each size.
#define PAGE4K (0x9000 | EWB)
#define PAGE2M (0x40200000 | EPS | EWB)
#define PAGE1G (UINT64_C(0x1C0000000) | EPS | EWB)

// Of a row that names capabilities_clear.
#define ALL_BUT(capability) .capabilities_clear = (capability)

#define EPT_GUEST_PHYS UINT64_C(0x00007A5CB3D4E678)

// 46 bits of physical address, write-back, no flags, and every capability.
struct ept_registers ept_default_registers(void);

// Puts the entries that translate guest_phys into cells, unless they are there; 0 stands for a link
// that allows everything, or for the page 0x9000.
void ept_put(struct cells *cells, uint64_t guest_phys, const uint64_t entry[EPT_LEVELS + 1]);

#endif
