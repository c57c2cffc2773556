# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# A NATS client in bash, to be sourced: as much of one as it takes to talk to jetjobs, and the proof
# that any client will do. No TLS, no passwords; a real one reconnects, too.
#
#     nats_connect 127.0.0.1:4222
#     nats_subscribe job.greet.completed [QUEUE]; nats_next   -> msg_subject msg_headers msg_data ...
#     nats_publish SUBJECT REPLY DATA [HEADER...]             HEADER is "Name: value"
#     nats_request SUBJECT DATA [HEADER...]                   -> msg_data is the answer
#
# Bash can't hold bytes that are zero: the bytes of a message are in the file $nats_payload, in the
# folder $nats_dir, which is yours to remove.

export LC_ALL=C # lengths are in bytes
nats_sid=0
nats_dir=$(mktemp -d)

nats_connect() {
    exec {nats}<>"/dev/tcp/${1%:*}/${1##*:}"
    nats_payload=$(mktemp -p "$nats_dir")
    nats_inbox=_INBOX.$$-$RANDOM$RANDOM
    read -r -u "$nats" _ # INFO {...}
    printf 'CONNECT {"verbose":false,"headers":true,"no_responders":true,"lang":"bash"}\r\n' >&"$nats"
    nats_subscribe "$nats_inbox"
    nats_answers=$nats_sid
}

nats_subscribe() {
    nats_sid=$((nats_sid + 1))
    printf 'SUB %s%s %d\r\n' "$1" "${2:+ $2}" "$nats_sid" >&"$nats"
}

# Wait until the server has read all of this.
nats_flush() {
    local line=

    printf 'PING\r\n' >&"$nats"
    until [[ $line == PONG* ]]; do
        read -r -u "$nats" line
    done
}

nats_publish() {
    local subject=$1 reply=$2 data=$3 block=

    shift 3
    if [ $# -gt 0 ]; then
        block=$(printf '%s\r\n' NATS/1.0 "$@")$'\n\r\n'
        printf 'HPUB %s %s %d %d\r\n%s%s\r\n' "$subject" "$reply" "${#block}" \
            $((${#block} + ${#data})) "$block" "$data" >&"$nats"
    else
        printf 'PUB %s %s %d\r\n%s\r\n' "$subject" "$reply" "${#data}" "$data" >&"$nats"
    fi
}

# Take the bytes of a message; $1 of all $2 are headers.
nats_take() {
    head -c "$1" <&"$nats" >"$nats_payload"
    msg_headers=$(tr -d '\r' <"$nats_payload")
    head -c $(($2 - $1)) <&"$nats" >"$nats_payload"
    msg_data=$(tr -d '\0' <"$nats_payload")
    read -r -u "$nats" _
}

# Wait for a message; false: the connection is gone.
nats_next() {
    local line words

    while read -r -u "$nats" line; do
        read -r -a words <<<"${line%$'\r'}"
        case ${words[0]} in
        PING) printf 'PONG\r\n' >&"$nats" ;;
        MSG | HMSG)
            msg_subject=${words[1]}
            msg_sid=${words[2]}
            msg_reply=
            if [ "${words[0]}" = MSG ]; then
                [ ${#words[@]} -lt 5 ] || msg_reply=${words[3]}
                nats_take 0 "${words[-1]}"
            else
                [ ${#words[@]} -lt 6 ] || msg_reply=${words[3]}
                nats_take "${words[-2]}" "${words[-1]}"
            fi
            return 0
            ;;
        -ERR) printf '%s\n' "$line" >&2 ;;
        esac
    done
    return 1
}

# The value of a header of the message that came last.
nats_header() {
    sed -n "s/^$1: *//p" <<<"$msg_headers" | head -n 1
}

# Ask, and wait for the answer. What comes on other subscriptions meanwhile is not kept.
nats_request() {
    local subject=$1 data=$2

    shift 2
    nats_publish "$subject" "$nats_inbox" "$data" "$@"
    while nats_next && [ "$msg_sid" != "$nats_answers" ]; do
        :
    done
}
