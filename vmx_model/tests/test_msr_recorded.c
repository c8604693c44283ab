// What a bare-metal program found in Bochs 2.7, replayed; tests/data/README.md.
#include "vmx_tests.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmx_model/profile.h"

enum {
    MAX_PHYS_BITS = 40, // of the recording, on all models
    MAX_BLOCKS = 1024,
    MAX_LINE = 256,
    TSC_TICKS = 0x100, // how far Bochs's clock ran between a write and its read
};

static const char *const models[] = {"skylake-x", "icelake", "tigerlake"};

enum { NUM_MODELS = sizeof(models) / sizeof(models[0]) };

// The MSRs that Bochs 2.7 has on some model. A #GP of any other says nothing about processors.
static const struct {
    uint32_t first, last;
} in_bochs[] = {
    {0x10, 0x10},
    {0x1B, 0x1B},
    {0x3A, 0x3B},
    {0x48, 0x49},
    {0xFE, 0xFE},
    {0x10A, 0x10B},
    {0x174, 0x176},
    {0x200, 0x20F},
    {0x250, 0x250},
    {0x258, 0x259},
    {0x268, 0x26F},
    {0x277, 0x277},
    {0x2FF, 0x2FF},
    {0x480, 0x491},
    {0x6A0, 0x6A0},
    {0x6A2, 0x6A2},
    {0x6A4, 0x6A8},
    {0x6E0, 0x6E0},
    {0x800, 0xBFF},
    {0xDA0, 0xDA0},
    {0xC0000080, 0xC0000084},
    {0xC0000100, 0xC0000103},
};

enum access { READ, WRITE };
enum differs { SAME, OUTCOME, VALUE };

static const struct disagreement {
    const char *id;
    uint32_t first, last;
    enum access access;
    const char *state;
    uint64_t bits;
    enum differs differs;
} disagreements[] = {
#define DISAGREEMENT(id, first, last, access, states, bits, differs, right, rule)                  \
    {#id, first, last, access, states, bits, differs},
#include "msr_disagreements.def"
};

enum { NUM_DISAGREEMENTS = sizeof(disagreements) / sizeof(disagreements[0]) };

static unsigned used[NUM_DISAGREEMENTS];
static unsigned rows_replayed, rows_agreed, rows_absent;

// One line of a recording.
struct row {
    uint32_t index;
    const char *state;
    enum access access;
    char flag; // '!' disputed, '?' uninformative, 0
    bool ok;
    bool has_old, has_got;
    uint64_t value, old, got;
};

static bool is_in_bochs(uint32_t index)
{
    for (size_t i = 0; i < sizeof(in_bochs) / sizeof(in_bochs[0]); i++) {
        if (index >= in_bochs[i].first && index <= in_bochs[i].last) {
            return true;
        }
    }
    return false;
}

// Whether a row of msr_disagreements.def is about this one, and about how it differs.
static bool is_known(const struct row *row, enum differs differs)
{
    for (unsigned i = 0; i < NUM_DISAGREEMENTS; i++) {
        const struct disagreement *d = &disagreements[i];
        bool state = d->state[0] == '\0' || strcmp(d->state, row->state) == 0;
        bool bits = d->bits == 0 || (row->value & d->bits) != 0;
        if (row->index >= d->first && row->index <= d->last && d->access == row->access && state &&
            bits && d->differs == differs) {
            used[i]++;
            return true;
        }
    }
    return false;
}

// --- the processor ------------------------------------------------------------------------------

static struct vmx_profile profile_of(const char *model)
{
    struct vmx_profile profile = *vmx_profile_find(model);
    profile.max_phys_bits = MAX_PHYS_BITS;
    return profile;
}

// The state in which the program ran: 64-bit mode, and what the words say.
static struct vmx_cpu cpu_in_state(const struct vmx_profile *profile, const char *state)
{
    struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, profile);
    cpu.vmcs.field[VMCS_GUEST_CR0] = 0x80000011;
    cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0x500;
    if (strcmp(state, "x2apic") == 0) {
        cpu.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00D00;
    } else if (strcmp(state, "disabled") == 0) {
        cpu.msr[MSR_SLOT_IA32_APIC_BASE] = 0xFEE00100;
    } else if (strcmp(state, "locked_5") == 0) {
        cpu.feature_control = 5;
    } else if (strcmp(state, "cr0_pg0") == 0) {
        cpu.vmcs.field[VMCS_GUEST_CR0] = 0x11;
        cpu.vmcs.field[VMCS_GUEST_IA32_EFER] = 0x100;
    } else {
        assert_true(strcmp(state, "reset") == 0 || strcmp(state, "xapic") == 0 ||
                    strcmp(state, "unlocked") == 0);
    }
    return cpu;
}

