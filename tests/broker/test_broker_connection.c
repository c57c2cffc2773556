/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "world.h"

/* ---- connecting ---- */

static jj_status open_url(struct world *world, const char *url, int64_t limit_ms, jj_error *err)
{
    jj_options options = world_options(url);
    const struct log log = world_log(world);

    options.connect_timeout_ms = limit_ms;
    return jj__broker_open(&options, &log, &world->broker, err);
}

static void connecting_to_nobody_fails_in_time_and_names_the_url(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    server_stop(&world->server);
    int64_t start_ms = jj__clock_mono_ms();
    assert_int_equal(open_url(world, world->server.url, 300, &err), JJ_ERR_UNAVAILABLE);
    int64_t took_ms = jj__clock_mono_ms() - start_ms;
    assert_true(took_ms >= 300 && took_ms < 20000);
    assert_int_equal(err.status, JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, world->server.url));
    assert_null(strstr(err.text, ".c:")); /* no line of the client library */
    assert_null(world->broker);
}

static void a_frozen_broker_does_not_hold_up_opening(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    server_freeze(&world->server);
    int64_t start_ms = jj__clock_mono_ms();
    assert_int_equal(open_url(world, world->server.url, 200, &err), JJ_ERR_UNAVAILABLE);
    assert_true(jj__clock_mono_ms() - start_ms < 20000);
    assert_non_null(strstr(err.text, world->server.url));
    assert_int_not_equal(err.text[strlen(err.text) - 1], ' '); /* it says why */
}

static void assert_silent(struct world *world, const char *url, const char *secret)
{
    jj_error err = {0};

    assert_int_not_equal(open_url(world, url, 200, &err), JJ_OK);
    if (strstr(err.text, secret) != NULL)
        fail_msg("this tells the secret: %s", err.text);
    assert_false(log_book_has(&world->book, JJ_LOG_DEBUG, secret));
}

static void no_text_tells_a_password(void **state)
{
    struct world *world = *state;

    server_stop(&world->server);
    assert_silent(world, "nats://bob:s3cret@127.0.0.1:1", "s3cret");
    assert_silent(world, "bob:s3cret@127.0.0.1:1", "s3cret");
    assert_silent(world, "nats://t0ps3cret@127.0.0.1:1", "s3cret");
    assert_silent(world, "nats://127.0.0.1:1,nats://bob:s3cret@127.0.0.1:1", "s3cret");
    assert_silent(world, "nats://bob:s3cret@127.0.0.1:1, nats://eve:s3cret@127.0.0.1:2", "s3cret");
    assert_silent(world, "nats://bob:s3cret@127.0.0.1:port", "s3cret");
    assert_silent(world, "nats://bob:s3cret@127.0.0.1:123456789", "s3cret");
    assert_silent(world, "nats://bob:s3cr@s3cret@127.0.0.1:1", "s3cret");
    assert_silent(world, "http://bob:s3cret@127.0.0.1:1", "s3cret");
}

static void texts_name_user_and_host_without_the_password(void **state)
{
    struct world *world = *state;
    jj_error err = {0};

    assert_int_equal(open_url(world, "nats://bob:s3cret@127.0.0.1:1,nats://127.0.0.1:2", 100, &err),
                     JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "@127.0.0.1:1,nats://127.0.0.1:2"));
}

#define ONE_USER "authorization { user: bob, password: s3cret }"

static void wrong_password_is_reported_at_once(void **state)
{
    struct world *world = *state;
    jj_error err = {0};
    char url[128];

    world_serve(world, ONE_USER, "bob:s3cret");
    server_url_of(&world->server, "bob:s3krit", url);
    int64_t start_ms = jj__clock_mono_ms();
    assert_int_equal(open_url(world, url, 600000, &err), JJ_ERR_NOT_PERMITTED);
    assert_true(jj__clock_mono_ms() - start_ms < 30000);
    assert_non_null(strstr(err.text, "uthorization"));
    assert_null(strstr(err.text, "s3krit"));
}

