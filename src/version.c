/* SPDX-License-Identifier: Apache-2.0 */
/* A call and not a macro, so that a program can tell the library it runs from the one it was built
 * against. */

#include <jetjobs/jetjobs.h>

const char *jj_version(void)
{
    return JJ_VERSION;
}
