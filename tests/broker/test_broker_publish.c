/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker_nats.h"
#include "clock.h"
#include "world.h"

/* ---- one at a time ---- */

static void a_publication_is_stored_with_headers_and_data(void **state)
{
    struct world *world = *state;
    const jj_header headers[] = {{"Nats-Msg-Id", "one"}, {"Job-Id", "x"}, {"Two", "a"}};
    const struct outgoing message = {
        .subject = "s.a", .headers = headers, .header_count = 3, .data = "a\0b", .len = 3};
    struct publication publication = {
        .messages = &message, .count = 1, .deadline_ms = world_deadline()};
    struct publish_result result;

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    jj__broker_publish_wait(world->broker, &publication, &result);
    assert_int_equal(result.status, JJ_OK);
    assert_int_equal(result.seq, 1);
    assert_false(result.duplicate);
    struct heard *heard = nats_client_get(world->stranger, "S", 1);
    assert_non_null(heard);
    assert_string_equal(heard->subject, "s.a");
    assert_int_equal(heard->len, 3);
    assert_memory_equal(heard->data, "a\0b", 3);
    assert_string_equal(heard_header(heard, "Job-Id"), "x");
    assert_string_equal(heard_header(heard, "Two"), "a");
    heard_free(heard);
}

static void a_duplicate_is_told_with_the_first_sequence(void **state)
{
    struct world *world = *state;

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    assert_int_equal(world_publish(world, "s.a", "one", world_deadline()).seq, 1);
    assert_int_equal(world_publish(world, "s.a", "two", world_deadline()).seq, 2);
    struct publish_result again = world_publish(world, "s.a", "one", world_deadline());
    assert_int_equal(again.status, JJ_OK);
    assert_int_equal(again.seq, 1);
    assert_true(again.duplicate);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 2);
}

static void what_no_stream_takes_is_unavailable(void **state)
{
    struct world *world = *state;

    world_connect(world, NULL);
    struct publish_result result =
        world_publish(world, "nowhere", "one", jj__clock_mono_ms() + 500);
    assert_int_equal(result.status, JJ_ERR_UNAVAILABLE);
    assert_non_null(strstr(result.err.text, "nowhere"));
    assert_non_null(strstr(result.err.text, "no stream"));
}

static void what_no_stream_takes_is_unavailable_among_others(void **state)
{
    struct world *world = *state;
    struct publish_result results[3] = {{0}};

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    for (int i = 0; i < 3; i++)
        results[i] =
            world_publish(world, i == 1 ? "s.a" : "nowhere", NULL, jj__clock_mono_ms() + 300);
    assert_int_equal(results[0].status, JJ_ERR_UNAVAILABLE);
    assert_int_equal(results[1].status, JJ_OK);
    assert_int_equal(results[2].status, JJ_ERR_UNAVAILABLE);
}

/* Publications under way, counted on the broker thread. */
struct flood {
    struct world *world;
    const char *subject;
    int64_t deadline_ms;
    size_t slots;
};

static void put_result(void *ctx, const struct publish_result *result)
{
    struct flood *flood = ctx;

    bag_put(&flood->world->bag,
            result->status == JJ_OK ? result->seq : UINT64_MAX - result->status);
}

static void publish_number(struct flood *flood, size_t number)
{
    char msg_id[24];
    jj_error err;

    snprintf(msg_id, sizeof(msg_id), "%zu", number);
    const jj_header header = {"Nats-Msg-Id", msg_id};
    const struct outgoing message = {.subject = flood->subject,
                                     .headers = &header,
                                     .header_count = 1,
                                     .data = msg_id,
                                     .len = strlen(msg_id)};
    const struct publication publication = {.messages = &message,
                                            .count = 1,
                                            .deadline_ms = flood->deadline_ms,
                                            .done = put_result,
                                            .ctx = flood};
    if (jj__broker_publish(flood->world->broker, &publication, &err) != JJ_OK)
        fail_msg("%s", err.text);
}

