// Selector and offset to linear address: one row per rule, in every CPU mode.
#include "rows.h"

#include "mmu_model/segment.h"

#include "tables.h"

// Rights in VMX format.
#define CODE32   0xC09BU // G, D, present, code, readable
#define CODE16   0x009BU
#define CODE64   0xA09BU
#define DATA32   0xC093U // G, B, present, data, writable
#define DATA16   0x0093U
#define DOWN32   0x4097U // expand-down, B
#define DOWN16   0x0097U
#define UNUSABLE 0x10000U

#define GDT_BASE UINT64_C(0x20000)
#define LDT_BASE UINT64_C(0x30000)
#define FS_BASE  UINT64_C(0x00007F0000001000)
#define GS_BASE  UINT64_C(0xFFFF880000002000)

// Descriptors, as the manual draws them.
#define FLAT_DATA    UINT64_C(0x00CF92000000FFFF)
#define BYTE_DATA    UINT64_C(0x8040F2345678FFFF) // base 0x80345678, limit 0xFFFF, DPL 3
#define PAGE_CODE    UINT64_C(0x00CA9A0000000005) // limit 0xA0005 pages
#define DOWN_DATA    UINT64_C(0x00C0960000000000) // expand-down, B, limit 0 pages: from 0x1000
#define DOWN_DATA_16 UINT64_C(0x0000960000000FFF) // expand-down, 16 bits, from 0x1000
#define DOWN_CODE    UINT64_C(0x00409C0000000FFF) // conforming code: bit 10 is not expand-down
#define NOT_PRESENT  UINT64_C(0x00CF12000000FFFF)
#define TSS          UINT64_C(0x0000890000000067)

static const uint64_t gdt[] = {
    0, FLAT_DATA, BYTE_DATA, PAGE_CODE, DOWN_DATA, DOWN_DATA_16, DOWN_CODE, NOT_PRESENT, TSS,
};

struct segment_case {
    const char *name;
    enum cpu_mode mode;
    struct far_pointer at;
    enum segment_fault fault;
    uint64_t linear, length;
    struct segment ds; // replaces DS when it has a limit or rights
    uint64_t cr4;      // set in addition
    bool no_ldt;
    bool gdt_unmapped;
};

#define REAL   CPU_MODE_REAL
#define V86    CPU_MODE_V86
#define PROT32 CPU_MODE_PROT32
#define PROT16 CPU_MODE_PROT16
#define LONG64 CPU_MODE_LONG64
#define LONG32 CPU_MODE_LONG32
#define LONG16 CPU_MODE_LONG16
#define ALL_32 UINT64_C(0x100000000)

