#!/bin/sh
# Make .venv: a Python that really runs, and exactly what a lock file names.
#
#   scripts/env.sh [LOCK]        LOCK: requirements-dev.lock unless told; PYTHON=/path/to/python chooses the interpreter
#
# Quick when nothing changed. May be interrupted at any moment: an unfinished .venv is made anew by the next call.
set -eu
cd "$(dirname "$0")/.."

lock=${1:-requirements-dev.lock}
venv_python=.venv/bin/python
command=.venv/bin/crosswire   # the same as manage.py, from anywhere
stamp=.venv/.lock-stamp       # which lock is installed; written last
unfinished=.venv/.unfinished  # there while an installation is under way, and after one that was interrupted

fail() {
    echo "env: $1" >&2
    exit 1
}

has_uv() {
    uv --version >/dev/null 2>&1
}

# Being on PATH proves nothing: a version manager's shim may name a version that is not there. Only running tells.
# Prints the interpreter behind the name; for one inside a virtual environment (maybe .venv itself) the one it came from.
base_of() {
    "$1" -c "import sys, ssl, sqlite3, venv${need_pip:+, ensurepip}
sys.version_info >= (3, 12) or sys.exit(1)
print(sys._base_executable)" 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        base_of "$PYTHON" || true
        return
    fi
    for name in python3.14 python3.13 python3.12 python3 python; do
        base_of "$name" && return
    done
    for path in $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python 2>/dev/null | sort -rV); do
        base_of "$path" && return
    done
}

wanted_stamp() {
    "$venv_python" - "$lock" 2>/dev/null <<'PYTHON' || true
import hashlib, pathlib, sys
digest = hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest()
print(pathlib.Path(sys.argv[1]).name, digest, sys.version.split()[0])
PYTHON
}

is_current() {
    [ -s "$stamp" ] && [ ! -e "$unfinished" ] && [ "$(cat "$stamp")" = "$(wanted_stamp)" ]
}

make_venv() {
    need_pip=1
    if has_uv; then need_pip=; fi
    python=$(find_python)
    if [ -z "$python" ]; then
        fail "no Python fits${PYTHON:+ ($PYTHON does not)}: install Python 3.12 or newer with ssl, sqlite3, venv${need_pip:+, ensurepip}, or set PYTHON=/path/to/it"
    fi
    echo "env: making .venv with $("$python" -V)"
    rm -rf .venv
    mkdir .venv
    : >"$unfinished"
    "$python" -m venv --without-pip .venv
}

install() {
    if has_uv; then
        echo "env: installing $lock with uv"
        uv pip sync --quiet --compile-bytecode --require-hashes --python "$venv_python" "$lock"
        return
    fi
    echo "env: installing $lock with pip (takes a minute or more)"
    "$venv_python" -m pip --version >/dev/null 2>&1 || "$venv_python" -m ensurepip >/dev/null
    "$venv_python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
}

# What an installation of the project would bring: the command. Its own code stays where it is.
write_command() {
    cat >"$command.$$" <<COMMAND
#!/bin/sh
exec "$PWD/$venv_python" "$PWD/manage.py" "\$@"
COMMAND
    chmod 755 "$command.$$"
    mv -f "$command.$$" "$command"
}

done_when_current() {
    if is_current; then
        if [ ! -x "$command" ]; then write_command; fi
        exit 0
    fi
}

[ -f "$lock" ] || fail "$lock is not there"
done_when_current
# One at a time where the system can see to it; this lock goes with its process, however that ends.
if command -v flock >/dev/null 2>&1; then
    exec 9<scripts/env.sh
    flock 9
    done_when_current
fi
if [ -e "$unfinished" ] || ! "$venv_python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
    make_venv
fi
: >"$unfinished"
rm -f "$stamp"
install || fail "installing $lock failed, see above; call this again once that is mended"
write_command
wanted_stamp >"$stamp"
rm -f "$unfinished"
