#include "show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LABEL_WIDTH = 13,
    TIME_COLUMN = 88,
    LINE_WIDTH = 100,
    DATA_MAX = 96, // digits of data that are shown
};

static const char *colour(const struct show *show, const char *code)
{
    return show->colours ? code : "";
}

#define BOLD   "\033[1m"
#define DIM    "\033[2m"
#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

// --- answers as text ------------------------------------------------------------------------

static void put_value(FILE *file, const char *name, json_t *value);

static void put_fields(FILE *file, json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        put_value(file, name, value);
    }
}

static void put_array(FILE *file, const char *name, const json_t *array)
{
    (void)fprintf(file, "  %s", name);
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *element = json_array_get(array, i);
        if (json_is_object(element)) {
            put_fields(file, element);
        } else {
            (void)fprintf(file, " %s", json_string_value(element));
        }
    }
}

// Data that is text is shown as text too.
static void put_text(FILE *file, const char *digits)
{
    size_t len = strlen(digits) / 2;
    char text[DATA_MAX / 2 + 1] = "";
    for (size_t i = 0; i < len; i++) {
        char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};
        text[i] = (char)strtoul(pair, NULL, 16);
        if (text[i] < ' ' || text[i] > '~') {
            return;
        }
    }
    (void)fprintf(file, " (\"%s\")", text);
}

static void put_string(FILE *file, const char *name, const char *text)
{
    bool is_data = strncmp(text, "0x", 2) != 0;
    size_t len = strlen(text);
    (void)fprintf(file, "  %s %.*s%s", name, DATA_MAX, text, len > DATA_MAX ? "..." : "");
    if (is_data && len >= 8 && len <= DATA_MAX) {
        put_text(file, text);
    }
}

// A structure is shown by its fields, without its own name.
static void put_value(FILE *file, const char *name, json_t *value)
{
    if (json_is_object(value)) {
        put_fields(file, value);
    } else if (json_is_array(value)) {
        put_array(file, name, value);
    } else {
        put_string(file, name, json_string_value(value));
    }
}

char *answer_text(json_t *answer)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL) {
        return NULL;
    }
    (void)fputs(json_string_value(json_object_get(answer, "status_name")), file);
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(answer, name, value)
    {
        bool is_head = strcmp(name, "call") == 0 || strncmp(name, "status", 6) == 0;
        if (!is_head) {
            put_value(file, name, value);
        }
    }
    (void)fclose(file);
    return text;
}

// --- lines ----------------------------------------------------------------------------------

// Prints text from the given column on. Where it would pass LINE_WIDTH it goes on in the next line,
// at column indent; it is broken only at gaps, which are runs of that many spaces or more.
struct wrap {
    size_t column;
    size_t indent;
    size_t gap;
};

// The length of text up to the next gap.
static size_t piece_len(const char *text, size_t gap)
{
    size_t len = strcspn(text, " ");
    while (text[len] != '\0' && strspn(text + len, " ") < gap) {
        len += strspn(text + len, " ");
        len += strcspn(text + len, " ");
    }
    return len;
}

static void print_wrapped(const char *text, struct wrap wrap)
{
    while (*text != '\0') {
        size_t spaces = strspn(text, " ");
        size_t len = piece_len(text + spaces, wrap.gap);
        if (wrap.column + spaces + len > LINE_WIDTH && wrap.column > wrap.indent) {
            (void)printf("\n%*s", (int)wrap.indent, "");
            wrap.column = wrap.indent;
            text += spaces;
            continue;
        }
        (void)printf("%.*s", (int)(spaces + len), text);
        wrap.column += spaces + len;
        text += spaces + len;
    }
    (void)printf("\n");
}

static void print_label(const struct show *show, const char *label)
{
    (void)printf("  %s%-*s%s", colour(show, DIM), LABEL_WIDTH - 2, label, colour(show, PLAIN));
}

void show_title(const struct show *show, const char *title, const char *text)
{
    (void)printf("\n%s== %s ==%s\n", colour(show, BOLD), title, colour(show, PLAIN));
    if (text[0] != '\0') {
        print_wrapped(text, (struct wrap){0, 0, 1});
    }
}

static const char *status_colour(const json_t *answer)
{
    const char *name = json_string_value(json_object_get(answer, "status_name"));
    if (strcmp(name, "SUCCESS") == 0 || strcmp(name, "S_OK") == 0 || strcmp(name, "TRUE") == 0) {
        return GREEN;
    }
    const char *status = json_string_value(json_object_get(answer, "status"));
    bool is_warning = strncmp(status, "0x0000", 6) == 0;
    return is_warning ? YELLOW : RED;
}

static void print_answer(const struct show *show, const struct shown_step *step, const char *text)
{
    size_t len = strcspn(text, " ");
    print_label(show, "came back");
    int head = printf("%s  ", json_string_value(json_object_get(step->answer, "status")));
    (void)printf("%s%.*s%s", colour(show, status_colour(step->answer)), (int)len, text,
                 colour(show, PLAIN));
    size_t column = LABEL_WIDTH + (size_t)head + len;
    print_wrapped(text + len, (struct wrap){column, LABEL_WIDTH, 2});
}

void show_step(struct show *show, const struct shown_step *step)
{
    char *text = answer_text(step->answer);
    if (text == NULL) {
        return;
    }
    bool surprise = strncmp(text, step->expected, strlen(step->expected)) != 0;
    show->num_steps++;
    show->num_surprises += surprise;

    (void)printf("\n");
    print_label(show, "asked");
    (void)printf("%s%-*s%s", colour(show, BOLD), TIME_COLUMN - LABEL_WIDTH, step->asked,
                 colour(show, PLAIN));
    (void)printf(" %s%8.2f ms%s\n", colour(show, DIM), step->milliseconds, colour(show, PLAIN));
    print_answer(show, step, text);
    if (step->meaning[0] != '\0') {
        print_label(show, "means");
        print_wrapped(step->meaning, (struct wrap){LABEL_WIDTH, LABEL_WIDTH, 1});
    }
    if (surprise) {
        print_label(show, "but");
        (void)printf("%sexpected: %s%s\n", colour(show, RED), step->expected, colour(show, PLAIN));
    }
    free(text);
}
