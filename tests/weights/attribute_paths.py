"""The original's attribute path of a published name: the library's rule, the other way round."""

import re


def attribute_path(name, names, min_level):
    """Of one of the names of a network whose finest level is `min_level`."""
    parts = name.split("/")
    if parts[0].startswith("efficientnet-"):
        return "backbone/" + _of_backbone(parts[1:], names, parts[0])
    if parts[0].startswith("resample_p"):
        return "/".join(["resample_layers", str(int(parts[0][10:]) - 6), *parts[1:]])
    if parts[0] == "segmentation_head":
        index = parts[1].split("_")[-1]
        index = index if index.isdigit() else "0"
        if parts[1].startswith("bn_"):
            return f"seg_head/con2d_t_bns/{index}/{parts[2]}"
        last = "segmentation_head/conv2d_transpose_4"
        middle = "head_transpose" if name.startswith(last) else f"con2d_ts/{index}"
        return f"seg_head/{middle}/{parts[2]}"
    if parts[0] == "fpn_cells":
        out = []
        for part in parts:
            if part.startswith(("cell_", "fnode")):
                out += ["cells" if part[0] == "c" else "fnodes", re.sub(r"\D", "", part)]
            elif part.startswith("op_after_combine"):
                out.append("op_after_combine")
            elif part.startswith("resample_"):
                out += ["resample_layers", part.split("_")[1]]
            else:
                out.append("conv_op" if part == "conv" else part)
        return "/".join(out)
    pieces = parts[1].split("-")
    if pieces[1] == "predict":
        middle = ["classes" if parts[0] == "class_net" else "boxes"]
    elif len(pieces) == 2:
        middle = ["conv_ops", pieces[1]]
    else:
        middle = ["bns", pieces[1], str(int(pieces[3]) - min_level)]
    return "/".join([parts[0], *middle, parts[-1]])


def _of_backbone(parts, names, backbone):
    """Attributes below the backbone's."""
    if parts[0] == "stem":
        return f"_stem/{'_conv_stem' if parts[1] == 'conv2d' else '_bn'}/{parts[2]}"
    expands = f"{backbone}/{parts[0]}/conv2d_1/kernel" in names
    attributes = {
        "se/conv2d": "_se/_se_reduce",
        "se/conv2d_1": "_se/_se_expand",
        "depthwise_conv2d": "_depthwise_conv",
        "conv2d": "_expand_conv" if expands else "_project_conv",
        "conv2d_1": "_project_conv",
        "tpu_batch_normalization": "_bn0" if expands else "_bn1",
        "tpu_batch_normalization_1": "_bn1" if expands else "_bn2",
        "tpu_batch_normalization_2": "_bn2",
    }
    layer = attributes["/".join(parts[1:-1])]
    return f"_blocks/{parts[0].removeprefix('blocks_')}/{layer}/{parts[-1]}"
