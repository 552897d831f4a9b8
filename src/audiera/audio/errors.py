"""What can be wrong with a sound."""

from audiera.protocol.errors import MediaError


class SoundError(MediaError):
    """A file that cannot be taken in.

    Codes: ``empty``, ``unsupported_type``, ``corrupt``, ``truncated``, ``too_short``, ``too_long``, ``too_large``,
    ``too_many_channels``, ``rate_out_of_range``, ``non_finite``, ``timeout``, ``crashed``.
    """

    default_code = "corrupt"
