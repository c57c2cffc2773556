/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <stdlib.h>

#include "job.h"

static bool add(struct heard *heard, const char *name, const char *value)
{
    jj_header *headers =
        realloc(heard->headers, (heard->header_count + 1) * sizeof(*heard->headers));
    if (headers == NULL)
        return false;
    heard->headers = headers;
    headers[heard->header_count++] = (jj_header){.name = name, .value = value};
    return true;
}

bool heard_read(natsMsg *msg, struct heard *heard)
{
    const char **names = NULL;
    int name_count = 0;
    bool read = true;

    *heard = (struct heard){.subject = natsMsg_GetSubject(msg),
                            .reply = natsMsg_GetReply(msg),
                            .data = natsMsg_GetData(msg),
                            .len = (size_t)natsMsg_GetDataLength(msg)};
    if (natsMsgHeader_Keys(msg, &names, &name_count) != NATS_OK)
        return true; /* it has none */
    for (int i = 0; read && i < name_count; i++) {
        const char **values = NULL;
        int count = 0;
        read = natsMsgHeader_Values(msg, names[i], &values, &count) == NATS_OK;
        for (int at = 0; read && at < count; at++)
            read = add(heard, names[i], values[at] != NULL ? values[at] : "");
        free((void *)values);
    }
    free((void *)names);
    return read;
}

void heard_done(struct heard *heard)
{
    free(heard->headers);
}

const char *heard_header(const struct heard *heard, const char *name)
{
    return jj__header_find(heard->headers, heard->header_count, name);
}
