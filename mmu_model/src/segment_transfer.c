// Far CALL and JMP, interrupts and exceptions. SDM 2A, "CALL", "INT n/INTO/INT3/INT1", "JMP";
// SDM 3A, "Privilege Level Checking When Transferring Program Control Between Code Segments",
// "Call Gates", "Stack Switching", "IA-32e Mode Call Gates", "Exception and Interrupt Handling in
// 64-bit Mode".
#include "mmu_model/segment_transfer.h"

#include "segment_rules.h"

enum {
    TYPE_ACCESSED = 1,
    ERROR_EXTERNAL = 1,
    ERROR_IDT = 2,
    TSS16_SP0 = 2,
    TSS32_ESP0 = 4,
    TSS64_RSP0 = 4,
    TSS64_IST1 = 36,
    MAX_PARAMETERS = 31,
};

// A call, interrupt or trap gate, or a task gate.
//
//  63          48 47 46 45 44 43  40 39  37 36  32 31          16 15           0
// | offset 31:16 | P | DPL | 0 | type | 0 0 0 | count | selector | offset 15:0 |
//
// In IA-32e mode the upper half begins with offset 63:32, and bits 34:32 of the lower one are the
// IST of an interrupt or trap gate.
struct gate {
    enum system_type type;
    uint16_t selector;
    uint64_t offset;
    unsigned dpl;
    unsigned count;
    unsigned ist;
    bool present;
};

static struct gate gate_from(const struct segment_descriptor *descriptor)
{
    uint64_t low = descriptor->low;
    return (struct gate){
        .type = (enum system_type)(low >> 40 & 0xF),
        .selector = (uint16_t)(low >> 16),
        .offset = (low & 0xFFFF) | (low >> 32 & 0xFFFF0000) | descriptor->high << 32,
        .dpl = low >> 45 & 3,
        .count = low >> 32 & MAX_PARAMETERS,
        .ist = low >> 32 & 7,
        .present = (low >> 47 & 1) != 0,
    };
}

// Gates of the 80286 have types 4 to 7.
static unsigned gate_width(const struct segment_cpu *cpu, enum system_type type)
{
    if (segment_is_ia32e(cpu)) {
        return 8;
    }
    return type >= SYSTEM_TYPE_RESERVED_8 ? 4 : 2;
}

bool segment_is_code64(const struct segment_cpu *cpu, const struct segment *segment)
{
    return segment_is_ia32e(cpu) && segment_is_code(segment) &&
           (segment->access & SEGMENT_ACCESS_L) != 0;
}

// L with D means nothing: #GP. SDM 3A, "Code-Segment Descriptor Fields in 64-bit Mode".
struct segment_answer segment_check_code(const struct segment_cpu *cpu,
                                         const struct segment *segment, bool level_fits)
{
    bool both_sizes = segment_is_code64(cpu, segment) && (segment->access & SEGMENT_ACCESS_DB) != 0;
    if (!segment_is_code(segment) || !level_fits || both_sizes) {
        return segment_raise(cpu, SEGMENT_VECTOR_GP, segment->selector);
    }
    return segment_is_present(segment) ? segment_done()
                                       : segment_raise(cpu, SEGMENT_VECTOR_NP, segment->selector);
}

struct segment_answer segment_check_entry(const struct segment_cpu *cpu,
                                          const struct segment *segment, uint64_t offset)
{
    bool inside = segment_is_code64(cpu, segment) ? mmu_is_canonical(offset, cpu->linear_bits)
                                                  : offset <= segment->limit;
    return inside ? segment_done() : segment_raise(cpu, SEGMENT_VECTOR_GP, 0);
}

static void set_rpl(struct segment *segment, unsigned rpl)
{
    segment->selector = (uint16_t)((segment->selector & SELECTOR_ERROR) | rpl);
}

// Without a gate a transfer stays at the CPL. SDM 3A, "Direct Calls or Jumps to Code Segments".
static struct segment_answer transfer_direct(const struct segment_cpu *cpu,
                                             const struct segment_descriptor *descriptor,
                                             struct far_pointer to, struct segment_transfer *out)
{
    struct segment *code = &out->code.segment;
    out->code = segment_loaded_from(to.selector, descriptor, TYPE_ACCESSED);
    out->offset = to.offset;
    unsigned dpl = segment_dpl(code);
    unsigned rpl = to.selector & SELECTOR_RPL;
    bool level = segment_is_conforming(code) ? dpl <= cpu->cpl : dpl == cpu->cpl && rpl <= cpu->cpl;
    struct segment_answer answer = segment_check_code(cpu, code, level);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    set_rpl(code, cpu->cpl);
    return segment_check_entry(cpu, code, out->offset);
}

