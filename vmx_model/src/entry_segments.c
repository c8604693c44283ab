// SDM Vol. 3C, "VM Entries": "Checks on Guest Segment Registers".
//
// Access rights, in VMX format:
//
//  31  17    16         15  14  13  12  11 8  7   6 5  4   3  0
// | 0    | unusable | G | D | L | 0 | 0    | P | DPL | S | type |

#include "entry_rules.h"

#include <stddef.h>

#define ACCESS_S        UINT64_C(0x10)
#define ACCESS_P        UINT64_C(0x80)
#define ACCESS_L        UINT64_C(0x2000)
#define ACCESS_D        UINT64_C(0x4000)
#define ACCESS_G        UINT64_C(0x8000)
#define ACCESS_UNUSABLE UINT64_C(0x10000)
#define ACCESS_RESERVED UINT64_C(0xFFFE0F00)

#define TYPE_ACCESSED UINT64_C(1)
#define TYPE_READABLE UINT64_C(2) // of code
#define TYPE_CODE     UINT64_C(8)

#define V86_ACCESS UINT64_C(0xF3)
#define RPL        UINT64_C(3)
#define TI         UINT64_C(4)

// The order of the fields in the VMCS.
enum segment { ES, CS, SS, DS, FS, GS, LDTR, TR, FIRST_DATA = ES, LAST_DATA = GS };

static uint64_t selector_of(const struct entry *entry, unsigned segment)
{
    return entry->field[VMCS_GUEST_ES_SELECTOR + segment];
}

static uint64_t base_of(const struct entry *entry, unsigned segment)
{
    return entry->field[VMCS_GUEST_ES_BASE + segment];
}

static uint64_t limit_of(const struct entry *entry, unsigned segment)
{
    return entry->field[VMCS_GUEST_ES_LIMIT + segment];
}

static uint64_t access_of(const struct entry *entry, unsigned segment)
{
    return entry->field[VMCS_GUEST_ES_ACCESS + segment];
}

static bool is_usable(const struct entry *entry, unsigned segment)
{
    return (access_of(entry, segment) & ACCESS_UNUSABLE) == 0;
}

static uint64_t type_of(const struct entry *entry, unsigned segment)
{
    return access_of(entry, segment) & 0xF;
}

static uint64_t dpl_of(const struct entry *entry, unsigned segment)
{
    return access_of(entry, segment) >> 5 & 3;
}

static bool is_type(const struct entry *entry, unsigned segment, unsigned a, unsigned b)
{
    return type_of(entry, segment) == a || type_of(entry, segment) == b;
}

typedef bool segment_rule(const struct entry *entry, unsigned segment);

// Outside virtual-8086 mode the rule holds for CS, and for every usable SS, DS, ES, FS and GS.
static bool holds_for_used(const struct entry *entry, segment_rule *rule)
{
    if (entry_guest_is_v86(entry)) {
        return true;
    }
    for (unsigned segment = FIRST_DATA; segment <= LAST_DATA; segment++) {
        if ((segment == CS || is_usable(entry, segment)) && !rule(entry, segment)) {
            return false;
        }
    }
    return true;
}

// The same of DS, ES, FS and GS alone.
static bool holds_for_data(const struct entry *entry, segment_rule *rule)
{
    static const unsigned data[] = {DS, ES, FS, GS};
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        if (is_usable(entry, data[i]) && !rule(entry, data[i])) {
            return false;
        }
    }
    return true;
}

// In virtual-8086 mode the rule holds for all six, usable or not.
static bool holds_in_v86(const struct entry *entry, segment_rule *rule)
{
    for (unsigned segment = FIRST_DATA; segment <= LAST_DATA; segment++) {
        if (entry_guest_is_v86(entry) && !rule(entry, segment)) {
            return false;
        }
    }
    return true;
}

bool entry_tr_selector(const struct entry *entry)
{
    return (selector_of(entry, TR) & TI) == 0;
}

bool entry_ldtr_selector(const struct entry *entry)
{
    return implies(is_usable(entry, LDTR), (selector_of(entry, LDTR) & TI) == 0);
}

bool entry_ss_selector(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || entry_is_unrestricted(entry) ||
           (selector_of(entry, SS) & RPL) == (selector_of(entry, CS) & RPL);
}

static bool is_v86_base(const struct entry *entry, unsigned segment)
{
    return base_of(entry, segment) == selector_of(entry, segment) << 4;
}

bool entry_v86_base(const struct entry *entry)
{
    return holds_in_v86(entry, is_v86_base);
}

bool entry_tr_base(const struct entry *entry)
{
    return entry_is_canonical(entry, base_of(entry, TR));
}

bool entry_fs_base(const struct entry *entry)
{
    return entry_is_canonical(entry, base_of(entry, FS));
}

bool entry_gs_base(const struct entry *entry)
{
    return entry_is_canonical(entry, base_of(entry, GS));
}

bool entry_ldtr_base(const struct entry *entry)
{
    return implies(is_usable(entry, LDTR), entry_is_canonical(entry, base_of(entry, LDTR)));
}

bool entry_cs_base(const struct entry *entry)
{
    return base_of(entry, CS) >> 32 == 0;
}

bool entry_data_base(const struct entry *entry)
{
    static const unsigned data[] = {SS, DS, ES};
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        if (is_usable(entry, data[i]) && base_of(entry, data[i]) >> 32 != 0) {
            return false;
        }
    }
    return true;
}

static bool is_v86_limit(const struct entry *entry, unsigned segment)
{
    return limit_of(entry, segment) == 0xFFFF;
}

