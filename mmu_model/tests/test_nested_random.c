// Both stages over random tables, against a walk of the same memory put in order.
#include "rows.h"

#include <string.h>

#include "ept_tables.h"
#include "mmu_model/nested.h"
#include "tables.h"
#include "world.h"

enum {
    NUM_TABLES = 40,
    NUM_ASKED = 250,
    EPT_PAGES = 4,
    HOST_PAGES = EPT_PAGES + WORLD_NUM_PAGES,
    PRIME = 7, // to WORLD_NUM_PAGES
};

// The world's pages in another order, behind EPT tables; some of them are not mapped.
struct shuffled {
    struct world world;
    uint8_t memory[HOST_PAGES * WORLD_PAGE];
    bool absent[WORLD_NUM_PAGES];
    struct ept_registers ept;
    size_t num_stopped_tables, num_stopped_pages, num_allowed, num_refused;
};

static bool read_host(void *context, uint64_t host_phys, void *buffer, size_t len)
{
    const struct shuffled *shuffled = context;
    if (host_phys >= sizeof(shuffled->memory) || len > sizeof(shuffled->memory) - host_phys) {
        return false;
    }
    memcpy(buffer, shuffled->memory + host_phys, len);
    return true;
}

// The world in order, without the pages that are not mapped.
static bool read_mapped(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    struct shuffled *shuffled = context;
    struct mmu_memory memory = world_memory(&shuffled->world);
    uint64_t page = guest_phys / WORLD_PAGE;
    return page < WORLD_NUM_PAGES && !shuffled->absent[page] &&
           memory.read(memory.context, guest_phys, buffer, len);
}

static uint64_t host_of_page(uint64_t page)
{
    return (EPT_PAGES + page * PRIME % WORLD_NUM_PAGES) * WORLD_PAGE;
}

static void put_host(struct shuffled *shuffled, uint64_t host_phys, uint64_t entry)
{
    for (size_t i = 0; i < 8; i++) {
        shuffled->memory[host_phys + i] = (uint8_t)(entry >> (8 * i));
    }
}

static void shuffle(struct shuffled *shuffled, enum mmu_mode mode)
{
    world_fill(&shuffled->world, mode);
    memset(shuffled->memory, 0, (size_t)EPT_PAGES * WORLD_PAGE);
    put_host(shuffled, 0, 0x1000 | ERWX);
    put_host(shuffled, 0x1000, 0x2000 | ERWX);
    put_host(shuffled, 0x1008, 0x80000000 | EPS | EWB | ERWX); // what large pages mean
    put_host(shuffled, 0x2000, 0x3000 | ERWX);
    for (uint64_t page = 0; page < WORLD_NUM_PAGES; page++) {
        uint64_t host = host_of_page(page);
        memcpy(shuffled->memory + host, shuffled->world.memory + page * WORLD_PAGE, WORLD_PAGE);
        // The root, page 1, is there: all would stop at it.
        shuffled->absent[page] = page != 1 && world_random_below(&shuffled->world, 12) == 0;
        put_host(shuffled, 0x3000 + 8 * page, shuffled->absent[page] ? 0 : host | EWB | ERWX);
    }
    shuffled->ept = ept_default_registers();
    shuffled->ept.eptp &= 0xFFF;
}

// Where the second stage puts a guest-physical address; false where it does not.
static bool place(const struct shuffled *shuffled, uint64_t guest_phys, uint64_t *out_host)
{
    uint64_t page = guest_phys / WORLD_PAGE;
    bool is_large = guest_phys >> 30 == 1;
    bool is_mapped = is_large || (page < WORLD_NUM_PAGES && !shuffled->absent[page]);
    if (is_large) {
        *out_host = 0x80000000 | (guest_phys & 0x3FFFFFFF);
    } else if (is_mapped) {
        *out_host = host_of_page(page) | (guest_phys & 0xFFF);
    }
    return is_mapped;
}

static void check_answer(struct shuffled *shuffled, const struct nested *nested,
                         const struct mmu_walk *seen, const struct mmu_walk *plain)
{
    uint64_t host = 0;
    assert_int_equal(seen->num_entries, plain->num_entries);
    assert_int_equal(seen->level, plain->level);
    assert_int_equal(seen->valid, plain->valid);
    assert_int_equal(seen->guest_phys, plain->guest_phys);
    if (plain->fault == MMU_FAULT_UNREADABLE) {
        // Where the second stage does lead on, the host has no memory.
        bool is_mapped = place(shuffled, plain->entry_phys[plain->num_entries], &host);
        assert_int_equal(seen->fault, is_mapped ? MMU_FAULT_UNREADABLE : MMU_FAULT_SECOND_STAGE);
        assert_int_equal(nested->last.guest_phys, plain->entry_phys[plain->num_entries]);
        assert_int_equal(nested->stopped, !is_mapped);
        shuffled->num_stopped_tables += !is_mapped;
        return;
    }
    if (plain->fault != MMU_FAULT_NONE) {
        assert_int_equal(seen->fault, plain->fault);
        assert_int_equal(seen->error_code, plain->error_code);
        shuffled->num_refused++;
        return;
    }
    bool is_mapped = place(shuffled, plain->guest_phys, &host);
    assert_int_equal(seen->fault, is_mapped ? MMU_FAULT_NONE : MMU_FAULT_SECOND_STAGE);
    assert_int_equal(nested->last.guest_phys, plain->guest_phys);
    assert_int_equal(nested->last.host_phys, host);
    shuffled->num_allowed += is_mapped;
    shuffled->num_stopped_pages += !is_mapped;
}

struct mode_row {
    const char *name;
    enum mmu_mode mode;
};

static struct mode_row mode_rows[] = {
    {"32-bit, shuffled", M32},
    {"PAE, shuffled", MPAE},
    {"4-level, shuffled", M4},
    {"5-level, shuffled", M5},
};

static void check_linear(struct shuffled *shuffled, uint64_t linear)
{
    struct nested nested = {.ept = &shuffled->ept,
                            .host = {.read = read_host, .context = shuffled}};
    struct mmu_memory mapped = {.read = read_mapped, .context = shuffled};
    const struct mmu_registers *registers = &shuffled->world.registers;
    struct mmu_access want = {.kind = (enum mmu_access_kind)world_random_below(&shuffled->world, 3),
                              .user = world_random_below(&shuffled->world, 2) != 0};
    struct mmu_walk seen;
    struct mmu_walk plain;

    mmu_locate(registers, &mapped, linear, &plain);
    nested_locate(registers, &nested, linear, &seen);
    check_answer(shuffled, &nested, &seen, &plain);
    mmu_access(registers, &mapped, linear, &want, &plain);
    nested_access(registers, &nested, linear, &want, &seen);
    check_answer(shuffled, &nested, &seen, &plain);
}

static void check_shuffled(void **state)
{
    const struct mode_row *row = *state;
    static struct shuffled shuffled;
    memset(&shuffled, 0, sizeof(shuffled));
    shuffled.world.seed = 3;
    for (size_t i = 0; i < (size_t)NUM_TABLES * NUM_ASKED; i++) {
        if (i % NUM_ASKED == 0) {
            shuffle(&shuffled, row->mode);
        }
        check_linear(&shuffled, world_random_linear(&shuffled.world, row->mode));
    }
    assert_true(shuffled.num_stopped_tables > 100 && shuffled.num_stopped_pages > 100);
    assert_true(shuffled.num_allowed > 1000 && shuffled.num_refused > 100);
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "random tables", mode_rows, check_shuffled);
    return failures;
}
