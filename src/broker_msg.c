/* SPDX-License-Identifier: Apache-2.0 */

/* Messages: reading those that came in, making those that go out. A broker_msg is a natsMsg. */

#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "broker_nats.h"
#include "subject.h"

static natsMsg *nats_of(struct broker_msg *msg)
{
    return (natsMsg *)msg;
}

static const natsMsg *const_nats_of(const struct broker_msg *msg)
{
    return (const natsMsg *)msg;
}

const char *jj__msg_subject(const struct broker_msg *msg)
{
    return natsMsg_GetSubject(const_nats_of(msg));
}

const char *jj__msg_reply(const struct broker_msg *msg)
{
    return natsMsg_GetReply(const_nats_of(msg));
}

const void *jj__msg_data(const struct broker_msg *msg)
{
    return natsMsg_GetData(const_nats_of(msg));
}

size_t jj__msg_len(const struct broker_msg *msg)
{
    int len = natsMsg_GetDataLength(const_nats_of(msg));
    return len < 0 ? 0 : (size_t)len;
}

/* ---- the end of messages ----
 *
 * The library hands a destroyed message to a thread of its own, and wakes it for each one that
 * finds it asleep. So the broker thread, through which all messages go, destroys them many at once
 * at the end of its turn: it spares both threads most of that. */

#define TRASH_MESSAGES 256
#define TRASH_BYTES    ((size_t)256 * 1024)

struct trash {
    natsMsg *msgs[TRASH_MESSAGES];
    size_t count;
    size_t bytes;
};
static _Thread_local struct trash *trash; /* NULL: destroyed at once */

void jj__trash_open(void)
{
    trash = calloc(1, sizeof(*trash));
}

void jj__trash_empty(void)
{
    if (trash == NULL)
        return;
    for (size_t i = 0; i < trash->count; i++)
        natsMsg_Destroy(trash->msgs[i]);
    trash->count = trash->bytes = 0;
}

void jj__trash_close(void)
{
    jj__trash_empty();
    free(trash);
    trash = NULL;
}

void jj__trash_put(natsMsg *msg)
{
    if (msg == NULL)
        return;
    if (trash == NULL) {
        natsMsg_Destroy(msg);
        return;
    }
    trash->msgs[trash->count++] = msg;
    trash->bytes += (size_t)natsMsg_GetDataLength(msg);
    if (trash->count == TRASH_MESSAGES || trash->bytes > TRASH_BYTES)
        jj__trash_empty();
}

void jj__msg_free(struct broker_msg *msg)
{
    jj__trash_put(nats_of(msg));
}

/* ---- what came in ---- */

const char *jj__msg_header(struct broker_msg *msg, const char *name)
{
    const char *value = NULL;
    return natsMsgHeader_Get(nats_of(msg), name, &value) == NATS_OK ? value : NULL;
}

/* A stored message may have a header of that name: one that was got directly tells its place. */
int jj__msg_status(struct broker_msg *msg)
{
    if (jj__msg_len(msg) > 0 || jj__msg_header(msg, "Nats-Sequence") != NULL)
        return 0;
    const char *text = jj__msg_header(msg, "Status");
    return text == NULL ? 0 : (int)strtol(text, NULL, 10);
}

struct header_list {
    jj_header *headers; /* values are the message's, the array is ours */
    size_t count;
    size_t room;
};

static bool make_room(struct header_list *list, size_t more)
{
    if (list->count + more <= list->room)
        return true;
    jj_header *grown = realloc(list->headers, (list->count + more) * sizeof(*grown));
    if (grown == NULL)
        return false;
    list->headers = grown;
    list->room = list->count + more;
    return true;
}

static natsStatus add(struct header_list *list, const char *name, const char *value)
{
    if (!make_room(list, 1))
        return NATS_NO_MEMORY;
    list->headers[list->count++] = (jj_header){.name = name, .value = value};
    return NATS_OK;
}

/* Of these the first one counts; and to ask for it takes no memory. */
static bool counts_once(const char *name)
{
    return strncmp(name, "Job-", 4) == 0 || strncmp(name, "Nats-", 5) == 0;
}

static natsStatus add_first_value(natsMsg *msg, const char *name, struct header_list *list)
{
    const char *value = NULL;
    natsStatus s = natsMsgHeader_Get(msg, name, &value);

    if (s != NATS_OK)
        return s == NATS_NOT_FOUND ? NATS_OK : s;
    return add(list, name, value);
}

static natsStatus add_values(natsMsg *msg, const char *name, struct header_list *list)
{
    const char **values = NULL;
    int value_count = 0;
    natsStatus s = natsMsgHeader_Values(msg, name, &values, &value_count);

    if (s != NATS_OK)
        return s == NATS_NOT_FOUND ? NATS_OK : s;
    if (!make_room(list, (size_t)value_count))
        s = NATS_NO_MEMORY;
    for (int i = 0; s == NATS_OK && i < value_count; i++)
        list->headers[list->count++] = (jj_header){.name = name, .value = values[i]};
    free((void *)values);
    return s;
}

/* ---- empty values: nats.c before 3.11 takes the line behind one for it, or finds none ---- */

#define READS_EMPTY_VALUES 0x030B00

