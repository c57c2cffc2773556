/* SPDX-License-Identifier: Apache-2.0 */

/* What strangers may send, and what becomes of it. Here are those that are nobody else's story; the
 * rest is elsewhere:
 *
 *     names and ids that are no tokens      unit.spec, unit.subject, fuzz.subject
 *     data of 0, most and too many bytes    unit.spec, broker.enqueue, broker.broker_publish
 *     headers that are too large, reserved  unit.spec, broker.enqueue
 *     or break out of their line
 *     headers that can't be read            unit.job, fuzz.job, broker.crash
 *     JSON: deep, long, 1e999, no UTF-8     unit.codec_json_request, unit.json_write, fuzz.request
 *     protobuf: lengths, floods, cut        unit.codec_pb, unit.codec_pb_request, fuzz.batch
 *     schedules: past, bad zone, bombs      broker.schedule, broker.index_api, fuzz.schedule
 *     numbers of attempts, delays           unit.spec, unit.retry
 *     cancel: unknown, over, running, twice broker.cancel, broker.index_api
 *     queries: limits, forged cursors       unit.query, broker.index_api, fuzz.text
 *     requests without reply, or to the API broker.index_api
 *     answers to other workers' jobs        broker.permissions
 *     events that can't be                  unit.fold, unit.codec_pb
 *     programs that print what acts         unit.exec_message, cmd.terminal, cmd.escape
 *     TLS: none, another authority          broker.broker_tls
 *     servers and streams that are wrong    broker.broker_provision, cmd.doctor */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include <cmocka.h>

#include <jetjobs/adapter.h>

#include "crew.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The stream of ready jobs obeys none of the headers that act on a stream. */
static void jobs_obeys_no_headers(void **state)
{
    static const struct {
        jj_header header;
        int err_code;
    } headers[] = {
        {{"Nats-Rollup", "all"}, 10111},
        {{"Nats-TTL", "1s"}, 10166},
        {{"Nats-Schedule", "@at 2026-11-23T22:19:16Z"}, 10188},
    };
    struct crew *crew = *state;

    crew_open(crew, NULL);
    nats_client_store_text(crew->stranger, "jobs.enqueue.kept", "1");
    for (size_t i = 0; i < COUNT(headers); i++) {
        json_t *answer =
            nats_client_ask(crew->stranger, &(struct note){.subject = "jobs.enqueue.kept",
                                                           .headers = &headers[i].header,
                                                           .header_count = 1,
                                                           .data = "2"});
        const json_t *error = json_object_get(answer, "error");
        assert_int_equal(json_integer_value(json_object_get(error, "err_code")),
                         headers[i].err_code);
        json_decref(answer);
    }
    assert_int_equal(nats_client_stream_messages(crew->stranger, "JOBS"), 1);
}

/* ---- bytes that no client library would send ---- */

static int dial(const struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    static const char hello[] = "CONNECT {\"verbose\":false,\"headers\":true}\r\n";

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, hello, sizeof(hello) - 1), sizeof(hello) - 1);
    return fd;
}

static void publish_raw(int fd, const char *subject, const void *headers, size_t headers_len)
{
    char head[128];
    int len =
        snprintf(head, sizeof(head), "HPUB %s %zu %zu\r\n", subject, headers_len, headers_len + 1);

    assert_int_equal(write(fd, head, (size_t)len), len);
    assert_int_equal(write(fd, headers, headers_len), headers_len);
    assert_int_equal(write(fd, "1\r\n", 3), 3);
}

/* Wait until the server has read all of it. */
static void settle(int fd)
{
    char heard[4096] = "";
    size_t len = 0;

    assert_int_equal(write(fd, "PING\r\n", 6), 6);
    while (strstr(heard, "PONG\r\n") == NULL) {
        ssize_t got = read(fd, heard + len, sizeof(heard) - 1 - len);
        assert_true(got > 0);
        len += (size_t)got;
        heard[len] = '\0';
    }
}

