#include "measure.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    NS_PER_S = 1000000000,
    SLICES = 5,    // per run: how often contenders take turns in it
    BATCHES = 100, // per run: how often the clock is read
    WARM_UP = 4,   // the warm-up is so much shorter than a run
};

int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread samples_spread(const struct samples *samples)
{
    struct samples sorted = *samples;
    qsort(sorted.value, RUNS, sizeof(sorted.value[0]), compare);
    return (struct spread){sorted.value[RUNS / 2], sorted.value[0], sorted.value[RUNS - 1]};
}

void samples_scale(struct samples *samples, double factor)
{
    for (size_t i = 0; i < RUNS; i++) {
        samples->value[i] *= factor;
    }
}

void samples_to_nanoseconds(struct samples *samples)
{
    for (size_t i = 0; i < RUNS; i++) {
        samples->value[i] = NS_PER_S / samples->value[i];
    }
}

// So many repetitions that reading the clock between them costs nothing to speak of.
static uint64_t find_batch(const struct contender *contender, double run_ns)
{
    uint64_t batch = 1;
    for (;;) {
        int64_t start = clock_now();
        contender->repeat(contender->context, batch);
        if ((double)(clock_now() - start) >= run_ns / BATCHES) {
            return batch;
        }
        batch *= 2;
    }
}

struct tally {
    uint64_t done;
    int64_t elapsed;
};

static void run(const struct contender *contender, uint64_t batch, double run_ns,
                struct tally *tally)
{
    int64_t start = clock_now();
    int64_t elapsed = 0;
    do {
        contender->repeat(contender->context, batch);
        tally->done += batch;
        elapsed = clock_now() - start;
    } while ((double)elapsed < run_ns);
    tally->elapsed += elapsed;
}

void measure_rates(const struct contender *contenders, size_t num_contenders, double seconds,
                   struct samples *out)
{
    assert(num_contenders <= MOST_CONTENDERS);
    double run_ns = seconds * NS_PER_S;
    uint64_t batch[MOST_CONTENDERS] = {0};
    for (size_t i = 0; i < num_contenders; i++) {
        struct tally warm_up = {0};
        batch[i] = find_batch(&contenders[i], run_ns);
        run(&contenders[i], batch[i], run_ns / WARM_UP, &warm_up);
    }
    for (size_t turn = 0; turn < RUNS; turn++) {
        struct tally tallies[MOST_CONTENDERS] = {0};
        for (size_t i = 0; i < SLICES * num_contenders; i++) {
            size_t which = i % num_contenders;
            run(&contenders[which], batch[which], run_ns / SLICES, &tallies[which]);
        }
        for (size_t i = 0; i < num_contenders; i++) {
            const struct tally *tally = &tallies[i];
            out[i].value[turn] = (double)tally->done * NS_PER_S / (double)tally->elapsed;
        }
    }
}
