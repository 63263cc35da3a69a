#!/usr/bin/env bash
# Downloads PASCAL VOC.
. "$(dirname "$0")/download_common.sh"

# Where the files come from; another address serves a mirror.
VOC_URL="${VOC_URL:-http://host.robots.ox.ac.uk/pascal/VOC}"
VOC_AUG_URL="${VOC_AUG_URL:-http://cs.jhu.edu/~cxliu/data}"

usage() {
  cat <<TEXT
usage: $(basename "$0") [2007] [2012] [aug] [options]

Downloads PASCAL VOC to DIR/VOCdevkit:
  2007   VOC2007, trainval and test (0.9 GB)
  2012   VOC2012, trainval (2.0 GB)
  aug    what semantic segmentation is trained with: masks of 10,582 photos of VOC2012
         (SegmentationClassAug), and the lists train_aug.txt and val.txt
Without a name: 2007 and 2012.

$(common_help)
TEXT
}

selected=()
for argument in "$@"; do
  if common_option "$argument"; then continue; fi
  case "$argument" in
    2007 | 2012 | aug) selected+=("$argument") ;;
    *) unknown_argument "$argument" ;;
  esac
done
if [ ${#selected[@]} -eq 0 ]; then selected=(2007 2012); fi

for what in "${selected[@]}"; do
  case "$what" in
    2007)
      fetch_and_unpack "$VOC_URL/voc2007/VOCtrainval_06-Nov-2007.tar" VOCtrainval_06-Nov-2007.tar "${VOC2007_TRAINVAL_CHECK-md5:c52e279531787c972589f7e41ab4ae64}"
      fetch_and_unpack "$VOC_URL/voc2007/VOCtest_06-Nov-2007.tar" VOCtest_06-Nov-2007.tar
      ;;
    2012)
      fetch_and_unpack "$VOC_URL/voc2012/VOCtrainval_11-May-2012.tar" VOCtrainval_11-May-2012.tar "${VOC2012_CHECK-md5:6cd6e144f989b92b3379bac3b3de84fd}"
      ;;
    aug)
      # The archives hold SegmentationClassAug/ and list/, which belong into VOC2012.
      folder="$OUTPUT_DIR"
      OUTPUT_DIR="$folder/VOCdevkit/VOC2012"
      fetch_and_unpack "$VOC_AUG_URL/SegmentationClassAug.zip" SegmentationClassAug.zip
      fetch_and_unpack "$VOC_AUG_URL/list.zip" list.zip
      OUTPUT_DIR="$folder"
      ;;
  esac
done
