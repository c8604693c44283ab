#include "walk_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_HOLE_STEPS = 65536, // entries of a hole that are looked at in each direction
    WORD_SIZE = 48,
    NUM_PDPTES = 4,
    PDPT_LEVEL = 3,
};

static void print_label(const char *label)
{
    printf("%-*s", WALK_LABEL, label);
}

static struct walk_words words_at_label(void)
{
    return (struct walk_words){.indent = WALK_LABEL, .column = WALK_LABEL};
}

static bool may(const struct walk_view *view, enum mmu_access_kind kind, bool user)
{
    struct mmu_access want = {.kind = kind, .user = user};
    struct mmu_walk walk;
    return mmu_access(&view->registers, &view->memory, view->linear, &want, &walk);
}

static void print_allowed(const struct walk_view *view, bool user)
{
    static const char *const names[] = {"read", "write", "execute"};
    struct walk_words words = words_at_label();
    print_label(user ? "user may" : "supervisor may");
    for (int kind = MMU_ACCESS_READ; kind <= MMU_ACCESS_FETCH; kind++) {
        if (may(view, (enum mmu_access_kind)kind, user)) {
            walk_print_word(&words, names[kind]);
        }
    }
    printf(words.begun ? "\n" : "do nothing\n");
}

// What lies at the guest-physical address, and how far.
static void print_place(const struct walk_view *view)
{
    static const char *const kinds[] = {
        [REGION_EMPTY] = "empty",
        [REGION_RAM] = "RAM",
        [REGION_ROM] = "ROM",
        [REGION_DEVICE] = "a device",
        [REGION_PROTECTED] = "protected",
    };
    uint64_t guest_phys = view->walk.guest_phys;
    const struct region *region = memory_region(&view->machine->memory, guest_phys);
    print_label("guest-physical");
    printf("0x%012" PRIx64 ", ", guest_phys);
    if (region) {
        printf("%s up to 0x%012" PRIx64 "\n", kinds[region->kind], region->base + region->size - 1);
    } else {
        printf("empty: nothing is there\n");
    }
}

static void print_page(const struct walk_view *view)
{
    const struct mmu_walk *walk = &view->walk;
    struct walk_words words = words_at_label();
    char text[WALK_SIZE_TEXT];
    print_label("page");
    walk_print_word(&words, walk_size_text(walk->page_size, text));
    walk_print_word(&words, walk->writable ? "writable" : "read-only");
    walk_print_word(&words, walk->user ? "user" : "supervisor");
    if (walk->no_execute) {
        walk_print_word(&words, "execute disable");
    }
    if (walk->global) {
        walk_print_word(&words, "global");
    }
    if (walk->mode >= MMU_MODE_4LEVEL) {
        (void)snprintf(text, sizeof(text), "protection key %u", walk->protection_key);
        walk_print_word(&words, text);
    }
    printf("\n");
}

static void print_contiguous(const struct walk_view *view, const char *label)
{
    char text[WALK_SIZE_TEXT];
    uint64_t contiguous = view->walk.contiguous;
    print_label(label);
    if (contiguous == UINT64_MAX) { // stands for 2^64
        printf("every address\n");
        return;
    }
    printf("%s from here on, up to 0x%016" PRIx64 "\n", walk_size_text(contiguous, text),
           view->linear + contiguous - 1);
}

static void print_valid(const struct walk_view *view)
{
    print_place(view);
    if (view->walk.mode == MMU_MODE_NONE) {
        printf("%-*sis off: a linear address is the guest-physical one\n", WALK_LABEL, "paging");
    } else {
        print_page(view);
    }
    print_contiguous(view, "contiguous");
    print_allowed(view, false);
    print_allowed(view, true);
}

// Memory as it is, but for one entry.
struct overlay {
    const struct mmu_memory *memory;
    uint64_t guest_phys;
    uint64_t entry;
};

static bool read_overlaid(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    const struct overlay *overlay = context;
    if (guest_phys == overlay->guest_phys && len <= sizeof(overlay->entry)) {
        memcpy(buffer, &overlay->entry, len); // the host is little-endian, too
        return true;
    }
    return overlay->memory->read(overlay->memory->context, guest_phys, buffer, len);
}