// The registers of register_file(): CS 0x1008, SS 0x1010, DS 0x1018, ES 0x1020, FS 0x1028 with
// FS_BASE, GS 0x1030 with GS_BASE; none of these selectors lies within the GDT.
// clang-format off
static struct segment_case cases[] = {
    // 64-bit mode. SDM 3A, "Segmentation in IA-32e Mode".
    {"64-bit: null is flat", LONG64, {0, 0x1234}, .linear = 0x1234, .length = 0x7FFFFFFFEDCC},
    {"64-bit: null with an RPL is flat", LONG64, {3, 0x1234}, .linear = 0x1234,
     .length = 0x7FFFFFFFEDCC},
    {"64-bit: CS is flat", LONG64, {0x1008, 0x5000}, .linear = 0x5000, .length = 0x7FFFFFFFB000},
    {"64-bit: DS is flat, its base and limit unseen", LONG64, {0x1018, 0x5000},
     .ds = {0x1018, DATA16, 1, 0x77770000}, .linear = 0x5000, .length = 0x7FFFFFFFB000},
    {"64-bit: FS has its base", LONG64, {0x1028, 0x10}, .linear = FS_BASE + 0x10,
     .length = UINT64_C(0x800000000000) - FS_BASE - 0x10},
    {"64-bit: GS has its base", LONG64, {0x1030, 0x10}, .linear = GS_BASE + 0x10,
     .length = UINT64_C(0) - GS_BASE - 0x10},
    {"64-bit: a negative offset from GS", LONG64, {0x1030, -UINT64_C(0x10)},
     .linear = GS_BASE - 0x10, .length = UINT64_C(0) - GS_BASE + 0x10},
    {"64-bit: a null FS is flat all the same", LONG64, {0, 0x10}, .linear = 0x10,
     .length = 0x7FFFFFFFFFF0},
    {"64-bit: DS goes before an equal FS", LONG64, {0x1028, 0x10}, .ds = {0x1028, DATA32, 9, 9},
     .linear = 0x10, .length = 0x7FFFFFFFFFF0},
    {"64-bit: another RPL is another selector", LONG64, {0x102B, 0x10},
     .fault = SEGMENT_FAULT_TABLE_LIMIT},
    {"64-bit: a data descriptor is flat", LONG64, {0x10, 0x10}, .linear = 0x10,
     .length = 0x7FFFFFFFFFF0},
    {"64-bit: DPL and RPL do not refuse", LONG64, {0x0B, 0x10}, .linear = 0x10,
     .length = 0x7FFFFFFFFFF0},
    {"64-bit: an LDT descriptor", LONG64, {0x0C, 0x10}, .linear = 0x10, .length = 0x7FFFFFFFFFF0},
    {"64-bit: not present", LONG64, {0x38, 0}, .fault = SEGMENT_FAULT_NOT_PRESENT},
    {"64-bit: a TSS", LONG64, {0x40, 0}, .fault = SEGMENT_FAULT_NOT_A_SEGMENT},
    {"64-bit: beyond the GDT", LONG64, {0x48, 0}, .fault = SEGMENT_FAULT_TABLE_LIMIT},
    {"64-bit: beyond the LDT", LONG64, {0x14, 0}, .fault = SEGMENT_FAULT_TABLE_LIMIT},
    {"64-bit: without an LDT", LONG64, {0x0C, 0}, .no_ldt = true,
     .fault = SEGMENT_FAULT_TABLE_LIMIT},
    {"64-bit: a GDT that is not mapped", LONG64, {0x08, 0}, .gdt_unmapped = true,
     .fault = SEGMENT_FAULT_UNREADABLE},
    {"64-bit: a register needs no GDT", LONG64, {0x1008, 0}, .gdt_unmapped = true, .linear = 0,
     .length = UINT64_C(0x800000000000)},
    {"64-bit: the last byte of the lower half", LONG64, {0, 0x7FFFFFFFFFFF},
     .linear = 0x7FFFFFFFFFFF, .length = 1},
    {"64-bit: the first byte of the hole", LONG64, {0, 0x800000000000},
     .fault = SEGMENT_FAULT_NON_CANONICAL},
    {"64-bit: the last byte of the hole", LONG64, {0, 0xFFFF7FFFFFFFFFFF},
     .fault = SEGMENT_FAULT_NON_CANONICAL},
    {"64-bit: the first byte of the upper half", LONG64, {0, 0xFFFF800000000000},
     .linear = 0xFFFF800000000000, .length = 0x800000000000},
    {"64-bit: the last byte of all", LONG64, {0, UINT64_MAX}, .linear = UINT64_MAX, .length = 1},
    {"64-bit: FS base plus offset into the hole", LONG64, {0x1028, 0x10000000000},
     .fault = SEGMENT_FAULT_NON_CANONICAL},
    {"64-bit: 57 bits with LA57", LONG64, {0, 0x800000000000}, .cr4 = MMU_CR4_LA57,
     .linear = 0x800000000000, .length = 0xFF800000000000},
    {"64-bit: the hole with LA57", LONG64, {0, 0x100000000000000}, .cr4 = MMU_CR4_LA57,
     .fault = SEGMENT_FAULT_NON_CANONICAL},