// The code segment that a gate names. Execution may only move inwards, and by JMP not at all. In
// IA-32e mode it must be code of 64 bits; an interrupt of virtual-8086 mode ends in ring 0.
static struct segment_answer gate_code(const struct segment_cpu *cpu, const struct gate *gate,
                                       bool may_move, struct segment_transfer *out)
{
    struct segment_descriptor descriptor;
    struct segment *code = &out->code.segment;
    struct segment_answer answer =
        segment_fetch(cpu, gate->selector, SEGMENT_VECTOR_GP, &descriptor);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    out->code = segment_loaded_from(gate->selector, &descriptor, TYPE_ACCESSED);
    unsigned dpl = segment_dpl(code);
    bool conforming = segment_is_conforming(code);
    bool level = conforming || may_move ? dpl <= cpu->cpl : dpl == cpu->cpl;
    if (cpu->mode == CPU_MODE_V86) {
        level = dpl == 0 && !conforming;
    }
    bool width = !segment_is_ia32e(cpu) || segment_is_code64(cpu, code);
    answer = segment_check_code(cpu, code, level && width);
    unsigned level_after = conforming ? cpu->cpl : dpl;
    out->changes_level = level_after < cpu->cpl;
    set_rpl(code, level_after);
    return answer;
}

// Reads a field of the TSS: beyond its limit #TS with the TSS's selector.
static struct segment_answer read_tss(const struct segment_cpu *cpu, uint32_t offset, size_t len,
                                      uint64_t *out)
{
    if (offset + len - 1 > cpu->tr.limit) {
        return segment_raise(cpu, SEGMENT_VECTOR_TS, cpu->tr.selector);
    }
    if (!segment_read(cpu, cpu->tr.base + offset, len, out)) {
        return (struct segment_answer){.outcome = SEGMENT_UNREAD};
    }
    return segment_done();
}

// IA-32e mode: RSP from the TSS, and SS null at an inner level.
static struct segment_answer stack64(const struct segment_cpu *cpu, unsigned ist,
                                     struct segment_transfer *out)
{
    unsigned level = out->code.segment.selector & SELECTOR_RPL;
    uint32_t offset = ist != 0 ? TSS64_IST1 + 8 * (ist - 1) : TSS64_RSP0 + 8 * level;
    struct segment_answer answer = read_tss(cpu, offset, 8, &out->sp);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    out->stack.segment = segment_null_stack((uint16_t)level, level);
    bool canonical = mmu_is_canonical(out->sp, cpu->linear_bits);
    return canonical ? segment_done() : segment_raise(cpu, SEGMENT_VECTOR_SS, 0);
}

// Outside IA-32e mode: SS and SP from the TSS, whose own width decides where they stand.
static struct segment_answer stack32(const struct segment_cpu *cpu, struct segment_transfer *out)
{
    int type = segment_system_type(&cpu->tr);
    bool narrow = type == SYSTEM_TYPE_TSS16_BUSY || type == SYSTEM_TYPE_TSS16_AVAILABLE;
    unsigned level = out->code.segment.selector & SELECTOR_RPL;
    uint32_t size = narrow ? 2 : 4;
    uint32_t offset = narrow ? TSS16_SP0 + 4 * level : TSS32_ESP0 + 8 * level;
    struct segment_stack_rule rule = {.refusal = SEGMENT_VECTOR_TS, .level = level};
    uint64_t ss = 0;
    // The limit is checked for both at once: SS ends the pair.
    struct segment_answer answer = read_tss(cpu, offset + size, 2, &ss);
    if (answer.outcome == SEGMENT_DONE) {
        answer = read_tss(cpu, offset, size, &out->sp);
    }
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    return segment_load_stack(cpu, (uint16_t)ss, &rule, &out->stack);
}

// The code segment, the stack and the entry point of a call, interrupt or trap gate.
static struct segment_answer through_gate(const struct segment_cpu *cpu, const struct gate *gate,
                                          bool may_move, struct segment_transfer *out)
{
    struct segment_answer answer = gate_code(cpu, gate, may_move, out);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    out->gated = true;
    out->width = gate_width(cpu, gate->type);
    out->offset = out->width == 2 ? gate->offset & 0xFFFF : gate->offset;
    out->switches_stack = out->changes_level || gate->ist != 0;
    if (out->switches_stack) {
        answer = segment_is_ia32e(cpu) ? stack64(cpu, gate->ist, out) : stack32(cpu, out);
    }
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    return segment_check_entry(cpu, &out->code.segment, out->offset);
}

