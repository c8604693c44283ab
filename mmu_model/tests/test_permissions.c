// Every legal combination of entry bits, control bits and access, against a truth table.
//
// The oracle knows no levels and no walk: it ANDs and ORs the bits of all entries into three
// columns and looks the answer up. SDM 3A, "Access Rights" and "Protection Keys".
#include "rows.h"

#include <string.h>

#include "tables.h"

enum {
    NUM_VERDICTS = 512, // who 1, kind 2, U W X 3, WP SMEP SMAP 3
    NUM_ACCESSES = 8,
    ALLOW = 'a',
    REFUSE = 'r',
};

// who: s supervisor, u user; kind: r w x. U, W, X: the page is a user page, writable, not to be
// executed. WP, SMEP: the control bits; SMAP: CR4.SMAP binds this access, as AC does not lift it.
// 0, 1, or - for either. Every combination is matched by exactly one row (checked below).
struct rule {
    const char *when;
    char verdict;
};

// clang-format off
static const struct rule rules[] = {
    // who kind  U W X  WP SMEP SMAP
    {"s r  0 - -  - - -", ALLOW},
    {"s r  1 - -  - - 0", ALLOW},
    {"s r  1 - -  - - 1", REFUSE},
    {"s w  0 - -  0 - -", ALLOW},
    {"s w  0 1 -  1 - -", ALLOW},
    {"s w  0 0 -  1 - -", REFUSE},
    {"s w  1 - -  0 - 0", ALLOW},
    {"s w  1 1 -  1 - 0", ALLOW},
    {"s w  1 0 -  1 - 0", REFUSE},
    {"s w  1 - -  - - 1", REFUSE},
    {"s x  0 - 0  - - -", ALLOW},
    {"s x  0 - 1  - - -", REFUSE},
    {"s x  1 - 0  - 0 -", ALLOW},
    {"s x  1 - 1  - 0 -", REFUSE},
    {"s x  1 - -  - 1 -", REFUSE},
    {"u r  1 - -  - - -", ALLOW},
    {"u r  0 - -  - - -", REFUSE},
    {"u w  1 1 -  - - -", ALLOW},
    {"u w  1 0 -  - - -", REFUSE},
    {"u w  0 - -  - - -", REFUSE},
    {"u x  1 - 0  - - -", ALLOW},
    {"u x  1 - 1  - - -", REFUSE},
    {"u x  0 - -  - - -", REFUSE},
};

// Protection keys refuse data accesses only. KE: CR4.PKE for a user page, CR4.PKS for a
// supervisor page; AD, WD: the key's bits in PKRU or IA32_PKRS.
//                       who kind KE AD WD WP
static const struct rule key_rules[] = {
    {"- x  - - -  -", ALLOW},
    {"- r  0 - -  -", ALLOW},
    {"- w  0 - -  -", ALLOW},
    {"- r  1 0 -  -", ALLOW},
    {"- r  1 1 -  -", REFUSE},
    {"- w  1 1 -  -", REFUSE},
    {"- w  1 0 0  -", ALLOW},
    {"u w  1 0 1  -", REFUSE},
    {"s w  1 0 1  1", REFUSE},
    {"s w  1 0 1  0", ALLOW},
};

static const struct mmu_access accesses[NUM_ACCESSES] = {
    {.kind = MMU_ACCESS_READ}, {.kind = MMU_ACCESS_READ, .implicit = true},
    {.kind = MMU_ACCESS_READ, .user = true},
    {.kind = MMU_ACCESS_WRITE}, {.kind = MMU_ACCESS_WRITE, .implicit = true},
    {.kind = MMU_ACCESS_WRITE, .user = true},
    {.kind = MMU_ACCESS_FETCH}, {.kind = MMU_ACCESS_FETCH, .user = true},
};
// clang-format on

// The rules spelled out once, indexed by combination.
static char verdicts[NUM_VERDICTS];
static char key_verdicts[NUM_VERDICTS];

static bool column_matches(char column, char value)
{
    return column == '-' || column == value;
}

