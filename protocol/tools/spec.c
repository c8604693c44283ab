// Keeps the tables of the specification true to the rows they come from.
//
//     spec FILE          fails when a table in FILE differs from its rows
//     spec --write FILE  writes the tables
//
// A table stands between <!-- begin: NAME [ARGUMENT] --> and <!-- end: NAME -->.

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/packets.h"
#include "protocol/registers.h"
#include "protocol/status.h"

static const char begin_mark[] = "<!-- begin: ";
static const char end_mark[] = "<!-- end: ";
static const char mark_close[] = " -->";

enum clause_id {
#define CLAUSE(id, level, origin, text) CLAUSE_##id,
#include "protocol/clauses.def"
    NUM_CLAUSES,
};

struct clause {
    const char *id; // with underscores
    const char *level;
    const char *origin;
    const char *text;
};

static const struct clause clauses[NUM_CLAUSES] = {
#define CLAUSE(id, level, origin, text) [CLAUSE_##id] = {#id, #level, #origin, text},
#include "protocol/clauses.def"
};

// The document being made, and what of it must not be forgotten.
struct document {
    FILE *out;
    bool has_clause[NUM_CLAUSES];
    size_t num_rows; // printed, of whatever table
    bool ok;
};

static void complain(struct document *document, const char *what, const char *which)
{
    (void)fprintf(stderr, "spec: %s%s\n", what, which);
    document->ok = false;
}

// --- packets ----------------------------------------------------------------------------------

// Prints a tail's size as people write it: "C(mask)" for context_size(packet->mask).
static void print_tail_size(FILE *out, const char *expression)
{
    static const struct {
        const char *code;
        const char *text;
    } words[] = {
        {"extended_context_size(", "X("},
        {"context_size(", "C("},
        {"packet->", ""},
        {"(size_t)", ""},
        {"U * ", " × "},
        {" * ", " × "},
    };
    enum { NUM_WORDS = sizeof(words) / sizeof(words[0]) };
    while (*expression) {
        size_t word = 0;
        while (word < NUM_WORDS &&
               strncmp(expression, words[word].code, strlen(words[word].code)) != 0) {
            word++;
        }
        if (word == NUM_WORDS) {
            (void)fputc(*expression++, out);
        } else {
            (void)fputs(words[word].text, out);
            expression += strlen(words[word].code);
        }
    }
}

static void print_field(FILE *out, const struct packet_field *field)
{
    switch (field->type) {
    case FIELD_NUMBER:
        (void)fprintf(out, "%u u%u %s", field->offset, 8U * field->size, field->name);
        break;
    case FIELD_RESERVED:
        (void)fprintf(out, "%u u%u zero", field->offset, 8U * field->size);
        break;
    case FIELD_TAIL:
        (void)fprintf(out, "%u %s", field->offset, field->name);
        break;
    }
}

static void print_packet(FILE *out, const struct packet_info *info)
{
    const char *versions = info->in_v1 && info->in_v2 ? "1, 2" : info->in_v1 ? "1" : "2";
    (void)fprintf(out, "| %u | %s | %s | %u", info->type, info->call, versions, info->size);
    for (size_t i = 0; i < info->num_fields; i++) {
        if (info->fields[i].type == FIELD_TAIL) {
            (void)fputs(" + ", out);
            print_tail_size(out, info->fields[i].tail_of);
        }
    }
    (void)fputs(" | ", out);
    for (size_t i = 0; i < info->num_fields; i++) {
        (void)fputs(i ? ", " : "", out);
        print_field(out, &info->fields[i]);
    }
    (void)fputs(" |\n", out);
}

static void print_class(struct document *document, enum packet_class class)
{
    (void)fputs("| type | packet | version | length | offset, size and name of each field |\n"
                "|---|---|---|---|---|\n",
                document->out);
    for (int kind = 0; kind < NUM_PACKET_KINDS; kind++) {
        const struct packet_info *info = packet_info((enum packet_kind)kind);
        if (info->class == class) {
            print_packet(document->out, info);
            document->num_rows++;
        }
    }
}