static void a_password_refused_later_is_in_the_log_once(void **state)
{
    struct world *world = *state;

    world_serve(world, ONE_USER, "bob:s3cret");
    world_connect(world, "bob:s3cret");
    const struct server_options changed = {.config = "authorization { user: bob, password: new }"};
    server_restart_with(&world->server, &changed);
    int64_t until_ms = world_deadline();
    while (!log_book_has(&world->book, JJ_LOG_WARN, "uthorization") &&
           jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    assert_true(log_book_has(&world->book, JJ_LOG_WARN, "uthorization"));
    server_restart_with(&world->server, &(struct server_options){.config = ONE_USER});
    assert_true(world_wait_connected(world, true));
    assert_true(log_book_count(&world->book, JJ_LOG_WARN) < 6);
    assert_false(log_book_has(&world->book, JJ_LOG_DEBUG, "s3cret"));
}

static void right_password_opens(void **state)
{
    struct world *world = *state;

    world_serve(world, ONE_USER, "bob:s3cret");
    world_connect(world, "bob:s3cret");
    assert_true(jj__broker_connected(world->broker));
}

static void a_token_opens(void **state)
{
    struct world *world = *state;

    world_serve(world, "authorization { token: t0ken }", "t0ken");
    world_connect(world, "t0ken");
    assert_true(jj__broker_connected(world->broker));
}

static void the_first_servers_password_is_used_for_all(void **state)
{
    struct world *world = *state;
    char urls[256];

    world_serve(world, ONE_USER, "bob:s3cret");
    snprintf(urls, sizeof(urls), "nats://bob:s3cret@127.0.0.1:1, %s", world->server.url);
    jj_error err;
    if (open_url(world, urls, WAIT_MS, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

/* And not a default of the client library, on which somebody may listen. */
static void urls_without_a_server_are_invalid(void **state)
{
    struct world *world = *state;
    static const char *const urls[] = {"",        ",",
                                       " ",       "nats://",
                                       ":4222",   "nats://bob:s3cret@",
                                       "tls:///", "nats://127.0.0.1:1,nats://"};

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        jj_error err = {0};
        assert_int_equal(open_url(world, urls[i], 100, &err), JJ_ERR_INVALID);
        assert_non_null(strstr(err.text, "does not name a server"));
        assert_null(strstr(err.text, "s3cret"));
    }
}

static void nonsense_urls_are_errors(void **state)
{
    struct world *world = *state;
    static const char *const urls[] = {"nats://127.0.0.1:port", "nats://127.0.0.1:99999",
                                       "nats://[::1"};

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        jj_error err = {0};
        assert_int_not_equal(open_url(world, urls[i], 100, &err), JJ_OK);
        assert_int_not_equal(err.text[0], '\0');
    }
}

struct opener {
    struct world *world;
    jj_status status;
    jj_error err;
};

static void *open_for_ever(void *arg)
{
    struct opener *opener = arg;

    opener->status = open_url(opener->world, opener->world->server.url, -1, &opener->err);
    return NULL;
}

static void opening_can_wait_for_a_broker_that_comes_late(void **state)
{
    struct world *world = *state;
    struct opener opener = {.world = world};
    pthread_t thread;

    server_stop(&world->server);
    pthread_create(&thread, NULL, open_for_ever, &opener);
    server_restart(&world->server);
    pthread_join(thread, NULL);
    assert_int_equal(opener.status, JJ_OK);
    assert_true(jj__broker_connected(world->broker));
}

static void the_largest_payload_is_the_servers(void **state)
{
    struct world *world = *state;

    world_serve(world, "max_payload: 300KB", NULL);
    world_connect(world, NULL);
    assert_int_equal(jj__broker_max_payload(world->broker), 300 * 1024);
    server_restart_with(&world->server, &(struct server_options){.config = "max_payload: 400KB"});
    int64_t until_ms = world_deadline();
    while (jj__broker_max_payload(world->broker) != 400 * 1024 && jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    assert_int_equal(jj__broker_max_payload(world->broker), 400 * 1024);
}

/* ---- ports ---- */

/* A port that puts the numbers it hears into the world's bag. */
struct ear {
    struct world *world;
    struct port_options options;
    struct port *port;
    size_t close_after; /* messages; 0: never */
    size_t heard;
    bool unheard; /* something found nobody */
};

static void hear(void *ctx, struct broker_msg *msg)
{
    struct ear *ear = ctx;

    if (msg == NULL) {
        bag_put(&ear->world->bag, UINT64_MAX);
        return;
    }
    char text[24] = "";
    size_t len = jj__msg_len(msg) < sizeof(text) ? jj__msg_len(msg) : sizeof(text) - 1;
    memcpy(text, jj__msg_data(msg), len);
    jj__msg_free(msg);
    ear->heard++;
    bag_put(&ear->world->bag, strtoull(text, NULL, 10));
    if (ear->heard == ear->close_after) {
        jj__broker_port_close(ear->port);
        ear->port = NULL;
    }
}

static void open_ear(void *ctx)
{
    struct ear *ear = ctx;

    ear->options.take = hear;
    ear->options.ctx = ear;
    if (jj__broker_port_open(ear->world->broker, &ear->options, &ear->port, NULL) != JJ_OK)
        ear->port = NULL;
}

static void close_ear(void *ctx)
{
    struct ear *ear = ctx;

    jj__broker_port_close(ear->port);
    ear->port = NULL;
}

static void listen_with(struct world *world, struct ear *ear)
{
    ear->world = world;
    jj__broker_call(world->broker, open_ear, ear);
    assert_non_null(ear->port);
    jj__broker_flush(world->broker, WAIT_MS);
}

static void tell(struct world *world, const char *subject, size_t first, size_t last)
{
    char text[24];

    for (size_t i = first; i <= last; i++) {
        snprintf(text, sizeof(text), "%zu", i);
        nats_client_send(world->stranger, &(struct note){.subject = subject, .data = text});
    }
}

static void a_port_hears_all_and_in_order(void **state)
{
    struct world *world = *state;
    struct ear ear = {.options = {.subject = "news.*"}};

    world_connect(world, NULL);
    listen_with(world, &ear);
    tell(world, "news.a", 1, 5000);
    assert_true(bag_wait(&world->bag, 5000));
    assert_true(bag_rises(&world->bag));
    assert_int_equal(bag_get(&world->bag, 4999), 5000);
    jj__broker_call(world->broker, close_ear, &ear);
}

static void a_message_larger_than_all_buffers_arrives(void **state)
{
    struct world *world = *state;
    struct ear ear = {.options = {.subject = "news"}};
    size_t len = 1000000;
    char *large = malloc(len);

    assert_non_null(large);
    memset(large, ' ', len);
    large[0] = '7';
    world_connect(world, NULL);
    listen_with(world, &ear);
    nats_client_send(world->stranger, &(struct note){.subject = "news", .data = large, .len = len});
    free(large);
    assert_true(bag_wait(&world->bag, 1));
    assert_int_equal(bag_get(&world->bag, 0), 7);
    jj__broker_call(world->broker, close_ear, &ear);
}

static void a_port_may_close_itself_while_it_hears(void **state)
{
    struct world *world = *state;
    struct ear brief = {.options = {.subject = "news"}, .close_after = 3};
    struct ear lasting = {.options = {.subject = "end"}};

    world_connect(world, NULL);
    listen_with(world, &brief);
    listen_with(world, &lasting);
    tell(world, "news", 1, 100);
    tell(world, "end", 1000, 1000);
    assert_true(bag_wait(&world->bag, 4));
    jj__broker_flush(world->broker, WAIT_MS);
    jj__broker_call(world->broker, close_ear, &lasting);
    assert_int_equal(bag_count(&world->bag), 4);
    assert_int_equal(bag_distinct(&world->bag), 4);
    assert_int_equal(brief.heard, 3);
}

static void ports_of_one_queue_share(void **state)
{
    struct world *world = *state;
    struct ear first = {.options = {.subject = "news", .queue = "q"}};
    struct ear second = {.options = {.subject = "news", .queue = "q"}};

    world_connect(world, NULL);
    listen_with(world, &first);
    listen_with(world, &second);
    tell(world, "news", 1, 500);
    assert_true(bag_wait_distinct(&world->bag, 500));
    assert_int_equal(bag_count(&world->bag), 500);
    jj__broker_call(world->broker, close_ear, &first);
    jj__broker_call(world->broker, close_ear, &second);
    assert_true(first.heard > 0 && second.heard > 0);
}

static void ports_hear_again_after_a_restart(void **state)
{
    struct world *world = *state;
    struct ear ear = {.options = {.subject = "news"}};

    world_connect(world, NULL);
    listen_with(world, &ear);
    tell(world, "news", 1, 1);
    assert_true(bag_wait(&world->bag, 1));
    for (uint64_t i = 2; i < 5; i++) {
        server_kill(&world->server);
        assert_true(world_wait_connected(world, false));
        server_restart(&world->server);
        assert_true(world_wait_connected(world, true));
        jj__broker_flush(world->broker, WAIT_MS);
        tell(world, "news", i, i);
        assert_true(bag_wait(&world->bag, i));
    }
    jj__broker_call(world->broker, close_ear, &ear);
    assert_true(log_book_has(&world->book, JJ_LOG_WARN, "lost"));
}

static void a_port_opened_while_there_is_no_broker_hears_later(void **state)
{
    struct world *world = *state;
    struct ear ear = {.world = world, .options = {.subject = "news"}};

    world_connect(world, NULL);
    server_kill(&world->server);
    assert_true(world_wait_connected(world, false));
    jj__broker_call(world->broker, open_ear, &ear);
    assert_non_null(ear.port);
    server_restart(&world->server);
    assert_true(world_wait_connected(world, true));
    jj__broker_flush(world->broker, WAIT_MS);
    tell(world, "news", 1, 1);
    assert_true(bag_wait(&world->bag, 1));
    jj__broker_call(world->broker, close_ear, &ear);
}

struct sending {
    struct world *world;
    struct outgoing message;
    bool sent;
};

static void send_it(void *ctx)
{
    struct sending *sending = ctx;

    sending->sent = jj__broker_send(sending->world->broker, &sending->message);
}

static void a_port_is_told_that_nobody_is_there(void **state)
{
    struct world *world = *state;
    struct ear ear = {.options = {.subject = "answers.*"}};
    struct sending sending = {.world = world,
                              .message = {.subject = "nobody", .reply = "answers.1"}};

    world_connect(world, NULL);
    listen_with(world, &ear);
    jj__broker_call(world->broker, send_it, &sending);
    assert_true(sending.sent);
    assert_true(bag_wait(&world->bag, 1));
    assert_true(bag_get(&world->bag, 0) == UINT64_MAX);
    jj__broker_call(world->broker, close_ear, &ear);
}

/* ---- sending ---- */

static void what_is_sent_arrives_with_headers_and_data(void **state)
{
    struct world *world = *state;
    const jj_header headers[] = {{"One", "1"}, {"Two", "a"}, {"Two", "b"}};
    struct sending sending = {.world = world,
                              .message = {.subject = "news",
                                          .reply = "back",
                                          .headers = headers,
                                          .header_count = 3,
                                          .data = "a\0b",
                                          .len = 3}};
    struct sending plain = {.world = world, .message = {.subject = "news", .data = "x", .len = 1}};

    world_connect(world, NULL);
    struct listener *listener = nats_client_listen(world->stranger, "news", NULL);
    jj__broker_call(world->broker, send_it, &sending);
    jj__broker_call(world->broker, send_it, &plain);
    assert_true(sending.sent && plain.sent);
    assert_true(listener_wait(listener, 2));
    const struct heard *heard = listener_get(listener, 0);
    assert_string_equal(heard->reply, "back");
    assert_int_equal(heard->len, 3);
    assert_memory_equal(heard->data, "a\0b", 3);
    assert_int_equal(heard->header_count, 3);
    assert_string_equal(heard_header(heard, "One"), "1");
    assert_string_equal(listener_get(listener, 1)->data, "x");
    listener_close(listener);
}

static void what_breaks_the_protocol_is_not_sent(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *subject, *reply;
        jj_header header;
    } bad[] = {
        {"", NULL, {"A", "b"}},
        {"a b", NULL, {"A", "b"}},
        {"a\r\nPUB evil 0", NULL, {"A", "b"}},
        {"a\tb", NULL, {"A", "b"}},
        {"a", "b\r\nPUB evil 0\r\n", {"A", "b"}},
        {"a", "b c", {"A", "b"}},
        {"a", "", {"A", "b"}},
        {"a", NULL, {"", "b"}},
        {"a", NULL, {"A:B", "b"}},
        {"a", NULL, {"A B", "b"}},
        {"a", NULL, {"A\r\nB", "b"}},
        {"a", NULL, {"A", "b\r\nEvil: c"}},
        {"a", NULL, {"A", "b\nEvil: c"}},
        {"a", NULL, {"A", "b\rEvil: c"}},
    };

    world_connect(world, NULL);
    struct listener *listener = nats_client_listen(world->stranger, ">", NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t headers = 0; headers < 2; headers++) {
            struct sending sending = {.world = world,
                                      .message = {.subject = bad[i].subject,
                                                  .reply = bad[i].reply,
                                                  .headers = &bad[i].header,
                                                  .header_count = headers}};
            jj__broker_call(world->broker, send_it, &sending);
            if (sending.sent && (headers == 1 || i < 7))
                fail_msg("number %zu was sent, with %zu headers", i, headers);
        }
    nats_client_publish(world->stranger, &(struct note){.subject = "last"});
    jj__broker_flush(world->broker, WAIT_MS);
    assert_true(listener_wait(listener, 1));
    for (size_t i = 0; i < listener_count(listener); i++) {
        const struct heard *heard = listener_get(listener, i);
        assert_string_not_equal(heard->subject, "evil");
        assert_null(heard_header(heard, "Evil"));
    }
    assert_true(jj__broker_connected(world->broker));
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0);
    listener_close(listener);
}

/* ---- questions ---- */

static jj_status ask(struct world *world, const char *subject, int64_t limit_ms, jj_error *err)
{
    const struct outgoing message = {.subject = subject, .data = "?", .len = 1};
    struct broker_msg *answer = NULL;
    jj_status s =
        jj__broker_request(world->broker, &message, jj__clock_mono_ms() + limit_ms, &answer, err);

    if (s == JJ_OK)
        bag_put(&world->bag, jj__msg_len(answer));
    jj__msg_free(s == JJ_OK ? answer : NULL);
    return s;
}

static void a_question_is_answered(void **state)
{
    struct world *world = *state;
    jj_error err;

    world_connect(world, NULL);
    struct listener *service = nats_client_listen(world->stranger, "service", "fine");
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(ask(world, "service", WAIT_MS, &err), JJ_OK);
    assert_int_equal(bag_get(&world->bag, 99), 4);
    assert_int_equal(listener_count(service), 100);
    listener_close(service);
}

static void a_question_to_nobody_fails_at_once(void **state)
{
    struct world *world = *state;
    jj_error err;

    world_connect(world, NULL);
    int64_t start_ms = jj__clock_mono_ms();
    assert_int_equal(ask(world, "nobody", 600000, &err), JJ_ERR_UNAVAILABLE);
    assert_true(jj__clock_mono_ms() - start_ms < 30000);
    assert_non_null(strstr(err.text, "nobody"));
}

static void a_question_that_is_not_answered_times_out(void **state)
{
    struct world *world = *state;
    jj_error err;

    world_connect(world, NULL);
    struct listener *mute = nats_client_listen(world->stranger, "mute", NULL);
    assert_int_equal(ask(world, "mute", 200, &err), JJ_ERR_TIMEOUT);
    assert_true(listener_wait(mute, 1));
    listener_close(mute);
}

static void a_question_while_there_is_no_broker_fails_at_its_deadline(void **state)
{
    struct world *world = *state;
    jj_error err;

    world_connect(world, NULL);
    server_kill(&world->server);
    assert_true(world_wait_connected(world, false));
    int64_t start_ms = jj__clock_mono_ms();
    assert_int_equal(ask(world, "service", 300, &err), JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "no broker at"));
    assert_in_range(jj__clock_mono_ms() - start_ms, 300, 30000);
}

