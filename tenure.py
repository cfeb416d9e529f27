"""tenure from Python: the jobs behind the commands, with frames in and out.

>>> import tenure
>>> project = tenure.Project.open("crm")  # doctest: +SKIP
>>> project.run()  # doctest: +SKIP
>>> project.scores().sort_values("health").head()  # doctest: +SKIP

A method does what the command of its name does, by the same functions: it reads `tenure.toml` and
the clock when it is called, takes the store's lock where the command takes it, and raises what the
command prints (`features.errors`). Tables come back as pandas frames, times as naive UTC; columns
of published tables are described in docs/reference/tables.md.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.cli.options import open_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import shap

    from features.definition import Card
    from models.bench import BenchResult
    from models.bundle import Bundle
    from models.contenders import Contender
    from pipeline.config.schema import Target
    from pipeline.engine.duckdb import Connection
    from pipeline.evaluations import VersionEvaluation
    from pipeline.jobs.changes import ScoreChanges
    from pipeline.jobs.contributions import Explains
    from pipeline.jobs.explain import Explained
    from pipeline.jobs.outcomes import OutcomesReport
    from pipeline.jobs.prepare import TrainingCounts
    from pipeline.jobs.promote import Promotion
    from pipeline.jobs.report import Briefs
    from pipeline.workspace import Workspace

__all__ = ["Project"]


@dataclass(frozen=True, repr=False)
class Project:
    """One target of a project folder, with all that commands do with it.

    Attributes
    ----------
    folder
        Where `tenure.toml` is.
    target
        Name of the target; `for_target` gives another one.
    data
        Folder where relative locations of sources start.
    engine
        What computes signals: `duckdb` or `spark`.
    """

    folder: Path
    target: str
    data: Path
    engine: Literal["duckdb", "spark"] = "duckdb"

    @classmethod
    def open(
        cls,
        path: str | Path = ".",
        *,
        target: str | None = None,
        data: str | Path | None = None,
        engine: Literal["duckdb", "spark"] = "duckdb",
    ) -> "Project":
        """Open the project in a folder.

        Parameters
        ----------
        target
            Name of the target; default: the first.
        data
            Folder with the tables; default: the project's own folder.

        Raises
        ------
        ConfigError
            When there is no `tenure.toml`, or a mistake in it.
        NotFound
            When it has no target of that name, listing those there are.
        """
        workspace, chosen = open_project(
            Path(path), target, None if data is None else Path(data), engine
        )
        return cls(workspace.folder, chosen.name, workspace.data_dir, engine)

    def __repr__(self) -> str:
        return f"Project({str(self.folder)!r}, target={self.target!r})"

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of all targets of the project file."""
        return tuple(each.name for each in self._opened()[0].project.targets)

    def for_target(self, name: str) -> "Project":
        """The same project, asked about another target."""
        return Project.open(self.folder, target=name, data=self.data, engine=self.engine)

    # Data and signals

    def check(self) -> "pd.DataFrame":
        """Read the tables and check them, as `tenure check` does.

        Returns
        -------
        pandas.DataFrame
            One row per finding: name, severity (`stop`, `warn`, `info`), source, what, todo, count,
            total, unit, examples, column, clock, share, accepted (the reason in `[checks] accept`).
            A `stop` without a reason makes `run` and `train` refuse.
        """
        import pandas as pd

        from pipeline.checking import check_sources
        from pipeline.jobs.stage import stage_sources

        with self._writing() as (workspace, target, connection):
            stage_sources(workspace, connection)
            report = check_sources(workspace, connection, target)
        return pd.DataFrame(report.to_dict()["findings"])

    def build_features(self) -> "TrainingCounts":
        """Read the tables and build signals and outcomes, as `tenure features` does.

        Returns
        -------
        TrainingCounts
            signals, rows, accounts, labelled, leavers, rate, dates, test_leavers, test_rows.
        """
        from pipeline.jobs.prepare import prepare_training
        from pipeline.jobs.stage import stage_sources

        with self._writing() as (workspace, target, connection):
            stage_sources(workspace, connection)
            return prepare_training(workspace, connection, target)

    def features(self) -> "pd.DataFrame":
        """What models learn from: account_id, as_of, and a column per signal (`signals`).

        One row per account and date; NaN where the feed did not cover the window.
        """
        from pipeline.jobs.prepare import feature_set

        workspace, target = self._opened()
        feature_set(workspace, target)  # refuses a set that was built by half
        return workspace.store.read(f"features_{target.name}")

    def labels(self) -> "pd.DataFrame":
        """What happened after each row of `features`.

        Returns
        -------
        pandas.DataFrame
            account_id, as_of, label (1, 0, or null where it is not known yet), label_reason,
            label_until, event_at, is_test (whether the date belongs to the untouched test).
        """
        from pipeline.jobs.prepare import feature_set

        workspace, target = self._opened()
        feature_set(workspace, target)
        mine = [("target", "=", target.name)]
        keys = ["account_id", "as_of"]
        rows = workspace.store.read("labels", filters=mine).drop(columns="target")
        dates = workspace.store.read("snapshots", columns=[*keys, "is_test"], filters=mine)
        return rows.merge(dates, on=keys).sort_values(keys, kind="stable", ignore_index=True)

    def signals(self) -> "pd.DataFrame":
        """What each column of `features` means.

        Returns
        -------
        pandas.DataFrame
            One row per signal: column, driver, dimension, source, meaning, unit, phrase,
            window_days, worse (`up`, `down` or null), nature, reason and what else its card says.
        """
        import pandas as pd

        from pipeline.jobs.prepare import feature_set

        signals = feature_set(*self._opened()).signals
        return pd.DataFrame([signal.to_dict() for signal in signals])

    def own_signal(self, card: "Card") -> "pd.DataFrame":
        """A signal of your own on every row of `features`, before it is in any catalogue.

        Parameters
        ----------
        card
            What is measured, over which windows, and what it means.

        Returns
        -------
        pandas.DataFrame
            account_id, as_of, and a column for each window of the card. Nothing is kept.

        Raises
        ------
        ConfigError
            When the project has no source, or not the columns, that the card needs.
        """
        from pipeline.engine.duckdb import connected
        from pipeline.jobs.prepare import own_signal

        workspace, target = self._opened()
        with connected() as connection:
            return own_signal(workspace, connection, target, card)

    # Models

    def train(self, *, again: bool = False) -> "Bundle":
        """Tune, calibrate and register a candidate, as `tenure train` does.

        Parameters
        ----------
        again
            Train although nothing changed since the candidate there is.

        Returns
        -------
        Bundle
            The candidate: model_version, basis, model (signals, training, target), scale, facts.

        Raises
        ------
        LeakageError
            When a signal nearly tells the outcome alone, or sources would teach the future.
        TooFewEvents
            When too few accounts had the event.
        """
        from pipeline.jobs.run import refuse_leaking_store
        from pipeline.jobs.train import train_if_changed, train_target

        workspace, target = self._opened()
        with workspace.store.writing():
            refuse_leaking_store(workspace, target)
            return (train_target if again else train_if_changed)(workspace, target).bundle

    def evaluate(self) -> "VersionEvaluation":
        """Judge the candidate on the untouched test, as `tenure evaluate` does.

        Returns
        -------
        VersionEvaluation
            gates, refusals, test (metrics with intervals), baselines, bands, segments, ...;
            `to_dict()` is what `tenure evaluate --json` prints.
        """
        from pipeline.jobs.evaluate import evaluate_target

        workspace, target = self._opened()
        with workspace.store.writing():
            return evaluate_target(workspace, target)

    def backtest(self) -> "pd.DataFrame":
        """Scores of the untouched test beside what happened, as the last `evaluate` left them.

        Returns
        -------
        pandas.DataFrame
            account_id, as_of, label, probability, health, band, left_at, model_version, and for
            contracts probability_at_decision and decides.
        """
        workspace, target = self._opened()
        rows = workspace.store.read("backtest", filters=[("target", "=", target.name)])
        return rows.drop(columns="target")

    def bench(self, own: "Sequence[Contender]" = ()) -> "BenchResult":
        """Compare all methods on the same test, as `tenure bench` does.

        Parameters
        ----------
        own
            Methods of your own, compared beside the others. With one the result is returned only;
            without, it is also kept for `promote`.

        Returns
        -------
        BenchResult
            validation (a row per method) and figures (a row per method and metric) as frames;
            recommended, reason, skipped.
        """
        from pipeline.jobs.bench import bench_target

        workspace, target = self._opened()
        with workspace.store.writing():
            return bench_target(workspace, target, own=own)

    def promote(self, *, acknowledge: str | None = None, scorecard: bool = False) -> "Promotion":
        """Put the candidate to use if it passes its gates, as `tenure promote` does.

        Parameters
        ----------
        acknowledge
            Why you accept problems of the scale, or a candidate not shown to be as good as the
            model in use; the reason is recorded.
        scorecard
            Publish the scorecard instead of the model.

        Raises
        ------
        GateRefused
            Naming the gates that refused and why.
        """
        from pipeline.jobs.promote import promote_target

        workspace, target = self._opened()
        with workspace.store.writing():
            return promote_target(
                workspace, target, acknowledge=acknowledge, use_scorecard=scorecard
            )

    def model(self, *, candidate: bool = False) -> "Bundle":
        """The model in use, or the candidate.

        Raises
        ------
        NoModel
            When none is in use.
        NotFound
            When there is no candidate.
        """
        from pipeline.jobs.registry import need_version
        from pipeline.tracking import CHALLENGER, CHAMPION

        workspace, target = self._opened()
        alias = CHALLENGER if candidate else CHAMPION
        return need_version(workspace, target, alias, "Run `train`, `evaluate`, `promote`.").bundle

    def model_uri(self, *, candidate: bool = False) -> str:
        """Where `mlflow.pyfunc.load_model` finds the model in use, or the candidate; MLflow is
        pointed at the project's registry.
        """
        from pipeline.jobs.registry import registered_model
        from pipeline.tracking import CHALLENGER, CHAMPION

        models = registered_model(*self._opened())
        return f"models:/{models.name}@{CHALLENGER if candidate else CHAMPION}"

    # Scores

    def run(
        self,
        as_of: date | None = None,
        *,
        pages: "Briefs" = "none",
        again: bool = False,
        say: Callable[[str, str], None] | None = None,
    ) -> "pd.DataFrame":
        """Do everything, from reading the tables to writing the pages, as `tenure run` does.

        Parameters
        ----------
        as_of
            Date to score; default: the end of the data.
        pages
            Accounts that get a page of their own: `all`, `at-risk`, `none`.
        again
            Train although nothing changed.
        say
            Called with step and sentence for each line that the command would print.

        Returns
        -------
        pandas.DataFrame
            The published scores.
        """
        from pipeline.flow import run_flows

        workspace, target = self._opened()
        (done,) = run_flows(workspace, (target,), say or _say_nothing, as_of, pages, is_again=again)
        return done.published.scores

    def score(
        self,
        as_of: date | None = None,
        *,
        candidate: bool = False,
        allow_stale: Mapping[str, str] | None = None,
        accept_shift: str | None = None,
        backfill: bool = False,
        pages: "Briefs" = "none",
    ) -> "pd.DataFrame":
        """Score every account on a date, publish and draw the pages, as `tenure score` does.

        Parameters
        ----------
        as_of
            Date to score; default: the end of the data.
        candidate
            Score with the candidate, not the model in use.
        allow_stale
            Stale source -> why you accept it; the reason is recorded.
        accept_shift
            Why you publish although scores moved far; the reason is recorded.
        backfill
            Also score a date before the first that the model learned from.
        pages
            Accounts that get a page of their own: `all`, `at-risk`, `none`.

        Returns
        -------
        pandas.DataFrame
            The published scores.

        Raises
        ------
        GateRefused
            When a source is stale or scores moved too far; nothing was published.
        NoModel
            When no model is in use.
        """
        from pipeline.jobs.report import write_reports
        from pipeline.jobs.score import score_target
        from pipeline.jobs.stage import stage_sources

        accepted = dict(allow_stale or {})
        with self._writing() as (workspace, target, connection):
            stage_sources(workspace, connection, keep=list(accepted))
            published = score_target(
                workspace,
                connection,
                target,
                as_of,
                use_candidate=candidate,
                allow_stale=accepted,
                accept_shift=accept_shift,
                backfill=backfill,
            )
            write_reports(workspace, target, published, pages)
        return published.scores

    def runs(self) -> "pd.DataFrame":
        """The run that readers see of each date, oldest first: run_id, as_of, basis, model_version,
        ..., and `marker`, what changed since the date before.
        """
        from pipeline.ledger import run_history

        workspace, target = self._opened()
        return run_history(workspace.store, target.name)

    def scores(self, as_of: date | None = None) -> "pd.DataFrame":
        """Published scores of the current run, or of the run of a date: one row per account."""
        return self._published("scores", as_of)

    def side_by_side(self) -> "pd.DataFrame":
        """Current scores of all targets, one row per account, as `tenure scores` shows them: state,
        and for each target the chance (`p_churn_90d`), health and band.
        """
        from pipeline.jobs.wide_scores import wide_scores

        return wide_scores(self._opened()[0])

    def drivers(self, as_of: date | None = None) -> "pd.DataFrame":
        """Published drivers in points and words; with the base of an account they add to its
        score.
        """
        return self._published("drivers", as_of)

    def portfolio(self, as_of: date | None = None) -> "pd.DataFrame":
        """Who the accounts of a published run are: name, owner, segment, value, renewal."""
        return self._published("portfolio", as_of)

    def explain(
        self, account: str, as_of: date | None = None, *, ask_model: bool = False
    ) -> "Explained":
        """One account of a published run, as `tenure explain` shows it.

        Parameters
        ----------
        account
            Its id or its name.
        ask_model
            Also ask the model's twin of another seed which reasons hold up, as `tenure verify`.

        Returns
        -------
        Explained
            score, drivers and dimensions (frames), reasons, advice, why, history, ...
        """
        from pipeline.jobs.explain import explain_account

        return explain_account(*self._opened(), account, as_of, ask_model=ask_model)

    def scored_features(
        self, as_of: date | None = None, accounts: "Sequence[str] | None" = None
    ) -> "pd.DataFrame":
        """What a published run read of each account: account_id, as_of, run_id and its signals,
        ordered by account. The rows of `contributions`.
        """
        from pipeline.jobs.contributions import scored_features

        return scored_features(*self._opened(), as_of, accounts)

    def contributions(
        self,
        as_of: date | None = None,
        accounts: "Sequence[str] | None" = None,
        *,
        explains: "Explains" = "log-odds",
    ) -> "shap.Explanation":
        """What every signal gave to the scores of a published run, for all of `shap.plots`.

        The numbers are tenure's own and exact: `base_values + values.sum(axis=1)` is what they
        explain. Rows are those of `scored_features`, columns are signals.

        Parameters
        ----------
        accounts
            Ids of the accounts wanted; default: all.
        explains
            `log-odds` of the event on the account's own date, before the calibrator; or `health`:
            the points of the score before rounding.

        Raises
        ------
        ConfigError
            When log-odds are asked of a scorecard, which has none.
        """
        from pipeline.jobs.contributions import published_contributions, shap_explanation

        return shap_explanation(published_contributions(*self._opened(), as_of, accounts, explains))

    # Looking back

    def changes(self, first: str | None = None, last: str | None = None) -> "ScoreChanges":
        """Why scores moved between two runs, as `tenure changes` says it.

        Parameters
        ----------
        first, last
            Id, start of an id, or date of a run; default: the current run and the one before it.

        Returns
        -------
        ScoreChanges
            accounts (a row per account, a column of points per cause) and lines as frames;
            markers, notes.
        """
        from pipeline.jobs.changes import find_changes
        from pipeline.jobs.report import write_changes_page

        workspace, target = self._opened()
        with workspace.store.writing():
            found = find_changes(workspace, target, first, last)
            write_changes_page(workspace, target, found)
        return found

    def outcomes(self, as_of: date | None = None) -> "OutcomesReport":
        """What became of published scores, as `tenure outcomes` says it.

        Parameters
        ----------
        as_of
            Judge by what was known on this date; default: now.
        """
        import pandas as pd

        from pipeline.jobs.outcomes import outcomes_report

        return outcomes_report(*self._opened(), on=None if as_of is None else pd.Timestamp(as_of))

    def effects(self) -> "pd.DataFrame":
        """What each play does, or why that cannot be told yet, as `tenure effects` says it: the
        rows of the table `effects`.
        """
        from pipeline.jobs.effects import effect_rows, effects_report

        workspace, target = self._opened()
        with workspace.store.writing():
            return effect_rows(effects_report(workspace, target))

    def metrics(self, as_of: date | None = None) -> "pd.DataFrame":
        """Churn, retention, revenue, use and NPS by quarter, as `tenure metrics` shows them."""
        from pipeline.jobs.take_metrics import take_metrics

        with self._writing() as (workspace, target, connection):
            return take_metrics(workspace, connection, target, as_of).metrics

    def _opened(self) -> "tuple[Workspace, Target]":
        """As a command started now finds it."""
        return open_project(self.folder, self.target, self.data, self.engine)

    @contextmanager
    def _writing(self) -> "Iterator[tuple[Workspace, Target, Connection]]":
        from pipeline.engine.duckdb import connected

        workspace, target = self._opened()
        with workspace.store.writing(), connected() as connection:
            yield workspace, target, connection

    def _published(self, table: str, as_of: date | None) -> "pd.DataFrame":
        from pipeline.jobs.explain import published_rows

        workspace, target = self._opened()
        rows = published_rows(workspace, target, table, as_of)
        return rows.reset_index(drop=True)


def _say_nothing(step: str, text: str) -> None:
    """A story that nobody reads."""
