"""What can go wrong with an archive, each with its way out; a failure of the evolved is never one of these."""


class ArchiveError(Exception):
    """The archive cannot do what it was asked; the message names the thing and the way out."""


class RunInUse(ArchiveError):
    """Another process writes this run."""


class NewerSchema(ArchiveError):
    """The database was written by a newer version."""


class OtherTask(ArchiveError):
    """The run's folder holds another task, objective or seed."""


class NoRun(ArchiveError):
    """There is no such run."""


class NoIndividual(ArchiveError, LookupError):
    """There is no individual of this number in the run."""


class DamagedArchive(ArchiveError):
    """The database or the lineage cannot be read, or they contradict each other."""


class CannotWrite(ArchiveError):
    """The disk is full, the folder read-only, or the database locked."""
