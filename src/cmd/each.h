/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_EACH_H
#define JJ_CMD_EACH_H

/* Commands that do something to each of several jobs. */

#include "program.h"

/* Call act for each id in argv[1] and further, and print the ids for which it succeeded; with
 * --json {"id":...,"<done>":true|false} for each. Goes on after a failure, unless the broker or the
 * index is gone. Returns the ending of the first failure. */
int each_id(const struct program *program, int argc, char **argv, const char *done,
            jj_status (*act)(jj_client *client, const char *id, jj_error *err));

#endif
