# shellcheck shell=bash
# Sourced by the download scripts: fetches files whole or not at all, and unpacks archives once.
#
# A file grows as NAME.part and gets its name when it is whole: of the size that the server tells,
# with the checksum that the source publishes, and no web page. A script that is run again goes on
# where it was interrupted and downloads nothing twice. For bash 3.2 and later, with curl.

set -euo pipefail

# Set by common_option, or by the script.
OUTPUT_DIR=.
REMOVE_ARCHIVES=false
# More arguments of curl, such as a login's cookies.
CURL_ARGUMENTS=()
# How often a broken connection is taken up again, and the pause before it in seconds.
DOWNLOAD_ATTEMPTS="${DOWNLOAD_ATTEMPTS:-8}"
DOWNLOAD_PAUSE="${DOWNLOAD_PAUSE:-5}"

common_help() {
  cat <<TEXT
  --output_dir=DIR    where the files go (default: the current folder)
  --remove_archives   delete an archive once it is unpacked
  --help              this text
TEXT
}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

need_command() {
  command -v "$1" >/dev/null 2>&1 || die "this script needs $1, which is not installed: install it and run the script again"
}

# common_option ARGUMENT: takes an option that all scripts have; false if it is another argument.
common_option() {
  case "$1" in
    --output_dir=?*) OUTPUT_DIR="${1#*=}" ;;
    --remove_archives) REMOVE_ARCHIVES=true ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) return 1 ;;
  esac
}

# unknown_argument ARGUMENT: ends with a sentence that shows what there is.
unknown_argument() {
  die "$1 is not known; $(basename "$0") --help shows what there is"
}

# file_bytes FILE: its size; 0 if there is none.
file_bytes() {
  if [ -f "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi
}

# header NAME FILE: the value of a header in the last answer that curl has written there.
header() {
  tr -d '\r' <"$2" | awk -v name="$1" '
    /^HTTP\// { value = "" }
    { at = index($0, ":") }
    at && tolower(substr($0, 1, at - 1)) == name {
      text = substr($0, at + 1)
      sub(/^ +/, "", text)
      value = value == "" ? text : value "," text
    }
    END { print value }'
}

# whole_bytes HEADERS: size of the whole file by an answer's headers; empty if it does not say.
whole_bytes() {
  local range
  range="$(header content-range "$1")"
  if [ -n "$range" ]; then
    range="${range##*/}"
    if [ "$range" != "*" ]; then echo "$range"; fi
  elif [ -z "$(header content-encoding "$1")" ]; then
    header content-length "$1"
  fi
}

# checksum ALGORITHM FILE: md5 or sha256 in hexadecimal digits.
checksum() {
  case "$1" in
    md5) if command -v md5sum >/dev/null 2>&1; then md5sum <"$2"; else md5 -q "$2"; fi ;;
    sha256) if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$2"; else shasum -a 256 <"$2"; fi ;;
    *) die "no such checksum: $1" ;;
  esac | cut -d ' ' -f 1
}

# published_md5 HEADERS: the MD5 sum from the headers of Google's storage, in hexadecimal digits; may be empty.
published_md5() {
  local encoded
  encoded="$(header x-goog-hash "$1" | tr ',' '\n' | sed -n 's/^ *md5=//p')"
  if [ -n "$encoded" ]; then
    # -D on older Macs.
    { printf '%s' "$encoded" | base64 -d 2>/dev/null || printf '%s' "$encoded" | base64 -D; } | od -An -tx1 | tr -d ' \n'
  fi
}

# check_space BYTES DIR NAME: ends with a sentence if a disk has less room.
check_space() {
  local free
  free="$(df -Pk "$2" | awk 'NR == 2 { print $4 }')"
  if [ -n "$free" ] && [ "$1" -gt $((free * 1024)) ]; then
    die "$3 needs $(($1 / 1000000)) MB more, and $2 has $((free / 1000)) MB free: make room, or name another folder with --output_dir"
  fi
}

