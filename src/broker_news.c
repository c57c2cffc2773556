/* SPDX-License-Identifier: Apache-2.0 */

/* What the server says on its own account, and the client library of a connection.
 *
 * The library tells it on a thread that it has for all connections of the process, perhaps when we
 * are gone: so its callbacks know a struct news only, which the broker and each connection hold
 * until they are through with it. What was said is dealt with on the broker thread. */

#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "broker_nats.h"

struct news {
    pthread_mutex_t lock;
    struct broker *broker; /* guarded by lock; NULL: closed */
    unsigned users;        /* guarded by lock */
};

struct complaint {
    struct complaint *next;
    bool denied; /* it is about permissions */
    char text[];
};

jj_status jj__news_open(struct broker *broker, jj_error *err)
{
    broker->news = calloc(1, sizeof(*broker->news));
    if (broker->news == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "broker");
    pthread_mutex_init(&broker->news->lock, NULL);
    broker->news->broker = broker;
    broker->news->users = 1;
    return JJ_OK;
}

void jj__news_hold(struct news *news)
{
    pthread_mutex_lock(&news->lock);
    news->users++;
    pthread_mutex_unlock(&news->lock);
}

void jj__news_release(struct news *news)
{
    pthread_mutex_lock(&news->lock);
    bool last = --news->users == 0;
    pthread_mutex_unlock(&news->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&news->lock);
    free(news);
}

static void add_complaint(struct broker *broker, bool denied, const char *text)
{
    struct complaint *complaint = calloc(1, sizeof(*complaint) + strlen(text) + 1);

    if (complaint == NULL)
        return; /* whoever waits for an answer has a deadline */
    complaint->denied = denied;
    memcpy(complaint->text, text, strlen(text) + 1);
    pthread_mutex_lock(&broker->lock);
    *broker->complaints_end = complaint;
    broker->complaints_end = &complaint->next;
    pthread_mutex_unlock(&broker->lock);
    jj__broker_wake(broker);
}

/* Thread: the library's, as for the next one. */
void jj__news_on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *ctx)
{
    struct news *news = ctx;

    (void)nc;
    (void)sub;
    pthread_mutex_lock(&news->lock);
    if (news->broker != NULL)
        add_complaint(news->broker, status == NATS_NOT_PERMITTED, jj__broker_last_error(status));
    pthread_mutex_unlock(&news->lock);
}

/* The last thing that is told of a connection. */
void jj__news_on_closed(natsConnection *nc, void *ctx)
{
    (void)nc;
    jj__news_release(ctx);
}

/* Members that are told this do not come or go by it. */
static bool tell_members(const struct broker *broker, const char *text)
{
    bool told = false;

    for (struct broker_member *member = broker->members; member != NULL; member = member->next)
        if (member->denied != NULL)
            told |= member->denied(member->ctx, text);
    return told;
}

static struct complaint *next_complaint(struct broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    struct complaint *complaint = broker->complaints;
    if (complaint != NULL)
        broker->complaints = complaint->next;
    if (broker->complaints == NULL)
        broker->complaints_end = &broker->complaints;
    pthread_mutex_unlock(&broker->lock);
    return complaint;
}

void jj__news_take(struct broker *broker)
{
    struct complaint *complaint;

    while ((complaint = next_complaint(broker)) != NULL) {
        bool told = complaint->denied && jj__publisher_denied(broker, complaint->text);
        told |= complaint->denied && jj__request_denied(broker, complaint->text);
        told |= complaint->denied && tell_members(broker, complaint->text);
        jj__log(&broker->log, told ? JJ_LOG_DEBUG : JJ_LOG_WARN, "broker says: %s",
                complaint->text);
        free(complaint);
    }
}

void jj__news_close(struct broker *broker)
{
    struct complaint *complaint;

    if (broker->news == NULL)
        return;
    pthread_mutex_lock(&broker->news->lock);
    broker->news->broker = NULL; /* from now on nothing is added */
    pthread_mutex_unlock(&broker->news->lock);
    jj__news_release(broker->news);
    broker->news = NULL;
    while ((complaint = next_complaint(broker)) != NULL)
        free(complaint);
}
