/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_STATUS_H
#define JETJOBS_STATUS_H

/** @file
 *  How calls say what went wrong: a status to act on and, beside it, a text to read. */

#if defined(__GNUC__)
#define JJ_API                           __attribute__((visibility("default")))
#define JJ_MUST_CHECK                    __attribute__((warn_unused_result))
#define JJ_PRINTF(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))
#else
#define JJ_API
#define JJ_MUST_CHECK
#define JJ_PRINTF(format_arg, first_arg)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What the caller can do about it; the text of jj_error says the rest. */
typedef enum jj_status {
    JJ_OK = 0,
    JJ_ERR_INVALID,       /**< the call is wrong: fix it */
    JJ_ERR_NOT_FOUND,     /**< no such thing */
    JJ_ERR_EXISTS,        /**< there is one already */
    JJ_ERR_STATE,         /**< not now: the job or the client no longer, or not yet, allows it */
    JJ_ERR_TIMEOUT,       /**< the outcome is unknown: repeat with the same id */
    JJ_ERR_UNAVAILABLE,   /**< nothing was done: try later */
    JJ_ERR_NOT_PERMITTED, /**< the broker does not allow this client to do that */
    JJ_ERR_TOO_LARGE,     /**< above a limit that the text names */
    JJ_ERR_PROTOCOL,      /**< the other side sent what makes no sense, or is too old */
    JJ_ERR_STORAGE,       /**< a disk or a file failed */
    JJ_ERR_NO_MEMORY,     /**< malloc failed; nothing was done */
    JJ_ERR_INTERNAL       /**< a defect of this library */
} jj_status;

/** Room for the text of an error, its NUL included. */
#define JJ_ERROR_TEXT_SIZE 320

/** Filled by the call that fails, untouched by one that does not.
 *
 *  The caller owns it, usually on its stack, and may pass NULL instead. */
typedef struct jj_error {
    jj_status status;
    char text[JJ_ERROR_TEXT_SIZE]; /**< one line, lower case, no full stop, always ended by NUL */
} jj_error;

/** The name of a status, such as "timeout".
 *
 *  @param status  any value
 *  @return a constant string; "unknown" for a value that is not in the list
 *
 *  Threads: any. */
JJ_API const char *jj_status_text(jj_status status);

#ifdef __cplusplus
}
#endif

#endif