static void several_that_no_stream_takes_are_unavailable(void **state)
{
    struct world *world = *state;
    struct flood stored = {.world = world, .subject = "s.a", .deadline_ms = INT64_MAX};
    struct flood lost = {
        .world = world, .subject = "nowhere", .deadline_ms = jj__clock_mono_ms() + 700};

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    struct listener *sendings = nats_client_listen(world->stranger, "s.a", NULL);
    for (size_t i = 0; i < 50; i++) {
        publish_number(&lost, i);
        publish_number(&stored, i);
    }
    assert_true(bag_wait(&world->bag, 100));
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 50);
    size_t unavailable = 0;
    for (size_t i = 0; i < 100; i++)
        unavailable += bag_get(&world->bag, i) == UINT64_MAX - JJ_ERR_UNAVAILABLE;
    assert_int_equal(unavailable, 50);
    assert_int_equal(listener_count(sendings), 50); /* the others are not sent again for it */
    listener_close(sendings);
}

struct writer {
    struct world *world;
    pthread_t thread;
    const char *subject;
    int number;
    int count;
    int64_t limit_ms;
    size_t stored;
    struct publish_result last;
};

static void *write_all(void *arg)
{
    struct writer *writer = arg;
    char msg_id[32];

    for (int i = 0; i < writer->count; i++) {
        snprintf(msg_id, sizeof(msg_id), "%d-%d", writer->number, i);
        writer->last = world_publish(writer->world, writer->subject, msg_id,
                                     jj__clock_mono_ms() + writer->limit_ms);
        writer->stored += writer->last.status == JJ_OK;
    }
    return NULL;
}

static void a_publication_waits_for_its_stream_to_appear(void **state)
{
    struct world *world = *state;
    struct writer writer = {.world = world, .subject = "s.a", .count = 1, .limit_ms = WAIT_MS};

    world_connect(world, NULL);
    pthread_create(&writer.thread, NULL, write_all, &writer);
    world_stream(world, "S", "s.*", NULL);
    pthread_join(writer.thread, NULL);
    assert_int_equal(writer.last.status, JJ_OK);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 1);
}

static void many_threads_publish_at_once(void **state)
{
    struct world *world = *state;
    struct writer writers[6];

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    for (int i = 0; i < 6; i++) {
        writers[i] = (struct writer){
            .world = world, .subject = "s.a", .number = i, .count = 200, .limit_ms = WAIT_MS};
        pthread_create(&writers[i].thread, NULL, write_all, &writers[i]);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(writers[i].thread, NULL);
        assert_int_equal(writers[i].stored, 200);
    }
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 1200);
}

/* ---- refusals ---- */

static void a_message_above_max_payload_is_too_large(void **state)
{
    struct world *world = *state;
    static char large[20000];
    const struct outgoing message = {.subject = "s.a", .data = large, .len = sizeof(large)};
    struct publication publication = {
        .messages = &message, .count = 1, .deadline_ms = world_deadline()};
    struct publish_result result;

    world_serve(world, "max_payload: 10000", NULL);
    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    jj__broker_publish_wait(world->broker, &publication, &result);
    assert_int_equal(result.status, JJ_ERR_TOO_LARGE);
    assert_true(jj__broker_connected(world->broker));
    assert_int_equal(world_publish(world, "s.a", NULL, world_deadline()).status, JJ_OK);
}

static void a_message_above_the_streams_limit_is_too_large(void **state)
{
    struct world *world = *state;
    static char large[2000];
    const struct outgoing message = {.subject = "s.a", .data = large, .len = sizeof(large)};
    struct publication publication = {
        .messages = &message, .count = 1, .deadline_ms = world_deadline()};
    struct publish_result result;

    world_stream(world, "S", "s.*", "{\"max_msg_size\": 1000}");
    world_connect(world, NULL);
    jj__broker_publish_wait(world->broker, &publication, &result);
    assert_int_equal(result.status, JJ_ERR_TOO_LARGE);
    assert_int_equal(result.err_code, 10054);
}

static void a_full_stream_is_unavailable_at_once(void **state)
{
    struct world *world = *state;

    world_stream(world, "S", "s.*", "{\"max_msgs\": 1, \"discard\": \"new\"}");
    world_connect(world, NULL);
    assert_int_equal(world_publish(world, "s.a", "one", world_deadline()).status, JJ_OK);
    int64_t start_ms = jj__clock_mono_ms();
    struct publish_result result = world_publish(world, "s.a", "two", start_ms + 600000);
    assert_true(jj__clock_mono_ms() - start_ms < 30000);
    assert_int_equal(result.status, JJ_ERR_UNAVAILABLE);
    assert_int_equal(result.err_code, 10077);
    assert_non_null(strstr(result.err.text, "s.a"));
}