// A TSS as the end of a CALL, JMP or task gate: available, present and of the GDT.
static struct segment_answer check_task(const struct segment_cpu *cpu, uint16_t selector,
                                        const struct segment *tss, struct segment_transfer *out)
{
    int type = segment_system_type(tss);
    bool available = type == SYSTEM_TYPE_TSS_AVAILABLE || type == SYSTEM_TYPE_TSS16_AVAILABLE;
    if (!available || (selector & SELECTOR_LDT) != 0) {
        return segment_raise(cpu, SEGMENT_VECTOR_GP, selector);
    }
    if (!segment_is_present(tss)) {
        return segment_raise(cpu, SEGMENT_VECTOR_NP, selector);
    }
    out->task = selector;
    return (struct segment_answer){.outcome = SEGMENT_TASK_SWITCH};
}

static struct segment_answer through_task_gate(const struct segment_cpu *cpu,
                                               const struct gate *gate,
                                               struct segment_transfer *out)
{
    struct segment_descriptor descriptor;
    struct segment_answer answer =
        segment_fetch(cpu, gate->selector, SEGMENT_VECTOR_GP, &descriptor);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    struct segment tss = segment_from_descriptor(gate->selector, descriptor.low, 0);
    return check_task(cpu, gate->selector, &tss, out);
}

// Which system descriptors a far CALL or JMP may name. In IA-32e mode: the call gate of 64 bits.
static bool is_target_type(const struct segment_cpu *cpu, int type)
{
    switch (type) {
    case SYSTEM_TYPE_CALL_GATE:
        return true;
    case SYSTEM_TYPE_CALL_GATE16:
    case SYSTEM_TYPE_TASK_GATE:
    case SYSTEM_TYPE_TSS_AVAILABLE:
    case SYSTEM_TYPE_TSS16_AVAILABLE:
        return !segment_is_ia32e(cpu);
    default:
        return false;
    }
}

static struct segment_answer transfer_to_system(const struct segment_cpu *cpu,
                                                enum segment_transfer_kind kind, uint16_t selector,
                                                struct segment_descriptor *descriptor,
                                                struct segment_transfer *out)
{
    struct segment system = segment_from_descriptor(selector, descriptor->low, 0);
    unsigned dpl = segment_dpl(&system);
    int type = segment_system_type(&system);
    bool visible = cpu->cpl <= dpl && (unsigned)(selector & SELECTOR_RPL) <= dpl;
    if (!is_target_type(cpu, type) || !visible) {
        return segment_raise(cpu, SEGMENT_VECTOR_GP, selector);
    }
    if (type == SYSTEM_TYPE_TSS_AVAILABLE || type == SYSTEM_TYPE_TSS16_AVAILABLE) {
        return check_task(cpu, selector, &system, out);
    }
    if (!segment_is_present(&system)) {
        return segment_raise(cpu, SEGMENT_VECTOR_NP, selector);
    }
    struct segment_answer answer = segment_fetch_upper(cpu, selector, descriptor);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    struct gate gate = gate_from(descriptor);
    if (gate.type == SYSTEM_TYPE_TASK_GATE) {
        return through_task_gate(cpu, &gate, out);
    }
    gate.ist = 0; // those bits are the count, which IA-32e mode ignores
    answer = through_gate(cpu, &gate, kind == SEGMENT_CALL, out);
    out->num_parameters = out->changes_level && out->width < 8 ? gate.count : 0;
    return answer;
}

struct segment_answer segment_transfer(const struct segment_cpu *cpu,
                                       enum segment_transfer_kind kind, struct far_pointer to,
                                       struct segment_transfer *out)
{
    struct segment_descriptor descriptor;
    *out = (struct segment_transfer){.offset = to.offset};
    if (cpu->mode == CPU_MODE_REAL || cpu->mode == CPU_MODE_V86) {
        out->code.segment = cpu->mode == CPU_MODE_REAL ? segment_in_real_mode(&cpu->cs, to.selector)
                                                       : segment_in_v86_mode(to.selector);
        return segment_check_entry(cpu, &out->code.segment, to.offset);
    }
    struct segment_answer answer = segment_fetch(cpu, to.selector, SEGMENT_VECTOR_GP, &descriptor);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    struct segment segment = segment_from_descriptor(to.selector, descriptor.low, 0);
    return segment_system_type(&segment) < 0
               ? transfer_direct(cpu, &descriptor, to, out)
               : transfer_to_system(cpu, kind, to.selector, &descriptor, out);
}

// SDM 3A, "Error Code": the vector as an index into the IDT.
static struct segment_answer raise_idt(const struct segment_cpu *cpu, enum segment_vector vector,
                                       uint8_t index)
{
    uint32_t code = index * 8u | ERROR_IDT | (cpu->external ? ERROR_EXTERNAL : 0);
    return (struct segment_answer){SEGMENT_RAISES, (uint8_t)vector, code};
}