static bool rule_matches(const char *when, const char *values)
{
    for (; *when != 0; when++) {
        if (*when != ' ' && !column_matches(*when, *values++)) {
            return false;
        }
    }
    return true;
}

// The columns of combination: who, kind, then the bits from the highest.
static void spell(unsigned combination, unsigned num_bits, char *out)
{
    *out++ = (combination >> (num_bits + 2) & 1) != 0 ? 'u' : 's';
    *out++ = "rwx?"[combination >> num_bits & 3];
    while (num_bits-- > 0) {
        *out++ = (combination >> num_bits & 1) != 0 ? '1' : '0';
    }
    *out = 0;
}

// The verdict of the one row that matches; '?' when several do, 0 when none does.
static char verdict_of(const struct rule *rows, size_t num_rows, const char *values)
{
    char verdict = 0;
    for (size_t row = 0; row < num_rows; row++) {
        if (rule_matches(rows[row].when, values)) {
            verdict = (char)(verdict == 0 ? rows[row].verdict : '?');
        }
    }
    return verdict;
}

static void expand(const struct rule *rows, size_t num_rows, unsigned num_bits, char *out)
{
    for (unsigned i = 0; i < 1U << (num_bits + 3); i++) {
        char values[16];
        spell(i, num_bits, values);
        out[i] = verdict_of(rows, num_rows, values);
    }
}

static int expand_rules(void **state)
{
    (void)state;
    expand(rules, ARRAY_LEN(rules), 6, verdicts);
    expand(key_rules, ARRAY_LEN(key_rules), 4, key_verdicts);
    return 0;
}

static void every_combination_is_matched_by_one_rule(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NUM_VERDICTS; i++) {
        bool kind_exists = (i >> 6 & 3) != 3;
        assert_true(!kind_exists || verdicts[i] == ALLOW || verdicts[i] == REFUSE);
    }
    for (unsigned i = 0; i < NUM_VERDICTS / 4; i++) {
        bool kind_exists = (i >> 4 & 3) != 3;
        assert_true(!kind_exists || key_verdicts[i] == ALLOW || key_verdicts[i] == REFUSE);
    }
}

// What one combination is made of.
struct combination {
    struct mmu_registers registers;
    uint64_t entry[MAX_LEVEL + 1];
    bool user_page, writable, no_execute; // of all entries together
    struct mmu_access want;
};

static bool read_tables(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    const struct combination *c = context;
    uint64_t entry = c->entry[guest_phys >> 12];
    uint8_t *bytes = buffer;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(entry >> (8 * i));
    }
    return true;
}

static unsigned set_if(bool condition, unsigned bit)
{
    return condition ? bit : 0;
}

static bool rights_allow(const struct combination *c)
{
    bool ac_lifts = (c->registers.rflags & MMU_RFLAGS_AC) != 0 && !c->want.implicit;
    bool smap = (c->registers.cr4 & MMU_CR4_SMAP) != 0 && !ac_lifts;
    unsigned index = set_if(c->want.user, 256) | (unsigned)c->want.kind << 6 |
                     set_if(c->user_page, 32) | set_if(c->writable, 16) | set_if(c->no_execute, 8) |
                     set_if((c->registers.cr0 & MMU_CR0_WP) != 0, 4) |
                     set_if((c->registers.cr4 & MMU_CR4_SMEP) != 0, 2) | set_if(smap, 1);
    return verdicts[index] == ALLOW;
}

static bool key_allows(const struct combination *c)
{
    unsigned key = (unsigned)(c->entry[1] >> 59 & 15);
    uint64_t enable = c->user_page ? MMU_CR4_PKE : MMU_CR4_PKS;
    uint32_t rights = c->user_page ? c->registers.pkru : c->registers.pkrs;
    unsigned index =
        set_if(c->want.user, 64) | (unsigned)c->want.kind << 4 |
        set_if((c->registers.cr4 & enable) != 0, 8) | set_if((rights >> (2 * key) & 1) != 0, 4) |
        set_if((rights >> (2 * key) & 2) != 0, 2) | set_if((c->registers.cr0 & MMU_CR0_WP) != 0, 1);
    return key_verdicts[index] == ALLOW;
}

