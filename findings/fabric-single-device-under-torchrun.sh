#!/usr/bin/env bash
# lightning-fabric 2.6.6 with torch 2.13.0, started by torchrun with two processes, but told devices=1.
# Guess: it refuses a launcher whose number of processes is not devices x nodes.
# Seen: it picks a strategy for one device, which never looks at the launcher. Both processes have a world of one and take
# themselves for the first, so both train the whole run and write the same files, and both exit with 0.
# Versions: lightning-fabric 2.6.6, torch 2.13.0 (CPU), Python 3.11. Seen on 2026-11-29, output:
#   2.6.6 WORLD_SIZE 2 world 1 first True
#   2.6.6 WORLD_SIZE 2 world 1 first True
#   torchrun ended with 0; each of its two processes had a world of one
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 lightning-fabric==2.6.6 numpy
cat > "$folder/run.py" <<'PYTHON'
import os

import lightning_fabric

fabric = lightning_fabric.Fabric(accelerator="cpu", devices=1)
fabric.launch()
print(lightning_fabric.__version__, "WORLD_SIZE", os.environ["WORLD_SIZE"], "world", fabric.world_size,
      "first", fabric.is_global_zero)
PYTHON
OMP_NUM_THREADS=1 "$folder/venv/bin/torchrun" --nproc_per_node=2 --log-dir "$folder/log" --redirects 1 "$folder/run.py" 2>/dev/null
cat "$folder"/log/*/attempt_0/*/stdout.log
test "$(cat "$folder"/log/*/attempt_0/*/stdout.log | grep -c "WORLD_SIZE 2 world 1 first True")" = 2
echo "torchrun ended with 0; each of its two processes had a world of one"
