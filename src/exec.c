/* SPDX-License-Identifier: Apache-2.0 */

/* The handler that runs a program: what it is given, and what its end means. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jetjobs/handlers.h>

#include "client.h"
#include "exec_watch.h"
#include "json_write.h"
#include "subject.h"

#define FAILED_FOR_GOOD 100 /* exit status */
#define PUT_OFF_MS      1000
#define TRACEPARENT_MAX 256
#define JOB_VARIABLES   5
#define VARIABLE_SIZE   (TRACEPARENT_MAX + 32)

/* ---- what it is given ---- */

/* The variables of one attempt, behind those of the program. */
struct environment {
    char texts[JOB_VARIABLES][VARIABLE_SIZE];
    char **list; /* ended by NULL */
};

/* Others' headers may hold anything: what is not plain text is no trace context. */
static bool is_plain(const char *text)
{
    size_t len = 0;

    while (text[len] > ' ' && text[len] < 0x7F && len <= TRACEPARENT_MAX)
        len++;
    return len > 0 && len <= TRACEPARENT_MAX && text[len] == '\0';
}

static jj_status make_environment(const struct exec_program *program, const jj_attempt *attempt,
                                  struct environment *environment, jj_error *err)
{
    const char *trace = jj_attempt_header(attempt, JJ__HEADER_TRACEPARENT);
    char(*texts)[VARIABLE_SIZE] = environment->texts;
    size_t count = JOB_VARIABLES;
    char **list = malloc((program->env_count + JOB_VARIABLES + 1) * sizeof(*list));

    if (list == NULL)
        return jj__fail(err, JJ_ERR_UNAVAILABLE, "no memory for an environment");
    snprintf(texts[0], VARIABLE_SIZE, "JOB_ID=%s", jj_attempt_id(attempt));
    snprintf(texts[1], VARIABLE_SIZE, "JOB_NAME=%s", jj_attempt_name(attempt));
    snprintf(texts[2], VARIABLE_SIZE, "JOB_ATTEMPT=%u", (unsigned)jj_attempt_number(attempt));
    snprintf(texts[3], VARIABLE_SIZE, "JOB_MAX_ATTEMPTS=%u", (unsigned)jj_attempt_max(attempt));
    if (trace != NULL && is_plain(trace))
        snprintf(texts[4], VARIABLE_SIZE, "JOB_TRACEPARENT=%s", trace);
    else
        count--;
    memcpy(list, program->env, program->env_count * sizeof(*list));
    for (size_t i = 0; i < count; i++)
        list[program->env_count + i] = texts[i];
    list[program->env_count + count] = NULL;
    environment->list = list;
    return JJ_OK;
}

/* ---- what its end means ---- */

static const char *signal_name(int signal)
{
    static const struct {
        int signal;
        const char *name;
    } names[] = {
        {SIGABRT, "SIGABRT"}, {SIGALRM, "SIGALRM"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
        {SIGHUP, "SIGHUP"},   {SIGILL, "SIGILL"},   {SIGINT, "SIGINT"},   {SIGKILL, "SIGKILL"},
        {SIGPIPE, "SIGPIPE"}, {SIGQUIT, "SIGQUIT"}, {SIGSEGV, "SIGSEGV"}, {SIGSYS, "SIGSYS"},
        {SIGTERM, "SIGTERM"}, {SIGTRAP, "SIGTRAP"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"},
        {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].signal == signal)
            return names[i].name;
    return NULL;
}

/* The error is its last line, as for any end, and the signal is in the log; without a line it is
 * the error itself. */
static jj_verdict judge_signal(jj_attempt *attempt, const struct exec_outcome *outcome)
{
    const char *name = signal_name(outcome->end.status);
    char number[24];

    if (name == NULL) {
        snprintf(number, sizeof(number), "signal %d", outcome->end.status);
        name = number;
    }
    if (outcome->last_error == NULL)
        return jj_retry(attempt, "killed by %s", name);
    jj__ignore(jj_log(attempt, JJ_LOG_WARN, NULL, "killed by %s", name), "only a note");
    return jj_retry(attempt, "%s", outcome->last_error);
}

/* JSON is the result as it is, all else a JSON string. */
static jj_verdict take_result(jj_attempt *attempt, const struct buf *output)
{
    struct buf text = {0};
    size_t len = output->len;

    while (len > 0 && (output->data[len - 1] == '\n' || output->data[len - 1] == '\r'))
        len--;
    if (len == 0 || jj__json_valid(output->data, len))
        return jj_done(attempt, output->data, len);
    jj__json_string(&text, output->data, len);
    jj_verdict verdict = text.failed ? jj_retry(attempt, "no memory for a result of %zu bytes", len)
                                     : jj_done(attempt, text.data, text.len);
    jj__buf_done(&text);
    return verdict;
}

static jj_verdict judge(jj_attempt *attempt, const struct exec_outcome *outcome)
{
    const struct child_end *end = &outcome->end;
    const char *line = outcome->last_error;

    if (outcome->output.beyond_max)
        return jj_fail(attempt, "it printed more than %zu bytes: a result can't be larger",
                       JJ__EXEC_OUTPUT_MAX);
    if (outcome->output.failed)
        return jj_retry(attempt, "no memory for its result");
    if (!end->known)
        return jj_retry(attempt, "how it ended is not known: this process ignores SIGCHLD, or "
                                 "waits for children that are not its own");
    if (end->by_signal)
        return judge_signal(attempt, outcome);
    if (end->status == 0)
        return take_result(attempt, &outcome->output);
    if (end->status == FAILED_FOR_GOOD)
        return line != NULL ? jj_fail(attempt, "%s", line)
                            : jj_fail(attempt, "exit status %d", end->status);
    return line != NULL ? jj_retry(attempt, "%s", line)
                        : jj_retry(attempt, "exit status %d", end->status);
}

/* ---- running it ---- */

static jj_verdict not_started(jj_attempt *attempt, const jj_error *err)
{
    if (err->status != JJ_ERR_UNAVAILABLE)
        return jj_retry(attempt, "%s", err->text);
    jj__ignore(jj_log(attempt, JJ_LOG_WARN, NULL, "put off: %s", err->text), "only a note");
    return jj_snooze(attempt, PUT_OFF_MS);
}

static jj_verdict run(jj_attempt *attempt, void *user)
{
    const struct exec_program *program = user;
    struct environment environment = {0};
    struct exec_outcome outcome;
    struct child child;
    jj_error err;

    jj_status s = make_environment(program, attempt, &environment, &err);
    if (s == JJ_OK)
        s = jj__exec_spawn(program, environment.list, &child, &err);
    free(environment.list);
    if (s != JJ_OK)
        return not_started(attempt, &err);
    jj__exec_watch(&child, attempt, &outcome);
    jj_verdict verdict = judge(attempt, &outcome);
    jj__exec_outcome_done(&outcome);
    return verdict;
}

static void free_program(void *user)
{
    jj__exec_program_done(user);
    free(user);
}

jj_status jj_register_exec(jj_client *client, const char *name, const jj_exec_options *exec,
                           const jj_handler_options *options, jj_error *err)
{
    struct exec_program *program = calloc(1, sizeof(*program));
    const struct registration registration = {
        .name = name, .run = run, .options = options, .user = program, .free_user = free_program};

    if (program == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "handler '%s'", name);
    jj_status s = jj__exec_program_make(exec, program, err);
    if (s == JJ_OK)
        s = jj__client_register(client, &registration, err);
    if (s != JJ_OK)
        free_program(program);
    return s;
}
