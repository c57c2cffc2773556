/* SPDX-License-Identifier: Apache-2.0 */

/* The examples do what they say, each on a server of its own. EXAMPLES is the folder of their
 * programs, PICTURES that of the picture which comes with them. One whose libraries are not there
 * is not built, and skipped here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crew.h"
#include "process.h"

/* Run an example with up to four arguments to its good end. Free the process, which has its output.
 */
static struct process *run_example(struct crew *crew, const char *name, const char *const args[])
{
    char path[TEMP_PATH_SIZE], url[128];
    const char *argv[6] = {path};
    const char *const env[] = {url, NULL};
    const struct process_options options = {.env = env};

    snprintf(path, sizeof(path), "%s/%s", EXAMPLES, name);
    snprintf(url, sizeof(url), "NATS_URL=%s", crew->server.url);
    if (access(path, X_OK) != 0)
        skip();
    for (size_t i = 0; args != NULL && args[i] != NULL; i++)
        argv[i + 1] = args[i];
    struct process *process = process_start(argv, &options);
    int status = process_wait(process, 2 * WAIT_MS); /* they have a limit of their own */
    if (status != 0)
        fail_msg("%s: status %d: %s%s", name, status, process_output(process),
                 process_errors(process));
    return process;
}

/* Run an example: it prints that, and nothing else. */
static void expect_output(struct crew *crew, const char *name, const char *const args[],
                          const char *expected)
{
    struct process *process = run_example(crew, name, args);

    assert_string_equal(process_output(process), expected);
    process_free(process);
}

/* Run an example: it prints all of these, which end with NULL, somewhere. */
static void expect_parts(struct crew *crew, const char *name, const char *const args[],
                         const char *const parts[])
{
    struct process *process = run_example(crew, name, args);

    for (size_t i = 0; parts[i] != NULL; i++)
        if (strstr(process_output(process), parts[i]) == NULL)
            fail_msg("%s did not print '%s', but: %s", name, parts[i], process_output(process));
    process_free(process);
}

/* ---- the stories ---- */

static void hello_runs_its_job_and_says_so(void **state)
{
    struct crew *crew = *state;
    struct listener *completed = nats_client_listen(crew->stranger, "job.greet.completed", NULL);

    expect_output(crew, "hello", NULL, "hello, world\n");
    assert_true(listener_wait(completed, 1));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS", 0));
    listener_close(completed);
}

static void own_adapter_counts_how_jobs_end(void **state)
{
    expect_output(*state, "own_adapter", NULL,
                  "greet '': failed, nobody to greet\n"
                  "greet 'world': completed\n"
                  "1 completed, 1 failed\n");
}

/* Does it begin and end as a JPEG does? */
static bool is_jpeg(const char *folder, const char *name)
{
    char path[TEMP_PATH_SIZE + 64];
    unsigned char bytes[5] = {0};

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    bool is_read = fread(bytes, 1, 3, file) == 3 && fseek(file, -2, SEEK_END) == 0 &&
                   fread(bytes + 3, 1, 2, file) == 2;
    fclose(file);
    return is_read && memcmp(bytes, "\xff\xd8\xff\xff\xd9", 5) == 0;
}

static void image_pipeline_makes_two_pictures(void **state)
{
    struct crew *crew = *state;
    const char *folder = crew->server.dir;
    const char *const args[] = {PICTURES, "mountain-lake", folder, NULL};
    const char *const parts[] = {"  job.processImage.started", "  job.processImage.completed",
                                 "{\"processed\":true,", NULL};

    expect_parts(crew, "image_pipeline", args, parts);
    assert_true(is_jpeg(folder, "mountain-lake-800x600.jpg"));
    assert_true(is_jpeg(folder, "mountain-lake-200x150.jpg"));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS", 0));
}

static void send_email_sends_now_later_or_never(void **state)
{
    const char *const parts[] = {
        "  | To: ada@example.org\n  | Subject: Welcome!\n",
        "  | Hi Ada,\n  | \n  | thanks for signing up!\n"
        "sendEmail: completed, attempts 1 of 3: {\"messageId\":\"",
        "sendEmail: completed, attempts 2 of 3: {\"messageId\":\"",
        "sendEmail: failed, attempts 1 of 3: "
        "nobody@example.org: the mail server answered 550\n"
        "sendEmail: failed, attempts 1 of 3: template 'reset' needs what data has not\n",
        NULL,
    };

    expect_parts(*state, "send_email", NULL, parts);
}

static void order_processing_goes_through_its_steps(void **state)
{
    const char *const parts[] = {
        "processOrder: completed, attempts 1 of 3: {\"paymentId\":1}\n",
        "fulfillOrder: completed, attempts 1 of 3: {\"trackingNumber\":\"TRACK-1\"}\n",
        "  | Your order order-1 is on its way: TRACK-1.\n",
        "sendEmail: completed, attempts 1 of 3\n"
        "processOrder: failed, attempts 1 of 3: insufficient inventory for pot\n"
        "processOrder: failed, attempts 1 of 3: payment failed: card declined\n"
        "in stock: 7 tea, 1 pot\n",
        NULL,
    };

    expect_parts(*state, "order_processing", NULL, parts);
}

