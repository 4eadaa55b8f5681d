#!/bin/sh
# Gathers what `tapline @VERSION@` reads on a host into tapline-HOST-TIME.tar.gz.
#
#   sh collect.sh [FOLDER]       as root, else much is refused; FOLDER is where the archive goes
#
# Every command only reads, and is ended after $TAPLINE_LIMIT seconds (10). What fails is kept as
# it failed, and the script goes on. Nothing is written but the archive.
set -u
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH
umask 077

limit=${TAPLINE_LIMIT:-10}
into=$(cd "${1:-.}" && pwd) || exit 2
host=$(hostname 2>/dev/null || uname -n 2>/dev/null || echo host)
host=$(printf '%s' "${host%%.*}" | sed 's/[^A-Za-z0-9_-]/_/g')
name=tapline-${host:-host}-$(date -u +%Y%m%dT%H%M%SZ)
work=$(mktemp -d "${TMPDIR:-/tmp}/tapline.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
there=$work/$name
mkdir "$there" || exit 2
printf 'started\tseconds\tstatus\tfile\tcommand\n' >"$there/commands.txt"

# Without timeout, commands run as long as they like.
limited=
if timeout 5 true 2>/dev/null; then
    limited=yes
fi

# The name of a file for a command, as sos makes it.
mangled() {
    printf '%s' "$*" |
        sed -e 's/[^A-Za-z0-9_.\/-][^A-Za-z0-9_.\/-]*/_/g' -e 's,/,.,g' -e 's/[ ._-]*$//'
}

# save TOOL COMMAND...: runs a command that needs TOOL.
save() {
    tool=$1
    shift
    file=$(mangled "$@")
    # Two names may look the same as files.
    while [ -e "$there/$file" ]; do
        file=${file}_
    done
    started=$(date +%s)
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "sh: $tool: command not found" >"$there/$file"
        status=127
    elif [ -n "$limited" ]; then
        timeout "$limit" "$@" >"$there/$file" 2>&1 </dev/null
        status=$?
        if [ "$status" -eq 124 ] || [ "$status" -eq 143 ]; then
            printf '\ntapline: timed out after %s s\n' "$limit" >>"$there/$file"
        fi
    else
        "$@" >"$there/$file" 2>&1 </dev/null
        status=$?
    fi
    log "$status" "$file" "$(quoted "$@")"
}

# The words of a command as a shell reads them: names of namespaces may hold blanks.
quoted() {
    blank=
    for word; do
        case $word in
        *[!A-Za-z0-9_.:/=@%+,*?-]* | '')
            word="'$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
            ;;
        esac
        printf '%s%s' "$blank" "$word"
        blank=' '
    done
}

# copy FILE: the text of a file, without passwords.
copy() {
    if [ ! -f "$1" ]; then
        return
    fi
    started=$(date +%s)
    mkdir -p "$there/$(dirname "$1")"
    sed 's/auth_pass.*/auth_pass hidden/' <"$1" >"$there/$1" 2>&1
    log $? "${1#/}" "$(quoted cat "$1")"
}

log() {
    printf '%s\t%s\t%s\t%s\t%s\n' "$started" "$(($(date +%s) - started))" "$1" "$2" "$3" \
        >>"$there/commands.txt"
}

say() {
    echo "tapline: $*" >&2
}

say "gathering on ${host:-host}"
@HOST@
if command -v ip >/dev/null 2>&1; then
    ip netns 2>/dev/null </dev/null | sed 's/ (id: [0-9]*)$//' | while IFS= read -r netns; do
        say "namespace $netns"
@NAMESPACE@
    done
fi

if command -v ovs-vsctl >/dev/null 2>&1; then
    ovs-vsctl -t 10 list-br 2>/dev/null </dev/null | while read -r bridge; do
        say "bridge $bridge"
@BRIDGE@
    done
fi

# The databases of OVN are asked where they are served.
if [ -S /run/ovn/ovnsb_db.sock ] || [ -S /var/run/ovn/ovnsb_db.sock ] ||
    [ -S /var/run/openvswitch/ovnsb_db.sock ]; then
    say "databases of OVN"
@CENTRAL@
fi

if command -v virsh >/dev/null 2>&1; then
    virsh -r list --all --name 2>/dev/null </dev/null | while IFS= read -r domain; do
        [ -n "$domain" ] || continue
        say "domain $domain"
@DOMAIN@
    done
    virsh -r net-list --all --name 2>/dev/null </dev/null | while IFS= read -r network; do
        [ -n "$network" ] || continue
        say "network $network"
@NETWORK@
    done
fi

for path in /sys/class/net/*; do
    device=${path##*/}
    # bonding_masters is a file.
    [ -d "$path" ] && [ "$device" != lo ] || continue
@DEVICE@
    [ -e "$path/device" ] || continue
@NIC@
done

@FILE@
total=0
failed=0
while read -r started _ status _; do
    [ "$started" != started ] || continue
    total=$((total + 1))
    [ "$status" -eq 0 ] || failed=$((failed + 1))
done <"$there/commands.txt"

archive=${into%/}/$name.tar
if tar -cf "$archive" -C "$work" "$name"; then
    if gzip "$archive" 2>/dev/null; then
        archive=$archive.gz
    fi
    say "$total captures, $failed of them failed or not there: tapline lint $archive"
    echo "$archive"
else
    say "cannot write $archive"
    exit 1
fi