static void an_answer_that_is_no_acknowledgement_is_a_protocol_error(void **state)
{
    struct world *world = *state;
    static const char *const answers[] = {"{}", "no JSON", "[]", "{\"seq\": \"7\"}", "7"};

    world_connect(world, NULL);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct listener *impostor = nats_client_listen(world->stranger, "s.a", answers[i]);
        struct publish_result result = world_publish(world, "s.a", "one", world_deadline());
        assert_int_equal(result.status, JJ_ERR_PROTOCOL);
        assert_int_not_equal(result.err.text[0], '\0');
        listener_close(impostor);
    }
}

static void what_breaks_the_protocol_is_refused(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *subject;
        jj_header header;
    } bad[] = {{"", {"A", "b"}},         {"s.a b", {"A", "b"}},       {"s.a\r\nX", {"A", "b"}},
               {"s.a", {"A\r\nB", "b"}}, {"s.a", {"A", "b\r\nC: d"}}, {"s.a", {"", "b"}}};

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct outgoing message = {
            .subject = bad[i].subject, .headers = &bad[i].header, .header_count = 1};
        struct publication publication = {
            .messages = &message, .count = 1, .deadline_ms = world_deadline()};
        struct publish_result result;
        jj__broker_publish_wait(world->broker, &publication, &result);
        assert_int_equal(result.status, JJ_ERR_INVALID);
        assert_null(strchr(result.err.text, '\n'));
    }
    assert_true(jj__broker_connected(world->broker));
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 0);
}

#define LIMITED                                                                                    \
    "authorization { users: ["                                                                     \
    "{ user: boss, password: x },"                                                                 \
    "{ user: bob, password: x, permissions: { publish: { allow: [\"s.a\"] } } } ] }"

static void what_is_not_permitted_fails_at_once(void **state)
{
    struct world *world = *state;
    static const char *const subjects[] = {"s.b", "a", "s.a.s.b"};
    struct writer writers[3];

    world_serve(world, LIMITED, "boss:x");
    world_stream(world, "S", "s.*", NULL);
    world_connect(world, "bob:x");
    int64_t start_ms = jj__clock_mono_ms();
    for (int i = 0; i < 3; i++) {
        writers[i] = (struct writer){
            .world = world, .subject = subjects[i], .number = i, .count = 20, .limit_ms = 600000};
        pthread_create(&writers[i].thread, NULL, write_all, &writers[i]);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(writers[i].thread, NULL);
    assert_true(jj__clock_mono_ms() - start_ms < 60000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(writers[i].stored, 0);
        assert_int_equal(writers[i].last.status, JJ_ERR_NOT_PERMITTED);
        assert_non_null(strstr(writers[i].last.err.text, subjects[i]));
    }
    assert_int_equal(log_book_count(&world->book, JJ_LOG_WARN), 0); /* who published was told */
    assert_int_equal(world_publish(world, "s.a", "one", world_deadline()).status, JJ_OK);
}

/* ---- outages ---- */

static void ten_thousand_under_way_are_each_answered(void **state)
{
    struct world *world = *state;
    struct flood flood = {.world = world, .subject = "s.a", .deadline_ms = INT64_MAX};

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    for (size_t i = 0; i < 10000; i++)
        publish_number(&flood, i);
    assert_true(bag_wait(&world->bag, 10000));
    assert_int_equal(bag_distinct(&world->bag), 10000);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 10000);
}

static void what_was_under_way_when_the_broker_died_is_stored_once(void **state)
{
    struct world *world = *state;
    struct flood flood = {.world = world, .subject = "s.a", .deadline_ms = world_deadline()};

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    for (size_t i = 0; i < 6000; i++) {
        publish_number(&flood, i);
        if (i == 2000) {
            assert_true(bag_wait(&world->bag, 1)); /* some are stored by then, most are not */
            server_kill(&world->server);
        }
        if (i == 4000)
            server_restart(&world->server);
    }
    assert_true(bag_wait(&world->bag, 6000));
    assert_int_equal(bag_distinct(&world->bag), 6000);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 6000);
}