/* Of lines that are ours or the server's: of others it can't be told from a value. */
static natsStatus part_lines(struct header_list *list)
{
    size_t count = list->count;
    natsStatus s = NATS_OK;

    for (size_t i = 0; s == NATS_OK && i < count; i++) {
        const char *line = list->headers[i].value;
        const char *name = jj__header_known(line, strcspn(line, ":"));
        if (name == NULL || line[strlen(name)] != ':')
            continue;
        const char *value = line + strlen(name) + 1;
        list->headers[i].value = "";
        s = add(list, name, value + strspn(value, " "));
    }
    return s;
}

/* After NATS_PROTOCOL_ERROR: false if it was not a last header without a value. name_out: if that
 * is one of ours. */
static bool is_empty_last(const char **name_out)
{
    static const char complaint[] = "no value found for key ";
    const char *text = nats_GetLastError(NULL);
    const char *found = text == NULL ? NULL : strstr(text, complaint);

    if (found == NULL)
        return false;
    found += sizeof(complaint) - 1;
    *name_out = jj__header_known(found, strlen(found));
    return true;
}

/* The names before an empty last one are there when they are asked for again. */
static natsStatus get_names(natsMsg *msg, const char ***names_out, int *count_out,
                            struct header_list *list)
{
    const char *empty = NULL;
    natsStatus s = natsMsgHeader_Keys(msg, names_out, count_out);

    if (s == NATS_PROTOCOL_ERROR && is_empty_last(&empty))
        s = natsMsgHeader_Keys(msg, names_out, count_out);
    if (s == NATS_NOT_FOUND)
        s = NATS_OK;
    if (s == NATS_OK && *count_out > 0 && !make_room(list, (size_t)*count_out + 1))
        s = NATS_NO_MEMORY;
    return s == NATS_OK && empty != NULL ? add(list, empty, "") : s;
}

jj_status jj__msg_headers(struct broker_msg *msg, jj_header **headers_out, size_t *count_out,
                          jj_error *err)
{
    const char **names = NULL;
    int name_count = 0;
    struct header_list list = {0};
    natsStatus s = get_names(nats_of(msg), &names, &name_count, &list);

    for (int i = 0; s == NATS_OK && i < name_count; i++)
        s = counts_once(names[i]) ? add_first_value(nats_of(msg), names[i], &list)
                                  : add_values(nats_of(msg), names[i], &list);
    free((void *)names);
    if (s == NATS_OK && nats_GetVersionNumber() < READS_EMPTY_VALUES)
        s = part_lines(&list);
    if (s != NATS_OK) {
        free(list.headers);
        return jj__fail_nats(err, s, "message headers");
    }
    *headers_out = list.headers;
    *count_out = list.count;
    return JJ_OK;
}

static bool is_subject(const char *text)
{
    return text[0] != '\0' && strpbrk(text, " \t\r\n") == NULL;
}

/* The library checks neither subjects nor header names: line ends would inject protocol. */
static bool breaks_protocol(const struct outgoing *message)
{
    if (!is_subject(message->subject) || (message->reply != NULL && !is_subject(message->reply)))
        return true;
    for (size_t i = 0; i < message->header_count; i++) {
        const jj_header *header = &message->headers[i];
        if (header->name[0] == '\0' || strpbrk(header->name, ": \t\r\n") != NULL ||
            strpbrk(header->value, "\r\n") != NULL)
            return true;
    }
    return false;
}

jj_status jj__broker_make(const struct outgoing *message, const char *reply, natsMsg **msg_out,
                          jj_error *err)
{
    natsMsg *msg = NULL;

    if (breaks_protocol(message))
        return jj__fail(err, JJ_ERR_INVALID, "subject or header has a character NATS reserves: %s",
                        message->subject);
    if (message->len > INT32_MAX)
        return jj__fail(err, JJ_ERR_TOO_LARGE, "message of %zu bytes", message->len);
    natsStatus s = natsMsg_Create(&msg, message->subject, reply, message->data, (int)message->len);
    for (size_t i = 0; s == NATS_OK && i < message->header_count; i++)
        s = natsMsgHeader_Add(msg, message->headers[i].name, message->headers[i].value);
    if (s != NATS_OK) {
        natsMsg_Destroy(msg);
        return jj__fail_nats(err, s, "message");
    }
    *msg_out = msg;
    return JJ_OK;
}

bool jj__broker_send(struct broker *broker, const struct outgoing *message)
{
    natsMsg *msg = NULL;
    natsStatus s;

    if (broker->nc == NULL)
        return false;
    if (message->header_count > 0 || message->len > INT32_MAX || breaks_protocol(message)) {
        if (jj__broker_make(message, message->reply, &msg, NULL) != JJ_OK)
            return false;
        s = natsConnection_PublishMsg(broker->nc, msg);
        jj__trash_put(msg);
        return s == NATS_OK;
    }
    if (message->reply != NULL)
        s = natsConnection_PublishRequest(broker->nc, message->subject, message->reply,
                                          message->data, (int)message->len);
    else
        s = natsConnection_Publish(broker->nc, message->subject, message->data, (int)message->len);
    return s == NATS_OK;
}
