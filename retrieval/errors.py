"""The errors of `retrieval`; each message says what was wrong and how to mend it."""


class RetrievalError(Exception):
    """Base of every error that `retrieval` raises on purpose. exit_code: what a command that it ends gives back."""

    exit_code = 1


class NoImagesError(RetrievalError):
    """A folder to index holds no picture."""


class ClusterError(RetrievalError):
    """A cluster of machines that does not answer, or cannot do what is asked of it."""


class PruneError(RetrievalError):
    """So much would be removed that somebody must say yes to it."""

    exit_code = 2


class EvaluationError(RetrievalError):
    """A data set on which the asked figures cannot be measured."""


class NothingFoundError(RetrievalError):
    """No image is what was asked for."""

    exit_code = 4
