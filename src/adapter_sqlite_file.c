/* SPDX-License-Identifier: Apache-2.0 */
/* The file before SQLite opens it and after SQLite has closed it: who has it open, whether it is a
 * file at all, whether it needs to be looked through, and how it is moved out of the way. Nothing
 * here may open and close the file while SQLite has it open: that would drop SQLite's locks.
 *
 * <path>-lock is locked with flock, which holds within one process, too, and goes with it. It also
 * says how things stand, for the next one to open it:
 *
 *     pid <pid> on <host>             somebody has it, or died with it
 *     pid <pid> on <host>, copying    the same, while the write-ahead log was copied to the file
 *     closed <inode> <size> <mtime> <ctime>
 *
 * Without its log, the file of a dead process is what it was when the log was copied last, which is
 * good; but not if it died copying.
 *
 * Looking through a large file takes seconds. One that was closed in order needs it only if it was
 * touched since, which its times tell: so that they do even within one tick of the clock, the file
 * is given a time of change in the past when it is closed. */

#include "adapter_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOTE_SIZE 256

static const char *const parts[] = {"", "-wal", "-shm", "-journal"};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void path_of(char out[JJ__SQLITE_PATH_SIZE], const char *path, const char *suffix)
{
    snprintf(out, JJ__SQLITE_PATH_SIZE, "%s%s", path, suffix);
}

static jj_status set_path(struct sqlite_file *file, const char *location, jj_error *err)
{
    if (location == NULL || location[0] == '\0')
        return jj__fail(err, JJ_ERR_INVALID, "the index has no path");
    int len =
        snprintf(file->path, sizeof(file->path), "%s%s", location[0] == '/' ? "" : "./", location);
    if (len < 0 || (size_t)len >= sizeof(file->path))
        return jj__fail(err, JJ_ERR_INVALID, "the path of the index is too long");
    return JJ_OK;
}

/* ---- the lock and the note in it ---- */

static void read_note(int fd, char note[NOTE_SIZE])
{
    ssize_t len = pread(fd, note, NOTE_SIZE - 1, 0);

    note[len < 0 ? 0 : len] = '\0';
    note[strcspn(note, "\n")] = '\0';
}

/* A note that can't be written is an empty one: then the file is looked through next time. */
static void write_note(int fd, const char *note)
{
    size_t len = strlen(note);

    if (ftruncate(fd, 0) == 0 && pwrite(fd, note, len, 0) != (ssize_t)len)
        jj__ignore(ftruncate(fd, 0), "as above");
}

static void write_owner(const struct sqlite_file *file)
{
    char host[128] = "", note[NOTE_SIZE];

    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    snprintf(note, sizeof(note), "pid %ld on %s%s\n", (long)getpid(), host,
             file->copying ? ", copying" : "");
    write_note(file->lock_fd, note);
}

static jj_status fail_in_folder(jj_error *err, const char *path, int error)
{
    const char *slash = strrchr(path, '/');

    if (error == ENOENT || error == ENOTDIR)
        return jj__fail(err, JJ_ERR_STORAGE, "index '%.160s': folder '%.*s' does not exist", path,
                        slash == path ? 1 : (int)(slash - path < 100 ? slash - path : 100), path);
    char what[200];
    snprintf(what, sizeof(what), "index '%.160s'", path);
    return jj__fail_errno(err, JJ_ERR_STORAGE, error, what);
}

static jj_status take_lock(const struct sqlite_file *file, int *fd_out, char note[NOTE_SIZE],
                           jj_error *err)
{
    char path[JJ__SQLITE_PATH_SIZE];

    path_of(path, file->path, "-lock");
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_in_folder(err, file->path, errno);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        read_note(fd, note);
        *fd_out = fd;
        return JJ_OK;
    }
    int error = errno;
    read_note(fd, note);
    close(fd);
    if (error != EWOULDBLOCK)
        return jj__fail_errno(err, JJ_ERR_STORAGE, error, path);
    note[strcspn(note, ",")] = '\0';
    return jj__fail(err, JJ_ERR_STATE, "index '%.160s' is in use by %s", file->path,
                    note[0] == '\0' ? "another process" : note);
}

/* ---- closed in order, and not touched since ---- */

static void note_closed(char note[NOTE_SIZE], const struct stat *info)
{
    snprintf(note, NOTE_SIZE, "closed %ju %jd %jd.%09ld %jd.%09ld\n", (uintmax_t)info->st_ino,
             (intmax_t)info->st_size, (intmax_t)info->st_mtim.tv_sec, info->st_mtim.tv_nsec,
             (intmax_t)info->st_ctim.tv_sec, info->st_ctim.tv_nsec);
}

static bool is_as_closed(const char *note, const struct stat *info)
{
    char now[NOTE_SIZE];

    note_closed(now, info);
    now[strcspn(now, "\n")] = '\0';
    return strcmp(note, now) == 0;
}

static bool has_wal(const struct sqlite_file *file)
{
    char path[JJ__SQLITE_PATH_SIZE];

    path_of(path, file->path, "-wal");
    return access(path, F_OK) == 0;
}

