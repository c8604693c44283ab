#ifndef PROTOCOL_STATUS_H
#define PROTOCOL_STATUS_H

// Statuses without a version: one enumerator per outcome. The number that stands for an outcome on
// the wire differs between the two protocol versions and comes from status.def.

#include <stdint.h>

// Which of the two protocols is spoken.
enum protocol_version {
    PROTOCOL_V1 = 1, // what the published 2018 client speaks
    PROTOCOL_V2 = 2, // header byte 2, the calls and numbers of the current documentation
};

enum pulse_status {
#define STATUS(name, v1, v2, text) STATUS_##name,
#include "protocol/status.def"
    NUM_STATUSES,
    STATUS_PENDING, // inside a debuggee only: the answer comes later; it has no number
};

// The number of status in version. Every status but STATUS_PENDING has one.
uint32_t status_number(enum pulse_status status, enum protocol_version version);

// The status that has number in version; the first row of status.def wins. NUM_STATUSES when no
// status has it.
enum pulse_status status_from_number(uint64_t number, enum protocol_version version);

// The documented name without its PULSE_STATUS_ prefix, for example "INVALID_TRANSLATION", with
// EXCEPTION_GENERAL_PROTECTION as GENERAL_PROTECTION. "UNKNOWN" for anything that is no status.
const char *status_name(enum pulse_status status);

// One clause that tells a person what the status means.
const char *status_text(enum pulse_status status);

#endif