bool entry_v86_limit(const struct entry *entry)
{
    return holds_in_v86(entry, is_v86_limit);
}

static bool is_v86_access(const struct entry *entry, unsigned segment)
{
    return access_of(entry, segment) == V86_ACCESS;
}

bool entry_v86_access(const struct entry *entry)
{
    return holds_in_v86(entry, is_v86_access);
}

static bool cs_is_data(const struct entry *entry)
{
    return type_of(entry, CS) == 3;
}

bool entry_cs_type(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || is_type(entry, CS, 9, 11) || is_type(entry, CS, 13, 15) ||
           (cs_is_data(entry) && entry_is_unrestricted(entry));
}

bool entry_ss_type(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || !is_usable(entry, SS) || is_type(entry, SS, 3, 7);
}

static bool is_data_type(const struct entry *entry, unsigned segment)
{
    uint64_t type = type_of(entry, segment);
    return (type & TYPE_ACCESSED) != 0 &&
           implies((type & TYPE_CODE) != 0, (type & TYPE_READABLE) != 0);
}

bool entry_data_type(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || holds_for_data(entry, is_data_type);
}

static bool is_code_or_data(const struct entry *entry, unsigned segment)
{
    return (access_of(entry, segment) & ACCESS_S) != 0;
}

bool entry_segment_s(const struct entry *entry)
{
    return holds_for_used(entry, is_code_or_data);
}

bool entry_cs_dpl_data(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || !cs_is_data(entry) || dpl_of(entry, CS) == 0;
}

bool entry_cs_dpl_nonconforming(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || !is_type(entry, CS, 9, 11) ||
           dpl_of(entry, CS) == dpl_of(entry, SS);
}

bool entry_cs_dpl_conforming(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || !is_type(entry, CS, 13, 15) ||
           dpl_of(entry, CS) <= dpl_of(entry, SS);
}

// Whether SS is usable does not matter.
bool entry_ss_dpl(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || entry_is_unrestricted(entry) ||
           dpl_of(entry, SS) == (selector_of(entry, SS) & RPL);
}

bool entry_ss_dpl_0(const struct entry *entry)
{
    bool real = (entry->field[VMCS_GUEST_CR0] & MMU_CR0_PE) == 0;
    return entry_guest_is_v86(entry) || !(cs_is_data(entry) || real) || dpl_of(entry, SS) == 0;
}

static bool is_data_dpl(const struct entry *entry, unsigned segment)
{
    return type_of(entry, segment) > 11 ||
           dpl_of(entry, segment) >= (selector_of(entry, segment) & RPL);
}

bool entry_data_dpl(const struct entry *entry)
{
    return entry_guest_is_v86(entry) || entry_is_unrestricted(entry) ||
           holds_for_data(entry, is_data_dpl);
}

static bool is_present(const struct entry *entry, unsigned segment)
{
    return (access_of(entry, segment) & ACCESS_P) != 0;
}

bool entry_segment_present(const struct entry *entry)
{
    return holds_for_used(entry, is_present);
}

static bool is_unreserved(const struct entry *entry, unsigned segment)
{
    return (access_of(entry, segment) & ACCESS_RESERVED) == 0;
}

bool entry_segment_reserved(const struct entry *entry)
{
    return holds_for_used(entry, is_unreserved);
}

bool entry_cs_db(const struct entry *entry)
{
    bool is_64_bit = entry_guest_is_ia32e(entry) && (access_of(entry, CS) & ACCESS_L) != 0;
    return entry_guest_is_v86(entry) || !is_64_bit || (access_of(entry, CS) & ACCESS_D) == 0;
}

static bool is_granular(const struct entry *entry, unsigned segment)
{
    uint64_t limit = limit_of(entry, segment);
    bool pages = (access_of(entry, segment) & ACCESS_G) != 0;
    return implies((limit & 0xFFF) != 0xFFF, !pages) && implies(limit >> 20 != 0, pages);
}

bool entry_segment_granularity(const struct entry *entry)
{
    return holds_for_used(entry, is_granular);
}

bool entry_tr_type(const struct entry *entry)
{
    return type_of(entry, TR) == 11 || (type_of(entry, TR) == 3 && !entry_guest_is_ia32e(entry));
}

bool entry_tr_s(const struct entry *entry)
{
    return !is_code_or_data(entry, TR);
}

bool entry_tr_present(const struct entry *entry)
{
    return is_present(entry, TR);
}

bool entry_tr_reserved(const struct entry *entry)
{
    return is_unreserved(entry, TR);
}

bool entry_tr_granularity(const struct entry *entry)
{
    return is_granular(entry, TR);
}

bool entry_tr_usable(const struct entry *entry)
{
    return is_usable(entry, TR);
}

bool entry_ldtr_type(const struct entry *entry)
{
    return implies(is_usable(entry, LDTR), type_of(entry, LDTR) == 2);
}

bool entry_ldtr_s(const struct entry *entry)
{
    return implies(is_usable(entry, LDTR), !is_code_or_data(entry, LDTR));
}

bool entry_ldtr_present(const struct entry *entry)
{
    return implies(is_usable(entry, LDTR), is_present(entry, LDTR));
}

bool entry_ldtr_reserved(const struct entry *entry)
{
    return implies(is_usable(entry, LDTR), is_unreserved(entry, LDTR));
}

bool entry_ldtr_granularity(const struct entry *entry)
{
    return implies(is_usable(entry, LDTR), is_granular(entry, LDTR));
}