static void a_publication_waits_through_a_restart(void **state)
{
    struct world *world = *state;
    struct writer writer = {.world = world, .subject = "s.a", .count = 1, .limit_ms = WAIT_MS};

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    server_stop(&world->server);
    assert_true(world_wait_connected(world, false));
    pthread_create(&writer.thread, NULL, write_all, &writer);
    server_restart(&world->server);
    pthread_join(writer.thread, NULL);
    assert_int_equal(writer.last.status, JJ_OK);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 1);
}

static void without_a_broker_the_deadline_says_that_nothing_was_done(void **state)
{
    struct world *world = *state;

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    server_stop(&world->server);
    assert_true(world_wait_connected(world, false));
    int64_t start_ms = jj__clock_mono_ms();
    struct publish_result result = world_publish(world, "s.a", "one", start_ms + 300);
    int64_t took_ms = jj__clock_mono_ms() - start_ms;
    assert_int_equal(result.status, JJ_ERR_UNAVAILABLE);
    assert_true(took_ms >= 300 && took_ms < 30000);
    assert_non_null(strstr(result.err.text, "s.a"));
}

static void without_an_answer_the_deadline_says_that_it_is_unknown(void **state)
{
    struct world *world = *state;

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    server_freeze(&world->server);
    struct publish_result result = world_publish(world, "s.a", "one", jj__clock_mono_ms() + 300);
    assert_int_equal(result.status, JJ_ERR_TIMEOUT);
    server_thaw(&world->server);
    assert_true(nats_client_wait_messages(world->stranger, "S", 1));
}

static void once_unknown_it_stays_unknown(void **state)
{
    struct world *world = *state;
    struct flood flood = {.world = world, .subject = "s.a"};

    /* Sent, perhaps stored, and then the broker has no such stream any more. */
    world_connect(world, NULL);
    struct listener *mute = nats_client_listen(world->stranger, "s.a", NULL);
    flood.deadline_ms = jj__clock_mono_ms() + 4000;
    publish_number(&flood, 1);
    assert_true(listener_wait(mute, 1));
    listener_close(mute);
    server_kill(&world->server);
    server_restart(&world->server);
    assert_true(bag_wait(&world->bag, 1));
    assert_true(bag_get(&world->bag, 0) == UINT64_MAX - JJ_ERR_TIMEOUT);
}

static void after_silence_it_is_sent_again(void **state)
{
    struct world *world = *state;
    struct flood flood = {.world = world, .subject = "s.a", .deadline_ms = INT64_MAX};

    world_connect(world, NULL);
    struct listener *mute = nats_client_listen(world->stranger, "s.a", NULL);
    publish_number(&flood, 1);
    assert_true(listener_wait(mute, 2));
    world_stream(world, "S", "s.*", NULL);
    assert_true(bag_wait(&world->bag, 1));
    assert_int_equal(bag_get(&world->bag, 0), 1);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 1);
    listener_close(mute);
}

static void note_slots(void *ctx)
{
    struct flood *flood = ctx;

    flood->slots = flood->world->broker->publisher.slot_count;
}

/* One that waits for long, while a great many others come and go. */
static void one_that_waits_does_not_make_others_dear(void **state)
{
    struct world *world = *state;
    struct flood stuck = {.world = world, .subject = "stuck", .deadline_ms = INT64_MAX};
    struct flood flood = {.world = world, .subject = "s.a", .deadline_ms = INT64_MAX};

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    struct listener *mute = nats_client_listen(world->stranger, "stuck", NULL);
    publish_number(&stuck, 1);
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < 1000; i++)
            publish_number(&flood, round * 1000 + i);
        assert_true(bag_wait(&world->bag, (round + 1) * 1000));
    }
    assert_int_equal(bag_distinct(&world->bag), 20000);
    jj__broker_call(world->broker, note_slots, &stuck);
    assert_in_range(stuck.slots, 1, 4096);
    world_disconnect(world);
    assert_int_equal(bag_count(&world->bag), 20001); /* closing ends the one that waits */
    assert_true(bag_get(&world->bag, 20000) == UINT64_MAX - JJ_ERR_TIMEOUT);
    listener_close(mute);
}

