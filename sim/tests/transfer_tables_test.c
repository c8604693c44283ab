// A transfer goes through the tables as they are. The machine remembers the page table that it used
// last; here everything that can change a table does, between two transfers and within one.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bare.h"

#define PAGE    UINT64_C(0x1000)
#define RAM_END UINT64_C(0x400000)

#define BARE_PDPT UINT64_C(0x2000)
#define BARE_PD   UINT64_C(0x3000)

// Tables beside those of bare.h, to lead elsewhere: the root, and one of each lower kind.
#define OTHER_PML4 UINT64_C(0x44000)
#define OTHER_PDPT UINT64_C(0x45000)
#define OTHER_PD   UINT64_C(0x46000)
#define OTHER_PT   UINT64_C(0x47000)

#define WINDOW     UINT64_C(0x119000) // a linear page, at 053000
#define HERE       UINT64_C(0x53000)
#define ELSEWHERE  UINT64_C(0x54000)
#define FAR        UINT64_C(0x600000) // of a PDE of its own
#define ALIAS_2MIB UINT64_C(0x400000) // where the low memory is seen once more, in one large page

enum { P = 0x1, RW = 0x2, PS = 0x80, HERE_BYTE = 0x11, ELSEWHERE_BYTE = 0x22, MOST = 5 * 0x1000 };

static struct target_address linear(uint64_t address)
{
    return (struct target_address){TARGET_LINEAR, 0, BARE_PML4, address};
}

static size_t read_at(uint64_t root, uint64_t address, void *buffer, size_t len)
{
    struct target_address from = {TARGET_LINEAR, 0, root, address};
    size_t moved = 0;
    (void)machine_ops.read(machine, &from, buffer, len, &moved);
    return moved;
}

static size_t write_to(struct target_address to, const void *bytes, size_t len)
{
    size_t moved = 0;
    (void)machine_ops.write(machine, &to, bytes, len, &moved);
    return moved;
}

static void write_entry(struct target_address to, uint64_t entry)
{
    assert_int_equal(write_to(to, &entry, sizeof(entry)), sizeof(entry));
}

static void fill(uint64_t guest_phys, uint8_t byte)
{
    static uint8_t bytes[PAGE];
    memset(bytes, byte, sizeof(bytes));
    assert_true(memory_load(&machine->memory, guest_phys, bytes, sizeof(bytes)));
}

// The window shows HERE; a second set of tables, not in use, would show ELSEWHERE in its place.
static int set_up(void **state)
{
    bare_set_up(state);
    fill(HERE, HERE_BYTE);
    fill(ELSEWHERE, ELSEWHERE_BYTE);
    bare_poke(OTHER_PML4, OTHER_PDPT | P | RW);
    bare_poke(OTHER_PDPT, OTHER_PD | P | RW);
    bare_poke(OTHER_PD, OTHER_PT | P | RW);
    bare_poke(OTHER_PT + WINDOW / PAGE * 8, ELSEWHERE | P | RW);
    bare_poke(BARE_PD + 16, P | RW | PS); // ALIAS_2MIB
    return 0;
}

static void expect_window(uint64_t root, uint8_t byte)
{
    uint8_t got[16];
    memset(got, 0, sizeof(got));
    assert_int_equal(read_at(root, WINDOW + 8, got, sizeof(got)), sizeof(got));
    assert_int_equal(got[0], byte);
    assert_int_equal(got[15], byte);
}

// --- a change between two reads -------------------------------------------------------------

struct change_row {
    const char *name;
    uint64_t entry_phys;
    uint64_t entry;
};

static struct change_row change_rows[] = {
    {"the PML4E", BARE_PML4, OTHER_PDPT | P | RW},
    {"the PDPTE", BARE_PDPT, OTHER_PD | P | RW},
    {"the PDE", BARE_PD, OTHER_PT | P | RW},
    // This one is always read again.
    {"the PTE", BARE_PT + WINDOW / PAGE * 8, ELSEWHERE | P | RW},
};

