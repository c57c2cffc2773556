/* SPDX-License-Identifier: Apache-2.0 */

/* Loads a configuration file: held against the schema (config_scan.c), loaded by libcyaml, and read
 * for what its values mean (config_read.c). */

#define _XOPEN_SOURCE 700 /* realpath */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "config_read.h"
#include "status.h"
#include "utf8.h"

#define INDEX_PATH "jetjobs.db"
#define FILE_MAX   ((size_t)1024 * 1024)
#define MEMORY_MAX ((size_t)64 * 1024 * 1024)

struct config_inner {
    struct arena arena;
    struct file *file; /* of libcyaml; NULL: it says nothing */
};

static const cyaml_config_t loading = {.mem_fn = cyaml_mem,
                                       .flags = CYAML_CFG_NO_ALIAS | CYAML_CFG_DEFAULT};

/* ---- the file ---- */

/* What others may do with it; pipes and the like are whoever's has them. */
static void look_at_mode(int fd, struct config *config)
{
    struct stat facts;

    if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode))
        return;
    config->open_to_all = (facts.st_mode & S_IWOTH) != 0;
    config->tells_secret = (facts.st_mode & S_IROTH) != 0;
}

/* All of it; errors name it, and no line. */
static jj_status read_file(const char *path, struct config *config, struct buf *text, jj_error *err)
{
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return jj__fail_errno(err, JJ_ERR_INVALID, errno, path);
    look_at_mode(fd, config);
    while (got > 0 && !text->failed) {
        char bytes[4096];
        got = read(fd, bytes, sizeof(bytes));
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            jj__buf_add(text, bytes, (size_t)got);
    }
    int failure = errno;
    close(fd);
    if (got < 0)
        return jj__fail_errno(err, JJ_ERR_INVALID, failure, path);
    if (text->beyond_max)
        return jj__fail(err, JJ_ERR_INVALID, "%s: too large: at most %zu bytes", path, FILE_MAX);
    return text->failed ? jj__fail(err, JJ_ERR_NO_MEMORY, "configuration") : JJ_OK;
}

/* Text in UTF-8, without control characters. */
static jj_status check_text(const char *file, const struct buf *text, jj_error *err)
{
    unsigned line = 1;

    for (size_t at = 0; at < text->len;) {
        size_t len = jj__utf8_len(text->data + at, text->len - at);
        unsigned char byte = (unsigned char)text->data[at];
        if (len == 0)
            return jj__fail(err, JJ_ERR_INVALID, "%s:%u: not text in UTF-8", file, line);
        if ((byte < ' ' && strchr("\t\n\r", byte) == NULL) || byte == '\0' || byte == 0x7F)
            return jj__fail(err, JJ_ERR_INVALID, "%s:%u: a control character (0x%02x)", file, line,
                            byte);
        if (byte == '\n')
            line++;
        at += len;
    }
    return JJ_OK;
}

static jj_status load(struct config *config, const struct buf *text, jj_error *err)
{
    struct config_inner *inner = config->inner;
    struct config_scan scan = {0};

    if (text->len == 0)
        return JJ_OK;
    jj_status s = check_text(config->file, text, err);
    if (s == JJ_OK)
        s = config_scan_text(config->file, text->data, text->len, &inner->arena, &scan, err);
    if (s != JJ_OK || scan.is_empty)
        return s;
    cyaml_err_t failure = cyaml_load_data((const uint8_t *)text->data, text->len, &loading,
                                          &config_schema, (cyaml_data_t **)&inner->file, NULL);
    if (failure == CYAML_ERR_OOM)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "configuration");
    if (failure != CYAML_OK)
        return jj__fail(err, JJ_ERR_INVALID, "%s: %s", config->file, cyaml_strerror(failure));
    return inner->file == NULL ? JJ_OK
                               : config_read(inner->file, &scan, &inner->arena, config, err);
}

/* The folder that a path is in. */
static const char *folder_of(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    char *folder = jj__arena_text(arena, slash == NULL ? "." : path, len);
    char *real = folder == NULL ? NULL : realpath(folder, NULL);

    if (real != NULL)
        folder = jj__arena_text(arena, real, strlen(real));
    free(real);
    return folder;
}

const char *config_path(const struct config *config, const char *path, struct arena *arena)
{
    if (path[0] == '/' || config->file == NULL)
        return path;
    size_t size = strlen(config->folder) + 1 + strlen(path) + 1;
    char *joined = jj__arena_alloc(arena, size);
    if (joined != NULL)
        snprintf(joined, size, "%s/%s", config->folder, path);
    return joined;
}

/* A user and a password, or a token. */
static bool has_secret(const char *url)
{
    return url != NULL && strchr(url, '@') != NULL;
}

static jj_status load_path(const char *path, struct config *config, jj_error *err)
{
    struct arena *arena = &config->inner->arena;
    struct buf text = {.max = FILE_MAX};

    config->file = jj__arena_text(arena, path, strlen(path));
    config->folder = folder_of(path, arena);
    config->index_path = NULL;
    if (config->file != NULL && config->folder != NULL)
        config->index_path = config_path(config, INDEX_PATH, arena);
    if (config->index_path == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "configuration");
    jj_status s = read_file(path, config, &text, err);
    if (s == JJ_OK)
        s = load(config, &text, err);
    config->tells_secret &= has_secret(config->options.url);
    jj__buf_done(&text);
    return s;
}

jj_status config_load(const char *path, struct config **config_out, jj_error *err)
{
    struct config *config = calloc(1, sizeof(*config));
    struct config_inner *inner = calloc(1, sizeof(*inner));
    if (config == NULL || inner == NULL) {
        free(config);
        free(inner);
        return jj__fail(err, JJ_ERR_NO_MEMORY, "configuration");
    }
    inner->arena.max = MEMORY_MAX;
    config->inner = inner;
    config->log_level = JJ_LOG_INFO;
    config->folder = ".";
    config->index_path = INDEX_PATH;

    jj_status s = path == NULL ? JJ_OK : load_path(path, config, err);
    if (s != JJ_OK) {
        config_free(config);
        return s;
    }
    *config_out = config;
    return JJ_OK;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    cyaml_free(&loading, &config_schema, config->inner->file, 0);
    jj__arena_done(&config->inner->arena);
    free(config->inner);
    free(config);
}
