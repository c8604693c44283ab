#include "protocol/status.h"

struct status_row {
    uint32_t number[2];
    const char *name;
    const char *text;
};

static const struct status_row rows[] = {
#define STATUS(name, v1, v2, text) {{v1, v2}, #name, text},
#include "protocol/status.def"
};

uint32_t status_number(enum pulse_status status, enum protocol_version version)
{
    if (status >= NUM_STATUSES) {
        return rows[STATUS_UNSUCCESSFUL].number[version == PROTOCOL_V2];
    }
    return rows[status].number[version == PROTOCOL_V2];
}

enum pulse_status status_from_number(uint64_t number, enum protocol_version version)
{
    for (int i = 0; i < NUM_STATUSES; i++) {
        if (rows[i].number[version == PROTOCOL_V2] == number) {
            return (enum pulse_status)i;
        }
    }
    return NUM_STATUSES;
}

const char *status_name(enum pulse_status status)
{
    return status < NUM_STATUSES ? rows[status].name : "UNKNOWN";
}

const char *status_text(enum pulse_status status)
{
    return status < NUM_STATUSES ? rows[status].text : "no status of this protocol";
}
