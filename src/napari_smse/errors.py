"""The named errors of napari-smse.

Every message names the file, the problem and the remedy, in one
line: the command line prints it as it is, and the napari side shows it as a
notification.
"""

from __future__ import annotations

import errno
import logging

TRACEBACKS = "napari_smse.internal"
"""Name of the log that has the traceback of an `InternalError`."""


class SmseError(Exception):
    """Base of every error this package raises on purpose."""

    def __str__(self) -> str:
        """Return the message as text for any terminal or file; not every path is UTF-8."""
        return super().__str__().encode("utf-8", "backslashreplace").decode()


class SlideError(SmseError):
    """Something is wrong with a slide file."""


class SlideNotFoundError(SlideError):
    """There is no file or folder at this path."""


class NotASlideError(SlideError):
    """The file exists but no backend can open it as an image."""


class SeveralSlidesError(NotASlideError):
    """The file holds several slides, and it was not stated which is meant."""


class DamagedSlideError(SlideError):
    """The file opens, or claims to, but its pixels cannot be read."""


class ChangedSlideError(SlideError):
    """The file is another one than was opened."""


class CopyFirstError(SlideError):
    """The slide cannot be read where its address points to, but a copy of it can."""


class UnreachableSlideError(SlideError):
    """What an address points to cannot be reached, or reading it broke off again and again."""


class CredentialsError(SlideError):
    """What an address points to may only be read with credentials, or with other ones."""


class MissingReaderError(SlideError):
    """What reads slides of this format is not installed."""


class ColourProfileError(SlideError):
    """The slide has no ICC profile, or none that can be applied."""


class MissingScaleError(SlideError):
    """The slide does not state its um/px."""


class ImplausibleScaleError(MissingScaleError):
    """The slide states a um/px that no microscope has."""


class NotBrightfieldError(SlideError):
    """The slide is not a stained section on bright glass."""


class OtherStainError(SlideError):
    """The slide has another stain than H&E, and that was not asked for."""


class NoTissueError(SlideError):
    """No tissue was found where tiles were requested."""


class ModelError(SmseError):
    """Something is wrong with a model."""


class ModelNotFoundError(ModelError):
    """There is no model of this name or at this path."""


class DamagedModelError(ModelError):
    """The weights or the card cannot be read, or do not belong together."""


class SelfTestError(ModelError):
    """The model does not give the outputs its card promises."""


class UnknownTrunkError(ModelError):
    """Neither timm nor torchvision knows a trunk of this name."""


class UnknownEncoderError(ModelError):
    """No encoder of the catalogue has this name, in any tool's spelling."""


class EncoderWeightsError(ModelError):
    """The weights of an encoder are not there, not to be had, or not its own."""


class ScaleError(SmseError):
    """A requested scale cannot be read or scored."""


class RegionError(SmseError):
    """A region of interest is empty, malformed or off the slide."""


class MaskError(SmseError):
    """A tissue mask cannot be read, is another slide's, or its network cannot be built."""


class RequestError(SmseError):
    """The settings of a request contradict each other."""


class DeviceError(SmseError):
    """The requested device is not on this machine."""


class WorkerError(SmseError):
    """A worker, or the connection to it, failed."""


class BankError(SmseError):
    """An exemplar bank cannot be read or written, or does not fit the model."""


class IndexFilesError(SmseError):
    """An index of slides cannot be read or written, or does not fit the model."""


class QueryError(SmseError):
    """There is no query, or nothing to search."""


class OutputError(SmseError):
    """Results cannot be written, or would replace another run's."""


class SessionError(SmseError):
    """A saved session of the viewer cannot be read, or there is nothing to save."""


class DataError(SmseError):
    """Labelled images cannot be read or are not enough to learn from, or features of tiles."""


class TrainingError(SmseError):
    """A training cannot start, or resume, with these settings."""


class MemoryLimitError(SmseError):
    """The work needs more memory than there is, or than this program may have."""


class InternalError(SmseError):
    """An unforeseen error; its traceback is in the log."""


_NO_MEMORY = (
    "allocate",  # "can't allocate memory", "Failed to allocate 2 GiB"
    "bad_alloc",
    "could not create a primitive",  # oneDNN has no other words for it
    "failed to map segment",  # a library that cannot be loaded
    "out of memory",
    "not enough memory",
    "start new thread",
    "without exception set",  # compiled code that did not expect to find no memory
    "without setting an exception",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that memory ran out.

    Libraries have classes of their own for that, or none: plain errors are known by their words. A
    `DeviceError` has a remedy of its own.
    """
    chain: list[BaseException] = []
    reason: BaseException | None = None if isinstance(error, DeviceError) else error
    while reason is not None and reason not in chain:
        chain.append(reason)
        reason = reason.__cause__ or reason.__context__
    return any(map(_says_no_memory, chain))


def _says_no_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:  # its text has paths
        return error.errno == errno.ENOMEM
    plain = isinstance(error, RuntimeError | ImportError | OSError | SystemError)
    return plain and any(words in str(error).lower() for words in _NO_MEMORY)


def memory_error(what: str = "This") -> MemoryLimitError:
    """Return the error for work that memory does not suffice for."""
    return MemoryLimitError(
        f"{what} needs more memory than there is: close other programs, raise the limit if there "
        "is one (ulimit -v), or take a larger machine"
    )


def named_error(error: Exception, slide: str) -> SmseError:
    """Return a named error for any, so that one slide of many never stops the others.

    Parameters
    ----------
    error
        The error that was raised.
    slide
        Name of the slide that it was raised at.
    """
    # A parser that found no memory is named after the file it read, which is not to blame.
    if is_out_of_memory(error):
        return memory_error(slide)
    if isinstance(error, SmseError):
        return error
    if isinstance(error, OSError):
        file = slide if error.filename is None else error.filename
        return SmseError(
            f"{file} cannot be read or written: {error.strerror or error}; check the path"
        )
    logging.getLogger(TRACEBACKS).error("at %r", slide, exc_info=error)
    return InternalError(
        f"internal error at {slide} ({type(error).__name__}: {error}): please report it, with the "
        "traceback from the log"
    )