/* ---- batches ---- */

#define BATCH 1000

struct batch {
    char msg_id[BATCH][48];
    char sequence[BATCH][24];
    jj_header headers[BATCH][4];
    struct outgoing messages[BATCH];
};

static struct batch *make_batch(const char *id, const char *subject, size_t count)
{
    struct batch *batch = calloc(1, sizeof(*batch));

    assert_non_null(batch);
    for (size_t i = 0; i < count; i++) {
        snprintf(batch->sequence[i], sizeof(batch->sequence[i]), "%zu", i + 1);
        snprintf(batch->msg_id[i], sizeof(batch->msg_id[i]), "%s-%zu", id, i);
        batch->headers[i][0] = (jj_header){"Nats-Batch-Id", id};
        batch->headers[i][1] = (jj_header){"Nats-Batch-Sequence", batch->sequence[i]};
        batch->headers[i][2] = (jj_header){"Nats-Msg-Id", batch->msg_id[i]};
        batch->headers[i][3] = (jj_header){"Nats-Batch-Commit", "1"};
        batch->messages[i] = (struct outgoing){.subject = subject,
                                               .headers = batch->headers[i],
                                               .header_count = i + 1 == count ? 4 : 3,
                                               .data = "data",
                                               .len = 4};
    }
    return batch;
}

static struct publish_result publish_batch(struct world *world, const struct batch *batch,
                                           size_t count, int64_t deadline_ms)
{
    struct publication publication = {
        .messages = batch->messages, .count = count, .deadline_ms = deadline_ms, .once = true};
    struct publish_result result;

    jj__broker_publish_wait(world->broker, &publication, &result);
    return result;
}

#define ATOMIC "{\"allow_atomic\": true}"

static void a_batch_is_stored_with_one_acknowledgement(void **state)
{
    struct world *world = *state;
    struct batch *batch = make_batch("b1", "s.a", BATCH);

    world_stream(world, "S", "s.*", ATOMIC);
    world_connect(world, NULL);
    struct publish_result result = publish_batch(world, batch, BATCH, world_deadline());
    assert_int_equal(result.status, JJ_OK);
    assert_int_equal(result.seq, BATCH); /* of its last message */
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), BATCH);
    free(batch);
}

static void a_batch_with_a_duplicate_is_refused_whole(void **state)
{
    struct world *world = *state;
    struct batch *batch = make_batch("b1", "s.a", 10);

    world_stream(world, "S", "s.*", ATOMIC);
    world_connect(world, NULL);
    assert_int_equal(world_publish(world, "s.a", "b1-4", world_deadline()).status, JJ_OK);
    struct publish_result result = publish_batch(world, batch, 10, world_deadline());
    assert_int_equal(result.status, JJ_ERR_INVALID);
    assert_int_equal(result.err_code, 10201);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 1);
    free(batch);
}

static void begin_held(struct world *world, const struct batch *batch, size_t count,
                       struct publishing *publishing)
{
    struct publication publication = {.messages = batch->messages,
                                      .count = count,
                                      .deadline_ms = INT64_MAX,
                                      .once = true,
                                      .hold = true};

    jj__broker_publish_begin(world->broker, &publication, publishing);
}

static void a_held_batch_is_stored_when_it_is_let_go(void **state)
{
    struct world *world = *state;
    struct batch *first = make_batch("b1", "s.a", BATCH), *second = make_batch("b2", "s.b", 10);
    struct listener *heard = nats_client_listen(world->stranger, "s.b", NULL);
    struct publishing publishing;
    struct publish_result result;

    world_stream(world, "S", "s.*", ATOMIC);
    world_connect(world, NULL);
    begin_held(world, second, 10, &publishing);
    assert_true(listener_wait(heard, 9)); /* all but the last are there */
    assert_int_equal(publish_batch(world, first, BATCH, world_deadline()).seq, BATCH);
    assert_int_equal(listener_count(heard), 9);
    jj__broker_let_go(&publishing, world_deadline());
    jj__broker_publish_end(&publishing, &result);
    assert_int_equal(result.status, JJ_OK);
    assert_int_equal(result.seq, BATCH + 10);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), BATCH + 10);
    listener_close(heard);
    free(first);
    free(second);
}

