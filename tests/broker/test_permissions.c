/* SPDX-License-Identifier: Apache-2.0 */

/* broker/permissions.conf, on a server: each of its users can do its whole work, and nothing else.
 *
 * What "nothing else" means is the table below. Each cell is tried: the user connects, publishes or
 * subscribes, and the server says whether it may. broker/README.md shows the same table. */

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "crew.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum role { PROVISIONER, PRODUCER, WORKER, SERVICE, OBSERVER, ROLES };

static const char *const users[ROLES] = {"provisioner", "mail_producer", "mail_worker", "service",
                                         "observer"};

/* Who may: a letter for each role in the order of users, '-' for those who may not. */
struct right {
    const char *verb;
    const char *subject;
    const char *allowed;
};

static const struct right rights[] = {
    /* jobs */
    {"publish", "jobs.enqueue.mail", "-PWS-"},
    {"publish", "jobs.enqueue.other", "---S-"},
    {"publish", "jobs.schedule.mail.x", "---S-"},
    {"publish", "jobs.schedule.other.x", "---S-"},
    {"publish", "jobs.due.mail", "-----"},
    {"publish", "jobs.claims.w", "--W--"},
    {"publish", "jobs.events.mail.completed", "--W--"},
    {"publish", "jobs.events.other.completed", "-----"},
    {"publish", "jobs.events.mail.cancelled", "--WS-"},
    {"publish", "jobs.events.other.cancelled", "---S-"},
    /* live events */
    {"publish", "job.mail.completed", "--W--"},
    {"publish", "job.other.completed", "-----"},
    {"publish", "job.completed", "--W--"},
    {"publish", "job.other.cancelled", "---S-"},
    {"publish", "log.job.x", "--W--"},
    /* requests */
    {"publish", "jobs.get.mail", "-PW-O"},
    {"publish", "jobs.get.other", "----O"},
    {"publish", "jobs.get", "----O"},
    {"publish", "jobs.getByName.mail", "-P--O"},
    {"publish", "jobs.getByName.other", "----O"},
    {"publish", "jobs.logs.mail", "-P--O"},
    {"publish", "jobs.stats", "----O"},
    {"publish", "jobs.cancel.mail", "-P---"},
    {"publish", "jobs.cancel.other", "-----"},
    {"publish", "jobs.cancel", "-----"},
    {"publish", "jobs.retry.mail", "-P---"},
    {"publish", "jobs.retry.other", "-----"},
    {"publish", "jobs.schedule.mail", "-PW--"},
    {"publish", "jobs.schedule.other", "-----"},
    /* streams */
    {"publish", "$JS.API.STREAM.INFO.JOBS", "V--S-"},
    {"publish", "$JS.API.STREAM.INFO.JOBS_EVENTS", "V-WS-"},
    {"publish", "$JS.API.STREAM.CREATE.JOBS", "V----"},
    {"publish", "$JS.API.STREAM.CREATE.OTHER", "-----"},
    {"publish", "$JS.API.STREAM.UPDATE.JOBS", "V----"},
    {"publish", "$JS.API.STREAM.DELETE.JOBS", "-----"},
    {"publish", "$JS.API.STREAM.PURGE.JOBS", "-----"},
    {"publish", "$JS.API.STREAM.PURGE.JOBS_SCHEDULE", "-----"},
    {"publish", "$JS.API.STREAM.MSG.DELETE.JOBS", "---S-"},
    {"publish", "$JS.API.STREAM.MSG.DELETE.JOBS_EVENTS", "-----"},
    {"publish", "$JS.API.STREAM.MSG.GET.JOBS", "---S-"},
    {"publish", "$JS.API.STREAM.MSG.GET.JOBS_EVENTS", "-----"},
    {"publish", "$JS.API.DIRECT.GET.JOBS", "---S-"},
    {"publish", "$JS.API.DIRECT.GET.JOBS_EVENTS", "-----"},
    {"publish", "$JS.API.DIRECT.GET.JOBS_SCHEDULE.jobs.schedule.mail.x", "---S-"},
    {"publish", "$JS.API.STREAM.LIST", "-----"},
    {"publish", "$JS.API.STREAM.SNAPSHOT.JOBS", "-----"},
    {"publish", "$JS.API.ACCOUNT.PURGE.JOBS", "-----"},
    /* consumers */
    {"publish", "$JS.API.CONSUMER.CREATE.JOBS.mail.jobs.enqueue.mail", "V----"},
    {"publish", "$JS.API.CONSUMER.CREATE.JOBS.mail.jobs.enqueue.other", "V----"},
    {"publish", "$JS.API.CONSUMER.CREATE.JOBS.mail", "-----"},
    {"publish", "$JS.API.CONSUMER.CREATE.JOBS_EVENTS.x", "--WS-"},
    {"publish", "$JS.API.CONSUMER.DELETE.JOBS_EVENTS.x", "--WS-"},
    {"publish", "$JS.API.CONSUMER.DELETE.JOBS.mail", "-----"},
    {"publish", "$JS.API.CONSUMER.PAUSE.JOBS.mail", "-----"},
    {"publish", "$JS.API.CONSUMER.MSG.NEXT.JOBS.mail", "--W--"},
    {"publish", "$JS.API.CONSUMER.MSG.NEXT.JOBS.other", "-----"},
    {"publish", "$JS.API.CONSUMER.MSG.NEXT.JOBS_SCHEDULE.due", "---S-"},
    {"publish", "$JS.ACK.JOBS.mail.1.1.1.1.0", "--W--"},
    {"publish", "$JS.ACK._.hash.JOBS.mail.1.1.1.1.0.x", "--W--"},
    {"publish", "$JS.ACK.JOBS.other.1.1.1.1.0", "-----"},
    {"publish", "$JS.ACK._.hash.JOBS.other.1.1.1.1.0.x", "-----"},
    {"publish", "$JS.ACK.JOBS_SCHEDULE.due.1.1.1.1.0", "---S-"},
    /* answers */
    {"publish", "_INBOX_mail_worker.x", "-----"},
    {"subscribe", "_INBOX_<user>.x", "VPWSO"},
    {"subscribe", "_INBOX.>", "-----"},
    {"subscribe", ">", "-----"},
    /* listening */
    {"subscribe", "job.mail.>", "-P--O"},
    {"subscribe", "job.>", "----O"},
    {"subscribe", "log.job", "----O"},
    {"subscribe", "jobs.enqueue.*", "---S-"},
    {"subscribe", "jobs.claims.*", "-----"},
    {"subscribe", "jobs.events.>", "-----"},
    {"subscribe", "jobs.get.*", "---S-"},
    {"subscribe", "jobs.cancel.mail", "---S-"},
    {"subscribe", "$JS.EVENT.ADVISORY.>", "-----"},
};

