// What other modules promise of their inner loops.

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "copy.h"
#include "mmu_model/paging.h"
#include "vmx_model/cpu.h"
#include "vmx_model/msr.h"
#include "vmx_model/profile.h"

enum {
    PAGE = 4096,
    ENTRY_SIZE = 8,
    NUM_TABLES = 4,
    NUM_PAGES = 16,
    PRESENT = 0x3, // P and R/W
    SYSENTER_CS = 0x174,
    PAT = 0x277,
    MAX_PHYS_BITS = 46,
};

#define PAT_VALUE UINT64_C(0x0007040600070406)

// The result of a measured call goes here, so that the compiler does not leave the call out.
static volatile uint64_t sink;

// --- mmu_model ------------------------------------------------------------------------------

// Guest-physical memory: a PML4, a PDPT, a page directory and a page table, and then pages, which
// linear addresses from 0 on reach in reverse order.
struct guest {
    uint8_t memory[(NUM_TABLES + NUM_PAGES) * PAGE];
    struct mmu_registers registers;
    struct mmu_memory access;
};

static bool guest_read(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    const struct guest *guest = context;
    if (guest_phys >= sizeof(guest->memory) || len > sizeof(guest->memory) - guest_phys) {
        return false;
    }
    const uint8_t *from = guest->memory + guest_phys;
    if (len == ENTRY_SIZE) {
        memcpy(buffer, from, ENTRY_SIZE); // a load; the walk is measured, not memcpy
    } else {
        memcpy(buffer, from, len);
    }
    return true;
}

static void set_entry(struct guest *guest, size_t table, size_t index, uint64_t guest_phys)
{
    uint64_t entry = guest_phys | PRESENT;
    memcpy(guest->memory + table * PAGE + ENTRY_SIZE * index, &entry, sizeof(entry));
}

static struct guest *guest_new(void)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    if (!guest) {
        errx(EXIT_FAILURE, "out of memory");
    }
    for (size_t table = 0; table < NUM_TABLES - 1; table++) {
        set_entry(guest, table, 0, (table + 1) * PAGE);
    }
    for (size_t page = 0; page < NUM_PAGES; page++) {
        set_entry(guest, NUM_TABLES - 1, page, (NUM_TABLES + NUM_PAGES - 1 - page) * PAGE);
    }
    guest->registers = (struct mmu_registers){
        .cr0 = MMU_CR0_PE | MMU_CR0_PG | MMU_CR0_WP,
        .cr4 = MMU_CR4_PAE,
        .efer = MMU_EFER_LME | MMU_EFER_LMA | MMU_EFER_NXE,
        .max_phys_bits = MAX_PHYS_BITS,
    };
    guest->access = (struct mmu_memory){.read = guest_read, .context = guest};
    return guest;
}

static void repeat_translate(void *context, uint64_t times)
{
    const struct guest *guest = context;
    for (uint64_t i = 0; i < times; i++) {
        struct mmu_walk walk;
        if (!mmu_locate(&guest->registers, &guest->access, i % NUM_PAGES * PAGE, &walk)) {
            errx(EXIT_FAILURE, "mmu_locate does not find a page");
        }
        sink = walk.guest_phys;
    }
}

static void repeat_access(void *context, uint64_t times)
{
    const struct guest *guest = context;
    const struct mmu_access want = {.kind = MMU_ACCESS_WRITE};
    for (uint64_t i = 0; i < times; i++) {
        struct mmu_walk walk;
        if (!mmu_access(&guest->registers, &guest->access, i % NUM_PAGES * PAGE, &want, &walk)) {
            errx(EXIT_FAILURE, "mmu_access refuses a write");
        }
        sink = walk.guest_phys;
    }
}

// --- vmx_model ------------------------------------------------------------------------------

static void repeat_msr_read(void *context, uint64_t times)
{
    const struct vmx_cpu *cpu = context;
    for (uint64_t i = 0; i < times; i++) {
        uint64_t value = 0;
        msr_read(cpu, MSR_DEBUGGER, SYSENTER_CS, &value);
        sink = value;
    }
}

