#ifndef FUZZ_SEGMENT_WORLD_H
#define FUZZ_SEGMENT_WORLD_H

// A CPU with segment registers and descriptor tables, seen by both models of segments: the
// debugger's (segment.h) and the CPU's (segment_load.h and on).

#include "mmu_model/segment_check.h"
#include "mmu_model/segment_transfer.h"
#include "sparse_memory.h"

enum {
    NUM_SEGMENT_REGISTERS = SEGMENT_REGISTER_GS + 1,
};

struct segment_world {
    struct segment_cpu cpu;
    struct segment_registers registers;
    struct mmu_registers mmu; // paging only in IA-32e mode: linear modulo 512 GiB
    struct sparse_memory memory;
    unsigned hole; // every sixteenth linear word, of this number, cannot be read; 16: none
    uint16_t selector;
    uint64_t offset;
    uint64_t size;
    enum mmu_access_kind kind;
    enum segment_register index;
    struct segment_interrupt interrupt;
    struct segment_frame frame;
};

// The world of an input.
void segment_world_init(struct segment_world *world, struct byte_reader *input);

// Physical memory as struct mmu_memory has it; context is a struct segment_world.
bool segment_world_read(void *context, uint64_t guest_phys, void *buffer, size_t len);

// The register of this number, as the debugger's model holds it.
struct segment *segment_world_register(struct segment_world *world, enum segment_register index);

// The eight bytes at a linear address, and one byte there with bits set. False: unreadable.
bool segment_world_get(struct segment_world *world, uint64_t linear, uint64_t *out);
bool segment_world_or(struct segment_world *world, uint64_t linear, uint8_t bits);

bool segment_world_is_ia32e(const struct segment_world *world);
bool segment_world_is_protected(const struct segment_world *world); // not real, not virtual-8086

enum segment_fault segment_world_translate(struct segment_world *world, uint64_t offset,
                                           struct segment_linear *out);

#endif
