/* SPDX-License-Identifier: Apache-2.0 */

/* The program: options, then a subcommand. */

#include <stdio.h>
#include <string.h>

#include "program.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("jetjobs %s\n", jj_version());
        return ENDING_DONE;
    }
    fputs("usage: jetjobs --version\n", stderr);
    return ENDING_USAGE;
}
