#include "exception.h"

#include "segment_load.h"

enum {
    GATE_SIZE = 16,
    GATE_INTERRUPT = 14,
    GATE_TRAP = 15,
    ERROR_EXTERNAL = 1,
    ERROR_IDT = 2,
    TSS_RSP0 = 4,
    TSS_IST1 = 36,
};

#define DR7_GD UINT64_C(0x2000)

// A gate of IA-32e mode. SDM 3A, "64-Bit Mode IDT".
//
//  127   96 95            64 63          48 47 46 45 44 43 40 39 35 34 32 31      16 15         0
// | 0      | offset 63:32   | offset 31:16 | P | DPL | 0 |type| 0    | IST | selector | offset 15:0
// |
struct gate {
    uint64_t offset;
    uint16_t selector;
    unsigned type;
    unsigned dpl;
    unsigned ist;
    bool present;
};

static struct gate gate_from(uint64_t low, uint64_t high)
{
    return (struct gate){
        .offset = (low & 0xFFFF) | (low >> 32 & 0xFFFF0000) | high << 32,
        .selector = (uint16_t)(low >> 16),
        .type = low >> 40 & 0x1F,
        .dpl = low >> 45 & 3,
        .ist = low >> 32 & 7,
        .present = (low >> 47 & 1) != 0,
    };
}

static uint32_t external_bit(const struct exec *x)
{
    return x->external ? ERROR_EXTERNAL : 0;
}

static void read_gate(struct exec *x, const struct delivery *delivery, struct gate *out)
{
    uint32_t offset = delivery->exception.vector * (uint32_t)GATE_SIZE;
    uint32_t code = delivery->exception.vector * 8u | ERROR_IDT | external_bit(x);
    uint64_t linear = cpu_guest(x->cpu, IDTR_BASE) + offset;
    *out = (struct gate){0};
    if (offset + GATE_SIZE - 1 > cpu_guest(x->cpu, IDTR_LIMIT)) {
        exec_raise_code(x, VECTOR_GP, code);
        return;
    }
    uint64_t low = exec_load(x, ACCESS_SYSTEM, linear, 8);
    uint64_t high = exec_load(x, ACCESS_SYSTEM, linear + 8, 8);
    *out = gate_from(low, high);
    bool is_gate = out->type == GATE_INTERRUPT || out->type == GATE_TRAP;
    bool software = delivery->kind == DELIVERY_SOFTWARE;
    if (!is_gate || (software && out->dpl < cpu_cpl(x->cpu))) {
        exec_raise_code(x, VECTOR_GP, code);
    } else if (!out->present) {
        exec_raise_code(x, VECTOR_NP, code);
    }
}

// The handler's code segment, and the CPL it runs at. SDM 3A, "Protection of Exception- and
// Interrupt-Handler Procedures".
static unsigned read_handler_segment(struct exec *x, uint16_t selector, struct segment *out)
{
    unsigned cpl = cpu_cpl(x->cpu);
    uint32_t code = (selector & 0xFFFCu) | external_bit(x);
    if (!descriptor_read(x, selector, VECTOR_GP, out)) {
        return cpl;
    }
    unsigned dpl = segment_dpl(out);
    bool is_code64 = segment_is_code(out) && (out->access & SEGMENT_ACCESS_L) != 0 &&
                     (out->access & SEGMENT_ACCESS_DB) == 0;
    if (!is_code64 || dpl > cpl) {
        exec_raise_code(x, VECTOR_GP, code);
    } else if ((out->access & SEGMENT_ACCESS_P) == 0) {
        exec_raise_code(x, VECTOR_NP, code);
    }
    return segment_is_conforming(out) ? cpl : dpl;
}

// The stack that the handler starts with: from the TSS for an IST or an inner CPL.
static uint64_t handler_stack(struct exec *x, const struct gate *gate, unsigned cpl)
{
    uint32_t offset = gate->ist != 0 ? TSS_IST1 + 8 * (gate->ist - 1) : TSS_RSP0 + 8 * cpl;
    if (gate->ist == 0 && cpl == cpu_cpl(x->cpu)) {
        return cpu_guest(x->cpu, RSP);
    }
    if (offset + 7 > cpu_guest(x->cpu, TR_LIMIT)) {
        uint32_t selector = (uint32_t)cpu_guest(x->cpu, TR_SELECTOR) & 0xFFFC;
        exec_raise_code(x, VECTOR_TS, selector | external_bit(x));
        return 0;
    }
    uint64_t stack = exec_load(x, ACCESS_SYSTEM, cpu_guest(x->cpu, TR_BASE) + offset, 8);
    if (!cpu_is_canonical(x->cpu, stack)) {
        exec_raise_code(x, VECTOR_SS, external_bit(x));
    }
    return stack;
}

// SDM 3A, "RF": set in the image that a fault pushes, so that an instruction breakpoint does not
// strike again on return; not for #DB, whose handler decides.
static uint64_t pushed_rflags(const struct exec *x, const struct delivery *delivery)
{
    uint64_t rflags = cpu_guest(x->cpu, RFLAGS);
    bool fault = delivery->kind == DELIVERY_FAULT && delivery->exception.vector != VECTOR_DB;
    return fault ? rflags | RFLAGS_RF : rflags;
}

