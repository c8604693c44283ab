// Every combination of the rights in EPT entries, memory types, page sizes, capabilities and
// accesses, against truth tables.
//
// The oracle knows no walk: each entry by itself is fine, absent or bad, the first that is not fine
// decides, and if all are, their rights ANDed together are looked up. SDM 3C, "EPT
// Misconfigurations" and "EPT Violations".
#include "rows.h"

#include <string.h>

#include "ept_tables.h"
#include "tables.h"

enum {
    FINE = 'f',
    ABSENT_ENTRY = 'a',
    BAD = 'b',
    ALLOW = 'y',
    REFUSE = 'n',
    NUM_ENTRY_VERDICTS = 64,
    NUM_ACCESS_VERDICTS = 128,
    NUM_ACCESSES = 6,
};

struct rule {
    const char *when;
    char verdict;
};

// Each combination is matched by exactly one row (checked below).
// R, W, X, U: bits 0, 1, 2 and 10. MB: mode-based execute control; XO: execute-only pages exist.
// clang-format off
static const struct rule entry_rules[] = {
    // R W X U  MB XO
    {"0 0 0 0  - -", ABSENT_ENTRY},
    {"0 0 0 1  0 -", ABSENT_ENTRY},
    {"0 0 0 1  1 0", BAD},
    {"0 0 0 1  1 1", FINE},
    {"0 0 1 -  - 0", BAD},
    {"0 0 1 -  - 1", FINE},
    {"0 1 - -  - -", BAD},
    {"1 - - -  - -", FINE},
};

// kind: r, w, x: of memory; t: of a guest's table in a walk; p: of PDPTEs. who: the linear address
// is s supervisor-mode or u user-mode. R, W, X, U: all entries together. AD: the EPT has flags.
static const struct rule access_rules[] = {
    // kind who  R W X U  MB AD
    {"r -  1 - - -  - -", ALLOW},
    {"r -  0 - - -  - -", REFUSE},
    {"p -  1 - - -  - -", ALLOW},
    {"p -  0 - - -  - -", REFUSE},
    {"w -  - 1 - -  - -", ALLOW},
    {"w -  - 0 - -  - -", REFUSE},
    {"t -  1 - - -  - 0", ALLOW},
    {"t -  0 - - -  - 0", REFUSE},
    {"t -  1 1 - -  - 1", ALLOW},
    {"t -  1 0 - -  - 1", REFUSE},
    {"t -  0 - - -  - 1", REFUSE},
    {"x -  - - 1 -  0 -", ALLOW},
    {"x -  - - 0 -  0 -", REFUSE},
    {"x s  - - 1 -  1 -", ALLOW},
    {"x s  - - 0 -  1 -", REFUSE},
    {"x u  - - - 1  1 -", ALLOW},
    {"x u  - - - 0  1 -", REFUSE},
};

static const struct {
    char kind, who;
    struct ept_access want;
    uint32_t told;          // of the exit qualification: what the access was
    uint32_t told_with_flags;
} accesses[NUM_ACCESSES] = {
    {'r', 's', {MMU_ACCESS_READ, EPT_OF_LINEAR, false, false, false}, 0x181, 0x181},
    {'w', 'u', {MMU_ACCESS_WRITE, EPT_OF_LINEAR, true, false, false}, 0x382, 0x382},
    {'x', 's', {MMU_ACCESS_FETCH, EPT_OF_LINEAR, false, false, false}, 0x184, 0x184},
    {'x', 'u', {MMU_ACCESS_FETCH, EPT_OF_LINEAR, true, false, false}, 0x384, 0x384},
    {'t', 's', {MMU_ACCESS_READ, EPT_OF_TABLE, false, false, false}, 0x081, 0x083},
    {'p', 's', {MMU_ACCESS_READ, EPT_OF_PHYSICAL, false, false, false}, 0x001, 0x001},
};
// clang-format on

static const char kinds[] = "rwxtp";
static const char type_verdicts[] = {FINE, FINE, BAD, BAD, FINE, FINE, FINE, BAD}; // of a page
static char entry_verdicts[NUM_ENTRY_VERDICTS];
static char access_verdicts[sizeof(kinds) - 1]
                           [NUM_ACCESS_VERDICTS]; // by kind, then who and the bits

