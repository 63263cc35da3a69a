"""Stand-ins for the packages wandb and mlflow that note what they are called with."""

import types


class FakeError(Exception):
    pass


class FakeWandb(types.ModuleType):
    """The part of wandb that is used. `calls` has (name, arguments) in order."""

    Error = FakeError

    def __init__(self):
        super().__init__("wandb")
        self.calls = []
        self.run = None
        self.refused = None

    def init(self, **options):
        if self.refused:
            raise FakeError(self.refused)
        self.calls.append(("init", options))
        return self.opened(options["id"] or "new-id")

    def opened(self, run_id):
        """A run whose methods are noted."""
        note = lambda name: lambda *args, **more: self.calls.append((name, args or more))  # noqa: E731
        return types.SimpleNamespace(
            id=run_id,
            log=note("log"),
            finish=note("finish"),
            define_metric=note("define_metric"),
            summary=types.SimpleNamespace(update=note("summary")),
            config=types.SimpleNamespace(update=note("config")),
        )

    def Image(self, path):  # noqa: N802
        return f"image {path}"

    def Html(self, path):  # noqa: N802
        return f"page {path}"

    def of(self, name):
        """The arguments of all calls of a name."""
        return [arguments for called, arguments in self.calls if called == name]


class FakeMlflow(types.ModuleType):
    """The part of mlflow that is used."""

    def __init__(self):
        super().__init__("mlflow")
        self.calls = []
        self.known = set()
        self.active = None
        self.refused = None
        self.entities = types.ModuleType("mlflow.entities")
        self.entities.Metric = lambda key, value, timestamp, step: (key, value, step)
        self.entities.Param = lambda key, value: (key, value)
        self.exceptions = types.ModuleType("mlflow.exceptions")
        self.exceptions.MlflowException = FakeError

    def active_run(self):
        return self.active

    def MlflowClient(self):  # noqa: N802
        return self

    def modules(self):
        """Entries for `sys.modules`."""
        return {
            "mlflow": self,
            "mlflow.entities": self.entities,
            "mlflow.exceptions": self.exceptions,
        }

    def get_experiment_by_name(self, name):
        if self.refused:
            raise FakeError(self.refused)

    def create_experiment(self, name):
        return f"experiment {name}"

    def create_run(self, experiment, run_name):
        run_id = f"run {len(self.known)} of {experiment}"
        self.known.add(run_id)
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_id))

    def update_run(self, run_id, status):
        if run_id not in self.known:
            raise FakeError("unknown")
        self.calls.append(("update_run", run_id, status))

    def log_batch(self, run_id, metrics=(), params=()):
        if self.refused:
            raise FakeError(self.refused)
        self.calls.append(("log_batch", run_id, metrics, params))

    def set_tag(self, run_id, name, value):
        self.calls.append(("set_tag", run_id, name, value))

    def log_artifact(self, run_id, path, folder):
        self.calls.append(("log_artifact", run_id, path.rpartition("/")[2], folder))

    def set_terminated(self, run_id, status):
        self.calls.append(("set_terminated", run_id, status))

    def of(self, name):
        """The arguments of all calls of a name."""
        return [arguments for called, *arguments in self.calls if called == name]
