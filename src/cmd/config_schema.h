/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_CONFIG_SCHEMA_H
#define JJ_CMD_CONFIG_SCHEMA_H

/* The one list of all keys that a configuration file may have, and what libcyaml makes of them:
 * sections and text, with NULL for what the file does not say. What the text means is read
 * afterwards (config.c), so that each error can say what is allowed. */

#include <cyaml/cyaml.h>

struct file_backoff {
    char *initial;
    char *max;
};

struct file_tls {
    char *ca;
    char *cert;
    char *key;
};

struct file_nats {
    char *url;
    char *creds;
    char *nkey;
    char *inbox_prefix;
    char *only_name;
    struct file_tls *tls;
};

struct file_worker {
    char *concurrency;
    char *poll_interval;
    char *max_attempts;
    char *ack_wait;
    char *shutdown_grace;
    char *max_lost;
    struct file_backoff *backoff;
};

struct file_index {
    char *path;
    char *history;
    char *history_bytes;
};

struct file_streams {
    char *replicas;
    char *max_bytes;
};

struct file_log {
    char *level;
    char *format;
};

/* Of each process of an exec handler. */
struct file_limits {
    char *memory;
    char *cpu;
    char *open_files;
    char *processes;
    char *file_size;
};

struct file_handler {
    char *name;
    char **exec;
    unsigned exec_count;
    char *dir;
    char **env;
    unsigned env_count;
    char *user;
    struct file_limits *limits;
    char *request;
    char *plugin;
    char *concurrency;
    char *fleet_concurrency;
    char *timeout;
    char *max_attempts;
    struct file_backoff *backoff;
};

struct file {
    struct file_nats *nats;
    struct file_worker *worker;
    struct file_index *index;
    struct file_streams *streams;
    struct file_log *log;
    struct file_handler *handlers;
    unsigned handlers_count;
};

/* Of a struct file. */
extern const cyaml_schema_value_t config_schema;

#endif