static bool rule_matches(const char *when, const char *values)
{
    for (; *when != 0; when++) {
        if (*when == ' ') {
            continue;
        }
        if (*when != '-' && *when != *values) {
            return false;
        }
        values++;
    }
    return true;
}

static char verdict_of(const struct rule *rules, size_t num_rules, const char *values)
{
    char verdict = 0;
    for (size_t i = 0; i < num_rules; i++) {
        if (rule_matches(rules[i].when, values)) {
            verdict = (char)(verdict == 0 ? rules[i].verdict : '?');
        }
    }
    return verdict;
}

// num_bits of value, from the highest, as '0' and '1'.
static char *spell(unsigned value, unsigned num_bits, char *out)
{
    while (num_bits-- > 0) {
        *out++ = (char)('0' + (value >> num_bits & 1));
    }
    return out;
}

static void expand_accesses(size_t kind)
{
    for (unsigned i = 0; i < NUM_ACCESS_VERDICTS; i++) {
        char values[16] = {kinds[kind], (i & 64) != 0 ? 'u' : 's'};
        *spell(i, 6, values + 2) = 0;
        access_verdicts[kind][i] = verdict_of(access_rules, ARRAY_LEN(access_rules), values);
    }
}

static int expand_rules(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NUM_ENTRY_VERDICTS; i++) {
        char values[8];
        *spell(i, 6, values) = 0;
        entry_verdicts[i] = verdict_of(entry_rules, ARRAY_LEN(entry_rules), values);
    }
    for (size_t kind = 0; kind < sizeof(kinds) - 1; kind++) {
        expand_accesses(kind);
    }
    return 0;
}

static void every_combination_is_matched_by_one_rule(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NUM_ENTRY_VERDICTS; i++) {
        assert_non_null(memchr("fab", entry_verdicts[i], 3));
    }
    for (unsigned i = 0; i < (sizeof(kinds) - 1) * NUM_ACCESS_VERDICTS; i++) {
        assert_non_null(
            memchr("yn", access_verdicts[i / NUM_ACCESS_VERDICTS][i % NUM_ACCESS_VERDICTS], 2));
    }
}

// One combination. rights: R, W, X, U from bit 3 down.
struct combination {
    unsigned leaf; // its level
    unsigned rights[EPT_LEVELS + 1];
    unsigned type;
    bool mode_based, execute_only, flags;
    uint64_t entry[EPT_LEVELS + 1];
};

static bool read_tables(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    const struct combination *c = context;
    uint64_t entry = c->entry[(guest_phys - EPT_TABLE(0)) >> 12];
    uint8_t *bytes = buffer;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(entry >> (8 * i));
    }
    return true;
}

static void make_entries(struct combination *c)
{
    for (unsigned level = c->leaf; level <= EPT_LEVELS; level++) {
        unsigned rights = c->rights[level];
        uint64_t entry = level > c->leaf ? EPT_TABLE(level - 1) : ETYPE(c->type);
        entry |= level == c->leaf && level > 1 ? EPS : 0;
        entry |= ((rights & 8) != 0 ? ER : 0) | ((rights & 4) != 0 ? EW : 0);
        entry |= ((rights & 2) != 0 ? EX : 0) | ((rights & 1) != 0 ? EXU : 0);
        c->entry[level] = entry;
    }
}

// The first verdict, from the root, that is not FINE; and the rights of all entries together.
static char verdict_of_entries(const struct combination *c, unsigned *out_rights)
{
    char verdicts[EPT_LEVELS + 2] = {0};
    size_t num = 0;
    *out_rights = 15;
    for (unsigned level = EPT_LEVELS; level >= c->leaf; level--) {
        unsigned index = c->rights[level] << 2 | (c->mode_based ? 2U : 0) | c->execute_only;
        verdicts[num++] = entry_verdicts[index];
        *out_rights &= c->rights[level];
    }
    if (verdicts[num - 1] == FINE) {
        verdicts[num - 1] = type_verdicts[c->type];
    }
    size_t num_fine = strspn(verdicts, "f");
    return (char)(num_fine == num ? FINE : verdicts[num_fine]);
}