// Whether the walk would stop at the last entry for a reserved bit if it were this one.
static bool is_refused(const struct walk_view *view, uint64_t entry)
{
    uint64_t entry_phys = view->walk.entry_phys[view->walk.num_entries - 1];
    struct overlay overlay = {&view->memory, entry_phys, entry};
    struct mmu_memory memory = {.read = read_overlaid, .context = &overlay};
    struct mmu_walk walk;
    mmu_locate(&view->registers, &memory, view->linear, &walk);
    return walk.fault == MMU_FAULT_RESERVED_BIT && walk.level == view->walk.level;
}

// Each bit by itself, beside P and, where it is allowed, PS.
static void print_reserved_bits(const struct walk_view *view)
{
    uint64_t entry = view->walk.entries[view->walk.num_entries - 1];
    uint64_t with_size = entry & (MMU_ENTRY_P | MMU_ENTRY_PS);
    uint64_t base = is_refused(view, with_size) ? MMU_ENTRY_P : with_size;
    struct walk_words words = words_at_label();
    print_label("reserved");
    for (unsigned i = 0; i < 64; i++) {
        char text[WORD_SIZE];
        (void)snprintf(text, sizeof(text), "bit %u", i);
        if ((entry >> i & 1) != 0 && is_refused(view, base | UINT64_C(1) << i)) {
            walk_print_word(&words, text);
        }
    }
    printf("\n");
}

struct hole {
    uint64_t first, last;
    bool is_whole; // no more of it was looked for
};

// What is behind the hole belongs to it while it stops for the same reason.
static void extend_up(const struct walk_view *view, struct hole *hole)
{
    struct mmu_walk walk;
    for (int i = 0; hole->last != UINT64_MAX; i++) {
        mmu_locate(&view->registers, &view->memory, hole->last + 1, &walk);
        if (walk.fault != view->walk.fault) {
            return;
        }
        if (i == MAX_HOLE_STEPS) {
            hole->is_whole = false;
            return;
        }
        hole->last += walk.contiguous;
    }
}

static void extend_down(const struct walk_view *view, struct hole *hole)
{
    struct mmu_walk walk;
    for (int i = 0; hole->first != 0; i++) {
        mmu_locate(&view->registers, &view->memory, hole->first - 1, &walk);
        if (walk.fault != view->walk.fault || walk.page_size == 0) {
            return;
        }
        if (i == MAX_HOLE_STEPS) {
            hole->is_whole = false;
            return;
        }
        hole->first -= walk.page_size;
    }
}

static void print_hole(const struct walk_view *view)
{
    const struct mmu_walk *walk = &view->walk;
    char text[WALK_SIZE_TEXT];
    struct hole hole = {.first = view->linear & ~(walk->page_size - 1), .is_whole = true};
    hole.last = hole.first + walk->page_size - 1;
    extend_down(view, &hole);
    extend_up(view, &hole);
    print_label("hole");
    printf("0x%016" PRIx64 " to 0x%016" PRIx64 ", ", hole.first, hole.last);
    if (hole.first == 0 && hole.last == UINT64_MAX) {
        printf("all there is\n");
        return;
    }
    printf("%s%s\n", walk_size_text(hole.last - hole.first + 1, text),
           hole.is_whole ? "" : " at least");
}

static void print_fault(const struct walk_view *view)
{
    const struct mmu_walk *walk = &view->walk;
    print_label("stops");
    printf("%s%s%s\n", walk->level != 0 ? walk_level_name(walk->level) : "",
           walk->level != 0 ? ": " : "", mmu_fault_text(walk->fault));
    if (walk->fault == MMU_FAULT_RESERVED_BIT) {
        print_reserved_bits(view);
    }
    print_contiguous(view, "likewise");
    if (walk->page_size != 0) {
        print_hole(view);
    }
}

void walk_print_answer(const struct walk_view *view)
{
    if (view->walk.valid) {
        print_valid(view);
    } else {
        print_fault(view);
    }
}

// SDM 3A, "Page-Fault Exceptions".
static const struct {
    uint32_t mask;
    const char *name, *text;
} code_bits[] = {
    {MMU_PF_PK, "PK", "the protection key refuses"},
    {MMU_PF_ID, "I/D", "it fetches an instruction"},
    {MMU_PF_RSVD, "RSVD", "a reserved bit is set"},
    {MMU_PF_US, "U/S", "user code makes the access"},
    {MMU_PF_WR, "W/R", "it writes"},
    {MMU_PF_P, "P", "no entry was missing"},
};

