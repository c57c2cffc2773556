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

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

static void jobs_of_a_restored_queue_that_are_over_are_deleted(void **state)
{
    struct crew *crew = *state;
    char dir[TEMP_PATH_SIZE];

    temp_dir_make(dir);
    crew_open(crew, NULL);
    for (int i = 0; i < 250; i++)
        crew_enqueue(crew, i % 2 == 0 ? "mail" : "later", "text");
    crew_enqueue_spec(crew, &(jj_spec){.name = "mail", .id = "last"});
    crew_close(crew);
    back_up(crew, dir);
    open_worker(crew, "mail");
    assert_true(crew_wait_backlog(crew, 125));
    crew_close(crew);
    struct keeper *keeper = keeper_begin(crew);
    keeper_wait_state(keeper, "last", JJ_COMPLETED);
    restore(crew, dir);
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 251);
    assert_true(crew_wait_backlog(crew, 125)); /* nobody but the index is there */
    keeper_wait_state(keeper, "last", JJ_COMPLETED);
    open_worker(crew, "later");
    assert_true(crew_wait_backlog(crew, 0));
    assert_int_equal(crew_runs(crew, "mail"), 126);
    assert_int_equal(crew_runs(crew, "later"), 125);
    temp_dir_remove(dir);
}

static uint64_t store_made_at(struct crew *crew, const char *subject, const char *id,
                              const char *created_at, const char *redrives)
{
    jj_header headers[3] = {{"Job-Id", id}};
    size_t count = 1;

    if (created_at != NULL)
        headers[count++] = (jj_header){"Job-Created-At", created_at};
    if (redrives != NULL)
        headers[count++] = (jj_header){"Job-Redrives", redrives};
    return nats_client_store(crew->stranger, &(struct note){.subject = subject,
                                                            .headers = headers,
                                                            .header_count = count,
                                                            .data = "text"});
}

/* Each of them is one that must stay, but the first and the last. */
static void what_is_not_over_stays(void **state)
{
    struct crew *crew = *state;
    char before[JJ__RFC3339_SIZE];
    uint64_t seqs[5];

    jj__rfc3339_write(jj__clock_wall_ms() - 60000, before);
    open_worker(crew, "mail");
    crew_enqueue_spec(crew, &(jj_spec){.name = "mail", .id = "over"});
    crew_enqueue_spec(crew, &(jj_spec){.name = "mail", .id = "revived"});
    assert_true(crew_wait_runs(crew, "mail", 2));
    assert_true(crew_wait_over(crew));
    crew_close(crew);
    seqs[0] = store_made_at(crew, "jobs.enqueue.mail", "over", before, NULL);
    seqs[1] = store_made_at(crew, "jobs.enqueue.mail", "over", NULL, NULL); /* the id again */
    seqs[2] = store_made_at(crew, "jobs.enqueue.mail", "revived", before, "1");
    seqs[3] = store_made_at(crew, "jobs.enqueue.mail", "new", before, NULL);
    seqs[4] = store_made_at(crew, "jobs.enqueue.mail", "over", before, "0");
    store_made_at(crew, "jobs.due.mail", "over", before, NULL);
    uint64_t due = store_made_at(crew, "jobs.due.mail", "new-too", before, NULL);
    keeper_begin(crew);
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS", 3));
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS_SCHEDULE", 1));
    for (size_t i = 0; i < COUNT(seqs); i++) {
        struct heard *heard = nats_client_get(crew->stranger, "JOBS", seqs[i]);
        assert_true((heard == NULL) == (i == 0 || i == 4));
        heard_free(heard);
    }
    struct heard *heard = nats_client_get(crew->stranger, "JOBS_SCHEDULE", due);
    assert_non_null(heard);
    heard_free(heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_of_a_restored_queue_that_are_over_are_deleted,
                                        crew_begin, keepers_end),
        cmocka_unit_test_setup_teardown(what_is_not_over_stays, crew_begin, keepers_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
