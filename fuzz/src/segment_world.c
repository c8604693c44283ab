#include "segment_world.h"

#include "harness.h"

#define FOUR_GIB       (UINT64_C(1) << 32)
#define IDENTITY_BYTES (UINT64_C(1) << 39)
#define TABLES_PHYS    IDENTITY_BYTES // PML5, PML4 and PDPT, beyond what they map

enum {
    PAGE_SIZE = 4096,
    NO_HOLE = 16,
    FLAG_CPL = 3,
    FLAG_EXTERNAL = 4,
    FLAG_LA57 = 8,
    FLAG_SOFTWARE = 16, // an INT n
    FLAG_HAS_STACK = 32,
    FLAG_READ_KIND = 6, // shift
    LINEAR_BITS = 48,
    LINEAR_BITS_LA57 = 57,
};

bool segment_world_is_ia32e(const struct segment_world *world)
{
    return world->cpu.mode >= CPU_MODE_LONG64;
}

bool segment_world_is_protected(const struct segment_world *world)
{
    return world->cpu.mode != CPU_MODE_REAL && world->cpu.mode != CPU_MODE_V86;
}

// An entry of the tables: each level leads to the next, and the PDPT to pages of 1 GiB.
static uint64_t table_entry(uint64_t offset)
{
    uint64_t level = offset / PAGE_SIZE;
    uint64_t index = offset % PAGE_SIZE / 8;
    uint64_t next = TABLES_PHYS + (level + 1) * PAGE_SIZE;
    return MMU_ENTRY_P | (level < 2 ? next : index << 30 | MMU_ENTRY_PS);
}

static bool in_hole(const struct segment_world *world, uint64_t address)
{
    return address / 8 % NO_HOLE == world->hole;
}

bool segment_world_read(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    struct segment_world *world = context;
    if (guest_phys >= TABLES_PHYS && guest_phys < TABLES_PHYS + UINT64_C(3) * PAGE_SIZE) {
        store_le(buffer, len, table_entry(guest_phys - TABLES_PHYS));
        return true;
    }
    if (in_hole(world, guest_phys) || in_hole(world, guest_phys + len - 1)) {
        world->memory.num_refused++;
        return false;
    }
    return sparse_memory_read(&world->memory, guest_phys, buffer, len);
}

static uint64_t phys_of(const struct segment_world *world, uint64_t linear)
{
    return linear % (segment_world_is_ia32e(world) ? IDENTITY_BYTES : FOUR_GIB);
}

// Whether len bytes from linear on are within 4 GiB, or in one canonical half.
static bool is_linear(const struct segment_world *world, uint64_t linear, size_t len)
{
    uint64_t last = linear + (len - 1);
    if (!segment_world_is_ia32e(world)) {
        return last < FOUR_GIB;
    }
    return last >= linear && mmu_is_canonical(linear, world->cpu.linear_bits) &&
           mmu_is_canonical(last, world->cpu.linear_bits);
}

// The same bytes by their linear addresses.
static bool read_linear(void *context, uint64_t linear, void *buffer, size_t len)
{
    struct segment_world *world = context;
    uint8_t *bytes = buffer;
    FUZZ_REQUIRE(len != 0 && len <= 8);
    FUZZ_REQUIRE(segment_world_is_ia32e(world) || linear < FOUR_GIB);
    if (!is_linear(world, linear, len)) {
        world->memory.num_refused++;
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!segment_world_read(world, phys_of(world, linear + i), bytes + i, 1)) {
            return false;
        }
    }
    return true;
}

bool segment_world_get(struct segment_world *world, uint64_t linear, uint64_t *out)
{
    uint8_t bytes[8];
    bool ok = read_linear(world, segment_world_is_ia32e(world) ? linear : linear % FOUR_GIB, bytes,
                          sizeof(bytes));
    *out = ok ? load_le(bytes, sizeof(bytes)) : 0;
    return ok;
}

bool segment_world_or(struct segment_world *world, uint64_t linear, uint8_t bits)
{
    return sparse_memory_or(&world->memory, phys_of(world, linear), bits);
}

struct segment *segment_world_register(struct segment_world *world, enum segment_register index)
{
    struct segment *registers[] = {
        [SEGMENT_REGISTER_ES] = &world->registers.es, [SEGMENT_REGISTER_CS] = &world->registers.cs,
        [SEGMENT_REGISTER_SS] = &world->registers.ss, [SEGMENT_REGISTER_DS] = &world->registers.ds,
        [SEGMENT_REGISTER_FS] = &world->registers.fs, [SEGMENT_REGISTER_GS] = &world->registers.gs,
    };
    return registers[index];
}

// A register as its descriptor has it; bit 4 of an otherwise impossible null of S makes unusable.
static struct segment read_segment(struct byte_reader *input)
{
    uint16_t selector = (uint16_t)read_number(input, 2);
    uint64_t low = read_number(input, 8);
    struct segment segment = segment_from_descriptor(selector, low, 0);
    if (low == 0) {
        segment = (struct segment){.selector = selector, .access = SEGMENT_ACCESS_UNUSABLE};
    }
    return segment;
}

