"""An AWS organisation on one local port: moto, plus fakes of our own for what moto lacks."""

from embedded_aws.contract import AwsError, Call, Fake, NotPlayed
from embedded_aws.server import EmbeddedAws

__all__ = ["AwsError", "Call", "EmbeddedAws", "Fake", "NotPlayed"]
