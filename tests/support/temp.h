/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_TEMP_H
#define JJ_TESTS_SUPPORT_TEMP_H

/* Long enough for any path that is made here. */
#define TEMP_PATH_SIZE 256

/* Make a folder of one's own under $TMPDIR or /tmp; fails the test if that can't be. */
void temp_dir_make(char out[TEMP_PATH_SIZE]);

/* Remove a folder with all that is in it. Nothing happens for "" or one that is gone. With
 * JETJOBS_TEST_KEEP in the environment it stays, and its path is printed. */
void temp_dir_remove(const char *path);

#endif