static uint32_t expected_code(const struct combination *c, bool reserved)
{
    bool nxe = (c->registers.efer & MMU_EFER_NXE) != 0 && (c->registers.cr4 & MMU_CR4_PAE) != 0;
    bool reported = nxe || (c->registers.cr4 & MMU_CR4_SMEP) != 0;
    return 0x01 | set_if(c->want.kind == MMU_ACCESS_WRITE, 0x02) | set_if(c->want.user, 0x04) |
           set_if(reserved, 0x08) | set_if(c->want.kind == MMU_ACCESS_FETCH && reported, 0x10) |
           set_if(!reserved && !key_allows(c), 0x20);
}

static void check_combination(struct combination *c, uint64_t linear)
{
    struct mmu_memory memory = {.read = read_tables, .context = c};
    struct mmu_walk walk;
    bool nxe = (c->registers.efer & MMU_EFER_NXE) != 0;
    bool reserved = c->no_execute && !nxe;
    bool expected = !reserved && rights_allow(c) && key_allows(c);

    bool allowed = mmu_access(&c->registers, &memory, linear, &c->want, &walk);

    assert_int_equal(allowed, expected);
    assert_int_equal(walk.valid, !reserved);
    if (!allowed) {
        assert_int_equal(walk.error_code, expected_code(c, reserved));
        return;
    }
    assert_int_equal(walk.writable, c->writable);
    assert_int_equal(walk.user, c->user_page);
    assert_int_equal(walk.no_execute, c->no_execute);
}

// A shape of page: from which level entries have rights, and where the leaf is.
struct shape {
    const char *name;
    enum mmu_mode mode;
    unsigned top, leaf;
    bool merged; // the levels between top and leaf share their bits
};

static struct shape shapes[] = {
    {"4-level, 4 KiB", MMU_MODE_4LEVEL, 4, 1, false},
    {"4-level, 2 MiB", MMU_MODE_4LEVEL, 4, 2, false},
    {"4-level, 1 GiB", MMU_MODE_4LEVEL, 4, 3, false},
    {"5-level, 4 KiB", MMU_MODE_5LEVEL, 5, 1, true},
    {"5-level, 2 MiB", MMU_MODE_5LEVEL, 5, 2, true},
    {"5-level, 1 GiB", MMU_MODE_5LEVEL, 5, 3, false},
    {"PAE, 4 KiB", MMU_MODE_PAE, 2, 1, false},
    {"PAE, 2 MiB", MMU_MODE_PAE, 2, 2, false},
    {"32-bit, 4 KiB", MMU_MODE_32BIT, 2, 1, false},
    {"32-bit, 4 MiB", MMU_MODE_32BIT, 2, 2, false},
};

// Takes the lowest num_bits of *axes.
static unsigned take(unsigned *axes, unsigned num_bits)
{
    unsigned bits = *axes & ((1U << num_bits) - 1);
    *axes >>= num_bits;
    return bits;
}

static unsigned bits_per_entry(const struct shape *shape)
{
    return shape->mode == MMU_MODE_32BIT ? 2 : 3; // RW, US, and NX where entries have 8 bytes
}

static unsigned num_entries(const struct shape *shape)
{
    return shape->merged ? 3 : shape->top - shape->leaf + 1;
}

// Bit 0 RW, bit 1 US, bit 2 NX.
static uint64_t entry_with(const struct shape *shape, unsigned level, unsigned rights)
{
    bool large = level > 1 && level == shape->leaf;
    uint64_t entry = P | (large ? PS : TABLE_PHYS(level - 1));
    entry |= (rights & 1) != 0 ? RW : 0;
    entry |= (rights & 2) != 0 ? US : 0;
    return entry | ((rights & 4) != 0 ? NX : 0);
}