/* Each of them is run, or fails; none stops the worker, and the job behind them runs. */
static void malformed_headers_stop_no_worker(void **state)
{
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    static const struct {
        const char *bytes;
        size_t len;
    } blocks[] = {
        BYTES("garbage\r\n\r\n"),
        BYTES("NATS/1.0\r\nno colon\r\n\r\n"),
        BYTES("NATS/1.0\r\n: empty\r\n\r\n"),
        BYTES("NATS/1.0\r\nJob-Id: a\r\nJob-Id: b\r\n\r\n"),
        BYTES("NATS/1.0\r\n\xff\xfe\x00: \xff\xfe\r\n\r\n"),
        BYTES("NATS/1.0 503 No Responders\r\n\r\n"),
        BYTES("NATS/1.0 100 Idle\r\nNats-Last-Consumer: 7\r\n\r\n"),
        BYTES("NATS/1.0\r\nJob-Max-Attempts: abc\r\n\r\n"),
        BYTES("\r\n\r\n"),
    };
    struct crew *crew = *state;

    crew_open(crew, NULL);
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    int fd = dial(&crew->server);
    for (size_t i = 0; i < COUNT(blocks); i++)
        publish_raw(fd, "jobs.enqueue.mail", blocks[i].bytes, blocks[i].len);
    publish_raw(fd, "jobs.enqueue.*", "NATS/1.0\r\n\r\n", 12);
    settle(fd);
    const char *id = crew_enqueue(crew, "mail", "behind");
    char behind[JJ_NAME_SIZE];
    snprintf(behind, sizeof(behind), "%s", id);
    /* what is left is of the name that is none, which nobody asks for */
    assert_true(nats_client_wait_messages(crew->stranger, "JOBS", 1));
    struct history *history = crew_read_history(crew);
    assert_non_null(history_event(history, behind, EVENT_COMPLETED));
    history_free(history);
    close(fd);
}

/* ---- jobs that look like a word of the server's ---- */

static const char *const statuses[] = {"100", "204", "404", "408", "409"};

/* The client library throws it away: "nobody answers". */
#define NOBODY "503"

/* One without data for each of them. */
static void store_statuses(struct crew *crew)
{
    for (size_t i = 0; i <= COUNT(statuses); i++) {
        const char *text = i < COUNT(statuses) ? statuses[i] : NOBODY;
        const jj_header headers[] = {
            {"Job-Id", text}, {"Status", text}, {"Description", "Consumer Deleted"}};
        nats_client_store(crew->stranger, &(struct note){.subject = "jobs.enqueue.mail",
                                                         .headers = headers,
                                                         .header_count = COUNT(headers),
                                                         .data = ""});
    }
}

static void an_index_reads_jobs_that_look_like_a_status(void **state)
{
    struct crew *crew = *state;
    jj_job *job = NULL;
    jj_error err = {0};

    crew_open(crew, &(jj_options){.adapter = &jj_adapter_memory});
    store_statuses(crew);
    const char *behind = crew_enqueue(crew, "mail", "behind"); /* and so all before it is read */
    assert_int_equal(jj_get(crew->client, behind, &job, &err), JJ_OK);
    jj_job_free(job);
    for (size_t i = 0; i < COUNT(statuses); i++) {
        if (jj_get(crew->client, statuses[i], &job, &err) != JJ_OK)
            fail_msg("status %s: %s", statuses[i], err.text);
        assert_int_equal(jj_job_state(job), JJ_PENDING);
        jj_job_free(job);
    }
    assert_int_equal(jj_get(crew->client, NOBODY, &job, &err), JJ_ERR_NOT_FOUND);
    assert_true(log_book_has(&crew->book, JJ_LOG_WARN, "message 6 of JOBS is passed over"));
}

static void a_worker_runs_jobs_that_look_like_a_status(void **state)
{
    struct crew *crew = *state;

    crew_open(crew, NULL);
    store_statuses(crew);
    crew_enqueue(crew, "mail", "behind");
    crew_register(crew, "mail", NULL, NULL);
    crew_start(crew);
    assert_true(crew_wait_runs(crew, "mail", COUNT(statuses) + 1));
    assert_true(crew_wait_backlog(crew, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_obeys_no_headers, crew_begin, crew_end),
        cmocka_unit_test_setup_teardown(malformed_headers_stop_no_worker, crew_begin, crew_end),
        cmocka_unit_test_setup_teardown(an_index_reads_jobs_that_look_like_a_status, crew_begin,
                                        crew_end),
        cmocka_unit_test_setup_teardown(a_worker_runs_jobs_that_look_like_a_status, crew_begin,
                                        crew_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