# is_page FILE HEADERS: whether a web page came instead of a file.
is_page() {
  case "$(header content-type "$2")" in text/html*) return 0 ;; esac
  head -c 512 "$1" 2>/dev/null | LC_ALL=C tr '[:upper:]' '[:lower:]' | LC_ALL=C grep -q -e '<!doctype html' -e '<html'
}

# fetch URL FILE [CHECK]: downloads a file; CHECK is md5:DIGITS, sha256:DIGITS or empty.
fetch() {
  local url="$1" file="$2" check="${3:-}"
  if [ -e "$file" ]; then
    echo "$file is there"
    return
  fi
  need_command curl
  mkdir -p "$(dirname "$file")" || die "the folder of $file cannot be made"
  local headers
  headers="$(mktemp)"
  _receive "$url" "$file" "$headers"
  if is_page "$file.part" "$headers"; then
    rm -f "$file.part" "$file.part.etag" "$headers"
    die "$url gave a web page instead of the file: open it in a browser to see what it says"
  fi
  if head -c 64 "$file.part" | LC_ALL=C grep -q '^version https://git-lfs'; then
    rm -f "$file.part" "$file.part.etag" "$headers"
    die "$url gave a pointer to a file in Git LFS instead of the file itself"
  fi
  if [ -z "$check" ] && [ -n "$(published_md5 "$headers")" ]; then
    check="md5:$(published_md5 "$headers")"
  fi
  rm -f "$headers"
  if [ -n "$check" ] && [ "$(checksum "${check%%:*}" "$file.part")" != "${check#*:}" ]; then
    rm -f "$file.part" "$file.part.etag"
    die "$url was damaged on the way or has changed: its ${check%%:*} is not ${check#*:}; run the script again"
  fi
  mv "$file.part" "$file"
  rm -f "$file.part.etag"
  echo "$file: $(file_bytes "$file") bytes"
}

# _curl ERRORS ARGUMENT ...: curl with CURL_ARGUMENTS; what it complains of goes to the file ERRORS,
# its progress to a terminal, if there is one.
_curl() {
  local errors="$1"
  shift
  if [ -t 2 ]; then
    if curl --progress-bar "${CURL_ARGUMENTS[@]+"${CURL_ARGUMENTS[@]}"}" "$@" 2>&1 | tee "$errors" >&2; then return 0; else return "${PIPESTATUS[0]}"; fi
  fi
  curl -sS "${CURL_ARGUMENTS[@]+"${CURL_ARGUMENTS[@]}"}" "$@" 2>"$errors"
}

