/* SPDX-License-Identifier: Apache-2.0 */

/* One screen of text, whose commands can be pasted into a shell. */

#include "up_text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,@%+="

void up_text_quote(const char *text, char out[UP_WORD_SIZE])
{
    size_t len = 0;

    if (text[0] != '\0' && text[strspn(text, PLAIN)] == '\0') {
        snprintf(out, UP_WORD_SIZE, "%s", text);
        return;
    }
    out[len++] = '\'';
    for (; *text != '\0' && len < UP_WORD_SIZE - 8; text++) {
        if (*text == '\'')
            len += (size_t)snprintf(out + len, UP_WORD_SIZE - len, "'\\''");
        else
            out[len++] = *text;
    }
    out[len++] = '\'';
    out[len] = '\0';
}

/* Is what PATH finds as "jetjobs" the file that runs? */
static bool on_path(const struct stat *self)
{
    const char *folder = getenv("PATH");

    while (folder != NULL) {
        char path[4096];
        struct stat found;
        size_t len = strcspn(folder, ":");
        snprintf(path, sizeof(path), "%.*s/jetjobs", (int)len, folder);
        if (len > 0 && access(path, X_OK) == 0 && stat(path, &found) == 0)
            return found.st_dev == self->st_dev && found.st_ino == self->st_ino;
        folder = folder[len] == ':' ? folder + len + 1 : NULL;
    }
    return false;
}

void up_text_program(char out[UP_WORD_SIZE])
{
    char path[4096];
    struct stat self;
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (len <= 0 || stat("/proc/self/exe", &self) != 0 || on_path(&self)) {
        snprintf(out, UP_WORD_SIZE, "jetjobs");
        return;
    }
    path[len] = '\0';
    up_text_quote(path, out);
}

static void write_commands(FILE *out, const struct up_text *text)
{
    char config[UP_WORD_SIZE] = "";
    char word[UP_WORD_SIZE];

    if (text->export_url) {
        up_text_quote(text->url, word);
        fprintf(out, "    export NATS_URL=%s\n", word);
    }
    if (text->config != NULL) {
        up_text_quote(text->config, word);
        snprintf(config, sizeof(config), " --config %.4000s", word);
    }
    fprintf(out, "    %s%s enqueue %s '{\"to\":\"world\"}'%s\n", text->program, config, text->job,
            text->names[0] == '\0' ? "" : " --wait");
    fprintf(out, "    %s%s list %s\n", text->program, config, text->job);
    fprintf(out, "    %s%s stats\n", text->program, config);
}

void up_text_write(FILE *out, const struct up_text *text)
{
    fprintf(out, "\njetjobs is up:\n\n");
    fprintf(out, "    broker    %s  (%s)\n", text->url,
            text->server == NULL ? "was running" : text->server);
    if (text->dir != NULL)
        fprintf(out, "    data      %s\n", text->dir);
    fprintf(out, "    index     %s\n", text->index);
    fprintf(out, "    handlers  %s\n",
            text->names[0] == '\0' ? "none: jobs are kept for a worker that has them"
                                   : text->names);
    if (text->unused_config != NULL)
        fprintf(out, "              those of %s: %s --config %s up\n", text->unused_config,
                text->program, text->unused_config);
    fprintf(out, "\nTry in another terminal:\n\n");
    write_commands(out, text);
    fprintf(out, "\nCtrl-C ends it.\n\n");
    fflush(out);
}
