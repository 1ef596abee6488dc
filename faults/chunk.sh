#!/bin/sh
# The command of the bench's chunks: NOTES START SECONDS HOW SOURCE OUTPUT. It copies frames that were rendered
# beforehand, and leaves a note of each execution, which nothing of the project reads or writes.
notes=$1 start=$2 seconds=$3 how=$4 source=$5 output=$6
: > "$notes/$start.$$.begun"
set -- "$notes/$start".*.begun
case $how in
fail:*) if [ $# -le "${how#fail:}" ]; then echo "not yet" >&2; exit 3; fi ;;
lie:*) if [ $# -le "${how#lie:}" ]; then cp "$source.short" "$output"; exit 0; fi ;;
# A slow chunk waits, for a minute at most: for its own end (0), until it runs twice and both go on at the same moment
# (1), or until its second execution was killed (2).
slow:0) if [ $# -le 1 ]; then sleep 60; fi ;;
slow:1) tries=0
    while [ $# -le 1 ] && [ $((tries += 1)) -le 600 ]; do sleep 0.1; set -- "$notes/$start".*.begun; done ;;
slow:2) tries=0
    if [ $# -eq 2 ] && mkdir "$notes/$start.died" 2>/dev/null; then kill -9 $$; fi
    while [ $# -le 1 ] && [ ! -e "$notes/$start.died" ] && [ $((tries += 1)) -le 600 ]; do sleep 0.1; done ;;
deaf) trap '' TERM ;;
esac
sleep "$seconds"
cp "$source" "$output" || exit 4
: > "$notes/$start.$$.ended"
