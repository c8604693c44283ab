// What long64 looks like before its first instruction: its address space, its descriptors, and that
// README.md tells the truth about them.

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "long64.h"
#include "mmu_model/paging.h"
#include "mmu_model/segment.h"
#include "target.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define KIB_4 UINT64_C(0x1000)
#define MIB_2 UINT64_C(0x200000)
#define GIB_1 UINT64_C(0x40000000)

static uint8_t ram[LONG64_RAM_SIZE];

static bool is_protected(uint64_t guest_phys)
{
    const struct target *target = target_find("long64");
    for (size_t i = 0; i < target->num_regions; i++) {
        const struct target_region *region = &target->regions[i];
        if (region->kind == REGION_PROTECTED && guest_phys - region->base < region->size) {
            return true;
        }
    }
    return false;
}

static bool read_memory(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    (void)context;
    if (is_protected(guest_phys)) {
        return false;
    }
    memset(buffer, 0xFF, len);
    if (guest_phys < sizeof(ram)) {
        size_t rest = sizeof(ram) - guest_phys;
        memcpy(buffer, ram + guest_phys, len < rest ? len : rest);
    }
    return true;
}

static const struct mmu_memory memory = {.read = read_memory};

static const struct mmu_registers registers = {
    .cr0 = LONG64_CR0,
    .cr3 = LONG64_CR3,
    .cr4 = LONG64_CR4,
    .efer = LONG64_EFER,
    .rflags = 2,
    .max_phys_bits = 46,
};

static int load_target(void **state)
{
    (void)state;
    const struct target *target = target_find("long64");
    for (size_t i = 0; i < target->num_loads; i++) {
        const struct target_load *load = &target->loads[i];
        memcpy(ram + load->guest_phys, load->bytes, load->len);
    }
    return 0;
}

static uint64_t quad_at(uint64_t guest_phys)
{
    uint64_t value = 0;
    memcpy(&value, ram + guest_phys, sizeof(value));
    return value;
}

static uint64_t kernel_quad(uint64_t linear)
{
    return quad_at(linear - LONG64_KERNEL);
}

// Pages: which of R W X, and U for user.
struct range {
    const char *name;
    uint64_t linear;
    uint64_t len;
    uint64_t phys;
    uint64_t page_size;
    const char *rights;
};

