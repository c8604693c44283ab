// Selector and offset to linear address, in every CPU mode.
// The rules are those of SDM 3A, "Segment Descriptors", "Segmentation in IA-32e Mode" and "Limit
// Checking", except that type, DPL and RPL do not bind a debugger.
#include "mmu_model/segment.h"

#include "arithmetic.h"
#include "little_endian.h"
#include "segment_rules.h"

enum {
    DESCRIPTOR_RIGHTS = 0xF0FF, // the bits of the VMX format that a descriptor has too
};

// SDM 3A, "Modes of Operation". RFLAGS.VM has no effect in IA-32e mode.
enum cpu_mode cpu_mode_of(uint64_t cr0, uint64_t efer, uint64_t rflags, uint32_t cs_access)
{
    bool ia32e =
        (efer & MMU_EFER_LMA) != 0 || ((cr0 & MMU_CR0_PG) != 0 && (efer & MMU_EFER_LME) != 0);
    bool big = (cs_access & SEGMENT_ACCESS_DB) != 0;

    if ((cr0 & MMU_CR0_PE) == 0) {
        return CPU_MODE_REAL;
    }
    if (ia32e && (cs_access & SEGMENT_ACCESS_L) != 0) {
        return CPU_MODE_LONG64;
    }
    if (ia32e) {
        return big ? CPU_MODE_LONG32 : CPU_MODE_LONG16;
    }
    if ((rflags & MMU_RFLAGS_VM) != 0) {
        return CPU_MODE_V86;
    }
    return big ? CPU_MODE_PROT32 : CPU_MODE_PROT16;
}

uint32_t segment_access_from_descriptor(uint32_t upper_dword)
{
    return upper_dword >> 8 & DESCRIPTOR_RIGHTS;
}

uint32_t segment_access_to_descriptor(uint32_t access)
{
    return (access & DESCRIPTOR_RIGHTS) << 8;
}

//  63      56 55  52 51   48 47    40 39           16 15          0
// | base 31:24 | GDLA | limit | P DPL S type | base 23:0 | limit 15:0 |
struct segment segment_from_descriptor(uint16_t selector, uint64_t low, uint64_t high)
{
    uint32_t access = segment_access_from_descriptor((uint32_t)(low >> 32));
    uint32_t limit = (uint32_t)((low & 0xFFFF) | (low >> 32 & 0xF0000));
    bool in_pages = (access & SEGMENT_ACCESS_G) != 0;
    return (struct segment){
        .selector = selector,
        .access = access,
        .limit = in_pages ? limit << 12 | 0xFFF : limit,
        .base = (low >> 16 & 0xFFFFFF) | (low >> 32 & 0xFF000000) | high << 32,
    };
}

uint64_t segment_to_descriptor(const struct segment *segment)
{
    bool in_pages = (segment->access & SEGMENT_ACCESS_G) != 0;
    uint64_t limit = in_pages ? segment->limit >> 12 : segment->limit;
    uint64_t upper = segment_access_to_descriptor(segment->access);
    return (limit & 0xFFFF) | (segment->base & 0xFFFFFF) << 16 | upper << 32 |
           (limit & 0xF0000) << 32 | (segment->base & 0xFF000000) << 32;
}

// The first register that holds this very selector, RPL included.
static const struct segment *find_cached(const struct segment_registers *segments,
                                         uint16_t selector)
{
    const struct segment *const order[] = {&segments->cs, &segments->ss, &segments->ds,
                                           &segments->es, &segments->fs, &segments->gs};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (order[i]->selector == selector) {
            return order[i];
        }
    }
    return NULL;
}

bool segment_locate(const struct segment_table *table, uint16_t selector, uint32_t size,
                    uint64_t *out_linear)
{
    bool in_ldt = (selector & SELECTOR_LDT) != 0;
    uint32_t offset = selector & SELECTOR_INDEX;
    uint32_t limit = in_ldt ? table->ldtr->limit : table->gdt_limit;
    *out_linear = (in_ldt ? table->ldtr->base : table->gdt_base) + offset;
    bool no_ldt = in_ldt && (table->ldtr->access & SEGMENT_ACCESS_UNUSABLE) != 0;
    return !no_ldt && offset + size - 1 <= limit;
}

