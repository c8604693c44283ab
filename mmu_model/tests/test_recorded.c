// What Bochs and QEMU answered for the same tables and accesses; tests/data/README.md.
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mmu_model/paging.h"
#include "words.h"

enum {
    IMAGE_BASE = 0x1400000,
    IMAGE_SIZE = 0x80000,
};

struct recording {
    const char *name;
    const char *path;
    size_t entry_size;
    size_t num_rows;
    uint8_t image[IMAGE_SIZE]; // the tables
    struct mmu_registers registers;
};

struct access_row {
    uint64_t cr3, linear;
    char access;
    uint64_t cpl, ac;
};

static struct recording recordings[] = {
    {"32-bit paging without PSE", MMU_MODEL_TEST_DATA "/nopse.txt", 4, 2220, .image = {0}},
    {"32-bit paging with PSE", MMU_MODEL_TEST_DATA "/pse.txt", 4, 2188, .image = {0}},
    {"PAE paging", MMU_MODEL_TEST_DATA "/pae.txt", 8, 2217, .image = {0}},
    {"4-level paging", MMU_MODEL_TEST_DATA "/4level.txt", 8, 2213, .image = {0}},
    {"5-level paging", MMU_MODEL_TEST_DATA "/5level.txt", 8, 2162, .image = {0}},
};

static bool read_image(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    const struct recording *recording = context;
    uint64_t offset = guest_phys - IMAGE_BASE;
    memset(buffer, 0, len);
    if (offset < IMAGE_SIZE && len <= IMAGE_SIZE - offset) {
        memcpy(buffer, recording->image + offset, len);
    }
    return true;
}

static void put_entry(struct recording *recording, uint64_t guest_phys, uint64_t entry)
{
    uint64_t offset = guest_phys - IMAGE_BASE;
    assert_true(offset <= IMAGE_SIZE - recording->entry_size);
    for (size_t i = 0; i < recording->entry_size; i++) {
        recording->image[offset + i] = (uint8_t)(entry >> (8 * i));
    }
}

static struct mmu_access access_of(const struct access_row *row)
{
    enum mmu_access_kind data = row->access == 'w' ? MMU_ACCESS_WRITE : MMU_ACCESS_READ;
    return (struct mmu_access){
        .kind = row->access == 'x' ? MMU_ACCESS_FETCH : data,
        .user = row->cpl == 3,
    };
}

// MOV to CR3: refused for a bit from MAXPHYADDR up and, with PAE paging, for what the PDPTEs hold.
// Bits 63:61 mean something with PCIDs and linear-address masking only, which were off; a root in
// a request ignores them, a MOV does not.
static const char *load_root(const struct mmu_registers *registers, const struct mmu_memory *memory)
{
    uint64_t pdpte[4];
    struct mmu_walk walk;
    enum mmu_mode mode;
    assert_true(mmu_mode_of(registers, &mode));
    mmu_locate(registers, memory, 0, &walk);
    bool refused = walk.fault == MMU_FAULT_ROOT || registers->cr3 >> 61 != 0 ||
                   (mode == MMU_MODE_PAE && !mmu_load_pdptes(registers, memory, pdpte));
    return refused ? "gp:0" : "ok";
}

static void answer(const struct recording *recording, const struct access_row *row,
                   const struct mmu_memory *memory, char out[32])
{
    struct mmu_registers registers = recording->registers;
    struct mmu_access want = access_of(row);
    struct mmu_walk walk;
    registers.cr3 = row->cr3;
    registers.rflags = row->ac != 0 ? MMU_RFLAGS_AC : 0;
    if (row->access == 'c') {
        (void)snprintf(out, 32, "%s", load_root(&registers, memory));
    } else if (mmu_access(&registers, memory, row->linear, &want, &walk)) {
        (void)snprintf(out, 32, "pa:%" PRIX64, walk.guest_phys);
    } else if (mmu_fault_is_page_fault(walk.fault)) {
        (void)snprintf(out, 32, "pf:%" PRIX32, walk.error_code);
    } else {
        (void)snprintf(out, 32, "gp:0");
    }
}

static void check_row(struct recording *recording, char *cursor)
{
    struct mmu_memory memory = {.read = read_image, .context = recording};
    struct access_row row;
    char got[32];
    row.cr3 = take_hex(&cursor);
    row.linear = take_hex(&cursor);
    row.access = *take_word(&cursor);
    row.cpl = take_hex(&cursor);
    row.ac = take_hex(&cursor);
    const char *want = take_word(&cursor);
    if (strcmp(take_word(&cursor), "#") == 0) {
        want = take_word(&cursor);
    }

    answer(recording, &row, &memory, got);

    if (strcmp(got, want) != 0) {
        fail_msg("got %s, want %s: cr3 %" PRIX64 " linear %" PRIX64 " %c cpl %u", got, want,
                 row.cr3, row.linear, row.access, (unsigned)row.cpl);
    }
}

static void take_line(struct recording *recording, char *cursor)
{
    switch (*take_word(&cursor)) {
    case 'E': {
        uint64_t guest_phys = take_hex(&cursor);
        put_entry(recording, guest_phys, take_hex(&cursor));
        break;
    }
    case 'C':
        recording->registers = (struct mmu_registers){.max_phys_bits = 40};
        recording->registers.cr0 = take_hex(&cursor);
        recording->registers.cr4 = take_hex(&cursor);
        recording->registers.efer = take_hex(&cursor);
        break;
    case 'R':
        check_row(recording, cursor);
        recording->num_rows--;
        break;
    default: // a remark
        break;
    }
}

static void check_recording(void **state)
{
    struct recording *recording = *state;
    char line[256];
    FILE *file = fopen(recording->path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        take_line(recording, line);
    }
    (void)fclose(file);
    assert_int_equal(recording->num_rows, 0);
}

int main(void)
{
    int failures = 0;
    RUN_ROWS(failures, "recorded walks", recordings, check_recording);
    return failures;
}
