/* SPDX-License-Identifier: Apache-2.0 */

/* A program run by a test. Its output is read whenever the test waits for something of it. */

#define _XOPEN_SOURCE 700 /* posix_openpt */

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "wait.h"

extern char **environ; /* POSIX has no header for it */

#define OUTPUT_MAX ((size_t)256 * 1024 * 1024)
#define POLL_MS    20
#define SHOWN      4000

struct process {
    pid_t pid;
    int in;  /* -1: closed */
    int out; /* of a terminal the same as in */
    int err;
    bool terminal;
    bool ended;
    int status;
    struct buf output;
    struct buf errors;
};

/* ---- the child ---- */

static bool same_name(const char *one, const char *other)
{
    size_t len = strcspn(one, "=");

    return strncmp(one, other, len) == 0 && strcspn(other, "=") == len;
}

static bool is_changed(const char *entry, const char *const *changes)
{
    for (; changes != NULL && *changes != NULL; changes++)
        if (same_name(entry, *changes))
            return true;
    return false;
}

/* The test's own environment with these changes on top, the last one of a name; free only the list.
 */
static char **environment_with(const char *const *changes)
{
    size_t own = 0, more = 0, count = 0;

    while (environ[own] != NULL)
        own++;
    while (changes != NULL && changes[more] != NULL)
        more++;
    char **list = calloc(own + more + 1, sizeof(*list));
    assert_non_null(list);
    for (size_t i = 0; i < own; i++)
        if (!is_changed(environ[i], changes))
            list[count++] = environ[i];
    for (size_t i = 0; i < more; i++)
        if (strchr(changes[i], '=') != NULL && !is_changed(changes[i], changes + i + 1))
            list[count++] = (char *)changes[i];
    return list;
}

/* Other threads of the test may have held any lock when it forked: nothing here may take one, which
 * rules out memory. */
static void become(const char *const argv[], const struct process_options *options, char **env,
                   const int fds[3], pid_t parent)
{
    static const char text[] = "the program can't be run\n";

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    if (options->terminal) {
        setsid();
        ioctl(fds[0], TIOCSCTTY, 0);
    }
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    signal(SIGPIPE, SIG_DFL);
    if (options->dir != NULL && chdir(options->dir) != 0)
        _exit(126);
    environ = env;
    execvp(argv[0], (char *const *)argv);
    if (write(2, text, sizeof(text) - 1) < 0)
        _exit(126);
    _exit(127);
}

/* ---- its three files ---- */

static void pipe_of(int *ours, int *its, bool we_write)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    *ours = fds[we_write ? 1 : 0];
    *its = fds[we_write ? 0 : 1];
    assert_int_equal(fcntl(*ours, F_SETFD, FD_CLOEXEC), 0);
}

static void terminal_of(struct process *process, int its[3], unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns == 0 ? 80 : columns};
    int master = posix_openpt(O_RDWR | O_NOCTTY);

    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    assert_int_equal(fcntl(master, F_SETFD, FD_CLOEXEC), 0);
    its[0] = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(its[0] >= 0);
    its[1] = its[2] = its[0];
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    process->in = process->out = master;
    process->err = -1;
}

static void open_files(struct process *process, const struct process_options *options, int its[3])
{
    if (options->terminal) {
        terminal_of(process, its, options->columns);
        return;
    }
    pipe_of(&process->in, &its[0], true);
    assert_int_equal(fcntl(process->in, F_SETFL, O_NONBLOCK), 0);
    pipe_of(&process->out, &its[1], false);
    pipe_of(&process->err, &its[2], false);
}

struct process *process_start(const char *const argv[], const struct process_options *options)
{
    const struct process_options none = {0};
    struct process *process = calloc(1, sizeof(*process));
    pid_t parent = getpid();
    int its[3];

    assert_non_null(process);
    if (options == NULL)
        options = &none;
    char **env = environment_with(options->env);
    process->output.max = process->errors.max = OUTPUT_MAX;
    process->terminal = options->terminal;
    open_files(process, options, its);
    signal(SIGPIPE, SIG_IGN);
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid == 0)
        become(argv, options, env, its, parent);
    free(env);
    for (int i = 0; i < (options->terminal ? 1 : 3); i++)
        close(its[i]);
    if (options->input != NULL)
        process_type(process, options->input);
    if (!options->terminal && !options->keep_input)
        process_close_input(process);
    return process;
}

/* ---- reading ---- */

/* Take what is there; false at its end. */
static bool take(int *fd, struct buf *buf)
{
    char bytes[65536];
    ssize_t got = *fd < 0 ? 0 : read(*fd, bytes, sizeof(bytes));

    if (got > 0) {
        jj__buf_add(buf, bytes, (size_t)got);
        assert_false(buf->failed);
        return true;
    }
    return got < 0 && errno == EINTR;
}

/* Read what comes within a moment. False: there will be no more. */
static bool pump(struct process *process, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = process->out, .events = POLLIN},
                            {.fd = process->err, .events = POLLIN}};

    if (process->out < 0 && process->err < 0)
        return false;
    if (poll(fds, 2, timeout_ms) <= 0)
        return true;
    if (fds[0].revents != 0 && !take(&process->out, &process->output)) {
        if (!process->terminal)
            close(process->out);
        process->out = -1;
    }
    if (fds[1].revents != 0 && !take(&process->err, &process->errors)) {
        close(process->err);
        process->err = -1;
    }
    return true;
}

