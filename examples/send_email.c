/* SPDX-License-Identifier: Apache-2.0 */

/* The job sendEmail: fill in a template, send it by SMTP, and give the message id as the result.
 *
 *     NATS_URL=nats://127.0.0.1:4222 send_email
 *
 * The mail server is a sink of the example's own (support/smtp_sink.c) that prints what it takes.
 * Whether a mail that could not be sent is worth another attempt is the server's word: 4xx later,
 * 5xx never. */

#include <curl/curl.h>
#include <jansson.h>
#include <jetjobs/jetjobs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/jobs.h"
#include "support/mail.h"
#include "support/smtp_sink.h"
#include "support/template.h"

static const struct template
{
    const char *name, *body;
}
templates[] = {
    {"welcome", "Hi {name},\r\n\r\nthanks for signing up!"},
    {"reset", "Hi {name},\r\n\r\nyour code is {code}."},
};

static const char *find_template(const char *name)
{
    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
        if (strcmp(templates[i].name, name) == 0)
            return templates[i].body;
    return NULL;
}

static jj_verdict deliver(jj_attempt *attempt, const struct mail *mail)
{
    char reason[256];

    switch (mail_send(mail, reason, sizeof(reason))) {
    case MAIL_SENT:
        return job_done(attempt, json_pack("{s:s}", "messageId", mail->message_id));
    case MAIL_LATER:
        return jj_retry(attempt, "%s: %s", mail->to, reason);
    default:
        return jj_fail(attempt, "%s: %s", mail->to, reason);
    }
}

static jj_verdict send_email(jj_attempt *attempt, void *server)
{
    char body[4096], message_id[JJ_NAME_SIZE + 16];
    struct mail mail = {.server = server, .from = "shop@example.org", .body = body};
    const char *template = NULL;
    json_t *data = job_data(attempt);
    jj_verdict verdict;

    /* Made of the job's id, so that a mail which is sent twice is known as one. */
    snprintf(message_id, sizeof(message_id), "%s@example.org", jj_attempt_id(attempt));
    mail.message_id = message_id;
    if (json_unpack(data, "{s:s, s:s, s:s}", "to", &mail.to, "subject", &mail.subject, "template",
                    &template) != 0)
        verdict = jj_fail(attempt, "data has no to, subject or template");
    else if (find_template(template) == NULL)
        verdict = jj_fail(attempt, "there is no template '%s'", template);
    else if (!template_render(find_template(template), data, body, sizeof(body)))
        verdict = jj_fail(attempt, "template '%s' needs what data has not", template);
    else
        verdict = deliver(attempt, &mail);
    json_decref(data);
    return verdict;
}

/* Enqueue a mail, and see what becomes of it. */
static jj_status welcome(jj_client *client, const char *to, const char *template, jj_error *err)
{
    const jj_spec spec = {.name = "sendEmail"};
    jj_receipt receipt;

    jj_status s = job_enqueue(client, &spec,
                              json_pack("{s:s, s:s, s:s, s:s}", "to", to, "subject", "Welcome!",
                                        "template", template, "name", "Ada"),
                              &receipt, err);
    if (s == JJ_OK)
        s = job_print_end(client, receipt.id, err);
    return s;
}

int main(void)
{
    const jj_options options = {.url = getenv("NATS_URL"), .adapter = &jj_adapter_memory};
    const jj_handler_options handling = {.timeout_ms = 15000};
    jj_client *client = NULL;
    jj_error err = {.text = "can't start the mail server"};
    jj_status s = JJ_ERR_UNAVAILABLE;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct smtp_sink *sink = smtp_sink_start();
    if (sink != NULL)
        s = jj_open(&options, &client, &err);
    if (s == JJ_OK)
        s = jj_register(client, "sendEmail", send_email, &handling, (void *)smtp_sink_url(sink),
                        &err);
    if (s == JJ_OK)
        s = jj_start(client, &err);
    if (s == JJ_OK)
        s = welcome(client, "ada@example.org", "welcome", &err);
    if (s == JJ_OK)
        s = welcome(client, "busy@example.org", "welcome", &err);
    if (s == JJ_OK)
        s = welcome(client, "nobody@example.org", "welcome", &err);
    if (s == JJ_OK)
        s = welcome(client, "ada@example.org", "reset", &err); /* it needs a code */
    if (s != JJ_OK)
        fprintf(stderr, "send_email: %s\n", err.text);
    jj_close(client);
    smtp_sink_stop(sink);
    curl_global_cleanup();
    return s == JJ_OK ? 0 : 1;
}
