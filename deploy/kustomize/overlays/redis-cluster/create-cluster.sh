#!/bin/sh
# Makes a cluster of the nodes named as arguments (host:port). Where there is one already, it only
# tells the first node the addresses of the others: needed when all of them have changed at once.
set -eu

address() {                            # a cluster is made of addresses, not of names
  getent ahostsv4 "${1%:*}" | { read -r ip _ && echo "$ip"; }
}

for node in "$@"; do
  until redis-cli -h "${node%:*}" -p "${node#*:}" ping 2>/dev/null | grep -q PONG; do
    echo "waiting for $node"
    sleep 1
  done
done

host=${1%:*}
port=${1#*:}
if redis-cli -h "$host" -p "$port" cluster info | grep -q '^cluster_known_nodes:1[^0-9]*$'; then
  nodes=
  for node in "$@"; do
    nodes="$nodes $(address "$node"):${node#*:}"
  done
  # shellcheck disable=SC2086           # one word per node
  redis-cli --cluster create $nodes --cluster-replicas 1 --cluster-yes
else
  echo "$1 belongs to a cluster already"
  for node in "$@"; do
    redis-cli -h "$host" -p "$port" cluster meet "$(address "$node")" "${node#*:}"
  done
fi

until redis-cli -h "$host" -p "$port" cluster info | grep -q '^cluster_state:ok'; do
  echo "waiting for all slots to be served"
  sleep 1
done
