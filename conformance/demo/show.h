#ifndef CONFORMANCE_SHOW_H
#define CONFORMANCE_SHOW_H

// How the demonstration looks.

#include <jansson.h>
#include <stdbool.h>

struct show {
    bool colours;
    size_t num_steps;
    size_t num_surprises;
};

void show_title(const struct show *show, const char *title, const char *text);

struct shown_step {
    const char *asked;
    json_t *answer;       // as pulsim-client prints it
    const char *expected; // what its text begins with
    const char *meaning;
    double milliseconds;
};

// Shows a step, and counts it, and counts it as a surprise when the answer is another.
void show_step(struct show *show, const struct shown_step *step);

// Outputs of an answer as one line of text, the caller's: the status's name, then names and values.
char *answer_text(json_t *answer);

#endif
