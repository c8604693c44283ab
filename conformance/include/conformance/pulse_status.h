#ifndef CONFORMANCE_PULSE_STATUS_H
#define CONFORMANCE_PULSE_STATUS_H

// What every call answers. The constants are the numbers of the current documentation, which an
// engine that speaks version 2 returns; one that speaks version 1 returns the 2018 numbers, which
// status_number of protocol/status.h names.

#include <stdint.h>

// NOLINTBEGIN(readability-identifier-naming): the documented names

typedef int64_t PULSE_STATUS;

// True for the success class: success itself, partial transfers, warnings.
#define PULSE_SUCCESS(status) ((int32_t)(status) >= 0)

// PULSE_STATUS_SUCCESS, PULSE_STATUS_PARTIAL_READ, ...
#define STATUS(name, v1, v2, text) static const PULSE_STATUS PULSE_STATUS_##name = INT64_C(v2);
#include "protocol/status.def"

// The two names that differ between the documentation and the rows.
#define PULSE_STATUS_EXCEPTION_GENERAL_PROTECTION PULSE_STATUS_GENERAL_PROTECTION
#define PULSE_STATUS_PATTERN_NOT_FOUND            PULSE_STATUS_NOT_FOUND

// NOLINTEND(readability-identifier-naming)

#endif
