/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of handlers that are programs: what they get, what they say, how they end. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

/* What all stories listen to. */
struct ears {
    struct listener *completed, *failed, *retrying, *log;
};

static struct ears open_ears(struct crew *crew)
{
    return (struct ears){
        .completed = nats_client_listen(crew->stranger, "job.x.completed", NULL),
        .failed = nats_client_listen(crew->stranger, "job.x.failed", NULL),
        .retrying = nats_client_listen(crew->stranger, "job.x.retrying", NULL),
        .log = nats_client_listen(crew->stranger, "job.x.log", NULL),
    };
}

static void close_ears(struct ears *ears)
{
    listener_close(ears->completed);
    listener_close(ears->failed);
    listener_close(ears->retrying);
    listener_close(ears->log);
}

static void register_exec(struct crew *crew, const jj_exec_options *exec,
                          const jj_handler_options *options)
{
    jj_error err;

    if (jj_register_exec(crew->client, "x", exec, options, &err) != JJ_OK)
        fail_msg("jj_register_exec: %s", err.text);
}

/* A client whose jobs "x" are run by a shell, started. */
static void begin_with(struct crew *crew, const char *script, const jj_exec_options *more,
                       const jj_handler_options *options)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    jj_exec_options exec = {0};

    if (more != NULL)
        exec = *more;
    exec.argv = argv;
    if (crew->client == NULL)
        crew_open(crew, NULL);
    register_exec(crew, &exec, options);
    crew_start(crew);
}

static void begin(struct crew *crew, const char *script)
{
    begin_with(crew, script, NULL, NULL);
}

static void expect_completed(struct ears *ears, size_t at, const char *result)
{
    assert_true(listener_wait(ears->completed, at + 1));
    assert_string_equal(event_member(listener_get(ears->completed, at), "result"), result);
}

static void expect_error(struct listener *listener, const char *error)
{
    assert_true(listener_wait(listener, 1));
    assert_string_equal(event_member(listener_get(listener, 0), "error"), error);
}

/* ---- what it gets, and its result ---- */

static void the_data_is_its_input_and_its_output_the_result(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "cat");
    crew_enqueue(crew, "x", "{\"to\": \"bob\"}");
    expect_completed(&ears, 0, "{\"to\":\"bob\"}");
    close_ears(&ears);
}

static void output_that_is_no_json_is_a_string(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "cat");
    crew_enqueue(crew, "x", "hello \"world\"\nand all\n\n");
    expect_completed(&ears, 0, "hello \"world\"\nand all");
    crew_enqueue(crew, "x", "a\xFFz");
    expect_completed(&ears, 1, "a\xEF\xBF\xBDz");
    close_ears(&ears);
}

static void all_bytes_of_the_data_arrive(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    const size_t len = 1000 * 1000;
    char *data = malloc(len);
    char expected[64];

    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 % 256);
    begin(crew, "wc -c");
    crew_enqueue_spec(crew, &(jj_spec){.name = "x", .data = data, .data_len = len});
    snprintf(expected, sizeof(expected), "%zu", len);
    expect_completed(&ears, 0, expected);
    free(data);
    close_ears(&ears);
}

static void data_is_never_part_of_a_command(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    static const char hostile[] = "; rm -rf / $(id) --help\n`x`";

    begin(crew, "cat; echo \" $#\"");
    crew_enqueue(crew, "x", hostile);
    expect_completed(&ears, 0, "; rm -rf / $(id) --help\n`x` 0");
    close_ears(&ears);
}

static void who_does_not_read_the_data_does_no_harm(void **state)
{
    static const char *const scripts[] = {"exec <&-; echo 1", "echo 1",
                                          "head -c 1 >/dev/null; echo 1"};
    struct crew *crew = *state;
    char *data = calloc(1, 1000000);

    assert_non_null(data);
    for (size_t i = 0; i < 3; i++) {
        struct ears ears = open_ears(crew);
        begin(crew, scripts[i]);
        crew_enqueue_spec(crew, &(jj_spec){.name = "x", .data = data, .data_len = 1000000});
        expect_completed(&ears, 0, "1");
        crew_close(crew);
        close_ears(&ears);
    }
    free(data);
}

