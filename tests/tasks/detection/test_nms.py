import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.tasks.detection import nms

# Two boxes of IoU 0.6 and one apart; scores out of order.
BOXES = np.array([[0, 0, 10, 8], [0, 0, 10, 10], [50, 50, 60, 60], [0, 2, 10, 10]], np.float32)
SCORES = np.array([0.6, 0.9, 0.5, 0.7], np.float32)


def _thresholds(method, **options):
    return nms.resolve_thresholds(method, **options)


def test_defaults_of_the_methods():
    assert _thresholds("hard") == (0.5, float("-inf"), 0.0)
    assert _thresholds(None, score_thresh=0.0) == (0.5, float("-inf"), 0.0)
    assert _thresholds("gaussian") == (1.0, float("-inf"), 0.25)
    assert _thresholds("gaussian", sigma=0.3, score_thresh=0.2) == (1.0, 0.2, 0.15)
    with pytest.raises(UserError, match="'soft'"):
        _thresholds("soft")


def test_hard_keeps_the_best_of_each_pile():
    kept, scores, valid = nms.suppress(BOXES, SCORES, _thresholds("hard"), 10, pad=False)
    assert kept.numpy().tolist() == [1, 2]
    assert int(valid) == 2
    np.testing.assert_allclose(scores, [0.9, 0.5])


def test_gaussian_lowers_scores_by_the_paper_s_formula():
    _, scores, _ = nms.suppress(BOXES[:2], SCORES[:2], _thresholds("gaussian"), 10, pad=False)
    np.testing.assert_allclose(scores, [0.9, 0.6 * np.exp(-(0.8**2) / 0.5)], rtol=1e-5)


def test_classes_do_not_suppress_each_other():
    classes = np.array([2, 0, 2, 0], np.int32)
    kept, scores, valid = nms.suppress_per_class(BOXES, SCORES, classes, _thresholds("hard"), 6, 3)
    assert int(valid) == 3
    assert kept.numpy().tolist() == [1, 0, 2, 0, 0, 0]
    np.testing.assert_allclose(scores, [0.9, 0.6, 0.5, 0, 0, 0])


def test_no_candidate_above_the_threshold():
    thresholds = _thresholds("gaussian", score_thresh=0.95)
    classes = np.zeros(4, np.int32)
    _, scores, valid = nms.suppress_per_class(BOXES, SCORES, classes, thresholds, 5, 3)
    assert int(valid) == 0
    assert not scores.numpy().any()


def test_offsets_separate_every_pair_of_classes():
    num_classes = 90
    boxes = np.tile(np.float32([[[-30, -30, 540, 540]]]), [1, num_classes, 1])
    scores = np.linspace(0.9, 0.1, num_classes, dtype=np.float32)[None]
    classes = np.arange(num_classes, dtype=np.int32)[None]
    _, _, valid = nms.suppress_with_class_offsets(
        boxes, scores, classes, _thresholds("hard"), 100, num_classes, (512, 512)
    )
    assert int(valid[0]) == num_classes


def _one_by_one(boxes, scores, count, decay):
    """The best box lowers the scores of the rest by `decay(IoU)`; then the best of those."""
    scores, kept, kept_scores = scores.astype(np.float64), [], []
    for _ in range(count):
        top = int(scores.argmax())
        kept.append(top)
        kept_scores.append(scores[top])
        low, high = (
            np.maximum(boxes[top, :2], boxes[:, :2]),
            np.minimum(boxes[top, 2:], boxes[:, 2:]),
        )
        inter = np.maximum(high - low, 0).prod(1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        scores *= decay(inter / (areas + areas[top] - inter))
        scores[top] = -1.0
    return kept, kept_scores


@pytest.mark.parametrize(
    ("method", "decay"),
    [("hard", lambda iou: iou <= 0.5), ("gaussian", lambda iou: np.exp(-(iou**2) / 0.5))],
)
def test_boxes_are_chosen_one_by_one(method, decay):
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 500, (300, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(50, 300, (300, 2))], 1).astype(np.float32)
    scores = rng.permutation(300).astype(np.float32) / 300 + 0.01
    kept, kept_scores, _ = nms.suppress(boxes, scores, _thresholds(method), 20, pad=False)
    expected, expected_scores = _one_by_one(boxes, scores, 20, decay)
    assert kept.numpy().tolist() == expected
    np.testing.assert_allclose(kept_scores, expected_scores, rtol=1e-4)
