// What Bochs answered for the same segment loads, far jumps and accesses; tests/data/README.md.
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mmu_model/segment_check.h"
#include "mmu_model/segment_transfer.h"
#include "words.h"

enum {
    GDT_BASE = 0x1000,
    GDT_LIMIT = 0x7F,
    LDT_BASE = 0x2000,
    LDT_LIMIT = 0x17,
    GDT_SLOT = 0x60, // here the descriptor stands
    LDT_SLOT = 0x08,
    JUMP_OFFSET = 0x1C,
    NUM_ROWS = 31721,
};

// What was mapped is identity-mapped memory below this.
#define MAPPED UINT64_C(0x40000000)

struct recording {
    struct segment_cpu cpu;
    uint64_t descriptor;         // in both slots
    enum segment_register index; // of the accesses that follow
    struct segment segment;
    size_t num_rows;
    char mode[8]; // for messages
};

static bool read_tables(void *context, uint64_t linear, void *buffer, size_t len)
{
    const struct recording *recording = context;
    uint8_t *bytes = buffer;
    bool in_slot = linear == GDT_BASE + GDT_SLOT || linear == LDT_BASE + LDT_SLOT;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(in_slot ? recording->descriptor >> (8 * i) : 0);
    }
    return true;
}

static enum cpu_mode mode_of(const char *name)
{
    static const struct {
        const char *name;
        enum cpu_mode mode;
    } modes[] = {
        {"real", CPU_MODE_REAL},   {"v86", CPU_MODE_V86},       {"pm16", CPU_MODE_PROT16},
        {"pm32", CPU_MODE_PROT32}, {"compat", CPU_MODE_LONG32}, {"long64", CPU_MODE_LONG64},
    };
    size_t i = 0;
    while (strcmp(modes[i].name, name) != 0) {
        i++;
        assert_true(i < ARRAY_LEN(modes));
    }
    return modes[i].mode;
}

static void take_mode(struct recording *recording, char *cursor)
{
    const char *name = take_word(&cursor);
    (void)snprintf(recording->mode, sizeof(recording->mode), "%s", name);
    recording->cpu = (struct segment_cpu){
        .mode = mode_of(name),
        .cpl = (unsigned)take_hex(&cursor),
        .linear_bits = 48,
        .ldtr = {0x50, 0x82, LDT_LIMIT, LDT_BASE},
        .gdt_base = GDT_BASE,
        .gdt_limit = GDT_LIMIT,
        .read = read_tables,
        .context = recording,
    };
}

static enum segment_register register_of(const char *name)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    size_t i = 0;
    while (strcmp(names[i], name) != 0) {
        i++;
        assert_true(i < ARRAY_LEN(names));
    }
    return (enum segment_register)i;
}

// The outcome's letter: = done; g #GP(0), G #GP(selector), s and S #SS, n and N #NP.
static char letter_of(struct segment_answer answer, uint16_t selector)
{
    bool with_zero = answer.code == 0;
    if (answer.outcome == SEGMENT_DONE) {
        return '=';
    }
    if (answer.outcome != SEGMENT_RAISES || (!with_zero && answer.code != (selector & 0xFFFCu))) {
        return '?';
    }
    switch (answer.vector) {
    case SEGMENT_VECTOR_GP:
        return with_zero ? 'g' : 'G';
    case SEGMENT_VECTOR_SS:
        return with_zero ? 's' : 'S';
    case SEGMENT_VECTOR_NP:
        return with_zero ? 'n' : 'N';
    default:
        return '?';
    }
}

static const struct segment before = {0, 0x93, 0xFFFF, 0};

// "ds:60G": the register, the selector, the outcome. A load of CS is a far JMP.
static void check_load(struct recording *recording, char *word)
{
    size_t len = strlen(word);
    char want = word[len - 1];
    struct segment_loaded loaded;
    struct segment_transfer transfer;
    word[2] = 0;
    word[len - 1] = 0;
    char *cursor = word + 3;
    enum segment_register index = register_of(word);
    uint16_t selector = (uint16_t)take_hex(&cursor);
    struct far_pointer to = {selector, JUMP_OFFSET};

    struct segment_answer answer =
        index == SEGMENT_REGISTER_CS
            ? segment_transfer(&recording->cpu, SEGMENT_JMP, to, &transfer)
            : segment_load(&recording->cpu, index, selector, &before, &loaded);

    char got = letter_of(answer, selector);
    if (got != want) {
        fail_msg("%s CPL %u: %s <- %X, descriptor %016" PRIX64 ": got %c, want %c", recording->mode,
                 recording->cpu.cpl, word, selector, recording->descriptor, got, want);
    }
    recording->num_rows++;
}

