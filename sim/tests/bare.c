#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bare.h"
#include "exec.h"

enum {
    P = 0x1,
    RW = 0x2,
    US = 0x4,
    PS = 0x80,
    PDPT = 0x2000,
    PD = 0x3000,
    PDPT_HIGH = 0x8000,
    PD_HIGH = 0x9000,
    PT_HIGH = 0xA000,
    PAGE = 0x1000,
    HLT = 0xF4,
    KERNEL_CODE = 0xA09B,
    DATA = 0xC093,
    BUSY_TSS = 0x8B,
    UNUSABLE = 0x10000,
};

#define NX UINT64_C(0x8000000000000000)

struct bare_device bare_device;
char bare_log[1024];
struct machine *machine;
struct cpu *cpu;

static uint64_t device_read(void *device, uint64_t offset, unsigned size)
{
    struct bare_device *bare = device;
    bare->offset = offset;
    bare->size = size;
    bare->num_reads++;
    return bare->value + offset;
}

static void device_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    struct bare_device *bare = device;
    bare->offset = offset;
    bare->size = size;
    bare->value = value;
    bare->num_writes++;
}

static void device_reset(void *device)
{
    memset(device, 0, sizeof(bare_device));
}

static const struct device_ops device_ops = {device_read, device_write, device_reset};

static const struct target_region regions[] = {
    {.kind = REGION_RAM, .base = 0, .size = 0x400000},
    {.kind = REGION_ROM, .base = BARE_ROM_PHYS, .size = PAGE},
    {.kind = REGION_DEVICE, .base = BARE_DEVICE_PHYS, .size = PAGE},
    {.kind = REGION_PROTECTED, .base = 0x680000, .size = PAGE},
};

#define ALL(name, number)                                                                          \
    {                                                                                              \
        .cpu = TARGET_ALL_CPUS, .reg = CONTEXT_##name, .value = (number)                           \
    }