static const char *text_of(struct buf *buf)
{
    char *end = jj__buf_reserve(buf, 1);

    assert_non_null(end);
    *end = '\0';
    return buf->data;
}

const char *process_output(struct process *process)
{
    return text_of(&process->output);
}

size_t process_output_len(struct process *process)
{
    return process->output.len;
}

const char *process_errors(struct process *process)
{
    return text_of(&process->errors);
}

static bool wait_text(struct process *process, struct buf *buf, const char *text)
{
    int64_t deadline_ms = jj__clock_mono_ms() + WAIT_MS;

    while (strstr(text_of(buf), text) == NULL) {
        if (jj__clock_mono_ms() > deadline_ms)
            return false;
        if (!pump(process, POLL_MS))
            return strstr(text_of(buf), text) != NULL;
    }
    return true;
}

bool process_wait_output(struct process *process, const char *text)
{
    return wait_text(process, &process->output, text);
}

bool process_wait_errors(struct process *process, const char *text)
{
    return wait_text(process, &process->errors, text);
}

void process_look(struct process *process)
{
    pump(process, 0);
}

/* It holds much, and that does not grow any more. */
bool process_wait_full(struct process *process)
{
    int64_t deadline_ms = jj__clock_mono_ms() + WAIT_MS;
    int held = 0;
    int same = 0;

    while (same < 100 && jj__clock_mono_ms() < deadline_ms) {
        int now = 0;
        wait_a_moment();
        assert_int_equal(ioctl(process->out, FIONREAD, &now), 0);
        same = now == held && now > 48 * 1024 ? same + 1 : 0;
        held = now;
    }
    return same == 100;
}

/* ---- what is done to it ---- */

/* It may want to be read before it goes on reading. */
void process_type(struct process *process, const char *text)
{
    int64_t deadline_ms = jj__clock_mono_ms() + WAIT_MS;
    size_t len = strlen(text);

    while (len > 0 && process->in >= 0) {
        ssize_t put = write(process->in, text, len);
        if (put < 0 && errno == EPIPE)
            return; /* it does not want to read */
        assert_true(put > 0 || (errno == EAGAIN && jj__clock_mono_ms() < deadline_ms));
        if (put < 0) {
            pump(process, 1);
            continue;
        }
        text += put;
        len -= (size_t)put;
    }
}

void process_close_input(struct process *process)
{
    if (process->in >= 0 && !process->terminal)
        close(process->in);
    process->in = -1;
}

void process_close_output(struct process *process)
{
    if (process->out >= 0)
        close(process->out);
    process->out = -1;
}

void process_hang_up(struct process *process)
{
    if (process->in >= 0)
        close(process->in);
    process->in = process->out = -1;
}

void process_signal(struct process *process, int signal)
{
    assert_int_equal(kill(process->pid, signal), 0);
}

pid_t process_pid(const struct process *process)
{
    return process->pid;
}

/* ---- its end ---- */

static bool is_readable(const struct process *process)
{
    struct pollfd fds[2] = {{.fd = process->out, .events = POLLIN},
                            {.fd = process->err, .events = POLLIN}};

    return poll(fds, 2, 0) > 0;
}

static bool has_ended(struct process *process)
{
    if (!process->ended && waitpid(process->pid, &process->status, WNOHANG) == process->pid)
        process->ended = true;
    return process->ended;
}

bool process_ends_unread(struct process *process)
{
    int64_t deadline_ms = jj__clock_mono_ms() + WAIT_MS;

    while (!has_ended(process) && jj__clock_mono_ms() < deadline_ms)
        wait_a_moment();
    return process->ended;
}

int process_wait(struct process *process, int64_t limit_ms)
{
    int64_t deadline_ms = jj__clock_mono_ms() + (limit_ms == 0 ? WAIT_MS : limit_ms);

    while (!has_ended(process)) {
        if (jj__clock_mono_ms() > deadline_ms)
            fail_msg("it does not end, and has said: %.*s\n%.*s", SHOWN, process_output(process),
                     SHOWN, process_errors(process));
        if (!pump(process, POLL_MS))
            wait_a_moment();
    }
    while (is_readable(process))
        pump(process, 0); /* what a grandchild may still hold open is not waited for */
    return WIFEXITED(process->status) ? WEXITSTATUS(process->status) : -WTERMSIG(process->status);
}

void process_free(struct process *process)
{
    if (process == NULL)
        return;
    if (!has_ended(process)) {
        kill(process->pid, SIGKILL);
        waitpid(process->pid, NULL, 0);
    }
    if (process->in >= 0)
        close(process->in);
    if (process->out >= 0 && process->out != process->in)
        close(process->out);
    if (process->err >= 0)
        close(process->err);
    jj__buf_done(&process->output);
    jj__buf_done(&process->errors);
    free(process);
}

int process_run(const char *const argv[], struct process **process_out)
{
    struct process *process = process_start(argv, NULL);
    int status = process_wait(process, 0);

    if (process_out != NULL)
        *process_out = process;
    else
        process_free(process);
    return status;
}