static void no_output_is_no_result(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "echo");
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_null(strstr(listener_get(ears.completed, 0)->data, "\"result"));
    close_ears(&ears);
}

static void its_environment_names_the_job_and_little_else(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    const char *const env[] = {"EXEC_TEST_PASSED", "EXEC_TEST_UNSET", "LANG=tlh", NULL};
    const jj_spec spec = {
        .name = "x", .id = "id-1", .max_attempts = 4, .traceparent = "00-ab-cd-01"};

    setenv("EXEC_TEST_PASSED", "yes", 1);
    setenv("EXEC_TEST_SECRET", "no", 1);
    setenv("TZ", "UTC", 1);
    begin_with(crew,
               "unset PWD OLDPWD SHLVL _ PATH HOME LC_ALL; /usr/bin/env | /usr/bin/sort | "
               "/usr/bin/tr '\\n' ' '",
               &(jj_exec_options){.env = env}, NULL);
    crew_enqueue_spec(crew, &spec);
    expect_completed(&ears, 0,
                     "EXEC_TEST_PASSED=yes JOB_ATTEMPT=1 JOB_ID=id-1 JOB_MAX_ATTEMPTS=4 JOB_NAME=x "
                     "JOB_TRACEPARENT=00-ab-cd-01 LANG=tlh TZ=UTC ");
    unsetenv("EXEC_TEST_PASSED");
    unsetenv("EXEC_TEST_SECRET");
    close_ears(&ears);
}

static void it_starts_as_a_process_should(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    int extra = open("/dev/null", O_RDONLY); /* without close-on-exec */

    assert_true(extra > 3);
    /* descriptors, working directory, mask of files, blocked and ignored
     * signals, and a process group that is its own */
    signal(SIGUSR1, SIG_IGN);
    begin_with(crew,
               "for fd in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do "
               "test -e /proc/$$/fd/$fd && printf \"$fd \"; done; pwd; umask; "
               "grep -E 'Sig(Blk|Ign)' /proc/$$/status | tr '\\t\\n' '  '; "
               "test $(cut -d' ' -f5 /proc/$$/stat) = $$ && echo leads",
               &(jj_exec_options){.dir = "/usr"}, NULL);
    crew_enqueue(crew, "x", NULL);
    expect_completed(&ears, 0,
                     "0 1 2 3 /usr\n0022\nSigBlk: 0000000000000000 SigIgn: 0000000000000000 leads");
    signal(SIGUSR1, SIG_DFL);
    close(extra);
    close_ears(&ears);
}

static void a_name_without_slash_is_looked_for(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    const char *const argv[] = {"printf", "%s-%s", "a b", "c", NULL};
    const char *const env[] = {"PATH=/nowhere::/usr/bin:/bin", NULL};

    crew_open(crew, NULL);
    register_exec(crew, &(jj_exec_options){.argv = argv, .env = env}, NULL);
    crew_start(crew);
    crew_enqueue(crew, "x", NULL);
    expect_completed(&ears, 0, "a b-c");
    close_ears(&ears);
}

/* ---- what it says meanwhile ---- */

static void lines_on_its_standard_error_are_log_lines(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "printf 'one\\ntwo\\r\\nthr\\377ee\\000\\nlast' >&2");
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_true(listener_wait(ears.log, 4));
    static const char *const lines[] = {"one", "two", "thr?ee?", "last"};
    for (size_t i = 0; i < 4; i++) {
        const struct heard *heard = listener_get(ears.log, i);
        assert_string_equal(event_member(heard, "message"), lines[i]);
        assert_string_equal(event_member(heard, "level"), "info");
    }
    close_ears(&ears);
}

