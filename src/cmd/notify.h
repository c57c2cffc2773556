/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_NOTIFY_H
#define JJ_CMD_NOTIFY_H

/* Tells a service manager how it goes (the protocol of sd_notify(3)), if NOTIFY_SOCKET names one.
 */

#include <stdint.h>

/* Lines as "READY=1". Nothing happens where nobody wants to know. */
void notify_say(const char *lines);

/* How often the service manager wants to hear WATCHDOG=1 to believe that we live, halved to be on
 * the safe side; -1: not at all. */
int64_t notify_watchdog_ms(void);

#endif
