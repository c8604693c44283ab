#include "target_option.h"

#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "target_file.h"

enum { EXIT_USAGE = 2, ERROR_SIZE = 256 };

static bool is_file_name(const char *text)
{
    const char *dot = strrchr(text, '.');
    return strchr(text, '/') || (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0));
}

const struct target *target_option(const struct argp_state *state, const char *text,
                                   struct target **file)
{
    const struct target *target = target_find(text);
    target_file_free(*file);
    *file = NULL;
    if (is_file_name(text)) {
        char error[ERROR_SIZE] = "";
        *file = target_file_load(text, error, sizeof(error));
        target = *file;
        if (!target) {
            errx(EXIT_FAILURE, "%s", error);
        }
    }
    if (!target) {
        argp_failure(state, EXIT_USAGE, 0,
                     "--target '%s': neither a built-in target (see pulsim targets) nor a .yaml "
                     "file",
                     text);
    }
    return target;
}