struct asker {
    struct world *world;
    const char *subject;
    pthread_t thread;
    jj_status status;
    jj_error err;
};

static void *ask_for_long(void *arg)
{
    struct asker *asker = arg;

    asker->status = ask(asker->world, asker->subject, 600000, &asker->err);
    return NULL;
}

static void a_question_is_asked_again_when_its_connection_broke(void **state)
{
    struct world *world = *state;
    struct asker asker = {.world = world, .subject = "$JS.API.INFO"};

    world_connect(world, NULL);
    server_freeze(&world->server);
    pthread_create(&asker.thread, NULL, ask_for_long, &asker);
    server_kill(&world->server);
    server_restart(&world->server);
    pthread_join(asker.thread, NULL);
    assert_int_equal(asker.status, JJ_OK);
}

#define LIMITED                                                                                    \
    "authorization { users: ["                                                                     \
    "{ user: boss, password: x },"                                                                 \
    "{ user: bob, password: x, permissions: {"                                                     \
    "    publish: { deny: [\"closed.>\"] }, subscribe: [\"_BOB.>\", \"news\"] } } ] }"

static jj_status open_as_bob(struct world *world, jj_error *err)
{
    const struct log log = world_log(world);
    char url[128];

    server_url_of(&world->server, "bob:x", url);
    jj_options options = world_options(url);
    options.inbox_prefix = "_BOB";
    return jj__broker_open(&options, &log, &world->broker, err);
}

