// What Bochs 2.7 made of VM entries, and what this model makes of them: tests/data/README.md.
#include "recorded.h"

#include <inttypes.h>

#include "entry_rules.h"

enum {
    OUTCOME_SIZE = 16,
    MAX_POKES = 8,
    MAX_SHOWN = 20, // differences that are printed
};

// Physical memory: words that every recording had, and those that a row puts there. The rest is
// zero.
struct memory {
    uint64_t revision; // of the model's VMCS regions
    struct {
        uint64_t address, value;
    } poke[MAX_POKES];
    unsigned num_pokes;
};

enum {
    CURRENT_VMCS = 0x1021000,
};

static const struct {
    uint64_t address, value;
} always[] = {
    {0x1000000, 0x1001003}, // an entry of a 4-level table, which is no PDPTE
    {0x1051000, 0x1052001}, {0x1051008, 0x1053001}, {0x1051010, 0x1054001}, {0x1051018, 0x1055001},
};

static uint64_t word_at(const struct memory *memory, uint64_t address)
{
    for (unsigned i = memory->num_pokes; i-- > 0;) {
        if (memory->poke[i].address == address) {
            return memory->poke[i].value;
        }
    }
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        if (always[i].address == address) {
            return always[i].value;
        }
    }
    switch (address) {
    case 0x1020000: // the VMXON region
    case CURRENT_VMCS:
    case 0x1060000:
        return memory->revision;
    case 0x1061000:
        return memory->revision + 1;
    case 0x1062000: // a shadow VMCS
        return memory->revision | 0x80000000;
    default:
        return 0;
    }
}

static bool read_memory(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    uint8_t *byte = buffer;
    for (size_t i = 0; i < len; i++) {
        uint64_t address = guest_phys + i;
        byte[i] = (uint8_t)(word_at(context, address & ~UINT64_C(7)) >> (8 * (address & 7)));
    }
    return true;
}

// One recorded model and context.
struct recording {
    struct vmx_profile profile;
    struct vmx_cpu baseline, context;
    char name[64];
    unsigned num_rows, num_differences;
};

static void put(struct vmx_cpu *cpu, const char *encoding, const char *value)
{
    assert_true(
        vmcs_write(&cpu->vmcs, (uint32_t)strtoul(encoding, NULL, 16), strtoull(value, NULL, 16)));
}

// "4814=C09B,@1040000=9E": fields and words of memory.
static void apply(struct vmx_cpu *cpu, struct memory *memory, char *changes)
{
    for (char *item; (item = next_item(&changes, ",")) != NULL;) {
        char *value = strchr(item, '=');
        if (value == NULL) {
            continue; // "-": nothing
        }
        *value++ = '\0';
        if (*item != '@') {
            put(cpu, item, value);
            continue;
        }
        assert_true(memory->num_pokes < MAX_POKES);
        memory->poke[memory->num_pokes].address = strtoull(item + 1, NULL, 16);
        memory->poke[memory->num_pokes++].value = strtoull(value, NULL, 16);
    }
}

static void write_outcome(const struct vmx_entry_outcome *outcome, char out[OUTCOME_SIZE])
{
    switch (outcome->result) {
    case VMX_ENTERED:
        (void)snprintf(out, OUTCOME_SIZE, "e");
        break;
    case VMX_FAIL_INVALID:
        (void)snprintf(out, OUTCOME_SIZE, "i");
        break;
    case VMX_FAIL_VALID:
        (void)snprintf(out, OUTCOME_SIZE, "f%" PRIu32, outcome->instruction_error);
        break;
    case VMX_ENTRY_FAILED:
        assert_int_equal(0x80000000, outcome->exit_reason & 0x80000000);
        (void)snprintf(out, OUTCOME_SIZE, "x%" PRIu32 ".%" PRIu64, outcome->exit_reason & 0xFFFF,
                       outcome->qualification);
        break;
    }
}

static void check_row(struct recording *recording, char *line)
{
    struct vmx_cpu cpu = recording->context;
    struct memory memory = {.revision = recording->profile.vmcs_revision};
    struct mmu_memory reader = {.read = read_memory, .context = &memory};
    struct entry_attempt attempt = {.current_vmcs = CURRENT_VMCS};
    struct vmx_entry_outcome outcome;
    char got[OUTCOME_SIZE], copy[RECORDED_LINE];
    (void)snprintf(copy, sizeof(copy), "%s", line);
    char *changes = next_item(&line, " \n");
    const char *want = next_expected(&line);
    apply(&cpu, &memory, changes);
    entry_check(&cpu, &reader, &attempt, &outcome);
    write_outcome(&outcome, got);
    recording->num_rows++;
    if (strcmp(want, got) != 0) {
        recording->num_differences++;
        if (recording->num_differences <= MAX_SHOWN) {
            print_error("%s: %sgot %s by %s\n", recording->name, copy, got,
                        vmx_entry_rule_name(outcome.rule));
        }
    }
}

static void begin_model(struct recording *recording, const char *name)
{
    const struct vmx_profile *profile = vmx_profile_find(name);
    assert_non_null(profile);
    recording->profile = *profile;
    recording->profile.max_phys_bits = 40; // of the emulator, whatever the model
    vmx_cpu_reset(&recording->baseline, &recording->profile);
}

static void read_line(void *context, char *line)
{
    struct recording *recording = context;
    char *value = strchr(line + 2, ' ');
    switch (line[0]) {
    case 'M':
        line[strcspn(line, "\n")] = '\0';
        begin_model(recording, line + 2);
        break;
    case 'B':
        put(&recording->baseline, line + 2, value);
        break;
    case 'C':
        recording->context = recording->baseline;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(recording->name, sizeof(recording->name), "%s %.20s",
                       recording->profile.name, line + 2);
        break;
    case 'F':
        put(&recording->context, line + 2, value);
        break;
    case 'R':
        check_row(recording, line + 2);
        break;
    default:
        fail_msg("no row: %s", line);
    }
}

static void recorded_entries_go_as_recorded(void **state)
{
    (void)state;
    static struct recording recording;
    read_recorded(VMX_MODEL_TEST_DATA "/vmentry.txt", read_line, &recording);
    assert_int_equal(0, recording.num_differences);
    assert_int_equal(15155, recording.num_rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_entries_go_as_recorded),
    };
    return cmocka_run_group_tests_name("recorded VM entries", tests, NULL, NULL);
}
