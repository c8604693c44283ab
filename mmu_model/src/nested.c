// Two stages of translation: the guest's walk reads its entries through the second one.
// SDM 3C, "EPT Translation Mechanism" and "EPT-Induced VM Exits".
#include "mmu_model/nested.h"

#include <string.h>

// What a read by the walk is: of a debugger, or of the CPU with this access.
struct reader {
    struct nested *nested;
    const struct ept_access *want; // NULL: a debugger's, rights do not count
};

// Without EPT every address translates to itself.
static void translate_to_itself(uint64_t guest_phys, struct ept_walk *out)
{
    memset(out, 0, sizeof(*out));
    out->guest_phys = guest_phys;
    out->host_phys = guest_phys;
    out->contiguous = guest_phys == 0 ? UINT64_MAX : -guest_phys;
    out->valid = true;
    out->readable = true;
    out->writable = true;
    out->executable = true;
    out->user_executable = true;
}

// Translates to nested->last; notes the flags that a CPU's access sets.
static bool translate(const struct reader *reader, uint64_t guest_phys)
{
    struct nested *nested = reader->nested;
    const struct ept_registers *ept = nested->ept;
    if (ept == NULL) {
        translate_to_itself(guest_phys, &nested->last);
        return true;
    }
    bool allowed = reader->want == NULL
                       ? ept_locate(ept, &nested->host, guest_phys, &nested->last)
                       : ept_access(ept, &nested->host, guest_phys, reader->want, &nested->last);
    nested->stopped = !allowed;
    if (allowed && reader->want != NULL) {
        nested->num_updates +=
            ept_updates(ept, &nested->last, reader->want, nested->updates + nested->num_updates);
    }
    return allowed;
}

static bool read_guest(const struct reader *reader, uint64_t guest_phys, uint8_t *bytes, size_t len)
{
    const struct mmu_memory *host = &reader->nested->host;
    while (len != 0) {
        if (!translate(reader, guest_phys)) {
            return false;
        }
        const struct ept_walk *last = &reader->nested->last;
        size_t piece = last->contiguous < len ? (size_t)last->contiguous : len;
        if (!host->read(host->context, last->host_phys, bytes, piece)) {
            return false;
        }
        guest_phys += piece;
        bytes += piece;
        len -= piece;
    }
    return true;
}

static bool read_as_reader(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    return read_guest(context, guest_phys, buffer, len);
}

static bool read_as_debugger(void *context, uint64_t guest_phys, void *buffer, size_t len)
{
    struct nested *nested = context;
    const struct reader reader = {nested, NULL};
    nested->stopped = false;
    return read_guest(&reader, guest_phys, buffer, len);
}

struct mmu_memory nested_memory(struct nested *nested)
{
    return (struct mmu_memory){.read = read_as_debugger, .context = nested};
}

static void begin(struct nested *nested)
{
    nested->stopped = false;
    nested->num_updates = 0;
}

// The guest's tables lead to an address; translates that, too.
static bool translate_page(const struct reader *reader, struct mmu_walk *out)
{
    if (!translate(reader, out->guest_phys)) {
        out->fault = MMU_FAULT_SECOND_STAGE;
    }
    uint64_t contiguous = reader->nested->last.contiguous;
    out->contiguous = contiguous < out->contiguous ? contiguous : out->contiguous;
    return out->fault == MMU_FAULT_NONE;
}

// A table of the guest that the second stage keeps from the walk is not one without memory.
static void tell_stage(const struct nested *nested, struct mmu_walk *out)
{
    if (out->fault == MMU_FAULT_UNREADABLE && nested->stopped) {
        out->fault = MMU_FAULT_SECOND_STAGE;
    }
}

bool nested_locate(const struct mmu_registers *registers, struct nested *nested, uint64_t linear,
                   struct mmu_walk *out)
{
    struct reader reader = {nested, NULL};
    const struct mmu_memory memory = {.read = read_as_reader, .context = &reader};
    begin(nested);
    if (!mmu_locate(registers, &memory, linear, out)) {
        tell_stage(nested, out);
        return false;
    }
    return translate_page(&reader, out);
}

// Setting A or D in an entry of the guest is a write to it. A walk was one already when the EPT has
// flags of its own.
static bool write_flags(struct nested *nested, const struct mmu_walk *walk,
                        const struct mmu_access *want)
{
    static const struct ept_access write = {MMU_ACCESS_WRITE, EPT_OF_TABLE, false, false, false};
    const struct reader reader = {nested, &write};
    struct mmu_update updates[MMU_MAX_LEVELS];
    size_t num_updates = mmu_updates(walk, want, updates);
    for (size_t i = 0; i < num_updates; i++) {
        if (!translate(&reader, updates[i].guest_phys)) {
            return false;
        }
    }
    return true;
}

bool nested_access(const struct mmu_registers *registers, struct nested *nested, uint64_t linear,
                   const struct mmu_access *want, struct mmu_walk *out)
{
    static const struct ept_access walk = {MMU_ACCESS_READ, EPT_OF_TABLE, false, false, false};
    struct reader walker = {nested, &walk};
    const struct mmu_memory memory = {.read = read_as_reader, .context = &walker};
    begin(nested);
    if (!mmu_access(registers, &memory, linear, want, out)) {
        tell_stage(nested, out);
        return false;
    }
    if (!write_flags(nested, out, want)) {
        out->fault = MMU_FAULT_SECOND_STAGE;
        return false;
    }
    const struct ept_access access = {want->kind, EPT_OF_LINEAR, out->user, out->writable,
                                      out->no_execute};
    const struct reader reader = {nested, &access};
    return translate_page(&reader, out);
}

bool nested_load_pdptes(const struct mmu_registers *registers, struct nested *nested,
                        uint64_t out[4])
{
    static const struct ept_access load = {MMU_ACCESS_READ, EPT_OF_PHYSICAL, false, false, false};
    struct reader reader = {nested, &load};
    const struct mmu_memory memory = {.read = read_as_reader, .context = &reader};
    begin(nested);
    return mmu_load_pdptes(registers, &memory, out);
}