static void questions_that_are_not_permitted_fail_at_once(void **state)
{
    struct world *world = *state;
    struct asker askers[] = {
        {.subject = "closed.a"}, {.subject = "closed.b"}, {.subject = "closed.c.d"}};
    jj_error err;

    world_serve(world, LIMITED, "boss:x");
    assert_int_equal(open_as_bob(world, &err), JJ_OK);
    int64_t start_ms = jj__clock_mono_ms();
    for (size_t i = 0; i < 3; i++) {
        askers[i].world = world;
        pthread_create(&askers[i].thread, NULL, ask_for_long, &askers[i]);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(askers[i].thread, NULL);
    assert_true(jj__clock_mono_ms() - start_ms < 30000);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(askers[i].status, JJ_ERR_NOT_PERMITTED);
        assert_non_null(strstr(askers[i].err.text, askers[i].subject));
    }
}

static void answers_come_to_the_inbox_prefix(void **state)
{
    struct world *world = *state;
    jj_error err;

    world_serve(world, LIMITED, "boss:x");
    assert_int_equal(open_as_bob(world, &err), JJ_OK);
    struct listener *service = nats_client_listen(world->stranger, "service", "fine");
    assert_int_equal(ask(world, "service", WAIT_MS, &err), JJ_OK);
    assert_int_equal(strncmp(listener_get(service, 0)->reply, "_BOB.", 5), 0);
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0);
    listener_close(service);
}

