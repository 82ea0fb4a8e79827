#!/bin/sh
# Scores the sample streams and logs, shows what was flagged, and compares it with the truth.
# Usage: sh sample_data/demo.sh path/to/clipdetect
set -eu
command=$1
python=$(dirname "$command")/python
here=$(dirname "$0")
scored=$(mktemp)
trap 'rm -f "$scored"' EXIT

run() { # key to show or '', file, then options
    key=$1
    file=$here/$2
    shift 2
    echo "\$ clipdetect --label label${*:+ $*} --to jsonl $file > scored.jsonl"
    "$command" --quiet --label label "$@" --to jsonl "$file" > "$scored"
    "$python" "$here/show.py" "$key" < "$scored"
    echo "\$ clipdetect eval scored.jsonl"
    "$command" eval "$scored" | sed 's/^/  /'
    echo
}

log() { # key to show or '', file, then options
    key=$1
    file=$2
    shift 2
    echo "\$ clipdetect${*:+ $*} -a $here/$file"
    "$command" --quiet "$@" -a "$here/$file" > "$scored"
    "$python" "$here/show.py" --log "$file" "$key" < "$scored"
    echo
}

run '' metrics.csv
run card cards.jsonl --by card
run sensor sensors.csv --by sensor
run source logins.jsonl --by source
run card cards.jsonl --recipe card

log source auth.log --recipe sshd
log remote_addr access.log --recipe access
log remote_addr access.log --recipe traffic
log '' app.log --gap 15m
