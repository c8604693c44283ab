// A CPU in front of descriptor tables, a TSS and an IDT, as tests of segments write them down.
#ifndef MMU_MODEL_TESTS_SEGMENT_RIG_H
#define MMU_MODEL_TESTS_SEGMENT_RIG_H

#include "mmu_model/segment_load.h"

// Short names of the CPU modes, for rows.
#define MODE_REAL CPU_MODE_REAL
#define MODE_V86  CPU_MODE_V86
#define PROT16    CPU_MODE_PROT16
#define PROT32    CPU_MODE_PROT32
#define LONG32    CPU_MODE_LONG32
#define LONG64    CPU_MODE_LONG64

enum {
    RIG_GDT = 0x1000,
    RIG_LDT = 0x2000,
    RIG_TSS = 0x3000,
    RIG_IDT = 0x4000,
    RIG_TABLE_SIZE = 0x100, // of each
    RIG_NUM_TABLES = 4,
    RIG_TR = 0x30,
};

struct segment_rig {
    struct segment_cpu cpu;
    uint8_t bytes[RIG_NUM_TABLES][RIG_TABLE_SIZE];
    uint64_t unreadable; // a read of this linear address fails; 0: none does
};

// The tables are empty, their limits those of their size; TR holds a busy TSS of 32 or 64 bits.
void rig_init(struct segment_rig *rig, enum cpu_mode mode, unsigned cpl);

// Writes the lowest len bytes of value at a linear address.
void rig_put(struct segment_rig *rig, uint64_t linear, uint64_t value, size_t len);

// A descriptor of the GDT.
void rig_put_gdt(struct segment_rig *rig, uint16_t selector, uint64_t descriptor);

#endif