    // Protected and compatibility mode. SDM 3A, "Limit Checking".
    {"32-bit: a flat register", PROT32, {0x1018, 0x1234}, .linear = 0x1234,
     .length = 0xFFFFEDCC},
    {"32-bit: the last byte within the limit", PROT32, {0x1018, 0xFFF},
     .ds = {0x1018, DATA16, 0xFFF, 0x5000}, .linear = 0x5FFF, .length = 1},
    {"32-bit: the first byte beyond the limit", PROT32, {0x1018, 0x1000},
     .ds = {0x1018, DATA16, 0xFFF, 0x5000}, .fault = SEGMENT_FAULT_LIMIT},
    {"32-bit: a limit of 0 holds one byte", PROT32, {0x1018, 0},
     .ds = {0x1018, DATA16, 0, 0x5000}, .linear = 0x5000, .length = 1},
    {"32-bit: an offset of 2^32 is beyond any limit", PROT32, {0x1018, ALL_32},
     .fault = SEGMENT_FAULT_LIMIT},
    {"32-bit: base plus offset wraps at 2^32", PROT32, {0x1018, 0xFFFFFFF8},
     .ds = {0x1018, DATA32, 0xFFFFFFFF, 0x7000}, .linear = 0x6FF8, .length = 8},
    {"32-bit: the bytes stop at linear 0xFFFFFFFF", PROT32, {0x1018, 0x10},
     .ds = {0x1018, DATA32, 0xFFFFFFFF, 0xFFFFF000}, .linear = 0xFFFFF010, .length = 0xFF0},
    {"32-bit: the upper half of a cached base is not used", PROT32, {0x1028, 0},
     .linear = FS_BASE & 0xFFFFFFFF, .length = ALL_32 - (FS_BASE & 0xFFFFFFFF)},
    {"32-bit: expand-down, the first byte above the limit", PROT32, {0x1018, 0x1000},
     .ds = {0x1018, DOWN32, 0xFFF, 0x5000}, .linear = 0x6000, .length = 0xFFFFA000},
    {"32-bit: expand-down, the limit itself", PROT32, {0x1018, 0xFFF},
     .ds = {0x1018, DOWN32, 0xFFF, 0x5000}, .fault = SEGMENT_FAULT_LIMIT},
    {"32-bit: expand-down ends at offset 0xFFFFFFFF", PROT32, {0x1018, 0xFFFFFFFF},
     .ds = {0x1018, DOWN32, 0xFFF, 0}, .linear = 0xFFFFFFFF, .length = 1},
    {"32-bit: expand-down with the highest limit is empty", PROT32, {0x1018, 0xFFFFFFFF},
     .ds = {0x1018, DOWN32, 0xFFFFFFFF, 0}, .fault = SEGMENT_FAULT_LIMIT},
    {"32-bit: expand-down without B ends at 0xFFFF", PROT32, {0x1018, 0xFFF0},
     .ds = {0x1018, DOWN16, 0xFFF, 0x5000}, .linear = 0x14FF0, .length = 0x10},
    {"32-bit: expand-down without B, offset 0x10000", PROT32, {0x1018, 0x10000},
     .ds = {0x1018, DOWN16, 0xFFF, 0x5000}, .fault = SEGMENT_FAULT_LIMIT},
    {"32-bit: an unusable register", PROT32, {0x1018, 0},
     .ds = {0x1018, UNUSABLE, 0xFFFF, 0}, .fault = SEGMENT_FAULT_UNUSABLE},
    {"32-bit: an unusable null register", PROT32, {0, 0},
     .ds = {0, UNUSABLE, 0xFFFF, 0}, .fault = SEGMENT_FAULT_UNUSABLE},
    {"32-bit: null", PROT32, {0, 0}, .fault = SEGMENT_FAULT_NULL_SELECTOR},
    {"32-bit: null with an RPL", PROT32, {3, 0}, .fault = SEGMENT_FAULT_NULL_SELECTOR},
    {"32-bit: index 0 of the LDT is not null", PROT32, {4, 0x10}, .linear = 0x10,
     .length = 0xFFFFFFF0},
    {"32-bit: a flat descriptor", PROT32, {0x08, 0x10}, .linear = 0x10, .length = 0xFFFFFFF0},
    {"32-bit: all parts of base and limit, DPL 3", PROT32, {0x10, 0x10},
     .linear = 0x80345688, .length = 0xFFF0},
    {"32-bit: a byte limit", PROT32, {0x10, 0x10000}, .fault = SEGMENT_FAULT_LIMIT},
    {"32-bit: a page limit ends with 0xFFF", PROT32, {0x18, 0xA0005FFF}, .linear = 0xA0005FFF,
     .length = 1},
    {"32-bit: beyond a page limit", PROT32, {0x18, 0xA0006000}, .fault = SEGMENT_FAULT_LIMIT},
    {"32-bit: an expand-down descriptor", PROT32, {0x20, 0x1000}, .linear = 0x1000,
     .length = 0xFFFFF000},
    {"32-bit: below an expand-down descriptor", PROT32, {0x20, 0xFFF},
     .fault = SEGMENT_FAULT_LIMIT},
    {"32-bit: a 16-bit expand-down descriptor", PROT32, {0x28, 0xFFFF}, .linear = 0xFFFF,
     .length = 1},
    {"32-bit: conforming code does not expand down", PROT32, {0x30, 0xFFF}, .linear = 0xFFF,
     .length = 1},
    {"32-bit: a descriptor that is not present", PROT32, {0x38, 0},
     .fault = SEGMENT_FAULT_NOT_PRESENT},
    {"32-bit: a TSS", PROT32, {0x40, 0}, .fault = SEGMENT_FAULT_NOT_A_SEGMENT},
    {"32-bit: beyond the GDT", PROT32, {0x48, 0}, .fault = SEGMENT_FAULT_TABLE_LIMIT},
    {"32-bit: an LDT descriptor", PROT32, {0x0F, 0x10}, .linear = 0x80345688, .length = 0xFFF0},
    {"16-bit: the segment decides, not the mode", PROT16, {0x1018, 0x12345678},
     .linear = 0x12345678, .length = 0xEDCBA988},
    {"16-bit: a flat descriptor", PROT16, {0x08, 0x10}, .linear = 0x10, .length = 0xFFFFFFF0},
    {"compatibility, 32-bit: limits count", LONG32, {0x1018, 0x1000},
     .ds = {0x1018, DATA16, 0xFFF, 0x5000}, .fault = SEGMENT_FAULT_LIMIT},
    {"compatibility, 32-bit: base plus offset wraps", LONG32, {0x1018, 0xFFFFFFF8},
     .ds = {0x1018, DATA32, 0xFFFFFFFF, 0x7000}, .linear = 0x6FF8, .length = 8},
    {"compatibility, 32-bit: a descriptor", LONG32, {0x10, 0x10}, .linear = 0x80345688,
     .length = 0xFFF0},
    {"compatibility, 16-bit: an expand-down descriptor of 16 bits", LONG16, {0x28, 0xFFFF},
     .linear = 0xFFFF, .length = 1},
    {"compatibility, 16-bit: an LDT descriptor", LONG16, {0x0F, 0x10}, .linear = 0x80345688,
     .length = 0xFFF0},
    {"compatibility, 16-bit: null", LONG16, {0, 0}, .fault = SEGMENT_FAULT_NULL_SELECTOR},

