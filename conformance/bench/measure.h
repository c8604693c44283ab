#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

// How something is timed: five runs, of which the median counts.

#include <stddef.h>
#include <stdint.h>

enum {
    RUNS = 5,
    MOST_CONTENDERS = 2,
};

struct samples {
    double value[RUNS]; // in the order in which they were taken
};

struct spread {
    double median;
    double least;
    double most;
};

// Something that can be done many times.
struct contender {
    void (*repeat)(void *context, uint64_t times);
    void *context;
};

// Nanoseconds of the monotonic clock.
int64_t clock_now(void);

struct spread samples_spread(const struct samples *samples);

// Multiplies all of them.
void samples_scale(struct samples *samples, double factor);

// From times per second to nanoseconds each.
void samples_to_nanoseconds(struct samples *samples);

// How many times per second each contender does it, in runs of the given length. They take turns
// (A B A B ...), so that whatever else happens on the machine happens to both; a shorter run of
// each goes before and is not counted.
void measure_rates(const struct contender *contenders, size_t num_contenders, double seconds,
                   struct samples *out);

#endif
