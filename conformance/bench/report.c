#include "report.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "pulsim/pulsim.h"

enum { NUMBER_SIZE = 32 };

static double ratio_of(const struct figure *figure)
{
    return samples_spread(&figure->measured).median / samples_spread(&figure->base).median;
}

// --- the table ------------------------------------------------------------------------------

// Three significant digits, or all of those before the point, in groups of three.
static const char *number(double value, char out[NUMBER_SIZE])
{
    int decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
    int len = snprintf(out, NUMBER_SIZE, "%.*f", decimals, value);
    if (decimals != 0) {
        return out;
    }
    for (int at = len - 3; at > 0; at -= 3) {
        memmove(out + at + 1, out + at, (size_t)(len - at) + 1);
        out[at] = ',';
        len++;
    }
    return out;
}

static void print_goal(const struct goal *goal)
{
    char limit[NUMBER_SIZE];
    if (goal->of != GOAL_NONE) {
        printf("  %s %s%s", goal->at_most ? "at most" : "at least", number(goal->limit, limit),
               goal->of == GOAL_RATIO ? " of it" : "");
    }
}

static void print_section(struct report *report, const char *section)
{
    if (!report->section || strcmp(report->section, section) != 0) {
        printf("\n%-34s %12s %-15s %25s\n", section, "median", "", "least ... most");
        report->section = section;
    }
}

static void print_figure(const struct figure *figure)
{
    struct spread spread = samples_spread(&figure->measured);
    char text[3][NUMBER_SIZE];
    printf("  %-32s %12s %-15s %12s %12s", figure->text, number(spread.median, text[0]),
           figure->unit, number(spread.least, text[1]), number(spread.most, text[2]));
    if (figure->baseline) {
        double base = samples_spread(&figure->base).median;
        printf("  %.2f of %s's %s", ratio_of(figure), figure->baseline, number(base, text[0]));
    }
    print_goal(&figure->goal);
    printf("\n");
    (void)fflush(stdout);
}

// --- JSON -----------------------------------------------------------------------------------

static json_t *samples_json(const struct samples *samples)
{
    struct spread spread = samples_spread(samples);
    json_t *runs = json_array();
    for (size_t i = 0; i < RUNS; i++) {
        json_array_append_new(runs, json_real(samples->value[i]));
    }
    return json_pack("{s:f, s:f, s:f, s:o}", "median", spread.median, "min", spread.least, "max",
                     spread.most, "runs", runs);
}

static json_t *goal_json(const struct goal *goal)
{
    if (goal->of == GOAL_NONE) {
        return json_null();
    }
    return json_pack("{s:s, s:f}", "of", goal->of == GOAL_RATIO ? "ratio" : "median",
                     goal->at_most ? "at_most" : "at_least", goal->limit);
}

static json_t *figure_json(const struct figure *figure)
{
    json_t *out = json_pack("{s:s, s:s, s:s, s:s}", "section", figure->section, "name",
                            figure->name, "text", figure->text, "unit", figure->unit);
    json_object_update_new(out, samples_json(&figure->measured));
    json_object_set_new(out, "goal", goal_json(&figure->goal));
    if (figure->baseline) {
        json_t *base = samples_json(&figure->base);
        json_object_set_new(base, "what", json_string(figure->baseline));
        json_object_set_new(out, "baseline", base);
        json_object_set_new(out, "ratio", json_real(ratio_of(figure)));
    }
    return out;
}

static json_t *host_json(int pinned)
{
    struct utsname host = {0};
    uname(&host);
    return json_pack("{s:s, s:s, s:i, s:o}", "kernel", host.release, "machine", host.machine,
                     "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN), "pinned",
                     pinned < 0 ? json_null() : json_integer(pinned));
}

// --- both -----------------------------------------------------------------------------------

void report_begin(struct report *report, const struct report_settings *settings)
{
    *report = (struct report){0};
    if (settings->json) {
        report->json = json_pack("{s:s, s:o, s:f, s:i, s:[], s:[]}", "version", PULSIM_VERSION,
                                 "host", host_json(settings->pinned), "seconds", settings->seconds,
                                 "runs", RUNS, "figures", "missing");
        return;
    }
    printf("pulsim-bench " PULSIM_VERSION ": medians of %d runs of %g s, one request at a time\n",
           RUNS, settings->seconds);
    if (settings->pinned >= 0) {
        printf("everything on CPU %d\n", settings->pinned);
    }
    (void)fflush(stdout);
}

void report_add(struct report *report, const struct figure *figure)
{
    if (report->json) {
        json_array_append_new(json_object_get(report->json, "figures"), figure_json(figure));
        return;
    }
    print_section(report, figure->section);
    print_figure(figure);
}

void report_missing(struct report *report, const char *section, const char *reason)
{
    if (report->json) {
        json_array_append_new(json_object_get(report->json, "missing"),
                              json_pack("{s:s, s:s}", "section", section, "reason", reason));
        return;
    }
    printf("\n%s: %s\n", section, reason);
    (void)fflush(stdout);
}

bool report_end(struct report *report)
{
    bool good = true;
    if (report->json) {
        good = json_dumpf(report->json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
        json_decref(report->json);
        printf("\n");
    }
    return fflush(stdout) == 0 && good;
}
