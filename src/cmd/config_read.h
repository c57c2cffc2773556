/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_CONFIG_READ_H
#define JJ_CMD_CONFIG_READ_H

#include "arena.h"
#include "config.h"
#include "config_scan.h"
#include "config_schema.h"

/* A path as seen from the folder of the configuration; NULL: no memory. */
const char *config_path(const struct config *config, const char *path, struct arena *arena);

/* Fill the configuration with what libcyaml has loaded of the file config->file. Strings stay those
 * of the file; what has to be made is put into the arena. An error is as that of config_load(). */
jj_status config_read(const struct file *file, const struct config_scan *scan, struct arena *arena,
                      struct config *config, jj_error *err);

#endif
