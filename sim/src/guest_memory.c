#include "guest_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void memory_init(struct memory *memory, unsigned max_phys_bits)
{
    *memory = (struct memory){.max_phys_bits = max_phys_bits};
}

static void unmap(uint8_t *bytes, uint64_t size)
{
    if (bytes) {
        munmap(bytes, size);
    }
}

static void region_cleanup(struct region *region)
{
    unmap(region->host, region->size);
    unmap(region->mark, region->size);
    free(region->flags);
    free(region->dirty);
}

void memory_cleanup(struct memory *memory)
{
    for (size_t i = 0; i < memory->num_regions; i++) {
        region_cleanup(&memory->regions[i]);
    }
    memory->num_regions = 0;
}

// Zeros that cost host memory only where they are touched.
static uint8_t *map_zeros(uint64_t size)
{
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return bytes == MAP_FAILED ? NULL : bytes;
}

static bool region_allocate(struct region *region)
{
    size_t pages = region->size >> MEMORY_PAGE_SHIFT;
    if (region->kind == REGION_RAM || region->kind == REGION_ROM) {
        region->host = map_zeros(region->size);
        if (!region->host) {
            return false;
        }
    }
    if (region->kind != REGION_RAM) {
        return true;
    }
    region->mark = map_zeros(region->size);
    region->flags = calloc(pages, sizeof(*region->flags));
    region->dirty = calloc(pages, sizeof(*region->dirty));
    return region->mark && region->flags && region->dirty;
}

bool memory_add(struct memory *memory, enum region_kind kind, uint64_t base, uint64_t size)
{
    uint64_t space = UINT64_C(1) << memory->max_phys_bits;
    bool is_aligned = ((base | size) & (MEMORY_PAGE_SIZE - 1)) == 0;
    if (!is_aligned || size == 0 || base >= space || size > space - base ||
        memory->num_regions == MEMORY_MAX_REGIONS) {
        return false;
    }
    size_t at = 0;
    while (at < memory->num_regions && memory->regions[at].base < base) {
        at++;
    }
    const struct region *below = at > 0 ? &memory->regions[at - 1] : NULL;
    const struct region *above = at < memory->num_regions ? &memory->regions[at] : NULL;
    if ((below && base - below->base < below->size) || (above && above->base - base < size)) {
        return false;
    }
    struct region region = {.base = base, .size = size, .kind = kind};
    if (!region_allocate(&region)) {
        region_cleanup(&region);
        return false;
    }
    memmove(&memory->regions[at + 1], &memory->regions[at],
            (memory->num_regions - at) * sizeof(region));
    memory->regions[at] = region;
    memory->num_regions++;
    return true;
}

struct region *memory_region(struct memory *memory, uint64_t guest_phys)
{
    struct region *end = memory->regions + memory->num_regions;
    for (struct region *region = memory->regions; region < end; region++) {
        if (guest_phys - region->base < region->size) {
            return region;
        }
    }
    return NULL;
}

uint8_t *memory_page(struct memory *memory, uint64_t guest_phys)
{
    struct region *region = memory_region(memory, guest_phys);
    if (!region || !region->host) {
        return NULL;
    }
    return region->host + ((guest_phys - region->base) & ~(uint64_t)(MEMORY_PAGE_SIZE - 1));
}

uint8_t *memory_flags(struct memory *memory, uint64_t guest_phys)
{
    struct region *region = memory_region(memory, guest_phys);
    if (!region || !region->flags) {
        return NULL;
    }
    return &region->flags[(guest_phys - region->base) >> MEMORY_PAGE_SHIFT];
}

static void page_touch(struct region *region, size_t page)
{
    if (region->flags[page] & PAGE_DIRTY) {
        return;
    }
    region->flags[page] |= PAGE_DIRTY;
    region->dirty[region->num_dirty++] = (uint32_t)page;
    memcpy(region->mark + (page << MEMORY_PAGE_SHIFT), region->host + (page << MEMORY_PAGE_SHIFT),
           MEMORY_PAGE_SIZE);
}

