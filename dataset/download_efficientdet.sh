#!/usr/bin/env bash
# Downloads the published checkpoints of EfficientDet and EfficientNet.
. "$(dirname "$0")/download_common.sh"

# Where the files come from; another address serves a mirror.
CHECKPOINT_URL="${CHECKPOINT_URL:-https://storage.googleapis.com/cloud-tpu-checkpoints}"
VARIANT=ckptsaug

usage() {
  cat <<TEXT
usage: $(basename "$0") MODEL ... [options]

Downloads published checkpoints to DIR/MODEL:
  efficientdet-d0 ... efficientdet-d7, efficientdet-d7x,
  efficientdet-lite0 ... efficientdet-lite4, efficientdet-lite3x
  efficientdet-d0-advprop ... efficientdet-d5-advprop   trained with Det-AdvProp, on pixels of -1..1
  efficientdet-d2-640 ... efficientdet-d6-640           trained on images of 640x640
  efficientnet-b0 ... efficientnet-b7, efficientnet-lite0 ... efficientnet-lite4

  --variant=NAME      of efficientnet-b*: ckpts, ckptsaug (AutoAugment or RandAugment; default),
                      noisystudent, or advprop (to DIR/MODEL-advprop: on pixels of -1..1)
$(common_help)
TEXT
}

models=()
for argument in "$@"; do
  if common_option "$argument"; then continue; fi
  case "$argument" in
    --variant=ckpts | --variant=ckptsaug | --variant=advprop | --variant=noisystudent) VARIANT="${argument#*=}" ;;
    efficientdet-d[0-7] | efficientdet-d[0-5]-advprop | efficientdet-d[2-6]-640 | efficientdet-d7x | efficientdet-lite[0-4] | efficientdet-lite3x | efficientnet-b[0-7] | efficientnet-lite[0-4])
      models+=("$argument")
      ;;
    *) unknown_argument "$argument" ;;
  esac
done
if [ ${#models[@]} -eq 0 ]; then die "name a model; $(basename "$0") --help shows which there are"; fi

for model in "${models[@]}"; do
  folder=""
  case "$model" in
    efficientdet-lite*) path="efficientdet/coco/$model.tgz" ;;
    efficientdet-*-advprop)
      path="efficientdet/advprop/${model%-advprop}.tar.gz"
      folder="$model"
      ;;
    efficientdet-*-640)
      path="efficientdet/coco640/$model.tar.gz"
      folder="$model"
      ;;
    efficientdet-*) path="efficientdet/coco2/$model.tar.gz" ;;
    efficientnet-lite*) path="efficientnet/lite/$model.tar.gz" ;;
    *)
      case "$VARIANT" in
        noisystudent) path="efficientnet/noisystudent/noisy_student_$model.tar.gz" ;;
        advprop)
          path="efficientnet/$VARIANT/$model.tar.gz"
          folder="$model-advprop"
          ;;
        *) path="efficientnet/$VARIANT/$model.tar.gz" ;;
      esac
      ;;
  esac
  # Archives of several sets have the same name: the folder's tells them apart.
  if [ -n "$folder" ]; then name="$folder.tar.gz"; else name="$(basename "$path")"; fi
  fetch_and_unpack "$CHECKPOINT_URL/$path" "$name" "" "$folder"
done
