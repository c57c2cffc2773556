/* SPDX-License-Identifier: Apache-2.0 */

/* Where a nats-server may be, and whether it is new enough: it is asked for its version. */

#include "find_server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "status.h"

#define NEEDED        "2.14.4"
#define VERSION_BEGIN "nats-server: v"

extern char **environ;

/* ---- its version ---- */

static ssize_t read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t got = 1;

    while (got > 0 && len < size - 1) {
        got = read(fd, out + len, size - 1 - len);
        if (got > 0)
            len += (size_t)got;
    }
    out[len] = '\0';
    return got;
}

/* Start "PATH --version" with its output on a descriptor; -1: it can't be. */
static pid_t ask_version(const char *path, int output)
{
    char *const argv[] = {(char *)path, (char *)"--version", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t pid = -1;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (posix_spawn(&pid, path, &files, &attributes, argv, environ) != 0)
        pid = -1;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return pid;
}

/* What it says its version is; "" if it does not run, or is something else. */
static void version_of(const char *path, char version_out[SERVER_VERSION_SIZE])
{
    char said[256] = "";
    int ends[2];

    version_out[0] = '\0';
    if (pipe(ends) != 0)
        return;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    pid_t pid = ask_version(path, ends[1]);
    close(ends[1]);
    jj__ignore(read_all(ends[0], said, sizeof(said)) < 0, "then it said nothing");
    close(ends[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    const char *version = strstr(said, VERSION_BEGIN);
    if (version == NULL)
        return;
    version += strlen(VERSION_BEGIN);
    snprintf(version_out, SERVER_VERSION_SIZE, "%.*s", (int)strspn(version, "0123456789."),
             version);
}

static bool is_new_enough(const char *version)
{
    unsigned has[3] = {0}, needed[3] = {0};

    jj__ignore(sscanf(version, "%4u.%4u.%4u", &has[0], &has[1], &has[2]) != 3, "0 where it ends");
    jj__ignore(sscanf(NEEDED, "%4u.%4u.%4u", &needed[0], &needed[1], &needed[2]) != 3, "as above");
    for (int i = 0; i < 3; i++)
        if (has[i] != needed[i])
            return has[i] > needed[i];
    return true;
}

/* ---- where it may be ---- */

static bool will_do(const char *path, struct found_server *found)
{
    if (access(path, X_OK) != 0)
        return false;
    version_of(path, found->version);
    snprintf(found->path, sizeof(found->path), "%s", path);
    return is_new_enough(found->version);
}

static bool on_path(struct found_server *found)
{
    const char *folder = getenv("PATH");

    while (folder != NULL) {
        char path[SERVER_PATH_SIZE];
        size_t len = strcspn(folder, ":");
        snprintf(path, sizeof(path), "%.*s/nats-server", (int)len, folder);
        if (len > 0 && will_do(path, found))
            return true;
        folder = folder[len] == ':' ? folder + len + 1 : NULL;
    }
    return false;
}

static bool in_cache(struct found_server *found)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char path[SERVER_PATH_SIZE];

    if (cache != NULL && cache[0] == '/')
        snprintf(path, sizeof(path), "%s/jetjobs/nats-server", cache);
    else if (home != NULL && home[0] == '/')
        snprintf(path, sizeof(path), "%s/.cache/jetjobs/nats-server", home);
    else
        return false;
    return will_do(path, found);
}

jj_status find_server(struct found_server *found_out, jj_error *err)
{
    const char *named = getenv("NATS_SERVER");

    if (named != NULL && named[0] != '\0') {
        if (will_do(named, found_out))
            return JJ_OK;
        return jj__fail(err, JJ_ERR_INVALID,
                        "NATS_SERVER: '%.120s' is no nats-server " NEEDED " or later", named);
    }
    if (on_path(found_out) || in_cache(found_out))
        return JJ_OK;
    return jj__fail(
        err, JJ_ERR_STATE,
        "no nats-server " NEEDED " or later on PATH or in ~/.cache/jetjobs: install one "
        "(https://nats.io/download), or run broker/get-nats-server of jetjobs' sources");
}
