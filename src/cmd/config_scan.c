/* SPDX-License-Identifier: Apache-2.0 */

/* One walk over the events of libyaml, with the schema beside it.
 *
 * It descends only where the schema does and takes neither anchors nor tags, so what a file makes
 * it do is bounded by the size of the file. */

#include "config_scan.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "config_schema.h"
#include "status.h"

#define KEY_SIZE     128 /* of the schema's longest, with numbers */
#define ALLOWED_SIZE 256

struct walk {
    yaml_parser_t parser;
    yaml_event_t event; /* the one that is looked at */
    const char *file;
    const char *text;
    size_t len;
    char key[KEY_SIZE];
    size_t key_len;
    struct arena *arena;
    struct config_place **end;
    jj_error *err;
};

/* ---- errors ---- */

static jj_status JJ_PRINTF(3, 4)
    fail_at(const struct walk *walk, size_t line, const char *format, ...)
{
    char text[JJ_ERROR_TEXT_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return jj__fail(walk->err, JJ_ERR_INVALID, "%s:%zu: %s", walk->file, line, text);
}

static size_t line_of(const struct walk *walk)
{
    return walk->event.start_mark.line + 1;
}

static const char *key_of(const struct walk *walk)
{
    return walk->key_len == 0 ? "the file" : walk->key;
}

/* "a, b, c": the keys of a section. */
static void list_keys(const cyaml_schema_field_t *fields, char out[ALLOWED_SIZE])
{
    size_t len = 0;

    out[0] = '\0';
    for (; fields->key != NULL && len < ALLOWED_SIZE; fields++)
        len += (size_t)snprintf(out + len, ALLOWED_SIZE - len, "%s%s", len == 0 ? "" : ", ",
                                fields->key);
}

/* Is a line, counted from 0, indented with a tab? */
static bool begins_with_tab(const char *text, size_t len, size_t line)
{
    const char *end = text + len;

    for (; line > 0 && text != NULL; line--) {
        text = memchr(text, '\n', (size_t)(end - text));
        text = text == NULL ? NULL : text + 1;
    }
    while (text != NULL && text < end && *text == ' ')
        text++;
    return text != NULL && text < end && *text == '\t';
}

static jj_status fail_parse(const struct walk *walk)
{
    const yaml_parser_t *parser = &walk->parser;
    size_t line = parser->problem_mark.line;

    if (parser->error == YAML_MEMORY_ERROR)
        return jj__fail(walk->err, JJ_ERR_NO_MEMORY, "configuration");
    if (begins_with_tab(walk->text, walk->len, line))
        return fail_at(walk, line + 1, "not YAML: indented with a tab: only spaces do");
    return fail_at(walk, line + 1, "not YAML: %s%s%s",
                   parser->problem == NULL ? "unreadable" : parser->problem,
                   parser->context == NULL ? "" : " ",
                   parser->context == NULL ? "" : parser->context);
}

static jj_status fail_key(const struct walk *walk, const char *key,
                          const cyaml_schema_field_t *fields)
{
    char allowed[ALLOWED_SIZE];

    list_keys(fields, allowed);
    return fail_at(walk, line_of(walk), "%s%s%.64s: unknown key: allowed are %s", walk->key,
                   walk->key_len == 0 ? "" : ".", key, allowed);
}

/* The value is of another kind than the schema wants. */
static jj_status fail_kind(const struct walk *walk, const cyaml_schema_value_t *schema)
{
    const char *at = key_of(walk);
    char allowed[ALLOWED_SIZE];

    switch (schema->type) {
    case CYAML_MAPPING:
        list_keys(schema->mapping.fields, allowed);
        return fail_at(walk, line_of(walk), "%s: not a section: allowed in it are %s", at, allowed);
    case CYAML_SEQUENCE:
        return fail_at(walk, line_of(walk),
                       "%s: not a list: [one, two], or each in a line after \"- \"", at);
    default:
        return fail_at(walk, line_of(walk), "%s: not a single value", at);
    }
}

/* ---- events ---- */

static bool is_named(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return true;
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL;
    default:
        return false;
    }
}

static const char *scalar_of(const struct walk *walk)
{
    return (const char *)walk->event.data.scalar.value;
}

/* Go on to the next event. */
static jj_status next(struct walk *walk)
{
    yaml_event_delete(&walk->event);
    if (yaml_parser_parse(&walk->parser, &walk->event) == 0)
        return fail_parse(walk);
    if (is_named(&walk->event))
        return fail_at(walk, line_of(walk),
                       "anchors (&), aliases (*) and tags (!) are not used here");
    if (walk->event.type == YAML_SCALAR_EVENT &&
        strlen(scalar_of(walk)) != walk->event.data.scalar.length)
        return fail_at(walk, line_of(walk), "a NUL character is in the text");
    return JJ_OK;
}

/* ---- the walk: each begins at the first event of what it reads, and ends at the last ---- */

static jj_status walk_value(struct walk *walk, const cyaml_schema_value_t *schema);

/* Note where a key is, and read its value. */
static jj_status walk_into(struct walk *walk, const char *key, const cyaml_schema_value_t *schema)
{
    size_t before = walk->key_len;
    size_t len = strlen(key);

    memcpy(walk->key + before, key, len + 1); /* the schema's keys fit, as a test shows */
    walk->key_len += len;
    struct config_place *place = jj__arena_alloc(walk->arena, sizeof(*place));
    char *copy = jj__arena_text(walk->arena, walk->key, walk->key_len);
    if (place == NULL || copy == NULL)
        return jj__fail(walk->err, JJ_ERR_NO_MEMORY, "configuration");
    *place = (struct config_place){.key = copy, .line = (unsigned)line_of(walk)};
    *walk->end = place;
    walk->end = &place->next;

    jj_status s = walk_value(walk, schema);
    walk->key_len = before;
    walk->key[before] = '\0';
    return s;
}

