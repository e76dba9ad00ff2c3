"""MLflow: the server or store of MLFLOW_TRACKING_URI, else a database that all runs of TuiTune's home share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from tuitune.engine.trackers.base import PROJECT, Opening, Outcome
from tuitune.run.files import private_dir
from tuitune.run.places import home

_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "crashed": "FAILED"}
_MOST_PARAMS = 100
_LONGEST_PARAM = 500  # older servers take no more


class Mlflow:
    """A run in an experiment, by the client alone: nothing of mlflow's global state."""

    replaces = False  # a second value of a step would stand beside the first

    def __init__(self, opening: Opening) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        store = "" if uri else str(private_dir(home() / "mlflow"))
        uri = uri or f"sqlite:///{store}/mlflow.db"
        self._client = MlflowClient(tracking_uri=uri)
        name = opening.recipe.project or os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        self.id = self._again(opening.id) or self._begin(name, store, opening)
        self.where = f"mlflow ui --backend-store-uri {uri}" if store else f"run {self.id} of experiment {name}"

    def _again(self, former: str | None) -> str | None:
        if former is None:
            return None
        try:
            self._client.update_run(former, status="RUNNING")
        except MlflowException:  # deleted, or in another store
            return None
        return former

    def _begin(self, name: str, store: str, opening: Opening) -> str:
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(
            name, artifact_location=f"file://{store}/artifacts" if store else None
        )  # fmt: skip
        made = self._client.create_run(experiment, run_name=opening.title, tags={"tuitune.run": opening.folder.name})
        params = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in opening.config.items()]
        for batch in _batches(params):
            self._client.log_batch(made.info.run_id, params=batch)
        return str(made.info.run_id)

    def log(self, step: int, figures: Mapping[str, float], t: float) -> None:
        """Send the figures of a step in one request."""
        metrics = [Metric(name, value, int(t * 1000), step) for name, value in figures.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def close(self, outcome: Outcome, message: str) -> None:
        """Give the run its last status."""
        self._client.set_terminated(self.id, _STATUS[outcome])


def _batches(params: Sequence[Param]) -> list[Sequence[Param]]:
    return [params[start : start + _MOST_PARAMS] for start in range(0, len(params), _MOST_PARAMS)]
