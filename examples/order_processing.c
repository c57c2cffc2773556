/* SPDX-License-Identifier: Apache-2.0 */

/* An order in four steps, and two jobs that follow from it:
 *
 *     processOrder (validate, pay, reserve, enqueue) -> fulfillOrder -> sendEmail
 *
 *     NATS_URL=nats://127.0.0.1:4222 order_processing
 *
 * What the customer or the shop can't do (no stock, no money) fails for good, what the database or
 * the network can't do is tried again. Any step may run twice: each finds what it did before, and
 * a job that is enqueued twice has the same id both times. The data of a job is the whole order, as
 * it was when it was made: nobody has to look up what may have changed. */

#include <curl/curl.h>
#include <jansson.h>
#include <jetjobs/jetjobs.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/jobs.h"
#include "support/mail.h"
#include "support/smtp_sink.h"

struct shop {
    jj_client *client;
    sqlite3 *db; /* one connection to it: so the worker runs one handler at a time */
    const char *mail_server;
};

/* ---- the shop's database ---- */

static const char *const schema =
    "CREATE TABLE products (id TEXT PRIMARY KEY, stock INTEGER CHECK (stock >= 0));"
    "CREATE TABLE cards (customer TEXT PRIMARY KEY, credit INTEGER CHECK (credit >= 0));"
    "CREATE TABLE payments (number INTEGER PRIMARY KEY, order_id TEXT UNIQUE);"
    "CREATE TABLE reservations (order_id TEXT PRIMARY KEY);"
    "CREATE TABLE shipments (number INTEGER PRIMARY KEY, order_id TEXT UNIQUE);"
    "INSERT INTO products VALUES ('tea', 10), ('pot', 1);"
    "INSERT INTO cards VALUES ('ada@example.org', 100), ('bob@example.org', 5)";

/* Run a statement with the parameters ?1 and ?2. The first number of its first row; if it has none,
 * how many rows it changed; -1: it failed. */
static int64_t sql(sqlite3 *db, const char *text, const char *word, int64_t number)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;

    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK) {
        if (sqlite3_bind_parameter_count(statement) >= 1)
            sqlite3_bind_text(statement, 1, word, -1, SQLITE_TRANSIENT);
        if (sqlite3_bind_parameter_count(statement) >= 2)
            sqlite3_bind_int64(statement, 2, number);
        int step = sqlite3_step(statement);
        if (step == SQLITE_ROW)
            value = sqlite3_column_int64(statement, 0);
        else if (step == SQLITE_DONE)
            value = sqlite3_changes(db);
    }
    sqlite3_finalize(statement);
    return value;
}

/* ---- processOrder; in its steps JJ_VERDICT_DONE means: so far, so good ---- */

struct order {
    const char *id, *customer;
    json_int_t total;
    json_t *items; /* [{"productId", "quantity"}] */
};

/* One item after the other: its product, and as result its quantity; 0: it has none. */
static int64_t item(const struct order *order, size_t i, const char **product)
{
    json_int_t quantity = 0;

    if (json_unpack(json_array_get(order->items, i), "{s:s, s:I}", "productId", product, "quantity",
                    &quantity) != 0)
        return 0;
    return quantity > 0 ? quantity : 0;
}

static jj_verdict validate(jj_attempt *attempt, struct shop *shop, const struct order *order)
{
    for (size_t i = 0; i < json_array_size(order->items); i++) {
        const char *product = NULL;
        int64_t quantity = item(order, i, &product);

        if (quantity == 0)
            return jj_fail(attempt, "item %zu is not {\"productId\", \"quantity\"}", i + 1);
        if (sql(shop->db, "SELECT count(*) FROM products WHERE id = ?1 AND stock >= ?2", product,
                quantity) != 1)
            return jj_fail(attempt, "insufficient inventory for %s", product);
    }
    return JJ_VERDICT_DONE;
}

/* Charge the card and note it, both or none. */
static jj_verdict pay(jj_attempt *attempt, struct shop *shop, const struct order *order)
{
    bool paid = sql(shop->db, "BEGIN", NULL, 0) >= 0 &&
                sql(shop->db, "INSERT INTO payments (order_id) VALUES (?1)", order->id, 0) == 1 &&
                sql(shop->db, "UPDATE cards SET credit = credit - ?2 WHERE customer = ?1",
                    order->customer, order->total) == 1;

    if (sql(shop->db, paid ? "COMMIT" : "ROLLBACK", NULL, 0) < 0)
        return jj_retry(attempt, "the database did not take the payment");
    return paid ? JJ_VERDICT_DONE : jj_fail(attempt, "payment failed: card declined");
}

