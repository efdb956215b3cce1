#!/bin/sh
# Plays what docs/before-after.cast shows, in the tmux session "mesh": the slow
# stream of the demo mesh with transport = "unary", then, after an edit of
# mesh.toml, with transport = "auto". Run it in the project folder.
#
#   sh bench/picture/before-after.sh
set -eu
dir=$(mktemp -d)
trap 'tmux kill-session -t mesh 2>/dev/null; rm -rf "$dir"' EXIT
go build -o "$dir/mesh" .
mkdir "$dir/demo"
cp -r examples go.mod go.sum "$dir/demo"
sed -e 's/^transport = .*/transport = "unary"/' -e '/^# --- tokens/,$d' mesh.toml > "$dir/demo/mesh.toml"
tmux new-session -d -s mesh -x 96 -y 24 "cd '$dir/demo' && '$dir/mesh' up --isolated"
key() { for k in "$@"; do tmux send-keys -t mesh "$k"; sleep 0.3; done; }
until tmux capture-pane -p -t mesh | grep -q '2/2 ready'; do sleep 0.2; done
key 2 f
until tmux capture-pane -p -t mesh | grep -q 'held in'; do sleep 0.1; done # one has just begun
go run ./bench/picture -record mesh -for 14s > docs/before-after.cast &
recording=$!
sleep 0.6
key Enter 0
until tmux capture-pane -p -t mesh | grep -q 'ended after'; do sleep 0.1; done
sed -i 's/^transport = .*/transport = "auto"/' "$dir/demo/mesh.toml" # before the next one begins
sleep 1
key 2
until tmux capture-pane -p -t mesh | grep -q ' 1 live,'; do sleep 0.1; done
key g Enter
key 0
wait $recording
