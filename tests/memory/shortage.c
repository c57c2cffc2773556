/* SPDX-License-Identifier: Apache-2.0 */

#include "shortage.h"

#include <stdatomic.h>
#include <stddef.h>

static atomic_bool begun;
static atomic_int left; /* allocations until it fails */
static atomic_bool for_good;
static atomic_bool of_one_thread;
static atomic_int failures;
static _Thread_local bool is_that_thread;
static _Thread_local bool is_spared;

static bool runs_out(void)
{
    if (is_spared || !atomic_load(&begun) || (atomic_load(&of_one_thread) && !is_that_thread))
        return false;
    int now = atomic_fetch_sub(&left, 1);
    if (now > 0 || (now < 0 && !atomic_load(&for_good)))
        return false;
    atomic_fetch_add(&failures, 1);
    return true;
}

static void begin(int after, enum shortage_kind kind, bool here)
{
    atomic_store(&left, after);
    atomic_store(&for_good, kind == SHORT_FOR_GOOD);
    atomic_store(&failures, 0);
    atomic_store(&of_one_thread, here);
    is_that_thread = here;
    atomic_store(&begun, true);
}

void shortage_begin(int after, enum shortage_kind kind)
{
    begin(after, kind, false);
}

void shortage_begin_here(int after, enum shortage_kind kind)
{
    begin(after, kind, true);
}

bool shortage_end(void)
{
    is_that_thread = false;
    shortage_pause();
    return shortage_failures() > 0;
}

bool shortage_pause(void)
{
    return atomic_exchange(&begun, false);
}

void shortage_resume(bool had_begun)
{
    atomic_store(&begun, had_begun);
}

int shortage_failures(void)
{
    return atomic_load(&failures);
}

void shortage_spare(bool spared)
{
    is_spared = spared;
}

/* ---- what our code calls instead ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

void *__wrap_malloc(size_t size)
{
    return runs_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return runs_out() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return runs_out() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return runs_out() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return runs_out() ? NULL : __real_strndup(text, len);
}