/* ---- the server ---- */

static char *read_file(const char *name)
{
    char path[512];
    struct buf text = {0};
    char bytes[4096];
    size_t got;

    snprintf(path, sizeof(path), "%s/%s", JETJOBS_SOURCE, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s can't be read", path);
    while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0)
        jj__buf_add(&text, bytes, got);
    fclose(file);
    jj__buf_char(&text, '\0');
    assert_false(text.failed);
    return text.data;
}

/* The file as it is, with passwords for its variables. */
static void serve(struct server *server)
{
    char *file = read_file("broker/permissions.conf");
    struct buf config = {0};

    jj__buf_str(&config, "JETJOBS_PROVISIONER_PASSWORD: secret\n"
                         "JETJOBS_MAIL_PRODUCER_PASSWORD: secret\n"
                         "JETJOBS_MAIL_WORKER_PASSWORD: secret\n"
                         "JETJOBS_SERVICE_PASSWORD: secret\n"
                         "JETJOBS_OBSERVER_PASSWORD: secret\n");
    jj__buf_str(&config, file);
    jj__buf_char(&config, '\0');
    assert_false(config.failed);
    server_start(server, &(struct server_options){.config = config.data});
    jj__buf_done(&config);
    free(file);
}

struct office {
    struct server server;
    struct log_book books[ROLES];
    jj_client *clients[ROLES];
};