// The vector table of real mode: an offset and a selector each. SDM 3B, "Interrupt and Exception
// Handling" (8086 Emulation).
static struct segment_answer real_mode_interrupt(const struct segment_cpu *cpu,
                                                 const struct segment_interrupt *interrupt,
                                                 struct segment_transfer *out)
{
    uint32_t offset = interrupt->vector * 4u;
    uint64_t entry = 0;
    if (offset + 3 > interrupt->idt_limit) {
        return raise_idt(cpu, SEGMENT_VECTOR_GP, interrupt->vector);
    }
    if (!segment_read(cpu, interrupt->idt_base + offset, 4, &entry)) {
        return (struct segment_answer){.outcome = SEGMENT_UNREAD};
    }
    out->code.segment = segment_in_real_mode(&cpu->cs, (uint16_t)(entry >> 16));
    out->offset = entry & 0xFFFF;
    out->gated = true;
    out->width = 2;
    out->masks_interrupts = true;
    return segment_check_entry(cpu, &out->code.segment, out->offset);
}

static bool is_interrupt_type(const struct segment_cpu *cpu, const struct gate *gate, bool system)
{
    switch (gate->type) {
    case SYSTEM_TYPE_INTERRUPT_GATE:
    case SYSTEM_TYPE_TRAP_GATE:
        return system;
    case SYSTEM_TYPE_INTERRUPT_GATE16:
    case SYSTEM_TYPE_TRAP_GATE16:
    case SYSTEM_TYPE_TASK_GATE:
        return system && !segment_is_ia32e(cpu);
    case SYSTEM_TYPE_RESERVED_0:
    case SYSTEM_TYPE_TSS16_AVAILABLE:
    case SYSTEM_TYPE_LDT:
    case SYSTEM_TYPE_TSS16_BUSY:
    case SYSTEM_TYPE_CALL_GATE16:
    case SYSTEM_TYPE_RESERVED_8:
    case SYSTEM_TYPE_TSS_AVAILABLE:
    case SYSTEM_TYPE_RESERVED_A:
    case SYSTEM_TYPE_TSS_BUSY:
    case SYSTEM_TYPE_CALL_GATE:
    case SYSTEM_TYPE_RESERVED_D:
        break;
    }
    return false;
}

// The gate of an interrupt: 8 bytes, in IA-32e mode 16.
static struct segment_answer read_interrupt_gate(const struct segment_cpu *cpu,
                                                 const struct segment_interrupt *interrupt,
                                                 struct gate *out)
{
    bool ia32e = segment_is_ia32e(cpu);
    uint32_t size = ia32e ? 2 * DESCRIPTOR_SIZE : DESCRIPTOR_SIZE;
    uint32_t offset = interrupt->vector * size;
    struct segment_descriptor descriptor = {.linear = interrupt->idt_base + offset};
    if (offset + size - 1 > interrupt->idt_limit) {
        return raise_idt(cpu, SEGMENT_VECTOR_GP, interrupt->vector);
    }
    bool readable = segment_read(cpu, descriptor.linear, DESCRIPTOR_SIZE, &descriptor.low);
    if (readable && ia32e) {
        readable = segment_read(cpu, descriptor.linear + DESCRIPTOR_SIZE, DESCRIPTOR_SIZE,
                                &descriptor.high);
    }
    if (!readable) {
        return (struct segment_answer){.outcome = SEGMENT_UNREAD};
    }
    *out = gate_from(&descriptor);
    out->ist = ia32e ? out->ist : 0;
    bool system = (descriptor.low >> 44 & 1) == 0;
    if (!is_interrupt_type(cpu, out, system) || (interrupt->software && out->dpl < cpu->cpl)) {
        return raise_idt(cpu, SEGMENT_VECTOR_GP, interrupt->vector);
    }
    return out->present ? segment_done() : raise_idt(cpu, SEGMENT_VECTOR_NP, interrupt->vector);
}

struct segment_answer segment_interrupt(const struct segment_cpu *cpu,
                                        const struct segment_interrupt *interrupt,
                                        struct segment_transfer *out)
{
    struct gate gate;
    *out = (struct segment_transfer){0};
    if (cpu->mode == CPU_MODE_REAL) {
        return real_mode_interrupt(cpu, interrupt, out);
    }
    struct segment_answer answer = read_interrupt_gate(cpu, interrupt, &gate);
    if (answer.outcome != SEGMENT_DONE) {
        return answer;
    }
    if (gate.type == SYSTEM_TYPE_TASK_GATE) {
        return through_task_gate(cpu, &gate, out);
    }
    out->masks_interrupts =
        gate.type == SYSTEM_TYPE_INTERRUPT_GATE || gate.type == SYSTEM_TYPE_INTERRUPT_GATE16;
    return through_gate(cpu, &gate, true, out);
}
