#!/usr/bin/env bash
# Kafka's own console tools against a running broker: create, produce, read by a group, describe.
#   BOOTSTRAP=HOST:PORT KAFKA_TOOL="command that runs a tool by its script name" java-tools.sh first|again
set -euo pipefail
topic=smoke-java group=smoke-java-group
tool() { $KAFKA_TOOL "$@"; }
fail() { echo "fail java-tools $1: $2" >&2; exit 1; }
case ${1:?first or again} in
  first)
    from=1 to=100
    out=$(tool kafka-topics.sh --create --topic "$topic" --partitions 3 --replication-factor 1 --bootstrap-server "$BOOTSTRAP")
    [ "$out" = "Created topic $topic." ] || fail create "$out" ;;
  again) from=101 to=200 ;;
  *) echo "java-tools.sh: first or again" >&2; exit 2 ;;
esac
for i in $(seq "$from" "$to"); do echo "key-$i:value-$i"; done |
  tool kafka-console-producer.sh --topic "$topic" --bootstrap-server "$BOOTSTRAP" --reader-property parse.key=true --reader-property key.separator=:
got=$(tool kafka-console-consumer.sh --topic "$topic" --from-beginning --group "$group" --max-messages 100 --timeout-ms 60000 \
  --bootstrap-server "$BOOTSTRAP" --formatter-property print.key=true --formatter-property key.separator=: 2>/dev/null | sort -t- -k2n)
want=$(for i in $(seq "$from" "$to"); do echo "key-$i:value-$i"; done | sort -t- -k2n)
[ "$got" = "$want" ] || fail consume "got $(wc -l <<<"$got") lines: $(head -3 <<<"$got")"
tool kafka-topics.sh --describe --topic "$topic" --bootstrap-server "$BOOTSTRAP" | grep -q "PartitionCount: 3" || fail describe "no three partitions"
lag=$(tool kafka-consumer-groups.sh --describe --group "$group" --bootstrap-server "$BOOTSTRAP" 2>/dev/null |
  awk -v t="$topic" '$2 == t { sum += $6; ends += $5 } END { print ends "/" sum }')
[ "$lag" = "$to/0" ] || fail lag "ends/lag is $lag, wanted $to/0"
tool kafka-configs.sh --bootstrap-server "$BOOTSTRAP" --alter --entity-type topics --entity-name "$topic" --add-config retention.ms=86400000 |
  grep -q "Completed updating config for topic $topic." || fail alter "no success line"
echo "pass java-tools $1"
