// How questions get past Unicorn 2.0:
// - CR0, CR3 and CR4 are written through the API, which takes any value. That does not flush the
//   TLB; a MOV CR0 of the guest that changes WP does, so each question begins with one. The page
//   that holds the instructions is put into the TLB before paging is turned on: the tables that are
//   asked about need not map it.
// - SMAP and CPL are also cached elsewhere: a MOV CR4 and an IRET of the guest set them.
// - EFER.NXE, PKRU and the error code have no API. Their places in a saved context are found by
//   putting known values there in other ways, and there must be exactly one place for each.
#include "unicorn_walker.h"

#include <stdlib.h>
#include <string.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

enum {
    VECTOR_PAGE_FAULT = 14,
    SLOT_SIZE = 16,
    KERNEL_CS = 0x08,
    KERNEL_SS = 0x10,
    USER_CS = 0x1B,
    USER_SS = 0x23,
    GDT_SIZE = 5 * 8,
    IMPLICIT_SELECTOR = 0x08,
    STACK = 0x800, // within the data page
    CONTEXT_USER = 1,
    CONTEXT_SMAP = 2,
    RFLAGS_RESERVED = 0x2,
};

#define PLAIN_CR0 UINT64_C(0x11) // ET, PE: no paging

// Each begins a slot of the code page, filled up with INT3.
enum slot { SLOT_INT3, SLOT_CR0, SLOT_CR4, SLOT_IRET, SLOT_PKRU, SLOT_READ, SLOT_WRITE, SLOT_LAR };

static const struct {
    uint8_t len;
    uint8_t bytes[3];
} slots[] = {
    [SLOT_INT3] = {0, {0}},
    [SLOT_CR0] = {3, {0x0F, 0x22, 0xC0}},  // MOV CR0, RAX
    [SLOT_CR4] = {3, {0x0F, 0x22, 0xE0}},  // MOV CR4, RAX
    [SLOT_IRET] = {1, {0xCF}},             // with REX.W in 64-bit mode
    [SLOT_PKRU] = {3, {0x0F, 0x01, 0xEF}}, // WRPKRU
    [SLOT_READ] = {2, {0x8A, 0x03}},       // MOV AL, [RBX]
    [SLOT_WRITE] = {2, {0x88, 0x03}},      // MOV [RBX], AL
    [SLOT_LAR] = {3, {0x0F, 0x02, 0xC1}},  // LAR EAX, CX
};

enum { NUM_SLOTS = sizeof(slots) / sizeof(slots[0]) };

static uint64_t slot_address(enum slot slot)
{
    return WALKER_CODE + (uint64_t)SLOT_SIZE * slot;
}

static void must(uc_err error)
{
    if (error != UC_ERR_OK) {
        fail_msg("Unicorn: %s", uc_strerror(error));
    }
}

static void set(struct unicorn_walker *walker, int id, uint64_t value)
{
    must(uc_reg_write(walker->uc, id, &value));
}

