/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_EXEC_USER_H
#define JJ_SRC_EXEC_USER_H

#include "exec_program.h"

/* Look up whom a program is to run as; all of it in memory. INVALID: there is no such user;
 * NOT_PERMITTED: we are not root and not that user, who is then *user_out NULL. */
jj_status jj__exec_user_find(const char *name, struct arena *memory,
                             const struct exec_user **user_out, jj_error *err);

#endif
