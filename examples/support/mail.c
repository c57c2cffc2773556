/* SPDX-License-Identifier: Apache-2.0 */
#include "mail.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#define MAIL_SIZE  8192
#define TIMEOUT_MS 10000L

/* What is left of the message. */
struct cursor {
    const char *at;
};

static size_t read_message(char *out, size_t size, size_t count, void *user)
{
    struct cursor *cursor = user;
    size_t len = strlen(cursor->at);
    size_t taken = len < size * count ? len : size * count;

    memcpy(out, cursor->at, taken);
    cursor->at += taken;
    return taken;
}

static bool is_one_line(const char *text)
{
    return strpbrk(text, "\r\n") == NULL;
}

/* Is it one address, and nothing that SMTP would take for more? */
static bool is_address(const char *text)
{
    return strchr(text, '@') != NULL && strpbrk(text, " <>,;\t\r\n") == NULL;
}

static enum mail_outcome post(CURL *curl, const struct mail *mail, const char *text, char *reason,
                              size_t reason_size)
{
    struct curl_slist *to = curl_slist_append(NULL, mail->to);
    struct cursor cursor = {.at = text};
    long code = 0;

    curl_easy_setopt(curl, CURLOPT_URL, mail->server);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, mail->from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_message);
    curl_easy_setopt(curl, CURLOPT_READDATA, &cursor);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* this is one thread of several */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    CURLcode error = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    curl_slist_free_all(to);

    if (error == CURLE_OK)
        return MAIL_SENT;
    if (code >= 400)
        snprintf(reason, reason_size, "the mail server answered %ld", code);
    else
        snprintf(reason, reason_size, "%s", curl_easy_strerror(error));
    return code >= 500 ? MAIL_REFUSED : MAIL_LATER;
}

enum mail_outcome mail_send(const struct mail *mail, char *reason, size_t reason_size)
{
    char text[MAIL_SIZE];

    if (!is_address(mail->to) || !is_one_line(mail->subject)) {
        snprintf(reason, reason_size, "to is not an address, or the subject has a line end");
        return MAIL_REFUSED;
    }
    int len = snprintf(text, sizeof(text),
                       "From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s>\r\n\r\n%s\r\n",
                       mail->from, mail->to, mail->subject, mail->message_id, mail->body);
    CURL *curl = curl_easy_init();
    enum mail_outcome outcome = MAIL_LATER;

    snprintf(reason, reason_size, "no memory");
    if (len >= (int)sizeof(text)) {
        snprintf(reason, reason_size, "the mail is longer than %d bytes", MAIL_SIZE);
        outcome = MAIL_REFUSED;
    } else if (curl != NULL) {
        outcome = post(curl, mail, text, reason, reason_size);
    }
    curl_easy_cleanup(curl);
    return outcome;
}