static void take_loads(struct recording *recording, char *cursor)
{
    recording->descriptor = take_hex(&cursor);
    for (char *word = take_word(&cursor); *word != 0; word = take_word(&cursor)) {
        check_load(recording, word);
    }
}

// A segment for accesses: loaded as it was, and in 64-bit mode given its base.
static void take_segment(struct recording *recording, char *cursor)
{
    struct segment_loaded loaded;
    recording->index = register_of(take_word(&cursor));
    uint16_t selector = (uint16_t)take_hex(&cursor);
    recording->descriptor = take_hex(&cursor);
    uint64_t base = take_hex(&cursor);
    recording->segment = before;
    if (recording->cpu.mode != CPU_MODE_LONG64) {
        struct segment_answer answer =
            segment_load(&recording->cpu, recording->index, selector, &before, &loaded);
        assert_int_equal(answer.outcome, SEGMENT_DONE);
        assert_int_equal(loaded.segment.base, base);
        recording->segment = loaded.segment;
    }
    recording->segment.base = base;
}

// b: WRFSBASE or WRGSBASE refused the base. p: the segment allows it, the page is absent.
static char access_letter(const struct recording *recording,
                          const struct segment_access_request *request)
{
    uint64_t linear = 0;
    if (!mmu_is_canonical(recording->segment.base, 48)) {
        return 'b';
    }
    struct segment_answer answer = segment_check_access(&recording->cpu, request, &linear);
    uint64_t last = linear + (request->size - 1);
    bool long64 = recording->cpu.mode == CPU_MODE_LONG64;
    if (answer.outcome == SEGMENT_DONE && long64 && (linear >= MAPPED || last >= MAPPED)) {
        return 'p';
    }
    return letter_of(answer, 0);
}

// A debugger's access has the same limits; type does not bind it.
static void check_debugger(const struct recording *recording,
                           const struct segment_access_request *request, bool allowed)
{
    struct segment_registers segments = {.ds = recording->segment};
    struct mmu_registers registers = {.cr0 = MMU_CR0_PE};
    struct mmu_memory memory = {.read = NULL};
    struct far_pointer at = {recording->segment.selector, request->offset};
    struct segment_linear linear;
    bool typed = request->kind == MMU_ACCESS_WRITE ? segment_is_writable(&request->segment)
                                                   : segment_is_readable(&request->segment);
    if (recording->cpu.mode == CPU_MODE_LONG64 || !typed) {
        return;
    }
    registers.cr0 = recording->cpu.mode == CPU_MODE_REAL ? 0 : MMU_CR0_PE;

    enum segment_fault fault = segment_to_linear(&segments, &registers, &memory, at, &linear);

    assert_int_equal(fault == SEGMENT_FAULT_NONE && linear.length >= request->size, allowed);
}

// "r4=": read or write, size, outcome.
static void check_access(struct recording *recording, uint64_t offset, const char *word)
{
    struct segment_access_request request = {
        .index = recording->index,
        .segment = recording->segment,
        .kind = word[0] == 'w' ? MMU_ACCESS_WRITE : MMU_ACCESS_READ,
        .offset = offset,
        .size = (uint64_t)(word[1] - '0'),
    };

    char got = access_letter(recording, &request);

    if (got != word[2]) {
        fail_msg("%s CPL %u, register %d, descriptor %016" PRIX64 " base %" PRIX64
                 ": %s at %" PRIX64 ": got %c",
                 recording->mode, recording->cpu.cpl, (int)request.index, recording->descriptor,
                 recording->segment.base, word, offset, got);
    }
    check_debugger(recording, &request, got == '=');
    recording->num_rows++;
}

static void take_accesses(struct recording *recording, char *cursor)
{
    uint64_t offset = take_hex(&cursor);
    for (char *word = take_word(&cursor); *word != 0; word = take_word(&cursor)) {
        check_access(recording, offset, word);
    }
}

static void take_line(struct recording *recording, char *cursor)
{
    switch (*take_word(&cursor)) {
    case 'M':
        take_mode(recording, cursor);
        break;
    case 'L':
        take_loads(recording, cursor);
        break;
    case 'S':
        take_segment(recording, cursor);
        break;
    case 'A':
        take_accesses(recording, cursor);
        break;
    default: // a remark
        break;
    }
}

static void every_recorded_load_and_access_is_answered_alike(void **state)
{
    (void)state;
    struct recording recording = {.num_rows = 0};
    char line[256];
    FILE *file = fopen(MMU_MODEL_TEST_DATA "/segments.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        take_line(&recording, line);
    }
    (void)fclose(file);
    assert_int_equal(recording.num_rows, NUM_ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_load_and_access_is_answered_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