static struct range ranges[] = {
    {"low RAM", 0x1000, 0x1FF000, 0x1000, KIB_4, "RW"},
    {"the free 2 MiB", LONG64_FREE, MIB_2, LONG64_FREE, MIB_2, "RW"},
    {"user code", LONG64_USER_CODE, KIB_4, LONG64_USER_CODE_PHYS, KIB_4, "RXU"},
    {"user data", LONG64_USER_DATA, KIB_4, LONG64_USER_DATA_PHYS, KIB_4, "RWU"},
    {"user stack", LONG64_USER_STACK, 0x2000, LONG64_USER_STACK_PHYS, KIB_4, "RWU"},
    {"the free 2 MiB again", LONG64_2M_PAGE, MIB_2, LONG64_FREE, MIB_2, "RW"},
    {"run page 0", LONG64_RUN, KIB_4, 0x110000, KIB_4, "RW"},
    {"run page 1", LONG64_RUN + 0x1000, KIB_4, 0x113000, KIB_4, "RW"},
    {"before the hole", LONG64_BEFORE_HOLE, KIB_4, LONG64_BEFORE_PHYS, KIB_4, "RW"},
    {"behind the hole", LONG64_AFTER_HOLE, KIB_4, LONG64_AFTER_PHYS, KIB_4, "RW"},
    {"run page 5", LONG64_RUN + 0x5000, KIB_4, 0x112000, KIB_4, "RW"},
    {"the read-only page", LONG64_READ_ONLY, KIB_4, LONG64_READ_ONLY_PHYS, KIB_4, "R"},
    {"the alias", LONG64_ALIAS, KIB_4, LONG64_RUN_PHYS, KIB_4, "RW"},
    {"the user page", LONG64_USER_PAGE, KIB_4, LONG64_READ_ONLY_PHYS, KIB_4, "RU"},
    {"beyond RAM", LONG64_BEYOND_RAM, KIB_4, LONG64_BEYOND_RAM_PHYS, KIB_4, "RW"},
    {"protected memory", LONG64_PROTECTED, KIB_4, LONG64_PROTECTED_PHYS, KIB_4, "RW"},
    {"before the 1 GiB hole", LONG64_1G_HOLE - MIB_2, MIB_2, LONG64_FREE, MIB_2, "RW"},
    {"the 1 GiB page", LONG64_1G_PAGE, GIB_1, 0, GIB_1, "RW"},
    {"before the 512 GiB hole", LONG64_512G_HOLE - MIB_2, MIB_2, LONG64_FREE, MIB_2, "RW"},
    {"the lower edge", LONG64_LOWER_EDGE, KIB_4, LONG64_LOWER_EDGE_PHYS, KIB_4, "RW"},
    {"the higher edge", LONG64_HIGHER_EDGE, KIB_4, LONG64_HIGHER_EDGE_PHYS, KIB_4, "RW"},
    {"the kernel's view of low RAM", LONG64_KERNEL + KIB_4, 0xFF000, 0x1000, KIB_4, "RW"},
    {"kernel code", LONG64_VECTORS, 0x3000, LONG64_IMAGE, KIB_4, "RX"},
    {"kernel constants", LONG64_CONSTANTS, KIB_4, 0x103000, KIB_4, "R"},
    {"kernel data", LONG64_GDT, 0x1C000, 0x104000, KIB_4, "RW"},
    {"the stacks of CPU 0", LONG64_STACK_GUARD(0) + 0x1000, 0x3000, 0x121000, KIB_4, "RW"},
    {"the stacks of CPU 1", LONG64_STACK_GUARD(1) + 0x1000, 0x3000, 0x125000, KIB_4, "RW"},
    {"the stacks of CPU 2", LONG64_STACK_GUARD(2) + 0x1000, 0x3000, 0x129000, KIB_4, "RW"},
    {"the stacks of CPU 3", LONG64_STACK_GUARD(3) + 0x1000, 0x3000, 0x12D000, KIB_4, "RW"},
    {"the rest of the first 2 MiB", LONG64_KERNEL + 0x130000, 0xD0000, 0x130000, KIB_4, "RW"},
    {"the rest of RAM", LONG64_KERNEL + MIB_2, 7 * MIB_2, MIB_2, MIB_2, "RW"},
    {"the last page", LONG64_TOP_PAGE, KIB_4, LONG64_TOP_PAGE_PHYS, KIB_4, "RW"},
    {"the PML4 in the self map", LONG64_SELF_PML4, KIB_4, LONG64_CR3, KIB_4, "RW"},
    {"the run's page table in the self map", LONG64_SELF_MAP + (LONG64_RUN >> 9), KIB_4,
     LONG64_PT_RUN, KIB_4, "RW"},
};

static void expect_page(const struct range *range, uint64_t offset)
{
    struct mmu_walk walk;
    assert_true(mmu_locate(&registers, &memory, range->linear + offset, &walk));
    assert_int_equal(range->phys + offset, walk.guest_phys);
    assert_int_equal(range->page_size, walk.page_size);
    assert_int_equal(strchr(range->rights, 'W') != NULL, walk.writable);
    assert_int_equal(strchr(range->rights, 'U') != NULL, walk.user);
    assert_int_equal(strchr(range->rights, 'X') == NULL, walk.no_execute);
}

static void is_mapped_throughout(void **state)
{
    const struct range *range = *state;
    for (uint64_t offset = 0; offset < range->len; offset += range->page_size) {
        expect_page(range, offset);
        expect_page(range, offset + range->page_size - 1);
    }
}

// Of the last byte before a hole only whether it is mapped matters.
struct hole {
    const char *name;
    uint64_t linear;
    uint64_t len;
    uint64_t covered; // what the entry that stops the walk covers
    enum mmu_fault fault;
    bool after_a_page;
};

#define ABSENT     MMU_FAULT_NOT_PRESENT
#define RESERVED   MMU_FAULT_RESERVED_BIT
#define UNREADABLE MMU_FAULT_UNREADABLE