static int office_begin(void **state)
{
    struct office *office = calloc(1, sizeof(*office));

    assert_non_null(office);
    for (size_t i = 0; i < ROLES; i++)
        pthread_mutex_init(&office->books[i].lock, NULL);
    serve(&office->server);
    *state = office;
    return 0;
}

static int office_end(void **state)
{
    struct office *office = *state;

    for (size_t i = 0; i < ROLES; i++)
        jj_close(office->clients[i]);
    server_done(&office->server);
    for (size_t i = 0; i < ROLES; i++)
        free(office->books[i].text);
    free(office);
    return 0;
}

/* ---- one user's word, and the server's answer ---- */

static int dial(const struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *format, ...) JJ_PRINTF(2, 3);

static void say(int fd, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert_true(len > 0 && (size_t)len < sizeof(text));
    assert_int_equal(write(fd, text, (size_t)len), len);
}

/* All that comes until the server has answered a ping. */
static void hear(int fd, struct buf *heard)
{
    char bytes[4096];

    jj__buf_reset(heard);
    do {
        ssize_t got = read(fd, bytes, sizeof(bytes) - 1);
        if (got <= 0)
            fail_msg("the server hangs up: %.*s", (int)heard->len, heard->data);
        heard->len = heard->len == 0 ? 0 : heard->len - 1;
        jj__buf_add(heard, bytes, (size_t)got);
        jj__buf_char(heard, '\0');
        assert_false(heard->failed);
    } while (strstr(heard->data, "PONG\r\n") == NULL);
}

static void log_in(int fd, enum role role, struct buf *heard)
{
    say(fd, "CONNECT {\"verbose\":false,\"user\":\"%s\",\"pass\":\"secret\"}\r\nPING\r\n",
        users[role]);
    hear(fd, heard);
}

static bool is_allowed(const struct server *server, enum role role, const struct right *right)
{
    char subject[128];
    struct buf heard = {0};
    int fd = dial(server);

    if (strcmp(right->subject, "_INBOX_<user>.x") == 0)
        snprintf(subject, sizeof(subject), "_INBOX_%s.x", users[role]);
    else
        snprintf(subject, sizeof(subject), "%s", right->subject);
    log_in(fd, role, &heard);
    if (right->verb[0] == 'p')
        say(fd, "PUB %s 0\r\n\r\nPING\r\n", subject);
    else
        say(fd, "SUB %s 1\r\nPING\r\n", subject);
    hear(fd, &heard);
    bool denied = strstr(heard.data, "-ERR 'Permissions Violation") != NULL;
    jj__buf_done(&heard);
    close(fd);
    return !denied;
}

/* ---- tests ---- */

static void add_row(struct buf *table, const struct right *right)
{
    jj__buf_str(table, "| ");
    jj__buf_str(table, right->verb);
    jj__buf_str(table, " | `");
    jj__buf_str(table, right->subject);
    jj__buf_str(table, "` |");
    for (size_t i = 0; i < ROLES; i++)
        jj__buf_str(table, right->allowed[i] == '-' ? " |" : " yes |");
    jj__buf_char(table, '\n');
}

