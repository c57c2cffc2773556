/* SPDX-License-Identifier: Apache-2.0 */

/* The folder is ours while its lock is held, which the kernel gives back whatever becomes of us.
 *
 * A server gets SIGTERM from the kernel when we die. Should it live on even so, the next one to use
 * the folder finds it by a note of its pid and of when it was started: only a process for which
 * both hold, since the same boot, is ours to end. */

#include "data_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "status.h"

#define NOTE_SIZE   256
#define STOP_MS     10000
#define LOOK_MS     10
#define SERVER_NOTE "nats-server.pid"
/* After the name: the state is the first, the start the 20th field; see proc(5). */
#define STAT_FORMAT                                                                                \
    " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu"

void data_folder_path(const char *dir, const char *name, char out[DATA_PATH_SIZE])
{
    snprintf(out, DATA_PATH_SIZE, "%s/%s", dir, name);
}

static jj_status fail_path(jj_error *err, const char *path)
{
    return jj__fail_errno(err, JJ_ERR_STORAGE, errno, path);
}

/* As much of a file as fits; false: there is none. */
static bool read_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    ssize_t len = read(fd, out, size - 1);
    close(fd);
    out[len < 0 ? 0 : len] = '\0';
    return len >= 0;
}

jj_status data_folder_take(const char *dir, int *lock_fd_out, jj_error *err)
{
    char path[DATA_PATH_SIZE], note[NOTE_SIZE] = "";

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fail_path(err, dir);
    data_folder_path(dir, "lock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_path(err, path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t len = pread(fd, note, sizeof(note) - 1, 0);
        close(fd);
        note[len < 0 ? 0 : len] = '\0';
        note[strcspn(note, "\n")] = '\0';
        return jj__fail(err, JJ_ERR_STATE, "%.160s is in use by %s", dir,
                        note[0] == '\0' ? "another process" : note);
    }
    snprintf(note, sizeof(note), "pid %ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, note, strlen(note), 0) < 0)
        jj__ignore(ftruncate(fd, 0), "it is only for people");
    *lock_fd_out = fd;
    return JJ_OK;
}

jj_status data_folder_write(const char *dir, const char *name, const char *text, jj_error *err)
{
    char path[DATA_PATH_SIZE];

    data_folder_path(dir, name, path);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return fail_path(err, path);
    bool failed = fputs(text, file) < 0;
    if (fclose(file) != 0 || failed)
        return fail_path(err, path);
    return JJ_OK;
}

/* ---- one that was left behind ---- */

/* What no other process has, nor will have: "<pid> <its start, in ticks> <boot>". "": it is gone.
 */
static void identity_of(pid_t pid, char out[NOTE_SIZE])
{
    char path[64], text[1024], boot[64] = "";
    char state = '?';
    unsigned long long start = 0;

    out[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    if (!read_text(path, text, sizeof(text)) ||
        !read_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)))
        return;
    boot[strcspn(boot, "\n")] = '\0';
    const char *after_name = strrchr(text, ')'); /* a name may hold anything */
    if (after_name != NULL && sscanf(after_name + 1, STAT_FORMAT, &state, &start) == 2 &&
        state != 'Z')
        snprintf(out, NOTE_SIZE, "%ld %llu %s", (long)pid, start, boot);
}

static bool is_alive(pid_t pid, const char *identity)
{
    char now[NOTE_SIZE];

    identity_of(pid, now);
    return strcmp(now, identity) == 0;
}

/* Ask a process to end, then make it. */
static void end_stranger(pid_t pid, const char *identity)
{
    int64_t kill_at_ms = jj__clock_mono_ms() + STOP_MS;

    kill(pid, SIGTERM);
    kill(pid, SIGCONT); /* it may have been held still */
    while (is_alive(pid, identity)) {
        if (jj__clock_mono_ms() > kill_at_ms)
            kill(pid, SIGKILL);
        poll(NULL, 0, LOOK_MS);
    }
}

void data_folder_end_server(const char *dir)
{
    char path[DATA_PATH_SIZE], note[NOTE_SIZE];

    data_folder_path(dir, SERVER_NOTE, path);
    if (!read_text(path, note, sizeof(note)))
        return;
    note[strcspn(note, "\n")] = '\0';
    long pid = strtol(note, NULL, 10);
    if (pid > 1 && is_alive((pid_t)pid, note))
        end_stranger((pid_t)pid, note);
    unlink(path);
}

jj_status data_folder_note_server(const char *dir, pid_t pid, jj_error *err)
{
    char note[NOTE_SIZE];

    identity_of(pid, note);
    return data_folder_write(dir, SERVER_NOTE, note, err);
}

void data_folder_forget_server(const char *dir)
{
    char path[DATA_PATH_SIZE];

    data_folder_path(dir, SERVER_NOTE, path);
    unlink(path);
}
