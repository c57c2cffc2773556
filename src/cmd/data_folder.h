/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_DATA_FOLDER_H
#define JJ_CMD_DATA_FOLDER_H

/* The folder of "jetjobs up": who has it, and the server that may have been left behind in it. */

#include <sys/types.h>

#include <jetjobs/status.h>

#define DATA_PATH_SIZE 4200

/* A path in it. */
void data_folder_path(const char *dir, const char *name, char out[DATA_PATH_SIZE]);

/* Make it if need be, and take it; it is ours until the descriptor is closed. STATE: somebody else
 * has it, who is named. */
JJ_MUST_CHECK jj_status data_folder_take(const char *dir, int *lock_fd_out, jj_error *err);

/* Write a file in it. */
JJ_MUST_CHECK jj_status data_folder_write(const char *dir, const char *name, const char *text,
                                          jj_error *err);

/* Note a server that was started in it, or that it has ended; end one that still runs although its
 * jetjobs is gone, and wait for that. */
JJ_MUST_CHECK jj_status data_folder_note_server(const char *dir, pid_t pid, jj_error *err);
void data_folder_forget_server(const char *dir);
void data_folder_end_server(const char *dir);

#endif
