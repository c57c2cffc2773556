/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_STATUS_H
#define JJ_SRC_STATUS_H

#include <jetjobs/status.h>

/* Fill err (may be NULL) and return status, so that a failure is one line. */
jj_status jj__fail(jj_error *err, jj_status status, const char *format, ...) JJ_PRINTF(3, 4);

/* The same for a failed system call: "what: <text of errno_value>". */
jj_status jj__fail_errno(jj_error *err, jj_status status, int errno_value, const char *what);

/* A result ignored on purpose; gcc warns through a (void) cast. The reason is for the reader. */
#define jj__ignore(call, why)                                                                      \
    do {                                                                                           \
        if ((call) != 0) { /* why */                                                               \
        }                                                                                          \
    } while (0)

#endif
