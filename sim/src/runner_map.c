// Windows: what of the CPU's linear space Unicorn sees.
#include "runner_engine.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_MASK ((uint64_t)MEMORY_PAGE_SIZE - 1)
#define LARGEST   UINT64_C(0x200000) // of a window that cannot be executed

static uint64_t page_of(uint64_t linear)
{
    return linear & ~PAGE_MASK;
}

static struct window **recent_slot(struct engine *engine, uint64_t linear)
{
    return &engine->recent[(linear >> MEMORY_PAGE_SHIFT) % ENGINE_RECENT];
}

static bool covers(const struct window *window, uint64_t linear)
{
    return linear - window->linear < window->size;
}

struct window *window_find(struct engine *engine, uint64_t linear)
{
    struct window **recent = recent_slot(engine, linear);
    if (*recent && covers(*recent, linear)) {
        return *recent;
    }
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        if (covers(&engine->windows[i], linear)) {
            *recent = &engine->windows[i];
            return *recent;
        }
    }
    return NULL;
}

static void drop_translations(struct engine *engine, uint64_t linear, size_t len)
{
    uc_ctl_remove_cache(engine->uc, linear, linear + len);
    engine->churn++;
}

void window_drop(struct engine *engine, struct window *window)
{
    // Another page may come to be known by the same number inside Unicorn.
    if (window->marks || window->kind == WINDOW_HOLE) {
        drop_translations(engine, window->linear, MEMORY_PAGE_SIZE);
        engine->guard_stale = engine->guard_stale || window->has_poison;
    }
    if (engine->code_page == window->linear >> MEMORY_PAGE_SHIFT) {
        engine->code_page = UINT64_MAX;
    }
    uc_mem_unmap(engine->uc, window->linear, window->size);
    free(window->marks);
    window->marks = NULL;
    window->size = 0;
}

void windows_drop_all(struct engine *engine)
{
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        if (engine->windows[i].size != 0) {
            window_drop(engine, &engine->windows[i]);
        }
    }
}

// All that was made from the translation of this address, which may be that of a large page.
void windows_drop_page(struct engine *engine, uint64_t linear)
{
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        struct window *window = &engine->windows[i];
        if (window->size != 0 && ((window->linear ^ linear) & ~(window->page_size - 1)) == 0) {
            window_drop(engine, window);
        }
    }
}

static struct window *free_window(struct engine *engine)
{
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        if (engine->windows[i].size == 0) {
            return &engine->windows[i];
        }
    }
    struct window *window = &engine->windows[engine->victim];
    engine->victim = (engine->victim + 1) % ENGINE_WINDOWS;
    window_drop(engine, window);
    return window;
}

static bool overlaps_any(const struct engine *engine, uint64_t linear, uint64_t size)
{
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        const struct window *window = &engine->windows[i];
        if (window->size != 0 && linear < window->linear + window->size &&
            window->linear < linear + size) {
            return true;
        }
    }
    return false;
}

// Whether an aligned block around guest_phys lies in the region.
static bool block_in_region(const struct region *region, uint64_t guest_phys, uint64_t size)
{
    uint64_t base = guest_phys & ~(size - 1);
    return base >= region->base && base + size <= region->base + region->size;
}

// The largest aligned block around linear that one translation covers, that lies in one region, and
// that no window overlaps.
static uint64_t block_size(const struct engine *engine, uint64_t linear,
                           const struct mmu_walk *walk, const struct region *region)
{
    uint64_t size = walk->page_size < LARGEST ? walk->page_size : LARGEST;
    while (size > MEMORY_PAGE_SIZE && (!block_in_region(region, walk->guest_phys, size) ||
                                       overlaps_any(engine, linear & ~(size - 1), size))) {
        size /= 2;
    }
    return size;
}

static uint64_t io_read(uc_engine *uc, uint64_t offset, unsigned size, void *user)
{
    const struct window *window = user;
    uint64_t value = UINT64_MAX; // protected memory reads like empty space
    (void)uc;
    memory_read(&window->engine->machine->memory, window->guest_phys + offset, &value, size);
    return value;
}

static void io_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user)
{
    const struct window *window = user;
    (void)uc;
    exec_write_phys(window->engine->machine, window->guest_phys + offset, &value, size);
}

static uint32_t perms_of(enum mmu_access_kind kind)
{
    switch (kind) {
    case MMU_ACCESS_READ:
        return UC_PROT_READ;
    case MMU_ACCESS_WRITE:
        return UC_PROT_READ | UC_PROT_WRITE;
    case MMU_ACCESS_FETCH:
        break;
    }
    return UC_PROT_READ | UC_PROT_EXEC;
}

