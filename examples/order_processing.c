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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/jobs.h"
#include "support/mail.h"
#include "support/shop.h"
#include "support/smtp_sink.h"

struct business {
    jj_client *client;
    struct shop *shop; /* for one thread at a time: so the worker runs one handler at a time */
    const char *mail_server;
};

struct order {
    const char *id, *customer;
    json_int_t total;
    json_t *items; /* [{"productId", "quantity"}] */
};

/* ---- processOrder; in its steps JJ_VERDICT_DONE means: so far, so good ---- */

static jj_verdict validate(jj_attempt *attempt, struct shop *shop, const struct order *order)
{
    for (size_t i = 0; i < json_array_size(order->items); i++) {
        const char *product = NULL;
        int64_t quantity = shop_item(order->items, i, &product);

        if (quantity == 0)
            return jj_fail(attempt, "item %zu is not {\"productId\", \"quantity\"}", i + 1);
        if (shop_stock(shop, product) < quantity)
            return jj_fail(attempt, "insufficient inventory for %s", product);
    }
    return JJ_VERDICT_DONE;
}

static jj_verdict pay(jj_attempt *attempt, struct shop *shop, const struct order *order)
{
    if (shop_payment(shop, order->id) > 0) /* by an earlier attempt */
        return JJ_VERDICT_DONE;
    switch (shop_pay(shop, order->id, order->customer, order->total)) {
    case SHOP_DONE:
        return JJ_VERDICT_DONE;
    case SHOP_DECLINED:
        return jj_fail(attempt, "payment failed: card declined");
    default:
        return jj_retry(attempt, "the database did not take the payment");
    }
}

/* What validate() found is still there: one handler runs at a time. A shop that runs several would
 * pay back here where it is not. */
static jj_verdict reserve(jj_attempt *attempt, struct shop *shop, const struct order *order)
{
    if (!shop_reserve(shop, order->id, order->items))
        return jj_retry(attempt, "the database did not take the reservation");
    return JJ_VERDICT_DONE;
}

/* Enqueue what follows from this job. Its id is made of this one's: whatever runs twice, there is
 * one of it. */
static jj_verdict follow(jj_attempt *attempt, struct business *business, const char *name,
                         const char *suffix, json_t *data)
{
    char id[JJ_NAME_SIZE + 16];
    const jj_spec spec = {.name = name, .id = id};
    jj_error err;

    snprintf(id, sizeof(id), "%s%s", jj_attempt_id(attempt), suffix);
    return job_enqueue(business->client, &spec, data, NULL, &err) == JJ_OK
               ? JJ_VERDICT_DONE
               : jj_retry(attempt, "%s", err.text);
}

static jj_verdict process_order(jj_attempt *attempt, void *user)
{
    struct business *business = user;
    struct shop *shop = business->shop;
    struct order order = {0};
    json_t *data = job_data(attempt);
    jj_verdict verdict = JJ_VERDICT_DONE;

    if (json_unpack(data, "{s:s, s:s, s:I, s:o}", "orderId", &order.id, "customer", &order.customer,
                    "total", &order.total, "items", &order.items) != 0)
        verdict = jj_fail(attempt, "data is not an order");
    else if (!shop_has_reserved(shop, order.id)) { /* else an earlier attempt came past these */
        verdict = validate(attempt, shop, &order);
        if (verdict == JJ_VERDICT_DONE)
            verdict = pay(attempt, shop, &order);
        if (verdict == JJ_VERDICT_DONE)
            verdict = reserve(attempt, shop, &order);
    }
    if (verdict == JJ_VERDICT_DONE)
        verdict = follow(attempt, business, "fulfillOrder", "-f", json_incref(data));
    if (verdict == JJ_VERDICT_DONE)
        verdict = job_done(
            attempt, json_pack("{s:I}", "paymentId", (json_int_t)shop_payment(shop, order.id)));
    json_decref(data);
    return verdict;
}

/* ---- what follows ---- */

static jj_verdict fulfill_order(jj_attempt *attempt, void *user)
{
    struct business *business = user;
    const char *order = NULL, *customer = NULL;
    char tracking[32], event[128], body[256];
    json_t *data = job_data(attempt);
    jj_verdict verdict;

    if (json_unpack(data, "{s:s, s:s}", "orderId", &order, "customer", &customer) != 0) {
        verdict = jj_fail(attempt, "data is not an order");
    } else {
        snprintf(tracking, sizeof(tracking), "TRACK-%lld",
                 (long long)shop_label(business->shop, order));
        snprintf(event, sizeof(event), "{\"label\":\"%s\"}", tracking);
        jj_emit(attempt, "ship", event); /* the warehouse listens to job.fulfillOrder.event */
        snprintf(body, sizeof(body), "Your order %s is on its way: %s.", order, tracking);
        verdict = follow(
            attempt, business, "sendEmail", "-mail",
            json_pack("{s:s, s:s, s:s}", "to", customer, "subject", "Your order", "body", body));
    }
    if (verdict == JJ_VERDICT_DONE)
        verdict = job_done(attempt, json_pack("{s:s}", "trackingNumber", tracking));
    json_decref(data);
    return verdict;
}

static jj_verdict send_email(jj_attempt *attempt, void *user)
{
    const struct business *business = user;
    char reason[256];
    struct mail mail = {.server = business->mail_server, .from = "shop@example.org"};
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

static jj_status trade(jj_client *client, jj_error *err)
{
    jj_receipt good, bad;

    jj_status s = order(client, "ada@example.org", "tea", 3, &good, err);
    if (s == JJ_OK)
        s = print_follower(client, &good, "-f", err);
    if (s == JJ_OK)
        s = print_follower(client, &good, "-mail", err);
    if (s == JJ_OK)
        s = order(client, "ada@example.org", "pot", 2, &bad, err);
    if (s == JJ_OK)
        s = order(client, "bob@example.org", "tea", 1, &bad, err);
    return s;
}

static jj_status run(struct business *business, jj_error *err)
{
    const jj_options options = {
        .url = getenv("NATS_URL"), .adapter = &jj_adapter_memory, .concurrency = 1};

    jj_status s = jj_open(&options, &business->client, err);
    if (s == JJ_OK)
        s = jj_register(business->client, "processOrder", process_order, NULL, business, err);
    if (s == JJ_OK)
        s = jj_register(business->client, "fulfillOrder", fulfill_order, NULL, business, err);
    if (s == JJ_OK)
        s = jj_register(business->client, "sendEmail", send_email, NULL, business, err);
    if (s == JJ_OK)
        s = jj_start(business->client, err);
    if (s == JJ_OK)
        s = trade(business->client, err);
    jj_close(business->client);
    return s;
}

int main(void)
{
    struct business business = {.shop = shop_open()};
    jj_error err = {.text = "can't start the mail server, or make the database"};
    jj_status s = JJ_ERR_UNAVAILABLE;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct smtp_sink *sink = smtp_sink_start();
    if (sink != NULL && business.shop != NULL) {
        business.mail_server = smtp_sink_url(sink);
        s = run(&business, &err);
        printf("in stock: %d tea, %d pot\n", (int)shop_stock(business.shop, "tea"),
               (int)shop_stock(business.shop, "pot"));
    }
    if (s != JJ_OK)
        fprintf(stderr, "order_processing: %s\n", err.text);
    shop_close(business.shop);
    smtp_sink_stop(sink);
    curl_global_cleanup();
    return s == JJ_OK ? 0 : 1;
}