static void an_inbox_prefix_that_is_too_long_is_refused(void **state)
{
    struct world *world = *state;
    char prefix[200];
    jj_options options = world_options(world->server.url);
    const struct log log = world_log(world);
    jj_error err;

    memset(prefix, 'a', sizeof(prefix));
    prefix[sizeof(prefix) - 1] = '\0';
    options.inbox_prefix = prefix;
    assert_int_equal(jj__broker_open(&options, &log, &world->broker, &err), JJ_ERR_INVALID);
}

static void a_port_that_is_not_permitted_is_in_the_log(void **state)
{
    struct world *world = *state;
    struct ear ear = {.options = {.subject = "secrets"}};
    jj_error err;

    world_serve(world, LIMITED, "boss:x");
    assert_int_equal(open_as_bob(world, &err), JJ_OK);
    listen_with(world, &ear);
    int64_t until_ms = world_deadline();
    while (!log_book_has(&world->book, JJ_LOG_WARN, "secrets") && jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    assert_true(log_book_has(&world->book, JJ_LOG_WARN, "secrets"));
    jj__broker_call(world->broker, close_ear, &ear);
}

static void log_lines_come_from_one_thread(void **state)
{
    struct world *world = *state;
    struct ear ear = {.options = {.subject = "secrets"}};
    jj_error err;

    world_serve(world, LIMITED, "boss:x");
    assert_int_equal(open_as_bob(world, &err), JJ_OK);
    listen_with(world, &ear);
    server_kill(&world->server);
    assert_true(world_wait_connected(world, false));
    jj__broker_call(world->broker, close_ear, &ear);
    world_disconnect(world);
    assert_true(log_book_count(&world->book, JJ_LOG_WARN) >= 2);
    assert_false(world->book.several);
}

/* ---- calls and members ---- */

#define CALLERS      4
#define CALLS_OF_ONE 500

struct caller {
    struct world *world;
    pthread_t thread;
    uint64_t *counter; /* broker thread only */
};

static void count(void *ctx)
{
    struct caller *caller = ctx;

    ++*caller->counter;
}

static void *call_often(void *arg)
{
    struct caller *caller = arg;

    for (int i = 0; i < CALLS_OF_ONE; i++)
        jj__broker_call(caller->world->broker, count, caller);
    return NULL;
}

static void calls_from_many_threads_run_one_at_a_time(void **state)
{
    struct world *world = *state;
    struct caller callers[CALLERS];
    uint64_t counter = 0;

    world_connect(world, NULL);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.world = world, .counter = &counter};
        pthread_create(&callers[i].thread, NULL, call_often, &callers[i]);
    }
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i].thread, NULL);
    assert_int_equal(counter, CALLERS * CALLS_OF_ONE);
}

