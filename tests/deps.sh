#!/bin/sh
# Installs the Debian packages that are missing, and only those: deps.sh GROUP…
# This is the one list of them.
set -eu

packages_build="gcc libc6-dev meson ninja-build pkg-config
libarchive-dev libconfuse-dev libcurl4-openssl-dev libgsasl-dev libjansson-dev libseccomp-dev
libsqlite3-dev libssl-dev libsystemd-dev libzstd-dev zlib1g-dev ca-certificates"

packages_test="python3-minimal python3 openssl libcmocka-dev dovecot-pop3d mandoc
strace systemd tar zstd libarchive-tools"

packages_check="clang-format-14 clang-tidy-14"

wanted=
for group in "$@"; do
    case $group in
    build) wanted="$wanted $packages_build" ;;
    test) wanted="$wanted $packages_test" ;;
    check) wanted="$wanted $packages_check" ;;
    *) echo "deps.sh: no group $group (build, test, check)" >&2; exit 2 ;;
    esac
done

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $wanted; do
    is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# The tests run a Dovecot of their own; the package would also start one for the whole machine, on
# the ports of POP3. Where systemd runs, its units are masked while the package is set up (a mask in
# /run, that no reboot outlives) and then disabled; elsewhere what the package started is stopped. A
# Dovecot that was there before stays as it is.
units="dovecot.service dovecot.socket"
new_dovecot=no
case " $missing " in
*" dovecot-pop3d "*) is_installed dovecot-core || new_dovecot=yes ;;
esac

silence_dovecot() {
    [ $new_dovecot = yes ] || return 0
    if [ -d /run/systemd/system ]; then
        as_root systemctl --quiet disable $units >/dev/null 2>&1 || :
        as_root systemctl --quiet unmask --runtime $units
    elif [ -e /run/dovecot/master.pid ]; then
        as_root invoke-rc.d dovecot stop
        as_root update-rc.d dovecot disable
    fi
}

echo "installing:$missing" >&2
as_root apt-get -qq update </dev/null
trap silence_dovecot EXIT
if [ $new_dovecot = yes ] && [ -d /run/systemd/system ]; then
    as_root systemctl --quiet mask --runtime $units 2>/dev/null
fi
# env: sudo would drop the variable.
as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
    -o Dpkg::Use-Pty=0 install $missing </dev/null >&2
