"""Program: trains and evaluates a tiny network again and again, each time up to a kill.

Usage: killed_chain.py POINT,POINT,... FLAG...; at each POINT but the last, `never`, a start is
ended by SIGKILL. NUMBER counts within a start, from 1:
  before:NAME:NUMBER   when a file or folder is whole, before it gets this name
  inside:NAME:NUMBER   when half of the file's bytes are written
  after:NAME:NUMBER    right after it got its name
  evaluating:NUMBER    in the evaluation, when so many batches of all are predicted
  evaluated:NUMBER     after that evaluation, before anything of it is written
  trained:STEP         when this step is trained

Every start is a fork of this process, which has imported everything and run nothing: a start costs
no import. Prints how each of them ended.
"""

import os
import signal
import sys
import traceback

import absl.logging

from efficientvision.cli import run_main, train
from efficientvision.cli.flags import define_train_flags
from efficientvision.runs import run_setup
from efficientvision.training.evaluator import Evaluator
from efficientvision.training.train_step import TrainStep
from efficientvision.training.trainer import Trainer
from tests.training.killed_training import tiny_detector

# A metric that an untrained network has not: by step, with its best in the middle.
AP = {2: 0.2, 4: 0.4, 6: 0.3, 8: 0.5, 10: 0.45, 12: 0.4, 14: 0.35, 16: 0.3}


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_around_names(when, name, number):
    counts = dict.fromkeys(("before", "inside", "after"), 0)

    def reached(kind, path):
        if kind != when or os.path.basename(path) != name:
            return False
        counts[kind] += 1
        return counts[kind] == int(number)

    replace, sync = os.replace, os.fsync

    def watched_replace(source, target):
        if reached("before", target):
            _die()
        replace(source, target)
        if reached("after", target):
            _die()

    def watched_sync(file):
        # A temporary file is called .NAME.PROCESS.TIME.tmp, and synced when all is written.
        path = os.readlink(f"/proc/self/fd/{file}")
        parts = os.path.basename(path)[1:].rsplit(".", 3)
        if path.endswith(".tmp") and reached("inside", parts[0]):
            os.ftruncate(file, os.fstat(file).st_size // 2)
            _die()
        sync(file)

    os.replace, os.fsync = watched_replace, watched_sync


def kill_after_calls(owner, name, number):
    method, calls = getattr(owner, name), []

    def call(self, *args, **options):
        result = method(self, *args, **options)
        calls.append(1)
        if len(calls) == int(number):
            _die()
        return result

    setattr(owner, name, call)


def kill_when_trained(step):
    method = TrainStep.__call__

    def call(self, *args):
        losses = method(self, *args)
        if self._state.step >= int(step):
            _die()
        return losses

    TrainStep.__call__ = call


def give_metrics():
    """The evaluations' AP is that of the table."""
    evaluate, begin, trainers = Evaluator.evaluate, Trainer.__init__, []

    def noted(self, *args, **options):
        begin(self, *args, **options)
        trainers.append(self)

    def with_metric(self, *args, **options):
        metrics, report, evaluation = evaluate(self, *args, **options)
        return {**metrics, "AP": AP[trainers[-1].state.step]}, report, evaluation

    Trainer.__init__, Evaluator.evaluate = noted, with_metric


def start(point):
    run_setup.build_from_config = tiny_detector
    give_metrics()
    kind, *rest = point.split(":")
    if kind == "trained":
        kill_when_trained(*rest)
    elif kind == "evaluating":
        kill_after_calls(Evaluator, "_predict_batch", *rest)
    elif kind == "evaluated":
        kill_after_calls(Evaluator, "evaluate", *rest)
    elif kind != "never":
        kill_around_names(kind, *rest)
    define_train_flags()
    run_main(train.main)


def main():
    points = sys.argv.pop(1).split(",")
    absl.logging.set_verbosity("error")
    for point in points:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            try:
                start(point)
            except SystemExit as end:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(end.code or 0)
            except BaseException:
                traceback.print_exc()
                os._exit(70)
        _, status = os.waitpid(child, 0)
        print(f"== {point} ended with {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
