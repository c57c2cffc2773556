/* SPDX-License-Identifier: Apache-2.0 */

/* One slot thread looks after one child: it writes the job's data, reads what the child says, and
 * asks every SLICE_MS whether the attempt is to stop.
 *
 * It is over when the child has ended, whatever its pipes do: a grandchild may hold them open for
 * ever. What is left of the group is killed before the child is reaped, for until then nobody else
 * can have the group's number. Then what the pipes hold is read, and no more: somebody who has left
 * the group may go on writing. */

#include "exec_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <jetjobs/worker.h>

#include "clock.h"
#include "exec_message.h"
#include "lines.h"
#include "utf8.h"

#define SLICE_MS       50
#define KILL_AFTER_MS  5000
#define LINE_MAX_BYTES 65536
#define READ_BYTES     16384

struct watch {
    struct child *child;
    jj_attempt *attempt;
    struct exec_outcome *outcome;
    const char *data; /* to be written */
    size_t left;
    struct lines errors;
    struct lines messages;
    bool ending;        /* it has been told to */
    int64_t kill_at_ms; /* then; INT64_MAX: it has been, or is not ending */
    char bytes[READ_BYTES];
};

/* ---- what it says ---- */

static void take_error(void *ctx, char *line, size_t len, bool cut)
{
    struct watch *watch = ctx;
    struct exec_outcome *outcome = watch->outcome;

    (void)cut; /* a log line is cut anyway */
    for (size_t i = 0; i < len; i++)
        if (line[i] == '\0')
            line[i] = '?';
    jj__ignore(jj_log(watch->attempt, JJ_LOG_INFO, NULL, "%s", line), "no memory: it is lost");
    if (len == 0)
        return;
    free(outcome->last_error);
    outcome->last_error = strdup(line);
}

static void complain(struct watch *watch, char *line, const char *what)
{
    jj__utf8_printable(line);
    jj__ignore(jj_log(watch->attempt, JJ_LOG_WARN, NULL,
                      "a line on descriptor 3 is no message, %s: %.100s", what, line),
               "no memory: it is lost");
}

static jj_status tell(jj_attempt *attempt, const struct exec_message *message)
{
    switch (message->kind) {
    case MESSAGE_PROGRESS:
        return jj_progress(attempt, message->percent, message->text);
    case MESSAGE_EVENT:
        return jj_emit(attempt, message->text, message->data);
    default:
        return jj_log(attempt, message->level, message->data, "%s", message->text);
    }
}

static void pass_on(struct watch *watch, const struct exec_message *message, char *line)
{
    jj_status s = tell(watch->attempt, message);

    if (s == JJ_ERR_INVALID)
        complain(watch, line, "the name of an event has 1 to 256 bytes");
    else if (s == JJ_ERR_TOO_LARGE)
        complain(watch, line, "the broker takes none so large");
}

static void take_message(void *ctx, char *line, size_t len, bool cut)
{
    struct watch *watch = ctx;
    struct exec_message message = {0};
    jj_error err;

    if (cut) {
        complain(watch, line, "it is too long");
        return;
    }
    if (jj__exec_message_read(line, len, &message, &err) != JJ_OK)
        complain(watch, line, err.text);
    else
        pass_on(watch, &message, line);
    jj__exec_message_done(&message);
}

static void take_bytes(struct watch *watch, int pipe, size_t len)
{
    struct buf *output = &watch->outcome->output;

    if (pipe == PIPE_ERR)
        jj__lines_add(&watch->errors, watch->bytes, len, take_error, watch);
    else if (pipe == PIPE_MESSAGES)
        jj__lines_add(&watch->messages, watch->bytes, len, take_message, watch);
    else {
        jj__buf_add(output, watch->bytes, len);
        watch->outcome->too_much |= output->beyond_max;
    }
}

/* ---- its pipes ---- */