static void push_frame(struct exec *x, const struct delivery *delivery, uint64_t stack)
{
    uint64_t frame[6];
    size_t count = 0;
    if (delivery->exception.has_code) {
        frame[count++] = delivery->exception.code;
    }
    frame[count++] = delivery->return_rip;
    frame[count++] = cpu_guest(x->cpu, CS_SELECTOR);
    frame[count++] = pushed_rflags(x, delivery);
    frame[count++] = cpu_guest(x->cpu, RSP);
    frame[count++] = cpu_guest(x->cpu, SS_SELECTOR);
    stack = (stack & ~UINT64_C(15)) - 8 * count;
    exec_write(x, ACCESS_STACK, stack, frame, 8 * count);
    cpu_guest(x->cpu, RSP) = stack;
}

static void enter_handler(struct exec *x, const struct gate *gate, const struct segment *code,
                          unsigned cpl)
{
    struct cpu *cpu = x->cpu;
    struct segment loaded = *code;
    if (cpl != cpu_cpl(cpu)) {
        struct segment null = {.selector = (uint16_t)cpl,
                               .access = SEGMENT_ACCESS_UNUSABLE | cpl << 5};
        cpu_set_segment(cpu, SEG_SS, &null);
    }
    loaded.selector = (uint16_t)((gate->selector & 0xFFFC) | cpl);
    cpu_set_segment(cpu, SEG_CS, &loaded);
    cpu_guest(cpu, RIP) = gate->offset;
    uint64_t cleared = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM;
    cleared |= gate->type == GATE_INTERRUPT ? RFLAGS_IF : 0;
    cpu_guest(cpu, RFLAGS) &= ~cleared;
    cpu_guest(cpu, INTERRUPTIBILITY) &= ~BLOCKING;
    cpu_guest(cpu, ACTIVITY) = ACTIVITY_RUNS;
}

// SDM 3A, "Exception and Interrupt Handling in 64-bit Mode".
static void deliver_once(struct exec *x, const struct delivery *delivery)
{
    struct gate gate;
    struct segment code = {0};
    read_gate(x, delivery, &gate);
    unsigned cpl = read_handler_segment(x, gate.selector, &code);
    uint64_t stack = handler_stack(x, &gate, cpl);
    if (!cpu_is_canonical(x->cpu, gate.offset)) {
        exec_raise_code(x, VECTOR_GP, external_bit(x));
    }
    x->user = cpl == 3;
    push_frame(x, delivery, stack);
    descriptor_set_accessed(x, gate.selector, &code);
    if (!x->faulted) {
        enter_handler(x, &gate, &code, cpl);
    }
}

static bool is_contributory(uint8_t vector)
{
    return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

// SDM 3A, "Conditions for Generating a Double Fault".
static bool is_double_fault(const struct exception *first, const struct exception *second)
{
    if (first->vector == VECTOR_PF) {
        return second->vector == VECTOR_PF || is_contributory(second->vector);
    }
    return is_contributory(first->vector) && is_contributory(second->vector);
}

// What comes of a second exception during the delivery of now. False: shutdown.
static bool escalate(struct delivery *now, const struct exception *second, uint64_t rip)
{
    bool exception = now->kind == DELIVERY_FAULT || now->kind == DELIVERY_TRAP;
    if (exception && now->exception.vector == VECTOR_DF) {
        return false;
    }
    struct delivery next = {DELIVERY_FAULT, *second, rip};
    if (exception && is_double_fault(&now->exception, second)) {
        next.exception = (struct exception){.vector = VECTOR_DF, .has_code = true};
    }
    *now = next;
    return true;
}

// SDM 3A, "Interrupt 1—Debug Exception (#DB)": the handler may use the debug registers.
static void note_payload(struct cpu *cpu, const struct delivery *delivery)
{
    bool exception = delivery->kind == DELIVERY_FAULT || delivery->kind == DELIVERY_TRAP;
    if (exception && delivery->exception.vector == VECTOR_PF) {
        cpu->vmx.cr2 = delivery->exception.payload;
    }
    if (exception && delivery->exception.vector == VECTOR_DB) {
        cpu->vmx.dr6 |= delivery->exception.payload;
        cpu_guest(cpu, DR7) &= ~DR7_GD;
    }
}

void exception_deliver(struct machine *machine, struct cpu *cpu, const struct delivery *delivery)
{
    struct delivery now = *delivery;
    for (;;) {
        note_payload(cpu, &now);
        struct vmx_cpu before = cpu->vmx;
        struct exec x = exec_begin(machine, cpu);
        x.external = now.kind != DELIVERY_SOFTWARE;
        deliver_once(&x, &now);
        if (!x.faulted) {
            return;
        }
        cpu->vmx = before;
        if (!escalate(&now, &x.exception, cpu_guest(cpu, RIP))) {
            cpu->shut_down = true;
            return;
        }
    }
}
