// What the entries of a walk say together about the page: the effective rights, the global bit and
// the protection key. One row per entry that may say it.
#include "rows.h"

#include "tables.h"

#define PAGE (UINT64_C(0x9000) | P | RW | US)

struct rights_case {
    const char *name;
    struct path path;
    bool no_global_pages; // CR4.PGE is clear
    const char *rights;   // W U G and X, of no execution; '-' without
    uint8_t key;
};

// clang-format off
static struct rights_case cases[] = {
    {"4-level: every entry allows", {M4, .entry[1] = PAGE}, .rights = "WU--"},
    {"4-level: PTE read-only", {M4, .entry[1] = 0x9000 | P | US}, .rights = "-U--"},
    {"4-level: PDE read-only", {M4, .entry[2] = TABLE_PHYS(1) | P | US}, .rights = "-U--"},
    {"4-level: PDPTE read-only", {M4, .entry[3] = TABLE_PHYS(2) | P | US}, .rights = "-U--"},
    {"4-level: PML4E read-only", {M4, .entry[4] = TABLE_PHYS(3) | P | US}, .rights = "-U--"},
    {"5-level: PML5E read-only", {M5, .entry[5] = TABLE_PHYS(4) | P | US}, .rights = "-U--"},
    {"4-level: PTE of the supervisor", {M4, .entry[1] = 0x9000 | P | RW}, .rights = "W---"},
    {"4-level: PML4E of the supervisor", {M4, .entry[4] = TABLE_PHYS(3) | P | RW}, .rights = "W---"},
    {"5-level: PML5E of the supervisor", {M5, .entry[5] = TABLE_PHYS(4) | P | RW}, .rights = "W---"},
    {"4-level: PTE with NX", {M4, .entry[1] = PAGE | NX}, .rights = "WU-X"},
    {"4-level: PML4E with NX", {M4, .entry[4] = TABLE_PHYS(3) | P | RW | US | NX},
     .rights = "WU-X"},
    {"5-level: PML5E with NX", {M5, .entry[5] = TABLE_PHYS(4) | P | RW | US | NX},
     .rights = "WU-X"},
    {"4-level: a 2 MiB page has its rights", {M4, .entry[2] = 0x200000 | P | PS | NX},
     .rights = "---X"},
    {"4-level: a 1 GiB page has its rights", {M4, .entry[3] = 0x40000000 | P | PS | US},
     .rights = "-U--"},
    {"PAE: a PDPTE has no rights", {MPAE, .entry[3] = TABLE_PHYS(2) | P}, .rights = "WU--"},
    {"PAE: PDE read-only, with NX", {MPAE, .entry[2] = TABLE_PHYS(1) | P | US | NX},
     .rights = "-U-X"},
    {"32-bit: PDE read-only", {M32, .entry[2] = TABLE_PHYS(1) | P | US}, .rights = "-U--"},
    {"32-bit: PTE of the supervisor", {M32, .entry[1] = 0x9000 | P | RW}, .rights = "W---"},

    // SDM 3A, "Global Pages": the bit of the entry that maps the page, with CR4.PGE.
    {"4-level: a global 4 KiB page", {M4, .entry[1] = PAGE | G}, .rights = "WUG-"},
    {"4-level: a global 2 MiB page", {M4, .entry[2] = 0x200000 | P | PS | G}, .rights = "--G-"},
    {"4-level: a global 1 GiB page", {M4, .entry[3] = 0x40000000 | P | PS | G}, .rights = "--G-"},
    {"5-level: a global 4 KiB page", {M5, .entry[1] = PAGE | G}, .rights = "WUG-"},
    {"PAE: a global 4 KiB page", {MPAE, .entry[1] = PAGE | G}, .rights = "WUG-"},
    {"PAE: a global 2 MiB page", {MPAE, .entry[2] = 0x200000 | P | PS | G}, .rights = "--G-"},
    {"32-bit: a global 4 KiB page", {M32, .entry[1] = PAGE | G}, .rights = "WUG-"},
    {"32-bit: a global 4 MiB page", {M32, .entry[2] = 0x400000 | P | PS | G}, .rights = "--G-"},
    {"no page is global without CR4.PGE", {M4, .entry[1] = PAGE | G}, .no_global_pages = true,
     .rights = "WU--"},
    {"a link makes no page global", {M4, .entry[2] = TABLE_PHYS(1) | P | RW | US | G},
     .rights = "WU--"},

    // SDM 3A, "Protection Keys": bits 62:59 of the entry that maps the page.
    {"4-level: the key of a 4 KiB page", {M4, .entry[1] = PAGE | UINT64_C(9) << 59},
     .rights = "WU--", .key = 9},
    {"4-level: the key of a 2 MiB page", {M4, .entry[2] = 0x200000 | P | PS | UINT64_C(15) << 59},
     .rights = "----", .key = 15},
    {"4-level: the key of a 1 GiB page", {M4, .entry[3] = 0x40000000 | P | PS | UINT64_C(6) << 59},
     .rights = "----", .key = 6},
    {"5-level: the key of a 4 KiB page", {M5, .entry[1] = PAGE | UINT64_C(1) << 59},
     .rights = "WU--", .key = 1},
    {"a link has no key", {M4, .entry[2] = TABLE_PHYS(1) | P | RW | US | UINT64_C(9) << 59},
     .rights = "WU--"},
};
// clang-format on

static void check_rights(void **state)
{
    const struct rights_case *c = *state;
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct mmu_registers registers = path_registers(&c->path);
    struct mmu_walk walk;
    registers.cr4 |= c->no_global_pages ? 0 : MMU_CR4_PGE;
    path_put(&c->path, &cells);

    assert_true(mmu_locate(&registers, &memory, path_linear(&c->path), &walk));

    const char rights[] = {walk.writable ? 'W' : '-', walk.user ? 'U' : '-',
                           walk.global ? 'G' : '-', walk.no_execute ? 'X' : '-', '\0'};
    assert_string_equal(rights, c->rights);
    assert_int_equal(walk.protection_key, c->key);
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "rights", cases, check_rights);
    return failures;
}
