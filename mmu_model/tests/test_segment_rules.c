// Every descriptor at every privilege, through every way to use it, against tables of verdicts.
#include "rows.h"

#include "mmu_model/segment_check.h"
#include "mmu_model/segment_transfer.h"
#include "rules_rig.h"

#define USE(text, table, function)                                                                 \
    {                                                                                              \
        (text), (table), ARRAY_LEN(table), (function)                                              \
    }

// clang-format off
//     mode kind     P  C:D R:D R:C width CPL

static const struct rule data_rules[] = {
    {"- rwX           1  <=  <=  -   -    -", "ok"},
    {"- rwX           0  <=  <=  -   -    -", "NP"},
    {"- rwX           -  >   -   -   -    -", "GP"},
    {"- rwX           -  <=  >   -   -    -", "GP"},
    {"- C             1  -   -   -   -    -", "ok"},
    {"- C             0  -   -   -   -    -", "NP"},
    {"- xcL139B4G5o   -  -   -   -   -    -", "GP"},
};

static const struct rule stack_rules[] = {
    {"- w             1  =   =   -   -    -", "ok"},
    {"- w             0  =   =   -   -    -", "SS"},
    {"- w             -  <>  -   -   -    -", "GP"},
    {"- w             -  =   <>  -   -    -", "GP"},
    {"- rxXcCL139B4G5o - -   -   -   -    -", "GP"},
};

static const struct rule far_rules[] = {
    {"cl xXcC         -  -   -   -   b    -", "GP"},
    {"p  xX           1  =   -   <=  -    -", "ok"},
    {"cl xX           1  =   -   <=  ndl  -", "ok"},
    {"p  xX           0  =   -   <=  -    -", "NP"},
    {"cl xX           0  =   -   <=  ndl  -", "NP"},
    {"p  xX           -  <>  -   -   -    -", "GP"},
    {"cl xX           -  <>  -   -   ndl  -", "GP"},
    {"p  xX           -  =   -   >   -    -", "GP"},
    {"cl xX           -  =   -   >   ndl  -", "GP"},
    {"p  cC           1  =>  -   -   -    -", "ok"},
    {"cl cC           1  =>  -   -   ndl  -", "ok"},
    {"p  cC           0  =>  -   -   -    -", "NP"},
    {"cl cC           0  =>  -   -   ndl  -", "NP"},
    {"p  cC           -  <   -   -   -    -", "GP"},
    {"cl cC           -  <   -   -   ndl  -", "GP"},
    {"p  4G           1  <=  <=  -   -    -", "ok"},
    {"cl G            1  <=  <=  -   -    -", "ok"},
    {"p  195          1  <=  <=  -   -    -", "task"},
    {"p  4G195        0  <=  <=  -   -    -", "NP"},
    {"cl G            0  <=  <=  -   -    -", "NP"},
    {"p  4G195        -  >   -   -   -    -", "GP"},
    {"p  4G195        -  <=  >   -   -    -", "GP"},
    {"cl G            -  >   -   -   -    -", "GP"},
    {"cl G            -  <=  >   -   -    -", "GP"},
    {"cl 4195         -  -   -   -   -    -", "GP"},
    {"-  rwL3Bo       -  -   -   -   -    -", "GP"},
};

static const struct rule return_rules[] = {
    {"cl xXcC         -  -   -   -   b    -", "GP"},
    {"p  xX           1  -   =   =>  -    -", "ok"},
    {"cl xX           1  -   =   =>  ndl  -", "ok"},
    {"p  xX           0  -   =   =>  -    -", "NP"},
    {"cl xX           0  -   =   =>  ndl  -", "NP"},
    {"p  xX           -  -   <>  =>  -    -", "GP"},
    {"cl xX           -  -   <>  =>  ndl  -", "GP"},
    {"p  cC           1  -   =>  =>  -    -", "ok"},
    {"cl cC           1  -   =>  =>  ndl  -", "ok"},
    {"p  cC           0  -   =>  =>  -    -", "NP"},
    {"cl cC           0  -   =>  =>  ndl  -", "NP"},
    {"p  cC           -  -   <   =>  -    -", "GP"},
    {"cl cC           -  -   <   =>  ndl  -", "GP"},
    {"p  xXcC         -  -   -   <   -    -", "GP"},
    {"cl xXcC         -  -   -   <   ndl  -", "GP"},
    {"-  rwL139B4G5o  -  -   -   -   -    -", "GP"},
};

