/* SPDX-License-Identifier: Apache-2.0 */

/* Starting a process out of one that has many threads, open databases, and perhaps a gigabyte of
 * memory.
 *
 * The child is made by vfork(): it runs on our memory while the thread that made it is held, so
 * nothing is copied, however large we are. In return it may only make system calls: no malloc, no
 * locks, no library call that looks at threads, and no signal handler of ours may run in it. So
 * all signals are blocked around it, and their dispositions are set back (which are its own) before
 * its mask is. What goes wrong in it comes back through a pipe that a successful exec closes. */

#define _GNU_SOURCE /* pipe2(), vfork(), syscall() */

#include "exec_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "status.h"

#define TROUBLE_FD  PIPES       /* where the child writes what went wrong */
#define FIRST_FREE  (PIPES + 1) /* of its descriptors: from here on all are closed */
#define UMASK       022
#define CLOSE_LIMIT 65536 /* where the kernel can't close a range */

#ifndef SYS_setgroups32
#define SYS_setgroups32 SYS_setgroups
#define SYS_setresgid32 SYS_setresgid
#define SYS_setresuid32 SYS_setresuid
#endif

enum step { STEP_DIR, STEP_LIMITS, STEP_USER, STEP_EXEC };

struct trouble {
    enum step step;
    int error;
};

/* What the child needs, all of it made ready before. */
struct start {
    const struct exec_program *program;
    char *const *env;
    int fds[PIPES]; /* its ends */
    int trouble_fd;
    pid_t parent;
};

/* ---- in the child: system calls only ---- */

static _Noreturn void give_up(enum step step)
{
    const struct trouble trouble = {step, errno};

    while (write(TROUBLE_FD, &trouble, sizeof(trouble)) < 0 && errno == EINTR)
        ;
    _exit(127);
}

static void set_signals_back(void)
{
    struct sigaction fallback = {.sa_handler = SIG_DFL};

    for (int signal = 1; signal < NSIG; signal++)
        sigaction(signal, &fallback, NULL); /* some can't be set: they are as they should be */
}

/* Our ends lie above FIRST_FREE, so none is overwritten before it is used. */
static void arrange_descriptors(const struct start *start)
{
    for (int fd = 0; fd < PIPES; fd++)
        dup2(start->fds[fd], fd);
    dup2(start->trouble_fd, TROUBLE_FD);
    fcntl(TROUBLE_FD, F_SETFD, FD_CLOEXEC);
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)FIRST_FREE, ~0u, 0) == 0)
        return;
#endif
    for (int fd = FIRST_FREE; fd < CLOSE_LIMIT; fd++)
        close(fd);
}

/* By system call, as the C library would ask all threads of ours to do the same. */
static void become_user(const struct exec_user *user)
{
    if (syscall(SYS_setgroups32, user->group_count, user->groups) != 0 ||
        syscall(SYS_setresgid32, user->gid, user->gid, user->gid) != 0 ||
        syscall(SYS_setresuid32, user->uid, user->uid, user->uid) != 0)
        give_up(STEP_USER);
}

/* Whoever has no slash in its name is looked for; a file that may not be run does not end that. */
static _Noreturn void run_program(const struct start *start)
{
    const struct exec_program *program = start->program;
    int denied = 0;

    errno = ENOENT;
    for (char *const *path = program->paths; *path != NULL; path++) {
        execve(*path, program->argv, start->env);
        if (errno == EACCES)
            denied = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            give_up(STEP_EXEC);
    }
    if (denied != 0)
        errno = denied;
    give_up(STEP_EXEC);
}

static _Noreturn void become_program(const struct start *start)
{
    const struct exec_program *program = start->program;
    sigset_t none;

    set_signals_back();
    setsid(); /* a session: so no terminal can stop it, and a group, which is killed as one */
    arrange_descriptors(start);
    umask(UMASK);
    if (program->dir != NULL && chdir(program->dir) != 0)
        give_up(STEP_DIR);
    for (size_t i = 0; i < program->limit_count; i++)
        if (setrlimit(program->limits[i].resource, &program->limits[i].limit) != 0)
            give_up(STEP_LIMITS);
    if (program->user != NULL)
        become_user(program->user);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->parent)
        _exit(127); /* we are killed already */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    run_program(start);
}

/* ---- around it ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A pipe whose ends lie beyond the descriptors that the child will have. */
static bool open_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= FIRST_FREE)
            continue;
        int moved = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FREE);
        if (moved < 0) {
            int error = errno;
            close(fds[0]);
            close(fds[1]);
            errno = error;
            return false;
        }
        close(fds[i]);
        fds[i] = moved;
    }
    return true;
}

