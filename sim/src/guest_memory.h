#ifndef SIM_GUEST_MEMORY_H
#define SIM_GUEST_MEMORY_H

// Guest-physical memory: regions of RAM, ROM, devices and the hypervisor's own memory in a space of
// MAXPHYADDR bits; the rest is empty. Reading what is empty gives ones, writes to ROM or to nothing
// are dropped, protected memory stops a transfer (clause D-MEM).
//
// Every page written since the last memory_mark is remembered with what it held then, so that
// memory_reset costs no more than those pages.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MEMORY_PAGE_SIZE = 4096,
    MEMORY_PAGE_SHIFT = 12,
    MEMORY_MAX_REGIONS = 64,
};

enum region_kind {
    REGION_EMPTY,
    REGION_RAM,
    REGION_ROM,
    REGION_DEVICE,
    REGION_PROTECTED,
};

enum page_flag {
    PAGE_DIRTY = 1, // written since the last mark
    PAGE_CODE = 2,  // a CPU has fetched from it, so translations of it may exist
};

// A device behind guest-physical addresses. size is 1, 2, 4 or 8, offset aligned to it.
struct device_ops {
    uint64_t (*read)(void *device, uint64_t offset, unsigned size);
    void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
    void (*reset)(void *device);
};

struct region {
    uint64_t base; // page aligned
    uint64_t size; // whole pages
    enum region_kind kind;
    uint8_t *host;   // RAM and ROM: the bytes
    uint8_t *mark;   // RAM: what dirty pages held at the last mark, at the same offset
    uint8_t *flags;  // RAM: page_flag per page
    uint32_t *dirty; // RAM: page numbers within the region, in the order of their first write
    size_t num_dirty;
    const struct device_ops *ops;
    void *device;
};

struct memory {
    unsigned max_phys_bits; // MAXPHYADDR
    size_t num_regions;
    struct region regions[MEMORY_MAX_REGIONS]; // ascending, not overlapping
    uint64_t generation; // counts writes from outside the CPUs: cached translations are stale
};

void memory_init(struct memory *memory, unsigned max_phys_bits);
void memory_cleanup(struct memory *memory);

// Adds a region of zeros. False when it overlaps another, is not page aligned, passes MAXPHYADDR,
// or when there is no room or no host memory for it.
bool memory_add(struct memory *memory, enum region_kind kind, uint64_t base, uint64_t size);

// The region that guest_phys lies in, NULL when that is empty space.
struct region *memory_region(struct memory *memory, uint64_t guest_phys);

// The host address of the page that guest_phys lies in, for RAM and ROM; NULL elsewhere.
uint8_t *memory_page(struct memory *memory, uint64_t guest_phys);

// The page's flags byte, RAM only; NULL elsewhere.
uint8_t *memory_flags(struct memory *memory, uint64_t guest_phys);

// Must precede any direct write into a RAM page: remembers what it held.
void memory_touch(struct memory *memory, uint64_t guest_phys);

// Moves bytes until the first that cannot be reached (protected memory, MAXPHYADDR). Returns how
// many were moved. Devices are accessed in the largest aligned pieces up to 8 bytes.
size_t memory_read(struct memory *memory, uint64_t guest_phys, void *buffer, size_t len);
size_t memory_write(struct memory *memory, uint64_t guest_phys, const void *buffer, size_t len);

// The len bytes at guest_phys, where they lie together in RAM or ROM; else NULL.
const uint8_t *memory_bytes(struct memory *memory, uint64_t guest_phys, uint64_t len);

// Reads without side effects: false where a device or protected memory is. Empty space gives ones.
bool memory_peek(struct memory *memory, uint64_t guest_phys, void *buffer, size_t len);

// Puts bytes into RAM or ROM whatever its kind; false when they do not lie in one. For loading.
bool memory_load(struct memory *memory, uint64_t guest_phys, const void *bytes, size_t len);

// What memory holds now is what memory_reset goes back to.
void memory_mark(struct memory *memory);
void memory_reset(struct memory *memory);

#endif
