/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_MOUNTS_H
#define JJ_TESTS_SUPPORT_MOUNTS_H

/* From now on, what this thread and those that it starts mount is seen by them alone, and is gone
 * with the last of them, however they end. Fails the test where that is not allowed. */
void mounts_of_our_own(void);

#endif
