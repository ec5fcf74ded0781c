#!/bin/sh
# Builds lotus-proofs and prints the path of the program. `make proofs` calls this.
#
#   build.sh [--features cuda,opencl,multicore-sdr]   build (minutes when cold, nothing when unchanged)
#   build.sh --path [--features …]                    only say where the program is or would be
#
# Everything lies in a cache folder: the program under a hash of its sources, one target folder for all of them,
# and the Cargo.lock, which names a registry host and so must not lie in the repository.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
base=${XDG_CACHE_HOME:-${HOME:?no HOME: set XDG_CACHE_HOME to a folder for the build}/.cache}/lotus-sched-cli/proofs

only_path=
features=
while [ $# -gt 0 ]; do
    case $1 in
    --path) only_path=yes ;;
    --features)
        shift
        features=${1:?--features needs a list after it}
        ;;
    *)
        echo "build.sh: no argument $1; --path and --features LIST are known" >&2
        exit 2
        ;;
    esac
    shift
done

key=$(
    cd "$here"
    { echo "$features"; find Cargo.toml src -type f | LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c1-16
)
program=$base/$key/lotus-proofs
if [ -n "$only_path" ] || [ -x "$program" ]; then
    echo "$program"
    exit 0
fi
if ! command -v cargo >/dev/null 2>&1; then
    echo "build.sh: no cargo here: install Rust 1.85 or newer and a C compiler; all but real sealing works without" >&2
    exit 1
fi

mkdir -p "$base/source"
if command -v flock >/dev/null 2>&1; then
    exec 9>"$base/lock"
    flock 9
fi
rm -rf "$base/source/src"
cp -p "$here/Cargo.toml" "$base/source/"
cp -Rp "$here/src" "$base/source/"
echo "build.sh: building lotus-proofs; two to four minutes of processor time when cold" >&2
CARGO_TARGET_DIR=$base/target nice -n 19 cargo build --release --manifest-path "$base/source/Cargo.toml" \
    ${features:+--features "$features"} >&2
mkdir -p "$base/$key"
cp "$base/target/release/lotus-proofs" "$program.new"
mv "$program.new" "$program"
echo "$program"
