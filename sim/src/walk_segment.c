#include "walk_view.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SELECTOR_RPL = 0x3,
    SELECTOR_LDT = 0x4,
    DESCRIPTOR_SIZE = 8,
    DPL_SHIFT = 5,
    TYPE_ACCESSED = 0x1,
    TYPE_READABLE = 0x2, // of code; of data: writable
    WORD_SIZE = 16,
};

static enum cpu_mode mode_of(const struct walk_view *view)
{
    return cpu_mode_of(view->registers.cr0, view->registers.efer, view->registers.rflags,
                       view->segments.cs.access);
}

static void print_label(const char *label)
{
    printf("%-*s", WALK_LABEL, label);
}

bool walk_print_target(const struct walk_view *view, bool is_own_root)
{
    static const char *const cpu_modes[] = {
        [CPU_MODE_REAL] = "real mode",
        [CPU_MODE_SMM] = "system-management mode",
        [CPU_MODE_V86] = "virtual-8086 mode",
        [CPU_MODE_PROT32] = "32-bit protected mode",
        [CPU_MODE_PROT16] = "16-bit protected mode",
        [CPU_MODE_LONG64] = "64-bit mode",
        [CPU_MODE_LONG32] = "32-bit compatibility mode",
        [CPU_MODE_LONG16] = "16-bit compatibility mode",
    };
    static const char *const paging_modes[] = {
        [MMU_MODE_NONE] = "no paging",        [MMU_MODE_32BIT] = "32-bit paging",
        [MMU_MODE_PAE] = "PAE paging",        [MMU_MODE_4LEVEL] = "4-level paging",
        [MMU_MODE_5LEVEL] = "5-level paging",
    };
    enum mmu_mode mode;
    bool is_mode = mmu_mode_of(&view->registers, &mode);
    print_label("target");
    printf("%s, CPU %u: %s, %s, MAXPHYADDR %u\n", view->machine->target->name, view->cpu,
           cpu_modes[mode_of(view)], is_mode ? paging_modes[mode] : "no paging mode at all",
           view->registers.max_phys_bits);
    if (!is_mode || mode != MMU_MODE_NONE) {
        print_label("root");
        printf("0x%016" PRIx64 "%s\n", view->registers.cr3, is_own_root ? ", CR3 of the CPU" : "");
    }
    if (!is_mode) {
        print_label("stops");
        printf("%s\n", mmu_fault_text(MMU_FAULT_MODE));
    }
    return is_mode;
}

static void print_rights(const struct segment *segment)
{
    struct walk_words words = {.indent = WALK_LABEL, .column = WALK_LABEL};
    uint32_t access = segment->access;
    bool is_code = (access & SEGMENT_ACCESS_CODE) != 0;
    bool is_long = is_code && (access & SEGMENT_ACCESS_L) != 0;
    char text[WORD_SIZE];
    print_label("rights");
    (void)snprintf(text, sizeof(text), "0x%05" PRIx32, access);
    walk_print_word(&words, text);
    if ((access & SEGMENT_ACCESS_UNUSABLE) != 0) {
        walk_print_word(&words, "unusable");
        printf("\n");
        return;
    }
    (void)snprintf(text, sizeof(text), "DPL %" PRIu32, (access & SEGMENT_ACCESS_DPL) >> DPL_SHIFT);
    walk_print_word(&words, (access & SEGMENT_ACCESS_P) != 0 ? "present" : "not present");
    walk_print_word(&words, text);
    if ((access & SEGMENT_ACCESS_S) == 0) {
        walk_print_word(&words, "a system segment");
        printf("\n");
        return;
    }
    walk_print_word(&words, is_long                             ? "64-bit"
                            : (access & SEGMENT_ACCESS_DB) != 0 ? "32-bit"
                                                                : "16-bit");
    walk_print_word(&words, is_code ? "code" : "data");
    if ((access & TYPE_READABLE) != 0) {
        walk_print_word(&words, is_code ? "readable" : "writable");
    }
    if ((access & SEGMENT_ACCESS_EXPAND_DOWN) != 0) {
        walk_print_word(&words, is_code ? "conforming" : "expand-down");
    }
    if ((access & TYPE_ACCESSED) != 0) {
        walk_print_word(&words, "accessed");
    }
    printf("\n");
}

