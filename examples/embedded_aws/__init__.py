"""An AWS organisation on one local port: moto, plus fakes of our own for what moto lacks."""

import os

# moto makes boto3 sessions while it is imported and later: a profile of the user's that does not exist would stop it.
# A process that imports this package speaks to the embedded AWS alone.
for _name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
    os.environ.pop(_name, None)

from embedded_aws.contract import AwsError, Call, Fake, NotPlayed  # noqa: E402
from embedded_aws.server import EmbeddedAws  # noqa: E402

__all__ = ["AwsError", "Call", "EmbeddedAws", "Fake", "NotPlayed"]