void memory_touch(struct memory *memory, uint64_t guest_phys)
{
    struct region *region = memory_region(memory, guest_phys);
    if (region && region->flags) {
        page_touch(region, (guest_phys - region->base) >> MEMORY_PAGE_SHIFT);
    }
}

static void ram_write(struct region *region, uint64_t offset, const uint8_t *bytes, size_t len)
{
    size_t last = (offset + len - 1) >> MEMORY_PAGE_SHIFT;
    for (size_t page = offset >> MEMORY_PAGE_SHIFT; page <= last; page++) {
        page_touch(region, page);
    }
    memcpy(region->host + offset, bytes, len);
}

// The largest aligned access that fits, up to 8 bytes.
static unsigned piece_size(uint64_t offset, size_t len)
{
    unsigned size = 8;
    while (size > len || (offset & (size - 1)) != 0) {
        size /= 2;
    }
    return size;
}

// A device region that nobody answers for behaves like empty space.
static uint64_t device_read(struct region *region, uint64_t offset, unsigned size)
{
    return region->ops ? region->ops->read(region->device, offset, size) : UINT64_MAX;
}

static void device_write(struct region *region, uint64_t offset, unsigned size, uint64_t value)
{
    if (region->ops) {
        region->ops->write(region->device, offset, size, value);
    }
}

static void device_read_bytes(struct region *region, uint64_t offset, uint8_t *bytes, size_t len)
{
    while (len != 0) {
        unsigned size = piece_size(offset, len);
        uint64_t value = device_read(region, offset, size);
        memcpy(bytes, &value, size);
        offset += size;
        bytes += size;
        len -= size;
    }
}

static void device_write_bytes(struct region *region, uint64_t offset, const uint8_t *bytes,
                               size_t len)
{
    while (len != 0) {
        unsigned size = piece_size(offset, len);
        uint64_t value = 0;
        memcpy(&value, bytes, size);
        device_write(region, offset, size, value);
        offset += size;
        bytes += size;
        len -= size;
    }
}

// A copy whose most frequent length, that of a paging-structure entry, is known to the compiler.
static inline void copy(void *to, const uint8_t *from, size_t len)
{
    if (len == sizeof(uint64_t)) {
        memcpy(to, from, sizeof(uint64_t));
    } else {
        memcpy(to, from, len);
    }
}

static void region_read(struct region *region, uint64_t offset, uint8_t *bytes, size_t len)
{
    if (region->host) {
        memcpy(bytes, region->host + offset, len);
    } else {
        device_read_bytes(region, offset, bytes, len);
    }
}

// How many of len bytes from guest_phys on lie in one region, or in empty space before the next
// one; that region, or NULL, in *out.
static size_t run_length(struct memory *memory, uint64_t guest_phys, size_t len,
                         struct region **out)
{
    uint64_t end = UINT64_C(1) << memory->max_phys_bits;
    *out = NULL;
    for (size_t i = 0; i < memory->num_regions; i++) {
        struct region *region = &memory->regions[i];
        if (guest_phys - region->base < region->size) {
            *out = region;
            end = region->base + region->size;
            break;
        }
        if (region->base > guest_phys) {
            end = region->base;
            break;
        }
    }
    if (guest_phys >= end) {
        return 0;
    }
    return end - guest_phys < len ? (size_t)(end - guest_phys) : len;
}

// Not inlined, so that what nearly all reads need stays short.
__attribute__((noinline)) static size_t read_across(struct memory *memory, uint64_t guest_phys,
                                                    uint8_t *bytes, size_t len)
{
    size_t moved = 0;
    while (moved < len) {
        struct region *region = NULL;
        size_t run = run_length(memory, guest_phys + moved, len - moved, &region);
        if (run == 0 || (region && region->kind == REGION_PROTECTED)) {
            break;
        }
        if (region && region->kind != REGION_EMPTY) {
            region_read(region, guest_phys + moved - region->base, bytes + moved, run);
        } else {
            memset(bytes + moved, 0xFF, run);
        }
        moved += run;
    }
    return moved;
}

