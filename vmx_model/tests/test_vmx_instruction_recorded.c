// VMX instructions in sequence, against what another emulator answered.
#include "recorded.h"
#include "root_bench.h"

static void write_status(const struct bench *bench, enum vmx_status status, uint64_t value,
                         char out[32])
{
    static const char *const text[] = {
        [VMX_STATUS_SUCCEED] = "ok",
        [VMX_STATUS_FAIL_INVALID] = "invalid",
        [VMX_STATUS_FAIL_VALID] = "valid",
        [VMX_STATUS_UD] = "ud",
        [VMX_STATUS_GP] = "gp",
        [VMX_STATUS_ENTERED] = "entered",
        [VMX_STATUS_ENTRY_FAILED] = "failed",
    };
    if (status == VMX_STATUS_FAIL_VALID) {
        uint64_t error = bench->root.cpu.vmcs.field[VMCS_VM_INSTRUCTION_ERROR];
        (void)snprintf(out, 32, "valid:%u", (unsigned)error);
    } else if (value != 0x5A5A5A5A) {
        (void)snprintf(out, 32, "ok:%llX", (unsigned long long)value);
    } else {
        (void)snprintf(out, 32, "%s", text[status]);
    }
}

struct replay {
    struct bench bench;
    char sequence[64]; // its name
    unsigned num_steps;
};

static void replay_line(void *context, char *line)
{
    struct replay *replay = context;
    struct bench *bench = &replay->bench;
    char got[32];
    uint64_t value = 0x5A5A5A5A;
    if (line[0] == 'S') {
        bench_init(bench);
        (void)snprintf(replay->sequence, sizeof(replay->sequence), "%.60s", line + 2);
        return;
    }
    char *cursor = line + 2;
    const char *op = next_item(&cursor, " \n");
    uint64_t arg[2];
    arg[0] = next_hex(&cursor);
    arg[1] = next_hex(&cursor);
    const char *want = next_expected(&cursor);
    enum vmx_status status = bench_execute(bench, op, arg, &value);
    write_status(bench, status, value, got);
    if (strcmp(want, got) != 0) {
        print_error("%s%s %llX: want %s, got %s\n", replay->sequence, op,
                    (unsigned long long)arg[0], want, got);
    }
    assert_string_equal(want, got);
    replay->num_steps++;
}

static void recorded_sequences_go_as_recorded(void **state)
{
    (void)state;
    static struct replay replay;
    read_recorded(VMX_MODEL_TEST_DATA "/vmxinst.txt", replay_line, &replay);
    assert_int_equal(469, replay.num_steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_sequences_go_as_recorded),
    };
    return cmocka_run_group_tests_name("VMX instructions, recorded", tests, NULL, NULL);
}
