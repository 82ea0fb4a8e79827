#!/bin/sh
# Scores the sample streams with the default settings, shows what was flagged, and compares it with the truth.
# Usage: sh sample_data/demo.sh path/to/clipdetect
set -eu
command=$1
python=$(dirname "$command")/python
here=$(dirname "$0")
scored=$(mktemp)
trap 'rm -f "$scored"' EXIT

run() { # file, then options
    file=$here/$1
    shift
    echo "\$ clipdetect --label label${*:+ $*} --to jsonl $file > scored.jsonl"
    "$command" --quiet --label label "$@" --to jsonl "$file" > "$scored"
    "$python" "$here/show.py" "${2-}" < "$scored"
    echo "\$ clipdetect eval scored.jsonl"
    "$command" eval "$scored" | sed 's/^/  /'
    echo
}

run metrics.csv
run cards.jsonl --by card
run sensors.csv --by sensor
run logins.jsonl --by source
