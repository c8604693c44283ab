// Segmentation: a selector and an offset become a linear address, with the number of bytes that
// stay within the segment. What a debugger's request means; type, DPL and RPL never refuse it.
#ifndef MMU_MODEL_SEGMENT_H
#define MMU_MODEL_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "mmu_model/paging.h"

// The numbers are those of the protocol's CPU mode byte.
enum cpu_mode {
    CPU_MODE_REAL = 0,
    CPU_MODE_SMM = 1, // never derived from registers; the caller knows
    CPU_MODE_V86 = 2,
    CPU_MODE_PROT32 = 3,
    CPU_MODE_PROT16 = 4,
    CPU_MODE_LONG64 = 5,
    CPU_MODE_LONG32 = 6, // compatibility mode
    CPU_MODE_LONG16 = 7,
};

// Access rights in VMX format. SDM 3C, "Guest Register State".
//
//   16  15  14  13  12  11  8  7  6 5  4  3  0
// | un | G | DB | L |AVL|  0  | P |DPL| S |type|
enum segment_access {
    SEGMENT_ACCESS_TYPE = 0x0000F,
    SEGMENT_ACCESS_EXPAND_DOWN = 0x00004, // of a data segment
    SEGMENT_ACCESS_CODE = 0x00008,
    SEGMENT_ACCESS_S = 0x00010, // code or data, not a system segment
    SEGMENT_ACCESS_DPL = 0x00060,
    SEGMENT_ACCESS_P = 0x00080,
    SEGMENT_ACCESS_AVL = 0x01000,
    SEGMENT_ACCESS_L = 0x02000,
    SEGMENT_ACCESS_DB = 0x04000,
    SEGMENT_ACCESS_G = 0x08000,
    SEGMENT_ACCESS_UNUSABLE = 0x10000,
};

// One segment register: what is visible and what is cached.
struct segment {
    uint16_t selector;
    uint32_t access; // VMX format
    uint32_t limit;  // in bytes, whatever G says
    uint64_t base;
};

struct segment_registers {
    struct segment cs, ss, ds, es, fs, gs, ldtr;
    uint64_t gdt_base;
    uint32_t gdt_limit;
};

struct far_pointer {
    uint16_t selector;
    uint64_t offset;
};

// Around the offset: bytes that have a linear address or, after a fault, that have none for the
// same reason. Up to the limit, the end of the canonical half, 2^32 or 2^64, whichever is nearest.
struct segment_linear {
    uint64_t linear; // 0 after a fault
    uint64_t length; // from here on, never 0
    uint64_t before; // before here
};

// SEGMENT_FAULT_NONE, SEGMENT_FAULT_LIMIT, ...
enum segment_fault {
#define SEGMENT_FAULT(name, text) SEGMENT_FAULT_##name,
#include "mmu_model/segment_faults.def"
};

// Never CPU_MODE_SMM: nothing in these registers tells.
enum cpu_mode cpu_mode_of(uint64_t cr0, uint64_t efer, uint64_t rflags, uint32_t cs_access);

// Which linear address does the selector and offset mean? Descriptors that are in no register are
// read from the GDT or LDT through registers->cr3. *out is filled whatever the answer is.
enum segment_fault segment_to_linear(const struct segment_registers *segments,
                                     const struct mmu_registers *registers,
                                     const struct mmu_memory *memory, struct far_pointer at,
                                     struct segment_linear *out);

// A descriptor's eight bytes as a segment: base, byte limit, rights in VMX format. A system
// descriptor of IA-32e mode has 16 bytes; high is its upper half, 0 for any other.
struct segment segment_from_descriptor(uint16_t selector, uint64_t low, uint64_t high);

// The eight bytes that segment_from_descriptor turns back into this segment. Lost is what they
// have no place for: base bits 63:32, and of the limit bits 31:20 without G or 11:0 with it.
uint64_t segment_to_descriptor(const struct segment *segment);

// Rights in VMX format <-> bits 23:8 of a descriptor's upper double word (LAR's format).
// The unusable bit has no place in a descriptor; limit bits 19:16 (11:8 here) come out zero.
uint32_t segment_access_from_descriptor(uint32_t upper_dword);
uint32_t segment_access_to_descriptor(uint32_t access);

const char *segment_fault_text(enum segment_fault fault);

#endif