    // Real and virtual-8086 mode.
    {"real: selector times 16", REAL, {0xF000, 0xFFF0}, .linear = 0xFFFF0, .length = 0x10},
    {"real: null is paragraph 0", REAL, {0, 0x400}, .linear = 0x400, .length = 0xFC00},
    {"real: above 1 MiB, A20 is on", REAL, {0xFFFF, 0xFFFF}, .linear = 0x10FFEF, .length = 1},
    {"real: a limit of 64 KiB", REAL, {0x2000, 0x10000}, .fault = SEGMENT_FAULT_LIMIT},
    {"real: a register keeps its base and limit", REAL, {0x1018, 0x100000},
     .ds = {0x1018, DATA32, 0xFFFFFFFF, 0x5000}, .linear = 0x105000, .length = 0xFFEFB000},
    {"V86: selector times 16", V86, {0xB800, 0x10}, .linear = 0xB8010, .length = 0xFFF0},
    {"V86: null is paragraph 0", V86, {0, 0x400}, .linear = 0x400, .length = 0xFC00},
    {"V86: above 1 MiB, A20 is on", V86, {0xFFFF, 0xFFFF}, .linear = 0x10FFEF, .length = 1},
    {"V86: a limit of 64 KiB", V86, {0xB800, 0x10000}, .fault = SEGMENT_FAULT_LIMIT},
    {"V86: a register keeps its base and limit", V86, {0x1018, 0xFFFF},
     .ds = {0x1018, 0xF3, 0xFFFF, 0x10180}, .linear = 0x2017F, .length = 1},
};
// clang-format on

