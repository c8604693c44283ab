// What every target that is made of rows says of itself: its CPU mode, its registers, its program;
// what it refuses; where searches find its pages. And long64-la57 at work.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modes/programs.h"
#include "protocol/registers.h"
#include "protocol/target_ops.h"
#include "targets_oracle.h"

static struct oracle oracle; // of the target whose group runs

static int open_target(void **state)
{
    (void)state;
    oracle_open(&oracle, oracle.target);
    return 0;
}

static int close_target(void **state)
{
    (void)state;
    oracle_close(&oracle);
    return 0;
}

static int reset_target(void **state)
{
    (void)state;
    oracle_reset(&oracle);
    return 0;
}

static bool runs(void)
{
    return oracle_cpu_mode(oracle.target) == CPU_MODE_LONG64;
}

// --- state ------------------------------------------------------------------------------------

static void a_context_names_the_cpu_mode(void **state)
{
    (void)state;
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        struct packet request = {.kind = PACKET_GET_CONTEXT, .get_context = {.mask = 1}};
        oracle.rig.version = (enum protocol_version)version;
        rig_ask(&oracle.rig, &request);
        assert_int_equal(oracle.rig.reply.kind, PACKET_CONTEXT);
        assert_int_equal(oracle.rig.reply.context.cpu_mode, oracle_cpu_mode(oracle.target));
    }
}

static void registers_hold_what_their_rows_say(void **state)
{
    (void)state;
    const struct mode_target *target = oracle.target;
    assert_int_equal(pulsim_num_cpus(oracle.rig.pulsim), target->num_cpus);
    for (unsigned cpu = 0; cpu < target->num_cpus; cpu++) {
        for (size_t i = 0; i < target->num_registers; i++) {
            const struct register_row *row = &target->registers[i];
            uint64_t want = row->value;
            uint64_t got = 0;
            for (size_t k = i + 1; k < target->num_registers; k++) { // later rows win
                const struct register_row *later = &target->registers[k];
                bool counts = later->cpu == ROWS_ALL_CPUS || later->cpu == (int)cpu;
                want = counts && strcmp(later->name, row->name) == 0 ? later->value : want;
            }
            if (row->cpu == ROWS_ALL_CPUS || row->cpu == (int)cpu) {
                assert_true(pulsim_register_read(oracle.rig.pulsim, cpu, row->name, &got));
                assert_int_equal(want, got);
            }
        }
    }
}

// EFER.LMA follows from LME and CR0.PG.
static void msrs_hold_what_their_rows_say(void **state)
{
    (void)state;
    const struct mode_target *target = oracle.target;
    for (size_t i = 0; i < target->num_msrs; i++) {
        const struct msr_row *row = &target->msrs[i];
        struct packet request = {.kind = PACKET_READ_MSR, .read_msr = {.index = row->index}};
        uint64_t lma = (row->value & MMU_EFER_LME) != 0 ? MMU_EFER_LMA : 0;
        rig_ask(&oracle.rig, &request);
        assert_int_equal(oracle.rig.reply.kind, PACKET_MSR_DATA);
        assert_int_equal(oracle.rig.reply.msr_data.value, row->value | lma);
    }
}

// The program lies at CS:RIP, and the page of its data is where the rows say.
static void the_program_lies_where_execution_begins(void **state)
{
    (void)state;
    size_t len = 0;
    const uint8_t *program = program_find(oracle.target->program.name, &len);
    assert_non_null(program);
    struct packet request = {.kind = PACKET_READ_VIRTUAL,
                             .read_virtual = {
                                 .root = oracle.root,
                                 .selector = oracle_selector(oracle.target, "cs"),
                                 .offset = mode_target_register(oracle.target, "rip"),
                                 .length = (uint32_t)len,
                             }};
    rig_ask(&oracle.rig, &request);
    assert_int_equal(oracle.rig.reply.kind, PACKET_VIRTUAL_DATA);
    assert_int_equal(oracle.rig.reply.virtual_data.length, len);
    assert_memory_equal(oracle.rig.reply.virtual_data.data, program, len);
}

