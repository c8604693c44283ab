#include "target_long64.h"

#include "long64.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

// Built from sim/targets/long64.
extern const uint8_t long64_tables[LONG64_TABLES_SIZE];
extern const uint8_t long64_image[LONG64_IMAGE_SIZE];

static const struct target_region regions[] = {
    {.kind = REGION_RAM, .base = 0, .size = LONG64_RAM_SIZE},
    {.kind = REGION_PROTECTED, .base = LONG64_PROTECTED_PHYS, .size = LONG64_PROTECTED_SIZE},
};

static const struct target_load loads[] = {
    {.guest_phys = LONG64_TABLES, .bytes = long64_tables, .len = LONG64_TABLES_SIZE},
    {.guest_phys = LONG64_IMAGE, .bytes = long64_image, .len = LONG64_IMAGE_SIZE},
};

#define ALL(name, number)                                                                          \
    {                                                                                              \
        .cpu = TARGET_ALL_CPUS, .reg = CONTEXT_##name, .value = (number)                           \
    }
#define ONE(index, name, number)                                                                   \
    {                                                                                              \
        .cpu = (index), .reg = CONTEXT_##name, .value = (number)                                   \
    }

#define SEGMENT(name, selector, access)                                                            \
    ALL(name, selector), ALL(name##_access, access), ALL(name##_base, 0),                          \
        ALL(name##_limit, 0xFFFFFFFF)

// Access rights in VMX format.
enum {
    CODE_RING_0 = 0xA09B, // G L P S execute, read, accessed
    DATA_RING_0 = 0xC093, // G D P S read, write, accessed
    DATA_RING_3 = 0xC0F3, // the same with DPL 3
    BUSY_TSS = 0x8B,
    UNUSABLE = 0x10000,
};

// What differs from CPU to CPU.
#define CPU(index)                                                                                 \
    ONE(index, rdi, index), ONE(index, rsp, LONG64_STACK_MAIN(index)),                             \
        ONE(index, tss, LONG64_TR(index)), ONE(index, tss_base, LONG64_TSS(index)),                \
        ONE(index, fs_base, LONG64_USER_FS(index)), ONE(index, gs_base, LONG64_PERCPU_PAGE(index))

static const struct target_register registers[] = {
    ALL(cr0, LONG64_CR0),
    ALL(cr3, LONG64_CR3),
    ALL(cr4, LONG64_CR4),
    ALL(rip, LONG64_ENTRY),
    ALL(rflags, 0x2),
    ALL(rdx, 0),
    SEGMENT(cs, LONG64_KERNEL_CS, CODE_RING_0),
    SEGMENT(ss, LONG64_KERNEL_SS, DATA_RING_0),
    SEGMENT(ds, LONG64_USER_SS, DATA_RING_3),
    SEGMENT(es, LONG64_USER_SS, DATA_RING_3),
    SEGMENT(fs, LONG64_FS, DATA_RING_3),
    SEGMENT(gs, LONG64_GS, DATA_RING_3),
    ALL(gdt_base, LONG64_GDT),
    ALL(gdt_limit, LONG64_GDT_LIMIT),
    ALL(idt_base, LONG64_IDT),
    ALL(idt_limit, LONG64_IDT_LIMIT),
    ALL(ldt, 0),
    ALL(ldt_access, UNUSABLE),
    ALL(ldt_base, 0),
    ALL(ldt_limit, 0),
    ALL(tss_access, BUSY_TSS),
    ALL(tss_limit, LONG64_TSS_LIMIT),
    CPU(0),
    CPU(1),
    CPU(2),
    CPU(3),
};

// IA32_APIC_BASE: enabled, in x2APIC mode; CPU 0 is the bootstrap processor.
#define X2APIC_BASE UINT64_C(0xFEE00C00)
#define X2APIC_BSP  UINT64_C(0x100)

static const struct target_msr msrs[] = {
    {TARGET_ALL_CPUS, 0x1B, X2APIC_BASE},          {0, 0x1B, X2APIC_BASE | X2APIC_BSP},
    {TARGET_ALL_CPUS, 0xC0000080, LONG64_EFER},    {TARGET_ALL_CPUS, 0xC0000081, LONG64_STAR},
    {TARGET_ALL_CPUS, 0xC0000082, LONG64_SYSCALL}, {TARGET_ALL_CPUS, 0xC0000084, LONG64_FMASK},
    {TARGET_ALL_CPUS, 0xC0000102, LONG64_USER_GS}, // KERNEL_GS_BASE, until SWAPGS
};

const struct target target_long64 = {
    .name = "long64",
    .summary =
        "64-bit mode: four CPUs, a small kernel, a user process, every kind of page and hole",
    .num_cpus = LONG64_NUM_CPUS,
    .num_regions = ARRAY_LEN(regions),
    .regions = regions,
    .num_loads = ARRAY_LEN(loads),
    .loads = loads,
    .num_registers = ARRAY_LEN(registers),
    .registers = registers,
    .num_msrs = ARRAY_LEN(msrs),
    .msrs = msrs,
};