// The control registers and the CS of a mode.
static void set_mode(struct segment_world *world, enum cpu_mode mode, bool la57)
{
    uint32_t *cs = &world->registers.cs.access;
    world->cpu.mode = mode == CPU_MODE_SMM ? CPU_MODE_REAL : mode;
    *cs &= ~(uint32_t)(SEGMENT_ACCESS_L | SEGMENT_ACCESS_DB | SEGMENT_ACCESS_UNUSABLE);
    *cs |= mode == CPU_MODE_PROT32 || mode == CPU_MODE_LONG32 ? SEGMENT_ACCESS_DB : 0U;
    *cs |= mode == CPU_MODE_LONG64 ? SEGMENT_ACCESS_L : 0U;
    world->mmu.max_phys_bits = 46;
    world->mmu.cr0 = world->cpu.mode == CPU_MODE_REAL ? 0 : MMU_CR0_PE;
    world->mmu.rflags = mode == CPU_MODE_V86 ? MMU_RFLAGS_VM : 0;
    if (segment_world_is_ia32e(world)) {
        world->mmu.cr0 |= MMU_CR0_PG;
        world->mmu.cr4 = MMU_CR4_PAE | (la57 ? MMU_CR4_LA57 : 0);
        world->mmu.efer = MMU_EFER_LME | MMU_EFER_LMA;
        world->mmu.cr3 = TABLES_PHYS + (la57 ? 0 : PAGE_SIZE);
    }
    FUZZ_REQUIRE(cpu_mode_of(world->mmu.cr0, world->mmu.efer, world->mmu.rflags, *cs) ==
                 world->cpu.mode);
}

static void set_level(struct segment_world *world, unsigned cpl)
{
    world->cpu.cpl = cpl;
    if (world->cpu.mode == CPU_MODE_REAL) {
        world->cpu.cpl = 0;
    }
    if (world->cpu.mode == CPU_MODE_V86) {
        world->cpu.cpl = 3;
    }
}

static void read_request(struct segment_world *world, uint8_t flags, struct byte_reader *input)
{
    world->selector = (uint16_t)read_number(input, 2);
    world->offset = read_number(input, 8);
    world->size = 1 + read_number(input, 1);
    world->index = (enum segment_register)(read_number(input, 1) % NUM_SEGMENT_REGISTERS);
    world->kind = (enum mmu_access_kind)((flags >> FLAG_READ_KIND) % 3);
    world->interrupt = (struct segment_interrupt){
        .vector = (uint8_t)read_number(input, 1),
        .software = (flags & FLAG_SOFTWARE) != 0,
        .idt_base = read_number(input, 8),
        .idt_limit = (uint32_t)read_number(input, 2),
    };
    world->frame = (struct segment_frame){
        .rip = world->offset,
        .cs = world->selector,
        .ss = (uint16_t)read_number(input, 2),
        .has_stack = (flags & FLAG_HAS_STACK) != 0,
    };
}

void segment_world_init(struct segment_world *world, struct byte_reader *input)
{
    *world = (struct segment_world){0};
    enum cpu_mode mode = (enum cpu_mode)(read_number(input, 1) % 8);
    uint8_t flags = (uint8_t)read_number(input, 1);
    bool la57 = (flags & FLAG_LA57) != 0;
    world->hole = (unsigned)read_number(input, 1) % (NO_HOLE + 1);
    read_request(world, flags, input);
    world->registers.gdt_base = read_number(input, 8);
    world->registers.gdt_limit = (uint32_t)read_number(input, 2);
    for (unsigned i = 0; i < NUM_SEGMENT_REGISTERS; i++) {
        *segment_world_register(world, (enum segment_register)i) = read_segment(input);
    }
    world->registers.ldtr = read_segment(input);
    world->cpu.tr = read_segment(input);
    world->registers.gs.base += read_number(input, 8) << 16;
    set_mode(world, mode, la57);
    set_level(world, flags & FLAG_CPL);
    world->cpu.linear_bits = la57 ? LINEAR_BITS_LA57 : LINEAR_BITS;
    world->cpu.external = (flags & FLAG_EXTERNAL) != 0;
    world->cpu.cs = world->registers.cs;
    world->cpu.ldtr = world->registers.ldtr;
    world->cpu.gdt_base = world->registers.gdt_base;
    world->cpu.gdt_limit = world->registers.gdt_limit;
    world->cpu.read = read_linear;
    world->cpu.context = world;
    sparse_memory_init(&world->memory, input);
}

enum segment_fault segment_world_translate(struct segment_world *world, uint64_t offset,
                                           struct segment_linear *out)
{
    struct mmu_memory memory = {.read = segment_world_read, .context = world};
    struct far_pointer at = {world->selector, offset};
    return segment_to_linear(&world->registers, &world->mmu, &memory, at, out);
}
