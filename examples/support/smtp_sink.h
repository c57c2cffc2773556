/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLES_SUPPORT_SMTP_SINK_H
#define EXAMPLES_SUPPORT_SMTP_SINK_H

/* A mail server that delivers nothing: it prints what it takes, one line after the other, behind
 * "  | ". It has no room for busy@... the first time (451), and knows no nobody@... (550). */

struct smtp_sink;

struct smtp_sink *smtp_sink_start(void); /* NULL: it can't */
const char *smtp_sink_url(const struct smtp_sink *sink);
void smtp_sink_stop(struct smtp_sink *sink); /* NULL is fine */

#endif
