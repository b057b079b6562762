"""The errors of `retrieval`, each with what was wrong and how to mend it; and what the system refuses, told so."""

import errno


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


def refusal(error: OSError) -> str:
    """What a disk or the system refuses, and how to mend it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
        where = f" {error.filename}" if error.filename else ""
        return f"the disk refuses{where} ({error.strerror}): make room or give another place; what was finished is kept"
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename:
        return f"{error.filename} may not be opened ({error.strerror}): check its permissions, and of the folders above"
    return str(error)