static jj_status walk_field(struct walk *walk, const cyaml_schema_field_t *fields, uint64_t *seen)
{
    char key[KEY_SIZE];
    size_t at = 0;

    if (walk->event.type != YAML_SCALAR_EVENT)
        return fail_at(walk, line_of(walk), "%s: a key must be a word", key_of(walk));
    while (fields[at].key != NULL && strcmp(fields[at].key, scalar_of(walk)) != 0)
        at++;
    if (fields[at].key == NULL)
        return fail_key(walk, scalar_of(walk), fields);
    snprintf(key, sizeof(key), "%s%s", walk->key_len == 0 ? "" : ".", fields[at].key);
    if ((*seen & UINT64_C(1) << at) != 0)
        return fail_at(walk, line_of(walk), "%s%s: is there twice", walk->key, key);
    *seen |= UINT64_C(1) << at;
    jj_status s = next(walk);
    return s == JJ_OK ? walk_into(walk, key, &fields[at].value) : s;
}

static jj_status walk_section(struct walk *walk, const cyaml_schema_field_t *fields)
{
    uint64_t seen = 0;
    jj_status s = next(walk);

    while (s == JJ_OK && walk->event.type != YAML_MAPPING_END_EVENT) {
        s = walk_field(walk, fields, &seen);
        if (s == JJ_OK)
            s = next(walk);
    }
    return s;
}

static jj_status walk_list(struct walk *walk, const cyaml_schema_value_t *schema)
{
    char key[32];
    jj_status s = next(walk);

    for (unsigned at = 0; s == JJ_OK && walk->event.type != YAML_SEQUENCE_END_EVENT; at++) {
        if (at == schema->sequence.max)
            return fail_at(walk, line_of(walk), "%s: more than %u of them", walk->key, at);
        snprintf(key, sizeof(key), "[%u]", at);
        s = walk_into(walk, key, schema->sequence.entry);
        if (s == JJ_OK)
            s = next(walk);
    }
    return s;
}

/* Nothing after a key, or "~", or "null": as libcyaml sees it. */
static bool is_nothing(const struct walk *walk, const cyaml_schema_value_t *schema)
{
    static const char *const texts[] = {"", "~", "null", "Null", "NULL"};

    if (walk->event.type != YAML_SCALAR_EVENT || (schema->flags & CYAML_FLAG_OPTIONAL) == 0)
        return false;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(scalar_of(walk), texts[i]) == 0)
            return true;
    return false;
}

static jj_status walk_value(struct walk *walk, const cyaml_schema_value_t *schema)
{
    if (is_nothing(walk, schema))
        return JJ_OK;
    if (schema->type == CYAML_MAPPING && walk->event.type == YAML_MAPPING_START_EVENT)
        return walk_section(walk, schema->mapping.fields);
    if (schema->type == CYAML_SEQUENCE && walk->event.type == YAML_SEQUENCE_START_EVENT)
        return walk_list(walk, schema);
    if (schema->type == CYAML_STRING && walk->event.type == YAML_SCALAR_EVENT)
        return JJ_OK;
    return fail_kind(walk, schema);
}

/* One document, or none. */
static jj_status walk_stream(struct walk *walk, bool *is_empty_out)
{
    jj_status s = next(walk);

    if (s == JJ_OK)
        s = next(walk); /* past the start of the stream */
    *is_empty_out = s == JJ_OK && walk->event.type == YAML_STREAM_END_EVENT;
    if (s != JJ_OK || *is_empty_out)
        return s;
    s = next(walk); /* past the start of the document */
    if (s == JJ_OK && walk->event.type == YAML_SCALAR_EVENT && scalar_of(walk)[0] == '\0')
        *is_empty_out = true; /* nothing but "---" */
    else if (s == JJ_OK)
        s = walk_value(walk, &config_schema);
    if (s == JJ_OK)
        s = next(walk); /* the document's end */
    if (s == JJ_OK)
        s = next(walk);
    if (s == JJ_OK && walk->event.type != YAML_STREAM_END_EVENT)
        return fail_at(walk, line_of(walk), "a second document begins: one is allowed");
    return s;
}

jj_status config_scan_text(const char *file, const char *text, size_t len, struct arena *arena,
                           struct config_scan *scan_out, jj_error *err)
{
    struct config_scan scan = {0};
    struct walk walk = {
        .file = file, .text = text, .len = len, .arena = arena, .end = &scan.places, .err = err};

    if (yaml_parser_initialize(&walk.parser) == 0)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "configuration");
    yaml_parser_set_input_string(&walk.parser, (const unsigned char *)text, len);
    jj_status s = walk_stream(&walk, &scan.is_empty);
    yaml_event_delete(&walk.event);
    yaml_parser_delete(&walk.parser);
    if (s == JJ_OK)
        *scan_out = scan;
    return s;
}

unsigned config_scan_line(const struct config_scan *scan, const char *key)
{
    const struct config_place *place = scan->places;

    while (place != NULL && strcmp(place->key, key) != 0)
        place = place->next;
    return place == NULL ? 1 : place->line;
}
