#include "access.h"

#include "runner.h"

static bool peek(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    return memory_peek(context, guest_phys, buffer, len);
}

struct mmu_memory machine_mmu_memory(struct machine *machine)
{
    return (struct mmu_memory){.read = peek, .context = &machine->memory};
}

static uint64_t writes_so_far(const struct machine *machine)
{
    return machine->memory.generation + machine->cpu_writes;
}

// Page tables are where they were while nothing has written memory.
static struct mmu_pde_cache *pde_cache(struct machine *machine)
{
    if (machine->pde_cache_writes != writes_so_far(machine)) {
        machine->pde_cache_writes = writes_so_far(machine);
        machine->pde_cache.size = 0;
    }
    return &machine->pde_cache;
}

void access_begin(struct access *access, struct machine *machine, uint64_t root)
{
    access->machine = machine;
    cpu_mmu_registers(machine, &machine->cpus[machine->current], &access->registers);
    access->registers.cr3 = root;
    access->memory = machine_mmu_memory(machine);
    access->memory.pde_cache = pde_cache(machine);
    access->mode = cpu_pulse_mode(&machine->cpus[machine->current]);
}

enum pulse_status access_mode(const struct access *access)
{
    enum mmu_mode mode;
    bool translates = mmu_mode_of(&access->registers, &mode) && access->mode != PULSE_MODE_SMM;
    return translates ? STATUS_SUCCESS : STATUS_INVALID_CPU_MODE;
}

enum pulse_status access_linear(const struct access *access, const struct target_address *address,
                                struct segment_linear *out)
{
    if (access_mode(access) != STATUS_SUCCESS) {
        return STATUS_INVALID_CPU_MODE;
    }
    if (address->space == TARGET_LINEAR) {
        // One short of 2^64 when the address is 0: no transfer is that long.
        *out = (struct segment_linear){address->address, UINT64_MAX - address->address,
                                       address->address};
        out->length += address->address != 0;
        if (address->address <= UINT32_MAX && access->mode != PULSE_MODE_LONG64) {
            out->length = (UINT64_C(1) << 32) - address->address;
        }
        return STATUS_SUCCESS;
    }
    struct segment_registers segments;
    cpu_segments(&access->machine->cpus[access->machine->current], &segments);
    struct far_pointer at = {address->selector, address->address};
    enum segment_fault fault =
        segment_to_linear(&segments, &access->registers, &access->memory, at, out);
    return fault == SEGMENT_FAULT_NONE ? STATUS_SUCCESS : STATUS_INVALID_TRANSLATION;
}

enum pulse_status access_walk(const struct access *access, const struct target_address *address,
                              struct target_walk *out)
{
    enum mmu_mode mode;
    (void)mmu_mode_of(&access->registers, &mode); // access_linear refuses where there is none
    *out = (struct target_walk){.mode = (uint8_t)mode};
    struct segment_linear linear;
    enum pulse_status status = access_linear(access, address, &linear);
    if (status != STATUS_SUCCESS) {
        return status;
    }
    struct mmu_walk walk;
    mmu_locate(&access->registers, &access->memory, linear.linear, &walk);
    if (walk.fault == MMU_FAULT_ROOT || walk.fault == MMU_FAULT_BEYOND_4GIB) {
        return STATUS_INVALID_TRANSLATION;
    }
    *out = (struct target_walk){
        .mode = (uint8_t)walk.mode,
        .valid = walk.valid,
        .num_entries = walk.num_entries,
        .last_valid = walk.last_valid_entry,
        .guest_phys = walk.guest_phys,
    };
    for (size_t i = 0; i < walk.num_entries; i++) {
        out->entries[i] = walk.entries[i];
    }
    return STATUS_SUCCESS;
}

// One direction of a transfer: how bytes move between guest-physical memory and the buffer.
struct mover {
    struct machine *machine;
    uint8_t *read_into;        // NULL: write
    const uint8_t *write_from; // NULL: read
};

// A CPU may have translated code from the pages that are written.
void machine_drop_code(struct machine *machine, uint64_t guest_phys, size_t len)
{
    uint64_t page = guest_phys & ~(uint64_t)(MEMORY_PAGE_SIZE - 1);
    for (; page < guest_phys + len; page += MEMORY_PAGE_SIZE) {
        const uint8_t *flags = memory_flags(&machine->memory, page);
        if (flags && (*flags & PAGE_CODE)) {
            runner_code_written(machine, page);
        }
    }
}

static size_t move(const struct mover *mover, uint64_t guest_phys, size_t at, size_t len)
{
    if (mover->read_into) {
        return memory_read(&mover->machine->memory, guest_phys, mover->read_into + at, len);
    }
    machine_drop_code(mover->machine, guest_phys, len);
    return memory_write(&mover->machine->memory, guest_phys, mover->write_from + at, len);
}

static enum pulse_status move_physical(const struct mover *mover, uint64_t guest_phys, size_t len,
                                       size_t *out_moved)
{
    if (guest_phys >> mover->machine->memory.max_phys_bits != 0) {
        return STATUS_INVALID_ADDRESS;
    }
    *out_moved = move(mover, guest_phys, 0, len);
    return *out_moved != 0 ? STATUS_SUCCESS : STATUS_INVALID_TRANSLATION;
}

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

