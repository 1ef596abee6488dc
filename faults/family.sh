#!/bin/sh
# A command that is hard to end: NOTES. It has a child, one with a session of its own, one of that kind whose parent has
# died, and one that does not heed SIGTERM; and waits.
: > "$1/$$.begun"
sleep 600 &
setsid sleep 600 &
(setsid sleep 600 &)
sh -c 'trap "" TERM; while :; do sleep 600; done' &
if [ $(($$ % 2)) = 0 ]; then trap '' TERM; fi
while :; do wait; sleep 600; done
