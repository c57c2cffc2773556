/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker_tail.h"
#include "clock.h"
#include "rfc3339.h"
#include "world.h"

/* A reader that puts the sequences it is handed into the world's bag. */
struct reader {
    struct world *world;
    struct tail_options options;
    struct tail *tail;
    bool failed;
    uint64_t seq;
    size_t close_after; /* messages; 0: never */
    size_t taken;
    uint64_t refused_seq; /* 0: none */
    int refusals;         /* how often it is refused */
};

static bool take(void *ctx, struct broker_msg *msg, const struct delivery *delivery)
{
    struct reader *reader = ctx;

    jj__msg_free(msg);
    if (delivery->seq == reader->refused_seq && reader->refusals-- > 0)
        return false;
    reader->taken++;
    bag_put(&reader->world->bag, delivery->seq);
    if (reader->taken == reader->close_after) {
        jj__tail_close(reader->tail);
        reader->tail = NULL;
    }
    return true;
}

static void start(void *ctx)
{
    struct reader *reader = ctx;
    const struct log log = world_log(reader->world);

    reader->options.take = take;
    reader->options.ctx = reader;
    if (jj__tail_open(reader->world->broker, &log, &reader->options, &reader->tail, NULL) != JJ_OK)
        reader->failed = true;
}

static void stop(void *ctx)
{
    struct reader *reader = ctx;

    if (reader->tail != NULL)
        reader->seq = jj__tail_seq(reader->tail);
    jj__tail_close(reader->tail);
    reader->tail = NULL;
}

static struct reader *new_reader(struct world *world)
{
    static struct reader reader; /* outlives a story that fails */

    reader = (struct reader){.world = world, .options = {.stream = "S"}};
    return &reader;
}

static void run(struct reader *reader)
{
    jj__broker_call(reader->world->broker, start, reader);
    assert_false(reader->failed);
}

static void end(struct reader *reader)
{
    jj__broker_call(reader->world->broker, stop, reader);
}

static void make_stream(struct world *world)
{
    world_stream(world, "S", "s.>", NULL);
    world_connect(world, NULL);
}

/* The names of a stream's consumers, one to be released. */
static json_t *consumers_of(struct world *world)
{
    json_t *answer = nats_client_api(world->stranger, "CONSUMER.NAMES.S", NULL);
    json_t *names = json_incref(json_object_get(answer, "consumers"));

    json_decref(answer);
    return names;
}

static void wait_consumers(struct world *world, size_t count)
{
    int64_t until_ms = world_deadline();
    size_t found;

    do {
        json_t *names = consumers_of(world);
        found = json_array_size(names);
        json_decref(names);
        wait_a_moment();
    } while (found != count && jj__clock_mono_ms() < until_ms);
    assert_int_equal(found, count);
}

/* ---- what comes ---- */

static void each_message_comes_once_and_in_order(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    world_fill(world, "s.a", 1000);
    run(reader);
    world_fill(world, "s.a", 9000);
    assert_true(bag_wait(&world->bag, 10000));
    end(reader);
    assert_int_equal(bag_count(&world->bag), 10000);
    assert_true(bag_rises(&world->bag));
    assert_int_equal(reader->seq, 10000);
}

static void an_empty_stream_is_followed(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    run(reader);
    for (uint64_t i = 1; i <= 100; i++) {
        nats_client_store_text(world->stranger, "s.a", "x");
        assert_true(bag_wait(&world->bag, i));
    }
    end(reader);
}

static void much_at_once_is_paced_by_flow_control(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);
    static char data[2000];
    const struct note note = {.subject = "s.a", .data = data, .len = sizeof(data)};

    make_stream(world);
    for (int i = 1; i < 30000; i++)
        nats_client_send(world->stranger, &note);
    nats_client_store(world->stranger, &note);
    run(reader);
    assert_true(bag_wait(&world->bag, 30000));
    assert_true(bag_rises(&world->bag));
    end(reader);
    assert_false(log_book_has(&world->book, JJ_LOG_DEBUG, "begins again"));
}

static void only_what_the_filters_name_comes(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);
    static const char *const subjects[] = {"s.a", "s.b", "s.c.x", "s.d", "s.c.y", "s.e"};

    make_stream(world);
    for (size_t i = 0; i < 60; i++)
        nats_client_store_text(world->stranger, subjects[i % 6], "x");
    reader->options.filters[0] = "s.a";
    reader->options.filters[1] = "s.c.*";
    reader->options.filters[2] = "s.e";
    run(reader);
    assert_true(bag_wait(&world->bag, 40));
    for (size_t i = 0; i < 60; i++)
        nats_client_store_text(world->stranger, subjects[i % 6], "x");
    assert_true(bag_wait(&world->bag, 80));
    end(reader);
    assert_int_equal(bag_count(&world->bag), 80);
    assert_true(bag_rises(&world->bag));
    for (size_t i = 0; i < 80; i++) {
        uint64_t place = (bag_get(&world->bag, i) - 1) % 6;
        assert_true(place == 0 || place == 2 || place == 4 || place == 5);
    }
}

