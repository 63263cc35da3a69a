"""Every family with every kind of head keeps the contract of networks (`tests/contract.py`)."""

import pytest

from tests.contract import (
    Network,
    check_bfloat16,
    check_exports,
    check_in_a_new_process,
    check_learning_in_bfloat16,
    check_network,
    check_replicas,
)

SMALL = {"num_classes": 2, "fpn_num_filters": 8, "fpn_cell_repeats": 1, "box_class_repeats": 1}
LEVELS_4_TO_6 = {"min_level": 4, "max_level": 6}
# Logits of 9 anchors of 2 classes, and their boxes.
OF_4_TO_6 = (
    *((4, 6, 18), (2, 3, 18), (1, 2, 18)),
    *((4, 6, 36), (2, 3, 36), (1, 2, 36)),
)
OF_3_TO_5 = (
    *((8, 12, 18), (4, 6, 18), (2, 3, 18)),
    *((8, 12, 36), (4, 6, 36), (2, 3, 36)),
)
# Levels 3 to 8, of 6 priors a cell: (96 + 24 + 6 + 2 + 1 + 1) * 6.
PRIORS = ((780, 4), (780, 4))
# Slopes that the down-samplers of EESP units hold, as the published files do, and never apply.
EESP_UNUSED = r"level\d_0/eesp/module_act/alpha$"
NETWORKS = {
    "efficientdet_bifpn": Network(
        "efficientdet-d0",
        outputs=(*OF_4_TO_6, (8, 12, 5)),
        parameters=(1_179_408, 1_192_496),
        half="fpn_cells",
        options={
            **SMALL,
            **LEVELS_4_TO_6,
            "heads": ["object_detection", "segmentation"],
            "seg_num_classes": 5,
            "grad_checkpoint": True,
        },
    ),
    "efficientdet_qufpn": Network(
        "efficientdet-d0",
        outputs=OF_3_TO_5,
        parameters=(1_181_850, 1_195_114),
        half="class_net",
        options={**SMALL, "fpn_name": "qufpn", "min_level": 3, "max_level": 5},
    ),
    "efficientdet_vfpn": Network(
        "efficientdet-d0",
        outputs=OF_4_TO_6,
        parameters=(1_184_146, 1_197_362),
        half="box_net",
        options={**SMALL, **LEVELS_4_TO_6, "fpn_name": "vfpn", "fpn_cell_repeats": 2},
    ),
    "efficientdet_lite": Network(
        "efficientdet-lite0",
        outputs=OF_4_TO_6,
        parameters=(1_005_894, 1_018_982),
        half="efficientnet-lite0",
        options={
            **SMALL,
            **LEVELS_4_TO_6,
            "box_class_repeats": 2,
            "separable_conv": False,
            "conv_bn_act_pattern": True,
            "conv_after_downsample": True,
            "apply_bn_for_resampling": False,
            "survival_prob": 0.8,
        },
    ),
    **{
        f"classifier_{name}": Network(
            name,
            outputs=((3,),),
            parameters=parameters,
            half=name,
            options={"num_classes": 3},
            # Beside the slopes, the reinforcement of a level of one cell.
            unused=rf"{EESP_UNUSED}|level5_0/inp_reinf",
        )
        for name, parameters in {
            "efficientnet-b0": (1_582_591, 1_597_983),
            "efficientnet-lite0": (1_404_419, 1_419_811),
            "espnetv2_s_0.5": (122_991, 129_663),
            "dicenet_s_0.2": (70_007, 73_175),
            "shufflenetv2_s_0.1": (45_491, 47_427),
        }.items()
    },
    "segmenter_espnetv2": Network(
        "espnetv2_s_0.5",
        task="segmentation",
        outputs=((64, 96, 4), (64, 96, 4)),
        parameters=(26_058, 28_900),
        half="bu_dec_l1",
        options={"num_classes": 4, "auxiliary": True},
        unused=EESP_UNUSED,
    ),
    "segmenter_dicenet": Network(
        "dicenet_s_0.2",
        task="segmentation",
        outputs=((64, 96, 4),),
        parameters=(19_100, 21_452),
        half="base_net",
        options={"num_classes": 4},
    ),
    "segmenter_efficientnet": Network(
        "efficientnet-lite0",
        task="segmentation",
        outputs=((64, 96, 4),),
        parameters=(169_636, 175_124),
        half="efficientnet-lite0",
        options={"num_classes": 4},
    ),
    **{
        f"ssd_{name.partition('_')[0]}": Network(
            name,
            task="detection",
            outputs=PRIORS,
            parameters=parameters,
            half="base_net.bu_5x5_10x10",
            options={"num_classes": 4},
            unused=EESP_UNUSED,
        )
        for name, parameters in {
            "espnetv2_s_0.5": (1_645_802, 1_663_838),
            "shufflenetv2_s_0.1": (411_750, 417_642),
            "dicenet_s_0.2": (4_278_861, 4_294_383),
        }.items()
    },
}
# These have every kind of layer, and every task.
WHOLE = ("efficientdet_bifpn", "classifier_dicenet_s_0.2", "segmenter_espnetv2", "ssd_shufflenetv2")
# All its parts are in others; it has four million parameters whatever its width.
SLOW = {"ssd_dicenet"}
# Read in a new process by a fast test, with another fusion; the others are by a slow one.
READ = {name: NETWORKS[name] for name in (*WHOLE, "efficientdet_vfpn")}
OTHERS = {name: network for name, network in NETWORKS.items() if name not in WHOLE}


def _slow_but(fast):
    return [
        name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS
    ]


@pytest.mark.parametrize("name", _slow_but(NETWORKS.keys() - SLOW))
def test_network(name):
    check_network(NETWORKS[name])


@pytest.mark.parametrize("name", _slow_but(READ))
def test_bfloat16(name):
    check_bfloat16(NETWORKS[name])


@pytest.mark.parametrize("name", _slow_but(WHOLE[:1]))
def test_exports(name):
    check_exports(NETWORKS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_in_a_new_process(name):
    check_in_a_new_process(name, READ, WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_two_replicas(name):
    check_replicas(name, READ, WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_in_another_process(name):
    check_in_a_new_process(name, OTHERS, OTHERS)
    check_replicas(name, OTHERS, OTHERS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["espnetv2_s_0.5", "dicenet_s_0.2", "shufflenetv2_s_0.1"])
def test_learning_in_bfloat16(name):
    check_learning_in_bfloat16(NETWORKS[f"classifier_{name}"])
