#include "bugs.h"

#include <stdlib.h>
#include <string.h>

struct bug_info {
    const char *option;
    const char *argument;
    uint64_t lowest;
    uint64_t highest;
    const char *text;
};

static const struct bug_info infos[NUM_BUGS] = {
#define BUG(NAME, name, option, argument, lowest, highest, text)                                   \
    [BUG_##NAME] = {option, argument, lowest, highest, text},
#include "bugs.def"
};

static enum bug bug_find(const char *option, size_t len)
{
    for (unsigned i = 0; i < NUM_BUGS; i++) {
        if (strlen(infos[i].option) == len && memcmp(infos[i].option, option, len) == 0) {
            return (enum bug)i;
        }
    }
    return NUM_BUGS;
}

static bool parse_argument(const struct bug_info *info, const char *text, uint64_t *out)
{
    if (*text < '0' || *text > '9') {
        return false;
    }
    char *end = NULL;
    *out = strtoull(text, &end, 0);
    return *end == '\0' && *out >= info->lowest && *out <= info->highest;
}

bool bugs_enable(struct bugs *bugs, const char *text, char *error, size_t error_size)
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    enum bug bug = bug_find(text, len);
    if (bug == NUM_BUGS) {
        (void)snprintf(error, error_size, "there is no bug '%.*s' (--bug list shows them)",
                       (int)len, text);
        return false;
    }
    const struct bug_info *info = &infos[bug];
    if (*info->argument == '\0' && equals) {
        (void)snprintf(error, error_size, "bug '%s' takes no argument", info->option);
        return false;
    }
    if (*info->argument != '\0' &&
        (!equals || !parse_argument(info, equals + 1, &bugs->argument[bug]))) {
        (void)snprintf(error, error_size, "bug '%s' needs =%s, a number from %llu to %llu",
                       info->option, info->argument, (unsigned long long)info->lowest,
                       (unsigned long long)info->highest);
        return false;
    }
    bugs->on[bug] = true;
    bugs->any = true;
    return true;
}

void bugs_print(FILE *out)
{
    for (unsigned i = 0; i < NUM_BUGS; i++) {
        char option[40];
        (void)snprintf(option, sizeof(option), "%s%s%s", infos[i].option,
                       *infos[i].argument ? "=" : "", infos[i].argument);
        (void)fprintf(out, "  %-20s %s\n", option, infos[i].text);
    }
}

// A number from 0 to 99 (xorshift64*, whose state is never 0).
static unsigned percent(uint64_t *state)
{
    uint64_t x = *state ? *state : UINT64_C(0x9E3779B97F4A7C15);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (unsigned)((x * UINT64_C(0x2545F4914F6CDD1D) >> 32) % 100);
}

// The packet's bytes, to be changed: the original is kept for a resend.
static uint8_t *delivery_bytes(struct delivery *delivery)
{
    if (delivery->packet != delivery->scratch) {
        memcpy(delivery->scratch, delivery->packet, delivery->len);
        delivery->packet = delivery->scratch;
    }
    return delivery->scratch;
}

// A bug that needs a byte which another one has cut off does nothing.
static void change(struct delivery *delivery, size_t offset, uint8_t flip, uint8_t set)
{
    if (offset < delivery->len) {
        uint8_t *byte = delivery_bytes(delivery) + offset;
        *byte = flip ? *byte ^ flip : set;
    }
}

static void shorten(struct delivery *delivery, size_t len)
{
    if (delivery->len > len) {
        delivery->len = len;
    }
}

// One function per row.

static void apply_silence(struct delivery *delivery)
{
    delivery->copies = 0;
}

static void apply_silence_after(struct delivery *delivery)
{
    if (delivery->num_replies >= delivery->argument) {
        delivery->copies = 0;
    }
}

static void apply_lose(struct delivery *delivery)
{
    if (percent(delivery->random) < delivery->argument) {
        delivery->copies = 0;
    }
}

static void apply_late(struct delivery *delivery)
{
    delivery->delay_ms = (unsigned)delivery->argument;
}

static void apply_duplicate(struct delivery *delivery)
{
    delivery->copies *= 2;
}

static void apply_text_before(struct delivery *delivery)
{
    delivery->text_before = true;
}

static void apply_wrong_version(struct delivery *delivery)
{
    change(delivery, 0, 0, 0x7F);
}

static void apply_wrong_class(struct delivery *delivery)
{
    change(delivery, 1, 0, 4);
}

static void apply_wrong_type(struct delivery *delivery)
{
    change(delivery, 2, 0, 99);
}

static void apply_wrong_id(struct delivery *delivery)
{
    change(delivery, 4, 1, 0);
}

static void apply_short_reply(struct delivery *delivery)
{
    shorten(delivery, delivery->len ? delivery->len - 1 : 0);
}

static void apply_long_reply(struct delivery *delivery)
{
    delivery_bytes(delivery)[delivery->len++] = 0;
}

static void apply_truncate(struct delivery *delivery)
{
    shorten(delivery, (size_t)delivery->argument);
}

static void apply_bad_length(struct delivery *delivery)
{
    delivery->faults.bad_length = true;
}

static void apply_bad_checksum(struct delivery *delivery)
{
    delivery->faults.bad_checksum = true;
}

static void apply_bad_end(struct delivery *delivery)
{
    delivery->faults.bad_end = true;
}

static void apply_half_frame(struct delivery *delivery)
{
    delivery->faults.half = true;
}

static void apply_dribble(struct delivery *delivery)
{
    delivery->faults.dribble = true;
}

typedef void bug_fn(struct delivery *delivery);

static bug_fn *const behaviours[NUM_BUGS] = {
#define REPLY_BUG(NAME, name, option, argument, lowest, highest, text) [BUG_##NAME] = apply_##name,
#include "bugs.def"
};

void bugs_apply(struct bugs *bugs, struct delivery *delivery)
{
    delivery->copies = 1;
    delivery->random = &bugs->random;
    for (unsigned i = 0; i < NUM_BUGS; i++) {
        if (bugs->on[i] && behaviours[i]) {
            delivery->argument = bugs->argument[i];
            behaviours[i](delivery);
        }
    }
}