// Where the tables are, for one request.
struct tables {
    const struct segment_registers *segments;
    const struct mmu_registers *registers;
    const struct mmu_memory *memory;
};

static enum segment_fault read_descriptor(const struct tables *tables, uint16_t selector,
                                          uint64_t *out_descriptor)
{
    const struct segment_registers *segments = tables->segments;
    struct segment_table table = {segments->gdt_base, segments->gdt_limit, &segments->ldtr};
    uint64_t linear = 0;
    if (!segment_locate(&table, selector, DESCRIPTOR_SIZE, &linear)) {
        return SEGMENT_FAULT_TABLE_LIMIT;
    }
    enum mmu_mode mode;
    if (mmu_mode_of(tables->registers, &mode) && mmu_linear_bits(mode) == 32) {
        linear %= FOUR_GIB;
    }
    uint8_t bytes[DESCRIPTOR_SIZE];
    if (mmu_read_linear(tables->registers, tables->memory, linear, bytes, sizeof(bytes)) !=
        sizeof(bytes)) {
        return SEGMENT_FAULT_UNREADABLE;
    }
    *out_descriptor = load_le64(bytes);
    return SEGMENT_FAULT_NONE;
}

static enum segment_fault load_segment(const struct tables *tables, uint16_t selector,
                                       struct segment *out)
{
    uint64_t descriptor = 0;
    enum segment_fault fault = read_descriptor(tables, selector, &descriptor);
    if (fault != SEGMENT_FAULT_NONE) {
        return fault;
    }
    *out = segment_from_descriptor(selector, descriptor, 0);
    if ((out->access & SEGMENT_ACCESS_S) == 0) {
        return SEGMENT_FAULT_NOT_A_SEGMENT;
    }
    return (out->access & SEGMENT_ACCESS_P) != 0 ? SEGMENT_FAULT_NONE : SEGMENT_FAULT_NOT_PRESENT;
}

static bool is_expand_down(uint32_t access)
{
    uint32_t kind = SEGMENT_ACCESS_S | SEGMENT_ACCESS_CODE | SEGMENT_ACCESS_EXPAND_DOWN;
    return (access & kind) == (SEGMENT_ACCESS_S | SEGMENT_ACCESS_EXPAND_DOWN);
}

// An expand-down segment holds the offsets above its limit, up to 0xFFFF or, with B set, to
// 0xFFFFFFFF.
bool segment_span(const struct segment *segment, uint64_t *out_first, uint64_t *out_last)
{
    *out_first = 0;
    *out_last = segment->limit;
    if (is_expand_down(segment->access)) {
        *out_first = (uint64_t)segment->limit + 1;
        *out_last = (segment->access & SEGMENT_ACCESS_DB) != 0 ? UINT32_MAX : UINT16_MAX;
    }
    return *out_first <= *out_last;
}

// Outside 64-bit mode.
static enum segment_fault offset_to_linear(const struct segment *segment, uint64_t offset,
                                           struct segment_linear *out)
{
    uint64_t first = 0;
    uint64_t last = 0;
    if ((segment->access & SEGMENT_ACCESS_UNUSABLE) != 0) {
        return SEGMENT_FAULT_UNUSABLE;
    }
    if (!segment_span(segment, &first, &last)) {
        return SEGMENT_FAULT_LIMIT;
    }
    if (offset < first) {
        out->length = first - offset;
        return SEGMENT_FAULT_LIMIT;
    }
    if (offset > last) {
        out->before = offset - last - 1;
        return SEGMENT_FAULT_LIMIT;
    }
    uint64_t linear = (segment->base + offset) % FOUR_GIB;
    out->linear = linear;
    out->length = least(last - offset + 1, FOUR_GIB - linear);
    out->before = least(offset - first, linear);
    return SEGMENT_FAULT_NONE;
}