/* Read once; returns how much there was, and closes a pipe that has ended. */
static size_t read_some(struct watch *watch, int pipe)
{
    ssize_t got = read(watch->child->fds[pipe], watch->bytes, sizeof(watch->bytes));

    if (got > 0) {
        take_bytes(watch, pipe, (size_t)got);
        return (size_t)got;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        jj__child_close(watch->child, pipe);
    return 0;
}

/* Write what fits; the end of it, or of its reader, closes the pipe. SIGPIPE is blocked here, as
 * all signals are. */
static void write_some(struct watch *watch)
{
    ssize_t put = 0;

    if (watch->left > 0)
        put = write(watch->child->fds[PIPE_IN], watch->data, watch->left);
    if (put < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (put > 0) {
        watch->data += put;
        watch->left -= (size_t)put;
    }
    if (put < 0 || watch->left == 0)
        jj__child_close(watch->child, PIPE_IN);
}

/* What a pipe holds now that its writer has ended; others may go on writing. */
static void read_rest(struct watch *watch, int pipe)
{
    int held = 0;

    if (watch->child->fds[pipe] < 0 || ioctl(watch->child->fds[pipe], FIONREAD, &held) != 0)
        return;
    while (held > 0 && watch->child->fds[pipe] >= 0) {
        size_t got = read_some(watch, pipe);
        held = got == 0 ? 0 : held - (int)got;
    }
}

/* ---- its end ---- */

/* Tell it to end; SIGCONT lets a stopped one hear it. */
static void begin_end(struct watch *watch)
{
    watch->ending = true;
    watch->kill_at_ms = jj__clock_mono_ms() + KILL_AFTER_MS;
    jj__child_signal(watch->child, SIGTERM);
    jj__child_signal(watch->child, SIGCONT);
}

static void see_to_end(struct watch *watch)
{
    if (!watch->ending && (watch->outcome->too_much || jj_attempt_stopping(watch->attempt)))
        begin_end(watch);
    if (jj__clock_mono_ms() >= watch->kill_at_ms) {
        jj__child_signal(watch->child, SIGKILL);
        watch->kill_at_ms = INT64_MAX;
    }
}

static int wait_ms(const struct watch *watch)
{
    int64_t left_ms = jj_attempt_remaining_ms(watch->attempt);
    int64_t kill_ms = watch->kill_at_ms - jj__clock_mono_ms();

    if (watch->ending || left_ms < 0)
        left_ms = SLICE_MS;
    if (kill_ms < left_ms)
        left_ms = kill_ms < 0 ? 0 : kill_ms;
    return left_ms < SLICE_MS ? (int)left_ms : SLICE_MS;
}

/* ---- the watch ---- */

static void wait_for_news(struct watch *watch)
{
    struct child *child = watch->child;
    struct pollfd fds[PIPES + 1];

    for (int i = 0; i < PIPES; i++)
        fds[i] = (struct pollfd){.fd = child->fds[i], .events = i == PIPE_IN ? POLLOUT : POLLIN};
    fds[PIPES] = (struct pollfd){.fd = child->pid_fd, .events = POLLIN};
    if (poll(fds, PIPES + 1, wait_ms(watch)) <= 0)
        return;
    for (int i = 0; i < PIPES; i++) {
        if (fds[i].revents == 0)
            continue;
        if (i == PIPE_IN)
            write_some(watch);
        else
            read_some(watch, i);
    }
}

void jj__exec_watch(struct child *child, jj_attempt *attempt, struct exec_outcome *outcome_out)
{
    struct watch watch = {.child = child,
                          .attempt = attempt,
                          .outcome = outcome_out,
                          .errors = {.buf = {.max = LINE_MAX_BYTES + 1}},
                          .messages = {.buf = {.max = LINE_MAX_BYTES + 1}},
                          .kill_at_ms = INT64_MAX};

    *outcome_out = (struct exec_outcome){.output = {.max = JJ__EXEC_OUTPUT_MAX}};
    watch.data = jj_attempt_data(attempt, &watch.left);
    while (!jj__child_has_ended(child)) {
        wait_for_news(&watch);
        see_to_end(&watch);
    }
    jj__child_signal(child, SIGKILL);
    for (int pipe = PIPE_OUT; pipe < PIPES; pipe++)
        read_rest(&watch, pipe);
    jj__lines_end(&watch.errors, take_error, &watch);
    jj__lines_end(&watch.messages, take_message, &watch);
    outcome_out->end = jj__child_reap(child);
    jj__lines_done(&watch.errors);
    jj__lines_done(&watch.messages);
}

void jj__exec_outcome_done(struct exec_outcome *outcome)
{
    jj__buf_done(&outcome->output);
    free(outcome->last_error);
}
