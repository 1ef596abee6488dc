#!/bin/sh
# The command of the bench's chunks: NOTES START SECONDS HOW SOURCE OUTPUT. It copies frames that were rendered
# beforehand, and leaves a note of each execution, which nothing of the project reads or writes.
notes=$1 start=$2 seconds=$3 how=$4 source=$5 output=$6
: > "$notes/$start.$$.begun"
set -- "$notes/$start".*.begun
case $how in
fail:*) if [ $# -le "${how#fail:}" ]; then echo "not yet" >&2; exit 3; fi ;;
lie:*) if [ $# -le "${how#lie:}" ]; then cp "$source.short" "$output"; exit 0; fi ;;
deaf) trap '' TERM ;;
esac
sleep "$seconds"
cp "$source" "$output" || exit 4
: > "$notes/$start.$$.ended"