// Six bytes can be pushed: what a call in any of these modes needs.
static void the_stack_can_be_used(void **state)
{
    (void)state;
    struct packet request = {.kind = PACKET_WRITE_VIRTUAL,
                             .write_virtual = {
                                 .root = oracle.root,
                                 .selector = oracle_selector(oracle.target, "ss"),
                                 .offset = mode_target_register(oracle.target, "rsp") - 6,
                                 .length = 6,
                                 .data = oracle_ink,
                             }};
    rig_expect_value(&oracle.rig, &request, 6);
}

static void only_64_bit_mode_runs(void **state)
{
    (void)state;
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2 && !runs(); version++) {
        struct packet go = rig_plain(PACKET_GO);
        struct packet step = rig_plain(PACKET_STEP);
        oracle.rig.version = (enum protocol_version)version;
        rig_expect_status(&oracle.rig, &go, oracle_not_supported(&oracle));
        rig_expect_status(&oracle.rig, &step, oracle_not_supported(&oracle));
        oracle_expect_equal(&oracle);
    }
}

// --- control registers that name no paging mode -----------------------------------------------

static void set_cr4(uint64_t value)
{
    uint8_t bytes[8];
    struct packet request = {.kind = PACKET_SET_CONTEXT,
                             .set_context = {
                                 .mask = UINT64_C(1) << context_registers[CONTEXT_cr4].bit,
                                 .registers = bytes,
                             }};
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    rig_ask(&oracle.rig, &request);
    assert_int_equal(oracle.rig.reply.kind, PACKET_SUCCESS);
}

static void expect_no_mode(struct packet request)
{
    rig_expect_status(&oracle.rig, &request, oracle_no_mode(&oracle));
}

static void expect_no_mode_anywhere(uint16_t selector)
{
    const uint64_t root = oracle.root;
    expect_no_mode((struct packet){.kind = PACKET_WALK_LINEAR,
                                   .walk_linear = {.root = root, .address = 0x3000}});
    expect_no_mode((struct packet){.kind = PACKET_LINEAR_TO_PHYSICAL,
                                   .linear_to_physical = {.root = root, .address = 0x3000}});
    expect_no_mode((struct packet){.kind = PACKET_READ_LINEAR,
                                   .read_linear = {.root = root, .address = 0x3000, .length = 1}});
    expect_no_mode((struct packet){
        .kind = PACKET_WRITE_LINEAR,
        .write_linear = {.root = root, .address = 0x3000, .length = 1, .data = oracle_ink}});
    expect_no_mode((struct packet){.kind = PACKET_WALK_VIRTUAL,
                                   .walk_virtual = {.root = root, .selector = selector}});
    expect_no_mode((struct packet){.kind = PACKET_VIRTUAL_TO_PHYSICAL,
                                   .virtual_to_physical = {.root = root, .selector = selector}});
    expect_no_mode(
        (struct packet){.kind = PACKET_READ_VIRTUAL,
                        .read_virtual = {.root = root, .selector = selector, .length = 1}});
}

// EFER.LMA without CR4.PAE. In targets outside IA-32e mode EFER is changed behind the back: WRMSR
// refuses.
static void ia32e_mode_without_pae_is_an_invalid_cpu_mode(void **state)
{
    enum { GUEST_IA32_EFER = 0x2806 };
    (void)state;
    uint64_t cr4 = mode_target_register(oracle.target, "cr4");
    uint64_t efer = 0;
    assert_true(pulsim_vmcs_read(oracle.rig.pulsim, 0, GUEST_IA32_EFER, &efer));
    assert_true(pulsim_vmcs_write(oracle.rig.pulsim, 0, GUEST_IA32_EFER,
                                  efer | MMU_EFER_LME | MMU_EFER_LMA));
    for (int version = PROTOCOL_V1; version <= PROTOCOL_V2; version++) {
        oracle.rig.version = (enum protocol_version)version;
        set_cr4(cr4 & ~MMU_CR4_PAE);
        expect_no_mode_anywhere(oracle_selector(oracle.target, "cs"));
        set_cr4(cr4);
    }
    pulsim_vmcs_write(oracle.rig.pulsim, 0, GUEST_IA32_EFER, efer);
    oracle_expect_equal(&oracle);
}

