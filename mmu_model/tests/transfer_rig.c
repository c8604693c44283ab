#include "rows.h"

#include "transfer_rig.h"

void rig_put_segments(struct segment_rig *rig)
{
    static const struct {
        uint16_t selector;
        uint64_t descriptor;
    } segments[] = {
        {0, UINT64_C(0x00409B000000FFFF)}, // no selector means it
        {CODE, UINT64_C(0x00409B000000FFFF)},
        {CODE64, UINT64_C(0x00AF9B000000FFFF)},
        {CODE3, UINT64_C(0x00CFFB000000FFFF)},
        {TSS, UINT64_C(0x0000890030000067)},
        {TSS_BUSY, UINT64_C(0x00008B0030000067)},
        {TSS_ABSENT, UINT64_C(0x0000090030000067)},
        {STACK, UINT64_C(0x00CF93000000FFFF)},
        {STACK_RO, UINT64_C(0x00CF91000000FFFF)},
        {STACK_ABSENT, UINT64_C(0x00CF13000000FFFF)},
        {STACK3, UINT64_C(0x00CFF3000000FFFF)},
        {CODE64_3, UINT64_C(0x00AFFB000000FFFF)},
        {CONFORMING, UINT64_C(0x00CF9F000000FFFF)},
        {CODE64_1, UINT64_C(0x00AFBB000000FFFF)},
        {STACK1, UINT64_C(0x00CFB3000000FFFF)},
        {FRESH, UINT64_C(0x00CF9A000000FFFF)},
    };
    for (size_t i = 0; i < ARRAY_LEN(segments); i++) {
        rig_put_gdt(rig, segments[i].selector, segments[i].descriptor);
    }
    rig_put(rig, RIG_LDT + 8, UINT64_C(0x0000890030000067), 8);
}

static void put_tss(struct segment_rig *rig, const struct transfer_case *c)
{
    uint16_t ss = c->tss_ss != 0 ? c->tss_ss : (uint16_t)STACK;
    uint64_t rsp0 = c->rsp0 != 0 ? c->rsp0 : (uint64_t)ESP0;
    rig->cpu.tr.access = c->tss16 ? 0x83 : 0x8B;
    rig->cpu.tr.base += c->shift;
    rig->cpu.tr.limit = c->tss_limit != 0 ? c->tss_limit : 0x67;
    if (c->tss16) {
        rig_put(rig, RIG_TSS + 2, rsp0, 2);
        rig_put(rig, RIG_TSS + 4, ss, 2);
        rig_put(rig, RIG_TSS + 6, ESP1, 2);
        rig_put(rig, RIG_TSS + 8, STACK1 | 1, 2);
        return;
    }
    rig_put(rig, RIG_TSS + 4, rsp0, 8);
    if (c->mode < CPU_MODE_LONG64) {
        rig_put(rig, RIG_TSS + 8, ss, 2);
        rig_put(rig, RIG_TSS + 12, ESP1, 4);
        rig_put(rig, RIG_TSS + 16, STACK1 | 1, 2);
        return;
    }
    rig_put(rig, RIG_TSS + 12, ESP1, 8);
    for (uint64_t ist = 1; ist <= 7; ist++) {
        rig_put(rig, RIG_TSS + 28 + 8 * ist, 0x1500 + ist, 8);
    }
}

static void put_gate(struct segment_rig *rig, const struct transfer_case *c)
{
    uint64_t idt_size = 8;
    rig_put_gdt(rig, GATE, c->low);
    rig_put_gdt(rig, GATE + 8, c->high);
    if (c->mode == CPU_MODE_REAL) {
        idt_size = 4;
    } else if (c->mode >= CPU_MODE_LONG64) {
        idt_size = 16;
    }
    rig_put(rig, RIG_IDT + VECTOR * idt_size, c->low, 8);
    rig_put(rig, RIG_IDT + VECTOR * idt_size + 8, c->high, 8);
}

static struct segment_answer transfer(struct segment_rig *rig, const struct transfer_case *c,
                                      struct segment_transfer *out)
{
    struct segment_interrupt interrupt = {
        .vector = VECTOR,
        .software = c->way == INT,
        .idt_base = RIG_IDT + c->shift,
        .idt_limit = c->idt_limit != 0 ? c->idt_limit : (uint32_t)IDT_LIMIT,
    };
    rig->cpu.external = c->way == EXTERNAL;
    if (c->way == INT || c->way == EXTERNAL) {
        return segment_interrupt(&rig->cpu, &interrupt, out);
    }
    return segment_transfer(&rig->cpu, c->way == CALL ? SEGMENT_CALL : SEGMENT_JMP, c->to, out);
}

struct segment_answer transfer_answer(const struct transfer_case *c, struct segment_transfer *out)
{
    struct segment_rig rig;
    rig_init(&rig, c->mode, c->cpl);
    rig_put_segments(&rig);
    put_tss(&rig, c);
    put_gate(&rig, c);
    rig.unreadable = c->unreadable;
    return transfer(&rig, c, out);
}

void check_paragraph(enum cpu_mode mode, uint16_t selector, const struct segment *code)
{
    assert_int_equal(code->selector, selector);
    assert_int_equal(code->base, selector * 16);
    assert_int_equal(code->limit, 0xFFFF);
    assert_int_equal(code->access, mode == CPU_MODE_REAL ? 0x9B : 0xF3);
}

static void check_destination(const struct transfer_case *c, const struct segment_transfer *out)
{
    if (c->mode == CPU_MODE_REAL || (c->mode == CPU_MODE_V86 && !c->gated)) {
        check_paragraph(c->mode, c->cs, &out->code.segment);
    }
    assert_int_equal(out->code.segment.selector, c->cs);
    assert_int_equal(out->offset, c->offset);
    assert_int_equal(out->gated, c->gated);
    assert_int_equal(out->width, c->width);
    assert_int_equal(out->changes_level, c->inner);
    assert_int_equal(out->switches_stack, c->inner || c->switches);
    assert_int_equal(out->sp, c->sp);
    assert_int_equal(out->num_parameters, c->params);
    assert_int_equal(out->masks_interrupts, c->masks);
    if (c->inner) {
        assert_int_equal(out->stack.segment.selector, c->ss);
        assert_int_equal(segment_dpl(&out->stack.segment), c->cs & 3);
    }
}

void check_transfer(void **state)
{
    const struct transfer_case *c = *state;
    struct segment_transfer out;

    struct segment_answer answer = transfer_answer(c, &out);

    assert_int_equal(answer.outcome, c->outcome);
    assert_int_equal(answer.vector, c->vector);
    assert_int_equal(answer.code, c->code);
    if (answer.outcome == SEGMENT_DONE) {
        check_destination(c, &out);
    } else if (answer.outcome == SEGMENT_TASK_SWITCH) {
        assert_int_equal(out.task, c->task);
    }
}
