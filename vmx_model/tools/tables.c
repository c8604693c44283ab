// Prints the tables of this module's documents from its rows: tables [--write] FILE
//
// A table stands between <!-- begin: NAME --> and <!-- end: NAME -->. Without --write the file is
// only compared.
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char begin_mark[] = "<!-- begin: ";
static const char end_mark[] = "<!-- end: ";

// --- tables ------------------------------------------------------------------------------------

struct msr_words {
    uint32_t index;
    uint64_t reset, writable;
    const char *name, *rule, *debugger, *guest, *feature, *bank;
    unsigned number;
    const char *cite;
};

static int by_index(const void *a, const void *b)
{
    const struct msr_words *left = a;
    const struct msr_words *right = b;
    return (left->index > right->index) - (left->index < right->index);
}

// A word of a row as text: "GUEST_IA32_PAT", "one of the package".
static void put_homes(FILE *out, const struct msr_words *row)
{
    if (strcmp(row->debugger, row->guest) == 0) {
        (void)fputs(row->debugger, out);
    } else {
        (void)fprintf(out, "debugger %s, guest %s", row->debugger, row->guest);
    }
}

static void put_presence(FILE *out, const struct msr_words *row)
{
    (void)fputs(row->feature, out);
    if (strcmp(row->bank, "ONE") != 0) {
        (void)fprintf(out, ", %s %u", row->bank, row->number);
    }
}

static void put_msrs(FILE *out)
{
    static struct msr_words rows[] = {
#define MSR(name, index, reset, writable, rule, debugger, guest, feature, bank, number, cite)      \
    {index, reset, writable, #name, #rule, #debugger, #guest, #feature, #bank, number, cite},
#include "vmx_model/msrs.def"
    };
    size_t num_rows = sizeof(rows) / sizeof(rows[0]);
    qsort(rows, num_rows, sizeof(rows[0]), by_index);
    (void)fprintf(out, "%zu rows.\n\n", num_rows);
    (void)fputs("| number | name | after RESET | writable | rule | home | present with | SDM |\n"
                "|---|---|---|---|---|---|---|---|\n",
                out);
    for (size_t i = 0; i < num_rows; i++) {
        const struct msr_words *row = &rows[i];
        (void)fprintf(out, "| 0x%" PRIX32 " | %s | 0x%" PRIX64 " | 0x%" PRIX64 " | %s | ",
                      row->index, row->name, row->reset, row->writable, row->rule);
        put_homes(out, row);
        (void)fputs(" | ", out);
        put_presence(out, row);
        (void)fprintf(out, " | %s |\n", row->cite);
    }
}

enum { READ, WRITE };
enum { OUTCOME, VALUE };

static void put_disagreements(FILE *out)
{
    static const struct {
        uint32_t first, last;
        int access, differs;
        const char *right, *rule;
    } rows[] = {
#define DISAGREEMENT(id, first, last, access, states, bits, differs, right, rule)                  \
    {first, last, access, differs, right, rule},
#include "msr_disagreements.def"
    };
    (void)fputs("| MSR | access | what differs | the manual and Bochs | right |\n"
                "|---|---|---|---|---|\n",
                out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)fprintf(out, "| 0x%" PRIX32, rows[i].first);
        if (rows[i].last != rows[i].first) {
            (void)fprintf(out, " to 0x%" PRIX32, rows[i].last);
        }
        (void)fprintf(out, " | %s | %s | %s | %s |\n", rows[i].access == READ ? "read" : "write",
                      rows[i].differs == OUTCOME ? "#GP or not" : "the value", rows[i].rule,
                      rows[i].right);
    }
}

static void put_entry_checks(FILE *out)
{
    static const struct {
        const char *name, *group;
        unsigned qualification;
        const char *source, *text;
    } rows[] = {
#define ENTRY_CHECK(name, function, group, qualification, source, text)                            \
    {#function, #group, qualification, source, text},
#include "vmx_model/entry_checks.def"
    };
    (void)fprintf(out, "%zu rows.\n\n", sizeof(rows) / sizeof(rows[0]));
    (void)fputs("| name | group | what holds | section |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)fprintf(out, "| %s | %s", rows[i].name, rows[i].group);
        if (rows[i].qualification != 0) {
            (void)fprintf(out, ", qualification %u", rows[i].qualification);
        }
        (void)fprintf(out, " | %s | %s |\n", rows[i].text, rows[i].source);
    }
}

static void put_controls(FILE *out)
{
    static const struct {
        const char *group, *name;
        unsigned bit;
        const char *class, *feature;
    } rows[] = {
#define CONTROL(group, name, bit, class, feature) {#group, #name, bit, #class, #feature},
#define CONTROL_FIXED(group, bit)                 {#group, "reserved", bit, "fixed to 1", "ALWAYS"},
#include "vmx_model/controls.def"
    };
    (void)fputs("| group | bit | name | class | allowed with |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)fprintf(out, "| %s | %u | %s | %s | %s |\n", rows[i].group, rows[i].bit, rows[i].name,
                      rows[i].class, rows[i].feature);
    }
}

