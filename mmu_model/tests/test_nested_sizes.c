// Pages of every size over pages of every size.
#include "rows.h"

#include "nested_rig.h"

struct size_case {
    const char *name;
    unsigned guest_level, ept_level;
    uint64_t contiguous, host_phys;
};

// The address is 0x...33D4E678 within 1 GiB, 0x14E678 within 2 MiB.
// clang-format off
static struct size_case size_cases[] = {
    {"4 KiB over 4 KiB", 1, 1, 0x988, 0x1034E678},
    {"4 KiB over 2 MiB", 1, 2, 0x988, 0x8014E678},
    {"4 KiB over 1 GiB", 1, 3, 0x988, 0x14034E678},
    {"2 MiB over 4 KiB", 2, 1, 0x988, 0x1034E678},
    {"2 MiB over 2 MiB", 2, 2, 0xB1988, 0x8014E678},
    {"2 MiB over 1 GiB", 2, 3, 0xB1988, 0x14034E678},
    {"1 GiB over 4 KiB", 3, 1, 0x988, 0x10D4E678},
    {"1 GiB over 2 MiB", 3, 2, 0xB1988, 0x8014E678},
    {"1 GiB over 1 GiB", 3, 3, 0xC2B1988, 0x173D4E678},
};
// clang-format on

static void check_size(void **state)
{
    const struct size_case *c = *state;
    static const uint64_t guest_page[] = {0, 0x4034E000 | P, 0x40200000 | PS | P,
                                          0x40000000 | PS | P};
    struct path path = {.mode = M4};
    const uint64_t rights[MMU_MAX_LEVELS + 1] = {0};
    uint64_t entry[EPT_LEVELS + 1] = {[3] = EPT_TABLE(12) | ERWX, [2] = EPT_TABLE(11) | ERWX};
    struct guest guest;
    struct mmu_walk walk;
    path.entry[c->guest_level] = guest_page[c->guest_level];
    guest_build(&guest, &path, rights);
    uint64_t guest_phys = guest_page[c->guest_level] & ~UINT64_C(0xFFF);
    guest_phys |= guest.linear & (BIT(3 + 9 * c->guest_level) - 1);
    // Tables of its own, so that the guest's tables stay where they are.
    entry[1] = (0x10000000 | (guest_phys & 0xFFF000)) | EWB | ERWX;
    entry[c->ept_level] = c->ept_level == 1   ? entry[1]
                          : c->ept_level == 2 ? 0x80000000 | EPS | EWB | ERWX
                                              : 0x140000000 | EPS | EWB | ERWX;
    for (unsigned level = 3; level >= c->ept_level; level--) {
        uint64_t table = level == 3 ? EPT_TABLE(3) : EPT_TABLE(level + 10);
        cells_put(&guest.cells, table + 8 * (guest_phys >> (3 + 9 * level) & 511), entry[level]);
    }

    assert_true(nested_locate(&guest.registers, &guest.nested, guest.linear, &walk));

    assert_int_equal(walk.guest_phys, guest_phys);
    assert_int_equal(walk.contiguous, c->contiguous);
    assert_int_equal(guest.nested.last.host_phys, c->host_phys);
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "sizes", size_cases, check_size);
    return failures;
}