/* What validate() found is still there: one handler runs at a time. A shop that runs several would
 * pay back here where it is not. */
static jj_verdict reserve(jj_attempt *attempt, struct shop *shop, const struct order *order)
{
    bool reserved = sql(shop->db, "BEGIN", NULL, 0) >= 0 &&
                    sql(shop->db, "INSERT INTO reservations VALUES (?1)", order->id, 0) == 1;

    for (size_t i = 0; reserved && i < json_array_size(order->items); i++) {
        const char *product = NULL;
        int64_t quantity = item(order, i, &product);
        reserved = sql(shop->db, "UPDATE products SET stock = stock - ?2 WHERE id = ?1", product,
                       quantity) == 1;
    }
    if (sql(shop->db, reserved ? "COMMIT" : "ROLLBACK", NULL, 0) < 0 || !reserved)
        return jj_retry(attempt, "the database did not take the reservation");
    return JJ_VERDICT_DONE;
}

/* Enqueue what follows from this job. Its id is made of this one's: whatever runs twice, there is
 * one of it. */
static jj_verdict follow(jj_attempt *attempt, struct shop *shop, const char *name,
                         const char *suffix, json_t *data)
{
    char id[JJ_NAME_SIZE + 16];
    const jj_spec spec = {.name = name, .id = id};
    jj_error err;

    snprintf(id, sizeof(id), "%s%s", jj_attempt_id(attempt), suffix);
    return job_enqueue(shop->client, &spec, data, NULL, &err) == JJ_OK
               ? JJ_VERDICT_DONE
               : jj_retry(attempt, "%s", err.text);
}

static jj_verdict process_order(jj_attempt *attempt, void *user)
{
    struct shop *shop = user;
    struct order order = {0};
    json_t *data = job_data(attempt);
    jj_verdict verdict = JJ_VERDICT_DONE;

    if (json_unpack(data, "{s:s, s:s, s:I, s:o}", "orderId", &order.id, "customer", &order.customer,
                    "total", &order.total, "items", &order.items) != 0)
        verdict = jj_fail(attempt, "data is not an order");
    else if (sql(shop->db, "SELECT count(*) FROM reservations WHERE order_id = ?1", order.id, 0) !=
             1) { /* else an earlier attempt came past these three */
        verdict = validate(attempt, shop, &order);
        if (verdict == JJ_VERDICT_DONE &&
            sql(shop->db, "SELECT count(*) FROM payments WHERE order_id = ?1", order.id, 0) != 1)
            verdict = pay(attempt, shop, &order);
        if (verdict == JJ_VERDICT_DONE)
            verdict = reserve(attempt, shop, &order);
    }
    if (verdict == JJ_VERDICT_DONE)
        verdict = follow(attempt, shop, "fulfillOrder", "-f", json_incref(data));
    if (verdict == JJ_VERDICT_DONE)
        verdict = job_done(attempt, json_pack("{s:I}", "paymentId",
                                              (json_int_t)sql(shop->db,
                                                              "SELECT number FROM payments "
                                                              "WHERE order_id = ?1",
                                                              order.id, 0)));
    json_decref(data);
    return verdict;
}

/* ---- what follows ---- */

/* The label's number; a second run gets the same. */
static int64_t make_label(struct shop *shop, const char *order)
{
    sql(shop->db, "INSERT INTO shipments (order_id) VALUES (?1) ON CONFLICT DO NOTHING", order, 0);
    return sql(shop->db, "SELECT number FROM shipments WHERE order_id = ?1", order, 0);
}

static jj_verdict fulfill_order(jj_attempt *attempt, void *user)
{
    struct shop *shop = user;
    const char *order = NULL, *customer = NULL;
    char tracking[32], event[128], body[256];
    json_t *data = job_data(attempt);
    jj_verdict verdict;

    if (json_unpack(data, "{s:s, s:s}", "orderId", &order, "customer", &customer) != 0) {
        verdict = jj_fail(attempt, "data is not an order");
    } else {
        snprintf(tracking, sizeof(tracking), "TRACK-%lld", (long long)make_label(shop, order));
        snprintf(event, sizeof(event), "{\"label\":\"%s\"}", tracking);
        jj_emit(attempt, "ship", event); /* the warehouse listens to job.fulfillOrder.event */
        snprintf(body, sizeof(body), "Your order %s is on its way: %s.", order, tracking);
        verdict = follow(
            attempt, shop, "sendEmail", "-mail",
            json_pack("{s:s, s:s, s:s}", "to", customer, "subject", "Your order", "body", body));
    }
    if (verdict == JJ_VERDICT_DONE)
        verdict = job_done(attempt, json_pack("{s:s}", "trackingNumber", tracking));
    json_decref(data);
    return verdict;
}