// A register by the name that the walker's mode has for it.
#define REGISTER(walker, name)                                                                     \
    ((walker)->is_64bit ? (int)UC_X86_REG_R##name : (int)UC_X86_REG_E##name)

static void on_exception(uc_engine *uc, uint32_t vector, void *user)
{
    struct unicorn_walker *walker = user;
    if (!walker->has_vector) {
        walker->has_vector = true;
        walker->vector = vector;
    }
    uc_emu_stop(uc);
}

// Executes until the first exception, an INT3 if all is well; returns its vector.
static uint32_t run(struct unicorn_walker *walker, uint64_t from)
{
    walker->has_vector = false;
    must(uc_emu_start(walker->uc, from, UINT64_MAX, 0, 0));
    assert_true(walker->has_vector);
    return walker->vector;
}

static void run_slot(struct unicorn_walker *walker, enum slot slot)
{
    assert_int_equal(run(walker, slot_address(slot)), WALKER_ALLOWED);
}

static void fill_code(struct unicorn_walker *walker)
{
    memset(walker->code, WALKER_INT3, WALKER_PAGE);
    for (size_t i = 0; i < NUM_SLOTS; i++) {
        memcpy(walker->code + SLOT_SIZE * i, slots[i].bytes, slots[i].len);
    }
    if (walker->is_64bit) {
        memcpy(walker->code + (size_t)SLOT_SIZE * SLOT_IRET, (const uint8_t[]){0x48, 0xCF}, 2);
    }
}

// Flat segments of ring 0 and 3, at the start of the data page.
static void fill_gdt(struct unicorn_walker *walker)
{
    uint64_t big = walker->is_64bit ? UINT64_C(0x0020000000000000) : UINT64_C(0x0040000000000000);
    const uint64_t gdt[GDT_SIZE / 8] = {
        [KERNEL_CS / 8] = UINT64_C(0x008F9B000000FFFF) | big,
        [KERNEL_SS / 8] = UINT64_C(0x00CF93000000FFFF),
        [USER_CS / 8] = UINT64_C(0x008FFB000000FFFF) | big,
        [USER_SS / 8] = UINT64_C(0x00CFF3000000FFFF),
    };
    memcpy(walker->data, gdt, sizeof(gdt));
}

static void set_gdt(struct unicorn_walker *walker, uint64_t base, uint32_t limit)
{
    uc_x86_mmr gdtr = {.base = base, .limit = limit};
    must(uc_reg_write(walker->uc, UC_X86_REG_GDTR, &gdtr));
}

static void push(uint8_t *stack, unsigned width, size_t index, uint64_t value)
{
    memcpy(stack + index * width, &value, width); // the host is an x86, too
}

// IRET to itself in this ring.
static void enter_ring(struct unicorn_walker *walker, bool user)
{
    unsigned width = walker->is_64bit ? 8 : 4;
    uint8_t *stack = walker->data + STACK;
    push(stack, width, 0, slot_address(SLOT_INT3));
    push(stack, width, 1, user ? USER_CS : KERNEL_CS);
    push(stack, width, 2, RFLAGS_RESERVED);
    push(stack, width, 3, WALKER_DATA + STACK);
    push(stack, width, 4, user ? USER_SS : KERNEL_SS);
    set(walker, UC_X86_REG_SS, KERNEL_SS); // a reset leaves a stack segment of 16 bits
    set(walker, REGISTER(walker, SP), WALKER_DATA + STACK);
    run_slot(walker, SLOT_IRET);
}

static void make_contexts(struct unicorn_walker *walker)
{
    must(uc_context_alloc(walker->uc, &walker->scratch));
    must(uc_context_save(walker->uc, walker->scratch));
    for (unsigned i = 0; i < WALKER_NUM_CONTEXTS; i++) {
        must(uc_context_restore(walker->uc, walker->scratch));
        set_gdt(walker, WALKER_DATA, GDT_SIZE - 1);
        set(walker, REGISTER(walker, AX), (i & CONTEXT_SMAP) != 0 ? MMU_CR4_SMAP : 0);
        run_slot(walker, SLOT_CR4);
        enter_ring(walker, (i & CONTEXT_USER) != 0);
        must(uc_context_alloc(walker->uc, &walker->contexts[i]));
        must(uc_context_save(walker->uc, walker->contexts[i]));
    }
}

static void poke(uc_context *context, size_t place, uint64_t value, size_t len)
{
    memcpy((uint8_t *)context + place, &value, len);
}

static uint64_t peek(const uc_context *context, size_t place, size_t len)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)context + place, len);
    return value;
}

// The TLB is empty afterwards, but for the page of the code in the ring of the context.
static void flush(struct unicorn_walker *walker, uc_context *context, uint64_t rflags)
{
    must(uc_context_restore(walker->uc, walker->contexts[0]));
    set(walker, REGISTER(walker, AX), PLAIN_CR0 | MMU_CR0_WP);
    run_slot(walker, SLOT_CR0);
    must(uc_context_restore(walker->uc, context));
    set(walker, REGISTER(walker, FLAGS), rflags);
    run_slot(walker, SLOT_INT3);
}

