#include "segment_load.h"

// The registers have the same numbers here and there.
_Static_assert((int)SEG_ES == (int)SEGMENT_REGISTER_ES, "ES");
_Static_assert((int)SEG_CS == (int)SEGMENT_REGISTER_CS, "CS");
_Static_assert((int)SEG_SS == (int)SEGMENT_REGISTER_SS, "SS");
_Static_assert((int)SEG_GS == (int)SEGMENT_REGISTER_GS, "GS");

static bool read_table(void *context, uint64_t linear, void *buffer, size_t len)
{
    return exec_read(context, ACCESS_SYSTEM, linear, buffer, len);
}

struct segment_cpu exec_segment_cpu(struct exec *x)
{
    const struct cpu *cpu = x->cpu;
    struct segment_cpu out = {
        .mode = cpu_mode_of(cpu_guest(cpu, CR0), cpu_guest(cpu, IA32_EFER), cpu_guest(cpu, RFLAGS),
                            (uint32_t)cpu_guest(cpu, CS_ACCESS)),
        .cpl = cpu_cpl(cpu),
        .linear_bits = cpu_linear_bits(cpu),
        .external = x->external,
        .gdt_base = cpu_guest(cpu, GDTR_BASE),
        .gdt_limit = (uint32_t)cpu_guest(cpu, GDTR_LIMIT),
        .read = read_table,
        .context = x,
    };
    cpu_segment(cpu, SEG_CS, &out.cs);
    cpu_segment(cpu, SEG_LDTR, &out.ldtr);
    cpu_segment(cpu, SEG_TR, &out.tr);
    return out;
}

bool exec_settle(struct exec *x, struct segment_answer answer)
{
    switch (answer.outcome) {
    case SEGMENT_DONE:
    case SEGMENT_UNREAD: // the read has raised it
        break;
    case SEGMENT_RAISES:
        if (answer.vector == SEGMENT_VECTOR_UD) {
            exec_raise(x, VECTOR_UD);
            break;
        }
        exec_raise_code(x, (enum vector)answer.vector, answer.code);
        break;
    case SEGMENT_TASK_SWITCH:
        x->unsupported = "a task switch";
        return false;
    }
    return !x->faulted;
}

void exec_set_descriptor_flag(struct exec *x, const struct segment_loaded *loaded)
{
    if (loaded->set == 0) {
        return;
    }
    uint64_t rights = exec_load(x, ACCESS_SYSTEM, loaded->linear + 5, 1);
    exec_store(x, ACCESS_SYSTEM, loaded->linear + 5, 1, rights | loaded->set);
}

// Ends a load: the descriptor's flag, then the register.
static void finish_load(struct exec *x, enum segment_index index, struct segment_answer answer,
                        const struct segment_loaded *loaded)
{
    if (!exec_settle(x, answer)) {
        return;
    }
    exec_set_descriptor_flag(x, loaded);
    if (!x->faulted) {
        cpu_set_segment(x->cpu, index, &loaded->segment);
    }
}

void exec_load_segment(struct exec *x, enum segment_index index, uint16_t selector)
{
    struct segment_cpu cpu = exec_segment_cpu(x);
    struct segment old;
    struct segment_loaded loaded;
    cpu_segment(x->cpu, index, &old);
    struct segment_answer answer =
        segment_load(&cpu, (enum segment_register)index, selector, &old, &loaded);
    finish_load(x, index, answer, &loaded);
}

void exec_load_ldtr(struct exec *x, uint16_t selector)
{
    struct segment_cpu cpu = exec_segment_cpu(x);
    struct segment_loaded loaded;
    struct segment_answer answer = segment_load_ldtr(&cpu, selector, &loaded);
    finish_load(x, SEG_LDTR, answer, &loaded);
}

void exec_load_tr(struct exec *x, uint16_t selector)
{
    struct segment_cpu cpu = exec_segment_cpu(x);
    struct segment_loaded loaded;
    struct segment_answer answer = segment_load_tr(&cpu, selector, &loaded);
    finish_load(x, SEG_TR, answer, &loaded);
}

// After a return to an outer level no data segment of an inner one stays loaded.
static void drop_inner_segments(struct cpu *cpu, unsigned cpl)
{
    static const enum segment_index data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    static const struct segment null = {.access = SEGMENT_ACCESS_UNUSABLE};
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        struct segment segment;
        cpu_segment(cpu, data[i], &segment);
        if (!segment_survives(&segment, cpl)) {
            cpu_set_segment(cpu, data[i], &null);
        }
    }
}

void exec_return(struct exec *x, const struct segment_frame *frame, uint64_t rsp)
{
    struct segment_cpu cpu = exec_segment_cpu(x);
    struct segment_return to;
    if (x->faulted || !exec_settle(x, segment_return(&cpu, frame, &to))) {
        return;
    }
    exec_set_descriptor_flag(x, &to.stack);
    exec_set_descriptor_flag(x, &to.code);
    if (x->faulted) {
        return;
    }
    cpu_set_segment(x->cpu, SEG_CS, &to.code.segment);
    cpu_guest(x->cpu, RIP) = to.rip;
    if (frame->has_stack) {
        cpu_set_segment(x->cpu, SEG_SS, &to.stack.segment);
        cpu_guest(x->cpu, RSP) = rsp;
    }
    if (to.cpl > cpu.cpl) {
        drop_inner_segments(x->cpu, to.cpl);
    }
}
