#include "segment_load.h"

enum {
    SELECTOR_RPL = 3,
    SELECTOR_LDT = 4,
    SELECTOR_INDEX = 0xFFF8,
    SELECTOR_ERROR = 0xFFFC, // what an error code keeps of a selector
    DESCRIPTOR_SIZE = 8,
    SYSTEM_DESCRIPTOR_SIZE = 16,
    TYPE_ACCESSED = 1,
    TYPE_WRITABLE = 2,   // of data
    TYPE_READABLE = 2,   // of code
    TYPE_CONFORMING = 4, // of code
    TYPE_BUSY = 2,       // of a TSS
};

unsigned segment_dpl(const struct segment *segment)
{
    return segment->access >> 5 & 3;
}

bool segment_is_code(const struct segment *segment)
{
    uint32_t kind = SEGMENT_ACCESS_S | SEGMENT_ACCESS_CODE;
    return (segment->access & kind) == kind;
}

bool segment_is_conforming(const struct segment *segment)
{
    return segment_is_code(segment) && (segment->access & TYPE_CONFORMING) != 0;
}

bool segment_is_null(uint16_t selector)
{
    return (selector & ~SELECTOR_RPL) == 0;
}

static bool is_present(const struct segment *segment)
{
    return (segment->access & SEGMENT_ACCESS_P) != 0;
}

static bool is_data(const struct segment *segment)
{
    return (segment->access & (SEGMENT_ACCESS_S | SEGMENT_ACCESS_CODE)) == SEGMENT_ACCESS_S;
}

static bool is_writable_data(const struct segment *segment)
{
    return is_data(segment) && (segment->access & TYPE_WRITABLE) != 0;
}

// SEGMENT_ACCESS_L without D: 64-bit code.
static bool is_code64(const struct segment *segment)
{
    uint32_t bits = segment->access & (SEGMENT_ACCESS_L | SEGMENT_ACCESS_DB);
    return segment_is_code(segment) && bits == SEGMENT_ACCESS_L;
}

static uint32_t error_code(const struct exec *x, uint16_t selector)
{
    return (selector & (uint32_t)SELECTOR_ERROR) | (x->external ? 1 : 0);
}

// Where a selector's descriptor begins, and how many bytes of its table follow; false without one.
static bool locate(const struct exec *x, uint16_t selector, uint64_t *out_linear,
                   uint32_t *out_room)
{
    const struct cpu *cpu = x->cpu;
    bool in_ldt = (selector & SELECTOR_LDT) != 0;
    if (in_ldt && (cpu_guest(cpu, LDTR_ACCESS) & SEGMENT_ACCESS_UNUSABLE) != 0) {
        return false;
    }
    uint64_t base = in_ldt ? cpu_guest(cpu, LDTR_BASE) : cpu_guest(cpu, GDTR_BASE);
    uint64_t limit = in_ldt ? cpu_guest(cpu, LDTR_LIMIT) : cpu_guest(cpu, GDTR_LIMIT);
    uint32_t offset = selector & SELECTOR_INDEX;
    if (offset + DESCRIPTOR_SIZE - 1 > limit) {
        return false;
    }
    *out_linear = base + offset;
    *out_room = (uint32_t)(limit + 1 - offset);
    return true;
}

bool descriptor_probe(struct exec *x, uint16_t selector, struct segment *out)
{
    uint64_t linear = 0;
    uint32_t room = 0;
    *out = (struct segment){0};
    if (segment_is_null(selector) || !locate(x, selector, &linear, &room)) {
        return false;
    }
    uint64_t low = exec_load(x, ACCESS_SYSTEM, linear, 8);
    uint64_t high = 0;
    if ((low >> 32 & (SEGMENT_ACCESS_S << 8)) == 0 && room >= SYSTEM_DESCRIPTOR_SIZE) {
        high = exec_load(x, ACCESS_SYSTEM, linear + 8, 8);
    }
    *out = segment_from_descriptor(selector, low, high & 0xFFFFFFFF);
    return !x->faulted;
}

bool descriptor_read(struct exec *x, uint16_t selector, enum vector vector, struct segment *out)
{
    if (!descriptor_probe(x, selector, out) && !x->faulted) {
        exec_raise_code(x, vector, error_code(x, segment_is_null(selector) ? 0 : selector));
    }
    return !x->faulted;
}