static struct hole holes[] = {
    {"the null page", 0, KIB_4, KIB_4, ABSENT, false},
    {"behind the user's data", 0x402000, 0x1FC000, KIB_4, ABSENT, true},
    {"the 2 MiB hole", LONG64_2M_HOLE, MIB_2, MIB_2, ABSENT, true},
    {"the reserved PDE", LONG64_RESERVED_PDE, MIB_2, MIB_2, RESERVED, true},
    {"the hole", LONG64_HOLE, LONG64_HOLE_SIZE, KIB_4, ABSENT, true},
    {"the reserved PTE", LONG64_RESERVED_PTE, KIB_4, KIB_4, RESERVED, true},
    {"behind the run", 0xC0C000, 0x1F4000, KIB_4, ABSENT, true},
    {"behind the run's page table", 0xE00000, 0x3F000000, MIB_2, ABSENT, false},
    {"the 1 GiB hole", LONG64_1G_HOLE, 255 * GIB_1, GIB_1, ABSENT, true},
    {"the reserved PDPTE", LONG64_RESERVED_PDPTE, GIB_1, GIB_1, RESERVED, true},
    {"behind the reserved PDPTE", 0x4080000000, 253 * GIB_1, GIB_1, ABSENT, false},
    {"the 512 GiB hole", LONG64_512G_HOLE, 512 * GIB_1, 512 * GIB_1, ABSENT, true},
    {"the reserved PML4E", LONG64_RESERVED_PML4E, 512 * GIB_1, 512 * GIB_1, RESERVED, false},
    {"the PML4E of a hidden table", LONG64_HIDDEN_PML4E, 512 * GIB_1, GIB_1, UNREADABLE, false},
    {"the PML4E of an empty table", LONG64_EMPTY_PML4E, 512 * GIB_1, GIB_1, RESERVED, false},
    {"behind the empty table", 0x28000000000, 512 * GIB_1, 512 * GIB_1, ABSENT, false},
    {"below the lower edge", LONG64_LOWER_EDGE - KIB_4, KIB_4, KIB_4, ABSENT, false},
    {"the gap", LONG64_NON_CANONICAL, KIB_4, KIB_4, MMU_FAULT_NON_CANONICAL, true},
    {"the gap's end", LONG64_HIGHER_EDGE - KIB_4, KIB_4, KIB_4, MMU_FAULT_NON_CANONICAL, false},
    {"the guard of CPU 0", LONG64_STACK_GUARD(0), KIB_4, KIB_4, ABSENT, true},
    {"the guard of CPU 1", LONG64_STACK_GUARD(1), KIB_4, KIB_4, ABSENT, true},
    {"the guard of CPU 2", LONG64_STACK_GUARD(2), KIB_4, KIB_4, ABSENT, true},
    {"the guard of CPU 3", LONG64_STACK_GUARD(3), KIB_4, KIB_4, ABSENT, true},
    {"behind RAM", LONG64_KERNEL + LONG64_RAM_SIZE, MIB_2, MIB_2, ABSENT, true},
};

static void is_a_hole_throughout(void **state)
{
    const struct hole *hole = *state;
    struct mmu_walk walk;
    for (uint64_t offset = 0; offset < hole->len; offset += hole->covered) {
        assert_false(mmu_locate(&registers, &memory, hole->linear + offset, &walk));
        assert_int_equal(hole->fault, walk.fault);
        if (hole->fault != MMU_FAULT_NON_CANONICAL) {
            assert_int_equal(hole->covered, walk.page_size);
        }
    }
    if (hole->after_a_page) {
        assert_true(mmu_locate(&registers, &memory, hole->linear - 1, &walk));
    }
}

static void every_vector_has_a_gate_to_its_stub(void **state)
{
    (void)state;
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t gate = LONG64_IDT + UINT64_C(16) * vector;
        uint64_t low = kernel_quad(gate);
        uint64_t high = kernel_quad(gate + 8);
        uint64_t offset = (low & 0xFFFF) | (low >> 32 & 0xFFFF0000) | high << 32;
        bool for_users = vector == 3 || vector == 4 || vector == LONG64_CALL_VECTOR;

        assert_int_equal(LONG64_VECTORS + UINT64_C(16) * vector, offset);
        assert_int_equal(LONG64_KERNEL_CS, low >> 16 & 0xFFFF);
        assert_int_equal(vector == 2 || vector == 8 ? 1 : 0, low >> 32 & 0xFF);
        assert_int_equal(for_users ? 0xEE : 0x8E, low >> 40 & 0xFF);
        assert_int_equal(0, high >> 32);
    }
}

