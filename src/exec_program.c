/* SPDX-License-Identifier: Apache-2.0 */

/* From a caller's options to a program that can be started: everything is checked and made ready
 * here, once, because between fork and exec there is no room for any of it. */

#include "exec_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec_user.h"
#include "status.h"

#define MEMORY_MAX   ((size_t)4 * 1024 * 1024)
#define XCPU_GRACE_S 5
#define DEFAULT_PATH "PATH=/usr/local/bin:/usr/bin:/bin"

static const char *const always_passed[] = {"PATH", "HOME", "LANG", "LC_ALL", "TZ"};

/* ---- environment ---- */

/* The length of the variable's name that text begins with; 0: it is none. */
static size_t name_len(const char *text)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t len = strspn(text, all);

    return strspn(text, first) > 0 && (text[len] == '\0' || text[len] == '=') ? len : 0;
}

static jj_status check_variable(const char *text, jj_error *err)
{
    if (name_len(text) == 0)
        return jj__fail(err, JJ_ERR_INVALID,
                        "env '%.64s' is neither NAME nor NAME=value, where a name is of A-Z a-z "
                        "0-9 _ and does not begin with a digit",
                        text);
    if (strncmp(text, "JOB_", 4) == 0)
        return jj__fail(err, JJ_ERR_INVALID, "env '%.64s' is reserved, as all JOB_*", text);
    return JJ_OK;
}

/* "NAME=value" of what is "NAME" or that itself; NULL: it is not set here, or *failed. */
static char *resolve_variable(struct arena *memory, const char *text, bool *failed)
{
    size_t len = strlen(text);
    const char *value = strchr(text, '=') == NULL ? getenv(text) : NULL;

    if (strchr(text, '=') == NULL && value == NULL)
        return NULL;
    size_t value_size = value == NULL ? 0 : 1 + strlen(value);
    char *variable = jj__arena_alloc(memory, len + value_size + 1);
    if (variable == NULL)
        *failed = true;
    else
        snprintf(variable, len + value_size + 1, "%s%s%s", text, value == NULL ? "" : "=",
                 value == NULL ? "" : value);
    return variable;
}

static char **find_variable(struct exec_program *program, const char *text)
{
    size_t len = name_len(text);

    for (char **variable = program->env; *variable != NULL; variable++)
        if (strncmp(*variable, text, len) == 0 && (*variable)[len] == '=')
            return variable;
    return &program->env[program->env_count];
}

/* One of that name takes the place of an earlier one. False: no memory. */
static bool add_variable(struct exec_program *program, const char *text)
{
    bool failed = false;
    char *variable = resolve_variable(&program->memory, text, &failed);
    if (variable == NULL)
        return !failed;
    char **place = find_variable(program, variable);

    if (*place == NULL)
        program->env_count++;
    *place = variable;
    return true;
}

static jj_status make_env(struct exec_program *program, const char *const *more, jj_error *err)
{
    size_t always = sizeof(always_passed) / sizeof(always_passed[0]);
    size_t count = 0;
    jj_status s = JJ_OK;

    for (; s == JJ_OK && more != NULL && more[count] != NULL; count++)
        s = check_variable(more[count], err);
    if (s != JJ_OK)
        return s;
    program->env = jj__arena_array(&program->memory, always + count + 2, sizeof(char *));
    bool made = program->env != NULL && add_variable(program, DEFAULT_PATH);
    for (size_t i = 0; made && i < always; i++)
        made = add_variable(program, always_passed[i]);
    for (size_t i = 0; made && i < count; i++)
        made = add_variable(program, more[i]);
    return made ? JJ_OK : jj__fail(err, JJ_ERR_NO_MEMORY, "env");
}

/* ---- arguments ---- */

static char *copy(struct arena *memory, const char *text)
{
    return jj__arena_text(memory, text, strlen(text));
}

static jj_status copy_argv(struct exec_program *program, const char *const *argv, jj_error *err)
{
    size_t count = 0;

    if (argv == NULL || argv[0] == NULL || argv[0][0] == '\0')
        return jj__fail(err, JJ_ERR_INVALID, "argv is missing: it is a program and its arguments");
    while (argv[count] != NULL)
        count++;
    program->argv = jj__arena_array(&program->memory, count + 1, sizeof(char *));
    for (size_t i = 0; program->argv != NULL && i < count; i++) {
        program->argv[i] = copy(&program->memory, argv[i]);
        if (program->argv[i] == NULL)
            program->argv = NULL;
    }
    return program->argv != NULL ? JJ_OK : jj__fail(err, JJ_ERR_NO_MEMORY, "argv");
}

