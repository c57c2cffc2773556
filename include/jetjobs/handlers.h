/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_HANDLERS_H
#define JETJOBS_HANDLERS_H

/** @file
 *  Handlers that are not C functions of this program: a program that is run for each job, and what
 * a plugin brings. What all handlers have in common is in worker.h. */

#include <stdint.h>

#include <jetjobs/client.h>
#include <jetjobs/status.h>
#include <jetjobs/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A program that is run for each attempt of a job, as a process of its own. Zero means the
 *  default. All is borrowed for the call. Fields are only ever added at the end.
 *
 *  The job's data is its standard input. It gets JOB_ID, JOB_NAME, JOB_ATTEMPT, JOB_MAX_ATTEMPTS
 *  and, where the job has one, JOB_TRACEPARENT in its environment. What it tells:
 *
 *  - standard output is the result: as it is if it is JSON, else as a JSON string, without line
 *    ends at its end. More than 512 KiB fail the job for good;
 *  - each line on standard error is a log line of level info;
 *  - each line on descriptor 3 is a message, a JSON object of one of these kinds:
 *    {"progress":40,"message":".."}, {"event":"..","data":..}, {"log":"..","level":"warn",
 *    "data":..}.
 *
 *  Exit status 0 is done, 100 is failed for good, all else is a failed attempt, whose error is the
 *  last line on standard error. The process leads a session and a process group of its own. The
 *  group gets SIGTERM when jj_attempt_stopping() would be true, and SIGKILL 5 s later; what is left
 *  of the group when the program has ended is killed. There is no shell, and all descriptors but 0
 *  to 3 are closed. */
typedef struct jj_exec_options {
    const char *const *argv; /**< the program and its arguments, ended by NULL; needed. A name
                                without a slash is looked for in PATH, a relative path counts from
                                dir */
    const char *dir;         /**< the folder it starts in; that of this process */
    const char *const *env;  /**< more of its environment, ended by NULL: "NAME" is passed on as it
                                is here, "NAME=value" is set. PATH, HOME, LANG, LC_ALL and TZ are
                                always passed on, the rest never; none */
    const char *user;        /**< whom it runs as, with all groups of that user; this process's
                                user. Needs root */
    int64_t memory_bytes;    /**< of address space for each of its processes; no limit */
    int64_t cpu_seconds;     /**< of processor time for each of its processes; no limit */
    int64_t open_files;      /**< descriptors for each of its processes; no limit but ours */
    int64_t processes;       /**< of its user at once, all that run included; no limit but ours */
    int64_t file_bytes;      /**< of any file that it writes; no limit */
} jj_exec_options;

/** Have a program run the jobs of a name. Before jj_start().
 *
 *  A program that can't be started is a failed attempt that says why; where it is this system that
 *  has no more processes, descriptors or memory, the job is put off and costs no attempt.
 *
 *  The program's own wait() for any child, and SIGCHLD ignored, take away how a child has ended:
 *  that is a failed attempt then.
 *  @param client   open client
 *  @param name     of the jobs
 *  @param exec     the program
 *  @param options  NULL for all defaults; borrowed for the call
 *  @param err      NULL, or filled on failure
 *  @return JJ_OK; INVALID: the name, an option, or a user that there is not; NOT_PERMITTED: to run
 *          as that user; EXISTS: the name has a handler; STATE: started
 *
 *  Threads: any. */
JJ_API JJ_MUST_CHECK jj_status jj_register_exec(jj_client *client, const char *name,
                                                const jj_exec_options *exec,
                                                const jj_handler_options *options, jj_error *err);

/** Have a service run the jobs of a name: the job goes as a request to a subject, and the answer is
 *  its end. Before jj_start().
 *
 *  The body is the job's data, the headers are the job's, with Job-Name and Job-Attempt beside
 *  them; broker/README.md shows one. An answer without Nats-Service-Error-Code completes the job,
 *  and its body is the result; a code from 400 to 499 fails it for good; one from 500 to 599, no
 *  answer in time, or nobody who listens is a failed attempt. Nats-Service-Error is the text.
 *
 *  An attempt always has a timeout, 60 s unless the job or the options say otherwise: a service may
 *  die without a word. A lost connection does not end the wait, for the answer may come after it.
 *  Where there is no memory to ask, the job is put off and costs no attempt.
 *  @param client   open client
 *  @param name     of the jobs
 *  @param subject  where the service listens: no wildcards
 *  @param options  NULL for all defaults; borrowed for the call
 *  @param err      NULL, or filled on failure
 *  @return JJ_OK; INVALID: the name, the subject or an option; EXISTS: the name has a handler;
 *          STATE: started
 *
 *  Threads: any. */
JJ_API JJ_MUST_CHECK jj_status jj_register_request(jj_client *client, const char *name,
                                                   const char *subject,
                                                   const jj_handler_options *options,
                                                   jj_error *err);

/** Version of what plugins and programs expect of each other. */
#define JJ_PLUGIN_VERSION 1

/** What a plugin says of itself. A plugin is a shared object with one function, jetjobs_plugin():
 *
 *      static jj_status start(jj_client *client, jj_error *err)
 *      {
 *          return jj_register(client, "greet", greet, NULL, NULL, err);
 *      }
 *
 *      const jj_plugin *jetjobs_plugin(void)
 *      {
 *          static const jj_plugin plugin = JJ_PLUGIN(start);
 *          return &plugin;
 *      }
 *
 *  Compile it with -fPIC -shared. It uses the library that is in the program, so it need not be
 *  linked to one. */
typedef struct jj_plugin {
    unsigned version;             /**< JJ_PLUGIN_VERSION that it was built with */
    const char *built_with;       /**< JJ_VERSION that it was built with */
    const char *(*library)(void); /**< jj_version() of the library that it uses */
    /** Register handlers. Called once for each client that loads it. */
    jj_status (*start)(jj_client *client, jj_error *err);
} jj_plugin;

/** The value of a jj_plugin. @param start  what registers its handlers */
#define JJ_PLUGIN(start)                                                                           \
    {                                                                                              \
        JJ_PLUGIN_VERSION, JJ_VERSION, jj_version, (start)                                         \
    }

/** What each plugin has, and the library has not. @return a constant */
JJ_API const jj_plugin *jetjobs_plugin(void);

/** Load a plugin and have it register its handlers. Before jj_start(). It stays loaded until the
 *  process ends.
 *  @param client  open client
 *  @param path    of the shared object; one without a slash is in the current folder
 *  @param err     NULL, or filled on failure
 *  @return JJ_OK; INVALID: it can't be loaded, is no plugin, was built for another version, or
 *          uses another copy of the library than this program; and what its start() returned
 *
 *  Threads: any. */
JJ_API JJ_MUST_CHECK jj_status jj_load_plugin(jj_client *client, const char *path, jj_error *err);

#ifdef __cplusplus
}
#endif

#endif