static void of_a_dropped_batch_nothing_is_stored(void **state)
{
    struct world *world = *state;
    struct batch *batch = make_batch("b1", "s.a", 10);
    struct publishing publishing;
    struct publish_result result;

    world_stream(world, "S", "s.*", ATOMIC);
    world_connect(world, NULL);
    begin_held(world, batch, 10, &publishing);
    jj__broker_drop(&publishing);
    jj__broker_publish_end(&publishing, &result);
    assert_int_equal(result.status, JJ_ERR_UNAVAILABLE);
    assert_int_equal(world_publish(world, "s.a", "one", world_deadline()).seq, 1);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 1);
    free(batch);
}

static void a_held_batch_does_not_outlive_its_connection(void **state)
{
    struct world *world = *state;
    struct batch *batch = make_batch("b1", "s.a", 10);
    struct listener *heard = nats_client_listen(world->stranger, "s.a", NULL);
    struct publishing publishing;
    struct publish_result result;

    world_stream(world, "S", "s.*", ATOMIC);
    world_connect(world, NULL);
    begin_held(world, batch, 10, &publishing);
    assert_true(listener_wait(heard, 9));
    server_kill(&world->server);
    server_restart(&world->server);
    jj__broker_publish_end(&publishing, &result);
    assert_int_equal(result.status, JJ_ERR_UNAVAILABLE);
    assert_int_equal(result.err_code, JJ__ERR_BATCH_INCOMPLETE);
    jj__broker_let_go(&publishing, world_deadline()); /* too late, and harmless */
    nats_client_settle(world->stranger);
    assert_int_equal(nats_client_stream_messages(world->stranger, "S"), 0);
    listener_close(heard);
    free(batch);
}

static void a_held_batch_waits_for_the_broker(void **state)
{
    struct world *world = *state;
    struct batch *batch = make_batch("b1", "s.a", 10);
    struct publishing publishing;
    struct publish_result result;

    world_stream(world, "S", "s.*", ATOMIC);
    world_connect(world, NULL);
    server_stop(&world->server);
    assert_true(world_wait_connected(world, false));
    begin_held(world, batch, 10, &publishing);
    jj__broker_let_go(&publishing, world_deadline());
    server_restart(&world->server);
    jj__broker_publish_end(&publishing, &result);
    assert_int_equal(result.status, JJ_OK);
    assert_int_equal(result.seq, 10);
    free(batch);
}

static void a_batch_without_a_broker_is_unavailable(void **state)
{
    struct world *world = *state;
    struct batch *batch = make_batch("b1", "s.a", 10);

    world_stream(world, "S", "s.*", ATOMIC);
    world_connect(world, NULL);
    server_stop(&world->server);
    assert_true(world_wait_connected(world, false));
    struct publish_result result = publish_batch(world, batch, 10, jj__clock_mono_ms() + 200);
    assert_int_equal(result.status, JJ_ERR_UNAVAILABLE);
    free(batch);
}

static void a_batch_to_no_stream_is_unavailable(void **state)
{
    struct world *world = *state;
    struct batch *batch = make_batch("b1", "nowhere", 10);

    world_connect(world, NULL);
    struct publish_result result = publish_batch(world, batch, 10, world_deadline());
    assert_int_equal(result.status, JJ_ERR_UNAVAILABLE);
    free(batch);
}

struct batcher {
    struct world *world;
    pthread_t thread;
    const struct batch *batch;
    struct publish_result result;
};

static void *publish_batch_for_long(void *arg)
{
    struct batcher *batcher = arg;

    batcher->result = publish_batch(batcher->world, batcher->batch, 10, world_deadline());
    return NULL;
}

