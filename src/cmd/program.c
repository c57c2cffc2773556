/* SPDX-License-Identifier: Apache-2.0 */

/* What all subcommands share. */

#include "program.h"

#include <stdio.h>

int program_fail(const jj_error *err)
{
    fprintf(stderr, "jetjobs: %s\n", err->text);
    switch (err->status) {
    case JJ_ERR_INVALID:
        return ENDING_USAGE;
    case JJ_ERR_NOT_FOUND:
        return ENDING_NOT_FOUND;
    case JJ_ERR_UNAVAILABLE:
        return ENDING_NO_BROKER;
    default:
        return ENDING_FAILED;
    }
}
