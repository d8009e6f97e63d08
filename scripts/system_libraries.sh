#!/usr/bin/env bash
# Sees to the system libraries that Qt and OpenGL need without a screen.
# On Debian and Ubuntu as root it installs what is missing; elsewhere it names what is missing.
set -u

packages=(
  xvfb xauth
  libgl1 libegl1 libfontconfig1 libglib2.0-0 libdbus-1-3
  libxkbcommon0 libxkbcommon-x11-0
  libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
)
# The same things by the names the dynamic linker knows, for other systems.
libraries=(
  libGL.so.1 libEGL.so.1 libfontconfig.so.1 libglib-2.0.so.0 libdbus-1.so.3
  libxkbcommon.so.0 libxkbcommon-x11.so.0
  libxcb-cursor.so.0 libxcb-icccm.so.4 libxcb-keysyms.so.1 libxcb-shape.so.0
)

installed() {
  # Newer Debian and Ubuntu call some of them by the old name with t64 behind it.
  local name
  for name in "$1" "$1t64"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed && return 0
  done
  return 1
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    installed "$package" || echo "$package"
  done
}

missing_libraries() {
  local known library
  known=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null) || known=""
  command -v Xvfb >/dev/null || echo "Xvfb"
  for library in "${libraries[@]}"; do
    grep -qF "$library" <<<"$known" || echo "$library"
  done
}

stop_unless_a_screen() {
  if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    echo "Going on with the screen that is there; tests that open a window may fail."
    exit 0
  fi
  echo "Without them and without a screen the tests of the windows cannot run; stopping here." >&2
  exit 1
}

case $(uname -s) in
  Linux) ;;
  *) exit 0 ;; # Qt's wheels bring everything, and there is a screen
esac

if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] && exit 0
  install="apt-get install --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    echo "Missing system libraries. Install them with: sudo $install"
    stop_unless_a_screen
  fi
  echo "Installing system libraries: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }; then
    echo "apt-get could not install them; try by hand: $install" >&2
    stop_unless_a_screen
  fi
  exit 0
fi

mapfile -t missing < <(missing_libraries)
[ ${#missing[@]} -eq 0 ] && exit 0
echo "Missing system libraries (install them with your package manager): ${missing[*]}"
stop_unless_a_screen
