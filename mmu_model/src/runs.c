// Where many bytes are, at the cost of one entry a page: a debugger's transfers.
#include "mmu_model/paging.h"

#include "arithmetic.h"
#include "little_endian.h"
#include "walk.h"

enum { PAGE = 1 << PAGE_SHIFT };

static void add_run(uint64_t guest_phys, uint64_t len, struct mmu_runs *out)
{
    struct mmu_run *next = &out->run[out->num_runs];
    out->len += len;
    if (out->num_runs != 0 && guest_phys == next[-1].guest_phys + next[-1].len) {
        next[-1].len += len;
        return;
    }
    *next = (struct mmu_run){guest_phys, len};
    out->num_runs++;
}

// What was found under other registers need not be there under these. (no_1gib_pages changes no
// walk that ends at a page table.)
static bool cache_is_of(const struct mmu_pde_cache *cache, const struct mmu_registers *registers)
{
    return cache->cr0 == registers->cr0 && cache->cr3 == registers->cr3 &&
           cache->cr4 == registers->cr4 && cache->efer == registers->efer &&
           cache->max_phys_bits == registers->max_phys_bits;
}

static uint64_t entry_from(const uint8_t *bytes, unsigned entry_size)
{
    return entry_size == 4 ? load_le32(bytes) : load_le64(bytes);
}

// *walk ended at an entry of a page table.
static void cache_table(const struct walker *w, const struct mmu_walk *walk,
                        struct mmu_pde_cache *out)
{
    const struct mmu_registers *registers = w->registers;
    out->cr0 = registers->cr0;
    out->cr3 = registers->cr3;
    out->cr4 = registers->cr4;
    out->efer = registers->efer;
    out->max_phys_bits = registers->max_phys_bits;
    out->size = (w->index_mask + 1) << PAGE_SHIFT;
    out->first = w->linear & -out->size;
    out->entry_size = (uint8_t)w->entry_size;
    out->address_mask = w->address_mask;
    out->reserved = w->reserved;
    out->num_tables = walk->num_entries;
    for (size_t i = 0; i < walk->num_entries; i++) {
        out->table[i] = walk->entry_phys[i] & ~(uint64_t)(PAGE - 1);
    }
}

// Adds what the page table makes of the len bytes from linear on, as far as it reaches and its
// entries are in order. Only the first run begins within a page.
static void add_pages(const struct mmu_pde_cache *cache, const struct mmu_memory *memory,
                      uint64_t linear, uint64_t len, struct mmu_runs *out)
{
    uint8_t bytes[MMU_MAX_RUNS * 8];
    uint64_t at = linear - cache->first;
    uint64_t offset = at & (PAGE - 1);
    uint64_t room = (MMU_MAX_RUNS - out->num_runs) * (uint64_t)PAGE - offset;
    uint64_t left = least(least(len, room), cache->size - at);
    size_t num = (size_t)((offset + left + PAGE - 1) >> PAGE_SHIFT);
    uint64_t entry_phys =
        cache->table[cache->num_tables - 1] + (at >> PAGE_SHIFT) * cache->entry_size;
    if (left == 0 || !memory->read(memory->context, entry_phys, bytes, num * cache->entry_size)) {
        return;
    }
    for (size_t i = 0; i < num; i++) {
        uint64_t entry = entry_from(bytes + i * cache->entry_size, cache->entry_size);
        if ((entry & (cache->reserved | MMU_ENTRY_P)) != MMU_ENTRY_P) {
            return;
        }
        uint64_t here = least(left, PAGE - offset);
        add_run((entry & cache->address_mask) + offset, here, out);
        left -= here;
        offset = 0;
    }
}

bool mmu_pde_cache_covers(const struct mmu_pde_cache *cache, uint64_t linear)
{
    return linear - cache->first < cache->size;
}

bool mmu_pde_cache_reads(const struct mmu_pde_cache *cache, uint64_t guest_phys, uint64_t len)
{
    for (size_t i = 0; i < cache->num_tables && cache->size != 0; i++) {
        uint64_t table = cache->table[i];
        if (guest_phys - table < PAGE || table - guest_phys < len) {
            return true;
        }
    }
    return false;
}

// Adds what one walk finds, and what else its page table says.
static enum mmu_fault add_by_walk(struct walker *w, uint64_t linear, uint64_t len,
                                  struct mmu_runs *out)
{
    struct mmu_pde_cache own = {.size = 0};
    struct mmu_pde_cache *cache = w->memory->pde_cache ? w->memory->pde_cache : &own;
    struct mmu_walk walk;
    if (!walker_walk(w, linear, &walk)) {
        return walk.fault;
    }
    uint64_t here = least(len, walk.contiguous);
    add_run(walk.guest_phys, here, out);
    if (walk.level == LEVEL_PT) {
        cache_table(w, &walk, cache);
        if (here < len && mmu_pde_cache_covers(cache, linear + here)) {
            add_pages(cache, w->memory, linear + here, len - here, out);
        }
    }
    return MMU_FAULT_NONE;
}

enum mmu_fault mmu_locate_runs(const struct mmu_registers *registers,
                               const struct mmu_memory *memory, uint64_t linear, uint64_t len,
                               struct mmu_runs *out)
{
    struct mmu_pde_cache *cache = memory->pde_cache;
    struct walker w;
    enum mmu_fault fault = MMU_FAULT_NONE;
    out->num_runs = 0;
    out->len = 0;
    if (cache && !cache_is_of(cache, registers)) {
        cache->size = 0;
    }
    if (cache && mmu_pde_cache_covers(cache, linear)) {
        add_pages(cache, memory, linear, len, out);
        if (out->len == len) {
            return MMU_FAULT_NONE;
        }
    }
    if (!walker_begin(registers, memory, PDPTES_FROM_MEMORY, &w)) {
        return MMU_FAULT_MODE;
    }
    // Addresses do not wrap from 2^64 to 0.
    while (fault == MMU_FAULT_NONE && out->len < len && out->num_runs < MMU_MAX_RUNS &&
           linear + out->len >= linear) {
        fault = add_by_walk(&w, linear + out->len, len - out->len, out);
    }
    return fault;
}

// Reads what *runs describes; *out_done counts the bytes that could be read.
static bool read_runs(const struct mmu_memory *memory, const struct mmu_runs *runs, uint8_t *bytes,
                      size_t *out_done)
{
    for (size_t i = 0; i < runs->num_runs; i++) {
        size_t len = (size_t)runs->run[i].len;
        if (!memory->read(memory->context, runs->run[i].guest_phys, bytes + *out_done, len)) {
            return false;
        }
        *out_done += len;
    }
    return true;
}

size_t mmu_read_linear(const struct mmu_registers *registers, const struct mmu_memory *memory,
                       uint64_t linear, void *buffer, size_t len)
{
    struct mmu_runs runs;
    size_t done = 0;

    // Addresses do not wrap from 2^64 to 0 within one read.
    while (done < len && linear + done >= linear) {
        enum mmu_fault fault = mmu_locate_runs(registers, memory, linear + done, len - done, &runs);
        if (!read_runs(memory, &runs, buffer, &done) || fault != MMU_FAULT_NONE) {
            break;
        }
    }
    return done;
}
