/* SPDX-License-Identifier: Apache-2.0 */

/* Stories of messages whose jobs are over: an index deletes them, and nothing else. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "keeper.h"
#include "process.h"
#include "rfc3339.h"

#define STRANGERS 4

static void copy_folder(const char *from, const char *to)
{
    const char *const argv[] = {"cp", "-a", from, to, NULL};
    struct process *process = process_start(argv, NULL);

    assert_int_equal(process_wait(process, 0), 0);
    process_free(process);
}

/* What an administrator does, by hand: the folder of a stream, while the server does not run. */
static void stream_folder(const struct server *server, const char *stream, char out[512])
{
    snprintf(out, 512, "%s/store/jetstream/$G/streams/%s", server->dir, stream);
}

static void back_up(struct crew *crew, const char *dir)
{
    char folder[512];

    stream_folder(&crew->server, "JOBS", folder);
    server_stop(&crew->server);
    copy_folder(folder, dir);
    server_restart(&crew->server);
}

static void restore(struct crew *crew, const char *dir)
{
    char folder[512], kept[TEMP_PATH_SIZE + 16];

    stream_folder(&crew->server, "JOBS", folder);
    snprintf(kept, sizeof(kept), "%s/JOBS", dir);
    server_stop(&crew->server);
    temp_dir_remove(folder);
    copy_folder(kept, folder);
    server_restart(&crew->server);
}

static void open_worker(struct crew *crew, const char *name)
{
    crew_open(crew, NULL);
    crew_register(crew, name, NULL, NULL);
    crew_start(crew);
}

static uint64_t store(struct crew *crew, const char *name, const jj_header *headers, size_t count)
{
    char subject[64];

    snprintf(subject, sizeof(subject), "jobs.enqueue.%s", name);
    return nats_client_store(crew->stranger, &(struct note){.subject = subject,
                                                            .headers = headers,
                                                            .header_count = count,
                                                            .data = "text"});
}

#define STORE(crew, name, ...)                                                                     \
    store(crew, name, (const jj_header[]){__VA_ARGS__},                                            \
          sizeof((const jj_header[]){__VA_ARGS__}) / sizeof(jj_header))

static bool is_there(struct crew *crew, uint64_t seq)
{
    struct heard *heard = nats_client_get(crew->stranger, "JOBS", seq);
    bool is = heard != NULL;

    heard_free(heard);
    return is;
}

/* What came to a restored queue and is not what it was, though it looks like that. */
static void store_strangers(struct crew *crew, uint64_t seqs[STRANGERS])
{
    char before[JJ__RFC3339_SIZE];

    jj__rfc3339_write(jj__clock_wall_ms() - 60000, before);
    seqs[0] = STORE(crew, "mail", {"Job-Created-At", before}); /* its id is the sequence of one */
    seqs[1] = STORE(crew, "mail", {"Job-Id", "last"}, {"Job-Created-At", before});
    seqs[2] = STORE(crew, "later", {"Job-Id", "first"}, {"Job-Created-At", before});
    seqs[3] = STORE(crew, "mail", {"Job-Id", "*"}, {"Job-Created-At", before});
}

static void jobs_of_a_restored_queue_that_are_over_are_deleted(void **state)
{
    struct crew *crew = *state;
    uint64_t seqs[STRANGERS];
    char dir[TEMP_PATH_SIZE];

    temp_dir_make(dir);
    crew_open(crew, NULL);
    crew_enqueue_spec(crew, &(jj_spec){.name = "mail", .id = "first"});
    for (int i = 0; i < 250; i++)
        crew_enqueue(crew, i % 2 == 0 ? "mail" : "later", "text");
    crew_close(crew);
    back_up(crew, dir);
    open_worker(crew, "mail");
    uint64_t nameless = STORE(crew, "mail", {"X-Own", "yes"});
    crew_enqueue_spec(crew, &(jj_spec){.name = "mail", .id = "last"});
    assert_true(crew_wait_runs(crew, "mail", 128));
    assert_true(crew_wait_backlog(crew, 125));
    crew_close(crew);
    struct keeper *keeper = keeper_begin(crew);
    keeper_wait_state(keeper, "last", JJ_COMPLETED);
    keeper_close(keeper);
    restore(crew, dir);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 251);
    store_strangers(crew, seqs);
    assert_int_equal(seqs[0], nameless);
    keeper_open(crew, keeper);
    assert_true(crew_wait_backlog(crew, 125 + STRANGERS)); /* nobody but the index is there */
    for (size_t i = 0; i < STRANGERS; i++)
        assert_true(is_there(crew, seqs[i]));
    keeper_wait_state(keeper, "first", JJ_COMPLETED);
    open_worker(crew, "later");
    assert_true(crew_wait_runs(crew, "later", 126));
    assert_true(crew_wait_backlog(crew, STRANGERS - 1));
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_of_a_restored_queue_that_are_over_are_deleted,
                                        crew_begin, keepers_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