static void check_change(const struct change_row *row, struct target_address to)
{
    expect_window(BARE_PML4, HERE_BYTE);
    write_entry(to, row->entry);
    expect_window(BARE_PML4, ELSEWHERE_BYTE);
}

static void written_by_physical_address(void **state)
{
    const struct change_row *row = *state;
    check_change(row, (struct target_address){TARGET_PHYSICAL, 0, 0, row->entry_phys});
}

// The low memory is mapped to itself, by the very table that was used last.
static void written_through_the_same_table(void **state)
{
    const struct change_row *row = *state;
    check_change(row, linear(row->entry_phys));
}

static void written_through_a_large_page(void **state)
{
    const struct change_row *row = *state;
    check_change(row, linear(ALIAS_2MIB + row->entry_phys));
}

static void loaded(void **state)
{
    const struct change_row *row = *state;
    expect_window(BARE_PML4, HERE_BYTE);
    bare_poke(row->entry_phys, row->entry);
    expect_window(BARE_PML4, ELSEWHERE_BYTE);
}

// The guest writes the entry, run by a budget and run as a debugger steps. Nothing but its turn
// comes between the two reads. It has written the same page before, so that it is watched no more.
static void check_guest(const struct change_row *row, bool steps)
{
    static const struct code stores =
        ASM("mov [rdi], rax; mov [rdi], rbx", "\x48\x89\x07\x48\x89\x1F");
    bare_place(BARE_CODE, stores);
    cpu->vmx.gpr[VMX_RAX] = bare_peek(row->entry_phys);
    cpu->vmx.gpr[VMX_RBX] = row->entry;
    cpu->vmx.gpr[VMX_RDI] = row->entry_phys;
    (void)(steps ? bare_step(0) : bare_run(0, 1));
    expect_window(BARE_PML4, HERE_BYTE);
    (void)(steps ? bare_step(0) : bare_run(0, 1));
    assert_int_equal(cpu_guest(cpu, RIP), BARE_CODE + stores.len);
    expect_window(BARE_PML4, ELSEWHERE_BYTE);
}

static void written_by_the_guest(void **state)
{
    check_guest(*state, false);
}

static void written_by_a_step(void **state)
{
    check_guest(*state, true);
}

static void gone_with_a_reset(void **state)
{
    const struct change_row *row = *state;
    memory_mark(&machine->memory);
    bare_poke(row->entry_phys, row->entry);
    expect_window(BARE_PML4, ELSEWHERE_BYTE);
    machine_reset(machine);
    expect_window(BARE_PML4, HERE_BYTE);
}

// --- by what VM entry injects ---------------------------------------------------------------

// The frame of the injected #UD lies on a PDE, and the RIP in it is another.
static void inject_over_pde(void)
{
    cpu_guest(cpu, RIP) = OTHER_PT | P | RW;
    cpu_guest(cpu, RSP) = BARE_PD + 24 + 40;
    assert_true(vmcs_write(&cpu->vmx.vmcs, 0x4016, 0x80000306));
    bare_poke(BARE_PD + 24, BARE_PT | P | RW);
}

static void expect_far(uint8_t byte)
{
    uint8_t got = 0;
    assert_int_equal(read_at(BARE_PML4, FAR + WINDOW, &got, 1), 1);
    assert_int_equal(got, byte);
}

static void written_by_an_injected_event(void **state)
{
    (void)state;
    inject_over_pde();
    expect_far(HERE_BYTE);
    assert_int_equal(machine_step(machine, false), STATUS_SUCCESS);
    assert_int_equal(bare_peek(BARE_PD + 24), OTHER_PT | P | RW);
    expect_far(ELSEWHERE_BYTE);
}

static void written_by_an_event_that_go_injects(void **state)
{
    (void)state;
    inject_over_pde();
    expect_far(HERE_BYTE);
    assert_int_equal(machine_ops.go(machine), STATUS_SUCCESS);
    assert_int_equal(machine_ops.break_in(machine), STATUS_SUCCESS);
    expect_far(ELSEWHERE_BYTE);
}