static bool map_io(struct engine *engine, uint64_t linear, const struct mmu_walk *walk)
{
    struct window *window = free_window(engine);
    *window = (struct window){
        .linear = page_of(linear),
        .size = MEMORY_PAGE_SIZE,
        .page_size = walk->page_size,
        .guest_phys = page_of(walk->guest_phys),
        .kind = WINDOW_IO,
        .perms = UC_PROT_READ | UC_PROT_WRITE,
        .engine = engine,
    };
    return uc_mmio_map(engine->uc, window->linear, window->size, io_read, window, io_write,
                       window) == UC_ERR_OK;
}

// Unicorn drops a store into ROM only where write permission was taken away after the mapping.
static bool map_host(struct engine *engine, struct window *window, uint8_t *host)
{
    bool rom = window->kind == WINDOW_ROM;
    uint32_t perms = rom ? UC_PROT_ALL : window->perms;
    if (uc_mem_map_ptr(engine->uc, window->linear, window->size, perms, host) != UC_ERR_OK) {
        window->size = 0;
        return false;
    }
    return !rom ||
           uc_mem_protect(engine->uc, window->linear, window->size, window->perms) == UC_ERR_OK;
}

// From now on Unicorn may translate what the window shows.
static bool begin_code(struct window *window)
{
    if (!window->marks) {
        window->marks = calloc(MEMORY_PAGE_SIZE, sizeof(*window->marks));
        guard_note(window, 0, MEMORY_PAGE_SIZE);
    }
    if (window->flags) {
        *window->flags |= PAGE_CODE;
    }
    return window->marks != NULL;
}

static bool map_memory(struct engine *engine, uint64_t linear, uint32_t perms,
                       const struct mmu_walk *walk, struct region *region)
{
    bool code = (perms & UC_PROT_EXEC) != 0;
    bool rom = region->kind == REGION_ROM;
    uint64_t size = code ? MEMORY_PAGE_SIZE : block_size(engine, linear, walk, region);
    uint64_t phys = walk->guest_phys & ~(size - 1);
    uint64_t offset = phys - region->base;
    struct window *window = free_window(engine);
    *window = (struct window){
        .linear = linear & ~(size - 1),
        .size = size,
        .page_size = walk->page_size,
        .guest_phys = phys,
        .flags = region->flags ? region->flags + (offset >> MEMORY_PAGE_SHIFT) : NULL,
        .kind = rom ? WINDOW_ROM : WINDOW_RAM,
        .perms = rom ? perms & ~(uint32_t)UC_PROT_WRITE : perms,
        .engine = engine,
    };
    if (code && !begin_code(window)) {
        window->size = 0;
        return false;
    }
    return map_host(engine, window, region->host + offset);
}

// Unicorn drops stores into RAM, too, that once had its write permission taken away. So a mapping
// that is not writable gets its new permissions by being made again; what was under way begins
// anew.
static bool remap(struct engine *engine, struct window *window, uint32_t perms)
{
    struct region *region = memory_region(&engine->machine->memory, window->guest_phys);
    if (window->marks) {
        drop_translations(engine, window->linear, MEMORY_PAGE_SIZE);
    }
    uc_mem_unmap(engine->uc, window->linear, window->size);
    window->perms = perms;
    engine->remapped = true;
    return map_host(engine, window, region->host + (window->guest_phys - region->base));
}

static bool set_perms(struct engine *engine, struct window *window, uint32_t perms)
{
    if (window->kind == WINDOW_ROM) {
        perms &= ~(uint32_t)UC_PROT_WRITE;
    } else if ((perms & UC_PROT_WRITE) == 0) {
        return remap(engine, window, perms);
    }
    window->perms = perms;
    return uc_mem_protect(engine->uc, window->linear, window->size, perms) == UC_ERR_OK;
}

// A window that is there already allows this access too from now on.
static bool upgrade(struct engine *engine, struct window *window, enum mmu_access_kind kind)
{
    if (kind == MMU_ACCESS_FETCH) {
        bool translated = (window->perms & UC_PROT_EXEC) != 0;
        window->ahead = false;
        if (translated || !begin_code(window)) {
            return translated;
        }
    }
    return set_perms(engine, window, window->perms | perms_of(kind));
}

