#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "words.h"

char *take_word(char **cursor)
{
    char *word = *cursor + strspn(*cursor, " \n");
    char *end = word + strcspn(word, " \n");
    *cursor = *end != 0 ? end + 1 : end;
    *end = 0;
    return word;
}

uint64_t take_hex(char **cursor)
{
    char *word = take_word(cursor);
    char *end = word;
    uint64_t value = strtoull(word, &end, 16);
    assert_true(end != word && *end == 0);
    return value;
}
