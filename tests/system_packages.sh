#!/usr/bin/env bash
# Bring the parts of the tests that no Python package carries: a browser, an Apache with mod_auth_openidc, and Node with
# the relying parties of tests/parties. Installs Debian packages where it may (root, or sudo without a password);
# otherwise says what will be left out.
set -euo pipefail
parties=${0%/*}/parties

left_out() {
    cat >&2 <<EOF
!!
!! TESTS WILL BE LEFT OUT: $1
!! $2
!!
EOF
    [ "${LIENKET_NO_LEFT_OUT:-0}" != 1 ] || exit 1
}

missing=()
command -v chromium >/dev/null || missing+=(chromium)
# apache2-bin, not apache2: the tests run a private Apache, and no web server shall start on this machine.
[ -x /usr/sbin/apache2 ] || missing+=(apache2-bin)
[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || missing+=(libapache2-mod-auth-openidc)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)

install_missing() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        as_root=(sudo -n)
        sudo -n true 2>/dev/null || return 1
    fi
    command -v apt-get >/dev/null || return 1
    echo "Installing for the tests: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get -qq update &&
        "${as_root[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

if [ ${#missing[@]} -gt 0 ] && ! install_missing; then
    left_out "this machine lacks ${missing[*]}." \
        "On Debian or Ubuntu:  sudo apt-get install --no-install-recommends ${missing[*]}"
fi

# npm brings authorities of its own and does not ask the system's, which an office's proxy may need.
authorities=/etc/ssl/certs/ca-certificates.crt
[ ! -r "$authorities" ] || export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-$authorities}

# Exactly what package-lock.json names, with its hashes; no package runs anything while it is installed.
installed=$parties/node_modules/.lienket-installed
if command -v npm >/dev/null && ! cmp -s "$parties/package-lock.json" "$installed"; then
    echo "Installing the relying parties of the tests from npm"
    if npm ci --prefix "$parties" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; then
        cp "$parties/package-lock.json" "$installed"
    else
        left_out "npm could not install what tests/parties/package-lock.json names." \
            "Try it by hand:  npm ci --prefix tests/parties --ignore-scripts"
    fi
fi
