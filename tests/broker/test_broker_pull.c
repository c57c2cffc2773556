/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker_pull.h"
#include "clock.h"
#include "subject.h"
#include "world.h"

/* A worker as simple as can be: takes numbers, acknowledges them, and wants as many as it is told.
 * All but what the test reads through the bag belongs to the broker thread. */
struct taker {
    struct broker_member member;
    struct world *world;
    struct puller *puller;
    const char *create_body;
    uint32_t want;  /* at once */
    uint32_t total; /* at all; UINT32_MAX: no end */
    bool keep;      /* don't acknowledge */
    bool stop;      /* close at the first message */
    bool late;      /* raises want in its own turn, which comes behind the puller's */
    uint32_t raise_to;
    bool failed;
};

#define BODY                                                                                       \
    "{\"stream_name\":\"Q\",\"config\":{\"durable_name\":\"c\",\"filter_subject\":\"q.a\","        \
    "\"ack_policy\":\"explicit\",\"ack_wait\":60000000000,\"max_deliver\":-1,"                     \
    "\"max_ack_pending\":20000},\"action\":\"create\"}"
#define CREATE_SUBJECT "$JS.API.CONSUMER.CREATE.Q.c.q.a"

static uint64_t number_of(const struct broker_msg *msg)
{
    char text[24] = "";
    size_t len = jj__msg_len(msg) < sizeof(text) ? jj__msg_len(msg) : sizeof(text) - 1;

    memcpy(text, jj__msg_data(msg), len);
    return strtoull(text, NULL, 10);
}

static void take(void *ctx, struct broker_msg *msg)
{
    struct taker *taker = ctx;
    const struct outgoing ack = {.subject = jj__msg_reply(msg), .data = "+ACK", .len = 4};

    if (!taker->keep && !jj__broker_send(taker->world->broker, &ack))
        taker->failed = true;
    if (taker->total != UINT32_MAX && taker->total > 0)
        taker->total--;
    jj__pull_want(taker->puller, taker->total < taker->want ? taker->total : taker->want);
    bag_put(&taker->world->bag, number_of(msg));
    jj__msg_free(msg);
    if (taker->stop) {
        jj__pull_close(taker->puller);
        taker->puller = NULL;
    }
}

static int64_t taker_turn(void *ctx, int64_t now_ms)
{
    struct taker *taker = ctx;

    (void)now_ms;
    if (taker->late && taker->raise_to > 0 && taker->puller != NULL) {
        taker->want = taker->raise_to;
        taker->raise_to = 0;
        jj__pull_want(taker->puller, taker->want);
    }
    return INT64_MAX;
}

static void start(void *ctx)
{
    struct taker *taker = ctx;
    const struct log log = world_log(taker->world);
    const struct puller_options options = {.stream = "Q",
                                           .consumer = "c",
                                           .create_subject = CREATE_SUBJECT,
                                           .create_body = taker->create_body,
                                           .take = take,
                                           .ctx = taker};

    taker->member = (struct broker_member){.turn = taker_turn, .ctx = taker};
    jj__broker_member_add(taker->world->broker, &taker->member); /* so it comes behind */
    if (jj__pull_open(taker->world->broker, &log, &options, &taker->puller, NULL) != JJ_OK) {
        taker->failed = true;
        return;
    }
    jj__pull_want(taker->puller, taker->want);
}

static void stop(void *ctx)
{
    struct taker *taker = ctx;

    jj__pull_close(taker->puller);
    taker->puller = NULL;
    jj__broker_member_remove(taker->world->broker, &taker->member);
}

static void set_want(void *ctx)
{
    struct taker *taker = ctx;

    jj__pull_want(taker->puller, taker->want);
}

static struct taker *new_taker(struct world *world, uint32_t want)
{
    static struct taker taker; /* outlives a story that fails */

    taker = (struct taker){.world = world, .want = want, .total = UINT32_MAX, .create_body = BODY};
    return &taker;
}

static void run(struct taker *taker)
{
    jj__broker_call(taker->world->broker, start, taker);
    assert_false(taker->failed);
}

static void end(struct taker *taker)
{
    jj__broker_call(taker->world->broker, stop, taker);
    assert_false(taker->failed);
}

