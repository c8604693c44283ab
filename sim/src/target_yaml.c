#include "target_yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>
#include <yaml.h>

#include "guest_memory.h"
#include "target.h"

enum { MAX_FILE_SIZE = 1 << 20 };

struct target_yaml {
    struct yaml_target *root;
    yaml_document_t document;
    bool has_document;
};

// What libcyaml says while it fails: first the reason, then where, from the inside out.
struct complaint {
    char reason[256];
    unsigned long line;
};

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

static const cyaml_strval_t region_kinds[] = {
    {"ram", REGION_RAM},
    {"rom", REGION_ROM},
    {"protected", REGION_PROTECTED},
};

static const cyaml_strval_t cpu_words[] = {
    {"all", TARGET_ALL_CPUS},
};

static const cyaml_strval_t fault_words[] = {
    {"read", MSR_OVERRIDE_READ_GP},
    {"write", MSR_OVERRIDE_WRITE_GP},
    {"both", MSR_OVERRIDE_READ_GP | MSR_OVERRIDE_WRITE_GP},
};

#define OPTIONAL_LIST (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

static const cyaml_schema_field_t region_fields[] = {
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct yaml_region, kind, region_kinds,
                     ARRAY_LEN(region_kinds)),
    CYAML_FIELD_UINT("base", CYAML_FLAG_DEFAULT, struct yaml_region, base),
    CYAML_FIELD_UINT("size", CYAML_FLAG_DEFAULT, struct yaml_region, size),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t region_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_region, region_fields),
};

static const cyaml_schema_value_t quad_schema = {
    CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint64_t),
};