// What a gate leads to, by CALL and by an interrupt: inwards or conforming, never outwards.
static const struct rule inward_rules[] = {
    {"p  xXcC         1  =>  -   -   -    -", "ok"},
    {"p  xXcC         0  =>  -   -   -    -", "NP"},
    {"p  xXcC         -  <   -   -   -    -", "GP"},
    {"cl xXcC         1  =>  -   -   l    -", "ok"},
    {"cl xXcC         0  =>  -   -   l    -", "NP"},
    {"cl xXcC         -  <   -   -   l    -", "GP"},
    {"cl xXcC         -  -   -   -   ndb  -", "GP"},
    {"-  rwL139B4G5o  -  -   -   -   -    -", "GP"},
};

// By JMP: the level stays.
static const struct rule level_rules[] = {
    {"p  xX           1  =   -   -   -    -", "ok"},
    {"p  xX           0  =   -   -   -    -", "NP"},
    {"p  xX           -  <>  -   -   -    -", "GP"},
    {"p  cC           1  =>  -   -   -    -", "ok"},
    {"p  cC           0  =>  -   -   -    -", "NP"},
    {"p  cC           -  <   -   -   -    -", "GP"},
    {"cl xX           1  =   -   -   l    -", "ok"},
    {"cl xX           0  =   -   -   l    -", "NP"},
    {"cl xX           -  <>  -   -   l    -", "GP"},
    {"cl cC           1  =>  -   -   l    -", "ok"},
    {"cl cC           0  =>  -   -   l    -", "NP"},
    {"cl cC           -  <   -   -   l    -", "GP"},
    {"cl xXcC         -  -   -   -   ndb  -", "GP"},
    {"-  rwL139B4G5o  -  -   -   -   -    -", "GP"},
};

static const struct rule ldtr_rules[] = {
    {"-  -            -  -   -   -   -    n", "GP0"},
    {"-  L            1  -   -   -   -    0", "ok"},
    {"-  L            0  -   -   -   -    0", "NP"},
    {"-  rwxXcC139B4G5o - -  -   -   -    0", "GP"},
};

static const struct rule tr_rules[] = {
    {"-  -            -  -   -   -   -    n", "GP0"},
    {"p  19           1  -   -   -   -    0", "ok"},
    {"p  19           0  -   -   -   -    0", "NP"},
    {"cl 9            1  -   -   -   -    0", "ok"},
    {"cl 9            0  -   -   -   -    0", "NP"},
    {"cl 1            -  -   -   -   -    0", "GP"},
    {"-  rwxXcCL3B4G5o -  -  -   -   -    0", "GP"},
};

// LAR, LSL, VERR and VERW raise nothing: ok is ZF 1, no is ZF 0.
static const struct rule lar_rules[] = {
    {"-  cC           -  -   -   -   -    -", "ok"},
    {"p  rwxXL139B4G5 -  <=  <=  -   -    -", "ok"},
    {"p  rwxXL139B4G5 -  <=  >   -   -    -", "no"},
    {"p  rwxXL139B4G5 -  >   -   -   -    -", "no"},
    {"cl rwxXL9BG     -  <=  <=  -   -    -", "ok"},
    {"cl rwxXL9BG     -  <=  >   -   -    -", "no"},
    {"cl rwxXL9BG     -  >   -   -   -    -", "no"},
    {"cl 1345         -  -   -   -   -    -", "no"},
    {"-  o            -  -   -   -   -    -", "no"},
};

static const struct rule lsl_rules[] = {
    {"-  cC           -  -   -   -   -    -", "ok"},
    {"p  rwxXL139B    -  <=  <=  -   -    -", "ok"},
    {"p  rwxXL139B    -  <=  >   -   -    -", "no"},
    {"p  rwxXL139B    -  >   -   -   -    -", "no"},
    {"cl rwxXL9B      -  <=  <=  -   -    -", "ok"},
    {"cl rwxXL9B      -  <=  >   -   -    -", "no"},
    {"cl rwxXL9B      -  >   -   -   -    -", "no"},
    {"cl 13           -  -   -   -   -    -", "no"},
    {"-  4G5o         -  -   -   -   -    -", "no"},
};

static const struct rule verr_rules[] = {
    {"-  C            -  -   -   -   -    -", "ok"},
    {"-  rwX          -  <=  <=  -   -    -", "ok"},
    {"-  rwX          -  <=  >   -   -    -", "no"},
    {"-  rwX          -  >   -   -   -    -", "no"},
    {"-  xcL139B4G5o  -  -   -   -   -    -", "no"},
};

