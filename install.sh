#!/bin/sh
# Install this checkout into a virtual environment, with every package in exactly the version of constraints.txt:
#
#     sh install.sh VENV PYTHON EXTRAS MARKER…
#
# uv does it, in seconds: the one on PATH, else one that pip takes from the package index. Where uv is not to be had, pip
# does it, in minutes. UV=/path/to/uv names another uv, and UV=false has none. The markers are made at the very end.
set -eu
venv=$1 python=$2 extras=$3
shift 3
export PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1
# The machine's certificates, as pip has it: a company's network may need its own. The older name is that of older uvs.
export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true

works() { "$1" --version >/dev/null 2>&1; }

by_uv() {
	if ! works "$uv"; then
		test "$uv" = "$venv/bin/uv" || return 1
		"$venv/bin/python" -m pip install --quiet --only-binary uv uv || return 1
	fi
	"$uv" pip install --quiet --python "$venv/bin/python" --editable ".[$extras]" \
		--constraints constraints.txt --build-constraints constraints.txt
}

by_pip() {
	echo "Without uv: pip takes two minutes or three …"
	"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
	"$venv/bin/python" -m pip install --quiet --editable ".[$extras]"
}

# Says that an installation began. Where it is found, that one was cut short, and what it left is not to be trusted.
installing=$venv/.installing
if test -e "$installing"; then rm -rf "$venv"; fi
mkdir -p "$venv"
touch "$installing"
rm -f "$@"

uv=${UV:-uv}
if test "$uv" = uv && ! works uv; then uv=$venv/bin/uv; fi
echo "Setting up $venv with $python: once, half a minute …"
if ! test -x "$venv/bin/python"; then
	# Where uv is there already, the environment needs no pip, which takes seconds.
	if works "$uv"; then "$python" -m venv --without-pip "$venv"; else "$python" -m venv "$venv"; fi
fi
by_uv || by_pip
mv "$installing" "$1"
touch "$@"
