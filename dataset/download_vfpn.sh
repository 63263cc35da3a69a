#!/usr/bin/env bash
# Downloads a file that is shared on Google Drive, such as VFPN's checkpoints and its video.
. "$(dirname "$0")/download_common.sh"

# Where the files come from; another address serves a test.
DRIVE_URL="${DRIVE_URL:-https://drive.google.com}"
name=""
link=""

usage() {
  cat <<TEXT
usage: $(basename "$0") LINK [--name=FILE] [options]

Downloads what a link of the VFPN README leads to, a checkpoint or the example video, to DIR. LINK is
an address of Google Drive (https://drive.google.com/file/d/ID/view), the ID of a file there, or any
other address of a file. Archives (.zip, .tar, .tar.gz, .tgz) are unpacked.

  --name=FILE         the file's name; else what the server calls it
$(common_help)
TEXT
}

# drive_id LINK: the file's ID in an address of Google Drive; empty in another address.
drive_id() {
  case "$1" in
    */file/d/*) printf '%s' "$1" | sed 's|.*/file/d/||; s|[/?#].*||' ;;
    *[?\&]id=*) printf '%s' "$1" | sed 's|.*[?&]id=||; s|[&#].*||' ;;
    *://*) ;;
    *) printf '%s' "$1" ;;
  esac
}

# field NAME PAGE: the value of a hidden field of the page that asks for a confirmation.
field() {
  tr '>' '\n' <"$2" | sed -n "s/.*name=\"$1\" *value=\"\\([^\"]*\\)\".*/\\1/p" | head -1
}

for argument in "$@"; do
  if common_option "$argument"; then continue; fi
  case "$argument" in
    --name=?*) name="${argument#*=}" ;;
    -*) unknown_argument "$argument" ;;
    *) link="$argument" ;;
  esac
done
if [ -z "$link" ]; then die "name the link of the file; $(basename "$0") --help says more"; fi
need_command curl
id="$(drive_id "$link")"
case "$id" in *[!A-Za-z0-9_-]*) die "$link is no link of Google Drive, and no ID of a file there" ;; esac

url="$link"
if [ -n "$id" ]; then
  scratch="$(mktemp -d)"
  trap 'rm -rf "$scratch"' EXIT
  CURL_ARGUMENTS=(-b "$scratch/cookies" -c "$scratch/cookies")
  url="$DRIVE_URL/uc?export=download&id=$id"
  # Of a file too large to be scanned for viruses comes a page with a form first.
  curl -sL --fail --connect-timeout 30 --range 0-99999 "${CURL_ARGUMENTS[@]}" -D "$scratch/headers" -o "$scratch/page" "$url" ||
    die "Google Drive has no file $id, or does not share it with everybody"
  if is_page "$scratch/page" "$scratch/headers"; then
    action="$(tr '>' '\n' <"$scratch/page" | sed -n 's/.*<form[^>]*action="\([^"]*\)".*/\1/p' | head -1 | sed 's/&amp;/\&/g')"
    confirm="$(field confirm "$scratch/page")"
    uuid="$(field uuid "$scratch/page")"
    if [ -z "$action" ] || [ -z "$confirm" ]; then
      die "Google Drive does not give the file $id away (too many downloads today, or a login is needed): open $link in a browser"
    fi
    url="$action?id=$id&export=download&confirm=$confirm${uuid:+&uuid=$uuid}"
    curl -sL --fail --connect-timeout 30 --range 0-0 "${CURL_ARGUMENTS[@]}" -D "$scratch/headers" -o /dev/null "$url" ||
      die "Google Drive refused to give the file $id away: try again later"
  fi
  if [ -z "$name" ]; then
    name="$(header content-disposition "$scratch/headers" | sed -n 's/.*filename="\([^"]*\)".*/\1/p')"
    name="$(basename "${name:-$id}")"
  fi
fi
if [ -z "$name" ]; then name="$(basename "${link%%\?*}")"; fi

case "$name" in
  *.zip | *.tar | *.tar.gz | *.tgz) fetch_and_unpack "$url" "$name" ;;
  *) fetch "$url" "$OUTPUT_DIR/$name" ;;
esac
