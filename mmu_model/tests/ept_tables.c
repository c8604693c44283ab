#include "ept_tables.h"

struct ept_registers ept_default_registers(void)
{
    return (struct ept_registers){
        .eptp = EPT_TABLE(4) | 3 << 3 | 6,
        .capabilities = UINT64_MAX,
        .max_phys_bits = 46,
    };
}

static bool is_there(const struct cells *cells, uint64_t guest_phys)
{
    for (size_t i = 0; i < cells->count; i++) {
        if (cells->cell[i].guest_phys == guest_phys) {
            return true;
        }
    }
    return false;
}

void ept_put(struct cells *cells, uint64_t guest_phys, const uint64_t entry[EPT_LEVELS + 1])
{
    for (unsigned level = EPT_LEVELS; level > 0; level--) {
        uint64_t at = EPT_TABLE(level) + 8 * (guest_phys >> (3 + 9 * level) & 511);
        uint64_t link = level > 1 ? EPT_TABLE(level - 1) | ERWX | EXU : 0x9000 | EWB | ERWX;
        if (!is_there(cells, at)) {
            cells_put(cells, at, entry[level] != 0 ? entry[level] : link);
        }
    }
}
