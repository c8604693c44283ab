// Page walks: any registers, any tables, any address, any access.
//
//  0      1       3        4        5     13       21     25     29    33
// | mode | flags | phys   | access | cr3 | linear | pkru | pkrs | len | words of memory ...
//
// mode: 0 none, 1 32-bit, 2 PAE, 3 4-level, 4 5-level, 5 IA-32e without PAE, from 6 on LMA without
// paging. flags: the bits of enum flag. access: the kind in bits 1:0, bit 2 user, bit 3 implicit.
// len: how many bytes a run is asked for. The words are those of sparse_memory.h,
// with bit 9 for sequence and bit 10 for unreadable.

#include <string.h>

#include "harness.h"
#include "mmu_model/paging.h"
#include "sparse_memory.h"
#include "walk_checks.h"

enum flag {
    FLAG_WP = 0x001,
    FLAG_PSE = 0x002,
    FLAG_PGE = 0x004,
    FLAG_SMEP = 0x008,
    FLAG_SMAP = 0x010,
    FLAG_PKE = 0x020,
    FLAG_PKS = 0x040,
    FLAG_NXE = 0x080,
    FLAG_AC = 0x100,
    FLAG_NO_1GIB = 0x200,
};

enum {
    ACCESS_KIND = 3,
    ACCESS_USER = 4,
    ACCESS_IMPLICIT = 8,
};

// The bits of CR0, CR4 and EFER that make a mode.
static void set_mode(struct mmu_registers *registers, uint8_t mode)
{
    static const struct {
        uint64_t cr0, cr4, efer;
    } modes[] = {
        {0, 0, 0},
        {MMU_CR0_PG, 0, 0},
        {MMU_CR0_PG, MMU_CR4_PAE, 0},
        {MMU_CR0_PG, MMU_CR4_PAE, MMU_EFER_LMA | MMU_EFER_LME},
        {MMU_CR0_PG, MMU_CR4_PAE | MMU_CR4_LA57, MMU_EFER_LMA | MMU_EFER_LME},
        {MMU_CR0_PG, 0, MMU_EFER_LME},
        {0, MMU_CR4_PAE, MMU_EFER_LMA},
    };
    size_t last = sizeof(modes) / sizeof(modes[0]) - 1;
    size_t i = mode < last ? mode : last;
    registers->cr0 = MMU_CR0_PE | modes[i].cr0;
    registers->cr4 = modes[i].cr4;
    registers->efer = modes[i].efer;
}

static void set_flags(struct mmu_registers *registers, uint64_t flags)
{
    registers->cr0 |= flags & FLAG_WP ? MMU_CR0_WP : 0;
    registers->cr4 |= flags & FLAG_PSE ? MMU_CR4_PSE : 0;
    registers->cr4 |= flags & FLAG_PGE ? MMU_CR4_PGE : 0;
    registers->cr4 |= flags & FLAG_SMEP ? MMU_CR4_SMEP : 0;
    registers->cr4 |= flags & FLAG_SMAP ? MMU_CR4_SMAP : 0;
    registers->cr4 |= flags & FLAG_PKE ? MMU_CR4_PKE : 0;
    registers->cr4 |= flags & FLAG_PKS ? MMU_CR4_PKS : 0;
    registers->efer |= flags & FLAG_NXE ? MMU_EFER_NXE : 0;
    registers->rflags |= flags & FLAG_AC ? MMU_RFLAGS_AC : 0;
    registers->no_1gib_pages = (flags & FLAG_NO_1GIB) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct byte_reader input = {.at = bytes, .end = bytes + len, .ok = true};
    struct walk_world world = {0};
    set_mode(&world.registers, (uint8_t)read_number(&input, 1));
    set_flags(&world.registers, read_number(&input, 2));
    world.registers.max_phys_bits = (uint8_t)read_number(&input, 1);
    uint64_t access = read_number(&input, 1);
    world.want.kind = (enum mmu_access_kind)((access & ACCESS_KIND) % 3);
    world.want.implicit = (access & ACCESS_IMPLICIT) != 0;
    world.want.user = (access & ACCESS_USER) != 0 && !world.want.implicit;
    world.registers.cr3 = read_number(&input, 8);
    world.linear = read_number(&input, 8);
    world.registers.pkru = (uint32_t)read_number(&input, 4);
    world.registers.pkrs = (uint32_t)read_number(&input, 4);
    world.len = read_number(&input, 4);
    world.memory.sequence = UINT64_C(1) << 9; // bits that every format ignores
    world.memory.unreadable = UINT64_C(1) << 10;
    sparse_memory_init(&world.memory, &input);
    check_place(&world);
    check_rights(&world);
    check_runs(&world);
    check_pdptes(&world);
    check_nested(&world);
    return 0;
}
