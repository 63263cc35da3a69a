#!/usr/bin/env bash
# Downloads Cityscapes with the login of the user, which is asked for and kept nowhere.
. "$(dirname "$0")/download_common.sh"

# Where the files come from; another address serves a test.
CITYSCAPES_URL="${CITYSCAPES_URL:-https://www.cityscapes-dataset.com}"

usage() {
  cat <<TEXT
usage: $(basename "$0") [fine] [images] [coarse] [extra] [options]

Downloads Cityscapes to DIR; register first at https://www.cityscapes-dataset.com:
  fine     gtFine_trainvaltest (0.25 GB)
  images   leftImg8bit_trainvaltest (11 GB)
  coarse   gtCoarse (1.3 GB)
  extra    leftImg8bit_trainextra (44 GB)
Without a name: fine and images. User name and password are asked for; a program gives them as two
lines on the standard input. They appear in no file and no list of processes.

$(common_help)
TEXT
}

# package NAME: its number there and its file.
package() {
  case "$1" in
    fine) echo 1 gtFine_trainvaltest.zip ;;
    coarse) echo 2 gtCoarse.zip ;;
    images) echo 3 leftImg8bit_trainvaltest.zip ;;
    extra) echo 4 leftImg8bit_trainextra.zip ;;
  esac
}

# log_in: asks, and keeps what the server answers in a cookie, for this run only.
log_in() {
  local user="" password=""
  if [ -t 0 ]; then printf 'Cityscapes user name: ' >&2; fi
  IFS= read -r user || true
  if [ -t 0 ]; then printf 'password: ' >&2; fi
  IFS= read -rs password || true
  if [ -t 0 ]; then echo >&2; fi
  if [ -z "$user" ] || [ -z "$password" ]; then die "Cityscapes needs a user name and a password: register at $CITYSCAPES_URL"; fi
  scratch="$(umask 077 && mktemp -d)"
  trap 'rm -rf "$scratch"' EXIT
  CURL_ARGUMENTS=(-b "$scratch/cookies" -c "$scratch/cookies")
  # curl reads them from pipes that bash itself fills: no other process is told.
  curl -sL --fail --connect-timeout 30 "${CURL_ARGUMENTS[@]}" -o "$scratch/page" \
    --data-urlencode "username@"<(printf '%s' "$user") \
    --data-urlencode "password@"<(printf '%s' "$password") \
    --data "submit=Login" "$CITYSCAPES_URL/login/" ||
    die "$CITYSCAPES_URL/login/ cannot be reached or does not answer"
}

selected=()
for argument in "$@"; do
  if common_option "$argument"; then continue; fi
  case "$argument" in
    fine | images | coarse | extra) selected+=("$argument") ;;
    *) unknown_argument "$argument" ;;
  esac
done
if [ ${#selected[@]} -eq 0 ]; then selected=(fine images); fi
need_command curl

logged_in=false
for what in "${selected[@]}"; do
  read -r number file <<<"$(package "$what")"
  if [ -e "$OUTPUT_DIR/.unpacked/$file" ]; then
    echo "$file is there, unpacked"
    continue
  fi
  if [ ! -e "$OUTPUT_DIR/$file" ]; then
    if ! "$logged_in"; then
      log_in
      logged_in=true
    fi
    curl -sL --fail --connect-timeout 30 --range 0-511 "${CURL_ARGUMENTS[@]}" -D "$scratch/headers" -o "$scratch/page" "$CITYSCAPES_URL/file-handling/?packageID=$number" ||
      die "Cityscapes does not give $file away: does the account have access to it?"
    if is_page "$scratch/page" "$scratch/headers"; then
      die "Cityscapes refused the login, or the account has no access to $file: check both at $CITYSCAPES_URL"
    fi
  fi
  fetch_and_unpack "$CITYSCAPES_URL/file-handling/?packageID=$number" "$file"
done
