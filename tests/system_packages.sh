#!/usr/bin/env bash
# Bring the parts of the tests that no Python package carries: a browser, and an Apache with mod_auth_openidc.
# Installs Debian packages where it may (root, or sudo without a password); otherwise says what will be left out.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
# apache2-bin, not apache2: the tests run a private Apache, and no web server shall start on this machine.
[ -x /usr/sbin/apache2 ] || missing+=(apache2-bin)
[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || missing+=(libapache2-mod-auth-openidc)
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n)
    sudo -n true 2>/dev/null || as_root=()
fi
if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || [ ${#as_root[@]} -gt 0 ]; }; then
    echo "Installing for the tests: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    if "${as_root[@]}" apt-get -qq update && "${as_root[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null; then
        exit 0
    fi
fi

cat >&2 <<EOF
!!
!! TESTS WILL BE LEFT OUT: this machine lacks ${missing[*]}.
!! On Debian or Ubuntu:  sudo apt-get install --no-install-recommends ${missing[*]}
!!
EOF
[ "${LIENKET_NO_LEFT_OUT:-0}" != 1 ]
