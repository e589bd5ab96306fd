#!/bin/bash
# Resolves the pinned requirements anew: of the build host, then of every runner to the same versions, so that both sides compute alike.
# `uv` must find torch's CPU build: through UV_FIND_LINKS (a folder with its wheel) or UV_TORCH_BACKEND=cpu. Its local version
# ("+cpu") is not written down: it satisfies the plain one, and other machines have other builds.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."
PATH=$PWD/.venv/bin:$PATH

# lock TARGET SOURCE [ARGUMENT...]
lock() {
    local target=$1
    shift
    uv pip compile --quiet --python-version 3.11 --no-annotate --custom-compile-command "make lock" "$@" \
        | sed 's/+cpu$//' > "$target.new"
    mv -- "$target.new" "$target"
}

# The build host has every runtime that a Linux machine without a GPU can execute, for runners that are plain processes.
shopt -s extglob
lock requirements.txt pyproject.toml docker/requirements/!(*-cuda|*-tensorrt|coreml).in --group dev
# uv writes the marker of this platform only; elsewhere the same release has another name.
sed --in-place --regexp-extended "s/^(tensorflow)-cpu(==[^ ]+)$/\
\1-cpu\2 ; platform_system == 'Linux' and platform_machine == 'x86_64'\n\
\1\2 ; platform_system != 'Linux' or platform_machine != 'x86_64'/" requirements.txt
for source in docker/requirements/*.in; do
    target=${source%.in}.txt
    # Hashes where one release has one set of files: torch has another build for each index, TensorRT's are in its maker's only.
    hashes=(--generate-hashes)
    if grep --quiet --extended-regexp '^(torch|tensorrt)' "$source"; then hashes=(); fi
    case $source in
        *-cuda.in | *-tensorrt.in)
            # The index's own torch, which is the one for CUDA; `===` keeps a local "+cpu" of that version from passing for it.
            (unset UV_FIND_LINKS UV_TORCH_BACKEND && lock "$target" "$source" "${hashes[@]}" --constraints requirements.txt)
            sed --in-place 's/^torch==/torch===/' "$target"
            ;;
        */coreml.in) lock "$target" "$source" "${hashes[@]}" --constraints requirements.txt --python-platform aarch64-apple-darwin ;;
        *) lock "$target" "$source" "${hashes[@]}" --constraints requirements.txt ;;
    esac
done