static void one_filter_will_do(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    for (size_t i = 0; i < 10; i++)
        nats_client_store_text(world->stranger, i % 2 == 0 ? "s.a" : "s.b", "x");
    reader->options.filters[0] = "s.b";
    run(reader);
    assert_true(bag_wait(&world->bag, 5));
    assert_int_equal(bag_get(&world->bag, 0), 2);
    end(reader);
}

static void it_begins_behind_a_sequence(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    world_fill(world, "s.a", 100);
    reader->options.after_seq = 90;
    run(reader);
    assert_true(bag_wait(&world->bag, 10));
    end(reader);
    assert_int_equal(bag_get(&world->bag, 0), 91);
}

static void it_begins_at_a_time(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);
    int64_t before_ms = jj__clock_wall_ms();

    make_stream(world);
    world_fill(world, "s.a", 10);
    int64_t between_ms = jj__clock_wall_ms() + 1;
    while (jj__clock_wall_ms() <= between_ms)
        wait_a_moment();
    world_fill(world, "s.a", 10);

    reader->options.start_at_ms = between_ms;
    run(reader);
    assert_true(bag_wait(&world->bag, 10));
    end(reader);
    assert_int_equal(bag_get(&world->bag, 0), 11);

    struct reader *early = new_reader(world);
    early->options.start_at_ms = before_ms;
    run(early);
    assert_true(bag_wait(&world->bag, 30));
    end(early);
    assert_int_equal(bag_get(&world->bag, 10), 1);
}

static void a_time_in_the_future_is_no_obstacle(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    world_fill(world, "s.a", 10);
    reader->options.start_at_ms = jj__clock_wall_ms() + 3600000; /* a clock that is wrong */
    run(reader);
    wait_consumers(world, 1);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    assert_int_equal(bag_get(&world->bag, 0), 11);
    end(reader);
}

/* ---- what goes wrong ---- */

static void a_stream_that_is_not_there_yet_is_waited_for(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    world_connect(world, NULL);
    run(reader);
    int64_t until_ms = world_deadline();
    while (!log_book_has(&world->book, JJ_LOG_WARN, "can't follow S") &&
           jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    assert_true(log_book_has(&world->book, JJ_LOG_WARN, "not found"));
    jj__broker_flush(world->broker, WAIT_MS);
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 1);
    world_stream(world, "S", "s.>", NULL);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    end(reader);
}

static void restarts_lose_and_repeat_nothing(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    run(reader);
    for (size_t round = 1; round <= 5; round++) {
        world_fill(world, "s.a", 1000);
        if (round % 2 == 0)
            assert_true(bag_wait(&world->bag, round * 1000 - 500));
        server_kill(&world->server);
        server_restart(&world->server);
    }
    world_fill(world, "s.a", 1000);
    assert_true(bag_wait(&world->bag, 6000));
    end(reader);
    assert_int_equal(bag_count(&world->bag), 6000);
    assert_true(bag_rises(&world->bag));
}

static void a_consumer_deleted_under_it_is_replaced(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);
    char what[256];

    make_stream(world);
    run(reader);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    json_t *names = consumers_of(world);
    assert_int_equal(json_array_size(names), 1);
    snprintf(what, sizeof(what), "CONSUMER.DELETE.S.%s",
             json_string_value(json_array_get(names, 0)));
    json_decref(names);
    json_decref(nats_client_api(world->stranger, what, NULL));
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 20));
    assert_true(bag_rises(&world->bag));
    end(reader);
}

/* The subject that the latest consumer delivers to, as its creation tells. */
static void deliver_subject(struct listener *creations, size_t number, char out[256])
{
    assert_true(listener_wait(creations, number + 1)); /* messages may overtake it */
    const struct heard *creation = listener_get(creations, number);
    json_t *request = json_loadb(creation->data, creation->len, 0, NULL);
    const json_t *config = json_object_get(request, "config");

    snprintf(out, 256, "%s", json_string_value(json_object_get(config, "deliver_subject")));
    json_decref(request);
}