void window_refuse_stores(struct engine *engine, uint64_t linear)
{
    struct window *window = window_find(engine, linear);
    if (window) {
        window->refuses = true;
        engine->refuses = true;
        uint32_t perms = window->perms & ~(uint32_t)UC_PROT_WRITE;
        uc_mem_protect(engine->uc, window->linear, window->size, perms);
    }
}

void windows_restore_refused(struct engine *engine)
{
    for (size_t i = 0; engine->refuses && i < ENGINE_WINDOWS; i++) {
        struct window *window = &engine->windows[i];
        if (window->size != 0 && window->refuses) {
            window->refuses = false;
            remap(engine, window, window->perms);
        }
    }
    engine->refuses = false;
}

static bool can_upgrade(const struct window *window, const struct mmu_walk *walk, uint64_t linear,
                        enum mmu_access_kind kind)
{
    bool memory = window->kind == WINDOW_RAM || window->kind == WINDOW_ROM;
    bool same = walk->guest_phys - window->guest_phys == linear - window->linear;
    bool page = window->size == MEMORY_PAGE_SIZE || kind != MMU_ACCESS_FETCH;
    return memory && same && page;
}

static void fail(struct engine *engine, enum vector vector)
{
    engine->exception = (struct exception){.vector = (uint8_t)vector};
}

bool window_admit(struct engine *engine, uint64_t linear, enum mmu_access_kind kind)
{
    struct mmu_walk walk;
    struct exec x = exec_begin(engine->machine, engine->cpu);
    if (!exec_translate(&x, ACCESS_DATA, linear, kind, &walk)) {
        engine->exception = x.exception;
        return false;
    }
    struct window *window = window_find(engine, linear);
    if (window && can_upgrade(window, &walk, linear, kind)) {
        return upgrade(engine, window, kind);
    }
    if (window) {
        window_drop(engine, window);
    }
    struct region *region = memory_region(&engine->machine->memory, walk.guest_phys);
    if (region && region->host) {
        return map_memory(engine, linear, perms_of(kind), &walk, region);
    }
    if (kind == MMU_ACCESS_FETCH) { // empty space reads ones, and FF FF is no instruction
        fail(engine, VECTOR_UD);
        return false;
    }
    return map_io(engine, linear, &walk);
}

static void add_hole(struct engine *engine, uint64_t linear)
{
    struct window *window = free_window(engine);
    *window = (struct window){
        .linear = page_of(linear),
        .size = MEMORY_PAGE_SIZE,
        .page_size = MEMORY_PAGE_SIZE,
        .kind = WINDOW_HOLE,
        .perms = UC_PROT_EXEC,
        .engine = engine,
    };
    map_host(engine, window, engine->hole);
}

// Code that was translated ahead is executed, if at all, after code_may_run has asked window_admit.
void window_open_ahead(struct engine *engine, uint64_t linear)
{
    struct mmu_walk walk;
    struct exec x = exec_begin(engine->machine, engine->cpu);
    struct mmu_memory memory = machine_mmu_memory(engine->machine);
    struct window *window = window_find(engine, linear);
    bool valid = mmu_locate(&x.mmu, &memory, linear, &walk);
    struct region *region = valid ? memory_region(&engine->machine->memory, walk.guest_phys) : NULL;
    bool backed = region && region->host;
    if (window && backed && can_upgrade(window, &walk, linear, MMU_ACCESS_FETCH)) {
        window->ahead = true;
        begin_code(window);
        set_perms(engine, window, window->perms | UC_PROT_EXEC);
        return;
    }
    if (window) {
        window_drop(engine, window);
    }
    if (!backed) {
        add_hole(engine, linear);
    } else if (map_memory(engine, linear, UC_PROT_EXEC, &walk, region)) {
        window_find(engine, linear)->ahead = true;
    }
}

// Marks are per instruction start, and an instruction that begins up to 14 bytes before may end
// here.
static void clear_marks(struct window *window, size_t offset, size_t len)
{
    size_t from = offset < INSN_MAX_LENGTH ? 0 : offset - INSN_MAX_LENGTH;
    memset(window->marks + from, 0, offset + len - from);
    guard_note(window, from, offset + len);
}

void windows_code_changed(struct engine *engine, uint64_t guest_phys, size_t len)
{
    size_t offset = (size_t)(guest_phys & PAGE_MASK);
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        struct window *window = &engine->windows[i];
        if (window->size != 0 && window->marks && window->guest_phys == page_of(guest_phys)) {
            drop_translations(engine, window->linear + offset, len);
            clear_marks(window, offset, len);
        }
    }
}
