/* SPDX-License-Identifier: Apache-2.0 */

/* Reads options from the command line. Not getopt_long: its errors can't say what is allowed, it
 * takes any beginning of a name for the name, and it knows nothing of values. */

#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guess.h"
#include "rfc3339.h"
#include "status.h"
#include "units.h"

/* Of what was said, in an error. */
#define SHOWN_MAX 100

/* ---- values ---- */

static jj_status refuse(const struct cmd_option *option, const char *text, const char *allowed,
                        jj_error *err)
{
    return jj__fail(err, JJ_ERR_INVALID, "--%s: '%.100s' is not what it takes: %s", option->name,
                    text, allowed);
}

static bool in_range(const struct cmd_option *option, int64_t value)
{
    return value >= option->min && (option->max == 0 || value <= option->max);
}

static jj_status read_number(const struct cmd_option *option, const char *text, jj_error *err)
{
    int64_t max = option->max == 0 ? UINT32_MAX : option->max;
    char *end;

    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < option->min ||
        number > max)
        return jj__fail(err, JJ_ERR_INVALID,
                        "--%s: '%.100s' is not a number from %" PRId64 " to %" PRId64, option->name,
                        text, option->min, max);
    *(uint32_t *)option->to = (uint32_t)number;
    return JJ_OK;
}

static void write_limit(int64_t limit, enum cmd_option_kind kind, char out[UNITS_DURATION_SIZE])
{
    if (kind == OPTION_DURATION)
        units_write_duration(limit, out);
    else
        snprintf(out, UNITS_DURATION_SIZE, "%" PRId64 " bytes", limit);
}

/* A duration or a size. */
static jj_status read_amount(const struct cmd_option *option, const char *text, jj_error *err)
{
    bool duration = option->kind == OPTION_DURATION;
    char min[UNITS_DURATION_SIZE];
    char max[UNITS_DURATION_SIZE];
    int64_t amount;

    if (!(duration ? units_read_duration(text, &amount) : units_read_size(text, &amount)))
        return refuse(option, text, duration ? UNITS_DURATIONS : UNITS_SIZES, err);
    if (in_range(option, amount)) {
        *(int64_t *)option->to = amount;
        return JJ_OK;
    }
    write_limit(option->min, option->kind, min);
    write_limit(option->max, option->kind, max);
    return jj__fail(err, JJ_ERR_INVALID, "--%s: %.100s is not %s %s%s%s", option->name, text, min,
                    option->max == 0 ? "or more" : "to ", option->max == 0 ? "" : max, "");
}

static jj_status read_time(const struct cmd_option *option, const char *text, jj_error *err)
{
    if (!jj__rfc3339_read(text, option->to))
        return refuse(option, text, "a time as 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00",
                      err);
    return JJ_OK;
}

static jj_status read_word(const struct cmd_option *option, const char *text, jj_error *err)
{
    char allowed[160] = "";

    for (unsigned i = 0; option->words[i] != NULL; i++) {
        if (option->words[i][0] == '\0')
            continue;
        if (strcmp(option->words[i], text) == 0) {
            *(unsigned *)option->to = i;
            return JJ_OK;
        }
        size_t len = strlen(allowed);
        snprintf(allowed + len, sizeof(allowed) - len, "%s%s", len == 0 ? "" : ", ",
                 option->words[i]);
    }
    return refuse(option, text, allowed, err);
}

static jj_status add_text(const struct cmd_option *option, const char *text, jj_error *err)
{
    struct option_texts *texts = option->to;

    if (texts->count == OPTION_TEXTS_MAX)
        return jj__fail(err, JJ_ERR_INVALID, "--%s: said more than %d times", option->name,
                        OPTION_TEXTS_MAX);
    texts->texts[texts->count++] = text;
    return JJ_OK;
}

static jj_status read_value(const struct cmd_option *option, const char *text, jj_error *err)
{
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)option->to = true;
        return JJ_OK;
    case OPTION_TEXT:
        *(const char **)option->to = text;
        return JJ_OK;
    case OPTION_TEXTS:
        return add_text(option, text, err);
    case OPTION_NUMBER:
        return read_number(option, text, err);
    case OPTION_DURATION:
    case OPTION_SIZE:
        return read_amount(option, text, err);
    case OPTION_TIME:
        return read_time(option, text, err);
    case OPTION_WORD:
        return read_word(option, text, err);
    }
    return jj__fail(err, JJ_ERR_INTERNAL, "--%s has no kind", option->name);
}

/* ---- names ---- */

