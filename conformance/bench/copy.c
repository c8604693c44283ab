#include "copy.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "long64.h"
#include "machine.h"

enum {
    PAGE = MEMORY_PAGE_SIZE,
    NUM_PAGES = 4,   // of a copy
    NUM_COPIES = 16, // of different pages, in turn
    ALL_PAGES = NUM_PAGES * NUM_COPIES,
    ENTRY_SIZE = 8,
    PRESENT = 0x3, // P and R/W
    FILLER = 0x5A, // untouched pages would all be the same one
};

struct copy {
    struct machine *machine;
    uint8_t *page[ALL_PAGES]; // where they are on the host
    uint8_t bytes[NUM_PAGES * PAGE] __attribute__((aligned(PAGE)));
};

static void map_page(struct copy *copy, size_t index)
{
    struct memory *memory = &copy->machine->memory;
    uint64_t guest_phys = LONG64_FREE + (ALL_PAGES - 1 - index) * PAGE;
    uint64_t entry = guest_phys | PRESENT;
    memory_write(memory, LONG64_PT_RUN + ENTRY_SIZE * index, &entry, sizeof(entry));
    copy->page[index] = memory_page(memory, guest_phys);
    memory_touch(memory, guest_phys); // what it held is kept here, not by the first copy into it
    memset(copy->page[index], FILLER ^ (int)index, PAGE);
}

struct copy *copy_new(void)
{
    struct copy *copy = aligned_alloc(PAGE, sizeof(*copy));
    const char *error = "out of memory";
    const struct target *target = target_find("long64");
    if (copy) {
        copy->machine = machine_new(target, &error);
    }
    if (!copy || !copy->machine) {
        errx(EXIT_FAILURE, "%s: %s", target->name, error);
    }
    for (size_t i = 0; i < ALL_PAGES; i++) {
        map_page(copy, i);
    }
    return copy;
}

void copy_free(struct copy *copy)
{
    machine_free(copy->machine);
    free(copy);
}

// The pages of the times-th copy: the first one's index.
static size_t first_page(uint64_t times)
{
    return times % NUM_COPIES * NUM_PAGES;
}

// The last copy was times 1.
static void check_last(const struct copy *copy, const char *error)
{
    for (size_t i = 0; i < NUM_PAGES; i++) {
        if (memcmp(copy->bytes + i * PAGE, copy->page[first_page(1) + i], PAGE) != 0) {
            errx(EXIT_FAILURE, "%s", error);
        }
    }
}

void copy_repeat_read(void *context, uint64_t times)
{
    struct copy *copy = context;
    struct target_address from = {TARGET_LINEAR, 0, LONG64_CR3, 0};
    for (; times != 0; times--) {
        size_t moved = 0;
        from.address = LONG64_RUN + first_page(times) * PAGE;
        machine_ops.read(copy->machine, &from, copy->bytes, sizeof(copy->bytes), &moved);
        if (moved != sizeof(copy->bytes)) {
            errx(EXIT_FAILURE, "a machine does not read 16 KiB");
        }
    }
    check_last(copy, "a machine reads the wrong bytes");
}

void copy_repeat_memcpy(void *context, uint64_t times)
{
    struct copy *copy = context;
    for (; times != 0; times--) {
        for (size_t i = 0; i < NUM_PAGES; i++) {
            memcpy(copy->bytes + i * PAGE, copy->page[first_page(times) + i], PAGE);
        }
        __asm__ volatile("" : : "r"(copy->bytes) : "memory"); // the copy is wanted
    }
}

void copy_repeat_write(void *context, uint64_t times)
{
    struct copy *copy = context;
    struct target_address to = {TARGET_LINEAR, 0, LONG64_CR3, 0};
    copy->bytes[0]++; // other bytes than there are
    for (; times != 0; times--) {
        size_t moved = 0;
        to.address = LONG64_RUN + first_page(times) * PAGE;
        machine_ops.write(copy->machine, &to, copy->bytes, sizeof(copy->bytes), &moved);
        if (moved != sizeof(copy->bytes)) {
            errx(EXIT_FAILURE, "a machine does not write 16 KiB");
        }
    }
    check_last(copy, "a machine writes the wrong bytes");
}

void copy_repeat_memcpy_back(void *context, uint64_t times)
{
    struct copy *copy = context;
    for (; times != 0; times--) {
        for (size_t i = 0; i < NUM_PAGES; i++) {
            memcpy(copy->page[first_page(times) + i], copy->bytes + i * PAGE, PAGE);
        }
        __asm__ volatile("" : : "r"(copy->page) : "memory"); // the copy is wanted
    }
}
