/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_WORK_H
#define JJ_CMD_WORK_H

/* A worker whose handlers are those of a configuration. */

#include "config.h"

/* Register them on a client, and start it: part_setup.begin, with a struct config. An error in a
 * handler names file and line. */
jj_status work_begin(jj_client *client, void *config, jj_error *err);

#define WORK_NAMES_SIZE 512

/* "a, b, handlers.so": what the configuration has, cut where there is no more room. */
void work_names(const struct config *config, char out[WORK_NAMES_SIZE]);

#endif