const uint8_t *memory_bytes(struct memory *memory, uint64_t guest_phys, uint64_t len)
{
    const struct region *region = memory_region(memory, guest_phys);
    uint64_t offset = region ? guest_phys - region->base : 0;
    return region && region->host && len <= region->size - offset ? region->host + offset : NULL;
}

size_t memory_read(struct memory *memory, uint64_t guest_phys, void *buffer, size_t len)
{
    const uint8_t *bytes = memory_bytes(memory, guest_phys, len);
    if (bytes) {
        copy(buffer, bytes, len);
        return len;
    }
    return read_across(memory, guest_phys, buffer, len);
}

static void region_write(struct region *region, uint64_t offset, const uint8_t *bytes, size_t len)
{
    if (region->kind == REGION_RAM) {
        ram_write(region, offset, bytes, len);
    } else if (region->kind == REGION_DEVICE) {
        device_write_bytes(region, offset, bytes, len);
    }
}

size_t memory_write(struct memory *memory, uint64_t guest_phys, const void *buffer, size_t len)
{
    const uint8_t *bytes = buffer;
    size_t moved = 0;
    while (moved < len) {
        struct region *region = NULL;
        size_t run = run_length(memory, guest_phys + moved, len - moved, &region);
        if (run == 0 || (region && region->kind == REGION_PROTECTED)) {
            break;
        }
        if (region) {
            region_write(region, guest_phys + moved - region->base, bytes + moved, run);
        }
        moved += run;
    }
    memory->generation++;
    return moved;
}

__attribute__((noinline)) static bool peek_across(struct memory *memory, uint64_t guest_phys,
                                                  uint8_t *bytes, size_t len)
{
    while (len != 0) {
        struct region *region = NULL;
        size_t run = run_length(memory, guest_phys, len, &region);
        if (run == 0 || (region && !region->host && region->kind != REGION_EMPTY)) {
            return false;
        }
        if (region && region->host) {
            memcpy(bytes, region->host + (guest_phys - region->base), run);
        } else {
            memset(bytes, 0xFF, run);
        }
        guest_phys += run;
        bytes += run;
        len -= run;
    }
    return true;
}

bool memory_peek(struct memory *memory, uint64_t guest_phys, void *buffer, size_t len)
{
    const uint8_t *bytes = memory_bytes(memory, guest_phys, len);
    if (bytes) {
        copy(buffer, bytes, len);
        return true;
    }
    return peek_across(memory, guest_phys, buffer, len);
}

bool memory_load(struct memory *memory, uint64_t guest_phys, const void *bytes, size_t len)
{
    struct region *region = memory_region(memory, guest_phys);
    if (!region || !region->host || len > region->size - (guest_phys - region->base)) {
        return false;
    }
    if (region->kind == REGION_RAM && len != 0) {
        ram_write(region, guest_phys - region->base, bytes, len);
    } else {
        memcpy(region->host + (guest_phys - region->base), bytes, len);
    }
    memory->generation++;
    return true;
}

void memory_mark(struct memory *memory)
{
    for (size_t i = 0; i < memory->num_regions; i++) {
        struct region *region = &memory->regions[i];
        for (size_t k = 0; k < region->num_dirty; k++) {
            region->flags[region->dirty[k]] &= (uint8_t)~PAGE_DIRTY;
        }
        region->num_dirty = 0;
    }
}

void memory_reset(struct memory *memory)
{
    for (size_t i = 0; i < memory->num_regions; i++) {
        struct region *region = &memory->regions[i];
        for (size_t k = 0; k < region->num_dirty; k++) {
            uint64_t offset = (uint64_t)region->dirty[k] << MEMORY_PAGE_SHIFT;
            memcpy(region->host + offset, region->mark + offset, MEMORY_PAGE_SIZE);
        }
        if (region->ops && region->ops->reset) {
            region->ops->reset(region->device);
        }
    }
    memory_mark(memory);
    memory->generation++;
}