# _receive URL FILE HEADERS: makes FILE.part as long as the server says that the file is.
_receive() {
  local url="$1" file="$2" headers="$3" part="$2.part" attempt=1 code status have bytes reason same etag
  while :; do
    have="$(file_bytes "$part")"
    code=0
    : >"$headers"
    # Before the first byte: is there room?
    if [ "$have" -eq 0 ] && curl -sLI --connect-timeout 30 "${CURL_ARGUMENTS[@]+"${CURL_ARGUMENTS[@]}"}" -D "$headers" -o /dev/null "$url"; then
      bytes="$(whole_bytes "$headers")"
      case "$(header content-type "$headers")" in
        text/html*) ;;
        *) if [ -n "$bytes" ]; then check_space "$bytes" "$(dirname "$file")" "$file"; fi ;;
      esac
    fi
    : >"$headers"
    # A server whose file has changed meanwhile then sends all of it.
    same=()
    if [ "$have" -gt 0 ] && [ -s "$part.etag" ]; then same=(-H "If-Range: $(cat "$part.etag")"); fi
    _curl "$headers.errors" -L --fail --connect-timeout 30 --speed-limit 1 --speed-time 60 -C - \
      "${same[@]+"${same[@]}"}" -D "$headers" -o "$part" "$url" || code=$?
    etag="$(header etag "$headers")"
    case "$etag" in W/* | "") rm -f "$part.etag" ;; *) printf '%s' "$etag" >"$part.etag" ;; esac
    status="$(awk '/^HTTP\// { status = $2 } END { print status }' "$headers")"
    bytes="$(whole_bytes "$headers")"
    have="$(file_bytes "$part")"
    if [ "$status" = 416 ] && [ "$have" = "$bytes" ]; then
      code=0 # It was whole already.
    fi
    if [ "$code" -eq 0 ]; then
      if [ -z "$bytes" ] || [ "$have" = "$bytes" ]; then
        rm -f "$headers.errors"
        return
      fi
      rm -f "$part" "$headers" "$headers.errors"
      die "$url: $have bytes came, the server said $bytes; run the script again"
    fi
    reason="$(tr '\r' '\n' <"$headers.errors" | sed -n 's/^curl: ([0-9]*) //p' | tail -1)"
    rm -f "$headers.errors"
    case "$code" in
      22)
        case "$status" in
          416 | 5?? | 429) ;;
          *)
            rm -f "$headers"
            die "$url cannot be downloaded: the server answers $status"
            ;;
        esac
        if [ "$status" = 416 ]; then rm -f "$part"; fi # Longer than the file: of another one.
        ;;
      33) rm -f "$part" ;; # The server cannot go on in the middle.
      23)
        rm -f "$headers"
        die "$file cannot be written (is the disk full?): $reason; what came is kept in $part"
        ;;
      1 | 3 | 6)
        rm -f "$headers"
        die "$url cannot be reached: $reason"
        ;;
    esac
    if [ "$attempt" -ge "$DOWNLOAD_ATTEMPTS" ]; then
      rm -f "$headers"
      die "$url broke off $attempt times ($reason); run the script again to go on"
    fi
    attempt=$((attempt + 1))
    echo "$(basename "$file"): $reason; going on in $DOWNLOAD_PAUSE s" >&2
    sleep "$DOWNLOAD_PAUSE"
  done
}

# fetch_and_unpack URL NAME [CHECK [FOLDER]]: an archive into OUTPUT_DIR, and its content beside it,
# once. With FOLDER, the archive's only folder gets that name.
fetch_and_unpack() {
  local archive="$OUTPUT_DIR/$2" mark="$OUTPUT_DIR/.unpacked/$2" target="$OUTPUT_DIR" folder="${4:-}"
  if [ -e "$mark" ]; then
    echo "$2 is there, unpacked"
    return
  fi
  case "$2" in *.zip) need_command unzip ;; *) need_command tar ;; esac
  fetch "$1" "$archive" "${3:-}"
  echo "unpacking $archive"
  if [ -n "$folder" ]; then
    target="$OUTPUT_DIR/.unpacking"
    rm -rf "$target"
    mkdir -p "$target"
  fi
  case "$2" in
    *.zip) unzip -q -o "$archive" -d "$target" || _not_unpacked "$archive" ;;
    *) tar -xf "$archive" -C "$target" || _not_unpacked "$archive" ;;
  esac
  if [ -n "$folder" ]; then _move_folder "$target" "$OUTPUT_DIR/$folder"; fi
  mkdir -p "$(dirname "$mark")"
  : >"$mark"
  if "$REMOVE_ARCHIVES"; then rm -f "$archive"; fi
}

# _move_folder UNPACKED FOLDER: moves the content of the only folder in UNPACKED, or of UNPACKED itself.
_move_folder() {
  local source="$1" content=("$1"/*)
  if [ ${#content[@]} -eq 1 ] && [ -d "${content[0]}" ]; then source="${content[0]}"; fi
  mkdir -p "$2"
  cp -R "$source/." "$2/"
  rm -rf "$1"
  echo "$2"
}

_not_unpacked() {
  die "$1 cannot be unpacked, is the disk full? Otherwise delete it and run the script again"
}