static const cyaml_schema_field_t load_fields[] = {
    CYAML_FIELD_UINT("address", CYAML_FLAG_DEFAULT, struct yaml_load, address),
    CYAML_FIELD_STRING_PTR("file", OPTIONAL_LIST, struct yaml_load, file, 1, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("hex", OPTIONAL_LIST, struct yaml_load, hex, 1, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("text", OPTIONAL_LIST, struct yaml_load, text, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("quads", OPTIONAL_LIST, struct yaml_load, quads, &quad_schema, 1,
                         CYAML_UNLIMITED),
    CYAML_FIELD_UINT_PTR("fill", OPTIONAL_LIST, struct yaml_load, fill),
    CYAML_FIELD_UINT("size", CYAML_FLAG_OPTIONAL, struct yaml_load, size),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t load_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_load, load_fields),
};

static const cyaml_schema_field_t value_fields[] = {
#define CONTEXT_REGISTER(bit, name, size)                                                          \
    CYAML_FIELD_UINT_PTR(#name, OPTIONAL_LIST, struct yaml_values, value[CONTEXT_##name]),
#include "protocol/registers.def"
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t register_fields[] = {
    CYAML_FIELD_ENUM_PTR("cpu", OPTIONAL_LIST, struct yaml_registers, cpu, cpu_words,
                         ARRAY_LEN(cpu_words)),
    CYAML_FIELD_MAPPING("set", CYAML_FLAG_DEFAULT, struct yaml_registers, set, value_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t register_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_registers, register_fields),
};

static const cyaml_schema_field_t msr_fields[] = {
    CYAML_FIELD_ENUM_PTR("cpu", OPTIONAL_LIST, struct yaml_msr, cpu, cpu_words,
                         ARRAY_LEN(cpu_words)),
    CYAML_FIELD_UINT("index", CYAML_FLAG_DEFAULT, struct yaml_msr, index),
    CYAML_FIELD_UINT_PTR("value", OPTIONAL_LIST, struct yaml_msr, value),
    CYAML_FIELD_UINT_PTR("fixed", OPTIONAL_LIST, struct yaml_msr, fixed),
    CYAML_FIELD_ENUM_PTR("faults", OPTIONAL_LIST | CYAML_FLAG_STRICT, struct yaml_msr, faults,
                         fault_words, ARRAY_LEN(fault_words)),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t msr_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_msr, msr_fields),
};

static const cyaml_schema_field_t target_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct yaml_target, name, 1, 64),
    CYAML_FIELD_STRING_PTR("summary", OPTIONAL_LIST, struct yaml_target, summary, 0, 256),
    CYAML_FIELD_STRING_PTR("base", OPTIONAL_LIST, struct yaml_target, base, 1, 64),
    CYAML_FIELD_STRING_PTR("profile", OPTIONAL_LIST, struct yaml_target, profile, 1, 64),
    CYAML_FIELD_UINT_PTR("max_phys_bits", OPTIONAL_LIST, struct yaml_target, max_phys_bits),
    CYAML_FIELD_UINT_PTR("cpus", OPTIONAL_LIST, struct yaml_target, cpus),
    CYAML_FIELD_SEQUENCE("regions", OPTIONAL_LIST, struct yaml_target, regions, &region_schema, 0,
                         MEMORY_MAX_REGIONS),
    CYAML_FIELD_SEQUENCE("load", OPTIONAL_LIST, struct yaml_target, load, &load_schema, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("registers", OPTIONAL_LIST, struct yaml_target, registers,
                         &register_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("msrs", OPTIONAL_LIST, struct yaml_target, msrs, &msr_schema, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t target_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct yaml_target, target_fields),
};

static void listen(cyaml_log_t level, void *context, const char *format, va_list args)
{
    (void)level;
    struct complaint *complaint = context;
    char line[256];
    (void)vsnprintf(line, sizeof(line), format, args);
    line[strcspn(line, "\n")] = '\0';

    const char *where = strstr(line, "(line: ");
    if (where != NULL) {
        if (complaint->line == 0) {
            complaint->line = strtoul(where + strlen("(line: "), NULL, 10);
        }
        return;
    }
    bool is_reason = strncmp(line, "Load: ", 6) == 0 && strcmp(line, "Load: Backtrace:") != 0;
    if (is_reason && complaint->reason[0] == '\0') {
        (void)snprintf(complaint->reason, sizeof(complaint->reason), "%s", line + 6);
    }
}

static cyaml_config_t config_with(struct complaint *complaint)
{
    return (cyaml_config_t){
        .log_fn = listen,
        .log_ctx = complaint,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_NO_ALIAS, // or a short file could ask for endless memory
    };
}

// The whole file, to be freed. NULL: errno says why.
static unsigned char *read_text(const char *path, size_t *out_len)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    unsigned char *text = malloc(MAX_FILE_SIZE + 1);
    size_t len = text != NULL ? fread(text, 1, MAX_FILE_SIZE + 1, file) : 0;
    int failure = ferror(file) ? errno : 0;
    (void)fclose(file);
    if (text != NULL && (failure != 0 || len > MAX_FILE_SIZE)) {
        free(text);
        text = NULL;
        errno = failure != 0 ? failure : EFBIG;
    }
    *out_len = len;
    return text;
}

// The document as a tree that knows its lines. False: complaint says what is no YAML.
static bool parse_document(struct target_yaml *yaml, const unsigned char *text, size_t len,
                           struct complaint *complaint)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        (void)snprintf(complaint->reason, sizeof(complaint->reason), "out of memory");
        return false;
    }
    yaml_parser_set_input_string(&parser, text, len);
    yaml->has_document = yaml_parser_load(&parser, &yaml->document) != 0;
    if (!yaml->has_document) {
        (void)snprintf(complaint->reason, sizeof(complaint->reason), "%s",
                       parser.problem != NULL ? parser.problem : "not YAML");
        complaint->line = parser.problem_mark.line + 1;
    }
    yaml_parser_delete(&parser);
    return yaml->has_document;
}

static bool parse_contents(struct target_yaml *yaml, const unsigned char *text, size_t len,
                           struct complaint *complaint)
{
    cyaml_config_t config = config_with(complaint);
    void *root = NULL;
    cyaml_err_t error = cyaml_load_data(text, len, &config, &target_schema, &root, NULL);
    if (error != CYAML_OK) {
        if (complaint->reason[0] == '\0') {
            (void)snprintf(complaint->reason, sizeof(complaint->reason), "%s",
                           cyaml_strerror(error));
        }
        return false;
    }
    yaml->root = root;
    if (root == NULL) {
        (void)snprintf(complaint->reason, sizeof(complaint->reason), "the file is empty");
    }
    return root != NULL;
}

