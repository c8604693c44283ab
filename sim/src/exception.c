#include "exception.h"

#include "segment_load.h"

#define DR7_GD UINT64_C(0x2000)

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

static void enter_handler(struct exec *x, const struct segment_transfer *handler)
{
    struct cpu *cpu = x->cpu;
    if (handler->changes_level) {
        cpu_set_segment(cpu, SEG_SS, &handler->stack.segment);
    }
    cpu_set_segment(cpu, SEG_CS, &handler->code.segment);
    cpu_guest(cpu, RIP) = handler->offset;
    uint64_t cleared = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM;
    cleared |= handler->masks_interrupts ? RFLAGS_IF : 0;
    cpu_guest(cpu, RFLAGS) &= ~cleared;
    cpu_guest(cpu, INTERRUPTIBILITY) &= ~BLOCKING;
    cpu_guest(cpu, ACTIVITY) = ACTIVITY_RUNS;
}

// SDM 3A, "Exception and Interrupt Handling in 64-bit Mode".
static void deliver_once(struct exec *x, const struct delivery *delivery)
{
    struct segment_cpu cpu = exec_segment_cpu(x);
    struct segment_transfer handler;
    struct segment_interrupt interrupt = {
        .vector = delivery->exception.vector,
        .software = delivery->kind == DELIVERY_SOFTWARE,
        .idt_base = cpu_guest(x->cpu, IDTR_BASE),
        .idt_limit = (uint32_t)cpu_guest(x->cpu, IDTR_LIMIT),
    };
    if (!exec_settle(x, segment_interrupt(&cpu, &interrupt, &handler))) {
        return;
    }
    x->user = x->user && !handler.changes_level;
    push_frame(x, delivery, handler.switches_stack ? handler.sp : cpu_guest(x->cpu, RSP));
    exec_set_descriptor_flag(x, &handler.code);
    if (!x->faulted) {
        enter_handler(x, &handler);
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

#define DR6_NO_RTM UINT64_C(0x10000) // the exception came outside an RTM region

// SDM 3A, "Interrupt 1—Debug Exception (#DB)": the handler may use the debug registers.
static void note_payload(struct cpu *cpu, const struct delivery *delivery)
{
    bool exception = delivery->kind == DELIVERY_FAULT || delivery->kind == DELIVERY_TRAP;
    if (exception && delivery->exception.vector == VECTOR_PF) {
        cpu->vmx.cr2 = delivery->exception.payload;
    }
    if (exception && delivery->exception.vector == VECTOR_DB) {
        cpu->vmx.dr6 |= delivery->exception.payload | DR6_NO_RTM;
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
