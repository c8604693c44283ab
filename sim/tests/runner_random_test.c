// Random bytes as code, in both rings: nothing crashes, and every run can be repeated. The
// argument, if there is one, is the number of cases.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "bare.h"
#include "exec.h"

enum { RANDOM_CASES = 3000, RANDOM_CODE = 96 };

static uint64_t random_cases = RANDOM_CASES; // the program's argument, if there is one
static uint64_t random_state;

static uint64_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

// Half of the bytes are likely to begin something of interest.
static uint8_t draw_byte(void)
{
    static const uint8_t spice[] = {0x0F, 0xFF, 0xF0, 0x66, 0x48, 0xF3, 0xF2, 0x8E, 0xCD, 0xCF,
                                    0xA4, 0x01, 0x00, 0x22, 0x30, 0x32, 0xC7, 0xAE, 0xD8, 0xE8};
    uint64_t number = draw();
    return (number & 1) != 0 ? spice[(number >> 8) % sizeof(spice)] : (uint8_t)(number >> 16);
}

static void prepare_random(uint64_t seed)
{
    uint8_t code[RANDOM_CODE];
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    machine_reset(machine);
    for (size_t i = 0; i < sizeof(code); i++) {
        code[i] = draw_byte();
    }
    if (seed % 2 != 0) {
        bare_enter_ring3();
    }
    memory_write(&machine->memory, seed % 2 != 0 ? BARE_USER_CODE : BARE_CODE, code, sizeof(code));
    for (size_t i = 0; i < VMX_NUM_GPRS; i++) {
        cpu->vmx.gpr[i] = i == 4 ? 0 : draw() % 0x200000;
    }
}

static uint64_t digest(const void *bytes, size_t len, uint64_t hash)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001B3);
    }
    return hash;
}

static uint64_t run_random(uint64_t seed)
{
    prepare_random(seed);
    struct run_result result = bare_run(0, 200);
    uint64_t hash = digest(&cpu->vmx, sizeof(cpu->vmx), result.executed + result.stop);
    hash = digest(&cpu->fpu, sizeof(cpu->fpu), hash);
    for (size_t i = 0; i < machine->memory.regions[0].num_dirty; i++) {
        uint64_t page = machine->memory.regions[0].dirty[i];
        hash = digest(machine->memory.regions[0].host + page * 4096, 4096, hash);
    }
    return hash;
}

static void random_bytes_run_and_can_be_repeated(void **state)
{
    (void)state;
    memory_mark(&machine->memory);
    for (uint64_t seed = 1; seed <= random_cases; seed++) {
        bare_log[0] = '\0';
        uint64_t first = run_random(seed);
        if (seed % 16 == 0) {
            assert_int_equal(run_random(seed), first);
        }
    }
}

static void slices_do_not_matter(void **state)
{
    (void)state;
    memory_mark(&machine->memory);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        bare_log[0] = '\0';
        prepare_random(seed);
        bare_run(0, 60);
        struct vmx_cpu whole = cpu->vmx;
        prepare_random(seed);
        for (unsigned i = 0; i < 60; i++) {
            bare_run(0, 1);
        }
        assert_int_equal(cpu_guest(cpu, RIP), whole.vmcs.field[VMCS_GUEST_RIP]);
        assert_memory_equal(cpu->vmx.gpr, whole.gpr, sizeof(whole.gpr));
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bare_set_up, bare_tear_down)

static const struct CMUnitTest tests[] = {
    TEST(random_bytes_run_and_can_be_repeated),
    TEST(slices_do_not_matter),
};

int main(int argc, char **argv)
{
    if (argc > 1) {
        random_cases = strtoull(argv[1], NULL, 10);
    }
    return cmocka_run_group_tests_name("runner: random bytes", tests, NULL, NULL);
}