static void set_registers(struct unicorn_walker *walker, const struct unicorn_question *question)
{
    const struct mmu_registers *registers = &question->registers;
    set(walker, UC_X86_REG_CR0, registers->cr0);
    set(walker, UC_X86_REG_CR3, registers->cr3);
    set(walker, UC_X86_REG_CR4, registers->cr4);
    set(walker, REGISTER(walker, FLAGS), registers->rflags);
    set(walker, REGISTER(walker, AX), WALKER_INT3);
    set(walker, REGISTER(walker, BX), question->linear);
    set(walker, REGISTER(walker, CX), IMPLICIT_SELECTOR);
    set_gdt(walker, question->linear - IMPLICIT_SELECTOR, IMPLICIT_SELECTOR + 7);
}

static uint64_t start_of(const struct unicorn_question *question)
{
    if (question->want.implicit) {
        return slot_address(SLOT_LAR);
    }
    switch (question->want.kind) {
    case MMU_ACCESS_READ:
        return slot_address(SLOT_READ);
    case MMU_ACCESS_WRITE:
        return slot_address(SLOT_WRITE);
    case MMU_ACCESS_FETCH:
        break;
    }
    return question->linear;
}

void unicorn_walker_ask(struct unicorn_walker *walker, const struct unicorn_question *question,
                        struct unicorn_answer *out)
{
    const struct mmu_registers *registers = &question->registers;
    unsigned index = (question->cpl == 3 ? CONTEXT_USER : 0U) |
                     ((registers->cr4 & MMU_CR4_SMAP) != 0 ? CONTEXT_SMAP : 0U);
    uc_context *context = walker->contexts[index];
    flush(walker, context, registers->rflags);
    poke(context, walker->places.efer, registers->efer, sizeof(registers->efer));
    poke(context, walker->places.pkru, registers->pkru, sizeof(registers->pkru));
    must(uc_context_restore(walker->uc, context));
    set_registers(walker, question);
    *out = (struct unicorn_answer){.vector = run(walker, start_of(question))};
    if (out->vector == VECTOR_PAGE_FAULT) {
        must(uc_context_save(walker->uc, walker->scratch));
        out->error_code = (uint32_t)peek(walker->scratch, walker->places.error_code, 4);
        must(uc_reg_read(walker->uc, UC_X86_REG_CR2, &out->cr2));
    }
}

// The only place that holds this value in this context, and that one in that.
static size_t find_place(struct unicorn_walker *walker, uint64_t in_first, uint64_t in_second,
                         size_t len)
{
    const uc_context *first = walker->contexts[0];
    const uc_context *second = walker->contexts[1];
    size_t found = 0;
    size_t num = 0;
    for (size_t i = 0; i + len <= uc_context_size(walker->uc); i += len) {
        if (peek(first, i, len) == in_first && peek(second, i, len) == in_second) {
            found = i;
            num++;
        }
    }
    assert_int_equal(num, 1);
    return found;
}

static void save_with_efer(struct unicorn_walker *walker, uint64_t efer, uc_context *out)
{
    uc_x86_msr msr = {.rid = 0xC0000080, .value = efer};
    must(uc_reg_write(walker->uc, UC_X86_REG_MSR, &msr));
    must(uc_context_save(walker->uc, out));
}

static void save_with_pkru(struct unicorn_walker *walker, uint64_t pkru, uc_context *out)
{
    set(walker, UC_X86_REG_CR4, MMU_CR4_PKE);
    set(walker, UC_X86_REG_RAX, pkru);
    set(walker, UC_X86_REG_RCX, 0);
    set(walker, UC_X86_REG_RDX, 0);
    run_slot(walker, SLOT_PKRU);
    set(walker, UC_X86_REG_RAX, 0);
    must(uc_context_save(walker->uc, out));
}

