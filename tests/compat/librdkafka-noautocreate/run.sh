#!/usr/bin/env bash
# The numbers of librdkafka's suite for a cluster that creates no topic by itself. Options and output: ../librdkafka/run.sh.
set -u
here=$(cd "$(dirname "$0")" && pwd)
export SCENARIO=noautocreate BASELINE=${BASELINE:-$here/kafka-4.3.1.txt}
exec bash "$here/../librdkafka/run.sh" "$@"
