/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLES_SUPPORT_MAIL_H
#define EXAMPLES_SUPPORT_MAIL_H

/* Send an e-mail by SMTP, with libcurl. curl_global_init() is the caller's. */

#include <stddef.h>

struct mail {
    const char *server; /* smtp://host:port */
    const char *from;
    const char *to; /* checked here: one address, no line ends */
    const char *subject;
    const char *body;
    const char *message_id; /* the same for each attempt: so a reader can drop the second */
};

enum mail_outcome {
    MAIL_SENT,
    MAIL_LATER,  /* the server can't now, or can't be reached */
    MAIL_REFUSED /* for good */
};

/* reason: set unless it was sent. */
enum mail_outcome mail_send(const struct mail *mail, char *reason, size_t reason_size);

#endif