// --- other registers ------------------------------------------------------------------------

static void another_root_is_another_space(void **state)
{
    (void)state;
    expect_window(BARE_PML4, HERE_BYTE);
    expect_window(OTHER_PML4, ELSEWHERE_BYTE);
    expect_window(BARE_PML4, HERE_BYTE);
}

static void what_is_reserved_follows_the_registers(void **state)
{
    (void)state;
    uint8_t byte = 0;
    bare_poke(BARE_PT + WINDOW / PAGE * 8, UINT64_C(1) << 63 | HERE | P);
    assert_int_equal(read_at(BARE_PML4, WINDOW, &byte, 1), 1);
    cpu_guest(cpu, IA32_EFER) &= ~MMU_EFER_NXE;
    assert_int_equal(read_at(BARE_PML4, WINDOW, &byte, 1), 0);
    cpu_guest(cpu, IA32_EFER) |= MMU_EFER_NXE;
    assert_int_equal(read_at(BARE_PML4, WINDOW, &byte, 1), 1);
    cpu_guest(cpu, CR0) &= ~MMU_CR0_PG; // EFER.LMA stays, so 64-bit mode does
    cpu_guest(cpu, IA32_EFER) &= ~(MMU_EFER_LMA | MMU_EFER_LME);
    assert_int_equal(read_at(BARE_PML4, HERE, &byte, 1), 1);
    assert_int_equal(byte, HERE_BYTE);
    assert_int_equal(read_at(BARE_PML4, WINDOW, &byte, 1), 1);
    assert_int_equal(byte, 0);
}

// --- a change within one write --------------------------------------------------------------

// Two pages are written. The first lies on the page table and moves the second.
static void a_write_moves_its_own_next_page(void **state)
{
    (void)state;
    static uint8_t bytes[2 * PAGE];
    uint64_t entry = BARE_PT | P | RW;
    for (unsigned warm = 0; warm < 2; warm++) {
        bare_set_pte(WINDOW - PAGE, entry);
        bare_set_pte(WINDOW, HERE | P | RW);
        fill(HERE, HERE_BYTE);
        fill(ELSEWHERE, ELSEWHERE_BYTE);
        assert_true(memory_peek(&machine->memory, BARE_PT, bytes, PAGE));
        memcpy(bytes + WINDOW / PAGE * 8, &(uint64_t){ELSEWHERE | P | RW}, sizeof(entry));
        memset(bytes + PAGE, 0x99, PAGE);
        if (warm) {
            expect_window(BARE_PML4, HERE_BYTE);
        }
        assert_int_equal(write_to(linear(WINDOW - PAGE), bytes, sizeof(bytes)), sizeof(bytes));
        assert_int_equal(bare_peek(HERE) & 0xFF, HERE_BYTE);
        assert_int_equal(bare_peek(ELSEWHERE) & 0xFF, 0x99);
        expect_window(BARE_PML4, 0x99);
    }
}

