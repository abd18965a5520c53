#!/bin/sh
. "$(dirname "$(readlink -f "$0")")/find-ottla"
exec "$OTTLA" kafka-leader-election "$@"
