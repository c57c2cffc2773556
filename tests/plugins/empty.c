/* SPDX-License-Identifier: Apache-2.0 */

/* A shared object that is no plugin. */

int jetjobs_plug(void);

int jetjobs_plug(void)
{
    return 0;
}
