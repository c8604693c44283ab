// Every descriptor at every privilege, through every way to use it, against tables of verdicts.
//
// The oracle compares no levels and takes no rights apart: it spells out what a combination is, one
// column per property, and looks the verdict up. SDM 3A, "Privilege Levels" and what follows.
#include "rows.h"

#include <stdio.h>
#include <string.h>

#include "mmu_model/segment_check.h"
#include "mmu_model/segment_transfer.h"
#include "segment_rig.h"

enum {
    TESTED = 0x08,       // the selector whose descriptor is varied; its upper half is zero
    TSS_SELECTOR = 0x18, // an available TSS
    GATE = 0x20,         // a call gate to the tested descriptor; its upper half is zero
    CONFORMING = 0x38,   // a code segment that every level may enter and return to
    STACKS = 0x50,       // of ring 0, 1 and 2
    NUM_COMBINATIONS = 3 * 32 * 2 * 4 * 4 * 4 * 4,
    MAX_COLUMNS = 8,
};

// One descriptor and who looks at it.
struct combination {
    enum cpu_mode mode;
    unsigned type; // with S as bit 4
    bool present;
    unsigned dpl, rpl, cpl;
    unsigned width; // bit 0: D, bit 1: L
};

// One set of letters per column, or - for any:
//
//   mode   p protected, c compatibility, l 64-bit
//   kind   data: r read-only, w writable. code: x execute-only, X readable; conforming: c, C
//          system: L LDT, 1 3 TSS of 16 bits available and busy, 9 B of 32 or 64 bits, 4 and G call
//          gate of 16 bits and wider, 5 task gate, o any other
//   P      1, 0
//   CPL    below, at or above the DPL: < = >
//   RPL    below, at or above the DPL
//   RPL    below, at or above the CPL
//   width  n neither L nor D, d D, l L, b both
//   CPL    0, or n for any other
//
// Every combination is matched by exactly one row.
struct rule {
    const char *when;
    const char *verdict; // ok, task, or the exception with the selector's error code; GP0: with 0
};

struct use {
    const char *name;
    const struct rule *rules;
    size_t num_rules;
    struct segment_answer (*ask)(struct segment_rig *rig, const struct combination *c);
};

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

static char relation(unsigned a, unsigned b)
{
    if (a == b) {
        return '=';
    }
    return a < b ? '<' : '>';
}

// Letters of the 32 types, system types first.
static const char kinds[] = "o1L345oo"
                            "o9oBGooo"
                            "rrwwrrww"
                            "xxXXccCC";

static char mode_letter(enum cpu_mode mode)
{
    if (mode == CPU_MODE_PROT32) {
        return 'p';
    }
    return mode == CPU_MODE_LONG64 ? 'l' : 'c';
}

static void spell(const struct combination *c, char out[MAX_COLUMNS])
{
    out[0] = mode_letter(c->mode);
    out[1] = kinds[c->type];
    out[2] = c->present ? '1' : '0';
    out[3] = relation(c->cpl, c->dpl);
    out[4] = relation(c->rpl, c->dpl);
    out[5] = relation(c->rpl, c->cpl);
    out[6] = "ndlb"[c->width];
    out[7] = c->cpl == 0 ? '0' : 'n';
}

// Does the next set of letters hold this one?
static bool column_matches(const char **when, char value)
{
    bool found = false;
    *when += strspn(*when, " ");
    for (; **when != 0 && **when != ' '; (*when)++) {
        found = found || **when == '-' || **when == value;
    }
    return found;
}

static bool rule_matches(const char *when, const char columns[MAX_COLUMNS])
{
    bool matches = true;
    for (size_t i = 0; i < MAX_COLUMNS; i++) {
        matches = column_matches(&when, columns[i]) && matches;
    }
    return matches;
}

static const char *verdict_of(const struct use *use, const struct combination *c)
{
    char columns[MAX_COLUMNS];
    const char *verdict = NULL;
    size_t num_matches = 0;
    spell(c, columns);
    for (size_t i = 0; i < use->num_rules; i++) {
        if (rule_matches(use->rules[i].when, columns)) {
            verdict = use->rules[i].verdict;
            num_matches++;
        }
    }
    if (num_matches != 1) {
        fail_msg("%u rows match %.8s", (unsigned)num_matches, columns);
    }
    return verdict;
}