// The host finds out by itself that a page is read, but not that another follows elsewhere.
static void expect_read(struct memory *memory, const struct mmu_run *run)
{
    enum { CACHE_LINE = 64, NUM_LINES = 8 };
    const uint8_t *bytes = memory_bytes(memory, run->guest_phys, run->len);
    for (size_t i = 0; bytes && i < NUM_LINES && i * CACHE_LINE < run->len; i++) {
        __builtin_prefetch(bytes + i * CACHE_LINE);
    }
}

// Moves what the runs describe. False at the first byte that cannot be reached.
static bool move_runs(const struct mover *mover, const struct mmu_runs *runs, size_t *moved)
{
    for (size_t i = 0; i < runs->num_runs; i++) {
        const struct mmu_run *run = &runs->run[i];
        if (mover->read_into && i + 1 < runs->num_runs) {
            expect_read(&mover->machine->memory, run + 1);
        }
        size_t done = move(mover, run->guest_phys, *moved, (size_t)run->len);
        *moved += done;
        if (done < run->len) {
            return false;
        }
    }
    return true;
}

// Whether what the runs describe, when it is written, changes the tables that *cache knows.
static bool overwrites_tables(const struct mmu_pde_cache *cache, const struct mmu_runs *runs)
{
    for (size_t i = 0; i < runs->num_runs; i++) {
        if (mmu_pde_cache_reads(cache, runs->run[i].guest_phys, runs->run[i].len)) {
            return true;
        }
    }
    return false;
}

// What a write may move before the tables are asked again: all that one page table translates, but
// only the first page when the write changes the tables; the whole of a large page.
static enum mmu_fault locate_write(const struct access *access, uint64_t linear, size_t len,
                                   struct mmu_runs *out)
{
    enum { REACH = 0x200000 }; // of a page table or a large page, at least
    struct mmu_pde_cache *cache = access->memory.pde_cache;
    size_t in_reach = REACH - (linear & (REACH - 1));
    enum mmu_fault fault =
        mmu_locate_runs(&access->registers, &access->memory, linear, least(in_reach, len), out);
    bool is_through_table = mmu_pde_cache_covers(cache, linear);
    struct mmu_walk walk;
    if (!is_through_table && len > in_reach &&
        mmu_locate(&access->registers, &access->memory, linear, &walk)) {
        out->run[0].len = least(walk.contiguous, len);
    }
    if (!overwrites_tables(cache, out)) {
        return fault;
    }
    cache->size = 0;
    if (is_through_table) {
        uint64_t in_page = MEMORY_PAGE_SIZE - (linear & (MEMORY_PAGE_SIZE - 1));
        out->num_runs = 1;
        out->run[0].len = least(in_page, (size_t)out->run[0].len);
        return MMU_FAULT_NONE;
    }
    return fault;
}

static void move_pages(const struct mover *mover, const struct access *access, uint64_t linear,
                       size_t len, size_t *out_moved)
{
    enum mmu_fault fault = MMU_FAULT_NONE;
    struct mmu_runs runs;
    while (*out_moved < len && fault == MMU_FAULT_NONE) {
        uint64_t next = linear + *out_moved;
        size_t left = len - *out_moved;
        fault = mover->read_into
                    ? mmu_locate_runs(&access->registers, &access->memory, next, left, &runs)
                    : locate_write(access, next, left, &runs);
        if (!move_runs(mover, &runs, out_moved)) {
            break;
        }
    }
    mover->machine->pde_cache_writes = writes_so_far(mover->machine);
}

static enum pulse_status move_linear(const struct mover *mover, const struct target_address *place,
                                     size_t len, size_t *out_moved)
{
    struct access access;
    access_begin(&access, mover->machine, place->root);
    struct segment_linear linear;
    enum pulse_status status = access_linear(&access, place, &linear);
    if (status != STATUS_SUCCESS) {
        return status;
    }
    move_pages(mover, &access, linear.linear, least(linear.length, len), out_moved);
    return *out_moved != 0 ? STATUS_SUCCESS : STATUS_INVALID_TRANSLATION;
}

static enum pulse_status transfer(const struct mover *mover, const struct target_address *place,
                                  size_t len, size_t *out_moved)
{
    *out_moved = 0;
    if (place->space == TARGET_PHYSICAL) {
        return move_physical(mover, place->address, len, out_moved);
    }
    return move_linear(mover, place, len, out_moved);
}

enum pulse_status access_read(struct machine *machine, const struct target_address *from,
                              void *buffer, size_t len, size_t *out_moved)
{
    struct mover mover = {.machine = machine, .read_into = buffer};
    return transfer(&mover, from, len, out_moved);
}

enum pulse_status access_write(struct machine *machine, const struct target_address *to,
                               const void *buffer, size_t len, size_t *out_moved)
{
    struct mover mover = {.machine = machine, .write_from = buffer};
    return transfer(&mover, to, len, out_moved);
}
