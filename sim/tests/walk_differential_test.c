// mmu_model's page walk beside Unicorn's: random tables, control registers, addresses and accesses
// with a fixed seed. Both must agree on fault or none, the error code, CR2, and each accessed and
// dirty flag: the whole of the tables is compared.
//
// Where Unicorn is known to differ, `understood` says what it does instead, and it must then do
// exactly that. Not asked of it, because it has none of it: loaded PDPTEs, reserved bits of CR3,
// keys of supervisor pages, another MAXPHYADDR than 40, a processor without 1 GiB pages. Where a
// page lies it does not tell.
#include <stdlib.h>
#include <string.h>

#include "random_walks.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define NUM_OF(array) (sizeof(array) / sizeof((array)[0]))

enum {
    NUM_CASES = 60000, // of each mode
    LEAST = 20,        // what has happened less often does not count as tested
    MAX_REPORTS = 5,
    NUM_FAULTS = MMU_FAULT_PROTECTION_KEY + 1,
    NUM_CODE_BITS = 6,
    VECTOR_GENERAL_PROTECTION = 13,
    VECTOR_PAGE_FAULT = 14,
};

static struct random_mode modes[] = {
    {"32-bit paging agrees with Unicorn", MMU_MODE_32BIT, 2, 10, 4, 1 << 2, 0},
    {"PAE paging agrees with Unicorn", MMU_MODE_PAE, 3, 9, 8, 1 << 2, MMU_CR4_PAE},
    {"4-level paging agrees with Unicorn", MMU_MODE_4LEVEL, 4, 9, 8, 1 << 2 | 1 << 3, MMU_CR4_PAE},
    {"5-level paging agrees with Unicorn", MMU_MODE_5LEVEL, 5, 9, 8, 1 << 2 | 1 << 3,
     MMU_CR4_PAE | MMU_CR4_LA57},
};

// What has happened, so that no rule goes untested unnoticed.
struct counts {
    unsigned ends[NUM_FAULTS][MMU_MAX_LEVELS + 1]; // fault or none, and the level it ended at
    unsigned code_bits[NUM_CODE_BITS];             // of the error code
    unsigned updates[MMU_MAX_LEVELS + 1];          // entries that an allowed access has changed
    unsigned early;                                // entries that a refused one has
    unsigned overlooked_pdpte;
    unsigned lifted_smap;
    unsigned disagreements;
};

struct bench {
    const struct random_mode *mode;
    struct random_walks walks;
    struct unicorn_walker for_data;
    struct unicorn_walker for_code; // Unicorn leaks what it notes about pages that are both
    uint8_t *page;                  // behind all linear addresses that are asked about
    uint8_t expected[RANDOM_TABLES_SIZE];
    struct counts counts;
};

static bool read_tables(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    const struct bench *bench = context;
    size_t offset = 0;
    if (!random_offset(guest_phys, &offset)) {
        return false;
    }
    memcpy(buffer, bench->walks.tables + offset, len);
    return true;
}

static uint8_t *expected_entry(struct bench *bench, uint64_t guest_phys)
{
    size_t offset = 0;
    assert_true(random_offset(guest_phys, &offset));
    return bench->expected + offset;
}

// What the question is to Unicorn, when it differs:
// - An implicit access below CPL 3 counts as an explicit one, so that RFLAGS.AC lifts SMAP. SDM 3A,
//   "Access Rights": AC has no effect on implicit supervisor-mode accesses.
// - Bits 2:1 and 8:5 of a PDPTE of PAE paging are not looked at. SDM 3A, "PDPTE Registers": they
//   are reserved.
static struct unicorn_question understood(struct bench *bench,
                                          const struct unicorn_question *question)
{
    struct unicorn_question out = *question;
    if (question->cpl == 0) {
        out.want.implicit = false;
    }
    if (bench->mode->mode == MMU_MODE_PAE) {
        uint64_t root = question->registers.cr3 & UINT64_C(0xFFFFFFE0);
        assert_true(read_tables(bench, root, out.registers.pdpte, sizeof(out.registers.pdpte)));
        for (size_t i = 0; i < NUM_OF(out.registers.pdpte); i++) {
            out.registers.pdpte[i] &= ~UINT64_C(0x1E6);
        }
        out.registers.pdptes_loaded = true;
    }
    return out;
}

static void note_difference(struct bench *bench, const struct mmu_walk *ours,
                            const struct mmu_walk *theirs)
{
    if (ours->fault == theirs->fault) {
        return;
    }
    if (ours->fault == MMU_FAULT_SMAP) {
        bench->counts.lifted_smap++;
    } else {
        assert_int_equal(ours->fault, MMU_FAULT_RESERVED_BIT);
        assert_int_equal(bench->mode->mode, MMU_MODE_PAE);
        assert_int_equal(ours->level, 3);
        bench->counts.overlooked_pdpte++;
    }
}