enum { NUM_CODE_BITS = sizeof(code_bits) / sizeof(code_bits[0]) };

static void print_error_code(uint32_t code)
{
    printf("\n%-*s|", WALK_LABEL, "error code");
    for (size_t i = 0; i < NUM_CODE_BITS; i++) {
        printf(" %s |", code_bits[i].name);
    }
    printf("\n0x%08" PRIx32 "      |", code);
    for (size_t i = 0; i < NUM_CODE_BITS; i++) {
        int len = (int)strlen(code_bits[i].name);
        bool is_set = (code & code_bits[i].mask) != 0;
        printf(" %*s%c%*s |", (len - 1) / 2, "", is_set ? '1' : '0', len / 2, "");
    }
    printf("\n");
    for (size_t i = 0; i < NUM_CODE_BITS; i++) {
        if ((code & code_bits[i].mask) != 0) {
            printf("%*s%-4s  %s\n", WALK_LABEL, "", code_bits[i].name, code_bits[i].text);
        }
    }
}

static void print_updates(const struct mmu_walk *walk, const struct mmu_access *want)
{
    struct mmu_update updates[MMU_MAX_LEVELS];
    size_t num = walk->mode == MMU_MODE_NONE ? 0 : mmu_updates(walk, want, updates);
    struct walk_words words = words_at_label();
    size_t depth = 0;
    print_label("it sets");
    for (size_t i = 0; i < num; i++, depth++) {
        const char *flags = updates[i].set == MMU_ENTRY_A   ? "A"
                            : updates[i].set == MMU_ENTRY_D ? "D"
                                                            : "A and D";
        char text[WORD_SIZE];
        while (walk->entry_phys[depth] != updates[i].guest_phys) {
            depth++; // both are in the order of the walk
        }
        (void)snprintf(text, sizeof(text), "%s in the %s", flags,
                       walk_level_name(walk->level + walk->num_entries - 1U - (unsigned)depth));
        walk_print_word(&words, text);
    }
    printf(num == 0 ? "nothing\n" : "\n");
}

// SDM 3A, "PDPTE Registers": what is wrong with a PDPTE is a #GP of the instruction that loads all
// four, and no access meets it. The others may have been loaded before it was written.
static bool can_load_pdptes(const struct walk_view *view)
{
    uint64_t pdptes[NUM_PDPTES];
    return view->walk.mode != MMU_MODE_PAE || view->walk.fault == MMU_FAULT_ROOT ||
           mmu_load_pdptes(&view->registers, &view->memory, pdptes);
}

static void print_exception(const struct walk_view *view, const struct mmu_walk *walk,
                            const struct mmu_access *want)
{
    if (walk->fault == MMU_FAULT_NON_CANONICAL) {
        printf("%-*s#GP(0)%s\n", WALK_LABEL, "exception",
               want->kind == MMU_ACCESS_FETCH ? "" : ", or #SS(0) for an access to the stack");
    }
    bool is_pdpte = walk->mode == MMU_MODE_PAE && walk->level == PDPT_LEVEL;
    bool is_load = is_pdpte && walk->fault == MMU_FAULT_RESERVED_BIT;
    if (is_load || !mmu_fault_is_page_fault(walk->fault)) {
        return; // nothing that a CPU which runs can meet
    }
    printf("%-*s#PF, CR2 = 0x%016" PRIx64 "\n", WALK_LABEL, "exception", view->linear);
    print_error_code(walk->error_code);
}

void walk_print_access(const struct walk_view *view, const struct mmu_access *want)
{
    static const char *const kinds[] = {"read", "write", "instruction fetch"};
    struct mmu_walk walk;
    bool is_allowed = mmu_access(&view->registers, &view->memory, view->linear, want, &walk);
    printf("\n%-*s%s by %s\n", WALK_LABEL, "access", kinds[want->kind],
           want->user ? "user code" : "the supervisor");
    if (!can_load_pdptes(view)) {
        printf("%-*sMOV to CR3 would raise #GP(0): one has a reserved bit, or cannot be read\n",
               WALK_LABEL, "PDPTEs");
    }
    print_label(is_allowed ? "allowed" : "refused");
    if (is_allowed) {
        printf("yes\n");
        print_updates(&walk, want);
        return;
    }
    printf("%s\n", mmu_fault_text(walk.fault));
    print_exception(view, &walk, want);
}