static void lines_on_descriptor_3_are_messages(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *progress = nats_client_listen(crew->stranger, "job.x.progress", NULL);
    struct listener *event = nats_client_listen(crew->stranger, "job.x.event", NULL);

    begin(crew, "echo '{\"progress\":40,\"message\":\"resize\"}' >&3\n"
                "echo '{\"event\":\"sent\",\"data\":{\"to\":\"bob\"}}' >&3\n"
                "echo '{\"log\":\"slow\",\"level\":\"warn\",\"data\":[1]}' >&3\n");
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_true(listener_wait(progress, 1));
    assert_string_equal(event_member(listener_get(progress, 0), "percent"), "40");
    assert_string_equal(event_member(listener_get(progress, 0), "message"), "resize");
    assert_true(listener_wait(event, 1));
    assert_string_equal(event_member(listener_get(event, 0), "event"), "sent");
    assert_string_equal(event_member(listener_get(event, 0), "data"), "{\"to\":\"bob\"}");
    assert_true(listener_wait(ears.log, 1));
    assert_string_equal(event_member(listener_get(ears.log, 0), "level"), "warn");
    assert_string_equal(event_member(listener_get(ears.log, 0), "data"), "[1]");
    listener_close(progress);
    listener_close(event);
    close_ears(&ears);
}

static void a_line_that_is_no_message_is_a_warning(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "{ echo 'hello \033[1m'; head -c 100000 /dev/zero | tr '\\0' 'a'; echo; "
                "echo '{\"progress\":400}'; echo '{\"event\":\"\"}'; } >&3");
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_true(listener_wait(ears.log, 4));
    static const char *const why[] = {"it is no JSON", "it is too long: aaaa", "0 to 100",
                                      "an event has 1 to 256 bytes"};
    for (size_t i = 0; i < 4; i++) {
        const char *message = event_member(listener_get(ears.log, i), "message");
        assert_null(strchr(message, '\033'));
        if (strstr(message, why[i]) == NULL)
            fail_msg("'%s' does not say: %s", message, why[i]);
        assert_string_equal(event_member(listener_get(ears.log, i), "level"), "warn");
    }
    close_ears(&ears);
}

static void the_example_in_sh_does_all_of_it(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct listener *event = nats_client_listen(crew->stranger, "job.mail-1.event", NULL);
    const char *const argv[] = {SOURCE "/examples/handlers/send_email.sh", NULL};
    static const char data[] = "{\"to\": \"bob@example.org\", \"subject\": \"Invoice\"}";

    crew_open(crew, NULL);
    register_exec(crew, &(jj_exec_options){.argv = argv}, NULL);
    crew_start(crew);
    crew_enqueue_spec(
        crew, &(jj_spec){.name = "x", .id = "mail-1", .data = data, .data_len = sizeof(data) - 1});
    expect_completed(&ears, 0, "{\"messageId\":\"mail-1\"}");
    assert_true(listener_wait(event, 1));
    assert_true(listener_wait(ears.log, 1));
    crew_enqueue(crew, "x", "{\"to\":1}");
    expect_error(ears.failed, "no address in the data");
    listener_close(event);
    close_ears(&ears);
}

/* ---- how it ends ---- */

static void a_status_that_is_not_zero_is_a_failed_attempt(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin_with(crew, "echo first >&2; echo 'smtp: 451' >&2; exit 7", NULL,
               &(jj_handler_options){.max_attempts = 2});
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.retrying, "smtp: 451");
    expect_error(ears.failed, "smtp: 451");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "2");
    close_ears(&ears);
}

static void status_100_fails_the_job_for_good(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "echo 'no such user' >&2; exit 100");
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.failed, "no such user");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "1");
    close_ears(&ears);
}

static void an_end_without_a_word_is_named(void **state)
{
    static const struct {
        const char *script;
        const char *error;
    } ends[] = {
        {"exit 3", "exit status 3"},
        {"exit 255", "exit status 255"},
        {"kill -SEGV $$", "killed by SIGSEGV"},
        {"echo bad >&2; kill -KILL $$", "bad"},
        {"kill -40 $$", "killed by signal 40"},
    };
    struct crew *crew = *state;

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct ears ears = open_ears(crew);
        begin_with(crew, ends[i].script, NULL, &(jj_handler_options){.max_attempts = 1});
        crew_enqueue(crew, "x", NULL);
        expect_error(ears.failed, ends[i].error);
        crew_close(crew);
        close_ears(&ears);
    }
}

static void who_prints_without_end_fails_for_good(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "cat /dev/zero");
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.failed, "it printed more than 524288 bytes: a result can't be larger");
    assert_string_equal(event_member(listener_get(ears.failed, 0), "attempts"), "1");
    close_ears(&ears);
}

