/* SPDX-License-Identifier: Apache-2.0 */
/* The table of functions of jj_adapter_sqlite; adapter_sqlite.h tells how they work together. */

#include "adapter_sqlite.h"
#include "doctor.h"

const char *jj__sqlite_version(void)
{
    return sqlite3_libversion();
}

const jj_adapter jj_adapter_sqlite = {
    .version = JJ_ADAPTER_VERSION,
    .name = "sqlite",
    .concurrent_reads = true,
    .open = jj__sqlite_open,
    .close = jj__sqlite_close,
    .set_aside = jj__sqlite_set_aside,
    .begin = jj__sqlite_begin,
    .commit = jj__sqlite_commit,
    .rollback = jj__sqlite_rollback,
    .offsets = jj__sqlite_offsets,
    .create = jj__sqlite_create,
    .get = jj__sqlite_get,
    .update = jj__sqlite_update,
    .remove = jj__sqlite_remove,
    .get_pending = jj__sqlite_get_pending,
    .get_scheduled_ready = jj__sqlite_get_scheduled_ready,
    .get_by_name = jj__sqlite_get_by_name,
    .get_finished = jj__sqlite_get_finished,
    .add_line = jj__sqlite_add_line,
    .get_lines = jj__sqlite_get_lines,
    .get_counts = jj__sqlite_get_counts,
};