static void count_within(void *ctx)
{
    struct caller *caller = ctx;

    jj__broker_call(caller->world->broker, count, caller);
}

static void a_call_may_call(void **state)
{
    struct world *world = *state;
    uint64_t counter = 0;
    struct caller caller = {.world = world, .counter = &counter};

    world_connect(world, NULL);
    jj__broker_call(world->broker, count_within, &caller);
    assert_int_equal(counter, 1);
}

/* A member that can remove another one, and itself, in its turn. */
struct remover {
    struct broker_member member;
    struct world *world;
    struct remover *victim; /* NULL: none */
    bool leave;
    int64_t wish_ms;
    bool told_of_loss;
};

static int64_t remover_turn(void *ctx, int64_t now_ms)
{
    struct remover *remover = ctx;

    (void)now_ms;
    if (remover->victim != NULL) {
        jj__broker_member_remove(remover->world->broker, &remover->victim->member);
        bag_put(&remover->world->bag, 1);
        free(remover->victim);
        remover->victim = NULL;
    }
    if (remover->leave) {
        jj__broker_member_remove(remover->world->broker, &remover->member);
        bag_put(&remover->world->bag, 2);
    }
    return remover->wish_ms;
}

static void remover_connected(void *ctx, bool connected)
{
    struct remover *remover = ctx;

    bag_put(&remover->world->bag, connected ? 11 : 10);
}

static void add_remover(void *ctx)
{
    struct remover *remover = ctx;

    remover->member = (struct broker_member){
        .turn = remover_turn, .connected = remover_connected, .ctx = remover};
    jj__broker_member_add(remover->world->broker, &remover->member);
}

static void do_nothing(void *ctx)
{
    (void)ctx;
}