static uint32_t cs_access(enum cpu_mode mode)
{
    switch (mode) {
    case CPU_MODE_LONG64:
        return CODE64;
    case CPU_MODE_PROT32:
    case CPU_MODE_LONG32:
        return CODE32;
    case CPU_MODE_REAL:
    case CPU_MODE_SMM:
    case CPU_MODE_V86:
    case CPU_MODE_PROT16:
    case CPU_MODE_LONG16:
        break;
    }
    return CODE16;
}

static struct segment_registers register_file(const struct segment_case *c)
{
    struct segment_registers segments = {
        .cs = {0x1008, cs_access(c->mode), 0xFFFFFFFF, 0},
        .ss = {0x1010, DATA32, 0xFFFFFFFF, 0},
        .ds = {0x1018, DATA32, 0xFFFFFFFF, 0},
        .es = {0x1020, DATA32, 0xFFFFFFFF, 0},
        .fs = {0x1028, DATA32, 0xFFFFFFFF, FS_BASE},
        .gs = {0x1030, DATA32, 0xFFFFFFFF, GS_BASE},
        .ldtr = {0x50, c->no_ldt ? UNUSABLE : 0x82, 0x0F, LDT_BASE},
        .gdt_base = GDT_BASE,
        .gdt_limit = sizeof(gdt) - 1,
    };
    if (c->ds.access != 0) {
        segments.ds = c->ds;
    }
    return segments;
}

// Identity tables for the two pages of descriptors; protected mode goes without paging.
static struct mmu_registers control_registers(const struct segment_case *c, struct cells *cells)
{
    bool ia32e = c->mode >= CPU_MODE_LONG64;
    bool la57 = (c->cr4 & MMU_CR4_LA57) != 0;
    enum mmu_mode paging = la57 ? MMU_MODE_5LEVEL : MMU_MODE_4LEVEL;
    struct path path = {.mode = ia32e ? paging : MMU_MODE_NONE, .linear = GDT_BASE};
    struct mmu_registers registers = path_registers(&path);
    path.entry[1] = c->gdt_unmapped ? ABSENT : GDT_BASE | P;
    path_put(&path, cells);
    cells_put(cells, TABLE_PHYS(1) + (LDT_BASE >> 12) * 8, LDT_BASE | P);
    registers.cr0 &= c->mode == CPU_MODE_REAL ? ~MMU_CR0_PE : ~UINT64_C(0);
    registers.rflags = c->mode == CPU_MODE_V86 ? MMU_RFLAGS_VM : 0;
    return registers;
}

// A request and what came of it.
struct query {
    const struct segment_registers *segments;
    const struct mmu_registers *registers;
    const struct mmu_memory *memory;
    struct far_pointer at;
    enum segment_fault fault;
    struct segment_linear out;
};

// Does another offset fare the same: by the same fault, or as far away in the linear space?
static bool is_alike(const struct query *query, uint64_t offset)
{
    struct far_pointer at = {query->at.selector, offset};
    struct segment_linear out;
    enum segment_fault fault =
        segment_to_linear(query->segments, query->registers, query->memory, at, &out);
    return fault == query->fault &&
           (fault != SEGMENT_FAULT_NONE ||
            (out.linear - query->out.linear == offset - query->at.offset &&
             (out.linear < query->out.linear) == (offset < query->at.offset)));
}

// The extents reach to the last offset that is alike, and not beyond. With a base, 64-bit offsets
// wrap; here they are looked at up to there.
static void check_extent(const struct query *query)
{
    uint64_t offset = query->at.offset;
    uint64_t last = offset + (query->out.length - 1);
    uint64_t first = query->out.before <= offset ? offset - query->out.before : 0;
    last = last >= offset ? last : UINT64_MAX;
    assert_int_not_equal(query->out.length, 0);
    assert_true(is_alike(query, last));
    assert_true(is_alike(query, first));
    bool is_end = last == UINT64_MAX || (offset == 0 && last == UINT64_MAX - 1);
    assert_true(is_end || !is_alike(query, last + 1));
    assert_true(first == 0 || !is_alike(query, first - 1));
}