static void repeat_every_msr_read(void *context, uint64_t times)
{
    const struct vmx_cpu *cpu = context;
    static uint32_t index[MSR_NUM_SLOTS];
    for (int slot = 0; slot < MSR_NUM_SLOTS; slot++) {
        index[slot] = msr_slot_index((enum msr_slot)slot);
    }
    for (uint64_t i = 0; i < times; i++) {
        uint64_t value = 0;
        msr_read(cpu, MSR_DEBUGGER, index[i % MSR_NUM_SLOTS], &value);
        sink = value;
    }
}

static void repeat_msr_write(void *context, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        sink = msr_write(context, MSR_DEBUGGER, SYSENTER_CS, i);
    }
}

static void repeat_pat_write(void *context, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        if (msr_write(context, MSR_DEBUGGER, PAT, PAT_VALUE) != MSR_OK) {
            errx(EXIT_FAILURE, "IA32_PAT does not take its reset value");
        }
    }
}

// --------------------------------------------------------------------------------------------

static void measure_time(struct bench *bench, struct figure *figure,
                         const struct contender *contenders, size_t num_contenders)
{
    struct samples samples[MOST_CONTENDERS];
    measure_rates(contenders, num_contenders, bench->seconds, samples);
    figure->unit = "ns";
    figure->measured = samples[0];
    samples_to_nanoseconds(&figure->measured);
    if (num_contenders > 1) {
        figure->base = samples[1];
        samples_to_nanoseconds(&figure->base);
    }
    report_add(&bench->report, figure);
}

void bench_models(struct bench *bench, const char *section)
{
    static const struct goal walk_goal = {GOAL_VALUE, true, 60};
    static const struct goal copy_goal = {GOAL_RATIO, true, 1.3};
    static const struct goal msr_goal = {GOAL_VALUE, true, 40};
    static const struct goal no_goal = {GOAL_NONE, true, 0};
    struct guest *guest = guest_new();
    struct copy *copy = copy_new();
    static struct vmx_cpu cpu;
    vmx_cpu_reset(&cpu, &vmx_profile_generic);
    const struct {
        const char *name;
        const char *text;
        const char *baseline;
        const struct goal *goal;
        void *context;
        void (*repeat)(void *context, uint64_t times);
        void (*repeat_baseline)(void *context, uint64_t times);
    } rows[] = {
        {"walk-4-level", "4-level walk: where is it", NULL, &walk_goal, guest, repeat_translate,
         NULL},
        {"access-4-level", "4-level walk: may it be written", NULL, &walk_goal, guest,
         repeat_access, NULL},
        {"virtual-copy-16k", "16 KiB through page tables", "memcpy", &copy_goal, copy,
         copy_repeat_read, copy_repeat_memcpy},
        {"virtual-write-16k", "16 KiB written through them", "memcpy", &no_goal, copy,
         copy_repeat_write, copy_repeat_memcpy_back},
        {"msr-read", "MSR read (0x174)", NULL, &msr_goal, &cpu, repeat_msr_read, NULL},
        {"msr-read-every", "MSR read (all in turn)", NULL, &msr_goal, &cpu, repeat_every_msr_read,
         NULL},
        {"msr-write", "MSR write (0x174)", NULL, &msr_goal, &cpu, repeat_msr_write, NULL},
        {"msr-write-pat", "MSR write (0x277, checked)", NULL, &msr_goal, &cpu, repeat_pat_write,
         NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct figure figure = {
            .section = section,
            .name = rows[i].name,
            .text = rows[i].text,
            .baseline = rows[i].baseline,
            .goal = *rows[i].goal,
        };
        const struct contender contenders[] = {{rows[i].repeat, rows[i].context},
                                               {rows[i].repeat_baseline, rows[i].context}};
        measure_time(bench, &figure, contenders, rows[i].repeat_baseline ? 2 : 1);
    }
    copy_free(copy);
    free(guest);
}
