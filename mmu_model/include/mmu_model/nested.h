// A guest's page walk over a second stage: every guest-physical address that the walk meets, those
// of its tables and the one it ends at, is translated by extended page tables. A guest without them
// has the same interface and its guest-physical memory is the host's.
#ifndef MMU_MODEL_NESTED_H
#define MMU_MODEL_NESTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mmu_model/ept.h"
#include "mmu_model/paging.h"

// Of one access: five tables and the memory itself, and the tables written for their own flags.
enum { NESTED_MAX_UPDATES = (2 * MMU_MAX_LEVELS + 1) * EPT_LEVELS };

// The caller sets the first two; the rest are answers of the last call.
struct nested {
    const struct ept_registers *ept; // NULL: none, guest-physical is host-physical
    struct mmu_memory host;          // host-physical memory

    bool stopped;         // the second stage stopped the walk, or the read: last says where and why
    struct ept_walk last; // of the guest-physical address translated last
    size_t num_updates;   // nested_access: accessed and dirty flags that it sets in EPT entries
    struct mmu_update updates[NESTED_MAX_UPDATES];
};

// Where is linear, and where is that? As mmu_locate; true when nested->last.host_phys holds what
// linear means, for out->contiguous bytes. When the second stage stops it, out->fault is
// MMU_FAULT_SECOND_STAGE, and out->valid says whether the guest's own tables led to an address.
bool nested_locate(const struct mmu_registers *registers, struct nested *nested, uint64_t linear,
                   struct mmu_walk *out);

// May this access happen at linear? As mmu_access, and with the rights of the second stage: for the
// walk, for the flags that it sets in the guest's tables, and for the access itself. A page fault
// of the guest comes before what the second stage says of the memory behind it. Where the second
// stage stops it, ept_fault_exit(nested->last.fault) is the VM exit, nested->last.guest_phys the
// guest-physical address and nested->last.qualification the exit qualification.
bool nested_access(const struct mmu_registers *registers, struct nested *nested, uint64_t linear,
                   const struct mmu_access *want, struct mmu_walk *out);

// As mmu_load_pdptes; when nested->stopped, it is no #GP but the second stage's VM exit.
bool nested_load_pdptes(const struct mmu_registers *registers, struct nested *nested,
                        uint64_t out[4]);

// The guest's physical memory as mmu_memory, for everything that reads through it as a debugger
// does (mmu_read_linear, segment_to_linear). A read that fails leaves its reason in *nested.
struct mmu_memory nested_memory(struct nested *nested);

#endif