static void check_segment(void **state)
{
    const struct segment_case *c = *state;
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct segment_registers segments = register_file(c);
    struct mmu_registers registers = control_registers(c, &cells);
    struct segment_linear out = {1, 1, 1};
    for (size_t i = 0; i < ARRAY_LEN(gdt); i++) {
        cells_put(&cells, GDT_BASE + 8 * i, gdt[i]);
    }
    cells_put(&cells, LDT_BASE, FLAT_DATA);
    cells_put(&cells, LDT_BASE + 8, BYTE_DATA);
    assert_int_equal(
        cpu_mode_of(registers.cr0, registers.efer, registers.rflags, segments.cs.access), c->mode);

    enum segment_fault fault = segment_to_linear(&segments, &registers, &memory, c->at, &out);

    assert_int_equal(fault, c->fault);
    assert_int_equal(out.linear, c->linear);
    if (fault == SEGMENT_FAULT_NONE) {
        assert_int_equal(out.length, c->length);
    }
    struct query query = {&segments, &registers, &memory, c->at, fault, out};
    check_extent(&query);
}

struct mode_case {
    const char *name;
    uint64_t cr0, efer, rflags;
    uint32_t cs_access;
    enum cpu_mode mode;
};

static struct mode_case mode_cases[] = {
    {"PE 0 is real mode", 0, 0, 0, CODE32, REAL},
    {"PE 0 is real mode, VM or not", 0, 0, MMU_RFLAGS_VM, CODE16, REAL},
    {"VM is virtual-8086 mode", MMU_CR0_PE, 0, MMU_RFLAGS_VM, CODE32, V86},
    {"D is 32-bit protected mode", MMU_CR0_PE, 0, 0, CODE32, PROT32},
    {"no D is 16-bit protected mode", MMU_CR0_PE, 0, 0, CODE16, PROT16},
    {"L without IA-32e mode is nothing", MMU_CR0_PE, 0, 0, CODE64, PROT16},
    {"LME without paging is not IA-32e mode", MMU_CR0_PE, MMU_EFER_LME, 0, CODE64, PROT16},
    {"LMA and L is 64-bit mode", MMU_CR0_PE, MMU_EFER_LMA, 0, CODE64, LONG64},
    {"PG, LME and L is 64-bit mode", MMU_CR0_PE | MMU_CR0_PG, MMU_EFER_LME, 0, CODE64, LONG64},
    {"LMA and D is compatibility mode", MMU_CR0_PE, MMU_EFER_LMA, 0, CODE32, LONG32},
    {"LMA alone is 16-bit compatibility mode", MMU_CR0_PE, MMU_EFER_LMA, 0, CODE16, LONG16},
    {"VM has no effect in IA-32e mode", MMU_CR0_PE, MMU_EFER_LMA, MMU_RFLAGS_VM, CODE64, LONG64},
};

static void check_mode(void **state)
{
    const struct mode_case *c = *state;
    assert_int_equal(cpu_mode_of(c->cr0, c->efer, c->rflags, c->cs_access), c->mode);
}

static void the_first_of_equal_selectors_counts(void **state)
{
    (void)state;
    struct segment_case c = {.mode = PROT32};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct segment_registers segments = register_file(&c);
    struct mmu_registers registers = control_registers(&c, &cells);
    struct segment *const order[] = {&segments.cs, &segments.ss, &segments.ds,
                                     &segments.es, &segments.fs, &segments.gs};
    struct segment_linear out;

    for (size_t first = ARRAY_LEN(order); first-- > 0;) {
        order[first]->selector = 0x2000;
        order[first]->base = 0x10000 * (first + 1);
        assert_int_equal(segment_to_linear(&segments, &registers, &memory,
                                           (struct far_pointer){0x2000, 0}, &out),
                         SEGMENT_FAULT_NONE);
        assert_int_equal(out.linear, 0x10000 * (first + 1));
    }
}

