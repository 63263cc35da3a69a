#!/usr/bin/env bash
# Downloads weights that other packages publish of the same networks: effdet, timm.
. "$(dirname "$0")/download_common.sh"

# Where the files come from; another address serves a mirror.
EFFDET_URL="${EFFDET_URL:-https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1}"
HUB_URL="${HUB_URL:-https://huggingface.co}"

usage() {
  cat <<TEXT
usage: $(basename "$0") PACKAGE:NAME ... [options]

Downloads weights to DIR. PACKAGE:NAME is one of
  effdet:tf_efficientdet_{d0..d7,d7x,lite0..lite4,lite3x}   ports of the published detectors (.pth)
  effdet:tf_efficientdet_{d0..d5}_ap                        those of Det-AdvProp
  effdet:efficientdet_{d0,d1,q0,q1,q2}                      trained by effdet's author
  timm:NAME          a classifier (.safetensors), by its name in timm:
    tf_efficientnet_b{0..5}.in1k, tf_efficientnet_lite{0..4}.in1k,
    tf_efficientnet_b{0..7}.{aa,ap,ns_jft}_in1k, ...

$(common_help)
TEXT
}

# effdet_file NAME: the file of effdet's release, without .pth.
effdet_file() {
  case "$1" in
    efficientdet_d0) echo efficientdet_d0-f3276ba8 ;;
    efficientdet_d1) echo efficientdet_d1-bb7e98fe ;;
    efficientdet_q0) echo efficientdet_q0-bdf1bdb5 ;;
    efficientdet_q1) echo efficientdet_q1b-d0612140 ;;
    efficientdet_q2) echo efficientdet_q2-0f7564e5 ;;
    tf_efficientdet_d0) echo tf_efficientdet_d0_34-f153e0cf ;;
    tf_efficientdet_d1) echo tf_efficientdet_d1_40-a30f94af ;;
    tf_efficientdet_d2) echo tf_efficientdet_d2_43-8107aa99 ;;
    tf_efficientdet_d3) echo tf_efficientdet_d3_47-0b525f35 ;;
    tf_efficientdet_d4) echo tf_efficientdet_d4_49-f56376d9 ;;
    tf_efficientdet_d5) echo tf_efficientdet_d5_51-c79f9be6 ;;
    tf_efficientdet_d6) echo tf_efficientdet_d6_52-4eda3773 ;;
    tf_efficientdet_d7) echo tf_efficientdet_d7_53-6d1d7a95 ;;
    tf_efficientdet_d7x) echo tf_efficientdet_d7x-f390b87c ;;
    tf_efficientdet_d0_ap) echo tf_efficientdet_d0_ap-d0cdbd0a ;;
    tf_efficientdet_d1_ap) echo tf_efficientdet_d1_ap-7721d075 ;;
    tf_efficientdet_d2_ap) echo tf_efficientdet_d2_ap-a2995c19 ;;
    tf_efficientdet_d3_ap) echo tf_efficientdet_d3_ap-e4a2feab ;;
    tf_efficientdet_d4_ap) echo tf_efficientdet_d4_ap-f601a5fc ;;
    tf_efficientdet_d5_ap) echo tf_efficientdet_d5_ap-3673ae5d ;;
    tf_efficientdet_lite0) echo tf_efficientdet_lite0-dfacfc78 ;;
    tf_efficientdet_lite1) echo tf_efficientdet_lite1-6dc7ab30 ;;
    tf_efficientdet_lite2) echo tf_efficientdet_lite2-86c5d55b ;;
    tf_efficientdet_lite3) echo tf_efficientdet_lite3-506852cb ;;
    tf_efficientdet_lite3x) echo tf_efficientdet_lite3x-8404c57b ;;
    tf_efficientdet_lite4) echo tf_efficientdet_lite4-391ddabc ;;
    *) return 1 ;;
  esac
}

names=()
for argument in "$@"; do
  if common_option "$argument"; then continue; fi
  case "$argument" in
    effdet:*)
      effdet_file "${argument#*:}" >/dev/null || unknown_argument "$argument"
      names+=("$argument")
      ;;
    timm:tf_efficientnet_b[0-7].* | timm:tf_efficientnet_lite[0-4].*)
      case "$argument" in *[!A-Za-z0-9_.:]*) unknown_argument "$argument" ;; esac
      names+=("$argument")
      ;;
    *) unknown_argument "$argument" ;;
  esac
done
if [ ${#names[@]} -eq 0 ]; then die "name weights; $(basename "$0") --help shows which there are"; fi

for name in "${names[@]}"; do
  package="${name%%:*}" name="${name#*:}"
  case "$package" in
    effdet) fetch "$EFFDET_URL/$(effdet_file "$name").pth" "$OUTPUT_DIR/$name.pth" ;;
    timm) fetch "$HUB_URL/timm/$name/resolve/main/model.safetensors" "$OUTPUT_DIR/$name.safetensors" ;;
  esac
done