static void the_largest_result_fits(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "head -c 524288 /dev/zero | tr '\\0' 1");
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 1));
    assert_non_null(strstr(listener_get(ears.completed, 0)->data, "\"result\":"));
    close_ears(&ears);
}

/* ---- what can't be started ---- */

static void write_file(struct crew *crew, const char *name, const char *text, mode_t mode,
                       char path[TEMP_PATH_SIZE])
{
    snprintf(path, TEMP_PATH_SIZE, "%.200s/%.40s", crew->server.dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* A program that can't be started fails its only attempt with a text that says this. */
static void expect_no_start(struct crew *crew, const char *program, const char *dir,
                            const char *text)
{
    struct ears ears = open_ears(crew);
    const char *const argv[] = {program, NULL};

    crew_open(crew, NULL);
    register_exec(crew, &(jj_exec_options){.argv = argv, .dir = dir},
                  &(jj_handler_options){.max_attempts = 1});
    crew_start(crew);
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.failed, 1));
    const char *error = event_member(listener_get(ears.failed, 0), "error");
    if (strstr(error, text) == NULL)
        fail_msg("'%s' does not say: %s", error, text);
    crew_close(crew);
    close_ears(&ears);
}

static void what_can_not_be_started_says_why(void **state)
{
    struct crew *crew = *state;
    char path[TEMP_PATH_SIZE];

    expect_no_start(crew, "/nowhere/x", NULL, "can't start /nowhere/x: No such file or directory");
    expect_no_start(crew, "no-such-program", NULL,
                    "can't start no-such-program: No such file or directory");
    expect_no_start(crew, crew->server.dir, NULL, "Permission denied");
    expect_no_start(crew, "/bin/sh", "/nowhere",
                    "can't start /bin/sh in folder /nowhere: No such file or directory");
    write_file(crew, "plain", "#!/bin/sh\n", 0644, path);
    expect_no_start(crew, path, NULL, "Permission denied");
    write_file(crew, "text", "echo hello\n", 0755, path);
    expect_no_start(crew, path, NULL, "Exec format error");
    write_file(crew, "orphan", "#!/no/such/interpreter\n", 0755, path);
    expect_no_start(crew, path, NULL, "its interpreter is missing");
}

static void what_can_not_be_started_is_tried_again(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    char path[TEMP_PATH_SIZE];
    const char *const argv[] = {path, NULL};

    write_file(crew, "late", "#!/bin/sh\necho $JOB_ATTEMPT\n", 0644, path);
    crew_open(crew, NULL);
    register_exec(crew, &(jj_exec_options){.argv = argv}, NULL);
    crew_start(crew);
    crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.retrying, 1));
    assert_int_equal(chmod(path, 0755), 0);
    expect_completed(&ears, 0, "2");
    close_ears(&ears);
}

static void a_system_without_descriptors_puts_the_job_off(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    struct rlimit limit, none;

    begin(crew, "echo $JOB_ATTEMPT");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 8; /* what is open stays so */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    crew_enqueue(crew, "x", NULL);
    bool put_off = listener_wait(ears.log, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(put_off);
    assert_string_equal(event_member(listener_get(ears.log, 0), "message"),
                        "put off: no new pipe: Too many open files");
    expect_completed(&ears, 0, "1");
    assert_int_equal(listener_count(ears.failed), 0);
    close_ears(&ears);
}

static void an_option_that_is_wrong_is_named(void **state)
{
    struct crew *crew = *state;
    const char *const argv[] = {"/bin/true", NULL}, *const none[] = {NULL},
                      *const empty[] = {"", NULL};
    const char *const digit[] = {"1X=1", NULL}, *const ours[] = {"JOB_ID=7", NULL};
    const struct {
        jj_exec_options exec;
        const char *text;
    } bad[] = {
        {{.argv = NULL}, "argv is missing"},
        {{.argv = none}, "argv is missing"},
        {{.argv = empty}, "argv is missing"},
        {{.argv = argv, .env = digit}, "env '1X=1'"},
        {{.argv = argv, .env = empty}, "env ''"},
        {{.argv = argv, .env = ours}, "env 'JOB_ID=7' is reserved"},
        {{.argv = argv, .memory_bytes = -1}, "memory_bytes is -1"},
        {{.argv = argv, .processes = -5}, "processes is -5"},
        {{.argv = argv, .user = "no-such-user-here"}, "there is no user 'no-such-user-here'"},
    };
    jj_error err;

    crew_open(crew, NULL);
    assert_int_equal(jj_register_exec(crew->client, "x", NULL, NULL, &err), JJ_ERR_INVALID);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(jj_register_exec(crew->client, "x", &bad[i].exec, NULL, &err),
                         JJ_ERR_INVALID);
        if (strstr(err.text, bad[i].text) == NULL)
            fail_msg("'%s' does not say: %s", err.text, bad[i].text);
    }
    const jj_exec_options good = {.argv = argv};
    assert_int_equal(jj_register_exec(crew->client, "a.b", &good, NULL, &err), JJ_ERR_INVALID);
    assert_int_equal(jj_register_exec(crew->client, "x", &good, NULL, &err), JJ_OK);
    assert_int_equal(jj_register_exec(crew->client, "x", &good, NULL, &err), JJ_ERR_EXISTS);
}

