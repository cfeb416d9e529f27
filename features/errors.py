"""The errors a caller can act on; each is also the builtin one would expect.

What the command line returns follows from who has to act:

    1  fault          data, store or saved model are not what they should be: mend them, then run
        the same command again
    2  wrong use      the command, its order or tenure.toml cannot work: change what was asked
    3  refused        a gate stands before publication: look first, nothing was published
"""


class ChurnError(Exception):
    """Base of every error that tenure raises on purpose; `exit_code` is what the command line
    returns.
    """

    exit_code = 1


class ConfigError(ChurnError, ValueError):
    """The project file, a command's arguments or their combination cannot work (a zone that is
    needed and not given, too).
    """

    exit_code = 2


class ContractError(ChurnError, ValueError):
    """A source does not hold what its contract says."""


class EmptySource(ContractError):
    """A source has no rows at all: more often a failed export than the truth, so nothing is
    published on it.
    """

    exit_code = 3


class TooFewEvents(ContractError):
    """Too few accounts left, or stayed, to learn anything from; a scorecard needs none."""

    exit_code = 3


class IncompleteHorizon(ChurnError, ValueError):
    """No date has a label window that the data complete."""

    exit_code = 2


class ArtifactMismatch(ChurnError, ValueError):
    """A saved model does not fit the code, the cards or its own hashes."""


class StoreError(ChurnError, OSError):
    """The store cannot be read or written (locked, full, not a store)."""


class LeakageError(ChurnError, ValueError):
    """A column knows the future."""

    exit_code = 3


class GateRefused(ChurnError, RuntimeError):
    """A gate stands between this result and its readers."""

    exit_code = 3


class NoModel(ChurnError, LookupError):
    """No model is in use, so nothing may be published."""

    exit_code = 3


class NotFound(ChurnError, LookupError):
    """The account, run, candidate or target asked for does not exist; often a command that comes
    before has not been run.
    """

    exit_code = 2