// --- searches ---------------------------------------------------------------------------------

static void expect_hit(struct packet *request, uint64_t address)
{
    rig_ask(&oracle.rig, request);
    while (!oracle.rig.has_reply) {
        rig_continue(&oracle.rig);
    }
    assert_int_equal(oracle.rig.reply.kind, PACKET_SEARCH_HIT);
    assert_int_equal(oracle.rig.reply.search_hit.address, address);
}

static void expect_physical_hit(const struct page_row *page)
{
    struct packet request = {.kind = PACKET_SEARCH_PHYSICAL,
                             .search_physical = {
                                 .start = page->guest_phys - 0x800,
                                 .end = page->guest_phys + 0x800,
                                 .step = 1,
                                 .ignore_gaps = 1,
                                 .length = (uint32_t)strlen(page->text),
                                 .pattern = (const uint8_t *)page->text,
                             }};
    expect_hit(&request, page->guest_phys);
}

static void expect_linear_hit(const struct page_row *page, uint64_t linear)
{
    struct packet request = {.kind = PACKET_SEARCH_LINEAR,
                             .search_linear = {
                                 .root = oracle.root,
                                 .start = linear + 0x800,
                                 .end = linear, // downwards
                                 .step = 1,
                                 .length = (uint32_t)strlen(page->text),
                                 .pattern = (const uint8_t *)page->text,
                             }};
    expect_hit(&request, linear);
}

// The offset at which a segment has a linear address, and whether it has it.
static bool find_offset(const struct segment *segment, uint64_t linear, uint64_t *out)
{
    bool expands_down = (segment->access & 0x1C) == 0x14;
    uint64_t last = (segment->access & SEGMENT_ACCESS_DB) != 0 ? UINT32_MAX : UINT16_MAX;
    if ((segment->access & SEGMENT_ACCESS_UNUSABLE) != 0 || linear > UINT32_MAX) {
        return false;
    }
    *out = (linear - segment->base) & UINT32_MAX;
    return expands_down ? *out > segment->limit && *out <= last : *out <= segment->limit;
}

// Through each segment register that reaches it; in 64-bit mode all do, and only FS and GS have a
// base. Returns how many those are.
static size_t expect_virtual_hits(const struct page_row *page, uint64_t linear)
{
    static const char *const names[] = {"fs", "gs", "cs", "ss", "ds", "es"};
    size_t num_hits = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct segment segment;
        assert_true(oracle_segment(oracle.target, names[i], &segment));
        uint64_t offset = linear - (i < 2 ? segment.base : 0);
        if (!runs() && !find_offset(&segment, linear, &offset)) {
            continue;
        }
        struct packet request = {.kind = PACKET_SEARCH_VIRTUAL,
                                 .search_virtual = {
                                     .root = oracle.root,
                                     .start = offset,
                                     .end = offset + 0x10,
                                     .selector = segment.selector,
                                     .step = 0x10,
                                     .length = (uint32_t)strlen(page->text),
                                     .pattern = (const uint8_t *)page->text,
                                 }};
        expect_hit(&request, offset);
        num_hits++;
    }
    return num_hits;
}

static void searches_find_every_page_wherever_it_is_mapped(void **state)
{
    (void)state;
    const struct mode_target *target = oracle.target;
    size_t num_linear = 0;
    size_t num_virtual = 0;
    for (size_t i = 0; i < target->num_pages; i++) {
        const struct page_row *page = &target->pages[i];
        expect_physical_hit(page);
        for (size_t k = 0; k < target->num_map; k++) {
            const struct map_row *row = &target->map[k];
            uint64_t offset = page->guest_phys - row->guest_phys;
            if (row->mapped && offset <= row->to - row->from) {
                expect_linear_hit(page, row->from + offset);
                num_virtual += expect_virtual_hits(page, row->from + offset);
                num_linear++;
            }
        }
    }
    assert_true(num_linear >= 4);
    assert_true(num_virtual >= 1);
}

