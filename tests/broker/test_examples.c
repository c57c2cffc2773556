/* SPDX-License-Identifier: Apache-2.0 */

/* The examples do what they say, each on a server of its own. EXAMPLES is the folder of their
 * programs, PICTURES that of the picture which comes with them. */

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "crew.h"

/* ---- running a program ---- */

#define OUTPUT_SIZE 16384

/* Read until its end; false: it did not come in time, or there is more than fits. */
static bool read_all(int fd, char out[OUTPUT_SIZE])
{
    int64_t deadline_ms = jj__clock_mono_ms() + 2 * WAIT_MS; /* they have a limit of their own */
    size_t len = 0;

    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left_ms = deadline_ms - jj__clock_mono_ms();
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) != 1)
            return false;
        ssize_t got = read(fd, out + len, OUTPUT_SIZE - 1 - len);
        if (got < 0)
            return false;
        len += (size_t)got;
        out[len] = '\0';
        if (got == 0)
            return len < OUTPUT_SIZE - 1;
    }
}

/* Run an example to its good end, and keep what it prints. args[0] is its path. */
static void run_example(struct crew *crew, const char *const args[], char out[OUTPUT_SIZE])
{
    int fds[2], status;

    assert_int_equal(setenv("NATS_URL", crew->server.url, 1), 0);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execv(args[0], (char *const *)args);
        _exit(127);
    }
    close(fds[1]);
    bool ended = read_all(fds[0], out);
    if (!ended)
        kill(pid, SIGKILL);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!ended || status != 0)
        fail_msg("%s: status %d, and it said: %s", args[0], status, out);
}

/* ---- the stories ---- */

static void hello_runs_its_job_and_says_so(void **state)
{
    struct crew *crew = *state;
    struct listener *completed = nats_client_listen(crew->stranger, "job.greet.completed", NULL);
    const char *const args[] = {EXAMPLES "/hello", NULL};
    char out[OUTPUT_SIZE] = "";

    run_example(crew, args, out);
    assert_string_equal(out, "hello, world\n");
    assert_true(listener_wait(completed, 1));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS", 0));
    listener_close(completed);
}

static void own_adapter_counts_how_jobs_end(void **state)
{
    struct crew *crew = *state;
    const char *const args[] = {EXAMPLES "/own_adapter", NULL};
    char out[OUTPUT_SIZE] = "";

    run_example(crew, args, out);
    assert_string_equal(out, "greet '': failed, nobody to greet\n"
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
    const char *const args[] = {EXAMPLES "/image_pipeline", PICTURES, "mountain-lake", folder,
                                NULL};
    char out[OUTPUT_SIZE] = "";

    if (access(args[0], X_OK) != 0)
        skip(); /* it is built where there is libgd */
    run_example(crew, args, out);
    assert_true(is_jpeg(folder, "mountain-lake-800x600.jpg"));
    assert_true(is_jpeg(folder, "mountain-lake-200x150.jpg"));
    assert_non_null(strstr(out, "  job.processImage.started"));
    assert_non_null(strstr(out, "  job.processImage.completed"));
    assert_non_null(strstr(out, "{\"processed\":true,"));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS", 0));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, crew_begin, crew_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(hello_runs_its_job_and_says_so),
        STORY(own_adapter_counts_how_jobs_end),
        STORY(image_pipeline_makes_two_pictures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