static void print_packets(struct document *document, const char *class_name)
{
    static const struct {
        const char *name;
        enum packet_class class;
    } classes[] = {
        {"requests", CLASS_REQUEST},           {"replies", CLASS_REPLY}, {"control", CLASS_CONTROL},
        {"notifications", CLASS_NOTIFICATION}, {"resend", CLASS_RESEND},
    };
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strcmp(classes[i].name, class_name) == 0) {
            print_class(document, classes[i].class);
        }
    }
}

// --- statuses and registers -------------------------------------------------------------------

static void print_statuses(struct document *document, const char *argument)
{
    (void)argument;
    (void)fputs("| status | version 1 | version 2 | what it tells |\n|---|---|---|---|\n",
                document->out);
    for (int i = 0; i < NUM_STATUSES; i++) {
        enum pulse_status status = (enum pulse_status)i;
        (void)fprintf(document->out, "| %s | 0x%08X | 0x%08X | %s |\n", status_name(status),
                      status_number(status, PROTOCOL_V1), status_number(status, PROTOCOL_V2),
                      status_text(status));
        document->num_rows++;
    }
}

static void print_register(struct document *document, const struct register_info *info)
{
    if (!info) {
        (void)fputs("| | | | ", document->out);
        return;
    }
    (void)fprintf(document->out, "| %u | %s | %u | %u ", info->bit, info->name, info->size,
                  info->offset);
    document->num_rows++;
}

static void print_registers(struct document *document, const char *which)
{
    bool is_context = strcmp(which, "context") == 0;
    const struct register_info *registers = is_context ? context_registers : extended_registers;
    size_t num = is_context ? NUM_CONTEXT_REGISTERS : NUM_EXTENDED_REGISTERS;
    enum { COLUMNS = 4 };
    size_t num_lines = (num + COLUMNS - 1) / COLUMNS;
    for (size_t i = 0; i < COLUMNS; i++) {
        (void)fputs("| bit | register | size | offset ", document->out);
    }
    (void)fputs("|\n", document->out);
    for (size_t i = 0; i < COLUMNS; i++) {
        (void)fputs("|---|---|---|---", document->out);
    }
    (void)fputs("|\n", document->out);
    for (size_t line = 0; line < num_lines; line++) {
        for (size_t i = line; i < COLUMNS * num_lines; i += num_lines) {
            print_register(document, i < num ? &registers[i] : NULL);
        }
        (void)fputs("|\n", document->out);
    }
}

// --- clauses ----------------------------------------------------------------------------------

static void print_clause(FILE *out, const struct clause *clause)
{
    (void)fputs("| ", out);
    for (const char *at = clause->id; *at; at++) {
        (void)fputc(*at == '_' ? '-' : *at, out);
    }
    (void)fprintf(out, " | %s | ", clause->level);
    for (const char *at = clause->origin; *at; at++) {
        (void)fputc(*at - 'A' + 'a', out);
    }
    (void)fprintf(out, " | %s |\n", clause->text);
}

// The clauses of a group, named as they begin: "D-MEM".
static void print_clauses(struct document *document, const char *group)
{
    size_t group_len = strlen(group);
    (void)fputs("| clause | level | origin | rule |\n|---|---|---|---|\n", document->out);
    for (size_t i = 0; i < NUM_CLAUSES; i++) {
        const char *id = clauses[i].id;
        // D_MEM_4 is of the group D-MEM when a number follows.
        bool is_member = strlen(id) > group_len + 1 && id[group_len] == '_' &&
                         strspn(id + group_len + 1, "0123456789") == strlen(id + group_len + 1);
        for (size_t at = 0; is_member && at < group_len; at++) {
            is_member = id[at] == (group[at] == '-' ? '_' : group[at]);
        }
        if (is_member) {
            print_clause(document->out, &clauses[i]);
            document->has_clause[i] = true;
            document->num_rows++;
        }
    }
}