// The value of a register of a CPU at the start.
static uint64_t initial(unsigned cpu, enum context_register reg)
{
    const struct target *target = target_find("long64");
    uint64_t value = 0;
    for (size_t i = 0; i < target->num_registers; i++) {
        const struct target_register *row = &target->registers[i];
        if (row->reg == reg && (row->cpu == (int)cpu || row->cpu == TARGET_ALL_CPUS)) {
            value = row->value;
        }
    }
    return value;
}

#define EXPECT_SEGMENT(cpu, name, has_base)                                                        \
    expect_segment((struct segment){.selector = (uint16_t)initial(cpu, CONTEXT_##name),            \
                                    .access = (uint32_t)initial(cpu, CONTEXT_##name##_access),     \
                                    .limit = (uint32_t)initial(cpu, CONTEXT_##name##_limit),       \
                                    .base = (has_base) ? initial(cpu, CONTEXT_##name##_base) : 0})

static void expect_segment(struct segment want)
{
    uint64_t descriptor = LONG64_GDT + (want.selector & ~7u);
    bool system = (want.access & SEGMENT_ACCESS_S) == 0;
    uint64_t high = system ? kernel_quad(descriptor + 8) : 0;

    assert_true((want.selector | 7u) + (system ? 8u : 0u) <= LONG64_GDT_LIMIT);
    struct segment got = segment_from_descriptor(want.selector, kernel_quad(descriptor), high);

    assert_int_equal(want.access, got.access);
    assert_int_equal(want.limit, got.limit);
    assert_int_equal(want.base, got.base);
}

static void the_segment_registers_hold_what_the_gdt_says(void **state)
{
    (void)state;
    for (unsigned cpu = 0; cpu < LONG64_NUM_CPUS; cpu++) {
        EXPECT_SEGMENT(cpu, cs, true);
        EXPECT_SEGMENT(cpu, ss, true);
        EXPECT_SEGMENT(cpu, ds, true);
        EXPECT_SEGMENT(cpu, es, true);
        EXPECT_SEGMENT(cpu, fs, false); // their bases come from MSRs
        EXPECT_SEGMENT(cpu, gs, false);
        EXPECT_SEGMENT(cpu, tss, true);
    }
}

static void each_cpu_has_its_own_stacks(void **state)
{
    (void)state;
    for (unsigned cpu = 0; cpu < LONG64_NUM_CPUS; cpu++) {
        uint64_t tss = initial(cpu, CONTEXT_tss_base);
        assert_int_equal(LONG64_STACK_MAIN(cpu), initial(cpu, CONTEXT_rsp));
        assert_int_equal(LONG64_STACK_INTERRUPT(cpu), kernel_quad(tss + 4));
        assert_int_equal(LONG64_STACK_FAULT(cpu), kernel_quad(tss + 0x24));
        assert_int_equal(cpu, initial(cpu, CONTEXT_rdi));
        assert_int_equal(cpu, kernel_quad(LONG64_PERCPU_PAGE(cpu) + LONG64_PERCPU_NUMBER));
        assert_int_equal(LONG64_PERCPU_PAGE(cpu), initial(cpu, CONTEXT_gs_base));
        assert_int_equal(LONG64_USER_FS(cpu), initial(cpu, CONTEXT_fs_base));
    }
}

static void protected_memory_lies_where_its_page_leads(void **state)
{
    (void)state;
    assert_false(is_protected(LONG64_PROTECTED_PHYS - 1));
    assert_true(is_protected(LONG64_PROTECTED_PHYS));
    assert_true(is_protected(LONG64_PROTECTED_PHYS + LONG64_PROTECTED_SIZE - 1));
    assert_false(is_protected(LONG64_PROTECTED_PHYS + LONG64_PROTECTED_SIZE));
}

static void each_page_of_the_run_says_which_it_is(void **state)
{
    (void)state;
    char text[32] = "";
    for (unsigned page = 0; page < 7; page++) {
        if (page == 3) {
            continue; // the hole
        }
        char want[16];
        (void)snprintf(want, sizeof(want), "run page %u", page);
        uint64_t linear = LONG64_RUN + 0x1000 * (uint64_t)page;
        mmu_read_linear(&registers, &memory, linear, text, sizeof(text));
        assert_memory_equal(want, text, strlen(want));
    }
    assert_int_equal(16, mmu_read_linear(&registers, &memory, LONG64_HOLE - 16, text, 32));
    assert_memory_equal("end of this page", text, 16);
}

static void the_free_memory_is_empty(void **state)
{
    (void)state;
    for (uint64_t at = LONG64_FREE; at < LONG64_FREE + LONG64_FREE_SIZE; at += 8) {
        assert_int_equal(0, quad_at(at));
    }
}

enum { TEXT_SIZE = 0x10000 };

static char header[TEXT_SIZE];
static char readme[TEXT_SIZE];

static void read_text(const char *name, char text[TEXT_SIZE])
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/long64/%s", SIM_TARGETS_DIRECTORY, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, TEXT_SIZE - 1, file);
    (void)fclose(file);
    assert_in_range(len, 1, TEXT_SIZE - 2);
    text[len] = '\0';
}

static int read_texts(void **state)
{
    (void)state;
    read_text("long64.h", header);
    read_text("README.md", readme);
    return 0;
}

// A row of README.md's table of names: | `LONG64_X` | `0x1000` | ... True when the line defines
// one.
static bool expect_row(const char *line)
{
    char name[64];
    char value[32];
    char row[128];
    if (sscanf(line, "#define %63[A-Z0-9_] LONG64_VALUE(%31[0-9A-Fx])", name, value) != 2) {
        return false;
    }
    (void)snprintf(row, sizeof(row), "| `%s` | `%s` |", name, value);
    if (strstr(readme, row) == NULL) {
        print_error("README.md has no row %s\n", row);
        fail();
    }
    return true;
}

static void every_address_of_the_header_stands_in_the_readme(void **state)
{
    (void)state;
    unsigned count = 0;
    for (const char *line = header; line != NULL; line = strchr(line + 1, '#')) {
        count += expect_row(line);
    }
    assert_true(count > 50);
}

static void expect_definition(const char *name)
{
    char constant[128];
    char function[128];
    int len = (int)strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    (void)snprintf(constant, sizeof(constant), "#define %.*s ", len, name);
    (void)snprintf(function, sizeof(function), "#define %.*s(", len, name);
    if (strstr(header, constant) == NULL && strstr(header, function) == NULL) {
        print_error("long64.h has no %.*s\n", len, name);
        fail();
    }
}

static void every_name_of_the_readme_stands_in_the_header(void **state)
{
    (void)state;
    for (const char *at = strstr(readme, "LONG64_"); at != NULL; at = strstr(at + 1, "LONG64_")) {
        expect_definition(at);
    }
}

#define ROWS(failures, cases, check)                                                               \
    do {                                                                                           \
        struct CMUnitTest row_tests[ARRAY_LEN(cases)];                                             \
        for (size_t row = 0; row < ARRAY_LEN(cases); row++) {                                      \
            row_tests[row] =                                                                       \
                (struct CMUnitTest){(cases)[row].name, (check), NULL, NULL, &(cases)[row]};        \
        }                                                                                          \
        (failures) += cmocka_run_group_tests_name(#cases, row_tests, load_target, NULL);           \
    } while (0)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_has_a_gate_to_its_stub),
        cmocka_unit_test(the_segment_registers_hold_what_the_gdt_says),
        cmocka_unit_test(each_cpu_has_its_own_stacks),
        cmocka_unit_test(protected_memory_lies_where_its_page_leads),
        cmocka_unit_test(each_page_of_the_run_says_which_it_is),
        cmocka_unit_test(the_free_memory_is_empty),
        cmocka_unit_test_setup(every_address_of_the_header_stands_in_the_readme, read_texts),
        cmocka_unit_test_setup(every_name_of_the_readme_stands_in_the_header, read_texts),
    };
    int failures = 0;
    ROWS(failures, ranges, is_mapped_throughout);
    ROWS(failures, holes, is_a_hole_throughout);
    failures += cmocka_run_group_tests_name("long64 at its start", tests, load_target, NULL);
    return failures == 0 ? 0 : 1;
}