/* The four pipes: ours never block, those of the child do. */
static bool open_pipes(struct child *child, struct start *start)
{
    for (int i = 0; i < PIPES; i++) {
        int fds[2];
        if (!open_pipe(fds))
            return false;
        child->fds[i] = fds[i == PIPE_IN ? 1 : 0];
        start->fds[i] = fds[i == PIPE_IN ? 0 : 1];
        if (fcntl(child->fds[i], F_SETFL, O_NONBLOCK) != 0)
            return false;
    }
    return true;
}

/* In a function of its own, so that no variable lives across the call that returns twice. */
static pid_t make_process(const struct start *start)
{
    /* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork): see the top of this file */
    pid_t pid = vfork();

    if (pid == 0)
        become_program(start);
    return pid;
}

static pid_t make_child(const struct start *start)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = make_process(start);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

static bool is_scarcity(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

static jj_status say_trouble(const struct exec_program *program, const struct trouble *trouble,
                             jj_error *err)
{
    jj_status status = is_scarcity(trouble->error) ? JJ_ERR_UNAVAILABLE : JJ_ERR_STATE;
    const char *name = program->argv[0];
    char what[200];

    if (trouble->step == STEP_DIR)
        snprintf(what, sizeof(what), "can't start %.80s in folder %.80s", name, program->dir);
    else if (trouble->step == STEP_LIMITS)
        snprintf(what, sizeof(what), "can't set the limits of %.80s", name);
    else if (trouble->step == STEP_USER)
        snprintf(what, sizeof(what), "can't start %.80s as its user", name);
    else if (trouble->error == ENOENT && program->paths[0] == program->argv[0] &&
             program->dir == NULL && access(name, F_OK) == 0)
        snprintf(what, sizeof(what), "can't start %.80s: its interpreter is missing", name);
    else
        snprintf(what, sizeof(what), "can't start %.80s", name);
    return jj__fail_errno(err, status, trouble->error, what);
}

/* Wait until the child has become the program, or has told what keeps it from that. */
static jj_status await_start(const struct exec_program *program, int fd, jj_error *err)
{
    struct trouble trouble;
    ssize_t got;

    do
        got = read(fd, &trouble, sizeof(trouble));
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(trouble))
        return JJ_OK;
    return say_trouble(program, &trouble, err);
}

static void close_ends(int fds[PIPES])
{
    for (int i = 0; i < PIPES; i++)
        close_fd(&fds[i]);
}

static jj_status out_of(const char *what, jj_error *err)
{
    return jj__fail_errno(err, JJ_ERR_UNAVAILABLE, errno, what);
}

static jj_status start_child(struct start *start, struct child *child, int trouble_fd,
                             jj_error *err)
{
    child->pid = make_child(start);
    if (child->pid < 0)
        return out_of("no new process", err);
    close_fd(&start->trouble_fd);
    jj_status s = await_start(start->program, trouble_fd, err);
    if (s != JJ_OK)
        jj__child_reap(child);
    return s;
}

jj_status jj__exec_spawn(const struct exec_program *program, char *const *env,
                         struct child *child_out, jj_error *err)
{
    struct child child = {.pid_fd = -1, .fds = {-1, -1, -1, -1}};
    struct start start = {
        .program = program, .env = env, .fds = {-1, -1, -1, -1}, .parent = getpid()};
    int trouble[2];

    if (!open_pipe(trouble))
        return out_of("no new pipe", err);
    start.trouble_fd = trouble[1];
    jj_status s = open_pipes(&child, &start) ? start_child(&start, &child, trouble[0], err)
                                             : out_of("no new pipe", err);
    close_ends(start.fds);
    close_fd(&start.trouble_fd);
    close(trouble[0]);
    if (s != JJ_OK) {
        close_ends(child.fds);
        return s;
    }
#ifdef SYS_pidfd_open
    child.pid_fd = (int)syscall(SYS_pidfd_open, child.pid, 0);
#endif
    *child_out = child;
    return JJ_OK;
}

/* ---- what becomes of it ---- */

bool jj__child_has_ended(const struct child *child)
{
    struct pollfd ended = {.fd = child->pid_fd, .events = POLLIN};
    siginfo_t info = {0};

    if (child->pid_fd >= 0)
        return poll(&ended, 1, 0) == 1;
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return errno == ECHILD;
    return info.si_pid == child->pid;
}

void jj__child_signal(const struct child *child, int signal)
{
    kill(-child->pid, signal); /* none left: then there is nothing to do */
}

void jj__child_close(struct child *child, int pipe)
{
    close_fd(&child->fds[pipe]);
}

struct child_end jj__child_reap(struct child *child)
{
    siginfo_t info = {0};
    int failed;

    close_ends(child->fds);
    close_fd(&child->pid_fd);
    do
        failed = waitid(P_PID, (id_t)child->pid, &info, WEXITED);
    while (failed != 0 && errno == EINTR);
    if (failed != 0)
        return (struct child_end){.known = false};
    return (struct child_end){
        .known = true, .by_signal = info.si_code != CLD_EXITED, .status = info.si_status};
}