static jj_verdict send_email(jj_attempt *attempt, void *user)
{
    const struct shop *shop = user;
    char reason[256];
    struct mail mail = {.server = shop->mail_server, .from = "shop@example.org"};
    json_t *data = job_data(attempt);
    jj_verdict verdict = jj_fail(attempt, "data is not {\"to\", \"subject\", \"body\"}");

    mail.message_id = jj_attempt_id(attempt);
    if (json_unpack(data, "{s:s, s:s, s:s}", "to", &mail.to, "subject", &mail.subject, "body",
                    &mail.body) == 0) {
        enum mail_outcome outcome = mail_send(&mail, reason, sizeof(reason));
        verdict = outcome == MAIL_SENT    ? jj_done(attempt, NULL, 0)
                  : outcome == MAIL_LATER ? jj_retry(attempt, "%s", reason)
                                          : jj_fail(attempt, "%s", reason);
    }
    json_decref(data);
    return verdict;
}

/* ---- three orders ---- */

static jj_status order(jj_client *client, const char *customer, const char *product, int quantity,
                       jj_receipt *receipt_out, jj_error *err)
{
    static int number;
    char id[32];
    const jj_spec spec = {.name = "processOrder"};

    snprintf(id, sizeof(id), "order-%d", ++number);
    jj_status s = job_enqueue(client, &spec,
                              json_pack("{s:s, s:s, s:i, s:[{s:s, s:i}]}", "orderId", id,
                                        "customer", customer, "total", quantity * 6, "items",
                                        "productId", product, "quantity", quantity),
                              receipt_out, err);
    if (s == JJ_OK)
        s = job_print_end(client, receipt_out->id, err);
    return s;
}

/* Wait for the job that follows from this one, too. */
static jj_status print_follower(jj_client *client, jj_receipt *receipt, const char *suffix,
                                jj_error *err)
{
    strncat(receipt->id, suffix, sizeof(receipt->id) - strlen(receipt->id) - 1);
    return job_print_end(client, receipt->id, err);
}

static jj_status trade(struct shop *shop, jj_error *err)
{
    jj_receipt good, bad;

    jj_status s = order(shop->client, "ada@example.org", "tea", 3, &good, err);
    if (s == JJ_OK)
        s = print_follower(shop->client, &good, "-f", err);
    if (s == JJ_OK)
        s = print_follower(shop->client, &good, "-mail", err);
    if (s == JJ_OK)
        s = order(shop->client, "ada@example.org", "pot", 2, &bad, err);
    if (s == JJ_OK)
        s = order(shop->client, "bob@example.org", "tea", 1, &bad, err);
    return s;
}

int main(void)
{
    const jj_options options = {
        .url = getenv("NATS_URL"), .adapter = &jj_adapter_memory, .concurrency = 1};
    struct shop shop = {0};
    jj_error err = {.text = "can't start the mail server, or make the database"};
    jj_status s = JJ_ERR_UNAVAILABLE;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct smtp_sink *sink = smtp_sink_start();
    if (sink != NULL)
        shop.mail_server = smtp_sink_url(sink);
    if (sink != NULL && sqlite3_open(":memory:", &shop.db) == SQLITE_OK &&
        sqlite3_exec(shop.db, schema, NULL, NULL, NULL) == SQLITE_OK)
        s = jj_open(&options, &shop.client, &err);
    if (s == JJ_OK)
        s = jj_register(shop.client, "processOrder", process_order, NULL, &shop, &err);
    if (s == JJ_OK)
        s = jj_register(shop.client, "fulfillOrder", fulfill_order, NULL, &shop, &err);
    if (s == JJ_OK)
        s = jj_register(shop.client, "sendEmail", send_email, NULL, &shop, &err);
    if (s == JJ_OK)
        s = jj_start(shop.client, &err);
    if (s == JJ_OK)
        s = trade(&shop, &err);
    if (s != JJ_OK)
        fprintf(stderr, "order_processing: %s\n", err.text);
    jj_close(shop.client);
    printf("in stock: %d tea, %d pot\n",
           (int)sql(shop.db, "SELECT stock FROM products WHERE id = ?1", "tea", 0),
           (int)sql(shop.db, "SELECT stock FROM products WHERE id = ?1", "pot", 0));
    sqlite3_close(shop.db);
    smtp_sink_stop(sink);
    curl_global_cleanup();
    return s == JJ_OK ? 0 : 1;
}