/* Wait until a pull of ours waits there for messages. */
static void wait_pulling(struct world *world)
{
    int64_t until_ms = world_deadline();

    while (nats_client_consumer_number(world->stranger, "Q", "c", "num_waiting") < 1 &&
           jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    assert_true(nats_client_consumer_number(world->stranger, "Q", "c", "num_waiting") >= 1);
}

static void make_consumer(struct world *world)
{
    json_decref(
        nats_client_api(world->stranger, "CONSUMER.CREATE.Q.c.q.a", json_loads(BODY, 0, NULL)));
}

static void set_ack_wait(struct world *world, int64_t ack_wait_ms)
{
    json_t *request = json_loads(BODY, 0, NULL);

    json_object_set_new(request, "action", json_string("update"));
    json_object_set_new(json_object_get(request, "config"), "ack_wait",
                        json_integer((json_int_t)ack_wait_ms * 1000000));
    json_decref(nats_client_api(world->stranger, "CONSUMER.CREATE.Q.c.q.a", request));
}

#define QUEUE "{\"retention\": \"workqueue\"}"

static void make_queue(struct world *world)
{
    world_stream(world, "Q", "q.*", QUEUE);
    make_consumer(world);
    world_connect(world, NULL);
}

/* ---- what comes ---- */

static void all_of_ten_thousand_come_once(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 500);

    make_queue(world);
    world_fill(world, "q.a", 10000);
    run(taker);
    assert_true(bag_wait(&world->bag, 10000));
    assert_int_equal(bag_distinct(&world->bag), 10000);
    assert_true(nats_client_wait_messages(world->stranger, "Q", 0));
    assert_int_equal(bag_count(&world->bag), 10000);
    end(taker);
}

static void messages_come_in_order(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 7);

    make_queue(world);
    world_fill(world, "q.a", 1000);
    run(taker);
    assert_true(bag_wait(&world->bag, 1000));
    assert_true(bag_rises(&world->bag));
    end(taker);
}

static void no_more_come_than_are_wanted(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 5);

    make_queue(world);
    world_fill(world, "q.a", 100);
    taker->total = 5;
    taker->keep = true;
    run(taker);
    assert_true(bag_wait(&world->bag, 5));
    /* More would have been pulled by the time when this is answered. */
    jj__broker_flush(world->broker, WAIT_MS);
    assert_int_equal(nats_client_consumer_number(world->stranger, "Q", "c", "num_ack_pending"), 5);
    assert_int_equal(nats_client_consumer_number(world->stranger, "Q", "c", "num_pending"), 95);
    assert_int_equal(bag_count(&world->bag), 5);

    taker->total = 25; /* the broker thread has nothing to take now */
    taker->want = 25;
    jj__broker_call(world->broker, set_want, taker);
    assert_true(bag_wait(&world->bag, 30));
    jj__broker_flush(world->broker, WAIT_MS);
    assert_int_equal(nats_client_consumer_number(world->stranger, "Q", "c", "num_ack_pending"), 30);
    end(taker);
}

static void nothing_comes_while_nothing_is_wanted(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 0);

    make_queue(world);
    world_fill(world, "q.a", 3);
    run(taker);
    jj__broker_flush(world->broker, WAIT_MS);
    assert_int_equal(nats_client_consumer_number(world->stranger, "Q", "c", "num_pending"), 3);
    assert_int_equal(nats_client_consumer_number(world->stranger, "Q", "c", "num_waiting"), 0);
    taker->want = 1;
    jj__broker_call(world->broker, set_want, taker);
    assert_true(bag_wait(&world->bag, 3));
    end(taker);
}

static void raise_want(void *ctx)
{
    struct taker *taker = ctx;

    taker->raise_to = 1;
}

static void want_that_rises_in_another_members_turn_is_heard(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 0);

    make_queue(world);
    world_fill(world, "q.a", 5);
    taker->late = true;
    taker->total = 0;
    run(taker);
    int64_t start_ms = jj__clock_mono_ms();
    for (size_t i = 1; i <= 5; i++) {
        jj__broker_call(world->broker, raise_want, taker);
        assert_true(bag_wait(&world->bag, i));
    }
    /* Else it would take until the next ping, which comes every 10 s. */
    assert_true(jj__clock_mono_ms() - start_ms < 15000);
    end(taker);
}