// A register may keep a base and a limit from protected mode ("big real mode").
static enum segment_fault real_to_linear(const struct segment_registers *segments,
                                         struct far_pointer at, struct segment_linear *out)
{
    const struct segment *cached = find_cached(segments, at.selector);
    struct segment paragraph = {.base = (uint64_t)at.selector << 4, .limit = REAL_MODE_LIMIT};
    return offset_to_linear(cached != NULL ? cached : &paragraph, at.offset, out);
}

static enum segment_fault legacy_to_linear(const struct tables *tables, struct far_pointer at,
                                           struct segment_linear *out)
{
    const struct segment *cached = find_cached(tables->segments, at.selector);
    if (cached != NULL) {
        return offset_to_linear(cached, at.offset, out);
    }
    if (segment_is_null(at.selector)) {
        return SEGMENT_FAULT_NULL_SELECTOR;
    }
    struct segment loaded;
    enum segment_fault fault = load_segment(tables, at.selector, &loaded);
    return fault != SEGMENT_FAULT_NONE ? fault : offset_to_linear(&loaded, at.offset, out);
}

// 64-bit mode: only FS and GS have a base, and it counts even when the register is unusable.
static enum segment_fault long64_base(const struct tables *tables, uint16_t selector,
                                      uint64_t *out_base)
{
    const struct segment_registers *segments = tables->segments;
    const struct segment *cached = find_cached(segments, selector);
    *out_base = 0;
    if (segment_is_null(selector)) {
        return SEGMENT_FAULT_NONE;
    }
    if (cached != NULL) {
        bool has_base = cached == &segments->fs || cached == &segments->gs;
        *out_base = has_base ? cached->base : 0;
        return SEGMENT_FAULT_NONE;
    }
    struct segment loaded;
    return load_segment(tables, selector, &loaded);
}

static enum segment_fault long64_to_linear(const struct tables *tables, struct far_pointer at,
                                           struct segment_linear *out)
{
    bool la57 = (tables->registers->cr4 & MMU_CR4_LA57) != 0;
    unsigned bits = mmu_linear_bits(la57 ? MMU_MODE_5LEVEL : MMU_MODE_4LEVEL);
    uint64_t half = UINT64_C(1) << (bits - 1);
    uint64_t base = 0;
    enum segment_fault fault = long64_base(tables, at.selector, &base);
    if (fault != SEGMENT_FAULT_NONE) {
        return fault;
    }
    uint64_t linear = base + at.offset;
    if (!mmu_is_canonical(linear, bits)) {
        out->length = -half - linear;
        out->before = linear - half;
        return SEGMENT_FAULT_NON_CANONICAL;
    }
    out->linear = linear;
    out->length = linear < half ? half - linear : -linear;
    out->before = linear < half ? linear : linear + half;
    return SEGMENT_FAULT_NONE;
}

enum segment_fault segment_to_linear(const struct segment_registers *segments,
                                     const struct mmu_registers *registers,
                                     const struct mmu_memory *memory, struct far_pointer at,
                                     struct segment_linear *out)
{
    struct tables tables = {segments, registers, memory};
    // Of a selector that means no segment: all of it.
    *out = (struct segment_linear){0, at.offset != 0 ? -at.offset : UINT64_MAX, at.offset};
    switch (cpu_mode_of(registers->cr0, registers->efer, registers->rflags, segments->cs.access)) {
    case CPU_MODE_REAL:
    case CPU_MODE_SMM:
    case CPU_MODE_V86:
        return real_to_linear(segments, at, out);
    case CPU_MODE_LONG64:
        return long64_to_linear(&tables, at, out);
    case CPU_MODE_PROT32:
    case CPU_MODE_PROT16:
    case CPU_MODE_LONG32:
    case CPU_MODE_LONG16:
        break;
    }
    return legacy_to_linear(&tables, at, out);
}

const char *segment_fault_text(enum segment_fault fault)
{
    switch (fault) {
#define SEGMENT_FAULT(name, text)                                                                  \
    case SEGMENT_FAULT_##name:                                                                     \
        return text;
#include "mmu_model/segment_faults.def"
    }
    return "unknown fault";
}
