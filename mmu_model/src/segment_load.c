// Loads of segment registers by the CPU. SDM 2B, "MOV", "POP"; 2A, "LDS/LES/LFS/LGS/LSS", "LLDT",
// "LTR"; SDM 3A, "Privilege Level Checking When Accessing Data Segments", "Privilege Level Checking
// When Loading the SS Register", "Segment Loading Instructions in IA-32e Mode".
#include "mmu_model/segment_load.h"

#include "little_endian.h"
#include "segment_rules.h"

enum {
    TYPE_ACCESSED = 1,
    TYPE_WRITABLE = 2,   // of data
    TYPE_READABLE = 2,   // of code
    TYPE_CONFORMING = 4, // of code
    TYPE_BUSY = 2,       // of a TSS
    DPL_SHIFT = 5,
    REAL_MODE_RIGHTS = 0x93, // present data, writable, accessed
    V86_RIGHTS = 0xF3,       // the same with DPL 3
};

unsigned segment_dpl(const struct segment *segment)
{
    return (segment->access & SEGMENT_ACCESS_DPL) >> DPL_SHIFT;
}

bool segment_is_null(uint16_t selector)
{
    return (selector & ~SELECTOR_RPL) == 0;
}

bool segment_is_code(const struct segment *segment)
{
    uint32_t kind = SEGMENT_ACCESS_S | SEGMENT_ACCESS_CODE;
    return (segment->access & kind) == kind;
}

static bool is_data(const struct segment *segment)
{
    return (segment->access & (SEGMENT_ACCESS_S | SEGMENT_ACCESS_CODE)) == SEGMENT_ACCESS_S;
}

bool segment_is_conforming(const struct segment *segment)
{
    return segment_is_code(segment) && (segment->access & TYPE_CONFORMING) != 0;
}

bool segment_is_writable(const struct segment *segment)
{
    return is_data(segment) && (segment->access & TYPE_WRITABLE) != 0;
}

bool segment_is_readable(const struct segment *segment)
{
    return is_data(segment) || (segment_is_code(segment) && (segment->access & TYPE_READABLE) != 0);
}

bool segment_is_present(const struct segment *segment)
{
    return (segment->access & SEGMENT_ACCESS_P) != 0;
}

int segment_system_type(const struct segment *segment)
{
    bool system = (segment->access & SEGMENT_ACCESS_S) == 0;
    return system ? (int)(segment->access & SEGMENT_ACCESS_TYPE) : -1;
}

bool segment_is_ia32e(const struct segment_cpu *cpu)
{
    return cpu->mode >= CPU_MODE_LONG64;
}

struct segment_answer segment_done(void)
{
    return (struct segment_answer){.outcome = SEGMENT_DONE};
}

// SDM 3A, "Error Code": the selector without its RPL, TI kept, and EXT.
struct segment_answer segment_raise(const struct segment_cpu *cpu, enum segment_vector vector,
                                    uint16_t selector)
{
    uint32_t code = (selector & (uint32_t)SELECTOR_ERROR) | (cpu->external ? 1 : 0);
    return (struct segment_answer){SEGMENT_RAISES, (uint8_t)vector, code};
}

bool segment_read(const struct segment_cpu *cpu, uint64_t linear, size_t len, uint64_t *out)
{
    uint8_t bytes[8] = {0};
    uint64_t at = segment_is_ia32e(cpu) ? linear : linear % FOUR_GIB;
    bool ok = cpu->read(cpu->context, at, bytes, len);
    *out = ok ? load_le64(bytes) : 0;
    return ok;
}

// Linear addresses have 32 bits outside IA-32e mode, whatever the bases hold.
static bool locate(const struct segment_cpu *cpu, uint16_t selector, uint32_t size,
                   uint64_t *out_linear)
{
    struct segment_table table = {cpu->gdt_base, cpu->gdt_limit, &cpu->ldtr};
    bool within = segment_locate(&table, selector, size, out_linear);
    if (!segment_is_ia32e(cpu)) {
        *out_linear %= FOUR_GIB;
    }
    return within;
}

struct segment_answer segment_fetch(const struct segment_cpu *cpu, uint16_t selector,
                                    enum segment_vector vector, struct segment_descriptor *out)
{
    *out = (struct segment_descriptor){0};
    if (segment_is_null(selector)) {
        return segment_raise(cpu, vector, 0);
    }
    if (!locate(cpu, selector, DESCRIPTOR_SIZE, &out->linear)) {
        return segment_raise(cpu, vector, selector);
    }
    if (!segment_read(cpu, out->linear, DESCRIPTOR_SIZE, &out->low)) {
        return (struct segment_answer){.outcome = SEGMENT_UNREAD};
    }
    return segment_done();
}

