"""The exception tree. Foreign errors (paho, PyAV, onnxruntime, SQLite, HTTP) become ours in exactly one place each.

GatewayError
├── ConfigError          the configuration cannot be used; carries every finding at once
├── PayloadError         one payload cannot be decoded; its message goes to the dead letters
├── TransientError       what the other side may accept later: retry with jitter, without end
│   ├── Unreachable      no connection, a timeout, a 5xx
│   └── Throttled        it asked us to wait; carries how long
├── RefusedError         what the other side will never accept as it is
│   └── LoginRefused     credentials are wrong; retried rarely, since cameras lock accounts
├── CameraError          a stream cannot be opened or decoded
├── ModelError           a model cannot be fetched, verified, loaded or recognised
│   └── EngineError      one engine cannot run it; another may
├── AlreadyRunning       another process serves this state folder
├── OutboxError          the durable store
│   ├── DiskBroken       writing fails for good: go on in memory
│   └── DiskFull         no room
├── RecordingError       a recording cannot be read or made
├── EvidenceError        a picture or clip cannot be made, kept or opened
└── StateError           stored state does not fit this program
"""


class GatewayError(Exception):
    """Every error that zhiwang raises on purpose. Its text says what was found, what was expected and what to do."""


class ConfigError(GatewayError):
    """The configuration cannot be used.

    `findings` are printable lines, each with file:line, path, what was found, what is allowed and the nearest name.
    """

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class PayloadError(GatewayError):
    """One payload cannot be decoded: set aside with this reason, counted, then acknowledged."""


class TransientError(GatewayError):
    """The other side may accept it later."""


class Unreachable(TransientError):
    """No connection, a timeout, or a server's own failure."""


class Throttled(TransientError):
    """The other side asked for a pause of `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RefusedError(GatewayError):
    """The other side will never accept this as it is."""


class LoginRefused(RefusedError):
    """User, password, token or certificate is wrong."""


class CameraError(GatewayError):
    """A stream cannot be opened or decoded."""


class ModelError(GatewayError):
    """A model cannot be fetched, verified, loaded or recognised."""


class EngineError(ModelError):
    """One engine cannot load or run a model, or what it gives cannot be used; another engine may do."""


class AlreadyRunning(GatewayError):
    """Another process serves this state folder: two gateways of one name would take each other's sessions."""


class OutboxError(GatewayError):
    """The durable store cannot do what was asked."""


class DiskBroken(OutboxError):
    """Writing fails for good (read-only, I/O error): never retry an fsync, go on in memory."""


class DiskFull(OutboxError):
    """There is no room on the disk."""


class RecordingError(GatewayError):
    """A recording cannot be read or made: it is none, it is empty or damaged, or a newer version wrote it."""


class EvidenceError(GatewayError):
    """A picture or clip of an alert cannot be made, kept or opened."""


class StateError(GatewayError):
    """Stored state does not fit this program."""
