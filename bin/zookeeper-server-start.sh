#!/bin/sh
echo "No ZooKeeper is needed: a node keeps the metadata of the cluster itself. Go on with:"
echo "  bin/kafka-server-start.sh config/server.properties"