// A large page is one page: what it moves is not asked again, even where the write changes it.
static void expect_whole_page_written(uint64_t root, uint64_t address)
{
    static uint8_t bytes[2 * PAGE];
    struct target_address to = {TARGET_LINEAR, 0, root, address};
    memset(bytes, 0, PAGE); // entries of 0, not present
    memset(bytes + PAGE, 0x99, PAGE);
    assert_int_equal(write_to(to, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(bare_peek(0x200000) & 0xFF, 0x99);
    assert_int_equal(write_to(to, bytes, sizeof(bytes)), 0);
}

#define LARGE_TABLE UINT64_C(0x1FF000) // below a boundary of 2 MiB

static void a_write_through_a_1_gib_page(void **state)
{
    (void)state;
    bare_poke(BARE_PML4 + 8, LARGE_TABLE | P | RW);
    bare_poke(LARGE_TABLE, P | RW | PS);
    expect_whole_page_written(BARE_PML4, UINT64_C(0x8000000000) + LARGE_TABLE);
}

static void a_write_through_a_4_mib_page(void **state)
{
    (void)state;
    cpu_guest(cpu, CR4) = MMU_CR4_PSE;
    cpu_guest(cpu, IA32_EFER) = 0;
    cpu_guest(cpu, CS_ACCESS) = 0xC09B;
    bare_poke(LARGE_TABLE, P | RW | PS);
    expect_whole_page_written(LARGE_TABLE, LARGE_TABLE);
}

// What is remembered survives a transfer that writes elsewhere, and not one into the tables.
static void a_harmless_write_keeps_the_table(void **state)
{
    (void)state;
    const struct mmu_pde_cache *cache = &machine->pde_cache;
    write_entry(linear(WINDOW), 0);
    assert_true(mmu_pde_cache_covers(cache, WINDOW));
    assert_int_equal(machine->pde_cache_writes, machine->memory.generation + machine->cpu_writes);
    struct mmu_pde_cache before = *cache;
    expect_window(BARE_PML4, HERE_BYTE);
    assert_memory_equal(cache, &before, sizeof(before));
    write_entry(linear(BARE_PT), P | RW);
    assert_false(mmu_pde_cache_covers(cache, WINDOW));
}

// --- at random ------------------------------------------------------------------------------

static uint8_t shadow[RAM_END]; // what guest-physical memory should hold
static uint8_t bytes[MOST];
static uint8_t read_back[MOST];
static uint64_t seed;

static uint64_t below(uint64_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % limit;
}

static bool peek_shadow(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    (void)context;
    if (guest_phys >= RAM_END || len > RAM_END - guest_phys) {
        return false;
    }
    memcpy(buffer, shadow + guest_phys, len);
    return true;
}

// How many bytes from address on lie together, and where; 0 when they do not exist. A page at a
// time, each found anew in the shadow.
static size_t next_piece(uint64_t address, size_t len, uint64_t *out_guest_phys)
{
    struct mmu_memory memory = {.read = peek_shadow, .context = NULL};
    struct mmu_registers registers;
    struct mmu_walk walk;
    cpu_mmu_registers(machine, cpu, &registers);
    if (!mmu_locate(&registers, &memory, address, &walk)) {
        return 0;
    }
    *out_guest_phys = walk.guest_phys;
    size_t piece = walk.contiguous < len ? (size_t)walk.contiguous : len;
    return walk.guest_phys < RAM_END ? piece : 0;
}

// What the tables look like after a write is seldom a table any more, so most of what is written is
// entries, for pages of tables and of data.
static void draw_bytes(size_t len)
{
    static const uint64_t frames[] = {BARE_PML4, BARE_PDPT, BARE_PD,    BARE_PT,
                                      HERE,      ELSEWHERE, OTHER_PML4, OTHER_PDPT,
                                      OTHER_PD,  OTHER_PT,  0x200000};
    for (size_t at = 0; at < len; at += 8) {
        uint64_t entry = frames[below(sizeof(frames) / sizeof(frames[0]))] | P | RW;
        entry |= below(8) == 0 ? PS : 0;
        entry &= below(8) == 0 ? ~(uint64_t)P : ~UINT64_C(0);
        size_t piece = len - at < sizeof(entry) ? len - at : sizeof(entry);
        memcpy(bytes + at, &entry, piece);
    }
}

static uint64_t draw_address(void)
{
    static const uint64_t bases[] = {0,        0x44000,    WINDOW - PAGE,       0x1FE000,
                                     0x3FE000, ALIAS_2MIB, ALIAS_2MIB + 0x44000};
    uint64_t base = bases[below(sizeof(bases) / sizeof(bases[0]))];
    return base + (below(5) * PAGE & ~UINT64_C(7)) + below(3) * 8;
}

// Moves what a transfer should between bytes and the shadow; returns how much that is.
static size_t move_in_shadow(uint64_t address, size_t len, bool writes)
{
    size_t moved = 0;
    size_t piece = 0;
    do {
        uint64_t guest_phys = 0;
        piece = next_piece(address + moved, len - moved, &guest_phys);
        if (writes) {
            memcpy(shadow + guest_phys, bytes + moved, piece);
        } else {
            memcpy(bytes + moved, shadow + guest_phys, piece);
        }
        moved += piece;
    } while (piece != 0 && moved < len);
    return moved;
}

static void check_random_read(void)
{
    uint64_t address = draw_address();
    size_t len = (size_t)(1 + below(MOST));
    size_t expected = move_in_shadow(address, len, false);
    assert_int_equal(read_at(BARE_PML4, address, read_back, len), expected);
    assert_memory_equal(read_back, bytes, expected);
}

static void check_random_write(void)
{
    uint64_t address = draw_address();
    size_t len = (size_t)(below(2) == 0 ? 8 : 8 + below(MOST / 8) * 8);
    draw_bytes(len);
    size_t expected = move_in_shadow(address, len, true);
    assert_int_equal(write_to(linear(address), bytes, len), expected);
    assert_int_equal(memcmp(memory_page(&machine->memory, 0), shadow, RAM_END), 0);
}

static void what_is_moved_is_what_a_fresh_walk_finds(void **state)
{
    (void)state;
    static uint8_t initial[0x60000];
    uint8_t *ram = memory_page(&machine->memory, 0);
    memcpy(initial, ram, sizeof(initial));
    seed = 3;
    size_t num_written = 0;
    for (unsigned i = 0; i < 6000; i++) {
        if (i % 12 == 0) { // the tables as they were
            assert_true(memory_load(&machine->memory, 0, initial, sizeof(initial)));
            memcpy(shadow, ram, RAM_END);
        }
        if (below(3) == 0) {
            check_random_write();
            num_written++;
        } else {
            check_random_read();
        }
    }
    assert_true(num_written > 1000);
}

struct way_row {
    const char *name;
    CMUnitTestFunction change;
};

static const struct way_row way_rows[] = {
    {"written by physical address", written_by_physical_address},
    {"written through the same table", written_through_the_same_table},
    {"written through a large page", written_through_a_large_page},
    {"loaded", loaded},
    {"written by the guest", written_by_the_guest},
    {"written by a step of the guest", written_by_a_step},
    {"gone with a reset", gone_with_a_reset},
};

static int run_changes(const struct way_row *way)
{
    enum { NUM_ROWS = sizeof(change_rows) / sizeof(change_rows[0]) };
    struct CMUnitTest tests[NUM_ROWS];
    for (size_t i = 0; i < NUM_ROWS; i++) {
        tests[i] = (struct CMUnitTest){change_rows[i].name, way->change, set_up, bare_tear_down,
                                       &change_rows[i]};
    }
    return cmocka_run_group_tests_name(way->name, tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(another_root_is_another_space, set_up, bare_tear_down),
        cmocka_unit_test_setup_teardown(what_is_reserved_follows_the_registers, set_up,
                                        bare_tear_down),
        cmocka_unit_test_setup_teardown(written_by_an_injected_event, set_up, bare_tear_down),
        cmocka_unit_test_setup_teardown(written_by_an_event_that_go_injects, set_up,
                                        bare_tear_down),
        cmocka_unit_test_setup_teardown(a_write_moves_its_own_next_page, set_up, bare_tear_down),
        cmocka_unit_test_setup_teardown(a_write_through_a_1_gib_page, set_up, bare_tear_down),
        cmocka_unit_test_setup_teardown(a_write_through_a_4_mib_page, set_up, bare_tear_down),
        cmocka_unit_test_setup_teardown(a_harmless_write_keeps_the_table, set_up, bare_tear_down),
        cmocka_unit_test_setup_teardown(what_is_moved_is_what_a_fresh_walk_finds, set_up,
                                        bare_tear_down),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < sizeof(way_rows) / sizeof(way_rows[0]); i++) {
        failures += run_changes(&way_rows[i]);
    }
    return failures;
}
