#ifndef PROTOCOL_TESTS_LAYOUTS_H
#define PROTOCOL_TESTS_LAYOUTS_H

// Every packet of both versions once more, typed from the wire facts and not from packets.def:
// where each field stands and how long the packet is.

#include <stdint.h>

enum layout_tail {
    LAYOUT_FIXED,    // no tail
    LAYOUT_COUNTED,  // unit bytes for each one that the number at `counter` counts
    LAYOUT_CONTEXT,  // registers of the context mask at `counter`
    LAYOUT_EXTENDED, // registers of the extended mask at `counter`
};

struct layout {
    unsigned version;
    unsigned class;
    unsigned type;
    unsigned size;      // without the tail
    const char *fields; // "offset:size" of each number in order; z for a reserved one
    enum layout_tail tail;
    unsigned counter;      // offset of what says how long the tail is
    unsigned counter_size; // its bytes
    unsigned unit;
};

#define FIXED           LAYOUT_FIXED, 0, 0, 0
#define BYTES(at)       LAYOUT_COUNTED, at, 4, 1
#define ROWS(at, n, of) LAYOUT_COUNTED, at, n, of
#define CTX(at)         LAYOUT_CONTEXT, at, 8, 0
#define EXT(at)         LAYOUT_EXTENDED, at, 8, 0