// A refused access: mmu_model sets nothing. SDM 3A, "Accessed and Dirty Flags" lets the processor
// set A in each entry that it has used, and Unicorn does so as it goes: in all before the last, and
// in that of a 1 GiB page before it looks at the page's own reserved bits and rights.
static void expect_early_flags(struct bench *bench, const struct unicorn_question *question,
                               const struct mmu_walk *walk)
{
    uint64_t nx = (question->registers.efer & MMU_EFER_NXE) != 0 ? 0 : MMU_ENTRY_NX;
    uint64_t reserved = (UINT64_MAX >> 12 & UINT64_MAX << WALKER_MAX_PHYS_BITS) | nx;
    for (size_t i = walk->mode == MMU_MODE_PAE ? 1 : 0; i < walk->num_entries; i++) {
        uint64_t entry = walk->entries[i];
        bool is_1gib = random_is_ia32e(bench->mode) && walk->level == 3 &&
                       (entry & MMU_ENTRY_PS) != 0 && (entry & MMU_ENTRY_P) != 0 &&
                       (entry & reserved) == 0;
        if ((i + 1U < walk->num_entries || is_1gib) && (entry & MMU_ENTRY_A) == 0) {
            *expected_entry(bench, walk->entry_phys[i]) |= (uint8_t)MMU_ENTRY_A;
            bench->counts.early++;
        }
    }
}

static void expect_flags(struct bench *bench, const struct unicorn_question *question,
                         const struct mmu_walk *walk)
{
    struct mmu_update updates[MMU_MAX_LEVELS];
    memcpy(bench->expected, bench->walks.tables, RANDOM_TABLES_SIZE);
    if (walk->fault != MMU_FAULT_NONE) {
        expect_early_flags(bench, question, walk);
        return;
    }
    size_t num = mmu_updates(walk, &question->want, updates);
    bench->counts.updates[num]++;
    for (size_t i = 0; i < num; i++) {
        *expected_entry(bench, updates[i].guest_phys) |= (uint8_t)updates[i].set;
    }
}

static struct unicorn_answer expected_answer(const struct unicorn_question *question,
                                             const struct mmu_walk *walk)
{
    if (walk->fault == MMU_FAULT_NONE) {
        return (struct unicorn_answer){.vector = WALKER_ALLOWED};
    }
    if (!mmu_fault_is_page_fault(walk->fault)) {
        assert_int_equal(walk->fault, MMU_FAULT_NON_CANONICAL);
        return (struct unicorn_answer){.vector = VECTOR_GENERAL_PROTECTION};
    }
    return (struct unicorn_answer){VECTOR_PAGE_FAULT, walk->error_code, question->linear};
}

static void report(const struct unicorn_question *question, const struct mmu_walk *walk,
                   const struct unicorn_answer *want, const struct unicorn_answer *got)
{
    const struct mmu_registers *r = &question->registers;
    print_message(
        "linear %llx %s cpl %u%s cr0 %llx cr3 %llx cr4 %llx efer %llx rflags %llx pkru %x\n",
        (unsigned long long)question->linear,
        (const char *[]){"read", "write", "fetch"}[question->want.kind], question->cpl,
        question->want.implicit ? " implicit" : "", (unsigned long long)r->cr0,
        (unsigned long long)r->cr3, (unsigned long long)r->cr4, (unsigned long long)r->efer,
        (unsigned long long)r->rflags, r->pkru);
    for (size_t i = 0; i < walk->num_entries; i++) {
        print_message("  entry %016llx\n", (unsigned long long)walk->entries[i]);
    }
    print_message("  mmu_model: vector %u code %x, %s\n  Unicorn:   vector %u code %x cr2 %llx\n",
                  want->vector, want->error_code, mmu_fault_text(walk->fault), got->vector,
                  got->error_code, (unsigned long long)got->cr2);
}

static void count_end(struct bench *bench, const struct mmu_walk *ours)
{
    bench->counts.ends[ours->fault][ours->level]++;
    for (unsigned i = 0; i < NUM_CODE_BITS; i++) {
        bench->counts.code_bits[i] += ours->error_code >> i & 1;
    }
}

static void compare_one(struct bench *bench)
{
    struct unicorn_question question;
    struct unicorn_answer got;
    struct mmu_walk ours;
    struct mmu_walk theirs;
    struct mmu_memory memory = {.read = read_tables, .context = bench};
    random_question(&bench->walks, &question);
    struct unicorn_question as_they = understood(bench, &question);
    mmu_access(&question.registers, &memory, question.linear, &question.want, &ours);
    mmu_access(&as_they.registers, &memory, question.linear, &as_they.want, &theirs);
    note_difference(bench, &ours, &theirs);
    count_end(bench, &ours);
    expect_flags(bench, &as_they, &theirs);
    struct unicorn_answer want = expected_answer(&question, &theirs);

    bool is_fetch = question.want.kind == MMU_ACCESS_FETCH;
    unicorn_walker_ask(is_fetch ? &bench->for_code : &bench->for_data, &question, &got);
    bool same_flags = memcmp(bench->expected, bench->walks.tables, RANDOM_TABLES_SIZE) == 0;
    if (got.vector == want.vector && got.error_code == want.error_code && got.cr2 == want.cr2 &&
        same_flags) {
        return;
    }
    if (bench->counts.disagreements++ < MAX_REPORTS) {
        report(&question, &theirs, &want, &got);
        print_message("  the flags are %s\n", same_flags ? "the same" : "others");
    }
}

