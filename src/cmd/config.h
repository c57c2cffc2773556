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
    const char *name;     /* NULL for a plugin, which names its handlers itself */
    jj_exec_options exec; /* of exec: argv, dir and the like */
    const char *request;  /* subject of a request handler */
    const char *plugin;   /* path of a shared object */
    jj_handler_options options;
    unsigned line; /* in the file, from 1 */
};

/* What a file says, and the defaults for the rest. What it points at lives as long as it does. */
struct config {
    jj_options options;     /* nats, worker, history and streams; no index_path, see below */
    const char *index_path; /* for those who keep an index; never NULL */
    bool index_path_said;   /* the file names it */
    const char *file;       /* as it was named; NULL: none */
    const char *folder;     /* where it is; absolute, "." without a file */
    bool open_to_all;       /* anybody may write to the file */
    bool tells_secret;      /* anybody may read it, and its url says how to get in */
    jj_log_level log_level;
    bool log_json;
    const struct handler_config *handlers;
    size_t handler_count;
    struct config_inner *inner;
};

/* Read a file; path NULL gives the defaults. An error is INVALID, or NO_MEMORY; its text is
 * "FILE:LINE: KEY: what is wrong: what is allowed". Relative
 * paths in the file, and a program with a "/", become absolute, seen from the folder of the file.
 */
JJ_MUST_CHECK jj_status config_load(const char *path, struct config **config_out, jj_error *err);

/* NULL is fine. */
void config_free(struct config *config);

#endif