// What the MSR held before: clocks have run, everything else is as the state has it.
static void check_old(struct vmx_cpu *cpu, const struct row *row)
{
    uint64_t held = 0;
    if (!row->has_old) {
        return;
    }
    if (row->index == 0x10) {
        cpu->tsc = row->old;
    } else if (row->index == 0x3B) {
        cpu->msr[MSR_SLOT_IA32_TSC_ADJUST] = row->old;
    } else if (!is_known(&(struct row){.index = row->index, .state = row->state}, VALUE)) {
        assert_int_equal(MSR_OK, msr_read(cpu, MSR_GUEST, row->index, &held));
        assert_int_equal(row->old, held);
    }
}

static enum differs compare(struct vmx_cpu *cpu, const struct row *row)
{
    struct vmx_cpu before = *cpu;
    uint64_t got = 0;
    enum msr_result want = row->ok ? MSR_OK : MSR_GP;
    enum msr_result result = row->access == READ
                                 ? msr_read(cpu, MSR_GUEST, row->index, &got)
                                 : msr_write(cpu, MSR_GUEST, row->index, row->value);
    if (result == MSR_GP) {
        assert_cpu_equal(&before, cpu);
    }
    if (result != want) {
        return OUTCOME;
    }
    if (result == MSR_GP || !row->has_got) {
        return SAME;
    }
    if (row->access == WRITE) {
        assert_int_equal(MSR_OK, msr_read(cpu, MSR_GUEST, row->index, &got));
    }
    bool same = row->index == 0x10 ? row->got - got < TSC_TICKS : row->got == got;
    return same ? SAME : VALUE;
}

static void replay(const struct vmx_profile *profile, const struct row *row)
{
    struct vmx_cpu cpu = cpu_in_state(profile, row->state);
    rows_replayed++;
    if (!is_in_bochs(row->index)) {
        assert_false(row->ok);
        rows_absent++;
        return;
    }
    check_old(&cpu, row);
    enum differs differs = compare(&cpu, row);
    if (differs == SAME) {
        rows_agreed++;
    } else if (row->flag == '?' || is_known(row, differs)) {
        return;
    } else {
        fail_msg("%s %s %" PRIx32 " %" PRIx64 ": Bochs says %s %" PRIx64 "%s", row->state,
                 row->access == READ ? "read" : "write", row->index, row->value,
                 row->ok ? "ok" : "#GP", row->got, row->flag == '!' ? " (disputed)" : "");
    }
}

// --- the files ----------------------------------------------------------------------------------

// The lines of a file from one M or G line to the next: a test.
struct block {
    const char *model;
    long at;
    char name[64];
};

static struct block blocks[NUM_MODELS][MAX_BLOCKS];

static FILE *open_recording(const char *model)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/msr-%s.txt", VMX_MODEL_TEST_DATA, model);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return file;
}

static char *word(char **line)
{
    return strtok_r(NULL, " \n", line);
}

static uint64_t number(const char *text)
{
    assert_non_null(text);
    return strtoull(text, NULL, 16);
}