/* Beyond its soft limit of processor time it is told, and has some seconds to end. */
static void limits_are_set_for_good(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin_with(crew,
               "ulimit -v; ulimit -n; ulimit -t; ulimit -f; ulimit -p; "
               "ulimit -Hv; ulimit -Hn; ulimit -Ht; ulimit -Hf; ulimit -Hp",
               &(jj_exec_options){.memory_bytes = 1 << 30,
                                  .open_files = 50,
                                  .cpu_seconds = 7,
                                  .file_bytes = 1 << 20,
                                  .processes = 3000},
               NULL);
    crew_enqueue(crew, "x", NULL);
    expect_completed(&ears, 0, "1048576\n50\n7\n2048\n3000\n1048576\n50\n12\n2048\n3000");
    close_ears(&ears);
}

static void it_runs_as_another_user(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    if (geteuid() != 0)
        skip(); /* only root may become somebody else */
    begin_with(crew, "id -un; id -Gn", &(jj_exec_options){.user = "daemon", .open_files = 50},
               NULL);
    crew_enqueue(crew, "x", NULL);
    expect_completed(&ears, 0, "daemon\ndaemon");
    close_ears(&ears);
}

/* ---- when it is to end ---- */

/* A number that a script has written into a file. */
static pid_t read_pid(const char *path)
{
    long pid = 0;
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld", &pid) != 1)
        pid = 0;
    fclose(file);
    return (pid_t)pid;
}

static bool pid_is_there(void *ctx)
{
    return read_pid(ctx) > 0;
}

/* Gone, or at least dead: in a container, nobody may reap orphans. */
static bool is_gone(void *ctx)
{
    const pid_t *pid = ctx;
    char path[64], state = 'Z';

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)*pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return true;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state == 'Z' || state == 'X';
}

static void expect_gone(pid_t pid)
{
    if (!wait_until(is_gone, &pid, WAIT_MS))
        fail_msg("process %ld lives on", (long)pid);
}

static void a_timeout_ends_the_whole_group(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    char path[TEMP_PATH_SIZE], script[1024];

    snprintf(path, sizeof(path), "%.200s/child", crew->server.dir);
    snprintf(script, sizeof(script), "sleep 1000 & echo $! >%s; wait", path);
    begin_with(crew, script, NULL, &(jj_handler_options){.timeout_ms = 1000, .max_attempts = 1});
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.failed, "timeout after 1000 ms");
    assert_true(wait_until(pid_is_there, path, WAIT_MS));
    expect_gone(read_pid(path));
    close_ears(&ears);
}

static void who_ignores_sigterm_is_killed_after_5_seconds(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    char path[TEMP_PATH_SIZE], script[1024];

    snprintf(path, sizeof(path), "%.200s/self", crew->server.dir);
    snprintf(script, sizeof(script), "trap '' TERM; echo $$ >%s; while :; do sleep 1; done", path);
    begin_with(crew, script, NULL, &(jj_handler_options){.timeout_ms = 500, .max_attempts = 1});
    int64_t began_ms = jj__clock_mono_ms();
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.failed, "timeout after 500 ms");
    assert_true(jj__clock_mono_ms() - began_ms >= 5400);
    expect_gone(read_pid(path));
    close_ears(&ears);
}