// ORs bits into the type of the descriptor in memory.
static void set_type_bits(struct exec *x, uint16_t selector, struct segment *segment, uint32_t bits)
{
    uint64_t linear = 0;
    uint32_t room = 0;
    if (x->faulted || (segment->access & bits) == bits || !locate(x, selector, &linear, &room)) {
        return;
    }
    segment->access |= bits;
    uint64_t rights = exec_load(x, ACCESS_SYSTEM, linear + 5, 1);
    exec_store(x, ACCESS_SYSTEM, linear + 5, 1, rights | bits);
}

void descriptor_set_accessed(struct exec *x, uint16_t selector, struct segment *segment)
{
    set_type_bits(x, selector, segment, TYPE_ACCESSED);
}

void descriptor_set_busy(struct exec *x, uint16_t selector, struct segment *segment)
{
    set_type_bits(x, selector, segment, TYPE_BUSY);
}

// SDM 3A, "Loading the SS register": a null selector is allowed in 64-bit mode at CPL 0 to 2.
static void load_stack_segment(struct exec *x, uint16_t selector)
{
    struct segment segment;
    unsigned cpl = cpu_cpl(x->cpu);
    unsigned rpl = selector & SELECTOR_RPL;
    if (segment_is_null(selector)) {
        if (cpl == 3 || rpl != cpl) {
            exec_raise_code(x, VECTOR_GP, 0);
            return;
        }
        segment =
            (struct segment){.selector = selector, .access = SEGMENT_ACCESS_UNUSABLE | cpl << 5};
        cpu_set_segment(x->cpu, SEG_SS, &segment);
        return;
    }
    if (!descriptor_read(x, selector, VECTOR_GP, &segment)) {
        return;
    }
    if (rpl != cpl || segment_dpl(&segment) != cpl || !is_writable_data(&segment)) {
        exec_raise_code(x, VECTOR_GP, error_code(x, selector));
    } else if (!is_present(&segment)) {
        exec_raise_code(x, VECTOR_SS, error_code(x, selector));
    }
    descriptor_set_accessed(x, selector, &segment);
    if (!x->faulted) {
        cpu_set_segment(x->cpu, SEG_SS, &segment);
    }
}

static bool may_hold_data(const struct exec *x, const struct segment *segment, uint16_t selector)
{
    unsigned rpl = selector & SELECTOR_RPL;
    unsigned dpl = segment_dpl(segment);
    if (segment_is_conforming(segment)) {
        return (segment->access & TYPE_READABLE) != 0;
    }
    bool readable =
        is_data(segment) || (segment_is_code(segment) && (segment->access & TYPE_READABLE) != 0);
    return readable && rpl <= dpl && cpu_cpl(x->cpu) <= dpl;
}

void segment_load(struct exec *x, enum segment_index index, uint16_t selector)
{
    struct segment segment;
    if (index == SEG_SS) {
        load_stack_segment(x, selector);
        return;
    }
    if (segment_is_null(selector)) {
        segment = (struct segment){.selector = selector, .access = SEGMENT_ACCESS_UNUSABLE};
        cpu_set_segment(x->cpu, index, &segment);
        return;
    }
    if (!descriptor_read(x, selector, VECTOR_GP, &segment)) {
        return;
    }
    if (!may_hold_data(x, &segment, selector)) {
        exec_raise_code(x, VECTOR_GP, error_code(x, selector));
    } else if (!is_present(&segment)) {
        exec_raise_code(x, VECTOR_NP, error_code(x, selector));
    }
    descriptor_set_accessed(x, selector, &segment);
    if (!x->faulted) {
        cpu_set_segment(x->cpu, index, &segment);
    }
}

// The code segment of a return. SDM 2A, "IRET/IRETD/IRETQ", and 2B, "RET".
static void read_return_code(struct exec *x, uint16_t selector, struct segment *out)
{
    unsigned rpl = selector & SELECTOR_RPL;
    if (!descriptor_read(x, selector, VECTOR_GP, out)) {
        return;
    }
    unsigned dpl = segment_dpl(out);
    bool level = segment_is_conforming(out) ? dpl <= rpl : dpl == rpl;
    bool both_sizes = (out->access & SEGMENT_ACCESS_L) != 0 && !is_code64(out);
    if (!segment_is_code(out) || rpl < cpu_cpl(x->cpu) || !level || both_sizes) {
        exec_raise_code(x, VECTOR_GP, error_code(x, selector));
    } else if (!is_present(out)) {
        exec_raise_code(x, VECTOR_NP, error_code(x, selector));
    }
}