static const struct rule verw_rules[] = {
    {"-  w            -  <=  <=  -   -    -", "ok"},
    {"-  w            -  <=  >   -   -    -", "no"},
    {"-  w            -  >   -   -   -    -", "no"},
    {"-  rxXcCL139B4G5o - -  -   -   -    -", "no"},
};
// clang-format on

static uint16_t tested_selector(const struct combination *c)
{
    return (uint16_t)(TESTED | c->rpl);
}

static struct segment_answer ask_data(struct segment_rig *rig, const struct combination *c)
{
    struct segment_loaded loaded;
    struct segment_answer answer =
        segment_load(&rig->cpu, SEGMENT_REGISTER_FS, tested_selector(c), &rig->cpu.cs, &loaded);
    if (answer.outcome == SEGMENT_DONE) {
        assert_int_equal(loaded.segment.access & 0xFF,
                         c->type | 1 | c->dpl << 5 | SEGMENT_ACCESS_P);
        assert_int_equal(loaded.segment.selector, tested_selector(c));
        assert_int_equal(loaded.set, ~c->type & 1);
        assert_int_equal(loaded.linear, RIG_GDT + TESTED);
    }
    return answer;
}

static struct segment_answer ask_stack(struct segment_rig *rig, const struct combination *c)
{
    struct segment_loaded loaded;
    struct segment_answer answer =
        segment_load(&rig->cpu, SEGMENT_REGISTER_SS, tested_selector(c), &rig->cpu.cs, &loaded);
    if (answer.outcome == SEGMENT_DONE) {
        assert_int_equal(loaded.set, ~c->type & 1);
        assert_int_equal(segment_dpl(&loaded.segment), c->cpl);
    }
    return answer;
}

// An outer stack of a return: the level is that of the new code.
static struct segment_answer ask_return_stack(struct segment_rig *rig, const struct combination *c)
{
    struct segment_return out;
    struct segment_frame frame = {
        .cs = (uint16_t)(CONFORMING | c->cpl), .ss = tested_selector(c), .has_stack = true};
    rig->cpu.cpl = 0;
    return segment_return(&rig->cpu, &frame, &out);
}

// The answer of a transfer, whose code must be that of the CPL or, through a gate, the inner level.
static struct segment_answer check_transfer(struct segment_answer answer,
                                            const struct segment_transfer *out,
                                            const struct combination *c)
{
    bool conforming = kind_of(c) == 'c' || kind_of(c) == 'C';
    bool inner = out->gated && c->type >= 16 && !conforming && c->dpl < c->cpl;
    if (answer.outcome == SEGMENT_DONE) {
        assert_int_equal(out->code.segment.selector & 3, inner ? c->dpl : c->cpl);
        assert_int_equal(out->changes_level, inner);
        assert_int_equal(out->switches_stack, inner);
        assert_int_equal(out->sp, inner ? 0x8000 : 0);
        assert_int_equal(out->code.segment.access & 1, 1);
    }
    return answer;
}

static struct segment_answer ask_far(struct segment_rig *rig, const struct combination *c,
                                     enum segment_transfer_kind kind)
{
    struct segment_transfer out;
    struct far_pointer to = {tested_selector(c), 0x10};
    struct segment_answer answer = segment_transfer(&rig->cpu, kind, to, &out);
    if (answer.outcome == SEGMENT_TASK_SWITCH) {
        bool gate = c->type == SYSTEM_TYPE_TASK_GATE;
        assert_int_equal(out.task, gate ? (uint16_t)TSS_SELECTOR : to.selector);
    }
    return check_transfer(answer, &out, c);
}

static struct segment_answer ask_far_jmp(struct segment_rig *rig, const struct combination *c)
{
    return ask_far(rig, c, SEGMENT_JMP);
}

static struct segment_answer ask_far_call(struct segment_rig *rig, const struct combination *c)
{
    return ask_far(rig, c, SEGMENT_CALL);
}

// Through a gate that everybody sees; the RPL stands in the gate and means nothing.
static struct segment_answer ask_gate(struct segment_rig *rig, const struct combination *c,
                                      enum segment_transfer_kind kind)
{
    struct segment_transfer out;
    struct far_pointer to = {GATE, 0x10};
    uint64_t selector = tested_selector(c);
    rig_put_gdt(rig, GATE, UINT64_C(0x0000EC0000000010) | selector << 16);
    return check_transfer(segment_transfer(&rig->cpu, kind, to, &out), &out, c);
}

