#!/bin/sh
# Install the Debian packages that bindep.txt lists for the profiles given as arguments.
#
# Where this user may not install packages, print the command to type and go on: what needs a missing package
# then fails or skips by itself, naming it. Written for sh, since a fresh machine may have no Python yet.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
bindep=${BINDEP_FILE:-$root/bindep.txt}
policy=${POLICY_FILE:-/usr/sbin/policy-rc.d}

[ $# -gt 0 ] || { echo "usage: scripts/packages.sh PROFILE..." >&2; exit 2; }
command -v dpkg-query >/dev/null 2>&1 || {
    echo "packages: this is not a Debian machine; install what $bindep lists by other means" >&2
    exit 0
}

# A line is wanted where its selector names this platform (or none) and one of our profiles (or none).
wanted=$(awk -v profiles="$*" '
    BEGIN { n = split(profiles, list, " "); for (i = 1; i <= n; i++) ours[list[i]] = 1 }
    { sub(/#.*/, "") }
    NF == 0 { next }
    {
        name = $1; platforms = 0; here = 0; named = 0; match_profile = 0
        if (match($0, /\[[^]]*\]/)) {
            count = split(substr($0, RSTART + 1, RLENGTH - 2), words, " ")
            for (i = 1; i <= count; i++) {
                if (words[i] ~ /^!/) { print "negation is not supported: " $0 > "/dev/stderr"; exit 2 }
                if (words[i] ~ /^platform:/) { platforms = 1; if (words[i] == "platform:dpkg") here = 1 }
                else { named = 1; if (words[i] in ours) match_profile = 1 }
            }
        }
        if ((!platforms || here) && (!named || match_profile)) print name
    }' "$bindep")

missing=
for package in $wanted; do
    # "ii" alone means unpacked and configured; a removed package still has a record.
    status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $status in
    ii*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "packages: missing:$missing" >&2
    echo "packages: to install them, type:  sudo apt-get install --no-install-recommends$missing" >&2
    exit 0
fi

echo "packages: installing$missing" >&2
# Some packages bring a service of the whole machine, Open vSwitch's for one. The tests start what they need themselves,
# so nothing is started meanwhile, unless this machine has a policy of its own (invoke-rc.d(8)).
# shellcheck disable=SC2086 # both are lists of words
if $as_root env DEBIAN_FRONTEND=noninteractive sh -c '
        policy=$1
        shift
        ours="# No service is started while scripts/packages.sh installs packages."
        if [ ! -e "$policy" ] || grep -qxF "$ours" "$policy"; then
            trap "rm -f \"\$policy\"" EXIT
            trap "exit 130" HUP INT TERM
            printf "#!/bin/sh\n%s\nexit 101\n" "$ours" >"$policy" && chmod 755 "$policy"
        fi
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' \
    sh "$policy" $missing >&2 </dev/null; then
    exit 0
fi
echo "packages: apt-get failed; to see why, type:  ${as_root:+sudo }apt-get install --no-install-recommends$missing" >&2
