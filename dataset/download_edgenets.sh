#!/usr/bin/env bash
# Downloads the published weights of EdgeNets: ESPNetv2, DiCENet, ShuffleNetv2.
. "$(dirname "$0")/download_common.sh"

# Where the files come from; another address serves a mirror.
EDGENETS_URL="${EDGENETS_URL:-https://raw.githubusercontent.com/sacmehta/EdgeNets/master}"

usage() {
  cat <<TEXT
usage: $(basename "$0") NAME ... [options]

Downloads weights (.pth, 1 to 25 MB each) to DIR. NAME is a model, for its ImageNet classifier, or a
file's name without .pth:
  espnetv2_s_{0.5,1.0,1.25,1.5,2.0}, dicenet_s_{0.2,0.5,0.75,1.0,1.25,1.5,1.75,2.0}, shufflenetv2_s_0.5
  MODEL_imagenet_224x224                  the same
  MODEL_pascal_{256x256,384x384}          segmentation of PASCAL VOC
  MODEL_city_{512x256,1024x512}           segmentation of Cityscapes
  espnetv2_s_2.0_{pascal,coco}_{300x300,512x512}   SSD detection
The authors have not published every model of every kind.

$(common_help)
TEXT
}

names=()
for argument in "$@"; do
  if common_option "$argument"; then continue; fi
  case "${argument%.pth}" in
    espnetv2_s_[0-9]* | dicenet_s_[0-9]* | shufflenetv2_s_[0-9]*) names+=("${argument%.pth}") ;;
    *) unknown_argument "$argument" ;;
  esac
done
if [ ${#names[@]} -eq 0 ]; then die "name a model; $(basename "$0") --help shows which there are"; fi

for name in "${names[@]}"; do
  case "$name" in
    *_imagenet_*) task=classification ;;
    *_300x300 | *_512x512) task=detection ;;
    *_pascal_* | *_city_*) task=segmentation ;;
    *_s_*_*) unknown_argument "$name" ;;
    *)
      task=classification
      name="${name}_imagenet_224x224"
      ;;
  esac
  fetch "$EDGENETS_URL/model/$task/model_zoo/${name%%_s_*}/$name.pth" "$OUTPUT_DIR/$name.pth"
done
