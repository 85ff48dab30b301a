"""The one kind of error that a user is meant to see."""


class SpaceprobeError(Exception):
    """Something that a user can cause and repair: shown as one sentence, without a traceback.

    Attributes:
        exit_code: what the command ends with: 1 where work failed, 2 for a wrong call or setting.
    """

    exit_code: int = 1


class SettingsError(SpaceprobeError):
    """Settings that are valid by themselves but do not go together."""

    exit_code = 2