static void a_message_comes_as_soon_as_it_is_stored(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 3);

    make_queue(world);
    run(taker);
    wait_pulling(world);
    for (uint64_t i = 1; i <= 200; i++) {
        nats_client_store_text(world->stranger, "q.a", "1");
        assert_true(bag_wait(&world->bag, i));
    }
    end(taker);
}

/* ---- what goes wrong ---- */

static void an_expired_pull_is_followed_by_another(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 10);

    make_queue(world);
    struct listener *pulls =
        nats_client_listen(world->stranger, "$JS.API.CONSUMER.MSG.NEXT.Q.c", NULL);
    run(taker);
    assert_true(listener_wait(pulls, 2)); /* the second one 5 s later */
    assert_true(listener_get(pulls, 1)->at_ms - listener_get(pulls, 0)->at_ms >= 4000);
    world_fill(world, "q.a", 20);
    assert_true(bag_wait(&world->bag, 20));
    assert_int_equal(bag_distinct(&world->bag), 20);
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0);
    listener_close(pulls);
    end(taker);
}

/* Other consumers of the same durable take what was asked for; the expiry tells what was left. */
static void what_is_left_of_a_pull_is_asked_for_again(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 10);

    make_queue(world);
    struct listener *pulls =
        nats_client_listen(world->stranger, "$JS.API.CONSUMER.MSG.NEXT.Q.c", NULL);
    run(taker);
    world_fill(world, "q.a", 3);
    assert_true(bag_wait(&world->bag, 3));
    size_t before = listener_count(pulls);
    assert_true(listener_wait(pulls, before + 1));
    world_fill(world, "q.a", 30);
    assert_true(bag_wait(&world->bag, 33));
    listener_close(pulls);
    end(taker);
}

static void a_consumer_that_was_deleted_is_made_again(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 10);

    make_queue(world);
    run(taker);
    world_fill(world, "q.a", 5);
    assert_true(bag_wait(&world->bag, 5));
    json_decref(nats_client_api(world->stranger, "CONSUMER.DELETE.Q.c", NULL));
    wait_pulling(world);
    world_fill(world, "q.a", 5);
    assert_true(bag_wait(&world->bag, 10));
    assert_true(log_book_has(&world->book, JJ_LOG_WARN, "created again"));
    end(taker);
}

static void a_consumer_that_was_never_there_is_made(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 10);

    world_stream(world, "Q", "q.*", QUEUE);
    world_connect(world, NULL);
    world_fill(world, "q.a", 5);
    run(taker);
    assert_true(bag_wait(&world->bag, 5));
    end(taker);
}

static void who_may_not_make_it_waits_for_others_to_do_so(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 10);

    world_stream(world, "Q", "q.*", QUEUE);
    world_connect(world, NULL);
    world_fill(world, "q.a", 5);
    taker->create_body = NULL;
    run(taker);
    jj__broker_flush(world->broker, WAIT_MS);
    make_consumer(world);
    assert_true(bag_wait(&world->bag, 5));
    assert_false(log_book_has(&world->book, JJ_LOG_WARN, "created"));
    end(taker);
}

static void an_operators_consumer_is_not_changed(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 10);

    make_queue(world);
    run(taker);
    world_fill(world, "q.a", 5);
    assert_true(bag_wait(&world->bag, 5));
    json_decref(nats_client_api(world->stranger, "CONSUMER.DELETE.Q.c", NULL));
    json_decref(
        nats_client_api(world->stranger, "CONSUMER.CREATE.Q.c.q.a",
                        json_pack("{s:s, s:{s:s, s:s, s:s, s:I}}", "stream_name", "Q", "config",
                                  "durable_name", "c", "filter_subject", "q.a", "ack_policy",
                                  "explicit", "ack_wait", (json_int_t)77000000000)));
    world_fill(world, "q.a", 5);
    assert_true(bag_wait(&world->bag, 10));
    json_t *info = nats_client_api(world->stranger, "CONSUMER.INFO.Q.c", NULL);
    const json_t *config = json_object_get(info, "config");
    assert_true(json_integer_value(json_object_get(config, "ack_wait")) == 77000000000 ||
                log_book_has(&world->book, JJ_LOG_WARN, "created again"));
    json_decref(info);
    end(taker);
}