static struct combination combination_of(unsigned n)
{
    static const enum cpu_mode modes[] = {CPU_MODE_PROT32, CPU_MODE_LONG32, CPU_MODE_LONG64};
    return (struct combination){
        .type = n & 31,
        .present = (n >> 5 & 1) != 0,
        .dpl = n >> 6 & 3,
        .rpl = n >> 8 & 3,
        .cpl = n >> 10 & 3,
        .width = n >> 12 & 3,
        .mode = modes[n >> 14],
    };
}

static uint16_t tested_selector(const struct combination *c)
{
    return (uint16_t)(TESTED | c->rpl);
}

// A descriptor without a limit; as a gate it leads to where nothing is refused.
static uint64_t descriptor_of(const struct combination *c)
{
    uint64_t rights = c->type | c->dpl << 5 | (c->present ? 0x80 : 0);
    uint64_t fields = 0xFFFF | rights << 40;
    switch (kinds[c->type]) {
    case '4':
    case 'G':
        return fields | (uint64_t)CONFORMING << 16;
    case '5':
        return fields | (uint64_t)TSS_SELECTOR << 16;
    default:
        return fields | (c->width & UINT64_C(1)) << 54 | (c->width & UINT64_C(2)) << 52;
    }
}

static void put_surroundings(struct segment_rig *rig)
{
    rig_put_gdt(rig, CONFORMING, UINT64_C(0x00AF9F000000FFFF));
    rig_put_gdt(rig, TSS_SELECTOR, UINT64_C(0x0000890030000067));
    for (unsigned level = 0; level < 3; level++) {
        uint64_t dpl = (uint64_t)level << 45;
        rig_put_gdt(rig, (uint16_t)(STACKS + 8 * level), UINT64_C(0x00CF93000000FFFF) | dpl);
    }
    rig->cpu.tr = (struct segment){RIG_TR, 0x8B, 0x67, RIG_TSS};
    for (unsigned level = 0; level < 3; level++) {
        uint64_t stack = RIG_TSS + 4 + UINT64_C(8) * level;
        rig_put(rig, stack, UINT64_C(0x8000), 8);
        if (rig->cpu.mode == CPU_MODE_PROT32) {
            rig_put(rig, stack + 4, STACKS + 8 * level + level, 2);
        }
    }
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
    bool conforming = kinds[c->type] == 'c' || kinds[c->type] == 'C';
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

static const char *exception_name(uint8_t vector)
{
    switch (vector) {
    case SEGMENT_VECTOR_GP:
        return "GP";
    case SEGMENT_VECTOR_NP:
        return "NP";
    case SEGMENT_VECTOR_SS:
        return "SS";
    default:
        return "?";
    }
}

static void name_answer(struct segment_answer answer, bool external, char out[16])
{
    static const char *const outcomes[] = {"ok", "", "no", "task"};
    uint32_t with_selector = TESTED | (external ? 1 : 0);
    const char *code = "?";
    if (answer.outcome != SEGMENT_RAISES) {
        (void)snprintf(out, 16, "%s", outcomes[answer.outcome]);
        return;
    }
    if (answer.code == with_selector) {
        code = "";
    } else if (answer.code == (external ? 1U : 0U)) {
        code = "0";
    }
    (void)snprintf(out, 16, "%s%s", exception_name(answer.vector), code);
}

static void check_combination(const struct use *use, unsigned n)
{
    struct combination c = combination_of(n);
    struct segment_rig rig;
    char got[16];
    rig_init(&rig, c.mode, c.cpl);
    rig.cpu.external = (c.type & 1) != 0;
    put_surroundings(&rig);
    rig_put_gdt(&rig, TESTED, descriptor_of(&c));
    const char *want = verdict_of(use, &c);

    name_answer(use->ask(&rig, &c), rig.cpu.external, got);

    if (strcmp(got, want) != 0) {
        fail_msg("got %s, want %s: mode %d type %02X P %d DPL %u RPL %u CPL %u width %u", got, want,
                 (int)c.mode, c.type, c.present, c.dpl, c.rpl, c.cpl, c.width);
    }
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

static void every_combination_has_its_verdict(void **state)
{
    const struct use *use = *state;
    for (unsigned n = 0; n < NUM_COMBINATIONS; n++) {
        check_combination(use, n);
    }
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "segment rules", uses, every_combination_has_its_verdict);
    return failures;
}
