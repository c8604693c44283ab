// What the rules of the segments share.
#ifndef MMU_MODEL_SEGMENT_RULES_H
#define MMU_MODEL_SEGMENT_RULES_H

#include "mmu_model/segment_load.h"

enum {
    SELECTOR_RPL = 0x0003,
    SELECTOR_LDT = 0x0004,
    SELECTOR_INDEX = 0xFFF8,
    SELECTOR_ERROR = 0xFFFC, // what an error code keeps of a selector
    DESCRIPTOR_SIZE = 8,
    REAL_MODE_LIMIT = 0xFFFF,
};

#define FOUR_GIB (UINT64_C(1) << 32)

// Where a selector's descriptor lies. False: not within its table, or there is no LDT. *out_linear
// is not cut to 32 bits.
struct segment_table {
    uint64_t gdt_base;
    uint32_t gdt_limit;
    const struct segment *ldtr;
};
bool segment_locate(const struct segment_table *table, uint16_t selector, uint32_t size,
                    uint64_t *out_linear);

// The offsets of a segment outside 64-bit mode, the first and the last. False: it has none.
bool segment_span(const struct segment *segment, uint64_t *out_first, uint64_t *out_last);

bool segment_is_ia32e(const struct segment_cpu *cpu);
bool segment_is_present(const struct segment *segment);

// The type field of a system descriptor; -1 for code and data.
int segment_system_type(const struct segment *segment);

struct segment_answer segment_done(void);
struct segment_answer segment_raise(const struct segment_cpu *cpu, enum segment_vector vector,
                                    uint16_t selector);

// Bytes of a table at a linear address, which wraps at 4 GiB outside IA-32e mode.
bool segment_read(const struct segment_cpu *cpu, uint64_t linear, size_t len, uint64_t *out);

// Reads the upper half of a system descriptor in IA-32e mode; elsewhere there is none.
struct segment_answer segment_fetch_upper(const struct segment_cpu *cpu, uint16_t selector,
                                          struct segment_descriptor *descriptor);

// The descriptor as a loaded segment, with flags set in its type.
struct segment_loaded
segment_loaded_from(uint16_t selector, const struct segment_descriptor *descriptor, uint8_t flags);

// A stack segment for privilege level level.
struct segment_stack_rule {
    enum segment_vector refusal; // what a selector that does not do raises
    unsigned level;
    bool may_be_null; // with an RPL of level
};
struct segment_answer segment_load_stack(const struct segment_cpu *cpu, uint16_t selector,
                                         const struct segment_stack_rule *rule,
                                         struct segment_loaded *out);

// The null selector that stands in SS at an inner level of IA-32e mode.
struct segment segment_null_stack(uint16_t selector, unsigned level);

// Whether it is code of 64 bits: L, and IA-32e mode.
bool segment_is_code64(const struct segment_cpu *cpu, const struct segment *segment);

// The checks of a code segment whose level fits or not, up to its presence.
struct segment_answer segment_check_code(const struct segment_cpu *cpu,
                                         const struct segment *segment, bool level_fits);

// Whether execution may go on at this offset of the code segment: #GP(0).
struct segment_answer segment_check_entry(const struct segment_cpu *cpu,
                                          const struct segment *segment, uint64_t offset);

#endif
