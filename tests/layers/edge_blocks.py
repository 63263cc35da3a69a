"""How each golden of an EdgeNets block is made of our layers.

A case is a function of symbolic inputs. The layers' names are the keys of its state dict; those of
a layer called `BLOCK` begin below it.
"""

import functools

import keras
from keras import ops

from efficientvision.layers import edge_conv, shuffle
from efficientvision.layers.dice import DiceUnit, ShuffleDiceUnit, StridedDiceUnit
from efficientvision.layers.edge_conv import CB_NAMES, CBR_NAMES, ConvBlock, LayerStack
from efficientvision.layers.eesp import EESP, DownSampler
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.normalization import BatchNorm
from efficientvision.layers.pooling import avg_pool_3x3
from efficientvision.layers.prelu import PReLU
from efficientvision.layers.pyramid_pooling import PointwiseConv, PyramidPooling

BLOCK = "block"
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


def _layer(make, *args, **options):
    return lambda *inputs: make(*args, name=BLOCK, batch_norm=BATCH_NORM, **options)(*inputs)


_cbr = functools.partial(_layer, ConvBlock, names=CBR_NAMES)
_named_cbr = functools.partial(ConvBlock, names=CBR_NAMES, batch_norm=BATCH_NORM)


def _dilated_groups(inputs):
    x = GroupedConv2D(8, 3, 1, 2, 2, name="cbr.0")(inputs)
    x = BatchNorm(name="cbr.1", **BATCH_NORM)(x)
    return PReLU(name="cbr.2")(x)


def _reinforced(limit, halvings):
    """The original pools the image inside the block, until its height is the features'."""

    def run(features, image):
        for _ in range(halvings):
            image = avg_pool_3x3(image)
        return _layer(DownSampler, 32, 4, limit)(features, image)

    return run


def _ssd_extra(inputs):
    shared = {"names": CBR_NAMES, "batch_norm": BATCH_NORM}
    layers = [ConvBlock(6, 3, 2, groups=6, name="0", **shared), ConvBlock(8, 1, name="1", **shared)]
    return LayerStack(layers, name="layer")(inputs)


def _efficient_depthwise(inputs, filters, groups, prefix=""):
    """A variant that no published model has."""
    x = _named_cbr(8, 3, groups=8, name=f"{prefix}conv_channel")(inputs)
    weigh = GroupedConv2D(filters, 1, name=f"{prefix}linear_comb_layer.1")
    weights = ops.sigmoid(weigh(ops.mean(x, (1, 2), keepdims=True)))
    return _named_cbr(filters, 3, groups=groups, name=f"{prefix}proj_layer")(x) * weights


def _strided_efficient(inputs):
    x = _named_cbr(8, 3, 2, groups=8, name="pool_layer")(inputs)
    return ops.concatenate([x, _efficient_depthwise(x, 8, 8, "dw_layer.")], -1)


def _strided_depthwise(inputs):
    x = _named_cbr(8, 3, 2, groups=8, name="pool_layer")(inputs)
    work = shuffle.SeparableConvBlock(8, name="dwise_layer", batch_norm=BATCH_NORM)
    return ops.concatenate([x, work(x)], -1)


