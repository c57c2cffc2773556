/* SPDX-License-Identifier: Apache-2.0 */

/* A disk that loses its power: a file system (FUSE) over a folder. It keeps of each file what was
 * synced, and forgets the rest when it ends.
 *
 *     forgetful FOLDER MOUNTPOINT
 *
 * It says "mounted" when it is. SIGTERM is the loss of power; started again on the same folder, it
 * is the machine that comes back. It ends with whoever started it.
 *
 * Reads and writes go through to the files of the folder. Before a file changes, it is noted how to
 * undo that: its size at the last sync, and those bytes that are overwritten or cut off. A sync
 * throws these notes away; the loss of power applies them, the latest first.
 *
 * Names are not forgotten: what is created, renamed or removed is so at once. A file that was never
 * synced is there, then, and empty. */

#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What was there before a change. */
struct note {
    struct note *earlier;
    off_t at;
    size_t len;
    char bytes[];
};

/* One that is open, or has changed since its last sync; whatever its name is by now. */
struct file {
    struct file *next;
    int fd;
    ino_t inode;
    unsigned opens;
    bool changed;       /* since the last sync */
    off_t size;         /* at the last sync, of a changed one */
    struct note *notes; /* the latest first */
};

/* One thread serves all requests. */
static int folder;
static struct file *files;
static bool mounted;

static const char *inside(const char *path)
{
    return path[1] == '\0' ? "." : path + 1;
}

static int result(int outcome)
{
    return outcome < 0 ? -errno : 0;
}

/* ---- what can be undone ---- */

/* All that it holds stays. */
static void settle(struct file *file)
{
    while (file->notes != NULL) {
        struct note *note = file->notes;
        file->notes = note->earlier;
        free(note);
    }
    file->changed = false;
}

static int add_note(struct file *file, off_t at, off_t end)
{
    size_t len = (size_t)(end - at);
    struct note *note = malloc(sizeof(*note) + len);

    if (note == NULL)
        return -ENOMEM;
    *note = (struct note){.earlier = file->notes, .at = at, .len = len};
    if (pread(file->fd, note->bytes, len, at) != (ssize_t)len) {
        free(note);
        return -EIO;
    }
    file->notes = note;
    return 0;
}

/* Before it changes from at to end. What was not there at the last sync need not come back. */
static int before_change(struct file *file, off_t at, off_t end)
{
    struct stat now;

    if (fstat(file->fd, &now) != 0)
        return -errno;
    if (!file->changed)
        file->size = now.st_size;
    file->changed = true;
    if (end > file->size)
        end = file->size;
    if (end > now.st_size)
        end = now.st_size;
    return at < end ? add_note(file, at, end) : 0;
}

static bool undo(const struct file *file)
{
    if (ftruncate(file->fd, file->size) != 0)
        return false;
    for (const struct note *note = file->notes; note != NULL; note = note->earlier)
        if (pwrite(file->fd, note->bytes, note->len, note->at) != (ssize_t)note->len)
            return false;
    return true;
}

static bool forget(void)
{
    for (const struct file *file = files; file != NULL; file = file->next)
        if (file->changed && !undo(file)) {
            perror("undo");
            return false;
        }
    return true;
}

/* ---- files ---- */

static struct file *find(ino_t inode)
{
    struct file *file = files;

    while (file != NULL && file->inode != inode)
        file = file->next;
    return file;
}

/* Takes the descriptor. */
static int add(int fd, ino_t inode, struct file **file_out)
{
    struct file *file = malloc(sizeof(*file));

    if (file == NULL) {
        close(fd);
        return -ENOMEM;
    }
    *file = (struct file){.next = files, .fd = fd, .inode = inode, .opens = 1};
    files = file;
    *file_out = file;
    return 0;
}

/* To be released. */
static int get(const char *path, int flags, mode_t mode, struct file **file_out)
{
    int fd = openat(folder, inside(path), O_RDWR | O_CLOEXEC | flags, mode);
    struct stat info;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &info) != 0) {
        close(fd);
        return -EIO;
    }
    struct file *known = find(info.st_ino);
    if (known == NULL)
        return add(fd, info.st_ino, file_out);
    close(fd);
    known->opens++;
    *file_out = known;
    return 0;
}

static struct file *file_of(const struct fuse_file_info *fi)
{
    return (struct file *)(uintptr_t)fi->fh;
}

static bool has_name(const struct file *file)
{
    struct stat info;

    return fstat(file->fd, &info) == 0 && info.st_nlink > 0;
}

/* Keep those that are in use, or that the loss of power would change. */
static void tidy(void)
{
    struct file **at = &files;

    while (*at != NULL) {
        struct file *file = *at;
        if (file->opens > 0 || (file->changed && has_name(file))) {
            at = &file->next;
            continue;
        }
        *at = file->next;
        settle(file);
        close(file->fd);
        free(file);
    }
}