static void a_gap_is_healed(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);
    char subject[256];

    make_stream(world);
    struct listener *creations =
        nats_client_listen(world->stranger, "$JS.API.CONSUMER.CREATE.S.>", NULL);
    run(reader);
    for (size_t round = 0; round < 3; round++) {
        world_fill(world, "s.a", 10);
        assert_true(bag_wait(&world->bag, (round + 1) * 10));
        deliver_subject(creations, 2 * round, subject);
        /* Another consumer delivers to the same place, and has numbers of its own. */
        json_decref(nats_client_api(world->stranger, "CONSUMER.CREATE.S.other",
                                    json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "stream_name", "S",
                                              "config", "name", "other", "deliver_subject", subject,
                                              "ack_policy", "none", "deliver_policy", "last")));
        assert_true(listener_wait(creations, 2 * round + 3));
        json_decref(nats_client_api(world->stranger, "CONSUMER.DELETE.S.other", NULL));
    }
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 40));
    end(reader);
    assert_int_equal(bag_count(&world->bag), 40);
    assert_true(bag_rises(&world->bag));
    listener_close(creations);
}

static void a_heartbeat_that_tells_of_a_lost_message_is_believed(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);
    char subject[256];

    make_stream(world);
    struct listener *creations =
        nats_client_listen(world->stranger, "$JS.API.CONSUMER.CREATE.S.>", NULL);
    run(reader);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    deliver_subject(creations, 0, subject);
    const jj_header headers[] = {{"Status", "100"}, {"Nats-Last-Consumer", "11"}};
    nats_client_publish(world->stranger,
                        &(struct note){.subject = subject, .headers = headers, .header_count = 2});
    assert_true(listener_wait(creations, 2));
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 20));
    end(reader);
    assert_true(bag_rises(&world->bag));
    listener_close(creations);
}

static void what_strangers_send_to_it_is_not_handed_out(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);
    char subject[256];
    static const char *const replies[] = {
        NULL, "x", "$JS.ACK", "$JS.ACK.S.c.1.2.3", "$JS.ACK.S.c.a.b.c.d.e", "$JS.FC.S.c.x"};

    make_stream(world);
    struct listener *creations =
        nats_client_listen(world->stranger, "$JS.API.CONSUMER.CREATE.S.>", NULL);
    run(reader);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    deliver_subject(creations, 0, subject);
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        nats_client_publish(
            world->stranger,
            &(struct note){.subject = subject, .reply = replies[i], .data = "junk"});
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 20));
    end(reader);
    assert_int_equal(bag_count(&world->bag), 20);
    assert_true(bag_rises(&world->bag));
    listener_close(creations);
}

static void a_frozen_broker_is_outwaited(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    run(reader);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    server_freeze(&world->server);
    int64_t until_ms = jj__clock_mono_ms() + 5000; /* longer than it stands silence */
    while (jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    server_thaw(&world->server);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 20));
    end(reader);
    assert_true(bag_rises(&world->bag));
}

static void messages_that_were_purged_are_passed_over(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    run(reader);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    server_kill(&world->server);
    server_restart(&world->server);
    json_decref(nats_client_api(world->stranger, "STREAM.PURGE.S", NULL));
    world_fill(world, "s.a", 10);
    json_decref(nats_client_api(world->stranger, "STREAM.PURGE.S", json_pack("{s:i}", "seq", 16)));
    assert_true(bag_wait_distinct(&world->bag, 15));
    end(reader);
    assert_true(bag_rises(&world->bag));
}

static void a_stream_made_anew_is_read_from_its_beginning(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    run(reader);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    json_decref(nats_client_api(world->stranger, "STREAM.DELETE.S", NULL));
    world_stream(world, "S", "s.>", NULL);
    world_fill(world, "s.a", 5);
    assert_true(bag_wait(&world->bag, 15));
    end(reader);
    assert_int_equal(bag_get(&world->bag, 10), 1);
    assert_true(log_book_has(&world->book, JJ_LOG_WARN, "made anew"));
}

/* As after a power cut: the store is what it was some time ago. */
static void a_stream_that_lost_its_end_is_followed_from_there(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    run(reader);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    end(reader);

    /* It had read further than the stream goes now. */
    struct reader *other = new_reader(world);
    other->options.after_seq = 500;
    run(other);
    int64_t until_ms = world_deadline();
    while (!log_book_has(&world->book, JJ_LOG_WARN, "lost") && jj__clock_mono_ms() < until_ms)
        wait_a_moment();
    world_fill(world, "s.a", 5);
    assert_true(bag_wait(&world->bag, 15));
    end(other);
    assert_true(bag_rises(&world->bag));
    assert_int_equal(bag_get(&world->bag, 10), 11);
}

#define LIMITED                                                                                    \
    "accounts { A { jetstream: enabled, users: [ { user: boss, password: x },"                     \
    "{ user: bob, password: x, permissions: { publish: { allow: ["                                 \
    "\"$JS.API.CONSUMER.CREATE.S.>\", \"$JS.API.CONSUMER.DELETE.S.>\", \"$JS.FC.>\"] } } } ] } }"