static void print_fields(const struct walk_view *view, const struct segment *segment, bool has_base)
{
    bool is_64bit = mode_of(view) == CPU_MODE_LONG64;
    print_label("base");
    printf("0x%016" PRIx64 "%s\n", segment->base,
           is_64bit && !has_base && segment->base != 0 ? ", which 64-bit mode takes for 0" : "");
    print_label("limit");
    printf("0x%08" PRIx32 "%s\n", segment->limit, is_64bit ? ", which 64-bit mode ignores" : "");
    print_rights(segment);
}

// The first of the CPU's registers with exactly this selector counts, as in mmu_model.
static bool print_register(const struct walk_view *view, uint16_t selector)
{
    const struct segment_registers *segments = &view->segments;
    const struct {
        const char *name;
        const struct segment *segment;
        bool has_base; // in 64-bit mode
    } registers[] = {
        {"CS", &segments->cs, false}, {"SS", &segments->ss, false}, {"DS", &segments->ds, false},
        {"ES", &segments->es, false}, {"FS", &segments->fs, true},  {"GS", &segments->gs, true},
    };
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        if (registers[i].segment->selector == selector) {
            printf("in %s\n", registers[i].name);
            print_fields(view, registers[i].segment, registers[i].has_base);
            return true;
        }
    }
    return false;
}

// Where the descriptor is and what it says, if it is within its table.
static void print_descriptor(const struct walk_view *view, uint16_t selector, bool is_there)
{
    bool in_ldt = (selector & SELECTOR_LDT) != 0;
    uint64_t offset = selector & ~7U;
    uint64_t linear = (in_ldt ? view->segments.ldtr.base : view->segments.gdt_base) + offset;
    uint64_t descriptor = 0;
    printf("%s + 0x%04" PRIx64, in_ldt ? "LDT" : "GDT", offset);
    if (!is_there) {
        printf("\n");
        return;
    }
    if ((view->registers.efer & MMU_EFER_LMA) == 0) {
        linear &= UINT32_MAX;
    }
    printf(", at 0x%016" PRIx64, linear);
    if (mmu_read_linear(&view->registers, &view->memory, linear, &descriptor, DESCRIPTOR_SIZE) !=
        DESCRIPTOR_SIZE) {
        printf("\n");
        return;
    }
    // The host is little-endian, too.
    struct segment segment = segment_from_descriptor(selector, descriptor, 0);
    printf(" = 0x%016" PRIx64 "\n", descriptor);
    print_fields(view, &segment, false);
}

static void print_source(const struct walk_view *view, uint16_t selector, enum segment_fault fault)
{
    enum cpu_mode mode = mode_of(view);
    bool is_paragraph = mode == CPU_MODE_REAL || mode == CPU_MODE_V86;
    printf("0x%04x, ", selector);
    if (mode == CPU_MODE_LONG64 && selector <= SELECTOR_RPL) {
        printf("null: base 0, no limit\n");
    } else if (print_register(view, selector)) {
        return;
    } else if (is_paragraph) {
        printf("in no register: base 0x%05x, limit 0xffff\n", (unsigned)selector << 4);
    } else if (selector <= SELECTOR_RPL) {
        printf("null\n");
    } else {
        print_descriptor(view, selector, fault != SEGMENT_FAULT_TABLE_LIMIT);
    }
}

bool walk_print_segment(struct walk_view *view, struct far_pointer at)
{
    struct segment_linear linear;
    char text[WALK_SIZE_TEXT];
    enum segment_fault fault =
        segment_to_linear(&view->segments, &view->registers, &view->memory, at, &linear);
    print_label("selector");
    print_source(view, at.selector, fault);
    print_label("offset");
    printf("0x%016" PRIx64 "\n", at.offset);
    view->linear = linear.linear;
    bool is_linear = fault == SEGMENT_FAULT_NONE;
    if (!is_linear) {
        print_label("stops");
        printf("%s\n", segment_fault_text(fault));
    }
    print_label(is_linear ? "within" : "likewise");
    printf("%s from here on\n", walk_size_text(linear.length, text));
    return is_linear;
}
