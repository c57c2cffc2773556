/* SPDX-License-Identifier: Apache-2.0 */

/* The broker's disk is full, of a file that is not the broker's; later there is room again. A
 * server whose write has failed stores nothing any more until it is started again. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli.h"
#include "clock.h"
#include "crew.h"
#include "mounts.h"

#define DISK       "size=48m"
#define MORE       "size=96m"
#define BALLAST    (44 * 1024 * 1024)
#define JOB_SIZE   (32 * 1024)
#define JOBS_MAX   1000
#define TIMEOUT_MS 3000

static char disk[TEMP_PATH_SIZE];

/* JetStream must not see the end of the disk coming, and stop before. */
static int begin(void **state)
{
    char config[TEMP_PATH_SIZE + 192];

    mounts_of_our_own();
    temp_dir_make(disk);
    assert_int_equal(mount("tmpfs", disk, "tmpfs", 0, DISK), 0);
    crew_begin(state);
    struct crew *crew = *state;
    snprintf(config, sizeof(config),
             "http: \"127.0.0.1:%d\"\n"
             "jetstream { store_dir: \"%s\", sync_interval: always, max_file: 16GB }",
             crew->server.spare_port, disk);
    server_restart_with(&crew->server,
                        &(struct server_options){.no_jetstream = true, .config = config});
    return 0;
}

static int end(void **state)
{
    crew_end(state);
    umount(disk);
    temp_dir_remove(disk);
    return 0;
}

static void add_ballast(void)
{
    char path[TEMP_PATH_SIZE + 16];

    snprintf(path, sizeof(path), "%s/ballast", disk);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, BALLAST), 0);
    close(fd);
}

static jj_status enqueue(struct crew *crew, unsigned n, jj_error *err)
{
    static char data[JOB_SIZE];
    char id[32];
    const jj_spec spec = {.name = "big", .id = id, .data = data, .data_len = sizeof(data)};

    snprintf(id, sizeof(id), "job-%u", n);
    memset(data, '1', sizeof(data));
    return jj_enqueue(crew->client, &spec, NULL, err);
}

/* Until one is refused; how many were accepted. */
static unsigned enqueue_until_full(struct crew *crew)
{
    for (unsigned n = 0; n < JOBS_MAX; n++) {
        jj_error err;
        int64_t began_ms = jj__clock_mono_ms();
        jj_status s = enqueue(crew, n, &err);
        if (s == JJ_OK)
            continue;
        assert_int_equal(s, JJ_ERR_TIMEOUT);
        assert_string_equal(err.text, "publish to jobs.enqueue.big: no acknowledgement in time");
        assert_true(jj__clock_mono_ms() - began_ms < TIMEOUT_MS + WAIT_MS);
        return n;
    }
    fail_msg("the disk does not get full");
    return 0;
}

static bool has_run(struct crew *crew, unsigned n)
{
    char id[32];

    snprintf(id, sizeof(id), "job-%u", n);
    for (size_t i = 0; i < crew_runs(crew, NULL); i++) {
        const struct run run = crew_run(crew, i);
        if (strcmp(run.id, id) == 0)
            return true;
    }
    return false;
}

struct attempt {
    struct crew *crew;
    unsigned n;
};

static bool is_accepted(void *ctx)
{
    const struct attempt *attempt = ctx;

    return enqueue(attempt->crew, attempt->n, NULL) == JJ_OK;
}

/* The stream may keep a message whose deletion could not be written. */
static void wait_over(struct crew *crew)
{
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "big", "num_pending", 0));
    assert_true(nats_client_wait_consumer(crew->stranger, "JOBS", "big", "num_ack_pending", 0));
}

static void expect_of_doctor(struct crew *crew, const char *words, bool said)
{
    const struct cli cli = {.program = JETJOBS_PROGRAM, .url = crew->server.url};
    char monitor[64];

    snprintf(monitor, sizeof(monitor), "http://127.0.0.1:%d", crew->server.spare_port);
    const char *output = cli_output(&cli, CLI_ARGS("doctor", "--monitor", monitor), 1);
    if ((strstr(output, words) != NULL) != said)
        fail_msg("'%s' is%s in: %s", words, said ? " not" : "", output);
}

static void a_full_disk_takes_no_accepted_job(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, &(jj_options){.timeout_ms = TIMEOUT_MS, .ack_wait_ms = 5000});
    crew_register(crew, "big", NULL, NULL);
    crew_start(crew);
    add_ballast();
    unsigned accepted = enqueue_until_full(crew);
    assert_true(accepted > 0);
    assert_int_equal(mount("tmpfs", disk, "tmpfs", MS_REMOUNT, MORE), 0);
    expect_of_doctor(crew, "error: server: it says that it is not well: JetStream stream", true);
    server_restart(&crew->server);
    assert_true(wait_until(is_accepted, &(struct attempt){crew, accepted}, WAIT_MS));
    wait_over(crew);
    expect_of_doctor(crew, "not well", false);
    for (unsigned n = 0; n <= accepted; n++)
        assert_true(has_run(crew, n));
    print_message("%u jobs, %zu runs\n", accepted + 1, crew_runs(crew, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_disk_takes_no_accepted_job, begin, end),
    };

    return cmocka_run_group_tests_name("full_disk", tests, NULL, NULL);
}