static bool access_is_allowed(const struct combination *c, size_t access, unsigned rights)
{
    size_t kind = (size_t)(strchr(kinds, accesses[access].kind) - kinds);
    unsigned index =
        (accesses[access].who == 'u' ? 64U : 0) | rights << 2 | (c->mode_based ? 2U : 0) | c->flags;
    return access_verdicts[kind][index] == ALLOW;
}

static uint32_t expected_qualification(const struct combination *c, size_t access, unsigned rights)
{
    uint32_t told = c->flags ? accesses[access].told_with_flags : accesses[access].told;
    // Bits 5:3 are R, W and X; bit 6 is U, where there is mode-based control.
    return told | (rights >> 3 & 1) << 3 | (rights >> 2 & 1) << 4 | (rights >> 1 & 1) << 5 |
           (c->mode_based ? (rights & 1) << 6 : 0);
}

static void check_access(struct combination *c, size_t access, char verdict, unsigned rights)
{
    struct ept_registers registers = ept_default_registers();
    struct mmu_memory memory = {.read = read_tables, .context = c};
    struct ept_walk walk;
    registers.mode_based_execute = c->mode_based;
    registers.capabilities &= c->execute_only ? ~UINT64_C(0) : ~EPT_CAN_EXECUTE_ONLY;
    registers.eptp |= c->flags ? EPT_POINTER_AD : 0;
    bool expected = verdict == FINE && access_is_allowed(c, access, rights);

    bool allowed = ept_access(&registers, &memory, EPT_GUEST_PHYS, &accesses[access].want, &walk);

    assert_int_equal(allowed, expected);
    assert_int_equal(walk.valid, verdict == FINE);
    enum ept_exit exit = allowed          ? EPT_EXIT_NONE
                         : verdict == BAD ? EPT_EXIT_MISCONFIGURATION
                                          : EPT_EXIT_VIOLATION;
    assert_int_equal(ept_fault_exit(walk.fault), exit);
    if (exit == EPT_EXIT_VIOLATION) {
        unsigned left = verdict == FINE ? rights : 0;
        assert_int_equal(walk.qualification, expected_qualification(c, access, left));
    }
}

static void check_combination(struct combination *c)
{
    unsigned rights = 0;
    make_entries(c);
    char verdict = verdict_of_entries(c, &rights);
    for (size_t access = 0; access < NUM_ACCESSES; access++) {
        check_access(c, access, verdict, rights);
    }
}

struct shape {
    const char *name;
    unsigned leaf;
    bool merged; // the levels between leaf and root share their rights
    bool types;  // every memory type, or write-back only
};

static struct shape shapes[] = {
    {"4 KiB, all levels", 1, false, false},
    {"4 KiB, all memory types", 1, true, true},
    {"2 MiB, all memory types", 2, false, true},
    {"1 GiB, all memory types", 3, false, true},
};

// Takes the lowest num_bits of *axes.
static unsigned take(unsigned *axes, unsigned num_bits)
{
    unsigned bits = *axes & ((1U << num_bits) - 1);
    *axes >>= num_bits;
    return bits;
}

static void check_shape(void **state)
{
    const struct shape *shape = *state;
    unsigned num_entries = shape->merged ? 3 : EPT_LEVELS + 1 - shape->leaf;
    unsigned num_axes = 3 + (shape->types ? 3U : 0) + 4 * num_entries;
    struct combination c = {.leaf = shape->leaf};
    for (unsigned i = 0; i < 1U << num_axes; i++) {
        unsigned axes = i;
        unsigned rights = 0;
        c.mode_based = take(&axes, 1) != 0;
        c.execute_only = take(&axes, 1) != 0;
        c.flags = take(&axes, 1) != 0;
        c.type = shape->types ? take(&axes, 3) : 6;
        for (unsigned level = c.leaf; level <= EPT_LEVELS; level++) {
            bool shared = shape->merged && level > c.leaf + 1 && level < EPT_LEVELS;
            rights = shared ? rights : take(&axes, 4);
            c.rights[level] = rights;
        }
        check_combination(&c);
    }
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_is_matched_by_one_rule),
    };
    failures += cmocka_run_group_tests_name("rules", tests, expand_rules, NULL);
    RUN_ROWS(failures, "EPT permissions", shapes, check_shape);
    return failures;
}
