#include "nested_rig.h"

#include <string.h>

static void map(struct guest *guest, uint64_t guest_phys, uint64_t rights)
{
    uint64_t frame = guest_phys & ~UINT64_C(0xFFF);
    const uint64_t entry[EPT_LEVELS + 1] = {[1] = HOST(frame) | EWB | rights};
    ept_put(&guest->cells, frame, entry);
}

void guest_build(struct guest *guest, const struct path *path,
                 const uint64_t rights[MMU_MAX_LEVELS + 1])
{
    struct cells tables = {.count = 0};
    memset(guest, 0, sizeof(*guest));
    path_put(path, &tables);
    for (size_t i = 0; i < tables.count; i++) {
        unsigned level = levels_of(path->mode) - (unsigned)i;
        cells_put(&guest->cells, HOST(tables.cell[i].guest_phys), tables.cell[i].value);
        map(guest, tables.cell[i].guest_phys, rights[level] != 0 ? rights[level] : ERWX | EXU);
    }
    map(guest, PAGE_PHYS, rights[0] != 0 ? rights[0] : ERWX | EXU);
    guest->registers = path_registers(path);
    guest->ept = ept_default_registers();
    guest->nested = (struct nested){.ept = &guest->ept, .host = cells_memory(&guest->cells)};
    guest->linear = path_linear(path);
}