// SDM 3A, "Segment Descriptor Tables in IA-32e Mode", "IA-32e Mode Call Gates": 16 bytes, and the
// type field of the upper half, which would be that of a descriptor of its own, is zero.
struct segment_answer segment_fetch_upper(const struct segment_cpu *cpu, uint16_t selector,
                                          struct segment_descriptor *descriptor)
{
    uint64_t linear = 0;
    if (!segment_is_ia32e(cpu)) {
        return segment_done();
    }
    if (!locate(cpu, selector, 2 * DESCRIPTOR_SIZE, &linear)) {
        return segment_raise(cpu, SEGMENT_VECTOR_GP, selector);
    }
    if (!segment_read(cpu, linear + DESCRIPTOR_SIZE, DESCRIPTOR_SIZE, &descriptor->high)) {
        return (struct segment_answer){.outcome = SEGMENT_UNREAD};
    }
    bool has_type = (descriptor->high >> 40 & 0x1F) != 0;
    return has_type ? segment_raise(cpu, SEGMENT_VECTOR_GP, selector) : segment_done();
}

struct segment_loaded
segment_loaded_from(uint16_t selector, const struct segment_descriptor *descriptor, uint8_t flags)
{
    struct segment_loaded loaded = {
        .segment =
            segment_from_descriptor(selector, descriptor->low, descriptor->high & UINT32_MAX),
        .linear = descriptor->linear,
    };
    loaded.set = (uint8_t)(flags & ~loaded.segment.access);
    loaded.segment.access |= flags;
    return loaded;
}

struct segment segment_null_stack(uint16_t selector, unsigned level)
{
    return (struct segment){.selector = selector,
                            .access = SEGMENT_ACCESS_UNUSABLE | level << DPL_SHIFT};
}

struct segment_answer segment_load_stack(const struct segment_cpu *cpu, uint16_t selector,
                                         const struct segment_stack_rule *rule,
                                         struct segment_loaded *out)
{
    struct segment_descriptor descriptor;
    unsigned rpl = selector & SELECTOR_RPL;
    if (segment_is_null(selector) && rule->may_be_null && rpl == rule->level) {
        *out = (struct segment_loaded){.segment = segment_null_stack(selector, rule->level)};
        return segment_done();
    }
    struct segment_answer answer = segment_fetch(cpu, selector, rule->refusal, &descriptor);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    *out = segment_loaded_from(selector, &descriptor, TYPE_ACCESSED);
    const struct segment *segment = &out->segment;
    if (rpl != rule->level || segment_dpl(segment) != rule->level ||
        !segment_is_writable(segment)) {
        return segment_raise(cpu, rule->refusal, selector);
    }
    return segment_is_present(segment) ? segment_done()
                                       : segment_raise(cpu, SEGMENT_VECTOR_SS, selector);
}

// Conforming code may be read from every level.
static bool may_hold_data(const struct segment_cpu *cpu, const struct segment *segment)
{
    unsigned rpl = segment->selector & SELECTOR_RPL;
    unsigned dpl = segment_dpl(segment);
    bool level = segment_is_conforming(segment) || (rpl <= dpl && cpu->cpl <= dpl);
    return segment_is_readable(segment) && level;
}

static struct segment_answer load_data(const struct segment_cpu *cpu, uint16_t selector,
                                       struct segment_loaded *out)
{
    struct segment_descriptor descriptor;
    if (segment_is_null(selector)) {
        out->segment = (struct segment){.selector = selector, .access = SEGMENT_ACCESS_UNUSABLE};
        return segment_done();
    }
    struct segment_answer answer = segment_fetch(cpu, selector, SEGMENT_VECTOR_GP, &descriptor);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    *out = segment_loaded_from(selector, &descriptor, TYPE_ACCESSED);
    if (!may_hold_data(cpu, &out->segment)) {
        return segment_raise(cpu, SEGMENT_VECTOR_GP, selector);
    }
    return segment_is_present(&out->segment) ? segment_done()
                                             : segment_raise(cpu, SEGMENT_VECTOR_NP, selector);
}

// The limit and the rights stay what they are; a register without any gets those of a reset.
struct segment segment_in_real_mode(const struct segment *old, uint16_t selector)
{
    struct segment segment = *old;
    if ((segment.access & SEGMENT_ACCESS_UNUSABLE) != 0) {
        segment.access = REAL_MODE_RIGHTS;
        segment.limit = REAL_MODE_LIMIT;
    }
    segment.selector = selector;
    segment.base = (uint64_t)selector << 4;
    return segment;
}