// Where a walk of this mode can end with this fault, or with none.
static bool can_end(const struct random_mode *mode, enum mmu_fault fault, unsigned level)
{
    bool is_page = level == 1 || (mode->large >> level & 1) != 0;
    switch (fault) {
    case MMU_FAULT_NONE:
    case MMU_FAULT_SUPERVISOR_PAGE:
    case MMU_FAULT_READ_ONLY:
    case MMU_FAULT_SMEP:
    case MMU_FAULT_SMAP:
        return is_page;
    case MMU_FAULT_NO_EXECUTE:
        return is_page && mode->mode != MMU_MODE_32BIT;
    case MMU_FAULT_PROTECTION_KEY:
        return is_page && random_is_ia32e(mode);
    case MMU_FAULT_NOT_PRESENT:
        return level >= 1 && level <= mode->levels;
    case MMU_FAULT_RESERVED_BIT:
        return level >= (mode->mode == MMU_MODE_32BIT ? 2U : 1U) && level <= mode->levels;
    case MMU_FAULT_NON_CANONICAL:
        return level == 0 && random_is_ia32e(mode);
    case MMU_FAULT_MODE:
    case MMU_FAULT_BEYOND_4GIB:
    case MMU_FAULT_ROOT:
    case MMU_FAULT_UNREADABLE:
    case MMU_FAULT_SECOND_STAGE:
        break;
    }
    return false;
}

static void check_ends(const struct bench *bench, enum mmu_fault fault)
{
    for (unsigned level = 0; level <= MMU_MAX_LEVELS; level++) {
        unsigned num = bench->counts.ends[fault][level];
        bool can = can_end(bench->mode, fault, level);
        bool is_good = can ? num >= LEAST : num == 0;
        if (!is_good) {
            print_message("%u times at level %u: %s\n", num, level, mmu_fault_text(fault));
        }
        assert_true(is_good);
    }
}

static void check_counts(const struct bench *bench)
{
    const struct counts *counts = &bench->counts;
    bool is_pae = bench->mode->mode == MMU_MODE_PAE;
    unsigned with_flags = bench->mode->levels - (is_pae ? 1 : 0);
    for (int fault = 0; fault < NUM_FAULTS; fault++) {
        check_ends(bench, (enum mmu_fault)fault);
    }
    for (unsigned i = 0; i <= with_flags; i++) {
        assert_true(counts->updates[i] >= LEAST);
    }
    for (unsigned i = 0; i < NUM_CODE_BITS; i++) {
        bool can = 1 << i != MMU_PF_PK || random_is_ia32e(bench->mode);
        assert_true(can ? counts->code_bits[i] >= LEAST : counts->code_bits[i] == 0);
    }
    assert_true(counts->early >= LEAST);
    assert_true(counts->lifted_smap >= LEAST);
    assert_true(is_pae ? counts->overlooked_pdpte >= LEAST : counts->overlooked_pdpte == 0);
}

static void open_walker(struct bench *bench, struct unicorn_walker *out)
{
    uint64_t page = 0;
    unicorn_walker_init(out, random_is_ia32e(bench->mode));
    for (size_t i = 0; i < RANDOM_NUM_BASES; i++) {
        unicorn_walker_map(out, random_bases[i], bench->walks.tables, RANDOM_TABLES_SIZE);
    }
    for (size_t i = 0; random_page(bench->mode, i, &page); i++) {
        unicorn_walker_map(out, page, bench->page, WALKER_PAGE);
    }
}

static void bench_init(struct bench *bench, const struct random_mode *mode)
{
    *bench = (struct bench){.mode = mode, .walks = {.mode = mode, .state = 1}};
    bench->walks.tables = aligned_alloc(WALKER_PAGE, RANDOM_TABLES_SIZE);
    bench->page = aligned_alloc(WALKER_PAGE, WALKER_PAGE);
    assert_true(bench->walks.tables && bench->page);
    memset(bench->walks.tables, 0, RANDOM_TABLES_SIZE);
    memset(bench->page, WALKER_INT3, WALKER_PAGE);
    open_walker(bench, &bench->for_data);
    open_walker(bench, &bench->for_code);
}

static void agrees(void **state)
{
    static struct bench bench;
    bench_init(&bench, *state);
    for (int i = 0; i < NUM_CASES; i++) {
        compare_one(&bench);
    }
    unicorn_walker_cleanup(&bench.for_data);
    unicorn_walker_cleanup(&bench.for_code);
    free(bench.walks.tables);
    free(bench.page);
    assert_int_equal(bench.counts.disagreements, 0);
    check_counts(&bench);
}

int main(void)
{
    struct CMUnitTest tests[NUM_OF(modes)];
    for (size_t i = 0; i < NUM_OF(modes); i++) {
        tests[i] = (struct CMUnitTest){modes[i].name, agrees, NULL, NULL, &modes[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
