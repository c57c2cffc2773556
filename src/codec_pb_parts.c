/* SPDX-License-Identifier: Apache-2.0 */
/* What the protobuf codecs share: how to parse bytes of strangers, and what of them can be used.
 *
 * protobuf-c checks lengths against the bytes that are left, but it has no other limits: two bytes
 * on the wire may become an entry of a hundred, and a job that is repeated in one message is merged
 * with itself each time, which is quadratic. It allocates from an arena that has a maximum and
 * takes nothing back, so both end early. It checks neither UTF-8 nor meaning: that is done before
 * anyone else sees an entry.
 *
 * Versions before 1.4.1 must not be used: their parser could be made to read and shift too far. */

#include "codec_pb_parts.h"

#include <string.h>

#include "json_write.h"
#include "log.h"
#include "subject.h"
#include "utf8.h"

#define PERCENT_MAX 100

jj_status jj__pb_append(struct buf *out, const ProtobufCMessage *message, const char *what,
                        jj_error *err)
{
    size_t len = protobuf_c_message_get_packed_size(message);

    if (!jj__buf_fits(out, len))
        return jj__fail(err, JJ_ERR_TOO_LARGE, "%s would have %zu bytes", what, out->len + len);
    char *at = jj__buf_reserve(out, len);
    if (at == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "%s of %zu bytes", what, len);
    out->len += protobuf_c_message_pack(message, (uint8_t *)at);
    return JJ_OK;
}

static void *arena_alloc(void *arena, size_t size)
{
    return jj__arena_alloc(arena, size);
}

static void arena_keep(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

ProtobufCMessage *jj__pb_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data,
                                size_t len, struct arena *arena)
{
    ProtobufCAllocator allocator = {
        .alloc = arena_alloc,
        .free = arena_keep,
        .allocator_data = arena,
    };

    return protobuf_c_message_unpack(descriptor, &allocator, len, data);
}

/* What protobuf-c has for an absent text is empty, and constant. */
const char *jj__pb_text(char *text)
{
    if (text[0] == '\0')
        return NULL;
    jj__utf8_mend(text);
    return text;
}

const char *jj__pb_token(const char *text)
{
    return jj__token_valid(text) ? text : NULL;
}

const char *jj__pb_json(const char *text)
{
    return text[0] != '\0' && jj__json_valid(text, strlen(text)) ? text : NULL;
}

jj_log_level jj__pb_level(const char *text)
{
    for (jj_log_level level = JJ_LOG_DEBUG; level <= JJ_LOG_ERROR; level++)
        if (strcmp(text, jj__log_level_text(level)) == 0)
            return level;
    return JJ_LOG_INFO;
}

uint32_t jj__pb_percent(uint32_t percent)
{
    return percent < PERCENT_MAX ? percent : PERCENT_MAX;
}

bool jj__pb_headers(struct arena *arena, const Jetjobs__V1__Job *pb, jj_header **headers_out,
                    size_t *count_out)
{
    jj_header *headers = jj__arena_array(arena, pb->n_headers, sizeof(*headers));
    size_t count = 0;

    if (headers == NULL)
        return false;
    for (size_t i = 0; i < pb->n_headers; i++) {
        ProtobufCBinaryData *bytes = &pb->headers[i]->value;
        const char *name = pb->headers[i]->name;
        const char *value = jj__arena_text(arena, bytes->data, bytes->len);
        if (value == NULL)
            return false;
        if (jj__utf8_valid(name) && jj__header_name_valid(name) && jj__header_value_valid(value) &&
            strlen(value) == bytes->len)
            headers[count++] = (jj_header){name, value};
    }
    *headers_out = headers;
    *count_out = count;
    return true;
}