// Of a key that it does not know libcyaml tells the line of the one before.
static void find_unknown_key(struct target_yaml *yaml, struct complaint *complaint)
{
    static const char prefix[] = "Unexpected key: ";
    if (!yaml->has_document || strncmp(complaint->reason, prefix, strlen(prefix)) != 0) {
        return;
    }
    const char *name = complaint->reason + strlen(prefix);
    const yaml_node_t *node = yaml->document.nodes.start;
    for (; node < yaml->document.nodes.top; node++) {
        if (node->type == YAML_SCALAR_NODE && node->start_mark.line + 1 >= complaint->line &&
            strcmp((const char *)node->data.scalar.value, name) == 0) {
            complaint->line = node->start_mark.line + 1;
            return;
        }
    }
}

static void tell(const char *path, const struct complaint *complaint, char *out, size_t out_size)
{
    if (complaint->line == 0) {
        (void)snprintf(out, out_size, "%s: %s", path, complaint->reason);
        return;
    }
    (void)snprintf(out, out_size, "%s:%lu: %s", path, complaint->line, complaint->reason);
}

struct target_yaml *target_yaml_load(const char *path, char *out_error, size_t error_size)
{
    size_t len = 0;
    unsigned char *text = read_text(path, &len);
    struct target_yaml *yaml = calloc(1, sizeof(*yaml));
    if (text == NULL || yaml == NULL) {
        (void)snprintf(out_error, error_size, "%s: %s", path, strerror(errno));
        free(text);
        free(yaml);
        return NULL;
    }
    struct complaint complaint = {.line = 0};
    bool ok =
        parse_document(yaml, text, len, &complaint) && parse_contents(yaml, text, len, &complaint);
    free(text);
    if (!ok) {
        find_unknown_key(yaml, &complaint);
        tell(path, &complaint, out_error, error_size);
        target_yaml_free(yaml);
        return NULL;
    }
    return yaml;
}

void target_yaml_free(struct target_yaml *yaml)
{
    if (yaml == NULL) {
        return;
    }
    struct complaint ignored = {.line = 0};
    cyaml_config_t config = config_with(&ignored);
    cyaml_free(&config, &target_schema, yaml->root, 0);
    if (yaml->has_document) {
        yaml_document_delete(&yaml->document);
    }
    free(yaml);
}

const struct yaml_target *target_yaml_root(const struct target_yaml *yaml)
{
    return yaml->root;
}

// The value of a key in a mapping, with the key itself; false when it has none.
static bool find_key(struct target_yaml *yaml, yaml_node_t **node, const char *name,
                     size_t *out_line)
{
    if (name == NULL || *node == NULL || (*node)->type != YAML_MAPPING_NODE) {
        return false;
    }
    const yaml_node_pair_t *pair = (*node)->data.mapping.pairs.start;
    for (; pair < (*node)->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&yaml->document, pair->key);
        if (key->type == YAML_SCALAR_NODE &&
            strcmp((const char *)key->data.scalar.value, name) == 0) {
            *out_line = key->start_mark.line + 1;
            *node = yaml_document_get_node(&yaml->document, pair->value);
            return true;
        }
    }
    return false;
}

static bool find_item(struct target_yaml *yaml, yaml_node_t **node, size_t index, size_t *out_line)
{
    if (*node == NULL || (*node)->type != YAML_SEQUENCE_NODE) {
        return false;
    }
    const yaml_node_item_t *items = (*node)->data.sequence.items.start;
    if (index >= (size_t)((*node)->data.sequence.items.top - items)) {
        return false;
    }
    *node = yaml_document_get_node(&yaml->document, items[index]);
    *out_line = (*node)->start_mark.line + 1;
    return true;
}

size_t target_yaml_line(struct target_yaml *yaml, const struct yaml_place *place)
{
    size_t line = 0;
    yaml_node_t *node = yaml_document_get_root_node(&yaml->document);
    (void)(find_key(yaml, &node, place->list, &line) &&
           find_item(yaml, &node, place->index, &line) &&
           find_key(yaml, &node, place->key, &line) && find_key(yaml, &node, place->inner, &line));
    return line;
}
