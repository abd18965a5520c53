#!/usr/bin/env bash
# kcat against a running broker: produce, read back, read by a group, list.
#   BOOTSTRAP=HOST:PORT kcat.sh first|again     "again" runs after the broker was restarted on the same data.
set -euo pipefail
topic=smoke-kcat group=smoke-kcat-group
case ${1:?first or again} in
  first) from=1 to=100 ;;
  again) from=101 to=200 ;;
  *) echo "kcat.sh: first or again" >&2; exit 2 ;;
esac
fail() { echo "fail kcat $1: $2" >&2; exit 1; }

for i in $(seq "$from" "$to"); do echo "key-$i:value-$i"; done |
  kcat -b "$BOOTSTRAP" -P -t "$topic" -K: -X enable.idempotence=true -z lz4 -H run=smoke
all=$(timeout 60 kcat -b "$BOOTSTRAP" -C -t "$topic" -o beginning -e -q -K: | sort -t- -k2n | uniq)
want=$(for i in $(seq 1 "$to"); do echo "key-$i:value-$i"; done | sort -t- -k2n)
[ "$all" = "$want" ] || fail read "got $(wc -l <<<"$all") lines, wanted $to"
# The group continues where it left off, also over a restart of the broker.
mine=$(timeout 60 kcat -b "$BOOTSTRAP" -G "$group" -X auto.offset.reset=earliest -c 100 -q -K: "$topic" | wc -l)
[ "$mine" = 100 ] || fail group "got $mine records, wanted 100"
timeout 60 kcat -b "$BOOTSTRAP" -L -t "$topic" | grep -q "topic \"$topic\" with" || fail list "the topic is not listed"
echo "pass kcat $1"
