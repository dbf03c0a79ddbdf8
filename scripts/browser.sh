#!/bin/sh
# See to it that there is a Chromium for the tests: where we are root and have apt it is installed, else it is asked for.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ -n "${CROSSWIRE_TEST_CHROMIUM:-}" ] && [ -x "$CROSSWIRE_TEST_CHROMIUM" ]; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "browser: installing chromium with apt-get"
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null
    exit 0
fi
echo "browser: the tests need Chromium: install it, or set CROSSWIRE_TEST_CHROMIUM=/path/to/it" >&2
exit 1