static void release(struct file *file)
{
    file->opens--;
    tidy();
}

/* ---- requests about files ---- */

static int on_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    struct file *file;
    int error = get(path, O_CREAT, mode, &file);

    if (error == 0)
        fi->fh = (uintptr_t)file;
    return error;
}

/* To cut it is a request of its own. */
static int on_open(const char *path, struct fuse_file_info *fi)
{
    return on_create(path, 0, fi);
}

static int on_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    release(file_of(fi));
    return 0;
}

static int on_read(const char *path, char *bytes, size_t len, off_t at, struct fuse_file_info *fi)
{
    (void)path;
    ssize_t done = pread(file_of(fi)->fd, bytes, len, at);
    return done < 0 ? -errno : (int)done;
}

static int on_write(const char *path, const char *bytes, size_t len, off_t at,
                    struct fuse_file_info *fi)
{
    struct file *file = file_of(fi);
    int error = before_change(file, at, at + (off_t)len);

    (void)path;
    if (error != 0)
        return error;
    ssize_t done = pwrite(file->fd, bytes, len, at);
    if (done < 0)
        return -errno;
    if ((fi->flags & (O_SYNC | O_DSYNC)) != 0)
        settle(file);
    return (int)done;
}

static int on_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    struct file *file;
    int error = 0;

    if (fi != NULL) {
        file = file_of(fi);
        file->opens++;
    } else {
        error = get(path, 0, 0, &file);
    }
    if (error != 0)
        return error;
    error = before_change(file, size, INT64_MAX);
    if (error == 0)
        error = result(ftruncate(file->fd, size));
    release(file);
    return error;
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    (void)path;
    (void)data_only;
    settle(file_of(fi));
    return 0;
}

static int on_getattr(const char *path, struct stat *info, struct fuse_file_info *fi)
{
    if (fi != NULL)
        return result(fstat(file_of(fi)->fd, info));
    return result(fstatat(folder, inside(path), info, AT_SYMLINK_NOFOLLOW));
}

/* ---- requests about names ---- */

static int on_opendir(const char *path, struct fuse_file_info *fi)
{
    int fd = openat(folder, inside(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    fi->fh = (uintptr_t)dir;
    return dir == NULL ? -errno : 0;
}

static int on_readdir(const char *path, void *list, fuse_fill_dir_t fill, off_t at,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    DIR *dir = (DIR *)(uintptr_t)fi->fh;

    (void)path;
    (void)at;
    (void)flags;
    rewinddir(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        fill(list, entry->d_name, NULL, 0, 0);
    return 0;
}

static int on_releasedir(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    return result(closedir((DIR *)(uintptr_t)fi->fh));
}

static int on_mkdir(const char *path, mode_t mode)
{
    return result(mkdirat(folder, inside(path), mode));
}

static int on_rmdir(const char *path)
{
    return result(unlinkat(folder, inside(path), AT_REMOVEDIR));
}

static int on_unlink(const char *path)
{
    int error = result(unlinkat(folder, inside(path), 0));

    tidy();
    return error;
}

static int on_rename(const char *from, const char *to, unsigned flags)
{
    if (flags != 0)
        return -EINVAL;
    int error = result(renameat(folder, inside(from), folder, inside(to)));
    tidy();
    return error;
}

static int on_statfs(const char *path, struct statvfs *info)
{
    (void)path;
    return result(fstatvfs(folder, info));
}

static void *on_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    connection->want &= ~(unsigned)FUSE_CAP_ATOMIC_O_TRUNC;
    config->hard_remove = 1; /* a file that is open needs no name */
    config->nullpath_ok = 1;
    mounted = true;
    puts("mounted");
    fflush(stdout);
    return NULL;
}

static const struct fuse_operations operations = {
    .init = on_init,
    .create = on_create,
    .open = on_open,
    .release = on_release,
    .read = on_read,
    .write = on_write,
    .truncate = on_truncate,
    .fsync = on_fsync,
    .getattr = on_getattr,
    .opendir = on_opendir,
    .readdir = on_readdir,
    .releasedir = on_releasedir,
    .mkdir = on_mkdir,
    .rmdir = on_rmdir,
    .unlink = on_unlink,
    .rename = on_rename,
    .statfs = on_statfs,
};

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s FOLDER MOUNTPOINT\n", argv[0]);
        return 2;
    }
    char *args[] = {argv[0], (char *)"-f", (char *)"-s", argv[2], NULL};

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        perror(argv[1]);
        return 1;
    }
    fuse_main(4, args, &operations, NULL); /* until a signal, of which its result tells */
    return mounted && forget() ? 0 : 1;
}
