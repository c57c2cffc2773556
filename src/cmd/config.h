/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_CONFIG_H
#define JJ_CMD_CONFIG_H

/* The configuration file: YAML, read by libcyaml against a schema, then checked. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/jetjobs.h>

enum handler_kind { HANDLER_EXEC, HANDLER_REQUEST, HANDLER_PLUGIN };

/* One entry of "handlers". */
struct handler_config {
    enum handler_kind kind;
    const char *name;        /* NULL for a plugin, which names its handlers itself */
    const char *const *argv; /* of exec, ended by NULL */
    const char *request;     /* subject of a request handler */
    const char *plugin;      /* path of a shared object */
    jj_handler_options options;
    unsigned line; /* in the file, from 1 */
};

/* What a file says, and the defaults for the rest. Opaque strings live as long as it does. */
struct config {
    jj_options options; /* nats, worker, index (path: index_path), streams */
    jj_log_level log_level;
    bool log_json;
    const struct handler_config *handlers;
    size_t handler_count;
    void *inner;
};

/* Read a file; path NULL gives the defaults. An error is JJ_ERR_INVALID, or NOT_FOUND for a file
 * that is not there; its text is "FILE:LINE: KEY: what is wrong: what is allowed". Paths in a file
 * are relative to the folder of that file. */
JJ_MUST_CHECK jj_status config_load(const char *path, struct config **config_out, jj_error *err);
void config_free(struct config *config);

#endif
