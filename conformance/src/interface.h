#ifndef CONFORMANCE_INTERFACE_H
#define CONFORMANCE_INTERFACE_H

// Opening what an interface name stands for.

#include "conformance/pulse_types.h"

enum { INTERFACE_DEFAULT_PORT = 50100 };

// Opens name as an interface of this type: a non-blocking descriptor, or -1 with errno; EINVAL when
// the name cannot be one.
int interface_open(PS_TRANSPORT_TYPE type, const char *name);

#endif
