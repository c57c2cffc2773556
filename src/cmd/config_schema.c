/* SPDX-License-Identifier: Apache-2.0 */

/* All keys of a configuration file. */

#include "config_schema.h"

#define HANDLERS_MAX  1000
#define ARGUMENTS_MAX 1000
#define ENV_MAX       1000

/* Each key may be left out, or have nothing after it; both mean the default. */
#define OPTIONAL (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR)

#define TEXT(type, key)            CYAML_FIELD_STRING_PTR(#key, OPTIONAL, struct type, key, 0, CYAML_UNLIMITED)
#define SECTION(type, key, fields) CYAML_FIELD_MAPPING_PTR(#key, OPTIONAL, struct type, key, fields)
#define LIST(type, key, entry, max)                                                                \
    CYAML_FIELD_SEQUENCE(#key, OPTIONAL, struct type, key, entry, 0, max)

static const cyaml_schema_value_t argument = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};

static const cyaml_schema_field_t tls[] = {
    TEXT(file_tls, ca),
    TEXT(file_tls, cert),
    TEXT(file_tls, key),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t nats[] = {
    TEXT(file_nats, url),
    TEXT(file_nats, creds),
    TEXT(file_nats, nkey),
    TEXT(file_nats, inbox_prefix),
    TEXT(file_nats, only_name),
    SECTION(file_nats, tls, tls),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t backoff[] = {
    TEXT(file_backoff, initial),
    TEXT(file_backoff, max),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t worker[] = {
    TEXT(file_worker, concurrency),         TEXT(file_worker, poll_interval),
    TEXT(file_worker, max_attempts),        TEXT(file_worker, ack_wait),
    TEXT(file_worker, shutdown_grace),      TEXT(file_worker, max_lost),
    SECTION(file_worker, backoff, backoff), CYAML_FIELD_END,
};

static const cyaml_schema_field_t index_keys[] = {
    TEXT(file_index, path),
    TEXT(file_index, history),
    TEXT(file_index, history_bytes),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t streams[] = {
    TEXT(file_streams, replicas),
    TEXT(file_streams, max_bytes),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t log_keys[] = {
    TEXT(file_log, level),
    TEXT(file_log, format),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits[] = {
    TEXT(file_limits, memory),    TEXT(file_limits, cpu),       TEXT(file_limits, open_files),
    TEXT(file_limits, processes), TEXT(file_limits, file_size), CYAML_FIELD_END,
};

static const cyaml_schema_field_t handler[] = {
    TEXT(file_handler, name),
    LIST(file_handler, exec, &argument, ARGUMENTS_MAX),
    TEXT(file_handler, request),
    TEXT(file_handler, plugin),
    TEXT(file_handler, dir),
    LIST(file_handler, env, &argument, ENV_MAX),
    TEXT(file_handler, user),
    SECTION(file_handler, limits, limits),
    TEXT(file_handler, concurrency),
    TEXT(file_handler, fleet_concurrency),
    TEXT(file_handler, timeout),
    TEXT(file_handler, max_attempts),
    SECTION(file_handler, backoff, backoff),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t handler_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_handler, handler)};

static const cyaml_schema_field_t file[] = {
    SECTION(file, nats, nats),
    SECTION(file, worker, worker),
    SECTION(file, index, index_keys),
    SECTION(file, streams, streams),
    SECTION(file, log, log_keys),
    LIST(file, handlers, &handler_entry, HANDLERS_MAX),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, file)};