static const struct layout layouts[] = {
    // Version 1, requests.
    {1, 0, 0, 8, "", FIXED},
    {1, 0, 1, 16, "8:8", FIXED},
    {1, 0, 2, 16, "8:8", CTX(8)},
    {1, 0, 3, 16, "8:8", FIXED},
    {1, 0, 4, 16, "8:8", EXT(8)},
    {1, 0, 5, 30, "8:8 16:8 24:2 26:4", FIXED},
    {1, 0, 6, 30, "8:8 16:8 24:2 26:4", BYTES(26)},
    {1, 0, 7, 28, "8:8 16:8 24:4", FIXED},
    {1, 0, 8, 28, "8:8 16:8 24:4", BYTES(24)},
    {1, 0, 9, 20, "8:8 16:4", FIXED},
    {1, 0, 10, 20, "8:8 16:4", BYTES(16)},
    {1, 0, 11, 16, "8:2 10:4 14:2", FIXED},
    {1, 0, 12, 16, "8:2 10:4 14:2", BYTES(10)},
    {1, 0, 13, 8, "", FIXED},
    {1, 0, 14, 8, "", FIXED},
    {1, 0, 15, 16, "8:4 12:4", FIXED},
    {1, 0, 16, 16, "8:8", FIXED},
    {1, 0, 17, 12, "8:4", FIXED},
    {1, 0, 18, 38, "8:4 12:8 20:8 28:8 36:2", FIXED},
    {1, 0, 19, 38, "8:4 12:8 20:8 28:8 36:2", FIXED},
    {1, 0, 20, 12, "8:4", FIXED},
    {1, 0, 21, 20, "8:4 12:8", FIXED},
    {1, 0, 22, 43, "8:8 16:8 24:8 32:2 34:4 38:1 39:4", BYTES(39)},
    {1, 0, 23, 41, "8:8 16:8 24:8 32:4 36:1 37:4", BYTES(37)},
    {1, 0, 24, 33, "8:8 16:8 24:4 28:1 29:4", BYTES(29)},
    {1, 0, 25, 26, "8:8 16:2 18:8", FIXED},
    {1, 0, 26, 24, "8:8 16:8", FIXED},
    {1, 0, 27, 26, "8:8 16:2 18:8", FIXED},
    {1, 0, 28, 24, "8:8 16:8", FIXED},
    {1, 0, 29, 16, "8:4 12:4", FIXED},
    {1, 0, 30, 20, "8:4 12:4 16:4", FIXED},
    {1, 0, 31, 8, "", FIXED},
    // Version 1, replies.
    {1, 1, 0, 16, "8:8", FIXED},
    {1, 1, 1, 16, "8:8", FIXED},
    {1, 1, 2, 17, "8:1 9:8", CTX(9)},
    {1, 1, 3, 16, "8:8", EXT(8)},
    {1, 1, 4, 30, "8:8 16:8 24:2 26:4", BYTES(26)},
    {1, 1, 5, 28, "8:8 16:8 24:4", BYTES(24)},
    {1, 1, 6, 20, "8:8 16:4", BYTES(16)},
    {1, 1, 7, 16, "8:2 10:4 14:2", BYTES(10)},
    {1, 1, 8, 10, "8:1 9:1", FIXED},
    {1, 1, 9, 10, "8:1 9:1", FIXED},
    {1, 1, 10, 24, "8:4 12:4 16:4 20:4", FIXED},
    {1, 1, 11, 20, "8:4 12:8", FIXED},
    {1, 1, 12, 16, "8:8", FIXED},
    {1, 1, 13, 12, "8:1 9:1 10:1 11:1", ROWS(10, 1, 8)},
    {1, 1, 14, 16, "8:8", FIXED},
    {1, 1, 15, 20, "8:4 12:4 16:4", ROWS(12, 4, 16)},
    {1, 1, 16, 20, "8:4 12:4 16:4", ROWS(16, 4, 26)},
    // Version 1, control requests, notifications and resend.
    {1, 2, 0, 8, "", FIXED},
    {1, 2, 1, 8, "", FIXED},
    {1, 2, 2, 8, "", FIXED},
    {1, 2, 3, 16, "8:8", FIXED},
    {1, 2, 4, 8, "", FIXED},
    {1, 2, 5, 8, "", FIXED},
    {1, 3, 0, 8, "", FIXED},
    {1, 3, 1, 8, "", FIXED},
    {1, 3, 2, 8, "", FIXED},
    {1, 5, 0, 8, "", FIXED},
    // Version 2, requests.
    {2, 0, 0, 8, "", FIXED},
    {2, 0, 1, 16, "8:8", FIXED},
    {2, 0, 2, 16, "8:8", CTX(8)},
    {2, 0, 3, 17, "8:1 9:8", FIXED},
    {2, 0, 4, 17, "8:1 9:8", EXT(9)},
    {2, 0, 5, 30, "8:8 16:8 24:2 26:4", FIXED},
    {2, 0, 6, 30, "8:8 16:8 24:2 26:4", BYTES(26)},
    {2, 0, 7, 28, "8:8 16:8 24:4", FIXED},
    {2, 0, 8, 28, "8:8 16:8 24:4", BYTES(24)},
    {2, 0, 9, 20, "8:8 16:4", FIXED},
    {2, 0, 10, 20, "8:8 16:4", BYTES(16)},
    {2, 0, 11, 16, "8:2 10:4 14:2", FIXED},
    {2, 0, 12, 16, "8:2 10:4 14:2", BYTES(10)},
    {2, 0, 13, 8, "", FIXED},
    {2, 0, 14, 8, "", FIXED},
    {2, 0, 15, 16, "8:4 12:4", FIXED},
    {2, 0, 16, 16, "8:8", FIXED},
    {2, 0, 17, 10, "8:2", FIXED},
    {2, 0, 18, 48, "8:2 10:2 12:2 14:2 16:8 24:8 32:8 40:8", FIXED},
    {2, 0, 19, 12, "8:2 10:2", FIXED},
    {2, 0, 20, 12, "8:4", FIXED},
    {2, 0, 21, 20, "8:4 12:8", FIXED},
    {2, 0, 22, 43, "8:8 16:8 24:8 32:2 34:4 38:1 39:4", BYTES(39)},
    {2, 0, 23, 41, "8:8 16:8 24:8 32:4 36:1 37:4", BYTES(37)},
    {2, 0, 24, 33, "8:8 16:8 24:4 28:1 29:4", BYTES(29)},
    {2, 0, 25, 26, "8:8 16:2 18:8", FIXED},
    {2, 0, 26, 24, "8:8 16:8", FIXED},
    {2, 0, 27, 26, "8:8 16:2 18:8", FIXED},
    {2, 0, 28, 24, "8:8 16:8", FIXED},
    {2, 0, 29, 12, "8:2 10:2", FIXED},
    {2, 0, 30, 14, "8:2 10:2 12:2", FIXED},
    {2, 0, 31, 8, "", FIXED},
    {2, 0, 64, 32, "8:8 16:8 24:2 26:1 27:1 28:4", FIXED},
    {2, 0, 65, 32, "8:8 16:8 24:2 26:1 27:1 28:4", BYTES(28)},
    {2, 0, 66, 30, "8:8 16:8 24:1 25:1 26:4", FIXED},
    {2, 0, 67, 30, "8:8 16:8 24:1 25:1 26:4", BYTES(26)},
    {2, 0, 68, 22, "8:8 16:1 17:1 18:4", FIXED},
    {2, 0, 69, 22, "8:8 16:1 17:1 18:4", BYTES(18)},
    {2, 0, 70, 8, "", FIXED},
    // Version 2, replies.
    {2, 1, 0, 16, "8:8", FIXED},
    {2, 1, 1, 16, "8:8", FIXED},
    {2, 1, 2, 17, "8:1 9:8", CTX(9)},
    {2, 1, 3, 17, "8:1 9:8", EXT(9)},
    {2, 1, 4, 30, "8:8 16:8 24:2 26:4", BYTES(26)},
    {2, 1, 5, 28, "8:8 16:8 24:4", BYTES(24)},
    {2, 1, 6, 20, "8:8 16:4", BYTES(16)},
    {2, 1, 7, 16, "8:2 10:4 14:2", BYTES(10)},
    {2, 1, 8, 10, "8:1 9:1", FIXED},
    {2, 1, 9, 10, "8:1 9:1", FIXED},
    {2, 1, 10, 24, "8:4 12:4 16:4 20:4", FIXED},
    {2, 1, 11, 20, "8:4 12:8", FIXED},
    {2, 1, 12, 16, "8:8", FIXED},
    {2, 1, 13, 12, "8:1 9:1 10:1 11:1", ROWS(10, 1, 8)},
    {2, 1, 14, 16, "8:8", FIXED},
    {2, 1, 15, 16, "8:2 10:2 12:2 14:2z", ROWS(10, 2, 16)},
    {2, 1, 16, 16, "8:2 10:2 12:2 14:2", ROWS(12, 2, 40)},
    {2, 1, 64, 32, "8:8 16:8 24:2 26:1 27:1 28:4", BYTES(28)},
    {2, 1, 65, 17, "8:8 16:1", FIXED},
    {2, 1, 66, 30, "8:8 16:8 24:1 25:1 26:4", BYTES(26)},
    {2, 1, 68, 22, "8:8 16:1 17:1 18:4", BYTES(18)},
    {2, 1, 70, 56,
     "8:1 9:1 10:1 11:1 12:1 13:1z 14:2 16:4 20:2 22:2 24:4 28:2 30:2z 32:8 40:8 48:8", FIXED},
    // Version 2, control requests and resend.
    {2, 2, 0, 8, "", FIXED},
    {2, 2, 1, 8, "", FIXED},
    {2, 2, 2, 8, "", FIXED},
    {2, 2, 3, 16, "8:8", FIXED},
    {2, 2, 4, 8, "", FIXED},
    {2, 2, 5, 8, "", FIXED},
    {2, 5, 0, 8, "", FIXED},
};

#undef FIXED
#undef BYTES
#undef ROWS
#undef CTX
#undef EXT

#endif
