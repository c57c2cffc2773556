/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_CONFIG_SCAN_H
#define JJ_CMD_CONFIG_SCAN_H

/* Holds a file against the schema before libcyaml loads it: what libcyaml says about a wrong file
 * does not tell people what is allowed, and it keeps no line numbers. */

#include <stdbool.h>
#include <stddef.h>

#include <jetjobs/status.h>

#include "arena.h"

/* Where a key is: "worker.concurrency", "handlers[0].exec[1]". */
struct config_place {
    const char *key;
    unsigned line; /* from 1 */
    struct config_place *next;
};

struct config_scan {
    struct config_place *places; /* in the arena */
    bool is_empty;               /* the file says nothing at all */
};

/* Read text, which is valid UTF-8. An error is INVALID and begins with "FILE:LINE: ". */
JJ_MUST_CHECK jj_status config_scan_text(const char *file, const char *text, size_t len,
                                         struct arena *arena, struct config_scan *scan_out,
                                         jj_error *err);

/* The line where a key's value begins; 1 if it is not there. */
unsigned config_scan_line(const struct config_scan *scan, const char *key);

#endif