// SDM 3C, "Checks on Guest Segment Registers": what virtual-8086 mode has in every register.
struct segment segment_in_v86_mode(uint16_t selector)
{
    return (struct segment){selector, V86_RIGHTS, REAL_MODE_LIMIT, (uint64_t)selector << 4};
}

struct segment_answer segment_load(const struct segment_cpu *cpu, enum segment_register index,
                                   uint16_t selector, const struct segment *old,
                                   struct segment_loaded *out)
{
    struct segment_stack_rule rule = {
        .refusal = SEGMENT_VECTOR_GP,
        .level = cpu->cpl,
        .may_be_null = cpu->mode == CPU_MODE_LONG64 && cpu->cpl < 3,
    };
    *out = (struct segment_loaded){0};
    if (index == SEGMENT_REGISTER_CS) {
        return (struct segment_answer){SEGMENT_RAISES, SEGMENT_VECTOR_UD, 0};
    }
    if (cpu->mode == CPU_MODE_REAL) {
        out->segment = segment_in_real_mode(old, selector);
        return segment_done();
    }
    if (cpu->mode == CPU_MODE_V86) {
        out->segment = segment_in_v86_mode(selector);
        return segment_done();
    }
    return index == SEGMENT_REGISTER_SS ? segment_load_stack(cpu, selector, &rule, out)
                                        : load_data(cpu, selector, out);
}

// LLDT and LTR exist in protected mode, for CPL 0.
static struct segment_answer check_system_load(const struct segment_cpu *cpu)
{
    if (cpu->mode == CPU_MODE_REAL || cpu->mode == CPU_MODE_V86) {
        return (struct segment_answer){SEGMENT_RAISES, SEGMENT_VECTOR_UD, 0};
    }
    return cpu->cpl == 0 ? segment_done() : segment_raise(cpu, SEGMENT_VECTOR_GP, 0);
}

// A system descriptor of the GDT with one of two types.
static struct segment_answer load_system(const struct segment_cpu *cpu, uint16_t selector,
                                         const enum system_type types[2],
                                         struct segment_descriptor *out)
{
    struct segment_answer answer = segment_fetch(cpu, selector, SEGMENT_VECTOR_GP, out);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    struct segment segment = segment_from_descriptor(selector, out->low, 0);
    int type = segment_system_type(&segment);
    bool has_type = type == (int)types[0] || type == (int)types[1];
    if ((selector & SELECTOR_LDT) != 0 || !has_type) {
        return segment_raise(cpu, SEGMENT_VECTOR_GP, selector);
    }
    if (!segment_is_present(&segment)) {
        return segment_raise(cpu, SEGMENT_VECTOR_NP, selector);
    }
    answer = segment_fetch_upper(cpu, selector, out);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    segment = segment_from_descriptor(selector, out->low, out->high & UINT32_MAX);
    bool canonical = !segment_is_ia32e(cpu) || mmu_is_canonical(segment.base, cpu->linear_bits);
    return canonical ? segment_done() : segment_raise(cpu, SEGMENT_VECTOR_GP, selector);
}

struct segment_answer segment_load_ldtr(const struct segment_cpu *cpu, uint16_t selector,
                                        struct segment_loaded *out)
{
    static const enum system_type types[2] = {SYSTEM_TYPE_LDT, SYSTEM_TYPE_LDT};
    struct segment_descriptor descriptor;
    struct segment_answer answer = check_system_load(cpu);
    *out = (struct segment_loaded){0};
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    if (segment_is_null(selector)) {
        out->segment = (struct segment){.selector = selector, .access = SEGMENT_ACCESS_UNUSABLE};
        return segment_done();
    }
    answer = load_system(cpu, selector, types, &descriptor);
    *out = segment_loaded_from(selector, &descriptor, 0);
    return answer;
}

// A TSS of 16 bits does not exist in IA-32e mode. SDM 3A, "Task Management in 64-bit Mode".
struct segment_answer segment_load_tr(const struct segment_cpu *cpu, uint16_t selector,
                                      struct segment_loaded *out)
{
    const enum system_type types[2] = {
        SYSTEM_TYPE_TSS_AVAILABLE,
        segment_is_ia32e(cpu) ? SYSTEM_TYPE_TSS_AVAILABLE : SYSTEM_TYPE_TSS16_AVAILABLE,
    };
    struct segment_descriptor descriptor;
    struct segment_answer answer = check_system_load(cpu);
    *out = (struct segment_loaded){0};
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    answer = load_system(cpu, selector, types, &descriptor);
    *out = segment_loaded_from(selector, &descriptor, TYPE_BUSY);
    return answer;
}