// An access to a page that is not present. The root is the page of the GDT, which begins with 0.
static void save_with_fault(struct unicorn_walker *walker, enum slot slot, uc_context *out)
{
    set(walker, UC_X86_REG_CR0, PLAIN_CR0 | MMU_CR0_PG);
    set(walker, UC_X86_REG_CR3, WALKER_DATA);
    set(walker, UC_X86_REG_CR4, MMU_CR4_PAE);
    set(walker, UC_X86_REG_RBX, WALKER_DATA);
    assert_int_equal(run(walker, slot_address(slot)), VECTOR_PAGE_FAULT);
    must(uc_context_save(walker->uc, out));
}

// In ring 0; uses up the contexts 0 and 1.
static void find_places(struct unicorn_walker *walker, struct walker_places *out)
{
    flush(walker, walker->contexts[0], RFLAGS_RESERVED);
    must(uc_context_save(walker->uc, walker->scratch));
    save_with_fault(walker, SLOT_READ, walker->contexts[0]);
    must(uc_context_restore(walker->uc, walker->scratch));
    save_with_fault(walker, SLOT_WRITE, walker->contexts[1]);
    out->error_code = find_place(walker, 0, MMU_PF_WR, 4);

    must(uc_context_restore(walker->uc, walker->scratch));
    save_with_efer(walker, MMU_EFER_LMA, walker->contexts[0]);
    save_with_efer(walker, MMU_EFER_LMA | MMU_EFER_LME, walker->contexts[1]);
    out->efer = find_place(walker, MMU_EFER_LMA, MMU_EFER_LMA | MMU_EFER_LME, 8);

    save_with_pkru(walker, 0x12345678, walker->contexts[0]);
    save_with_pkru(walker, 0x9ABCDEF0, walker->contexts[1]);
    out->pkru = find_place(walker, 0x12345678, 0x9ABCDEF0, 4);
}

static void open_walker(struct unicorn_walker *walker, bool is_64bit)
{
    uc_hook hook = 0;
    *walker = (struct unicorn_walker){.is_64bit = is_64bit};
    walker->code = aligned_alloc(WALKER_PAGE, WALKER_PAGE);
    walker->data = aligned_alloc(WALKER_PAGE, WALKER_PAGE);
    assert_true(walker->code && walker->data);
    memset(walker->data, 0, WALKER_PAGE);
    fill_code(walker);
    fill_gdt(walker);
    must(uc_open(UC_ARCH_X86, is_64bit ? UC_MODE_64 : UC_MODE_32, &walker->uc));
    must(uc_ctl_exits_enable(walker->uc));
    // Unicorn takes callbacks of every kind as pointers to data.
    must(uc_hook_add(walker->uc, &hook, UC_HOOK_INTR, (void *)(uintptr_t)on_exception, walker,
                     UINT64_C(1), UINT64_C(0)));
    unicorn_walker_map(walker, WALKER_CODE, walker->code, WALKER_PAGE);
    unicorn_walker_map(walker, WALKER_DATA, walker->data, WALKER_PAGE);
    make_contexts(walker);
}

void unicorn_walker_init(struct unicorn_walker *walker, bool is_64bit)
{
    struct walker_places places;
    open_walker(walker, true);
    find_places(walker, &places);
    unicorn_walker_cleanup(walker);
    open_walker(walker, is_64bit);
    walker->places = places;
}

void unicorn_walker_cleanup(struct unicorn_walker *walker)
{
    for (size_t i = 0; i < WALKER_NUM_CONTEXTS; i++) {
        must(uc_context_free(walker->contexts[i]));
    }
    must(uc_context_free(walker->scratch));
    must(uc_close(walker->uc));
    free(walker->code);
    free(walker->data);
}

void unicorn_walker_map(struct unicorn_walker *walker, uint64_t address, void *host, size_t len)
{
    must(uc_mem_map_ptr(walker->uc, address, len, UC_PROT_ALL, host));
}