static void read_return_stack(struct exec *x, uint16_t selector, unsigned cpl, bool to_code64,
                              struct segment *out)
{
    unsigned rpl = selector & SELECTOR_RPL;
    if (segment_is_null(selector)) {
        if (!to_code64 || cpl == 3 || rpl != cpl) {
            exec_raise_code(x, VECTOR_GP, 0);
        }
        *out = (struct segment){.selector = selector, .access = SEGMENT_ACCESS_UNUSABLE | cpl << 5};
        return;
    }
    if (!descriptor_read(x, selector, VECTOR_GP, out)) {
        return;
    }
    if (rpl != cpl || segment_dpl(out) != cpl || !is_writable_data(out)) {
        exec_raise_code(x, VECTOR_GP, error_code(x, selector));
    } else if (!is_present(out)) {
        exec_raise_code(x, VECTOR_SS, error_code(x, selector));
    }
    descriptor_set_accessed(x, selector, out);
}

// After a return to an outer level no data segment of an inner one may stay loaded.
static void drop_inner_segments(struct cpu *cpu, unsigned cpl)
{
    static const enum segment_index data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        struct segment segment;
        cpu_segment(cpu, data[i], &segment);
        bool usable = (segment.access & SEGMENT_ACCESS_UNUSABLE) == 0;
        if (usable && !segment_is_conforming(&segment) && segment_dpl(&segment) < cpl) {
            segment = (struct segment){.access = SEGMENT_ACCESS_UNUSABLE};
            cpu_set_segment(cpu, data[i], &segment);
        }
    }
}

void segment_return(struct exec *x, const struct return_frame *frame)
{
    struct segment code = {0};
    struct segment stack = {0};
    unsigned old_cpl = cpu_cpl(x->cpu);
    unsigned cpl = frame->cs & SELECTOR_RPL;
    read_return_code(x, frame->cs, &code);
    bool to_code64 = is_code64(&code);
    if (frame->has_stack && !x->faulted) {
        read_return_stack(x, frame->ss, cpl, to_code64, &stack);
    }
    if (to_code64 && !cpu_is_canonical(x->cpu, frame->rip)) {
        exec_raise_code(x, VECTOR_GP, 0);
    }
    descriptor_set_accessed(x, frame->cs, &code);
    if (x->faulted) {
        return;
    }
    cpu_set_segment(x->cpu, SEG_CS, &code);
    cpu_guest(x->cpu, RIP) = to_code64 ? frame->rip : frame->rip & 0xFFFFFFFF;
    if (frame->has_stack) {
        cpu_set_segment(x->cpu, SEG_SS, &stack);
        cpu_guest(x->cpu, RSP) = frame->rsp;
    }
    if (cpl > old_cpl) {
        drop_inner_segments(x->cpu, cpl);
    }
}

bool segment_load_far_code(struct exec *x, uint16_t selector, struct segment *out)
{
    unsigned cpl = cpu_cpl(x->cpu);
    if (!descriptor_read(x, selector, VECTOR_GP, out)) {
        return false;
    }
    if ((out->access & SEGMENT_ACCESS_S) == 0) {
        x->unsupported = "a far transfer through a gate or to a TSS";
        return false;
    }
    unsigned dpl = segment_dpl(out);
    bool conforming = segment_is_conforming(out);
    bool level = conforming ? dpl <= cpl : dpl == cpl && (selector & SELECTOR_RPL) <= cpl;
    bool both_sizes = (out->access & SEGMENT_ACCESS_L) != 0 && !is_code64(out);
    if (!segment_is_code(out) || !level || both_sizes) {
        exec_raise_code(x, VECTOR_GP, error_code(x, selector));
    } else if (!is_present(out)) {
        exec_raise_code(x, VECTOR_NP, error_code(x, selector));
    }
    descriptor_set_accessed(x, selector, out);
    out->selector = (uint16_t)((selector & (uint32_t)SELECTOR_ERROR) | cpl);
    return !x->faulted;
}