// A search of the whole linear space goes past all of its holes, or ends at the first one.
static void a_search_of_everything_finds_the_program_and_a_gap_ends_it(void **state)
{
    (void)state;
    static const uint8_t nowhere[] = "no target holds this text";
    bool has_gap_at_0 = !oracle.target->map[0].mapped;
    size_t len = 0;
    const uint8_t *program = program_find(oracle.target->program.name, &len);
    struct packet request = {.kind = PACKET_SEARCH_LINEAR,
                             .search_linear = {
                                 .root = oracle.root,
                                 .start = 0,
                                 .end = UINT32_MAX,
                                 .step = 1,
                                 .ignore_gaps = 1,
                                 .length = (uint32_t)len,
                                 .pattern = program,
                             }};
    expect_hit(&request, ROWS_PROGRAM_PHYS);
    request.search_linear.end = 0x4FFF;
    request.search_linear.length = sizeof(nowhere);
    request.search_linear.pattern = nowhere;
    rig_expect_status(&oracle.rig, &request, 0xC0000009);
    request.search_linear.ignore_gaps = 0;
    rig_expect_status(&oracle.rig, &request, has_gap_at_0 ? 0xC0000021 : 0xC0000009);
}

// --- target files -----------------------------------------------------------------------------

static void a_target_file_can_be_based_on_it(void **state)
{
    (void)state;
    char path[] = "/tmp/pulsim-base-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "w");
    assert_non_null(file);
    (void)fprintf(file, "name: derived\nbase: %s\n", oracle.target->name);
    assert_int_equal(fclose(file), 0);
    struct rig derived;
    rig_open_target(&derived, PROTOCOL_V2, path);
    assert_int_equal(unlink(path), 0);
    assert_true(pulsim_equal(derived.pulsim, oracle.rig.pulsim));
    rig_close(&derived);
}

// --- long64-la57 ------------------------------------------------------------------------------

#define FAR_PAGE UINT64_C(0x800000000000) // a page behind the edge of 48 bits

static uint64_t quad_at(uint64_t linear)
{
    uint64_t value = 0;
    oracle_read(&oracle, linear, &value, sizeof(value));
    return value;
}

static void expect_control(enum packet_kind kind, uint64_t event)
{
    struct packet request = rig_plain(kind);
    rig_expect_value(&oracle.rig, &request, event);
}

static uint64_t rip_of(unsigned cpu)
{
    uint64_t rip = 0;
    assert_true(pulsim_register_read(oracle.rig.pulsim, cpu, "rip", &rip));
    return rip;
}

static void it_runs_until_it_is_broken_into(void **state)
{
    enum { PINGS = 5 };
    (void)state;
    struct packet go = rig_plain(PACKET_GO);
    rig_ask(&oracle.rig, &go);
    assert_int_equal(oracle.rig.reply.kind, PACKET_SUCCESS);
    for (int i = 0; i < PINGS; i++) {
        struct packet ping = rig_plain(PACKET_PING);
        rig_expect_value(&oracle.rig, &ping, 0);
    }
    expect_control(PACKET_BREAK_IN, EVENT_BREAK_IN);
    // Five instructions a turn, 10,000 instructions a packet, two CPUs.
    for (uint64_t cpu = 0; cpu < 2; cpu++) {
        uint64_t turns = quad_at(0x3000 + 8 * cpu);
        assert_in_range(turns, (PINGS + 1) * 1000 - 1, (PINGS + 1) * 1000 + 1);
        assert_in_range(turns - quad_at(FAR_PAGE + 0x800 + 8 * cpu), 0, 1);
        assert_in_range(rip_of((unsigned)cpu), 0x2000, 0x2020);
    }
}