static void check_clauses(struct document *document)
{
    for (size_t i = 0; i < NUM_CLAUSES; i++) {
        if (!document->has_clause[i]) {
            complain(document, "no table holds the clause ", clauses[i].id);
        }
    }
}

// --- the document -----------------------------------------------------------------------------

// Prints the table called name. One that has no rows is a misspelt name or argument.
static void print_table(struct document *document, const char *name, const char *argument)
{
    static const struct {
        const char *name;
        void (*print)(struct document *document, const char *argument);
    } tables[] = {
        {"packets", print_packets},
        {"statuses", print_statuses},
        {"registers", print_registers},
        {"clauses", print_clauses},
    };
    size_t before = document->num_rows;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (strcmp(tables[i].name, name) == 0) {
            tables[i].print(document, argument);
        }
    }
    if (document->num_rows == before) {
        complain(document, "no such table: ", name);
    }
}

// Takes "NAME ARGUMENT" out of a begin mark.
static bool read_mark(const char *line, char name[32], char argument[32])
{
    const char *close = strstr(line, mark_close);
    size_t len = close ? (size_t)(close - line) - strlen(begin_mark) : 0;
    char words[64];
    if (len == 0 || len >= sizeof(words)) {
        return false;
    }
    memcpy(words, line + strlen(begin_mark), len);
    words[len] = '\0';
    argument[0] = '\0';
    return sscanf(words, "%31s %31s", name, argument) >= 1;
}

// Makes the table that begins with mark anew. Returns where the old one ends.
static const char *make_table(struct document *document, const char *mark, const char *table)
{
    char name[32];
    char argument[32];
    const char *end = strstr(table, end_mark);
    if (!read_mark(mark, name, argument) || !end) {
        complain(document, "a table does not end: ", begin_mark);
        return table + strlen(table);
    }
    print_table(document, name, argument);
    return end;
}

// Writes text to the document, with every table made anew.
static void make(struct document *document, const char *text)
{
    while (*text) {
        const char *next = strchr(text, '\n');
        next = next ? next + 1 : text + strlen(text);
        (void)fwrite(text, 1, (size_t)(next - text), document->out);
        bool is_mark = strncmp(text, begin_mark, strlen(begin_mark)) == 0;
        text = is_mark ? make_table(document, text, next) : next;
    }
    check_clauses(document);
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return NULL;
    }
    enum { MOST = 1 << 20 };
    char *text = calloc(1, MOST);
    if (text) {
        text[fread(text, 1, MOST - 1, file)] = '\0';
    }
    (void)fclose(file);
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

// Makes the document at path anew, and compares it or writes it.
static bool run(const char *path, bool is_writing)
{
    char *made = NULL;
    size_t made_len = 0;
    char *text = read_text(path);
    struct document document = {.out = open_memstream(&made, &made_len), .ok = true};
    if (!text || !document.out) {
        complain(&document, "cannot read ", path);
        free(text);
        return false;
    }
    make(&document, text);
    (void)fclose(document.out);
    bool is_same = strcmp(text, made) == 0;
    if (document.ok && !is_same && !is_writing) {
        complain(&document,
                 "the tables are not those of the rows (./dev rebase makes them): ", path);
    }
    if (document.ok && !is_same && is_writing && !write_text(path, made)) {
        complain(&document, "cannot write ", path);
    }
    free(text);
    free(made);
    return document.ok;
}

int main(int argc, char **argv)
{
    bool is_writing = argc == 3 && strcmp(argv[1], "--write") == 0;
    if (argc != 2 && !is_writing) {
        (void)fputs("usage: spec [--write] FILE\n", stderr);
        return 2;
    }
    return run(argv[argc - 1], is_writing) ? 0 : 1;
}