static void who_may_not_look_at_the_stream_follows_it_all_the_same(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    world_serve(world, LIMITED, "boss:x");
    world_stream(world, "S", "s.>", NULL);
    world_connect(world, "bob:x");
    run(reader);
    world_fill(world, "s.a", 1000);
    assert_true(bag_wait(&world->bag, 1000));
    end(reader);
    assert_true(bag_rises(&world->bag));
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0);
}

static void who_may_not_follow_a_stream_is_told_once(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    world_serve(world, LIMITED, "boss:x");
    world_stream(world, "T", "t.>", NULL);
    world_connect(world, "bob:x");
    reader->options.stream = "T";
    run(reader);
    int64_t until_ms = world_deadline();
    while (log_book_count(&world->book, JJ_LOG_DEBUG) < 10 && jj__clock_mono_ms() < until_ms)
        wait_a_moment(); /* it tries again and again */
    assert_true(log_book_has(&world->book, JJ_LOG_WARN, "can't follow T: not permitted"));
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 1);
    end(reader);
}

/* ---- the end ---- */

static void closing_leaves_no_consumer_behind(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    run(reader);
    wait_consumers(world, 1);
    end(reader);
    wait_consumers(world, 0);
}

static void what_was_refused_comes_again(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    world_fill(world, "s.a", 10);
    reader->refused_seq = 5;
    reader->refusals = 2;
    run(reader);
    assert_true(bag_wait(&world->bag, 10));
    end(reader);
    assert_int_equal(bag_count(&world->bag), 10); /* each once */
    assert_int_equal(reader->taken, 10);
    assert_int_equal(reader->seq, 10);
}

static void closing_within_take_is_fine(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    world_fill(world, "s.a", 100);
    reader->close_after = 5;
    run(reader);
    assert_true(bag_wait(&world->bag, 5));
    wait_consumers(world, 0);
    jj__broker_flush(world->broker, WAIT_MS);
    assert_int_equal(bag_count(&world->bag), 5);
}

static void closing_while_the_consumer_is_made_is_fine(void **state)
{
    struct world *world = *state;

    world_connect(world, NULL);
    struct listener *creations =
        nats_client_listen(world->stranger, "$JS.API.CONSUMER.CREATE.S.>", NULL);
    for (size_t round = 1; round <= 3; round++) {
        struct reader *reader = new_reader(world);
        reader->options.stream = "S";
        run(reader);
        assert_true(listener_wait(creations, round));
        end(reader);
    }
    server_freeze(&world->server);
    struct reader *reader = new_reader(world);
    run(reader);
    end(reader);
    server_thaw(&world->server);
    world_disconnect(world);
    listener_close(creations);
}

static void closing_without_a_broker_is_fine(void **state)
{
    struct world *world = *state;
    struct reader *reader = new_reader(world);

    make_stream(world);
    run(reader);
    world_fill(world, "s.a", 10);
    assert_true(bag_wait(&world->bag, 10));
    server_kill(&world->server);
    assert_true(world_wait_connected(world, false));
    end(reader);
}

int main(void)
{
#define STORY(name)            cmocka_unit_test_setup_teardown(name, world_begin, world_end)
#define OWN_SERVER_STORY(name) cmocka_unit_test_setup_teardown(name, world_begin_empty, world_end)
    const struct CMUnitTest tests[] = {
        STORY(each_message_comes_once_and_in_order),
        STORY(an_empty_stream_is_followed),
        STORY(much_at_once_is_paced_by_flow_control),
        STORY(only_what_the_filters_name_comes),
        STORY(one_filter_will_do),
        STORY(it_begins_behind_a_sequence),
        STORY(it_begins_at_a_time),
        STORY(a_time_in_the_future_is_no_obstacle),
        STORY(a_stream_that_is_not_there_yet_is_waited_for),
        STORY(restarts_lose_and_repeat_nothing),
        STORY(a_consumer_deleted_under_it_is_replaced),
        STORY(a_gap_is_healed),
        STORY(a_heartbeat_that_tells_of_a_lost_message_is_believed),
        STORY(what_strangers_send_to_it_is_not_handed_out),
        STORY(a_frozen_broker_is_outwaited),
        STORY(messages_that_were_purged_are_passed_over),
        STORY(a_stream_made_anew_is_read_from_its_beginning),
        STORY(a_stream_that_lost_its_end_is_followed_from_there),
        OWN_SERVER_STORY(who_may_not_look_at_the_stream_follows_it_all_the_same),
        OWN_SERVER_STORY(who_may_not_follow_a_stream_is_told_once),
        STORY(closing_leaves_no_consumer_behind),
        STORY(what_was_refused_comes_again),
        STORY(closing_within_take_is_fine),
        STORY(closing_while_the_consumer_is_made_is_fine),
        STORY(closing_without_a_broker_is_fine),
    };

    return cmocka_run_group_tests_name("broker_tail", tests, NULL, NULL);
}