static void who_has_stopped_itself_is_ended_too(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin_with(crew, "kill -STOP $$", NULL,
               &(jj_handler_options){.timeout_ms = 500, .max_attempts = 1});
    int64_t began_ms = jj__clock_mono_ms();
    crew_enqueue(crew, "x", NULL);
    expect_error(ears.failed, "timeout after 500 ms");
    crew_close(crew); /* waits for it */
    assert_true(jj__clock_mono_ms() - began_ms < WAIT_MS);
    close_ears(&ears);
}

static void what_it_leaves_behind_is_killed_and_holds_up_nothing(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    char path[TEMP_PATH_SIZE], script[1024];

    snprintf(path, sizeof(path), "%.200s/left", crew->server.dir);
    snprintf(script, sizeof(script), "sleep 1000 & echo $! >%s; echo 1", path);
    begin(crew, script);
    crew_enqueue(crew, "x", NULL);
    expect_completed(&ears, 0, "1");
    expect_gone(read_pid(path));
    close_ears(&ears);
}

static void a_daemon_that_has_left_holds_up_nothing(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    char path[TEMP_PATH_SIZE], script[1024];

    snprintf(path, sizeof(path), "%.200s/daemon", crew->server.dir);
    snprintf(script, sizeof(script),
             "setsid sh -c 'echo $$ >%s; yes >&2' & "
             "while ! test -s %s; do sleep 0.01; done; echo 1",
             path, path);
    begin(crew, script);
    crew_enqueue(crew, "x", NULL);
    expect_completed(&ears, 0, "1");
    pid_t pid = read_pid(path);
    assert_true(pid > 1);
    kill(pid, SIGKILL); /* it is its own master, and ours to end */
    close_ears(&ears);
}

static void a_stop_ends_it_when_the_grace_is_over(void **state)
{
    struct crew *crew = *state;
    char path[TEMP_PATH_SIZE], script[1024];
    jj_error err;

    snprintf(path, sizeof(path), "%.200s/self", crew->server.dir);
    snprintf(script, sizeof(script), "echo $$ >%s; exec sleep 1000", path);
    crew_open(crew, &(jj_options){.shutdown_grace_ms = 300});
    begin(crew, script);
    crew_enqueue(crew, "x", NULL);
    assert_true(wait_until(pid_is_there, path, WAIT_MS));
    assert_int_equal(jj_stop(crew->client, &err), JJ_ERR_TIMEOUT);
    expect_gone(read_pid(path));
    crew_close(crew);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 1);
}

static void a_program_that_ends_within_the_grace_is_let_be(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    char path[TEMP_PATH_SIZE], script[1024];
    jj_error err;

    snprintf(path, sizeof(path), "%.200s/self", crew->server.dir);
    snprintf(script, sizeof(script), "echo $$ >%s; sleep 0.5; echo 1", path);
    begin(crew, script);
    crew_enqueue(crew, "x", NULL);
    assert_true(wait_until(pid_is_there, path, WAIT_MS));
    assert_int_equal(jj_stop(crew->client, &err), JJ_OK);
    expect_completed(&ears, 0, "1");
    close_ears(&ears);
}

static void it_dies_with_its_worker(void **state)
{
    struct crew *crew = *state;
    char path[TEMP_PATH_SIZE], script[1024];
    int status;

    snprintf(path, sizeof(path), "%.200s/self", crew->server.dir);
    snprintf(script, sizeof(script), "echo $$ >%s; exec sleep 1000", path);
    pid_t worker = fork();
    assert_true(worker >= 0);
    if (worker == 0) {
        crew->client = NULL;
        begin(crew, script);
        crew_enqueue(crew, "x", NULL);
        for (;;)
            pause();
    }
    bool runs = wait_until(pid_is_there, path, WAIT_MS);
    kill(worker, SIGKILL);
    assert_int_equal(waitpid(worker, &status, 0), worker);
    assert_true(runs);
    expect_gone(read_pid(path));
}

