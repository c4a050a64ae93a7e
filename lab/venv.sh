# Sourced by `lab` and `test`: makes the lab's Python environment if it is missing or out of date, and sets VENV.
# `make_venv REQUIREMENTS` installs the pinned packages of that file from PyPI.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VENV=${WINDROSE_VENV:-$here/.venv}

make_venv() {
    local requirements=$here/$1 python=${PYTHON:-python3} wanted stamp
    wanted=$(cat "$here"/requirements*.txt | cksum)
    stamp=$VENV/.windrose-lab-$1
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return 0
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        echo "lab: Python 3.10 or newer is needed: install python3, or name one in the variable PYTHON." >&2
        return 1
    fi
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "lab: Python's venv module is missing: install python3-venv (Debian: apt-get install python3-venv)." >&2
        return 1
    fi
    mkdir -p "$VENV"
    (
        # Two labs started at once must not both install.
        if command -v flock >/dev/null; then flock 9; fi
        [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0
        echo "lab: installing Python packages into $VENV (once, about a minute)" >&2
        [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV" >&2 || exit 1
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2 || exit 1
        if ! PYTHONPATH=$here "$VENV/bin/python" -c 'from windrose_lab.postgres import find_binaries; find_binaries()' 2>/dev/null; then
            # No PostgreSQL on this machine: a package that brings its own.
            "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check pgserver==0.1.4 >&2 || true
        fi
        printf '%s' "$wanted" >"$stamp"
        # The tests' packages contain the lab's.
        [ "$1" = requirements.txt ] || printf '%s' "$wanted" >"$VENV/.windrose-lab-requirements.txt"
    ) 9>"$VENV/.lock" && return 0
    echo "lab: the Python packages could not be installed into $VENV: see the message of pip above." >&2
    return 1
}
