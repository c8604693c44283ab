#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

// What was measured, as a table for people that grows while it is measured, or as one JSON object
// at the end.

#include <stdbool.h>

#include "measure.h"

enum goal_of {
    GOAL_NONE,
    GOAL_VALUE, // of the median
    GOAL_RATIO, // of the median to the baseline's
};

struct goal {
    enum goal_of of;
    bool at_most; // else at least
    double limit;
};

struct figure {
    const char *section; // "udp"
    const char *name;    // "msr-read"
    const char *text;    // for people
    const char *unit;
    struct samples measured;
    const char *baseline; // what it stands beside: "echo"; NULL: nothing
    struct samples base;
    struct goal goal;
};

struct report {
    void *json;          // jansson's object; NULL: a table
    const char *section; // whose rows are being printed
};

struct report_settings {
    bool json;
    double seconds; // of a run
    int pinned;     // CPU that everything runs on; negative: any
};

void report_begin(struct report *report, const struct report_settings *settings);
void report_add(struct report *report, const struct figure *figure);

// Says why a section has no figures.
void report_missing(struct report *report, const char *section, const char *reason);

// Prints what is left to print. False when the output does not take it.
bool report_end(struct report *report);

#endif