static void seal(const struct sqlite_file *file)
{
    char note[NOTE_SIZE];
    struct stat info;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
    int fd = open(file->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return;
    /* A time that no later change can have. */
    clock_gettime(CLOCK_REALTIME, &times[1]);
    times[1].tv_sec--;
    if (futimens(fd, times) == 0 && fstat(fd, &info) == 0) {
        note_closed(note, &info);
        write_note(file->lock_fd, note);
    }
    close(fd);
}

/* ---- opening and closing ---- */

/* Make the file if it is not there: SQLite would give it another mode. */
static jj_status look_at_file(struct sqlite_file *file, const char *note, jj_error *err)
{
    struct stat info;
    int fd =
        open(file->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    int error = errno;

    if (fd < 0 && (error == ELOOP || error == EISDIR || error == ENXIO))
        return jj__fail(err, JJ_ERR_STORAGE, "index '%.160s' is not a regular file", file->path);
    if (fd < 0)
        return fail_in_folder(err, file->path, error);
    bool failed = fstat(fd, &info) != 0;
    error = errno;
    close(fd);
    if (failed)
        return fail_in_folder(err, file->path, error);
    if (!S_ISREG(info.st_mode))
        return jj__fail(err, JJ_ERR_STORAGE, "index '%.160s' is not a regular file", file->path);

    file->copying = info.st_size > 0 && strstr(note, ", copying") != NULL;
    file->sound = !has_wal(file) && is_as_closed(note, &info);
    if (file->copying && !has_wal(file))
        return jj__fail(err, JJ_ERR_PROTOCOL, "index '%.160s' has lost its write-ahead log",
                        file->path);
    return JJ_OK;
}

jj_status jj__sqlite_file_open(struct sqlite_file *file, const char *location, jj_error *err)
{
    char note[NOTE_SIZE];

    file->lock_fd = -1;
    jj_status s = set_path(file, location, err);
    if (s == JJ_OK)
        s = take_lock(file, &file->lock_fd, note, err);
    if (s != JJ_OK)
        return s;
    s = look_at_file(file, note, err);
    if (s == JJ_OK) {
        write_owner(file);
        return JJ_OK;
    }
    close(file->lock_fd);
    file->lock_fd = -1;
    return s;
}

void jj__sqlite_file_note_copying(struct sqlite_file *file, bool copying)
{
    file->copying = copying;
    write_owner(file);
}

void jj__sqlite_file_close(struct sqlite_file *file, bool ordered)
{
    if (ordered && !has_wal(file))
        seal(file);
    close(file->lock_fd);
    file->lock_fd = -1;
}

/* ---- setting aside ---- */

static bool any_exists(const char *path)
{
    struct stat info;
    char name[JJ__SQLITE_PATH_SIZE];

    for (size_t i = 0; i < PARTS; i++) {
        path_of(name, path, parts[i]);
        if (lstat(name, &info) == 0)
            return true;
    }
    return false;
}

/* A name that nothing has yet. */
static jj_status choose_name(const struct sqlite_file *file, char kept[JJ__SQLITE_PATH_SIZE],
                             jj_error *err)
{
    time_t now = time(NULL);
    struct tm utc;
    char when[32];

    if (gmtime_r(&now, &utc) == NULL || strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &utc) == 0)
        when[0] = '\0';
    snprintf(kept, JJ__SQLITE_PATH_SIZE, "%s.damaged-%s", file->path, when);
    for (int n = 2; any_exists(kept); n++) {
        if (n > 1000)
            return jj__fail(err, JJ_ERR_STORAGE, "there are too many files '%.160s'", kept);
        snprintf(kept, JJ__SQLITE_PATH_SIZE, "%s.damaged-%s-%d", file->path, when, n);
    }
    return JJ_OK;
}

/* The file goes last: as long as it is in its place, this can be done again. */
static jj_status move_parts(const struct sqlite_file *file, const char *kept, jj_error *err)
{
    char from[JJ__SQLITE_PATH_SIZE], to[JJ__SQLITE_PATH_SIZE + 16];

    for (size_t i = PARTS; i-- > 0;) {
        path_of(from, file->path, parts[i]);
        snprintf(to, sizeof(to), "%s%s", kept, parts[i]);
        if (rename(from, to) != 0 && errno != ENOENT)
            return jj__fail_errno(err, JJ_ERR_STORAGE, errno, from);
    }
    return JJ_OK;
}

static jj_status check_regular(const struct sqlite_file *file, jj_error *err)
{
    struct stat info;

    if (lstat(file->path, &info) == 0 && !S_ISREG(info.st_mode))
        return jj__fail(err, JJ_ERR_STORAGE, "index '%.160s' is not a regular file", file->path);
    return JJ_OK;
}

jj_status jj__sqlite_set_aside(const char *location, char *kept_out, size_t kept_size,
                               jj_error *err)
{
    struct sqlite_file file;
    char note[NOTE_SIZE], kept[JJ__SQLITE_PATH_SIZE] = "";
    int fd = -1;
    jj_status s = set_path(&file, location, err);

    if (s == JJ_OK)
        s = take_lock(&file, &fd, note, err);
    if (s == JJ_OK)
        s = check_regular(&file, err);
    if (s == JJ_OK && any_exists(file.path)) {
        s = choose_name(&file, kept, err);
        if (s == JJ_OK)
            s = move_parts(&file, kept, err);
    }
    if (s == JJ_OK) {
        write_note(fd, "");
        if (kept_out != NULL)
            snprintf(kept_out, kept_size, "%s", kept);
    }
    if (fd >= 0)
        close(fd);
    return s;
}
