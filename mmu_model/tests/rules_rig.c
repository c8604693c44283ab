#include "rows.h"

#include <stdio.h>
#include <string.h>

#include "rules_rig.h"

enum {
    NUM_COMBINATIONS = 3 * 32 * 2 * 4 * 4 * 4 * 4,
    MAX_COLUMNS = 8,
};

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

char kind_of(const struct combination *c)
{
    return kinds[c->type];
}

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
    out[1] = kind_of(c);
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

// A descriptor without a limit; as a gate it leads to where nothing is refused.
static uint64_t descriptor_of(const struct combination *c)
{
    uint64_t rights = c->type | c->dpl << 5 | (c->present ? 0x80 : 0);
    uint64_t fields = 0xFFFF | rights << 40;
    switch (kind_of(c)) {
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

void every_combination_has_its_verdict(void **state)
{
    const struct use *use = *state;
    for (unsigned n = 0; n < NUM_COMBINATIONS; n++) {
        check_combination(use, n);
    }
}
