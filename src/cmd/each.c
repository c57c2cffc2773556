/* SPDX-License-Identifier: Apache-2.0 */

/* Commands that do something to each of several jobs. */

#include "each.h"

#include <string.h>

#include "buf.h"
#include "catch_up.h"
#include "json_write.h"
#include "print.h"

static void print_outcome(const struct program *program, const char *id, const char *done, bool yes)
{
    struct buf json = {0};

    if (!program->json) {
        if (yes) {
            print_text(PRINT_PLAIN, id);
            print_plain("\n");
        }
        return;
    }
    jj__json_add_text(&json, "{\"id\":", id);
    jj__buf_str(&json, ",\"");
    jj__buf_str(&json, done);
    jj__buf_str(&json, yes ? "\":true}" : "\":false}");
    print_json(&json);
}

int each_id(const struct program *program, int argc, char **argv, const char *done,
            jj_status (*act)(jj_client *client, const char *id, jj_error *err))
{
    int first = ENDING_DONE;
    jj_client *client = program_connect(program, program_only_asks, &first);

    if (client == NULL)
        return first;
    for (int i = 1; i < argc; i++) {
        jj_error err = {0};
        jj_status s = act(client, argv[i], &err);
        if (s == JJ_ERR_NOT_FOUND && catch_up(client))
            s = act(client, argv[i], &err);
        if (s == JJ_OK || s == JJ_ERR_STATE)
            print_outcome(program, argv[i], done, s == JJ_OK);
        if (s == JJ_OK)
            continue;
        int ending = program_failed(client, &err);
        if (first == ENDING_DONE)
            first = ending;
        if (s == JJ_ERR_UNAVAILABLE)
            break;
    }
    jj_close(client);
    return first;
}