// R[flag] gp | R[flag] ok VALUE | W[flag] VALUE gp OLD | W[flag] VALUE ok OLD READ_BACK
static void parse_row(char *line, struct row *row)
{
    char *rest = NULL;
    char *kind = strtok_r(line, " \n", &rest);
    row->access = kind[0] == 'R' ? READ : WRITE;
    row->flag = kind[1];
    row->value = row->access == WRITE ? number(word(&rest)) : 0;
    row->ok = strcmp(word(&rest), "ok") == 0;
    char *old = row->access == WRITE ? word(&rest) : NULL;
    char *got = row->ok ? word(&rest) : NULL;
    row->has_old = old != NULL && strcmp(old, "-") != 0;
    row->has_got = got != NULL && strcmp(got, "-") != 0;
    row->old = row->has_old ? number(old) : 0;
    row->got = row->has_got ? number(got) : 0;
}

static void replay_missing(const struct vmx_profile *profile, char *line)
{
    char *rest = NULL;
    (void)strtok_r(line, " \n", &rest);
    for (char *text = word(&rest); text != NULL; text = word(&rest)) {
        struct row row = {.index = (uint32_t)number(text), .state = "reset", .access = READ};
        replay(profile, &row);
    }
}

static void agrees_with_bochs(void **state)
{
    const struct block *block = *state;
    struct vmx_profile profile = profile_of(block->model);
    FILE *file = open_recording(block->model);
    assert_int_equal(0, fseek(file, block->at, SEEK_SET));
    char first[MAX_LINE];
    char line[MAX_LINE];
    char *rest = NULL;
    struct row row = {0};
    assert_non_null(fgets(first, sizeof(first), file));
    if (first[0] == 'G') {
        replay_missing(&profile, first);
    } else {
        (void)strtok_r(first, " \n", &rest);
        row.index = (uint32_t)number(word(&rest));
        row.state = word(&rest);
        assert_non_null(row.state);
    }
    while (fgets(line, sizeof(line), file) != NULL && line[0] != 'M' && line[0] != 'G') {
        parse_row(line, &row);
        replay(&profile, &row);
    }
    assert_int_equal(0, fclose(file));
}

// Names the blocks of a file; how many there are.
static size_t find_blocks(const char *model, struct block *out)
{
    FILE *file = open_recording(model);
    char line[MAX_LINE];
    size_t num = 0;
    for (long at = 0; fgets(line, sizeof(line), file) != NULL; at = ftell(file)) {
        if (line[0] != 'M' && line[0] != 'G') {
            continue;
        }
        if (num == MAX_BLOCKS) {
            (void)fprintf(stderr, "more than %d blocks\n", MAX_BLOCKS);
            exit(EXIT_FAILURE);
        }
        line[strcspn(line, "\n")] = '\0';
        struct block *block = &out[num++];
        block->model = model;
        block->at = at;
        (void)snprintf(block->name, sizeof(block->name), "%s %.40s", model, line);
    }
    (void)fclose(file);
    return num;
}

static void every_disagreement_is_found(void **state)
{
    (void)state;
    const char *unused = NULL;
    for (unsigned i = 0; i < NUM_DISAGREEMENTS; i++) {
        unused = used[i] == 0 ? disagreements[i].id : unused;
    }
    if (unused != NULL) {
        fail_msg("%s: no row needs it", unused);
    }
}

static void every_row_was_replayed(void **state)
{
    (void)state;
    assert_int_equal(49294, rows_replayed);
    assert_int_equal(22832, rows_agreed); // as the module's README says
    assert_int_equal(25660, rows_absent);
}

int main(void)
{
    static struct CMUnitTest tests[MAX_BLOCKS];
    int failed = 0;
    for (unsigned m = 0; m < NUM_MODELS; m++) {
        size_t num = find_blocks(models[m], blocks[m]);
        for (size_t i = 0; i < num; i++) {
            tests[i] = (struct CMUnitTest){
                .name = blocks[m][i].name,
                .test_func = agrees_with_bochs,
                .initial_state = &blocks[m][i],
            };
        }
        failed += _cmocka_run_group_tests(models[m], tests, num, NULL, NULL);
    }
    const struct CMUnitTest totals[] = {
        cmocka_unit_test(every_disagreement_is_found),
        cmocka_unit_test(every_row_was_replayed),
    };
    return failed + cmocka_run_group_tests_name("recording", totals, NULL, NULL);
}