static void a_batch_is_never_sent_twice(void **state)
{
    struct world *world = *state;
    struct batcher batcher = {.world = world, .batch = make_batch("b1", "s.a", 10)};

    world_connect(world, NULL);
    struct listener *mute = nats_client_listen(world->stranger, "s.a", NULL);
    pthread_create(&batcher.thread, NULL, publish_batch_for_long, &batcher);
    assert_true(listener_wait(mute, 10));
    server_kill(&world->server);
    server_restart(&world->server);
    pthread_join(batcher.thread, NULL);
    assert_int_equal(batcher.result.status, JJ_ERR_TIMEOUT);
    assert_int_equal(listener_count(mute), 10);
    listener_close(mute);
    free((void *)batcher.batch);
}

/* ---- on the broker thread, and closing ---- */

static void publish_within(void *ctx)
{
    publish_number(ctx, 7);
}

static void the_broker_thread_publishes_too(void **state)
{
    struct world *world = *state;
    struct flood flood = {.world = world, .subject = "s.a", .deadline_ms = INT64_MAX};

    world_stream(world, "S", "s.*", NULL);
    world_connect(world, NULL);
    jj__broker_call(world->broker, publish_within, &flood);
    assert_true(bag_wait(&world->bag, 1));
    assert_int_equal(bag_get(&world->bag, 0), 1);
}

static void closing_answers_all_that_is_under_way(void **state)
{
    struct world *world = *state;
    struct flood flood = {.world = world, .subject = "s.a", .deadline_ms = INT64_MAX};

    world_connect(world, NULL);
    struct listener *mute = nats_client_listen(world->stranger, "s.a", NULL);
    for (size_t i = 0; i < 100; i++)
        publish_number(&flood, i);
    world_disconnect(world);
    assert_int_equal(bag_count(&world->bag), 100);
    for (size_t i = 0; i < 100; i++) /* they were sent, so nobody knows */
        assert_true(bag_get(&world->bag, i) == UINT64_MAX - JJ_ERR_TIMEOUT);
    listener_close(mute);
}

static void closing_without_a_broker_answers_that_nothing_was_done(void **state)
{
    struct world *world = *state;
    struct flood flood = {.world = world, .subject = "s.a", .deadline_ms = INT64_MAX};

    world_connect(world, NULL);
    server_kill(&world->server);
    assert_true(world_wait_connected(world, false));
    for (size_t i = 0; i < 100; i++)
        publish_number(&flood, i);
    world_disconnect(world);
    assert_int_equal(bag_count(&world->bag), 100);
    assert_true(bag_get(&world->bag, 99) == UINT64_MAX - JJ_ERR_UNAVAILABLE);
}

/* ---- what is begun in a member's turn ---- */

/* One who begins something in a turn, wishes for no other, and hears what came of it. */
struct starter {
    struct world *world;
    struct broker_member member;
    bool asks; /* a question; else a publication */
    bool begins;
};

static void put_answer(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct starter *starter = ctx;

    jj__msg_free(msg);
    bag_put(&starter->world->bag, status);
}

static void put_status(void *ctx, const struct publish_result *result)
{
    struct starter *starter = ctx;

    bag_put(&starter->world->bag, result->status);
}

static int64_t begin_once(void *ctx, int64_t now_ms)
{
    struct starter *starter = ctx;
    const struct outgoing message = {.subject = "silent", .data = "1", .len = 1};
    const struct question question = {
        .message = message, .deadline_ms = now_ms + 300, .answer = put_answer, .ctx = starter};
    const struct publication publication = {.messages = &message,
                                            .count = 1,
                                            .deadline_ms = now_ms + 300,
                                            .done = put_status,
                                            .ctx = starter};
    jj_error err;

    if (!starter->begins)
        return INT64_MAX;
    starter->begins = false;
    jj_status s = starter->asks ? jj__broker_ask(starter->world->broker, &question, &err)
                                : jj__broker_publish(starter->world->broker, &publication, &err);
    if (s != JJ_OK)
        bag_put(&starter->world->bag, s);
    return INT64_MAX;
}

static void add_starter(void *ctx)
{
    struct starter *starter = ctx;

    jj__broker_member_add(starter->world->broker, &starter->member);
}

static void let_begin(void *ctx)
{
    struct starter *starter = ctx;

    starter->begins = true;
}

static void remove_starter(void *ctx)
{
    struct starter *starter = ctx;

    jj__broker_member_remove(starter->world->broker, &starter->member);
}

