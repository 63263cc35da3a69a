#!/usr/bin/env bash
# Downloads COCO 2017.
. "$(dirname "$0")/download_common.sh"

# Where the files come from; another address serves a mirror.
COCO_URL="${COCO_URL:-http://images.cocodataset.org}"

usage() {
  cat <<TEXT
usage: $(basename "$0") [train] [val] [test] [annotations] [test_info] [options]

Downloads COCO 2017 to DIR:
  train        photos of train2017 (18 GB)
  val          photos of val2017 (0.8 GB)
  test         photos of test2017 (6 GB)
  annotations  of train and val (0.25 GB)
  test_info    image_info_test2017, image_info_test-dev2017 (1 MB): names of the test photos
Without a name: val and annotations.

$(common_help)
TEXT
}

selected=()
for argument in "$@"; do
  if common_option "$argument"; then continue; fi
  case "$argument" in
    train | val | test | annotations | test_info) selected+=("$argument") ;;
    *) unknown_argument "$argument" ;;
  esac
done
if [ ${#selected[@]} -eq 0 ]; then selected=(val annotations); fi

for what in "${selected[@]}"; do
  case "$what" in
    annotations) fetch_and_unpack "$COCO_URL/annotations/annotations_trainval2017.zip" annotations_trainval2017.zip ;;
    test_info) fetch_and_unpack "$COCO_URL/annotations/image_info_test2017.zip" image_info_test2017.zip ;;
    *) fetch_and_unpack "$COCO_URL/zips/${what}2017.zip" "${what}2017.zip" ;;
  esac
done