/* The first option of the tables for which that holds; NULL: none. */
static const struct cmd_option *find(const struct cmd_option *const tables[2],
                                     bool (*is_it)(const struct cmd_option *option,
                                                   const char *text, size_t len),
                                     const char *text, size_t len)
{
    for (int i = 0; i < 2; i++)
        for (const struct cmd_option *at = tables[i]; at != NULL && at->name != NULL; at++)
            if (is_it(at, text, len))
                return at;
    return NULL;
}

static bool has_name(const struct cmd_option *option, const char *text, size_t len)
{
    return strlen(option->name) == len && strncmp(option->name, text, len) == 0;
}

static bool has_letter(const struct cmd_option *option, const char *text, size_t len)
{
    (void)len;
    return option->letter == text[0] && text[0] != '\0';
}

static jj_status unknown_name(const struct cmd_option *const tables[2], const char *name,
                              size_t len, jj_error *err)
{
    struct guess guess = {.typed = name, .len = len};
    int shown = len > SHOWN_MAX ? SHOWN_MAX : (int)len;

    for (int i = 0; i < 2; i++)
        for (const struct cmd_option *at = tables[i]; at != NULL && at->name != NULL; at++)
            guess_offer(&guess, at->name);
    return jj__fail(err, JJ_ERR_INVALID, "unknown option '--%.*s'%s%s%s", shown, name,
                    guess.best == NULL ? "" : ": did you mean --",
                    guess.best == NULL ? "" : guess.best, guess.best == NULL ? "" : "?");
}

/* ---- arguments ---- */

struct reading {
    const struct cmd_option *const *tables;
    int argc;
    char **argv;
    int at; /* the argument that is read */
};

/* The value of an option: what stands behind it, or else the next argument. */
static jj_status take_value(struct reading *reading, const struct cmd_option *option,
                            const char *behind, jj_error *err)
{
    if (behind == NULL && reading->at + 1 >= reading->argc)
        return jj__fail(err, JJ_ERR_INVALID, "--%s: needs a value: --%s %s", option->name,
                        option->name, option->value);
    return read_value(option, behind != NULL ? behind : reading->argv[++reading->at], err);
}

/* "name" or "name=value". */
static jj_status read_long(struct reading *reading, const char *text, jj_error *err)
{
    const char *equals = strchr(text, '=');
    size_t len = equals == NULL ? strlen(text) : (size_t)(equals - text);
    const struct cmd_option *option = find(reading->tables, has_name, text, len);

    if (option == NULL)
        return unknown_name(reading->tables, text, len, err);
    if (option->kind != OPTION_FLAG)
        return take_value(reading, option, equals == NULL ? NULL : equals + 1, err);
    if (equals != NULL)
        return jj__fail(err, JJ_ERR_INVALID, "--%s takes no value", option->name);
    return read_value(option, NULL, err);
}

/* Flags by their letters, the last of which may be an option with a value. */
static jj_status read_letters(struct reading *reading, const char *letters, jj_error *err)
{
    for (; *letters != '\0'; letters++) {
        const struct cmd_option *option = find(reading->tables, has_letter, letters, 1);
        if (option == NULL)
            return jj__fail(err, JJ_ERR_INVALID,
                            "unknown option '-%.100s': what begins with - and is none comes after "
                            "--",
                            letters);
        if (option->kind != OPTION_FLAG)
            return take_value(reading, option, letters[1] == '\0' ? NULL : letters + 1, err);
        jj_status s = read_value(option, NULL, err);
        if (s != JJ_OK)
            return s;
    }
    return JJ_OK;
}

/* Keep the arguments from the one at hand on as operands; returns how many there are then. */
static int keep_rest(struct reading *reading, int kept)
{
    while (reading->at < reading->argc)
        reading->argv[kept++] = reading->argv[reading->at++];
    return kept;
}

jj_status options_read(const struct cmd_option *const tables[2], bool to_operand, int *argc,
                       char **argv, jj_error *err)
{
    struct reading reading = {.tables = tables, .argc = *argc, .argv = argv, .at = 1};
    int kept = *argc > 0 ? 1 : 0;
    jj_status s = JJ_OK;

    for (; s == JJ_OK && reading.at < reading.argc; reading.at++) {
        char *text = argv[reading.at];
        bool operand = text[0] != '-' || text[1] == '\0';
        if (strcmp(text, "--") == 0 || (operand && to_operand)) {
            reading.at += operand ? 0 : 1;
            kept = keep_rest(&reading, kept);
        } else if (operand) {
            argv[kept++] = text;
        } else if (text[1] == '-') {
            s = read_long(&reading, text + 2, err);
        } else {
            s = read_letters(&reading, text + 1, err);
        }
    }
    if (s != JJ_OK)
        return s;
    argv[kept] = NULL;
    *argc = kept;
    return JJ_OK;
}
