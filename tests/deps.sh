#!/bin/sh
# Installs the Debian packages that are missing, and only those: deps.sh GROUP…
# This is the one list of them.
set -eu

packages_build="gcc libc6-dev meson ninja-build pkg-config
libarchive-dev libconfuse-dev libcurl4-openssl-dev libgsasl-dev libjansson-dev libseccomp-dev
libsqlite3-dev libssl-dev libsystemd-dev libzstd-dev zlib1g-dev ca-certificates"

packages_test="python3-minimal python3 openssl libcmocka-dev dovecot-pop3d dovecot-imapd
mandoc strace systemd tar zstd libarchive-tools p7zip-full mutt unzip"

packages_check="clang-format-14 clang-tidy-14"

# llvm-14: its symbolizer names the lines of a crash.
packages_fuzz="clang-14 libclang-rt-14-dev llvm-14"

# What popkeep is measured against.
packages_bench="borgbackup restic gzip zstd isync"

# Other POP3 servers, for tests/integration/test_interop.py, and libraries of theirs. As packages the
# servers exclude each other and start themselves: these are never installed, only unpacked into a
# cache folder, a folder for each.
packages_interop="courier-pop courier-base courier-authlib courier-authlib-userdb
libcourier-unicode4 libgamin0 libltdl7 libidn12 libgdbm6
mailutils-pop3d libmailutils9 libmu-dbm9 libdb5.3 libgnutls30 libgsasl18 libgssglue1
libkyotocabinet16v5 libldap-2.5-0 liblzo2-2 libmariadb3 libnsl2 libntlm0 libpq5 libsasl2-2
libtirpc3 libunistring2 libwrap0
popa3d solid-pop3d liblockfile1 libpam0g libpam-modules"
servers=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/popkeep-tests/servers

wanted=
unpacked=
for group in "$@"; do
    case $group in
    build) wanted="$wanted $packages_build" ;;
    test) wanted="$wanted $packages_test" ;;
    check) wanted="$wanted $packages_check" ;;
    fuzz) wanted="$wanted $packages_fuzz" ;;
    bench) wanted="$wanted $packages_bench" ;;
    interop) unpacked="$unpacked $packages_interop" ;;
    *) echo "deps.sh: no group $group (build, test, check, fuzz, bench, interop)" >&2; exit 2 ;;
    esac
done

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $wanted; do
    is_installed "$package" || missing="$missing $package"
done

not_unpacked=
for package in $unpacked; do
    [ -d "$servers/$package" ] || not_unpacked="$not_unpacked $package"
done
[ -n "$missing$not_unpacked" ] || exit 0

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# The tests run a Dovecot of their own; the packages would also start one for the whole machine, on
# the ports of POP3 and IMAP. Where systemd runs, its units are masked while the packages are set up
# (a mask in /run, that no reboot outlives) and, when Dovecot is new there, disabled; elsewhere what
# the packages started is stopped. A Dovecot that was there before stays as it is: where one runs,
# nothing is installed that would make it serve another protocol.
units="dovecot.service dovecot.socket"
new_dovecot=no
is_running() {
    [ -e /run/dovecot/master.pid ]
}
case " $missing " in
*" dovecot-"*)
    if is_running; then
        echo "deps.sh: a Dovecot runs here and is left alone: the tests that want" \
            "dovecot-pop3d and dovecot-imapd may be skipped" >&2
        kept=
        for package in $missing; do
            case $package in
            dovecot-*) ;;
            *) kept="$kept $package" ;;
            esac
        done
        missing=$kept
    else
        new_dovecot=yes
    fi
    ;;
esac
was_there=no
! is_installed dovecot-core || was_there=yes

silence_dovecot() {
    [ $new_dovecot = yes ] || return 0
    if [ -d /run/systemd/system ]; then
        [ $was_there = yes ] || as_root systemctl --quiet disable $units >/dev/null 2>&1 || :
        as_root systemctl --quiet unmask --runtime $units
    elif is_running; then
        as_root invoke-rc.d dovecot stop
        [ $was_there = yes ] || as_root update-rc.d dovecot disable
    fi
}

as_root apt-get -qq update </dev/null || [ -z "$missing" ]

# Each folder gets its name when it is whole. The servers are worth no failed build on a person's
# machine: the tests that want them are skipped there.
unpack() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    echo "unpacking into $servers:$*" >&2
    mkdir -p "$servers"
    (cd "$work" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$@") || return 1
    for package in "$@"; do
        whole=$(mktemp -d "$servers/unpacking.XXXXXX")
        chmod 755 "$whole"
        dpkg-deb -x "$work/$package"_*.deb "$whole" || return 1
        rm -rf "${servers:?}/$package"
        mv -T "$whole" "$servers/$package" || return 1
    done
}
if [ -n "$not_unpacked" ]; then
    # shellcheck disable=SC2086
    if ! (unpack $not_unpacked); then
        echo "deps.sh: not all other POP3 servers could be had" >&2
        [ -z "${CI:-}" ] || exit 1
    fi
fi
[ -n "$missing" ] || exit 0

echo "installing:$missing" >&2
trap silence_dovecot EXIT
if [ $new_dovecot = yes ] && [ -d /run/systemd/system ]; then
    as_root systemctl --quiet mask --runtime $units 2>/dev/null
fi
# env: sudo would drop the variable.
as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
    -o Dpkg::Use-Pty=0 install $missing </dev/null >&2