static void a_member_may_remove_the_next_one(void **state)
{
    struct world *world = *state;
    static struct remover remover;
    struct remover *victim = calloc(1, sizeof(*victim));

    assert_non_null(victim);
    *victim = (struct remover){.world = world, .wish_ms = INT64_MAX};
    remover = (struct remover){.world = world, .wish_ms = INT64_MAX, .leave = true};
    world_connect(world, NULL);
    jj__broker_call(world->broker, add_remover, victim);
    remover.victim = victim;
    jj__broker_call(world->broker, add_remover, &remover); /* it has its turns before the victim */
    jj__broker_call(world->broker, do_nothing, NULL);
    assert_true(bag_wait(&world->bag, 2));
    assert_int_equal(bag_get(&world->bag, 0), 1);
    assert_int_equal(bag_get(&world->bag, 1), 2);
}

static void remove_remover(void *ctx)
{
    struct remover *remover = ctx;

    jj__broker_member_remove(remover->world->broker, &remover->member);
}

static void members_are_told_of_loss_and_connection(void **state)
{
    struct world *world = *state;
    static struct remover member;

    member = (struct remover){.world = world, .wish_ms = INT64_MAX};
    world_connect(world, NULL);
    jj__broker_call(world->broker, add_remover, &member);
    server_kill(&world->server);
    assert_true(bag_wait(&world->bag, 1));
    server_restart(&world->server);
    assert_true(bag_wait(&world->bag, 2));
    jj__broker_call(world->broker, remove_remover, &member);
    assert_int_equal(bag_get(&world->bag, 0), 10);
    assert_int_equal(bag_get(&world->bag, 1), 11);
}

/* A member that wants to be called again in a while, and counts. */
static int64_t alarm_turn(void *ctx, int64_t now_ms)
{
    struct remover *member = ctx;

    if (now_ms >= member->wish_ms) {
        bag_put(&member->world->bag, 1);
        member->wish_ms = now_ms + 20;
    }
    return member->wish_ms;
}

static void add_alarm(void *ctx)
{
    struct remover *member = ctx;

    member->member = (struct broker_member){.turn = alarm_turn, .ctx = member};
    member->wish_ms = jj__clock_mono_ms() + 20;
    jj__broker_member_add(member->world->broker, &member->member);
}

static void members_are_called_when_they_wish_also_without_a_broker(void **state)
{
    struct world *world = *state;
    static struct remover member;

    member = (struct remover){.world = world};
    world_connect(world, NULL);
    jj__broker_call(world->broker, add_alarm, &member);
    assert_true(bag_wait(&world->bag, 3));
    server_kill(&world->server);
    assert_true(world_wait_connected(world, false));
    size_t so_far = bag_count(&world->bag);
    assert_true(bag_wait(&world->bag, so_far + 10));
    jj__broker_call(world->broker, remove_remover, &member);
}

/* ---- several servers ---- */

static void the_first_server_that_answers_will_do(void **state)
{
    struct world *world = *state;
    char urls[256];
    jj_error err;

    snprintf(urls, sizeof(urls), "nats://127.0.0.1:1, %s,nats://127.0.0.1:2", world->server.url);
    if (open_url(world, urls, WAIT_MS, &err) != JJ_OK)
        fail_msg("%s", err.text);
    assert_true(jj__broker_connected(world->broker));
}

