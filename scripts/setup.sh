#!/bin/sh
# Make or renew the environment in .venv.
#
# usage: scripts/setup.sh run|dev
#   run   what the `nova-fakes` command needs
#   dev   that and what tests, lint and documentation need
#
# Nothing is done where the stamp in .venv still tells what would be done: the checksum of the files that decide,
# the place of the tree (scripts in .venv hold absolute paths) and the level.
set -eu

level=${1:-dev}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
venv=$root/.venv
stamp=$venv/.nova-fakes-setup
private_uv=$root/build/uv

case $level in
run | dev) ;;
*) echo "usage: scripts/setup.sh run|dev" >&2; exit 2 ;;
esac

# python-ldap has no wheels: without a compiler and these headers the tests that need the group skip, and say so.
headers=
if command -v cc >/dev/null 2>&1 && [ -e /usr/include/ldap.h ] && [ -e /usr/include/sasl/sasl.h ]; then
    headers=ldap
fi

checksum=$( (cat pyproject.toml uv.lock packaging/*.py scripts/setup.sh && echo "$headers") | sha256sum | cut -d' ' -f1)
have_checksum= have_place= have_level=
if [ -f "$stamp" ]; then
    { read -r have_checksum; read -r have_level; IFS= read -r have_place; } <"$stamp" || true
fi
if [ "$have_level" = dev ] && [ "$have_place" = "$root" ]; then
    level=dev # never take away what a developer has installed
fi
if [ "$have_checksum" = "$checksum" ] && [ "$have_level" = "$level" ] && [ "$have_place" = "$root" ] &&
    [ -x "$venv/bin/python" ]; then
    exit 0
fi

fail() {
    echo "setup: $*" >&2
    exit 1
}

pip_uv() { # the uv in $private_uv, by whatever kind of Python installation there is
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || return 1
    rm -rf "$private_uv"
    if python3 -c 'import ensurepip' 2>/dev/null && python3 -m venv "$private_uv" >/dev/null 2>&1; then
        "$private_uv/bin/python" -m pip install --quiet --disable-pip-version-check uv >&2 && return 0
    fi
    rm -rf "$private_uv"
    python3 -m pip install --quiet --disable-pip-version-check --target "$private_uv" uv >&2 2>/dev/null
}

find_uv() {
    for candidate in "$private_uv/bin/uv" "$(command -v uv || true)" "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv"; do
        # A shim of a version manager may be there and yet not run.
        if [ -n "$candidate" ] && [ -x "$candidate" ] && "$candidate" --version >/dev/null 2>&1; then
            uv=$candidate
            return 0
        fi
    done
    return 1
}

if ! find_uv; then
    echo "setup: no uv on this machine; installing one into ${private_uv#"$root"/}" >&2
    if ! pip_uv; then
        "$root/scripts/packages.sh" bootstrap
        pip_uv || fail "could not install uv. Type:  sudo apt-get install python3-venv  (or install uv as" \
            "https://docs.astral.sh/uv/ says), then try again"
    fi
    find_uv || fail "uv was installed into $private_uv but does not run"
fi

# The tree was moved or the environment is half made: its scripts name a Python that is not there.
if [ -d "$venv" ] && { [ ! -x "$venv/bin/python" ] || { [ -n "$have_place" ] && [ "$have_place" != "$root" ]; }; }; then
    rm -rf "$venv"
fi
rm -f "$stamp"

echo "setup: environment in .venv ($level)" >&2
case $level in
run) set -- --no-dev --extra sandbox ;;
dev)
    set -- --group dev --all-extras
    [ -z "$headers" ] || set -- "$@" --group contract
    ;;
esac
# VIRTUAL_ENV of the caller's shell is another project's business.
env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT="$venv" "$uv" sync --quiet --frozen "$@" </dev/null ||
    fail "uv could not make the environment. Python 3.11 or newer is needed; uv fetches one where the machine has none" \
        "and the network allows it. To see the details, type:  $uv sync --frozen $*"
printf '%s\n%s\n%s\n' "$checksum" "$level" "$root" >"$stamp"
