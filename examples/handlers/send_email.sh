#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A handler in sh: pretends to send the mail that is its job's data, {"to":"..","subject":".."}.
#
# What it prints is the job's result, what it writes to standard error are log lines, and to
# descriptor 3 go progress and events. It may run twice for one job: $JOB_ID is the key to notice.
set -eu

to=$(sed -n 's/.*"to" *: *"\([^"]*\)".*/\1/p')
case $to in
*@*) ;;
*)
    echo "no address in the data" >&2
    exit 100 # failed for good: it will be no better next time
    ;;
esac

echo "attempt $JOB_ATTEMPT of $JOB_MAX_ATTEMPTS" >&2
echo '{"progress":50,"message":"connected"}' >&3
# Here the mail would go out; any status but 0 and 100 has the job tried again.
echo '{"event":"sent","data":{"messageId":"'"$JOB_ID"'"}}' >&3
echo '{"messageId":"'"$JOB_ID"'"}'
