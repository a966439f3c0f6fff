#!/bin/sh
# Sets a build folder up, or brings its options up to date: configure.sh FOLDER [meson option…]
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift
if [ -f "$folder/build.ninja" ]; then
    meson configure "$folder" "$@"
else
    meson setup "$folder" "$@" >&2
fi
