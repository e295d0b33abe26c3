#!/usr/bin/env bash
# datasets 5.2.0: Dataset.to_parquet of pictures that were opened from files.
# Guess: the parquet file holds the pictures, since it is the format in which such data sets are shared.
# Seen: it holds paths on this machine and no bytes; with embed_table_storage mapped over the tables first it holds the bytes.
# Versions: datasets 5.2.0, pyarrow 26.0.1, Python 3.11. Seen on 2026-11-29, output:
#   to_parquet: bytes in 0 of 2 rows, a path in 2
#   after embed_table_storage: bytes in 2 of 2 rows
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q datasets==5.2.0 pyarrow==26.0.1 pillow
cd "$folder"
HF_HOME="$folder/home" HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import datasets
import pyarrow.parquet as parquet
from datasets import Dataset, Features, Image
from datasets.table import embed_table_storage
from PIL import Image as Picture

names = []
for shade in (0, 255):
    names.append(f"{shade}.png")
    Picture.new("RGB", (8, 8), (shade, 0, 0)).save(names[-1])
data = Dataset.from_dict({"image": names}, features=Features({"image": Image()}))


def cells(name):
    return [row["image"] for row in parquet.read_table(name).to_pylist()]


data.to_parquet("plain.parquet")
whole = data.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)
whole.to_parquet("whole.parquet")
plain, embedded = cells("plain.parquet"), cells("whole.parquet")
held, named = sum(c["bytes"] is not None for c in plain), sum(bool(c["path"]) for c in plain)
print("datasets", datasets.__version__)
print(f"to_parquet: bytes in {held} of 2 rows, a path in {named}")
full = sum(c["bytes"] is not None for c in embedded)
print(f"after embed_table_storage: bytes in {full} of 2 rows")
assert (held, named, full) == (0, 2, 2)
PYTHON