#define SEGMENT(name, selector, access)                                                            \
    ALL(name, selector), ALL(name##_access, access), ALL(name##_base, 0),                          \
        ALL(name##_limit, 0xFFFFFFFF)

static const struct target_register registers[] = {
    ALL(cr0, 0x80050033), // PG, AM, WP, NE, ET, MP, PE
    ALL(cr3, BARE_PML4),
    ALL(cr4, 0x620), // OSXMMEXCPT, OSFXSR, PAE
    ALL(rip, BARE_CODE),
    ALL(rsp, BARE_STACK),
    ALL(rflags, 0x2),
    ALL(rdx, 0),
    SEGMENT(cs, BARE_KERNEL_CS, KERNEL_CODE),
    SEGMENT(ss, BARE_KERNEL_SS, DATA),
    SEGMENT(ds, 0, UNUSABLE),
    SEGMENT(es, 0, UNUSABLE),
    SEGMENT(fs, 0, UNUSABLE),
    SEGMENT(gs, 0, UNUSABLE),
    ALL(gdt_base, BARE_GDT),
    ALL(gdt_limit, BARE_GDT_LIMIT),
    ALL(idt_base, BARE_IDT),
    ALL(idt_limit, BARE_IDT_LIMIT),
    ALL(ldt, 0),
    ALL(ldt_access, UNUSABLE),
    ALL(ldt_base, 0),
    ALL(ldt_limit, 0),
    ALL(tss, BARE_TR),
    ALL(tss_access, BUSY_TSS),
    ALL(tss_base, BARE_TSS),
    ALL(tss_limit, 0x67),
};

static const struct target_msr msrs[] = {
    {TARGET_ALL_CPUS, 0x1B, UINT64_C(0xFEE00C00)}, // x2APIC
    {TARGET_ALL_CPUS, 0xC0000080, 0x901},          // NXE, LME, SCE
};

static struct target target = {
    .name = "bare",
    .summary = "tables and nothing else",
    .num_regions = sizeof(regions) / sizeof(regions[0]),
    .regions = regions,
    .num_registers = sizeof(registers) / sizeof(registers[0]),
    .registers = registers,
    .num_msrs = sizeof(msrs) / sizeof(msrs[0]),
    .msrs = msrs,
};

void bare_poke(uint64_t guest_phys, uint64_t value)
{
    assert_true(memory_load(&machine->memory, guest_phys, &value, sizeof(value)));
}

uint64_t bare_peek(uint64_t guest_phys)
{
    uint64_t value = 0;
    assert_true(memory_peek(&machine->memory, guest_phys, &value, sizeof(value)));
    return value;
}

uint64_t bare_pte(uint64_t linear)
{
    return bare_peek(BARE_PT + linear / PAGE * 8);
}

void bare_set_pte(uint64_t linear, uint64_t entry)
{
    bare_poke(BARE_PT + linear / PAGE * 8, entry);
}

static void build_special_pages(void)
{
    bare_set_pte(BARE_ALIAS, BARE_CODE | P | RW);
    bare_set_pte(BARE_READ_ONLY, 0x50000 | P);
    bare_set_pte(BARE_NX, 0x51000 | P | RW | NX);
    bare_set_pte(BARE_ROM, BARE_ROM_PHYS | P | RW);
    bare_set_pte(BARE_DEVICE, BARE_DEVICE_PHYS | P | RW);
    bare_set_pte(BARE_EMPTY, 0x700000 | P | RW);
    bare_set_pte(BARE_PROTECTED, 0x680000 | P | RW);
    bare_set_pte(BARE_USER_RO, 0x52000 | P | US);
    bare_set_pte(BARE_PLAIN, 0x53000 | P | RW);
    bare_set_pte(BARE_RESERVED, UINT64_C(0x0008000000000000) | P | RW);
}

static void build_tables(void)
{
    bare_poke(BARE_PML4, PDPT | P | RW | US);
    bare_poke(BARE_PML4 + UINT64_C(8) * 256, PDPT_HIGH | P | RW);
    bare_poke(PDPT, PD | P | RW | US);
    bare_poke(PD, BARE_PT | P | RW | US);
    bare_poke(PD + 8, BARE_LARGE | P | RW | PS);
    bare_poke(PDPT_HIGH, PD_HIGH | P | RW);
    bare_poke(PD_HIGH, PT_HIGH | P | RW);
    bare_poke(PT_HIGH, BARE_CODE | P | RW);
    for (uint64_t linear = 0; linear < 0x100000; linear += PAGE) {
        bool user = linear >= BARE_USER_CODE && linear <= BARE_USER_TOP;
        bare_set_pte(linear, linear | P | RW | (user ? US : 0));
    }
    build_special_pages();
}

static void build_descriptors(void)
{
    bare_poke(BARE_GDT + BARE_KERNEL_CS, UINT64_C(0x00AF9B000000FFFF));
    bare_poke(BARE_GDT + BARE_KERNEL_SS, UINT64_C(0x00CF93000000FFFF));
    bare_poke(BARE_GDT + 0x18, UINT64_C(0x00CFFB000000FFFF));
    bare_poke(BARE_GDT + 0x20, UINT64_C(0x00CFF2000000FFFF)); // not accessed
    bare_poke(BARE_GDT + 0x28, UINT64_C(0x00AFFB000000FFFF));
    bare_poke(BARE_GDT + BARE_TR, UINT64_C(0x00008B0000000067) | BARE_TSS << 16);
    bare_poke(BARE_GDT + BARE_ABSENT_DS, UINT64_C(0x00CF13000000FFFF));
    bare_poke(BARE_GDT + BARE_CONFORMING_CS, UINT64_C(0x00AF9F000000FFFF));
    bare_poke(BARE_GDT + BARE_LDT, UINT64_C(0x000082000000000F) | UINT64_C(0xB000) << 16);
}

static void build_gate(unsigned vector, uint64_t rights)
{
    uint64_t handler = BARE_HANDLERS + UINT64_C(16) * vector;
    uint64_t low =
        (handler & 0xFFFF) | BARE_KERNEL_CS << 16 | rights << 32 | (handler & 0xFFFF0000) << 32;
    bare_poke(BARE_IDT + UINT64_C(16) * vector, low);
    bare_poke(BARE_IDT + UINT64_C(16) * vector + 8, 0);
    bare_poke(handler, HLT);
}

static void build_gates(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        build_gate(vector, 0x8E00);
    }
    build_gate(VECTOR_BP, 0xEE00);
    build_gate(BARE_USER_VECTOR, 0xEE00);
    build_gate(BARE_IST_VECTOR, 0xEE01);
    build_gate(BARE_TRAP_VECTOR, 0x8F00);
    build_gate(BARE_ABSENT_VECTOR, 0x0E00);
    bare_poke(BARE_TSS + 4, BARE_RSP0);
    bare_poke(BARE_TSS + 96, UINT64_C(0x68) << 48); // no I/O permission map
    bare_poke(BARE_TSS + 36, BARE_IST1);
}

static void attach_device(void)
{
    struct region *region = memory_region(&machine->memory, BARE_DEVICE_PHYS);
    memset(&bare_device, 0, sizeof(bare_device));
    region->ops = &device_ops;
    region->device = &bare_device;
}

static void keep_log(void *user, const char *line)
{
    size_t len = strlen(bare_log);
    (void)user;
    (void)snprintf(bare_log + len, sizeof(bare_log) - len, "%s\n", line);
}

void bare_build(unsigned num_cpus)
{
    const char *error = "";
    bare_log[0] = '\0';
    target.num_cpus = num_cpus;
    machine = machine_new(&target, &error);
    assert_string_equal(error, "");
    machine->log = keep_log;
    cpu = &machine->cpus[0];
    attach_device();
    build_tables();
    build_descriptors();
    build_gates();
}

void bare_program(uint64_t guest_phys, const void *code, size_t len)
{
    static const uint8_t hlt = HLT;
    assert_true(memory_load(&machine->memory, guest_phys, code, len));
    assert_true(memory_load(&machine->memory, guest_phys + len, &hlt, 1));
}

void bare_enter_ring3(void)
{
    struct segment code = {BARE_USER_CS, 0xA0FB, UINT32_MAX, 0};
    struct segment data = {BARE_USER_SS, 0xC0F3, UINT32_MAX, 0};
    cpu_set_segment(cpu, SEG_CS, &code);
    cpu_set_segment(cpu, SEG_SS, &data);
    cpu_guest(cpu, RIP) = BARE_USER_CODE;
    cpu_guest(cpu, RSP) = BARE_USER_TOP;
}

struct run_result bare_run(unsigned index, uint64_t budget)
{
    struct run_request request = {.budget = budget};
    return runner_run(machine, &machine->cpus[index], &request);
}

struct run_result bare_step(unsigned index)
{
    struct run_request request = {.budget = 1, .stepping = true, .skip_breakpoint = true};
    return runner_run(machine, &machine->cpus[index], &request);
}

int bare_vector(const struct cpu *halted)
{
    uint64_t offset = cpu_guest(halted, RIP) - BARE_HANDLERS;
    return offset < UINT64_C(256) * 16 ? (int)(offset / 16) : BARE_NO_VECTOR;
}

uint64_t bare_frame(unsigned index, unsigned i)
{
    return bare_peek(cpu_guest(&machine->cpus[index], RSP) + UINT64_C(8) * i);
}

int bare_set_up(void **state)
{
    (void)state;
    bare_build(2);
    return 0;
}

int bare_tear_down(void **state)
{
    (void)state;
    machine_free(machine);
    return 0;
}

void bare_place(uint64_t guest_phys, struct code code)
{
    bare_program(guest_phys, code.bytes, code.len);
}

void bare_handle(unsigned vector, struct code code)
{
    bare_place(BARE_HANDLERS + UINT64_C(16) * vector, code);
}

void bare_run_program(struct code code)
{
    bare_place(cpu_cpl(cpu) == 3 ? BARE_USER_CODE : BARE_CODE, code);
    struct run_result result = bare_run(0, 100000);
    assert_string_equal(bare_log, "");
    assert_int_equal(result.stop, RUN_WAITING);
}

uint64_t bare_rax(void)
{
    return cpu->vmx.gpr[VMX_RAX];
}
