// Replays inputs through a fuzz target, in any build and with any compiler:
//
//   fuzz_NAME [-n MUTATIONS] [FILE | DIRECTORY]...
//
// Every file is run as it is, cut short at every length, and then MUTATIONS times with a few bytes
// changed. The changes follow from the file and the count alone, so a failure comes again. Without
// a path the input is read from standard input, which is how AFL++ drives a target.

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_INPUT = 1 << 20,
    MAX_PATH = 4096,
    MAX_PREFIXES = 4096,
    EXIT_USAGE = 2,
};

static uint64_t next_random(uint64_t *state)
{
    // splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

// Flips one bit of one of the len bytes, or sets all of it, as roll says.
static void change_byte(uint8_t *bytes, size_t len, uint64_t roll)
{
    uint8_t *at = &bytes[(roll >> 16) % len];
    *at = (uint8_t)(roll & 1 ? *at ^ (1U << (roll >> 1 & 7)) : roll >> 8);
}

// The target gets a copy of exactly len bytes, so that ASan sees the first byte read beyond.
static void run_copy(const uint8_t *bytes, size_t len, uint64_t *random)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy) {
        abort();
    }
    if (len != 0) {
        memcpy(copy, bytes, len);
    }
    for (uint64_t edits = random && len ? 1 + next_random(random) % 4 : 0; edits != 0; edits--) {
        change_byte(copy, len, next_random(random));
    }
    (void)LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void replay_bytes(const uint8_t *bytes, size_t len, unsigned long mutations)
{
    run_copy(bytes, len, NULL);
    for (size_t prefix = 0; prefix < len && prefix < MAX_PREFIXES; prefix++) {
        run_copy(bytes, prefix, NULL);
    }
    uint64_t random = len;
    for (unsigned long i = 0; i < mutations; i++) {
        run_copy(bytes, len, &random);
    }
}

static bool replay_stream(FILE *stream, const char *name, unsigned long mutations)
{
    uint8_t *bytes = malloc(MAX_INPUT);
    if (!bytes) {
        abort();
    }
    size_t len = fread(bytes, 1, MAX_INPUT, stream);
    bool ok = !ferror(stream);
    if (ok) {
        (void)fprintf(stderr, "%s: %zu bytes, %lu mutations\n", name, len, mutations);
        replay_bytes(bytes, len, mutations);
    }
    free(bytes);
    return ok;
}

static bool replay_file(const char *path, unsigned long mutations)
{
    FILE *stream = fopen(path, "rb");
    bool ok = stream && replay_stream(stream, path, mutations);
    if (!ok) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
    }
    if (stream) {
        (void)fclose(stream);
    }
    return ok;
}

static bool replay_entries(DIR *directory, const char *path, unsigned long mutations)
{
    bool ok = true;
    const struct dirent *entry = NULL;
    while ((entry = readdir(directory)) != NULL) {
        char name[MAX_PATH];
        int len = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && len > 0 && (size_t)len < sizeof(name)) {
            ok = replay_file(name, mutations) && ok;
        }
    }
    return ok;
}

static bool replay_path(const char *path, unsigned long mutations)
{
    DIR *directory = opendir(path);
    if (!directory) {
        return replay_file(path, mutations);
    }
    bool ok = replay_entries(directory, path, mutations);
    (void)closedir(directory);
    return ok;
}

static bool parse_count(const char *text, unsigned long *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

int main(int argc, char *argv[])
{
    unsigned long mutations = 0;
    int first = 1;
    if (argc > 1 && strcmp(argv[1], "-n") == 0) {
        if (argc < 3 || !parse_count(argv[2], &mutations)) {
            (void)fprintf(stderr, "usage: %s [-n MUTATIONS] [FILE | DIRECTORY]...\n", argv[0]);
            return EXIT_USAGE;
        }
        first = 3;
    }
    bool ok = first < argc || replay_stream(stdin, "standard input", mutations);
    for (int i = first; i < argc; i++) {
        ok = replay_path(argv[i], mutations) && ok;
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