static void a_gdt_at_the_end_of_4_gib_wraps_without_paging(void **state)
{
    (void)state;
    struct segment_case c = {.mode = PROT32};
    struct cells cells = {.count = 0};
    struct mmu_memory memory = cells_memory(&cells);
    struct segment_registers segments = register_file(&c);
    struct mmu_registers registers = control_registers(&c, &cells);
    struct segment_linear out;
    segments.gdt_base = 0xFFFFFFF8;
    cells_put(&cells, 0x08, BYTE_DATA);

    assert_int_equal(
        segment_to_linear(&segments, &registers, &memory, (struct far_pointer){0x10, 0}, &out),
        SEGMENT_FAULT_NONE);
    assert_int_equal(out.linear, 0x80345678);
}

static void descriptors_convert_both_ways(void **state)
{
    (void)state;
    struct segment flat = segment_from_descriptor(8, FLAT_DATA, 0);
    assert_int_equal(flat.selector, 8);
    assert_int_equal(flat.access, 0xC092);
    assert_int_equal(flat.limit, 0xFFFFFFFF);
    assert_int_equal(flat.base, 0);
    struct segment byte = segment_from_descriptor(0x10, BYTE_DATA, 0);
    assert_int_equal(byte.access, 0x40F2);
    assert_int_equal(byte.limit, 0xFFFF);
    assert_int_equal(byte.base, 0x80345678);
    struct segment tss = segment_from_descriptor(0x40, TSS, 0xFFFF8800);
    assert_int_equal(tss.base, UINT64_C(0xFFFF880000000000));

    for (size_t i = 0; i < ARRAY_LEN(gdt); i++) {
        struct segment segment = segment_from_descriptor(0, gdt[i], 0);
        assert_int_equal(segment_to_descriptor(&segment), gdt[i]);
    }
}

static void access_rights_convert_both_ways(void **state)
{
    (void)state;
    assert_int_equal(segment_access_from_descriptor(0x00CF9A00), 0xC09A);
    assert_int_equal(segment_access_from_descriptor(0xFFFFFFFF), 0xF0FF);
    assert_int_equal(segment_access_to_descriptor(0xC09A), 0x00C09A00);
    assert_int_equal(segment_access_to_descriptor(0xFFFFFFFF), 0x00F0FF00);
}

// All rights of the VMX format and all of the descriptor's: what one format knows the other keeps.
static void all_access_rights_convert_both_ways(void **state)
{
    (void)state;
    for (uint32_t access = 0; access < 0x10000; access++) {
        uint32_t kept = access & 0xF0FF;
        struct segment segment = {8, access, 0xABCDE, 0x12345678};
        uint64_t descriptor = segment_to_descriptor(&segment);
        struct segment back = segment_from_descriptor(8, descriptor, 0);
        uint32_t there = segment_access_to_descriptor(access);
        assert_int_equal(there, kept << 8);
        assert_int_equal(segment_access_from_descriptor(there), kept);
        assert_int_equal(segment_access_from_descriptor(access << 8 | 0xFF0000FF), kept);
        assert_int_equal(back.access, kept);
        assert_int_equal(descriptor >> 32 & 0x00F0FF00, there);
        assert_int_equal(segment_access_to_descriptor(access | 0x10000), there);
    }
}

static void every_fault_has_a_text(void **state)
{
    (void)state;
#define SEGMENT_FAULT(name, text)                                                                  \
    assert_string_equal(segment_fault_text(SEGMENT_FAULT_##name), text);
#include "mmu_model/segment_faults.def"
}

int main(void)
{
    int failures = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_equal_selectors_counts),
        cmocka_unit_test(a_gdt_at_the_end_of_4_gib_wraps_without_paging),
        cmocka_unit_test(descriptors_convert_both_ways),
        cmocka_unit_test(access_rights_convert_both_ways),
        cmocka_unit_test(all_access_rights_convert_both_ways),
        cmocka_unit_test(every_fault_has_a_text),
    };
    RUN_ROWS(failures, "selector to linear", cases, check_segment);
    RUN_ROWS(failures, "CPU mode", mode_cases, check_mode);
    failures += cmocka_run_group_tests(tests, NULL, NULL);
    return failures;
}