static void it_steps_through_its_call(void **state)
{
    static const uint64_t rips[] = {0x200A, 0x2015, 0x201D, 0x200F, 0x2013, 0x200A};
    (void)state;
    for (size_t i = 0; i < sizeof(rips) / sizeof(rips[0]); i++) {
        struct packet step = rig_plain(PACKET_STEP);
        rig_ask(&oracle.rig, &step);
        assert_int_equal(oracle.rig.reply.kind, PACKET_SUCCESS);
        assert_int_equal(rip_of(0), rips[i]);
    }
    assert_int_equal(quad_at(0x3000), 1);
    assert_int_equal(quad_at(FAR_PAGE + 0x800), 1);
}

static void it_stops_at_a_breakpoint(void **state)
{
    enum { FUNCTION = 0x2015 };
    (void)state;
    struct packet set = {.kind = PACKET_SET_BREAKPOINT, .set_breakpoint = {.address = FUNCTION}};
    rig_expect_value(&oracle.rig, &set, 1);
    struct packet go = rig_plain(PACKET_GO);
    rig_ask(&oracle.rig, &go);
    struct packet get_state = rig_plain(PACKET_GET_STATE);
    rig_ask(&oracle.rig, &get_state);
    assert_int_equal(oracle.rig.reply.state.running, 0);
    assert_int_equal(oracle.rig.reply.state.event, EVENT_BREAKPOINT);
    assert_int_equal(rip_of(0), FUNCTION);
}

// Code where only 57 bits lead to: NOP, JMP to the NOP.
static void it_executes_where_only_57_bits_lead_to(void **state)
{
    static const uint8_t code[] = {0x90, 0xEB, 0xFD};
    (void)state;
    struct packet write = {.kind = PACKET_WRITE_LINEAR,
                           .write_linear = {.root = oracle.root,
                                            .address = FAR_PAGE + 0xFFD,
                                            .length = sizeof(code),
                                            .data = code}};
    rig_expect_value(&oracle.rig, &write, sizeof(code));
    assert_true(pulsim_register_write(oracle.rig.pulsim, 0, "rip", FAR_PAGE + 0xFFD));
    for (int i = 1; i <= 4; i++) {
        struct packet step = rig_plain(PACKET_STEP);
        rig_ask(&oracle.rig, &step);
        assert_int_equal(oracle.rig.reply.kind, PACKET_SUCCESS);
        assert_int_equal(rip_of(0), FAR_PAGE + 0xFFD + (unsigned)i % 2);
    }
}

// ----------------------------------------------------------------------------------------------

#define TEST(name) cmocka_unit_test_setup(name, reset_target)

static int run_target(const struct mode_target *target)
{
    const struct CMUnitTest tests[] = {
        TEST(a_context_names_the_cpu_mode),
        TEST(registers_hold_what_their_rows_say),
        TEST(msrs_hold_what_their_rows_say),
        TEST(the_program_lies_where_execution_begins),
        TEST(the_stack_can_be_used),
        TEST(only_64_bit_mode_runs),
        TEST(ia32e_mode_without_pae_is_an_invalid_cpu_mode),
        TEST(searches_find_every_page_wherever_it_is_mapped),
        TEST(a_search_of_everything_finds_the_program_and_a_gap_ends_it),
        TEST(a_target_file_can_be_based_on_it),
    };
    const struct CMUnitTest running[] = {
        TEST(it_runs_until_it_is_broken_into),
        TEST(it_steps_through_its_call),
        TEST(it_stops_at_a_breakpoint),
        TEST(it_executes_where_only_57_bits_lead_to),
    };
    oracle.target = target;
    int failures = cmocka_run_group_tests_name(target->name, tests, open_target, close_target);
    if (runs()) {
        failures +=
            cmocka_run_group_tests_name("long64-la57 at work", running, open_target, close_target);
    }
    return failures;
}

int main(void)
{
    int failures = 0;
    const struct mode_target *target = mode_target_at(0);
    for (size_t i = 0; target; target = mode_target_at(++i)) {
        failures += run_target(target);
    }
    return failures == 0 ? 0 : 1;
}
