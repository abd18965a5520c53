#!/usr/bin/env bash
# Kafka's own console tools against a running broker: create, produce, read by a group, describe.
#   BOOTSTRAP=HOST:PORT java-tools.sh first|again     "again" runs after the broker was restarted on the same data.
#   java-tools.sh probe                               succeeds where it can run
# Kafka's jars are looked for in libs/ below $OTTLA_KAFKA_PEER (~/.cache/kafka-4.3.1).
set -euo pipefail
topic=smoke-java group=smoke-java-group
libs=${OTTLA_KAFKA_PEER:-$HOME/.cache/kafka-4.3.1}/libs
tool() {
  local class
  case $1 in
    kafka-topics.sh) class=org.apache.kafka.tools.TopicCommand ;;
    kafka-console-producer.sh) class=org.apache.kafka.tools.ConsoleProducer ;;
    kafka-console-consumer.sh) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
    kafka-consumer-groups.sh) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    kafka-configs.sh) class=kafka.admin.ConfigCommand ;;
  esac
  shift
  java -Xmx512m -cp "$libs/*" "$class" "$@"
}
fail() { echo "fail java-tools $1: $2" >&2; exit 1; }
case ${1:?first or again} in
  probe) java -version 2> /dev/null && ls "$libs"/kafka-clients-*.jar > /dev/null; exit ;;
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