static void a_stream_that_was_deleted_is_waited_for(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 10);

    make_queue(world);
    run(taker);
    world_fill(world, "q.a", 5);
    assert_true(bag_wait(&world->bag, 5));
    json_decref(nats_client_api(world->stranger, "STREAM.DELETE.Q", NULL));
    world_stream(world, "Q", "q.*", QUEUE);
    world_fill(world, "q.a", 5);
    assert_true(bag_wait(&world->bag, 10));
    end(taker);
}

static void after_a_restart_the_rest_comes(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 20);

    make_queue(world);
    set_ack_wait(world, 1000); /* what was on its way when the broker died comes again then */
    world_fill(world, "q.a", 5000);
    run(taker);
    for (size_t round = 1; round <= 4; round++) {
        assert_true(bag_wait(&world->bag, round * 500));
        server_kill(&world->server);
        server_restart(&world->server);
    }
    assert_true(bag_wait_distinct(&world->bag, 5000)); /* acks are lost, so some come again */
    end(taker);
}

static void an_idle_puller_pulls_again_after_a_restart(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 20);

    make_queue(world);
    run(taker);
    for (size_t round = 1; round <= 4; round++) {
        wait_pulling(world);
        server_stop(&world->server);
        server_restart(&world->server);
        world_fill(world, "q.a", 10);
        assert_true(bag_wait(&world->bag, round * 10));
    }
    end(taker);
}

static void a_frozen_broker_is_outwaited(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 20);

    make_queue(world);
    run(taker);
    wait_pulling(world);
    server_freeze(&world->server);
    int64_t until_ms = jj__clock_mono_ms() + 7000; /* longer than pulls and silence last */
    while (jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    server_thaw(&world->server);
    world_fill(world, "q.a", 50);
    assert_true(bag_wait(&world->bag, 50));
    end(taker);
}

/* ---- the end ---- */

static void after_closing_nothing_is_handed_out(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 100);

    make_queue(world);
    world_fill(world, "q.a", 1000);
    taker->stop = true;
    run(taker);
    assert_true(bag_wait(&world->bag, 1));
    jj__broker_flush(world->broker, WAIT_MS);
    end(taker);
    assert_int_equal(bag_count(&world->bag), 1);
}

static void closing_while_the_consumer_is_made_is_fine(void **state)
{
    struct world *world = *state;

    world_connect(world, NULL);
    struct listener *creations = nats_client_listen(world->stranger, CREATE_SUBJECT, NULL);
    for (size_t round = 1; round <= 3; round++) {
        struct taker *taker = new_taker(world, 10);
        run(taker);
        assert_true(listener_wait(creations, round)); /* by someone who never answers */
        end(taker);
    }
    world_disconnect(world);
    listener_close(creations);
}

static void closing_without_a_broker_is_fine(void **state)
{
    struct world *world = *state;
    struct taker *taker = new_taker(world, 10);

    make_queue(world);
    run(taker);
    server_kill(&world->server);
    assert_true(world_wait_connected(world, false));
    end(taker);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
    const struct CMUnitTest tests[] = {
        STORY(all_of_ten_thousand_come_once),
        STORY(messages_come_in_order),
        STORY(no_more_come_than_are_wanted),
        STORY(nothing_comes_while_nothing_is_wanted),
        STORY(want_that_rises_in_another_members_turn_is_heard),
        STORY(a_message_comes_as_soon_as_it_is_stored),
        STORY(an_expired_pull_is_followed_by_another),
        STORY(what_is_left_of_a_pull_is_asked_for_again),
        STORY(a_consumer_that_was_deleted_is_made_again),
        STORY(a_consumer_that_was_never_there_is_made),
        STORY(who_may_not_make_it_waits_for_others_to_do_so),
        STORY(an_operators_consumer_is_not_changed),
        STORY(a_stream_that_was_deleted_is_waited_for),
        STORY(after_a_restart_the_rest_comes),
        STORY(an_idle_puller_pulls_again_after_a_restart),
        STORY(a_frozen_broker_is_outwaited),
        STORY(after_closing_nothing_is_handed_out),
        STORY(closing_while_the_consumer_is_made_is_fine),
        STORY(closing_without_a_broker_is_fine),
    };

    return cmocka_run_group_tests_name("broker_pull", tests, NULL, NULL);
}