static void put_instruction_errors(FILE *out)
{
    (void)fputs("| error | text |\n|---|---|\n", out);
#define INSTRUCTION_ERROR(name, number, text) (void)fprintf(out, "| %d | %s |\n", number, text);
#include "vmx_model/instruction_errors.def"
}

static void put_exit_reasons(FILE *out)
{
    static const struct {
        unsigned number;
        const char *text, *format;
    } rows[] = {
#define EXIT_REASON(name, number, format, text) {number, text, #format},
#include "vmx_model/exit_reasons.def"
    };
    (void)fputs("| reason | text | qualification |\n|---|---|---|\n", out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)fprintf(out, "| %u | %s | %s |\n", rows[i].number, rows[i].text, rows[i].format);
    }
}

static const struct {
    const char *name;
    void (*put)(FILE *out);
} tables[] = {
    {"controls", put_controls},
    {"entry-checks", put_entry_checks},
    {"exit-reasons", put_exit_reasons},
    {"instruction-errors", put_instruction_errors},
    {"msrs", put_msrs},
    {"msr-disagreements", put_disagreements},
};

// --- the document ------------------------------------------------------------------------------

// The table that the mark at `mark` names; NULL when there is none.
static void (*table_of(const char *mark))(FILE *out)
{
    const char *name = mark + strlen(begin_mark);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        size_t len = strlen(tables[i].name);
        if (strncmp(name, tables[i].name, len) == 0 && strncmp(name + len, " -->", 4) == 0) {
            return tables[i].put;
        }
    }
    return NULL;
}

// Writes the table of a mark; where its old text ends, NULL when the mark or its end is wrong.
static const char *make_table(FILE *out, const char *mark, const char *old)
{
    void (*put)(FILE *) = table_of(mark);
    const char *end = strstr(old, end_mark);
    if (put == NULL || end == NULL) {
        return NULL;
    }
    put(out);
    return end;
}

// Writes the text to out, with every table made anew. False: a mark names no table, or has no end.
static bool make(FILE *out, const char *text)
{
    while (text != NULL && *text != '\0') {
        const char *newline = strchr(text, '\n');
        const char *next = newline != NULL ? newline + 1 : text + strlen(text);
        (void)fwrite(text, 1, (size_t)(next - text), out);
        bool is_mark = strncmp(text, begin_mark, strlen(begin_mark)) == 0;
        text = is_mark ? make_table(out, text, next) : next;
    }
    return text != NULL;
}

static char *read_text(const char *path)
{
    enum { MOST = 1 << 20 };
    FILE *file = fopen(path, "rb");
    char *text = file != NULL ? calloc(1, MOST) : NULL;
    if (text != NULL) {
        text[fread(text, 1, MOST - 1, file)] = '\0';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return text;
}

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return false;
    }
    bool written = fwrite(text, 1, strlen(text), file) == strlen(text);
    return fclose(file) == 0 && written;
}

// NULL when all is well, else what is not.
static const char *compare_or_write(const char *path, const char *text, bool writes)
{
    char *made = NULL;
    size_t made_len = 0;
    FILE *out = open_memstream(&made, &made_len);
    const char *fault = NULL;
    if (out == NULL) {
        return "no memory";
    }
    bool good = make(out, text);
    (void)fclose(out);
    if (!good) {
        fault = "a mark names no table, or its table does not end";
    } else if (strcmp(text, made) != 0) {
        bool done = writes && write_text(path, made);
        const char *stale = "the tables are not those of the rows (./dev rebase makes them)";
        fault = done ? NULL : writes ? "cannot be written" : stale;
    }
    free(made);
    return fault;
}

int main(int argc, char **argv)
{
    bool writes = argc == 3 && strcmp(argv[1], "--write") == 0;
    if (argc != 2 && !writes) {
        (void)fputs("usage: tables [--write] FILE\n", stderr);
        return 2;
    }
    const char *path = argv[argc - 1];
    char *text = read_text(path);
    const char *fault = text != NULL ? compare_or_write(path, text, writes) : "cannot be read";
    free(text);
    if (fault != NULL) {
        (void)fprintf(stderr, "%s: %s\n", path, fault);
    }
    return fault != NULL ? EXIT_FAILURE : EXIT_SUCCESS;
}
