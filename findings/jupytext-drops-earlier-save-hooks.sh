#!/usr/bin/env bash
# jupytext 1.19.6 with jupyter_server 2.21.1: a pre-save hook that a server extension registers while it is loaded.
# Guess: the hook runs at every save, whichever other extensions there are.
# Seen: extensions are loaded in the order of their names, and Jupytext's puts a new contents manager in place of the one that is there. A hook registered before is lost; one registered afterwards, or once the server has started, runs.
# Versions: jupytext 1.19.6, jupyter_server 2.21.1, Python 3.11. Seen on 2026-11-29, output:
#   without jupytext: the hooks of alpha zeta run
#   with jupytext: the hooks of zeta run
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q jupyter_server==2.21.1 jupytext==1.19.6
for name in alpha zeta; do
    cat > "$folder/$name.py" <<PYTHON
import sys


def hook(model, path, contents_manager):
    print("hook of $name", file=sys.stderr)


def _jupyter_server_extension_points():
    return [{"module": "$name"}]


def _load_jupyter_server_extension(app):
    app.contents_manager.register_pre_save_hook(hook)
PYTHON
done
cat > "$folder/serve.py" <<'PYTHON'
import asyncio
import inspect
import sys

from jupyter_server.serverapp import ServerApp

extensions = {"alpha": True, "zeta": True}
app = ServerApp()
app.initialize(
    ["--allow-root", "--no-browser", "--port=0", f"--ServerApp.root_dir={sys.argv[1]}",
     f"--ServerApp.jpserver_extensions={extensions}", "--ServerApp.log_level=ERROR"]
)
cell = {"id": "a", "cell_type": "markdown", "metadata": {}, "source": "text"}
notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
model = {"type": "notebook", "format": "json", "content": notebook}
saved = app.contents_manager.save(model, "/some.ipynb")
if inspect.isawaitable(saved):
    asyncio.get_event_loop().run_until_complete(saved)
PYTHON
mkdir "$folder/files"
ran() {
    (cd "$folder" && HOME="$folder" JUPYTER_CONFIG_DIR="$folder" PYTHONPATH="$folder" \
        "$folder/venv/bin/python" serve.py "$folder/files") 2>&1 | grep -o "hook of [a-z]*" | cut -d" " -f3 | paste -sd" "
}
with="$(ran)"  # installing Jupytext switches its extension on
"$folder/venv/bin/pip" uninstall -qy jupytext
without="$(ran)"
echo "without jupytext: the hooks of $without run"
echo "with jupytext: the hooks of $with run"
[ "$without" = "alpha zeta" ] && [ "$with" = "zeta" ]
