#!/bin/sh
# Installs the Debian packages of requirements/debian.txt that are missing, as root or with sudo, and starts none of the
# servers among them: the tests start their own, on free ports. Without apt or the right to use it: says what is missing.
set -eu
wanted=$(grep -v '^#' "$(dirname "$0")/debian.txt")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "no apt here: install what gives you these yourself, or the tests that need them fail:" $wanted >&2
  exit 0
fi
missing=
for package in $wanted; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "neither root nor sudo: have these installed, or the tests that need them fail: apt-get install$missing" >&2
    exit 0
  fi
  as_root=sudo
fi

# A policy of our own while we install (mosquitto and influxdb would start and listen), unless the machine has one.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '$as_root rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod 755 "$policy"
fi
echo "installing with apt:$missing"
log=$(mktemp)
$as_root apt-get update -q >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
# shellcheck disable=SC2086  # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing >"$log" 2>&1 \
  || { tail -n 40 "$log" >&2; exit 1; }
rm -f "$log"