// The rights of every entry, from the lowest axes.
static void set_entries(const struct shape *shape, unsigned *axes, struct combination *out)
{
    unsigned rights = 0;
    out->user_page = true;
    out->writable = true;
    out->no_execute = false;
    for (unsigned level = shape->leaf; level <= shape->top; level++) {
        bool shared = shape->merged && level > shape->leaf + 1 && level < shape->top;
        rights = shared ? rights : take(axes, bits_per_entry(shape));
        out->entry[level] = entry_with(shape, level, rights);
        out->writable = out->writable && (rights & 1) != 0;
        out->user_page = out->user_page && (rights & 2) != 0;
        out->no_execute = out->no_execute || (rights & 4) != 0;
    }
}

static struct mmu_registers set_controls(const struct mmu_registers *base, unsigned *axes)
{
    struct mmu_registers registers = *base;
    registers.cr0 |= take(axes, 1) != 0 ? MMU_CR0_WP : 0;
    registers.cr4 |= take(axes, 1) != 0 ? MMU_CR4_SMEP : 0;
    registers.cr4 |= take(axes, 1) != 0 ? MMU_CR4_SMAP : 0;
    registers.rflags |= take(axes, 1) != 0 ? MMU_RFLAGS_AC : 0;
    registers.efer &= take(axes, 1) != 0 ? ~UINT64_C(0) : ~MMU_EFER_NXE;
    return registers;
}

static void check_shape(void **state)
{
    const struct shape *shape = *state;
    struct path path = {.mode = shape->mode};
    struct mmu_registers base = path_registers(&path);
    struct combination c = {.entry[3] = TABLE_PHYS(2) | P}; // of PAE, which has no rights
    unsigned num_axes = bits_per_entry(shape) * num_entries(shape) + 5;

    for (unsigned i = 0; i < 1U << num_axes; i++) {
        unsigned axes = i;
        set_entries(shape, &axes, &c);
        c.registers = set_controls(&base, &axes);
        for (size_t access = 0; access < NUM_ACCESSES; access++) {
            c.want = accesses[access];
            check_combination(&c, path_linear(&path));
        }
    }
}

static struct shape key_shapes[] = {
    {"4-level, keys", MMU_MODE_4LEVEL, 1, 1, false},
    {"5-level, keys", MMU_MODE_5LEVEL, 1, 1, false},
};

// PKRU or IA32_PKRS with these rights for one key, and the opposite for all others.
static uint32_t key_register(unsigned key, uint32_t rights)
{
    uint32_t own = UINT32_C(3) << (2 * key);
    return ((rights ^ 3) * UINT32_C(0x55555555) & ~own) | rights << (2 * key);
}

static void check_keys(void **state)
{
    const struct shape *shape = *state;
    struct path path = {.mode = shape->mode};
    struct mmu_registers base = path_registers(&path);
    struct combination c = {.want = {.kind = MMU_ACCESS_READ}};
    for (unsigned level = 2; level <= MAX_LEVEL; level++) {
        c.entry[level] = TABLE_PHYS(level - 1) | P | RW | US;
    }

    for (unsigned i = 0; i < 1U << 18; i++) {
        unsigned axes = i;
        unsigned key = take(&axes, 4);
        unsigned user_rights = take(&axes, 2);
        unsigned supervisor_rights = take(&axes, 2);
        base.cr4 = MMU_CR4_PAE | (shape->mode == MMU_MODE_5LEVEL ? MMU_CR4_LA57 : 0);
        base.cr4 |= take(&axes, 1) != 0 ? MMU_CR4_PKE : 0;
        base.cr4 |= take(&axes, 1) != 0 ? MMU_CR4_PKS : 0;
        base.pkru = key_register(key, user_rights);
        base.pkrs = key_register(key, supervisor_rights);
        set_entries(shape, &axes, &c);
        c.entry[1] |= (uint64_t)key << 59;
        c.registers = set_controls(&base, &axes);
        for (size_t access = 0; access < NUM_ACCESSES; access++) {
            c.want = accesses[access];
            check_combination(&c, path_linear(&path));
        }
    }
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_is_matched_by_one_rule),
    };
    failures += cmocka_run_group_tests_name("rules", tests, expand_rules, NULL);
    RUN_ROWS(failures, "permissions", shapes, check_shape);
    RUN_ROWS(failures, "protection keys", key_shapes, check_keys);
    return failures;
}
