"""What can go wrong, by what you can do about it.

Every exception is an :class:`ApolloPackError`; most are one of Python's own kinds too, so that
``except FileNotFoundError`` and ``except ValueError`` work as expected. All can be pickled.
"""

from __future__ import annotations


class ApolloPackError(Exception):
    """The base of all errors of apollo-pack."""


class ConfigError(ApolloPackError, ValueError):
    """A setting is out of its range, unknown, or contradicts another."""


class CorpusError(ApolloPackError, ValueError):
    """The corpus as a whole cannot be used: nothing to read in it, a broken archive."""


class InputError(ApolloPackError, ValueError):
    """Something in the corpus cannot be read as a document.

    Attributes:
        file: path within the corpus
        item: index of the item in its file, from 0, or None where it is not one item's fault
        byte: byte in the uncompressed file, from 0, or None

    """

    def __init__(
        self, message: str, file: str | None = None, item: int | None = None, byte: int | None = None
    ) -> None:
        """Keep the place beside the message."""
        super().__init__(message, file, item, byte)
        self.file = file
        self.item = item
        self.byte = byte

    def __str__(self) -> str:
        """Only the message: it names the place."""
        return str(self.args[0])


class TokenizerError(ApolloPackError, ValueError):
    """The tokenizer cannot be found or read, does not say what ends a text, or cannot encode one."""


class FormatError(ApolloPackError, ValueError):
    """The file is no file of apollo-pack, or it is damaged."""


class OutputExistsError(ApolloPackError, FileExistsError):
    """The output exists already, and replacing it was not asked for."""


class OutputBusyError(ApolloPackError, RuntimeError):
    """Another build is writing the same output."""


class UnfinishedBuildError(ApolloPackError, RuntimeError):
    """A build of this output was stopped, and this one is not its continuation: something has changed."""


class InternalError(ApolloPackError, RuntimeError):
    """A check of our own results failed: a defect of apollo-pack, worth a report."""


class FileError(ApolloPackError, OSError):
    """The operating system refused: no permission, a full disk.

    Attributes:
        errno: its number, where the system gave one
        filename: the file or folder concerned

    """

    def __init__(self, message: str, errno: int | None = None, filename: object = None) -> None:
        """Fill in what `OSError` has, and keep the message."""
        super().__init__(message, errno, filename)
        self.errno = errno
        self.strerror = message
        self.filename = filename

    def __str__(self) -> str:
        """Only the message: it names the file."""
        return str(self.args[0])


class MissingFileError(FileError, FileNotFoundError):
    """A file or folder that is needed is not there."""