static size_t count_chars(const char *text, char c)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += *text == c;
    return count;
}

/* "<folder>/<name>"; an empty folder of PATH would be the current one, and is left out. */
static bool add_path(struct exec_program *program, size_t *count, const char *folder, size_t len)
{
    const char *name = program->argv[0];
    size_t size = len + 1 + strlen(name) + 1;

    if (len == 0)
        return true;
    char *path = jj__arena_alloc(&program->memory, size);
    if (path == NULL)
        return false;
    snprintf(path, size, "%.*s/%s", (int)len, folder, name);
    program->paths[(*count)++] = path;
    return true;
}

/* Where the program may be: at its path, or in each folder of its PATH. */
static jj_status find_paths(struct exec_program *program, jj_error *err)
{
    const char *folder = *find_variable(program, "PATH") + strlen("PATH=");
    size_t count = 0;

    program->paths =
        jj__arena_array(&program->memory, count_chars(folder, ':') + 2, sizeof(char *));
    if (program->paths == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "paths");
    if (strchr(program->argv[0], '/') != NULL) {
        program->paths[0] = program->argv[0];
        return JJ_OK;
    }
    for (;;) {
        size_t len = strcspn(folder, ":");
        if (!add_path(program, &count, folder, len))
            return jj__fail(err, JJ_ERR_NO_MEMORY, "paths");
        if (folder[len] == '\0')
            return JJ_OK;
        folder += len + 1;
    }
}

/* ---- limits ---- */

/* Never more than what this process may allow. Who uses up his time is told so first (SIGXCPU). */
static struct exec_limit make_limit(int resource, int64_t value)
{
    struct exec_limit limit = {.resource = resource};
    rlim_t most = (rlim_t)value;
    struct rlimit ours;

    limit.limit.rlim_cur = most;
    limit.limit.rlim_max = resource == RLIMIT_CPU ? most + XCPU_GRACE_S : most;
    if (getrlimit(resource, &ours) != 0 || ours.rlim_max == RLIM_INFINITY)
        return limit;
    if (limit.limit.rlim_max > ours.rlim_max)
        limit.limit.rlim_max = ours.rlim_max;
    if (limit.limit.rlim_cur > ours.rlim_max)
        limit.limit.rlim_cur = ours.rlim_max;
    return limit;
}

static jj_status add_limits(struct exec_program *program, const jj_exec_options *options,
                            jj_error *err)
{
    const struct {
        const char *name;
        int resource;
        int64_t value;
    } limits[JJ__EXEC_LIMITS] = {
        {"memory_bytes", RLIMIT_AS, options->memory_bytes},
        {"cpu_seconds", RLIMIT_CPU, options->cpu_seconds},
        {"open_files", RLIMIT_NOFILE, options->open_files},
        {"processes", RLIMIT_NPROC, options->processes},
        {"file_bytes", RLIMIT_FSIZE, options->file_bytes},
    };

    for (size_t i = 0; i < JJ__EXEC_LIMITS; i++) {
        if (limits[i].value < 0)
            return jj__fail(err, JJ_ERR_INVALID, "%s is %lld: allowed is 0 (no limit) or more",
                            limits[i].name, (long long)limits[i].value);
        if (limits[i].value > 0)
            program->limits[program->limit_count++] =
                make_limit(limits[i].resource, limits[i].value);
    }
    return JJ_OK;
}

/* ---- all of it ---- */

jj_status jj__exec_program_make(const jj_exec_options *options, struct exec_program *program_out,
                                jj_error *err)
{
    struct exec_program *program = program_out;

    *program = (struct exec_program){.memory = {.max = MEMORY_MAX}};
    if (options == NULL)
        return jj__fail(err, JJ_ERR_INVALID, "exec is missing");
    jj_status s = copy_argv(program, options->argv, err);
    if (s == JJ_OK)
        s = make_env(program, options->env, err);
    if (s == JJ_OK)
        s = find_paths(program, err);
    if (s == JJ_OK)
        s = add_limits(program, options, err);
    if (s == JJ_OK && options->user != NULL)
        s = jj__exec_user_find(options->user, &program->memory, &program->user, err);
    if (s == JJ_OK && options->dir != NULL) {
        program->dir = copy(&program->memory, options->dir);
        if (program->dir == NULL)
            s = jj__fail(err, JJ_ERR_NO_MEMORY, "dir");
    }
    return s;
}

void jj__exec_program_done(struct exec_program *program)
{
    jj__arena_done(&program->memory);
}
