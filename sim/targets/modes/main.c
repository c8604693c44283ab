// Builds the targets that are made of rows, and keeps their documents true to the rows.
//
//     modes source FILE              writes C source that defines all of them
//     modes check DIRECTORY          fails when a table differs in DIRECTORY/README.md, the list,
//     or in
//                                    DIRECTORY/NAME/README.md, a target's own
//     modes write DIRECTORY          makes the tables anew

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modes/document.h"
#include "modes/source.h"

static struct image image; // of the target at hand

static bool complain(const char *which, const char *what)
{
    (void)fprintf(stderr, "modes: %s: %s\n", which, what);
    return false;
}

static bool build(const struct mode_target *target)
{
    return image_build(target, &image) || complain(target->name, image.error);
}

static bool write_source(const char *path)
{
    FILE *out = fopen(path, "wb");
    if (!out) {
        return complain(path, "cannot be written");
    }
    bool ok = true;
    (void)fputs("// Made by sim/targets/modes/main.c from the rows of the targets.\n\n"
                "#include \"target_modes.h\"\n\n",
                out);
    const struct mode_target *target = mode_target_at(0);
    for (size_t i = 0; ok && target; target = mode_target_at(++i)) {
        ok = build(target);
        source_print(out, target, &image);
    }
    return fclose(out) == 0 && ok;
}

static char *read_text(const char *path)
{
    enum { MOST = 1 << 18 };
    FILE *file = fopen(path, "rb");
    char *text = file ? calloc(1, MOST) : NULL;
    if (text) {
        text[fread(text, 1, MOST - 1, file)] = '\0';
    }
    if (file) {
        (void)fclose(file);
    }
    return text;
}

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    if (!file) {
        return false;
    }
    bool ok = fwrite(text, 1, strlen(text), file) == strlen(text);
    return fclose(file) == 0 && ok;
}

// Makes one document anew, and compares it or writes it.
static bool do_document(const char *path, const struct mode_target *target, bool is_writing)
{
    char *made = NULL;
    size_t made_len = 0;
    char *text = read_text(path);
    FILE *out = open_memstream(&made, &made_len);
    bool ok = text && out && document_make(text, target, &image, out);
    if (out) {
        (void)fclose(out);
    }
    if (!ok) {
        complain(path, "cannot be made");
    } else if (strcmp(text, made) != 0) {
        ok = is_writing ? write_text(path, made)
                        : complain(path, "its tables are not those of the rows (./dev rebase "
                                         "makes them)");
    }
    free(text);
    free(made);
    return ok;
}

static bool do_documents(const char *directory, bool is_writing)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/README.md", directory);
    bool ok = do_document(path, NULL, is_writing);
    const struct mode_target *target = mode_target_at(0);
    for (size_t i = 0; target; target = mode_target_at(++i)) {
        (void)snprintf(path, sizeof(path), "%s/%s/README.md", directory, target->name);
        ok = build(target) && do_document(path, target, is_writing) && ok;
    }
    return ok;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "source") == 0) {
        return write_source(argv[2]) ? 0 : 1;
    }
    if (argc == 3 && (strcmp(argv[1], "check") == 0 || strcmp(argv[1], "write") == 0)) {
        return do_documents(argv[2], strcmp(argv[1], "write") == 0) ? 0 : 1;
    }
    (void)fputs("usage: modes source FILE | check DIRECTORY | write DIRECTORY\n", stderr);
    return 2;
}