CASES = {
    "conv/cbr_k3": _cbr(8, 3),
    "conv/cbr_k3_s2_odd": _cbr(8, 3, 2),
    "conv/cbr_k3_s2_even": _cbr(8, 3, 2),
    "conv/cbr_k3_d2_g2": _dilated_groups,
    "conv/cbr_dw_s2": _cbr(6, 3, 2, groups=6),
    "conv/cb_k3_dilation_ignored": _layer(ConvBlock, 8, 3, activation=False, names=CB_NAMES),
    "conv/br": _layer(edge_conv.NormAct, names=("br.0", "br.1")),
    "conv/eu_cbr_k3_s2": _layer(ConvBlock, 8, 3, 2),
    "conv/eu_cb_k1_g2": _layer(ConvBlock, 8, 1, groups=2, activation=False),
    "conv/eu_cdilated_d3_s2_dw": lambda x: GroupedConv2D(6, 3, 2, 3, 6, name="conv")(x),
    "conv/ssd_extra": _ssd_extra,
    "conv/prelu": lambda x: PReLU(name=BLOCK)(x),
    "eesp/eesp_s1_res": _layer(EESP, 16, 1, 4, 9),
    "eesp/eesp_s1_nores": _layer(EESP, 32, 1, 4, 7),
    "eesp/eesp_s2_avg": _layer(EESP, 16, 2, 4, 13, final_activation=False),
    "eesp/eesp_s2_esp": _layer(EESP, 32, 2, 4, 9),
    "eesp/eesp_rlim5": _layer(EESP, 16, 1, 4, 5),
    "eesp/down_reinf": _reinforced(9, 2),
    "eesp/down_reinf_odd": _reinforced(11, 3),
    "eesp/down_noinput2": _layer(DownSampler, 32, 4, 7),
    "dice/dice_8_12_hw7_eq": _layer(DiceUnit, 12, (7, 7)),
    "dice/dice_8_12_hw7_smaller": _layer(DiceUnit, 12, (7, 7)),
    "dice/dice_8_12_hw7_larger": _layer(DiceUnit, 12, (7, 7)),
    "dice/dice_8_12_hw7_mixed": _layer(DiceUnit, 12, (7, 7)),
    "dice/dice_8_12_hw7_double": _layer(DiceUnit, 12, (7, 7)),
    "dice/dice_8_8_h6_w9": _layer(DiceUnit, 8, (6, 9)),
    "dice/strided_dice_8_hw7_14": _layer(StridedDiceUnit, (7, 7)),
    "dice/strided_dice_8_hw7_21x12": _layer(StridedDiceUnit, (7, 7)),
    "dice/shuffle_dice_16_24": _layer(ShuffleDiceUnit, 24, (7, 7)),
    "shuffle/shuffle_g2": lambda x: shuffle.channel_shuffle(x, 2),
    "shuffle/shuffle_g3": lambda x: shuffle.channel_shuffle(x, 3),
    "shuffle/dwsep": _layer(shuffle.SeparableConvBlock, 12),
    "shuffle/dwsep_s2": _layer(shuffle.SeparableConvBlock, 8, 2),
    "shuffle/strided_shuffle": _layer(shuffle.StridedShuffleUnit),
    "shuffle/shuffle_block_16_24": _layer(shuffle.ShuffleUnit, 24),
    "shuffle/effdw": lambda x: _efficient_depthwise(x, 12, 4),
    "shuffle/strided_effdw": _strided_efficient,
    "shuffle/strided_dwise": _strided_depthwise,
    "epp/epp_default_16": _layer(PyramidPooling, 16, 10),
    "epp/epp_default_13x20": _layer(PyramidPooling, 16, 10),
    "epp/epp_default_3x3": _layer(PyramidPooling, 16, 10),
    "epp/epp_last_nobr": _layer(PyramidPooling, 21, 10, final_activation=False),
    "epp/epp_scales4": _layer(PyramidPooling, 16, 6, (0.25, 2.0, 0.5, 1.0)),
    "epp/epp_scales2_5x5": _layer(PyramidPooling, 16, 6, (2.0, 1.0)),
    "epp/pwconv_24_64": _layer(PointwiseConv, 64),
    "epp/pwconv_16_12": _layer(PointwiseConv, 12),
}


def build(case, input_shapes):
    """A model of the case, whose layers have the global dtype policy.

    Args:
        case: a key of `CASES`.
        input_shapes: `(H, W, C)` of each input.
    """
    inputs = [keras.Input(shape) for shape in input_shapes]
    return keras.Model(inputs, CASES[case](*inputs))