static void another_server_of_the_cluster_takes_over(void **state)
{
    struct world *world = *state;
    struct server other = {0};
    char config[256];

    server_start(&world->server, &(struct server_options){.no_jetstream = true});
    snprintf(config, sizeof(config), "cluster { name: c, listen: \"127.0.0.1:%d\" }",
             world->server.spare_port);
    server_restart_with(&world->server,
                        &(struct server_options){.no_jetstream = true, .config = config});
    server_start(&other, &(struct server_options){.no_jetstream = true});
    snprintf(config, sizeof(config),
             "cluster { name: c, listen: \"127.0.0.1:%d\", routes: [\"nats://127.0.0.1:%d\"] }",
             other.spare_port, world->server.spare_port);
    server_restart_with(&other, &(struct server_options){.no_jetstream = true, .config = config});

    /* A stranger on the other one is heard here once they know of each other; so does a client. */
    world_connect(world, NULL);
    struct nats_client *stranger = nats_client_open(other.url);
    struct listener *service = nats_client_listen(stranger, "service", "fine");
    int64_t until_ms = world_deadline();
    while (ask(world, "service", 1000, NULL) != JJ_OK && jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    assert_true(bag_count(&world->bag) > 0);

    server_kill(&world->server);
    until_ms = world_deadline();
    while (ask(world, "service", 1000, NULL) != JJ_OK && jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    assert_true(bag_count(&world->bag) > 1);
    listener_close(service);
    nats_client_close(stranger);
    world_disconnect(world);
    server_done(&other);
}

/* ---- closing ---- */

static void closing_while_nothing_answers_is_bounded(void **state)
{
    struct world *world = *state;

    world_connect(world, NULL);
    server_freeze(&world->server);
    int64_t start_ms = jj__clock_mono_ms();
    world_disconnect(world);
    assert_true(jj__clock_mono_ms() - start_ms < 30000);
    server_thaw(&world->server);
}

static void what_was_sent_before_closing_arrives(void **state)
{
    struct world *world = *state;
    struct listener *listener = nats_client_listen(world->stranger, "news", NULL);
    static char data[1000];

    for (size_t round = 1; round <= 5; round++) {
        world_connect(world, NULL);
        struct sending sending = {
            .world = world, .message = {.subject = "news", .data = data, .len = sizeof(data)}};
        for (int i = 0; i < 1000; i++)
            jj__broker_call(world->broker, send_it, &sending);
        world_disconnect(world);
        assert_true(listener_wait(listener, round * 1000));
    }
    listener_close(listener);
}

static void closing_right_after_a_refusal_is_safe(void **state)
{
    struct world *world = *state;
    jj_error err;

    world_serve(world, LIMITED, "boss:x");
    for (int round = 0; round < 20; round++) {
        struct sending sending = {.world = world, .message = {.subject = "closed.x"}};
        assert_int_equal(open_as_bob(world, &err), JJ_OK);
        sending.world = world;
        for (int i = 0; i < 50; i++)
            jj__broker_call(world->broker, send_it, &sending);
        world_disconnect(world);
    }
}

int main(void)
{
#define STORY(name)            cmocka_unit_test_setup_teardown(name, world_begin, world_end)
#define OWN_SERVER_STORY(name) cmocka_unit_test_setup_teardown(name, world_begin_empty, world_end)
    const struct CMUnitTest tests[] = {
        STORY(connecting_to_nobody_fails_in_time_and_names_the_url),
        STORY(a_frozen_broker_does_not_hold_up_opening),
        STORY(no_text_tells_a_password),
        STORY(texts_name_user_and_host_without_the_password),
        OWN_SERVER_STORY(wrong_password_is_reported_at_once),
        OWN_SERVER_STORY(a_password_refused_later_is_in_the_log_once),
        OWN_SERVER_STORY(right_password_opens),
        OWN_SERVER_STORY(a_token_opens),
        OWN_SERVER_STORY(the_first_servers_password_is_used_for_all),
        STORY(urls_without_a_server_are_invalid),
        STORY(nonsense_urls_are_errors),
        STORY(opening_can_wait_for_a_broker_that_comes_late),
        OWN_SERVER_STORY(the_largest_payload_is_the_servers),
        STORY(a_port_hears_all_and_in_order),
        STORY(a_message_larger_than_all_buffers_arrives),
        STORY(a_port_may_close_itself_while_it_hears),
        STORY(ports_of_one_queue_share),
        STORY(ports_hear_again_after_a_restart),
        STORY(a_port_opened_while_there_is_no_broker_hears_later),
        STORY(a_port_is_told_that_nobody_is_there),
        STORY(what_is_sent_arrives_with_headers_and_data),
        STORY(what_breaks_the_protocol_is_not_sent),
        STORY(a_question_is_answered),
        STORY(a_question_to_nobody_fails_at_once),
        STORY(a_question_that_is_not_answered_times_out),
        STORY(a_question_while_there_is_no_broker_fails_at_its_deadline),
        STORY(a_question_is_asked_again_when_its_connection_broke),
        OWN_SERVER_STORY(questions_that_are_not_permitted_fail_at_once),
        OWN_SERVER_STORY(answers_come_to_the_inbox_prefix),
        STORY(an_inbox_prefix_that_is_too_long_is_refused),
        OWN_SERVER_STORY(a_port_that_is_not_permitted_is_in_the_log),
        OWN_SERVER_STORY(log_lines_come_from_one_thread),
        STORY(calls_from_many_threads_run_one_at_a_time),
        STORY(a_call_may_call),
        STORY(a_member_may_remove_the_next_one),
        STORY(members_are_told_of_loss_and_connection),
        STORY(members_are_called_when_they_wish_also_without_a_broker),
        STORY(the_first_server_that_answers_will_do),
        OWN_SERVER_STORY(another_server_of_the_cluster_takes_over),
        STORY(closing_while_nothing_answers_is_bounded),
        STORY(what_was_sent_before_closing_arrives),
        OWN_SERVER_STORY(closing_right_after_a_refusal_is_safe),
    };

    return cmocka_run_group_tests_name("broker_connection", tests, NULL, NULL);
}