/* Nothing else wakes the broker thread but pings: one of the server's 2 s after the connect, for
 * which there is a second round, and the library's, each 10 s. */
static void expect_end_in_time(struct world *world, bool asks)
{
    struct starter starter = {.world = world, .asks = asks};
    struct listener *silent = nats_client_listen(world->stranger, "silent", NULL);
    int64_t longest_ms = 0;

    starter.member = (struct broker_member){.turn = begin_once, .ctx = &starter};
    world_connect(world, NULL);
    jj__broker_call(world->broker, add_starter, &starter);
    for (size_t round = 1; round <= 2; round++) {
        int64_t before_ms = jj__clock_mono_ms();
        jj__broker_call(world->broker, let_begin, &starter);
        assert_true(bag_wait(&world->bag, round));
        assert_int_equal(bag_get(&world->bag, round - 1), JJ_ERR_TIMEOUT);
        if (jj__clock_mono_ms() - before_ms > longest_ms)
            longest_ms = jj__clock_mono_ms() - before_ms;
    }
    jj__broker_call(world->broker, remove_starter, &starter);
    listener_close(silent);
    if (longest_ms > 5000)
        fail_msg("the deadline was noticed after %lld ms", (long long)longest_ms);
}

static void the_deadline_of_what_a_turn_publishes_is_kept(void **state)
{
    expect_end_in_time(*state, false);
}

static void the_deadline_of_what_a_turn_asks_is_kept(void **state)
{
    expect_end_in_time(*state, true);
}

int main(void)
{
#define STORY(name)            cmocka_unit_test_setup_teardown(name, world_begin, world_end)
#define OWN_SERVER_STORY(name) cmocka_unit_test_setup_teardown(name, world_begin_empty, world_end)
    const struct CMUnitTest tests[] = {
        STORY(a_publication_is_stored_with_headers_and_data),
        STORY(a_duplicate_is_told_with_the_first_sequence),
        STORY(what_no_stream_takes_is_unavailable),
        STORY(what_no_stream_takes_is_unavailable_among_others),
        STORY(several_that_no_stream_takes_are_unavailable),
        STORY(a_publication_waits_for_its_stream_to_appear),
        STORY(many_threads_publish_at_once),
        OWN_SERVER_STORY(a_message_above_max_payload_is_too_large),
        STORY(a_message_above_the_streams_limit_is_too_large),
        STORY(a_full_stream_is_unavailable_at_once),
        STORY(an_answer_that_is_no_acknowledgement_is_a_protocol_error),
        STORY(what_breaks_the_protocol_is_refused),
        OWN_SERVER_STORY(what_is_not_permitted_fails_at_once),
        STORY(ten_thousand_under_way_are_each_answered),
        STORY(what_was_under_way_when_the_broker_died_is_stored_once),
        STORY(a_publication_waits_through_a_restart),
        STORY(without_a_broker_the_deadline_says_that_nothing_was_done),
        STORY(without_an_answer_the_deadline_says_that_it_is_unknown),
        STORY(once_unknown_it_stays_unknown),
        STORY(after_silence_it_is_sent_again),
        STORY(one_that_waits_does_not_make_others_dear),
        STORY(a_batch_is_stored_with_one_acknowledgement),
        STORY(a_batch_with_a_duplicate_is_refused_whole),
        STORY(a_held_batch_is_stored_when_it_is_let_go),
        STORY(of_a_dropped_batch_nothing_is_stored),
        STORY(a_held_batch_does_not_outlive_its_connection),
        STORY(a_held_batch_waits_for_the_broker),
        STORY(a_batch_without_a_broker_is_unavailable),
        STORY(a_batch_to_no_stream_is_unavailable),
        STORY(a_batch_is_never_sent_twice),
        STORY(the_broker_thread_publishes_too),
        STORY(closing_answers_all_that_is_under_way),
        STORY(closing_without_a_broker_answers_that_nothing_was_done),
        STORY(the_deadline_of_what_a_turn_publishes_is_kept),
        STORY(the_deadline_of_what_a_turn_asks_is_kept),
    };

    return cmocka_run_group_tests_name("broker_publish", tests, NULL, NULL);
}