static void each_user_may_do_what_the_table_says(void **state)
{
    struct office *office = *state;
    size_t wrong = 0;

    for (size_t i = 0; i < COUNT(rights); i++) {
        for (enum role role = 0; role < ROLES; role++) {
            bool allowed = is_allowed(&office->server, role, &rights[i]);
            if (allowed == (rights[i].allowed[role] != '-'))
                continue;
            print_error("%s %s %s %s\n", users[role], allowed ? "may" : "may not", rights[i].verb,
                        rights[i].subject);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void the_readme_has_the_table(void **state)
{
    (void)state;
    char *readme = read_file("broker/README.md");
    struct buf table = {0};

    for (size_t i = 0; i < COUNT(rights); i++)
        add_row(&table, &rights[i]);
    jj__buf_char(&table, '\0');
    assert_false(table.failed);
    if (strstr(readme, table.data) == NULL)
        fail_msg("broker/README.md should have this table:\n%s", table.data);
    jj__buf_done(&table);
    free(readme);
}

/* ---- the work of each ---- */

static jj_client *enter(struct office *office, enum role role, jj_options options)
{
    char url[128], user[64], inbox[64];
    jj_error err = {0};

    snprintf(user, sizeof(user), "%s:secret", users[role]);
    snprintf(inbox, sizeof(inbox), "_INBOX_%s", users[role]);
    server_url_of(&office->server, user, url);
    options.url = url;
    options.inbox_prefix = inbox;
    options.timeout_ms = WAIT_MS;
    options.log = log_book_sink;
    options.log_user = &office->books[role];
    if (jj_open(&options, &office->clients[role], &err) != JJ_OK)
        fail_msg("%s: %s", users[role], err.text);
    return office->clients[role];
}

static void must(jj_status s, const jj_error *err)
{
    if (s != JJ_OK)
        fail_msg("%s: %s", jj_status_text(s), err->text);
}

/* Fails twice, then is done. */
static jj_verdict act(jj_attempt *attempt, void *user)
{
    (void)user;
    jj_log(attempt, JJ_LOG_INFO, NULL, "attempt %u", jj_attempt_number(attempt));
    jj_progress(attempt, 50, NULL);
    jj_emit(attempt, "half", NULL);
    if (jj_attempt_number(attempt) == 1)
        return jj_retry_in(attempt, 0, "at once");
    if (jj_attempt_number(attempt) == 2)
        return jj_retry_in(attempt, 10, "later");
    return jj_done(attempt, "1", 1);
}

/* Consumers are made by whoever registers their name and may. */
static void provision(struct office *office)
{
    jj_error err = {0};
    jj_client *client = enter(office, PROVISIONER, (jj_options){0});

    must(jj_register(client, "mail", act, NULL, NULL, &err), &err);
    jj__ignore(jj_start(client, &err), "it may not work, but has made what it needs for that");
    jj_close(client);
    office->clients[PROVISIONER] = NULL;
}

static void start_worker(struct office *office)
{
    jj_client *worker = enter(office, WORKER, (jj_options){0});
    jj_error err = {0};

    must(jj_register(worker, "mail", act, NULL, NULL, &err), &err);
    must(jj_start(worker, &err), &err);
}

static void start_service(struct office *office)
{
    jj_error err = {0};

    must(jj_serve(enter(office, SERVICE, (jj_options){.adapter = &jj_adapter_memory}), &err), &err);
}

static void all_together_do_their_work(void **state)
{
    struct office *office = *state;
    jj_error err = {0};
    jj_receipt receipt;
    jj_job *job = NULL;
    jj_page *page = NULL;

    provision(office);
    start_service(office);
    start_worker(office);
    jj_client *producer = enter(office, PRODUCER, (jj_options){.only_name = "mail"});
    jj_client *observer = enter(office, OBSERVER, (jj_options){0});

    must(jj_enqueue(producer, &(jj_spec){.name = "mail"}, &receipt, &err), &err);
    must(jj_wait(producer, receipt.id, WAIT_MS, &job, &err), &err);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_int_equal(jj_job_attempts(job), 3);
    jj_job_free(job);
    assert_int_equal(jj_cancel(producer, receipt.id, &err), JJ_ERR_STATE);
    assert_int_equal(jj_redrive(producer, receipt.id, &err), JJ_ERR_STATE);
    must(jj_get(observer, receipt.id, &job, &err), &err);
    jj_job_free(job);
    must(jj_get_by_name(observer, &(jj_query){.name = "mail"}, &page, &err), &err);
    assert_int_equal(jj_page_count(page), 1);
    jj_page_free(page);

    for (enum role role = PRODUCER; role < ROLES; role++)
        if (log_book_has(&office->books[role], JJ_LOG_WARN, "Permission"))
            fail_msg("%s: %s", users[role], office->books[role].text);
}

static void who_may_not_write_schedules_asks_the_service(void **state)
{
    struct office *office = *state;
    const jj_spec spec = {.name = "mail", .data = "1", .data_len = 1, .unique_key = "once"};
    const int64_t later_ms = jj__clock_wall_ms() + 3600000;
    jj_error err = {0};
    jj_receipt receipt, second;
    jj_job *job = NULL;

    provision(office);
    jj_client *producer = enter(office, PRODUCER, (jj_options){.only_name = "mail"});
    assert_int_equal(jj_schedule(producer, &spec, later_ms, &receipt, &err), JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "may not write to JOBS_SCHEDULE"));
    start_service(office);
    must(jj_schedule(producer, &spec, later_ms, &receipt, &err), &err);
    assert_false(receipt.duplicate);
    assert_int_equal(receipt.seq, 1);
    must(jj_schedule(producer, &spec, later_ms, &second, &err), &err);
    assert_true(second.duplicate);
    assert_string_equal(second.id, receipt.id);
    must(jj_get(producer, receipt.id, &job, &err), &err);
    assert_int_equal(jj_job_state(job), JJ_SCHEDULED);
    assert_int_equal(jj_job_run_at_ms(job), later_ms);
    jj_job_free(job);
}

/* The job stays in the worker's hands until its retry is stored. */
static void a_retry_waits_until_a_service_stores_it(void **state)
{
    struct office *office = *state;
    jj_error err = {0};
    jj_receipt receipt;
    jj_job *job = NULL;

    provision(office);
    start_worker(office);
    jj_client *producer = enter(office, PRODUCER, (jj_options){.only_name = "mail"});
    must(jj_enqueue(producer, &(jj_spec){.name = "mail"}, &receipt, &err), &err);
    for (int64_t until_ms = jj__clock_mono_ms() + WAIT_MS;
         !log_book_has(&office->books[WORKER], JJ_LOG_ERROR, "jobs.schedule.mail") &&
         jj__clock_mono_ms() < until_ms;)
        wait_a_moment();
    assert_true(log_book_has(&office->books[WORKER], JJ_LOG_ERROR, "not stored, trying again"));
    start_service(office);
    must(jj_wait(producer, receipt.id, WAIT_MS, &job, &err), &err);
    assert_int_equal(jj_job_state(job), JJ_COMPLETED);
    assert_int_equal(jj_job_attempts(job), 3);
    assert_int_equal(jj_job_lost(job), 0);
    jj_job_free(job);
}

/* The server sends what it was asked for wherever it was asked to, whoever may publish there. So
 * permissions fence roles off, and accounts those who must not trust each other. */
static void a_pull_goes_wherever_the_worker_wants(void **state)
{
    struct office *office = *state;
    struct buf heard = {0};
    int worker = dial(&office->server), service = dial(&office->server);

    provision(office);
    log_in(worker, WORKER, &heard);
    log_in(service, SERVICE, &heard);
    say(service, "SUB jobs.enqueue.other 1\r\nPING\r\n");
    hear(service, &heard);
    say(worker, "PUB jobs.enqueue.mail 4\r\nevil\r\n"
                "PUB $JS.API.CONSUMER.MSG.NEXT.JOBS.mail jobs.enqueue.other 1\r\n1\r\nPING\r\n");
    hear(worker, &heard);
    assert_null(strstr(heard.data, "-ERR"));
    for (int64_t until_ms = jj__clock_mono_ms() + WAIT_MS; jj__clock_mono_ms() < until_ms;) {
        say(service, "PING\r\n");
        hear(service, &heard);
        if (strstr(heard.data, "evil") != NULL)
            break;
        wait_a_moment();
    }
    assert_non_null(strstr(heard.data, "evil"));
    jj__buf_done(&heard);
    close(worker);
    close(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_user_may_do_what_the_table_says, office_begin,
                                        office_end),
        cmocka_unit_test_setup_teardown(all_together_do_their_work, office_begin, office_end),
        cmocka_unit_test_setup_teardown(who_may_not_write_schedules_asks_the_service, office_begin,
                                        office_end),
        cmocka_unit_test_setup_teardown(a_retry_waits_until_a_service_stores_it, office_begin,
                                        office_end),
        cmocka_unit_test_setup_teardown(a_pull_goes_wherever_the_worker_wants, office_begin,
                                        office_end),
        cmocka_unit_test(the_readme_has_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
