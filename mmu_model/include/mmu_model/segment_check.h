// What a segment lets the CPU do: accesses, and the instructions that ask beforehand.
#ifndef MMU_MODEL_SEGMENT_CHECK_H
#define MMU_MODEL_SEGMENT_CHECK_H

#include "mmu_model/segment_load.h"

struct segment_access_request {
    enum segment_register index; // SS: #SS, any other: #GP
    struct segment segment;      // what that register holds
    enum mmu_access_kind kind;
    uint64_t offset; // already cut to the address size
    uint64_t size;   // in bytes, at least 1
};

// May this access happen, as far as segments go? The linear address of its first byte; outside
// 64-bit mode those of the others follow modulo 2^32.
struct segment_answer segment_check_access(const struct segment_cpu *cpu,
                                           const struct segment_access_request *request,
                                           uint64_t *out_linear);

enum segment_query {
    SEGMENT_LAR,
    SEGMENT_LSL,
    SEGMENT_VERR,
    SEGMENT_VERW,
};

// LAR, LSL, VERR and VERW: SEGMENT_DONE with their ZF. With ZF set *out is what LAR and LSL give.
// In real and virtual-8086 mode #UD.
struct segment_answer segment_query(const struct segment_cpu *cpu, enum segment_query query,
                                    uint16_t selector, bool *out_zf, uint32_t *out);

// ARPL: raises the RPL of *selector to that of other. ZF: it was lower.
bool segment_adjust_rpl(uint16_t *selector, uint16_t other);

#endif