/* ---- a process that has children of its own ---- */

static void a_child_that_others_have_reaped_is_a_failed_attempt(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin_with(crew, "exit 0", NULL, &(jj_handler_options){.max_attempts = 1});
    signal(SIGCHLD, SIG_IGN);
    crew_enqueue(crew, "x", NULL);
    bool failed = listener_wait(ears.failed, 1);
    signal(SIGCHLD, SIG_DFL);
    assert_true(failed);
    assert_non_null(strstr(event_member(listener_get(ears.failed, 0), "error"),
                           "how it ended is not known: this process ignores SIGCHLD"));
    close_ears(&ears);
}

static void children_of_the_program_itself_are_left_to_it(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);
    int status;

    begin(crew, "true");
    pid_t own = fork();
    assert_true(own >= 0);
    if (own == 0)
        _exit(42);
    for (int i = 0; i < 20; i++)
        crew_enqueue(crew, "x", NULL);
    assert_true(listener_wait(ears.completed, 20));
    assert_int_equal(waitpid(own, &status, 0), own);
    assert_int_equal(WEXITSTATUS(status), 42);
    close_ears(&ears);
}

static size_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void many_runs_leave_nothing_open_and_no_zombie(void **state)
{
    struct crew *crew = *state;
    struct ears ears = open_ears(crew);

    begin(crew, "case $(cat) in 0) exit 0;; 1) exit 100;; *) sleep 1000 & exit 0;; esac");
    crew_enqueue(crew, "x", "0");
    assert_true(listener_wait(ears.completed, 1));
    assert_true(crew_wait_over(crew));
    size_t before = count_descriptors();
    for (int i = 0; i < 99; i++)
        crew_enqueue(crew, "x", i % 3 == 0 ? "0" : i % 3 == 1 ? "1" : "2");
    assert_true(listener_wait(ears.completed, 67));
    assert_true(listener_wait(ears.failed, 33));
    assert_true(crew_wait_over(crew));
    assert_true(count_descriptors() <= before);
    crew_close(crew);
    server_stop(&crew->server); /* the last child of ours */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    server_restart(&crew->server);
    close_ears(&ears);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(the_data_is_its_input_and_its_output_the_result),
        STORY(output_that_is_no_json_is_a_string),
        STORY(all_bytes_of_the_data_arrive),
        STORY(data_is_never_part_of_a_command),
        STORY(who_does_not_read_the_data_does_no_harm),
        STORY(no_output_is_no_result),
        STORY(its_environment_names_the_job_and_little_else),
        STORY(it_starts_as_a_process_should),
        STORY(a_name_without_slash_is_looked_for),
        STORY(lines_on_its_standard_error_are_log_lines),
        STORY(lines_on_descriptor_3_are_messages),
        STORY(a_line_that_is_no_message_is_a_warning),
        STORY(the_example_in_sh_does_all_of_it),
        STORY(a_status_that_is_not_zero_is_a_failed_attempt),
        STORY(status_100_fails_the_job_for_good),
        STORY(an_end_without_a_word_is_named),
        STORY(who_prints_without_end_fails_for_good),
        STORY(the_largest_result_fits),
        STORY(what_can_not_be_started_says_why),
        STORY(what_can_not_be_started_is_tried_again),
        STORY(a_system_without_descriptors_puts_the_job_off),
        STORY(an_option_that_is_wrong_is_named),
        STORY(limits_are_set_for_good),
        STORY(it_runs_as_another_user),
        STORY(a_timeout_ends_the_whole_group),
        STORY(who_ignores_sigterm_is_killed_after_5_seconds),
        STORY(who_has_stopped_itself_is_ended_too),
        STORY(what_it_leaves_behind_is_killed_and_holds_up_nothing),
        STORY(a_daemon_that_has_left_holds_up_nothing),
        STORY(a_stop_ends_it_when_the_grace_is_over),
        STORY(a_program_that_ends_within_the_grace_is_let_be),
        STORY(it_dies_with_its_worker),
        STORY(a_child_that_others_have_reaped_is_a_failed_attempt),
        STORY(children_of_the_program_itself_are_left_to_it),
        STORY(many_runs_leave_nothing_open_and_no_zombie),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