static void weekly_report_is_scheduled_once_and_written(void **state)
{
    struct crew *crew = *state;
    const char *const now[] = {crew->server.dir, "--now", NULL};
    const char *const first[] = {
        "weekly-sales, Mondays at 6: scheduled\n"
        "generateReport: completed, attempts 1 of 3: {\"file\":\"",
        "/sales-20",
        ".csv\",\"pieces\":9}\n", /* of 1, 2 and 3 days ago; not of 8 */
        NULL,
    };
    const char *const second[] = {"weekly-sales, Mondays at 6: is scheduled already\n",
                                  ".csv\",\"pieces\":9}\n", NULL};

    expect_parts(crew, "weekly_report", now, first);
    expect_parts(crew, "weekly_report", now, second);
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 1));
}

static void flaky_task_succeeds_in_its_third_attempt(void **state)
{
    const char *const seed[] = {"2", NULL};

    expect_output(*state, "flaky_task", seed,
                  "attempt 1 of 5: drew 0.44\n"
                  "attempt 2 of 5: drew 0.31\n"
                  "attempt 3 of 5: drew 0.64\n"
                  "flakyTask: completed, attempts 3 of 5: {\"success\":true}\n");
}

static void flaky_task_fails_after_five_attempts(void **state)
{
    const char *const seed[] = {"51", NULL};
    const char *const parts[] = {"attempt 5 of 5: drew 0.",
                                 "flakyTask: failed, attempts 5 of 5: drew 0.", NULL};

    expect_parts(*state, "flaky_task", seed, parts);
}

static void api_call_knows_whose_mistake_it_is(void **state)
{
    expect_output(*state, "api_call", NULL,
                  "-- /ok\n"
                  "apiCall: completed, attempts 1 of 5: {\"amount\":12}\n"
                  "-- /busy\n"
                  "attempt 1: server error 503, asked to wait 1 s\n"
                  "attempt 2: server error 500\n"
                  "apiCall: completed, attempts 3 of 5: {\"amount\":12}\n"
                  "-- /hang-up\n"
                  "attempt 1: no answer\n"
                  "apiCall: completed, attempts 2 of 5: {\"amount\":12}\n"
                  "-- /nowhere\n"
                  "apiCall: failed, attempts 1 of 5: client error 404\n");
}

static void idempotent_does_its_work_once(void **state)
{
    expect_output(*state, "idempotent", NULL,
                  "depositBadly: completed, attempts 2 of 3\n"
                  "depositWell: completed, attempts 2 of 3\n"
                  "account 'bad': one job of 10, and its balance is 20\n"
                  "account 'good': one job of 10, and its balance is 10\n");
}

static void long_job_tells_how_far_it_is(void **state)
{
    struct crew *crew = *state;
    struct listener *progress = nats_client_listen(crew->stranger, "job.countLines.progress", NULL);
    const char *const files[] = {PICTURES "/README.md", "/nowhere", PICTURES "/README.md", NULL};
    const char *const parts[] = {
        "countLines: completed, attempts 1 of 3: {\"lines\":",
        "  info   started with 3 files\n  debug  file 1: ",
        " lines\n  warn   file 2: can't be read\n  debug  file 3: ",
        " lines\n  info   completed\n",
        NULL,
    };

    expect_parts(crew, "long_job", files, parts);
    assert_true(listener_wait(progress, 4));
    assert_string_equal(event_member(listener_get(progress, 1), "percent"), "33");
    listener_close(progress);
}

static void critical_job_is_heard_and_mended(void **state)
{
    struct crew *crew = *state;
    const char *const folder[] = {crew->server.dir, NULL};

    expect_output(crew, "critical_job", folder,
                  "job.criticalTask.event: No such file or directory\n"
                  "criticalTask: completed, attempts 2 of 5: {\"saved\":true}\n");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(hello_runs_its_job_and_says_so),
        STORY(own_adapter_counts_how_jobs_end),
        STORY(image_pipeline_makes_two_pictures),
        STORY(send_email_sends_now_later_or_never),
        STORY(order_processing_goes_through_its_steps),
        STORY(weekly_report_is_scheduled_once_and_written),
        STORY(flaky_task_succeeds_in_its_third_attempt),
        STORY(flaky_task_fails_after_five_attempts),
        STORY(api_call_knows_whose_mistake_it_is),
        STORY(idempotent_does_its_work_once),
        STORY(long_job_tells_how_far_it_is),
        STORY(critical_job_is_heard_and_mended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
