// A processor, its memory with VMCS regions in it, and the VMX instructions by their names.
#ifndef VMX_MODEL_TESTS_ROOT_BENCH_H
#define VMX_MODEL_TESTS_ROOT_BENCH_H

#include "vmx_model/vmx_instruction.h"

enum {
    MEMORY_BASE = 0x1020000,
    MEMORY_SIZE = 0x71000,
    VMXON_REGION = 0x1020000,
    REGION = 0x1021000,
    OTHER_REGION = 0x1022000,
    WRONG_REGION = 0x1061000,
    SHADOW_REGION = 0x1062000,
    REVISION = 0x4, // tigerlake's
};

struct memory {
    uint8_t byte[MEMORY_SIZE];
};

// A processor and its memory, with regions of the right and of wrong revisions.
struct bench {
    struct vmx_profile profile;
    struct vmx_root root;
    struct memory memory;
    struct vmx_memory bus;
};

// After RESET, outside VMX operation.
void bench_init(struct bench *bench);

// The lowest size bytes of value at a physical address.
void poke(struct memory *memory, uint64_t physical, uint64_t value, unsigned size);
uint64_t peek(const struct memory *memory, uint64_t physical, unsigned size);

// What a line of tests/data/vmxinst.txt does: an instruction, or the wrmsr, poke and setcr of its
// sequences. out: what VMREAD and VMPTRST store.
enum vmx_status bench_execute(struct bench *bench, const char *op, const uint64_t arg[2],
                              uint64_t *out);

#endif