static struct segment_answer ask_call_gate(struct segment_rig *rig, const struct combination *c)
{
    return ask_gate(rig, c, SEGMENT_CALL);
}

static struct segment_answer ask_jmp_gate(struct segment_rig *rig, const struct combination *c)
{
    return ask_gate(rig, c, SEGMENT_JMP);
}

static struct segment_answer ask_interrupt(struct segment_rig *rig, const struct combination *c)
{
    struct segment_transfer out;
    struct segment_interrupt interrupt = {
        .vector = 3, .software = true, .idt_base = RIG_IDT, .idt_limit = 0xFF};
    uint64_t size = rig->cpu.mode == CPU_MODE_PROT32 ? 8 : 16;
    uint64_t selector = tested_selector(c);
    rig_put(rig, RIG_IDT + 3 * size, UINT64_C(0x0000EE0000000010) | selector << 16, 8);
    return check_transfer(segment_interrupt(&rig->cpu, &interrupt, &out), &out, c);
}

static struct segment_answer ask_return(struct segment_rig *rig, const struct combination *c)
{
    struct segment_return out;
    struct segment_frame frame = {.rip = 0x10, .cs = tested_selector(c)};
    struct segment_answer answer = segment_return(&rig->cpu, &frame, &out);
    if (answer.outcome == SEGMENT_DONE) {
        assert_int_equal(out.cpl, c->rpl);
        assert_int_equal(out.code.segment.selector, tested_selector(c));
        assert_int_equal(out.code.set, ~c->type & 1);
    }
    return answer;
}

static struct segment_answer ask_ldtr(struct segment_rig *rig, const struct combination *c)
{
    struct segment_loaded loaded;
    struct segment_answer answer = segment_load_ldtr(&rig->cpu, tested_selector(c), &loaded);
    if (answer.outcome == SEGMENT_DONE) {
        assert_int_equal(loaded.set, 0);
        assert_int_equal(loaded.segment.selector, tested_selector(c));
    }
    return answer;
}

static struct segment_answer ask_tr(struct segment_rig *rig, const struct combination *c)
{
    struct segment_loaded loaded;
    struct segment_answer answer = segment_load_tr(&rig->cpu, tested_selector(c), &loaded);
    if (answer.outcome == SEGMENT_DONE) {
        assert_int_equal(loaded.set, 2);
        assert_int_equal(loaded.segment.access & SEGMENT_ACCESS_TYPE, c->type | 2);
    }
    return answer;
}

static struct segment_answer ask_query(struct segment_rig *rig, const struct combination *c,
                                       enum segment_query query)
{
    bool zf = false;
    uint32_t out = 0;
    struct segment_answer answer = segment_query(&rig->cpu, query, tested_selector(c), &zf, &out);
    assert_int_equal(answer.outcome, SEGMENT_DONE);
    if (!zf) {
        answer.outcome = SEGMENT_UNREAD; // stands for "no" here
    }
    return answer;
}

static struct segment_answer ask_lar(struct segment_rig *rig, const struct combination *c)
{
    return ask_query(rig, c, SEGMENT_LAR);
}

static struct segment_answer ask_lsl(struct segment_rig *rig, const struct combination *c)
{
    return ask_query(rig, c, SEGMENT_LSL);
}

static struct segment_answer ask_verr(struct segment_rig *rig, const struct combination *c)
{
    return ask_query(rig, c, SEGMENT_VERR);
}

static struct segment_answer ask_verw(struct segment_rig *rig, const struct combination *c)
{
    return ask_query(rig, c, SEGMENT_VERW);
}

static struct use uses[] = {
    USE("MOV to a data segment register", data_rules, ask_data),
    USE("MOV to SS", stack_rules, ask_stack),
    USE("SS of a return to an outer level", stack_rules, ask_return_stack),
    USE("far JMP", far_rules, ask_far_jmp),
    USE("far CALL", far_rules, ask_far_call),
    USE("CALL through a gate", inward_rules, ask_call_gate),
    USE("JMP through a gate", level_rules, ask_jmp_gate),
    USE("an interrupt", inward_rules, ask_interrupt),
    USE("CS of a return", return_rules, ask_return),
    USE("LLDT", ldtr_rules, ask_ldtr),
    USE("LTR", tr_rules, ask_tr),
    USE("LAR", lar_rules, ask_lar),
    USE("LSL", lsl_rules, ask_lsl),
    USE("VERR", verr_rules, ask_verr),
    USE("VERW", verw_rules, ask_verw),
};

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "segment rules", uses, every_combination_has_its_verdict);
    return failures;
}
